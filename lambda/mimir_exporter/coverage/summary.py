"""A coverage in one sentence: "is October complete?", answered for a reader who asks just that.

Pure. Times in sentences are UTC.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..events import StatusOutcome
from ..timeline.intervals import Intervals, overlaps, subtract, union
from ..timeline.windows import DAY_S
from ..words import counted
from .compute import Coverage
from .states import EXPORTED_STATES, IN_SCOPE_STATES, LOST, MISSING, State

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
# One of them, several of them, for `3 are gaps`.
_WORDS = {
    State.GAP: ("is a gap", "are gaps"),
    State.NOTHING_LEFT: (
        "is missing for good: the source has nothing left of it",
        "are missing for good: the source has nothing left of them",
    ),
    State.MISSED_PAST_RETENTION: (
        "was never exported and is past retention",
        "were never exported and are past retention",
    ),
    State.IN_PART: (
        "is exported in part: the source had more of it",
        "are exported in part: the source had more of them",
    ),
    State.UNCONFIRMED: (
        "is not confirmed: clusters have vanished from it",
        "are not confirmed: clusters have vanished from them",
    ),
    State.FAILED: ("failed and will be tried again", "failed and will be tried again"),
    State.PENDING: ("is pending", "are pending"),
    State.IN_EXECUTION: ("is in Step Functions", "are in Step Functions"),
}


@dataclass(frozen=True)
class CoverageSummary:
    """`outcome` is for programs, `headline` and `detail` make a sentence, `notes` go with it."""

    outcome: StatusOutcome
    headline: str
    detail: str = ""
    notes: tuple[str, ...] = ()

    @property
    def answer(self) -> str:
        """The whole sentence."""
        return f"{self.headline}: {self.detail}." if self.detail else f"{self.headline}."

    @property
    def message(self) -> str:
        """The sentence with its notes."""
        return " ".join((self.answer, *self.notes))


def summarize(coverage: Coverage) -> CoverageSummary:
    """Whether the range is complete, and if not, what about it."""
    name = range_name(coverage.start, coverage.end)
    counts = coverage.counts()
    due = _sum(counts, IN_SCOPE_STATES)
    if not due:
        return _nothing_due(coverage, name, counts)
    there = _sum(counts, EXPORTED_STATES)
    missing = Counter({state: counts[state] for state in _WORDS if counts[state]})
    if counts[State.DELETED] and not there and not _sum(counts, MISSING):
        return _deleted(name, counts)
    figures = _figures(coverage, counts)
    if there == counts[State.EMPTY] and there and not missing:
        return CoverageSummary(
            "empty",
            f"{name} is exported but empty",
            f"Mimir had no series of any metric in {figures}; check the tenant and the data "
            "source, then reexport it",
        )
    notes = (
        *_began_late(coverage),
        *_without_any_series(coverage),
        *_again(counts),
        *_accepted(counts),
        *_audited(coverage),
    )
    wanted = coverage.ranges_where(any_of=IN_SCOPE_STATES - {State.DELETED})
    to_date = _to_date(coverage)
    mixed = _partly_deleted(coverage)
    cut = _cut(coverage, subtract([(coverage.start, to_date)], wanted), mixed)
    ends = coverage.ranges_where(any_of=IN_SCOPE_STATES)[-1][1]
    to_come = ends < coverage.end and counts[State.NOT_DUE] > 0
    if missing:
        as_of = f" as of {spoken(ends)}" if to_come else ""
        what = ", ".join(
            f"{count:,} {_WORDS[state][count != 1]}" for state, count in missing.items()
        )
        return CoverageSummary(
            "incomplete",
            f"{name} is incomplete{as_of}",
            f"{figures}; {what}",
            (*((f"{cut}.",) if cut else ()), *notes),
        )
    if cut:
        until = f" and up to {spoken(to_date)}" if to_come else ""
        stretches = [
            f"from {spoken(low)} on{until}" if high == to_date else _from_to(low, high)
            for low, high in subtract(wanted, mixed)
        ]
        return CoverageSummary(
            "partial",
            f"{name} is complete only {_listed(stretches) or 'in part'}",
            f"{figures}; {cut[0].lower()}{cut[1:]}",
            notes,
        )
    if to_come:
        return CoverageSummary(
            "complete_so_far", f"{name} is complete as of {spoken(ends)}", figures, notes
        )
    return CoverageSummary("complete", f"{name} is complete", figures, notes)


def range_name(start: int, end: int) -> str:
    """`October 2026`, `5 October 2026`, `2026`, or from when to when."""
    first = datetime.fromtimestamp(start, UTC)
    last = datetime.fromtimestamp(end, UTC)
    if start % DAY_S == 0 and end == start + DAY_S:
        return spoken(start)
    if start % DAY_S == 0 and end % DAY_S == 0 and first.day == 1:
        if last == (first + timedelta(days=31)).replace(day=1):
            return f"{MONTHS[first.month - 1]} {first.year}"
        if first.month == 1 and last == first.replace(year=first.year + 1):
            return str(first.year)
    return f"{spoken(start)} to {spoken(end)}"


def spoken(moment: int) -> str:
    """`10 October 2026`, or `10 October 2026, 12:00 UTC`."""
    when = datetime.fromtimestamp(moment, UTC)
    day = f"{when.day} {MONTHS[when.month - 1]} {when.year}"
    return day if moment % DAY_S == 0 else f"{day}, {when:%H:%M} UTC"


def _from_to(start: int, end: int) -> str:
    return f"from {spoken(start)} to {spoken(end)}"


def _figures(coverage: Coverage, counts: Counter[State]) -> str:
    """`744/744 windows (14,880/14,880 metric-windows)`, exported of those in scope.

    What retention has deleted is in neither.
    """
    exported = in_scope = 0
    for (start, end), states in coverage.side_by_side():
        live = (states.keys() & IN_SCOPE_STATES) - {State.DELETED}
        if live:
            windows = coverage.windows(start, end)
            in_scope += windows
            exported += windows if live <= EXPORTED_STATES else 0
    there, due = _sum(counts, EXPORTED_STATES), _sum(counts, IN_SCOPE_STATES - {State.DELETED})
    of_metrics = f"{there:,}/{counted(due, 'metric-window')}"
    return f"{exported:,}/{counted(in_scope, 'window')} ({of_metrics})"


def _nothing_due(coverage: Coverage, name: str, counts: Counter[State]) -> CoverageSummary:
    if counts[State.BEFORE_BEGINNING] and not counts[State.NOT_DUE]:
        return CoverageSummary(
            "not_wanted",
            f"{name} is not exported",
            "it lies before the beginning of the export; export the range by hand if Mimir still "
            "has it",
        )
    if coverage.start > coverage.now:
        return CoverageSummary("not_due", f"{name} is still to come")
    return CoverageSummary("not_due", f"{name} has begun, and nothing of it is due yet")


def _deleted(name: str, counts: Counter[State]) -> CoverageSummary:
    had = counts[State.DELETED]
    of = had + _sum(counts, LOST)
    return CoverageSummary(
        "deleted",
        f"{name} was deleted by retention",
        f"RETENTION_DAYS has deleted its files; {had:,} of {of:,} metric-windows had been exported",
    )


def _to_date(coverage: Coverage) -> int:
    """Where what is not due of any metric begins, or the range's end."""
    open_ranges = coverage.ranges_where(all_of=[State.NOT_DUE])
    to_come = open_ranges and open_ranges[-1][1] == coverage.end
    return open_ranges[-1][0] if to_come else coverage.end


def _partly_deleted(coverage: Coverage) -> Intervals:
    """Where some metrics were exported again after retention had deleted them, and others not."""
    deleted = coverage.ranges_where(any_of=[State.DELETED])
    return subtract(deleted, coverage.ranges_where(all_of=[State.DELETED, State.BEFORE_BEGINNING]))


def _cut(coverage: Coverage, holes: Intervals, mixed: Intervals) -> str:
    """Why the range has nothing in `holes`, and only some metrics where it is `mixed`; "" without
    any. Mostly there is one hole, at its beginning; a range before that, exported by hand, leaves
    others."""
    if mixed:
        where = _listed([_from_to(low, high) for low, high in union(holes, mixed)])
        return (
            f"What lies {where} was out of scope for some metrics, or was deleted by RETENTION_DAYS"
        )
    if not holes:
        return ""
    (first, begins), *others = holes
    if others or first > coverage.start:
        where = _listed([_from_to(low, high) for low, high in holes])
        return f"What lies {where} was never in scope, or was deleted by RETENTION_DAYS"
    if coverage.ranges_where(any_of=[State.DELETED]):
        return f"The files before {spoken(begins)} were deleted by RETENTION_DAYS"
    return f"The export begins on {spoken(begins)}"


def _began_late(coverage: Coverage) -> tuple[str, ...]:
    """Metrics that were not wanted yet while others were."""
    wanted = coverage.ranges_where(any_of=IN_SCOPE_STATES)
    late: list[str] = []
    for group in coverage.groups:
        before = [span for span in group.spans if span.state is State.BEFORE_BEGINNING]
        if any(overlaps(wanted, span.start, span.end) for span in before):
            late += group.metrics
    if not late:
        return ()
    return (f"Excluded until they were added to the catalogue: {_listed(late)}.",)


def _without_any_series(coverage: Coverage) -> tuple[str, ...]:
    ranges = coverage.silent_ranges()
    count = sum(coverage.windows(*interval) for interval in ranges)
    if not count:
        return ()
    where = _listed([_from_to(low, high) for low, high in ranges])
    windows = counted(count, "window")
    return (f"No metric had any series in {windows} ({where}): check whether the source was down.",)


def _again(counts: Counter[State]) -> tuple[str, ...]:
    count = counts[State.REEXPORT_REQUESTED]
    return (f"A reexport of {counted(count, 'metric-window')} is requested.",) if count else ()


def _accepted(counts: Counter[State]) -> tuple[str, ...]:
    count = counts[State.ACCEPTED]
    are = "is" if count == 1 else "are"
    return (f"{counted(count, 'metric-window')} {are} missing, and accepted.",) if count else ()


def _audited(coverage: Coverage) -> tuple[str, ...]:
    """Up to when it is proven, and what cannot be."""
    until = coverage.audited_until
    notes = [
        f"Audited up to {spoken(until)}." if until > coverage.start else "None of it is audited."
    ]
    for state, what in (
        (State.UNAUDITABLE, "{} cannot be audited"),
        (State.SOURCE_UNSTABLE, "The source is unstable for {}"),
    ):
        if count := coverage.counts()[state]:
            where = _listed(
                [_from_to(*interval) for interval in coverage.ranges_where(any_of=[state])]
            )
            notes.append(f"{what.format(counted(count, 'metric-window'))} ({where}).")
    return tuple(notes)


def _sum(counts: Counter[State], states: frozenset[State]) -> int:
    return sum(counts[state] for state in states)


def _listed(words: list[str], most: int = 5) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
