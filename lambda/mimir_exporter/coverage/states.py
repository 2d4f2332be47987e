"""What became of every window of a range, metric by metric. Pure.

Time is cut where a metric's state changes, never window by window, so that a year costs no more
than a day: `state_at` decides, once for each piece. Every window of the range lies in one piece.
Times are unix seconds, ranges half-open.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TypeVar

from ..checkpoint.changes import expired_before
from ..checkpoint.in_part import partial_ranges
from ..checkpoint.records import Doubt, Failure, MetricProgress, PartialExport
from ..checkpoint.state import Checkpoint
from ..settings.settings import Settings
from ..timeline.intervals import Interval, Intervals, covers, intersect, subtract, union
from ..timeline.windows import WindowSchedule, count_windows, window_at

T = TypeVar("T", PartialExport, Doubt)


class State(StrEnum):
    """Of one metric-window, in words for programs; `words_of` has those for people. In this order
    the later one is shown where metrics or windows are shown as one."""

    NOT_DUE = "not_due"  # in the future, not complete yet, or not settled
    BEFORE = "before_beginning"  # of the metric: it was never wanted
    EMPTY = "empty"  # exported: the source had nothing
    AUDITED = "audited"  # exported, and the source has no more of it
    EXPORTED = "exported"
    UNAUDITABLE = "unauditable"  # exported; the source cannot say any more whether it is all
    UNSTABLE = "source_unstable"  # exported; the source had more each time that it was asked
    AGAIN = "reexport_requested"  # exported, and requested again
    DELETED = "deleted"  # by retention; had been exported
    ACCEPTED = "accepted"  # missing for good, and an operator accepted that
    IN_WORK = "in_execution"
    PENDING = "pending"
    FAILED = "failed"  # will be retried
    UNCONFIRMED = "unconfirmed"  # exported; clusters have vanished, and no audit has confirmed it
    IN_PART = "in_part"  # files are there, and the source had more than they have
    MISSED_PAST_RETENTION = "missed_past_retention"  # never exported, older than RETENTION_DAYS
    NOTHING_LEFT = "nothing_left"  # never exported, and the source has forgotten it
    GAP = "gap"  # failed so often that only a daily try is left


WORDS = {
    State.NOT_DUE: "not yet due",
    State.BEFORE: "before the beginning",
    State.EMPTY: "without series",
    State.AUDITED: "audited",
    State.EXPORTED: "exported",
    State.UNAUDITABLE: "exported, not auditable",
    State.UNSTABLE: "exported, source unstable",
    State.AGAIN: "exported, reexport requested",
    State.DELETED: "deleted by retention",
    State.ACCEPTED: "missing, accepted",
    State.IN_WORK: "in Step Functions",
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
        *(State.EMPTY, State.AUDITED, State.EXPORTED, State.UNAUDITABLE, State.UNSTABLE),
        State.AGAIN,
    }
)
# Wanted, and not there, or not all of it.
MISSING = frozenset(
    {
        *(State.IN_WORK, State.PENDING, State.FAILED, State.UNCONFIRMED, State.IN_PART, State.GAP),
    }
)
# Not there, and no run will change that.
LOST = frozenset({State.MISSED_PAST_RETENTION, State.NOTHING_LEFT})
# What the exporter has ever had to do: the rest was never wanted, or is not yet.
IN_SCOPE_STATES = EXPORTED_STATES | MISSING | LOST | {State.DELETED, State.ACCEPTED}

SEVERITY = {state: place for place, state in enumerate(State)}


@dataclass(frozen=True)
class Span:
    """A piece of time in which one metric has one state."""

    start: int
    end: int
    state: State


@dataclass(frozen=True)
class Line:
    """The metrics that stand alike, as most always do, and their pieces of the range, in order."""

    metrics: tuple[str, ...]
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Coverage:
    """A range of whole windows as it stands at one moment.

    `reasons` are the failures that touch the range, oldest first; `executions` are the ranges
    that each Step Functions execution has of it. Before a metric's moment in `empty_known_from`
    what is EXPORTED may have been EMPTY: the checkpoint had no room for it. Up to `audited_until`
    all that is exported of the range is audited, but for what cannot be. `in_part` are the
    metric-windows, by metric, of which there are files that lack something, `doubts` those from
    which clusters have vanished.
    """

    start: int
    end: int
    now: int
    schedules: tuple[WindowSchedule, ...]
    lines: tuple[Line, ...]
    reasons: tuple[Failure, ...]
    executions: Mapping[str, Intervals]
    empty_known_from: Mapping[str, int]
    audited_until: int
    in_part: Mapping[str, tuple[PartialExport, ...]]
    doubts: Mapping[str, tuple[Doubt, ...]]

    @property
    def metrics(self) -> tuple[str, ...]:
        """All of them, in the catalogue's order within a line."""
        return tuple(name for line in self.lines for name in line.metrics)

    def windows(self, start: int, end: int) -> int:
        """How many windows begin in [start, end)."""
        return count_windows(self.schedules, start, end)

    def counts(self) -> Counter[State]:
        """Windows of metrics by state: a window of twenty metrics counts twenty times."""
        counts: Counter[State] = Counter()
        for line in self.lines:
            for span in line.spans:
                counts[span.state] += self.windows(span.start, span.end) * len(line.metrics)
        return counts

    def side_by_side(self) -> Iterator[tuple[Interval, Mapping[State, tuple[str, ...]]]]:
        """The range in pieces in which no metric changes its state, with the metrics by state."""
        edges = sorted({span.start for line in self.lines for span in line.spans} | {self.end})
        places = [0] * len(self.lines)
        for start, end in pairwise(edges):
            found: dict[State, list[str]] = {}
            for index, line in enumerate(self.lines):
                if line.spans[places[index]].end <= start:
                    places[index] += 1
                found.setdefault(line.spans[places[index]].state, []).extend(line.metrics)
            yield (start, end), {state: tuple(names) for state, names in found.items()}

    def ranges_where(
        self, *, any_of: Iterable[State] = (), all_of: Iterable[State] = ()
    ) -> Intervals:
        """Where some metric has a state of `any_of`, and every metric one of `all_of`, if given."""
        some, every = frozenset(any_of), frozenset(all_of)
        return union(
            piece
            for piece, states in self.side_by_side()
            if (not some or some & states.keys()) and (not every or states.keys() <= every)
        )


def survey(
    checkpoint: Checkpoint, names: Iterable[str], settings: Settings, now: int, span: Interval
) -> Coverage:
    """How the metrics `names` stand in `span`, which is widened to whole windows.

    The checkpoint must have taken in the settings of today (Checkpoint.adopt), as a run does.
    """
    start = window_at(checkpoint.schedules, span[0]).start
    end = window_at(checkpoint.schedules, span[1] - 1).end
    held = union(*(handover.ranges for handover in checkpoint.handovers))
    alike: dict[tuple[Span, ...], list[str]] = {}
    for name in names:
        facts = _facts_of(checkpoint, name, settings, now, held)
        alike.setdefault(tuple(_spans(facts, start, end)), []).append(name)
    known = {name for group in alike.values() for name in group}
    return Coverage(
        start=start,
        end=end,
        now=now,
        schedules=checkpoint.schedules,
        lines=tuple(Line(tuple(group), spans) for spans, group in alike.items()),
        reasons=tuple(
            sorted(
                (
                    one
                    for one in checkpoint.failures
                    if one.metric in known and one.start < end and start < one.end
                ),
                key=lambda one: (one.start, one.metric),
            )
        ),
        executions={
            one.name: ranges
            for one in checkpoint.handovers
            if (ranges := _clipped(one.ranges, start, end))
        },
        empty_known_from={name: checkpoint.metrics[name].empty_known_from for name in known},
        audited_until=_audited_until(checkpoint, known, (start, end)),
        in_part=_of_range(checkpoint, known, lambda one: one.in_part, (start, end)),
        doubts=_of_range(checkpoint, known, lambda one: one.doubts, (start, end)),
    )


def _of_range(
    checkpoint: Checkpoint,
    names: Iterable[str],
    records: Callable[[MetricProgress], tuple[T, ...]],
    span: Interval,
) -> dict[str, tuple[T, ...]]:
    """The records of each metric that touch the range; of those that have some."""
    found = {
        name: tuple(
            one
            for one in records(checkpoint.metrics[name])
            if one.start < span[1] and span[0] < one.end
        )
        for name in sorted(names)
    }
    return {name: kept for name, kept in found.items() if kept}


def _audited_until(checkpoint: Checkpoint, names: Iterable[str], span: Interval) -> int:
    """The range's start while nothing of it is audited. What cannot be audited is named instead."""
    until = span[1]
    audited: Intervals = ()
    for name in names:
        stored = intersect(checkpoint.stored(name), [span])
        own = intersect(stored, checkpoint.metrics[name].audited)
        audited = union(audited, own)
        waiting = subtract(stored, own, checkpoint.metrics[name].unauditable)
        until = min([until, *(low for low, _ in waiting[:1])])
    proven = intersect(audited, [(span[0], until)])
    return proven[-1][1] if proven else span[0]


@dataclass(frozen=True)
class Facts:
    """All that decides the state of one metric at any moment."""

    since: int
    exported: Intervals
    there: Intervals
    empty: Intervals
    audited: Intervals
    unauditable: Intervals
    unstable: Intervals
    again: Intervals
    gaps: Intervals
    nothing_left: Intervals
    in_part: Intervals
    doubtful: Intervals
    accepted: Intervals
    failed: Intervals
    held: Intervals
    kept_from: int
    due_until: int


def state_at(facts: Facts, moment: int) -> State:
    """The state of the window that holds `moment`."""
    requested = _holds(facts.again, moment)
    # What is too old goes today.
    if moment >= facts.kept_from and _holds(facts.there, moment):
        return _state_of_exported(facts, moment, requested=requested)
    if moment >= facts.due_until:
        return State.NOT_DUE
    if not requested and (state := _state_of_unwanted(facts, moment)):
        return state
    if _holds(facts.gaps, moment):
        return State.GAP
    if _holds(facts.held, moment):
        return State.IN_WORK
    return State.FAILED if _holds(facts.failed, moment) else State.PENDING


def _state_of_exported(facts: Facts, moment: int, *, requested: bool) -> State:
    if requested and moment < facts.due_until:
        return State.GAP if _holds(facts.gaps, moment) else State.AGAIN
    if _holds(facts.doubtful, moment):
        return State.UNCONFIRMED
    if _holds(facts.empty, moment):
        return State.EMPTY
    if _holds(facts.audited, moment):
        return State.AUDITED
    if _holds(facts.unstable, moment):
        return State.UNSTABLE
    return State.UNAUDITABLE if _holds(facts.unauditable, moment) else State.EXPORTED


def _state_of_unwanted(facts: Facts, moment: int) -> State | None:
    """Of what no run does by itself; None where one does."""
    if _holds(facts.exported, moment):
        return State.DELETED
    if _holds(facts.accepted, moment):
        return State.ACCEPTED
    if moment < facts.since:
        return State.BEFORE
    if moment < facts.kept_from:
        return State.MISSED_PAST_RETENTION
    if _holds(facts.in_part, moment):
        return State.IN_PART
    return State.NOTHING_LEFT if _holds(facts.nothing_left, moment) else None


def _facts_of(
    checkpoint: Checkpoint, name: str, settings: Settings, now: int, held: Intervals
) -> Facts:
    progress = checkpoint.metrics[name]
    failures = [one for one in checkpoint.failures if one.metric == name]
    return Facts(
        since=progress.since,
        exported=progress.exported,
        # What was deleted stays so when RETENTION_DAYS is raised, until it is exported again.
        there=checkpoint.stored(name),
        empty=progress.empty,
        audited=progress.audited,
        unauditable=progress.unauditable,
        unstable=progress.unstable,
        again=union((one.start, one.end) for one in checkpoint.reexports if name in one.metrics),
        gaps=union((one.start, one.end) for one in failures if one.is_gap),
        nothing_left=union((one.start, one.end) for one in failures if one.nothing_left),
        in_part=partial_ranges(progress),
        doubtful=union((one.start, one.end) for one in progress.doubts),
        accepted=checkpoint.accepted_of(name),
        failed=union((one.start, one.end) for one in failures),
        held=held,
        kept_from=expired_before(checkpoint, settings, now),
        due_until=window_at(checkpoint.schedules, now - settings.settle_time_s).start,
    )


def _spans(facts: Facts, start: int, end: int) -> Iterator[Span]:
    """[start, end) cut where the state changes."""
    sets = (
        facts.exported,
        facts.there,
        facts.empty,
        facts.audited,
        facts.unauditable,
        facts.unstable,
        facts.again,
        facts.gaps,
        facts.nothing_left,
        facts.in_part,
        facts.doubtful,
        facts.accepted,
        facts.failed,
        facts.held,
    )
    edges = {edge for one in sets for interval in one for edge in interval}
    edges |= {facts.since, facts.kept_from, facts.due_until}
    inner = sorted(edge for edge in edges if start < edge < end)
    begin, state = start, state_at(facts, start)
    for edge in inner:
        following = state_at(facts, edge)
        if following != state:
            yield Span(begin, edge, state)
            begin, state = edge, following
    yield Span(begin, end, state)


def _holds(intervals: Sequence[Interval], moment: int) -> bool:
    return covers(intervals, moment, moment + 1)


def _clipped(intervals: Intervals, start: int, end: int) -> Intervals:
    pieces = ((max(low, start), min(high, end)) for low, high in intervals)
    return tuple((low, high) for low, high in pieces if low < high)
