"""What became of every window of a range, metric by metric. Pure.

Time is cut where a metric's state changes, never window by window, so that a year costs no more
than a day: `state_at` decides, once for each piece. Every window of the range lies in one piece.
Times are unix seconds, ranges half-open.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from ..checkpoint.records import Failure
from ..checkpoint.state import Checkpoint
from ..checkpoint.wanted import keep_from
from ..settings.settings import Settings
from ..timeline.intervals import Interval, Intervals, covers, union
from ..timeline.windows import WindowSchedule, count_windows, window_at


class State(StrEnum):
    """Of one metric in one window. In this order the later one is what a person should see, where
    metrics or windows are shown as one."""

    NOT_DUE = "not yet due"  # in the future, not whole yet, or not settled
    BEFORE = "before the beginning"  # of the metric: it was never wanted
    EMPTY = "without series"  # exported: Mimir had nothing
    EXPORTED = "exported"
    AGAIN = "exported, asked for again"
    DELETED = "deleted by retention"  # had been exported
    IN_WORK = "in Step Functions"
    PENDING = "pending"
    FAILED = "failed, will be tried again"
    LAPSED = "never exported, past retention"
    GAP = "gap"  # failed so often that only a daily try is left


# Mimir was asked, and all that it had is in the bucket.
THERE = frozenset({State.EMPTY, State.EXPORTED, State.AGAIN})
# Wanted, and not there.
MISSING = frozenset({State.IN_WORK, State.PENDING, State.FAILED, State.GAP})
# What the exporter has ever had to do: the rest was never wanted, or is not yet.
DUE = THERE | MISSING | {State.DELETED, State.LAPSED}

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
    what is EXPORTED may have been EMPTY: the checkpoint had no room for it.
    """

    start: int
    end: int
    now: int
    schedules: tuple[WindowSchedule, ...]
    lines: tuple[Line, ...]
    reasons: tuple[Failure, ...]
    executions: Mapping[str, Intervals]
    empty_known_from: Mapping[str, int]

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
    )


@dataclass(frozen=True)
class Facts:
    """All that decides the state of one metric at any moment."""

    since: int
    exported: Intervals
    there: Intervals
    empty: Intervals
    again: Intervals
    gaps: Intervals
    failed: Intervals
    held: Intervals
    kept_from: int
    due_until: int


def state_at(facts: Facts, moment: int) -> State:
    """The state of the window that holds `moment`."""
    asked = _holds(facts.again, moment)
    # What is too old goes today.
    if moment >= facts.kept_from and _holds(facts.there, moment):
        if asked and moment < facts.due_until:
            return State.AGAIN
        return State.EMPTY if _holds(facts.empty, moment) else State.EXPORTED
    if moment >= facts.due_until:
        return State.NOT_DUE
    if not asked:
        if _holds(facts.exported, moment):
            return State.DELETED
        if moment < facts.since:
            return State.BEFORE
        if moment < facts.kept_from:
            return State.LAPSED
    if _holds(facts.gaps, moment):
        return State.GAP
    if _holds(facts.held, moment):
        return State.IN_WORK
    return State.FAILED if _holds(facts.failed, moment) else State.PENDING


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
        again=union((one.start, one.end) for one in checkpoint.reexports if name in one.metrics),
        gaps=union((one.start, one.end) for one in failures if one.is_gap),
        failed=union((one.start, one.end) for one in failures),
        held=held,
        kept_from=keep_from(settings, now),
        due_until=window_at(checkpoint.schedules, now - settings.settle_time_s).start,
    )


def _spans(facts: Facts, start: int, end: int) -> Iterator[Span]:
    """[start, end) cut where the state changes."""
    sets = (
        facts.exported,
        facts.there,
        facts.empty,
        facts.again,
        facts.gaps,
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
