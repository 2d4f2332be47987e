"""The states of a metric-window, in words for programs and for people."""

from enum import StrEnum


class State(StrEnum):
    """Of one metric-window, in words for programs; `words_of` has those for people. In this order
    the later one is shown where metrics or windows are shown as one."""

    NOT_DUE = "not_due"  # in the future, not complete yet, or not settled
    BEFORE_BEGINNING = "before_beginning"  # of the metric: it was never wanted
    EMPTY = "empty"  # exported: the source had nothing
    AUDITED = "audited"  # exported, and the source has no more of it
    EXPORTED = "exported"
    UNAUDITABLE = "unauditable"  # exported; the source cannot say any more whether it is all
    SOURCE_UNSTABLE = "source_unstable"  # exported; the source had more each time that it was asked
    REEXPORT_REQUESTED = "reexport_requested"  # exported, and requested again
    DELETED = "deleted"  # by retention; had been exported
    ACCEPTED = "accepted"  # missing for good, and an operator accepted that
    IN_EXECUTION = "in_execution"
    PENDING = "pending"
    FAILED = "failed"  # will be retried
    UNCONFIRMED = "unconfirmed"  # exported; clusters have vanished, and no audit has confirmed it
    IN_PART = "in_part"  # files are there, and the source had more than they have
    MISSED_PAST_RETENTION = "missed_past_retention"  # never exported, older than RETENTION_DAYS
    NOTHING_LEFT = "nothing_left"  # never exported, and the source has forgotten it
    GAP = "gap"  # failed so often that only a daily try is left


WORDS = {
    State.NOT_DUE: "not yet due",
    State.BEFORE_BEGINNING: "before the beginning",
    State.EMPTY: "without series",
    State.AUDITED: "audited",
    State.EXPORTED: "exported",
    State.UNAUDITABLE: "exported, not auditable",
    State.SOURCE_UNSTABLE: "exported, source unstable",
    State.REEXPORT_REQUESTED: "exported, reexport requested",
    State.DELETED: "deleted by retention",
    State.ACCEPTED: "missing, accepted",
    State.IN_EXECUTION: "in Step Functions",
    State.PENDING: "pending",
    State.FAILED: "failed, will be retried",
    State.UNCONFIRMED: "exported, not confirmed",
    State.IN_PART: "exported in part",
    State.MISSED_PAST_RETENTION: "never exported, past retention",
    State.NOTHING_LEFT: "nothing left to export",
    State.GAP: "gap",
}
# Exported, and in the bucket as far as the source had it.
EXPORTED_STATES = frozenset(
    {
        *(State.EMPTY, State.AUDITED, State.EXPORTED, State.UNAUDITABLE, State.SOURCE_UNSTABLE),
        State.REEXPORT_REQUESTED,
    }
)
# Wanted, and not there, or not all of it.
MISSING = frozenset(
    {
        *(
            State.IN_EXECUTION,
            State.PENDING,
            State.FAILED,
            State.UNCONFIRMED,
            State.IN_PART,
            State.GAP,
        ),
    }
)
# Not there, and no run will change that.
LOST = frozenset({State.MISSED_PAST_RETENTION, State.NOTHING_LEFT})
# What the exporter has ever had to do: the rest was never wanted, or is not yet.
IN_SCOPE_STATES = EXPORTED_STATES | MISSING | LOST | {State.DELETED, State.ACCEPTED}

SEVERITY = {state: place for place, state in enumerate(State)}
