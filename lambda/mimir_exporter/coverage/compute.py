"""What became of every window of a range, by metric. Pure.

Time is cut where a metric's state changes, never window by window, so that a year costs no more
than a day: metric_state decides, once for each piece. Every window of the range lies in one piece.
Times are unix seconds, ranges half-open.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from ..checkpoint.records import Doubt, Failure, MetricProgress, PartialExport
from ..checkpoint.state import Checkpoint
from ..settings.settings import Settings
from ..timeline.intervals import Interval, Intervals, intersect, subtract, union
from ..timeline.windows import WindowSchedule, count_windows, window_at
from .metric_state import Span, metric_state, spans_of
from .states import State

T = TypeVar("T", PartialExport, Doubt)


@dataclass(frozen=True)
class CoverageGroup:
    """The metrics with equal states, as most always do, and their pieces of the range, in order."""

    metrics: tuple[str, ...]
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Coverage:
    """A range of whole windows as it is at one moment.

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
    groups: tuple[CoverageGroup, ...]
    reasons: tuple[Failure, ...]
    executions: Mapping[str, Intervals]
    empty_known_from: Mapping[str, int]
    audited_until: int
    in_part: Mapping[str, tuple[PartialExport, ...]]
    doubts: Mapping[str, tuple[Doubt, ...]]

    @property
    def metrics(self) -> tuple[str, ...]:
        """All of them, in the catalogue's order within a line."""
        return tuple(name for group in self.groups for name in group.metrics)

    def windows(self, start: int, end: int) -> int:
        """How many windows begin in [start, end)."""
        return count_windows(self.schedules, start, end)

    def counts(self) -> Counter[State]:
        """Metric-windows by state: a window of twenty metrics counts twenty times."""
        counts: Counter[State] = Counter()
        for group in self.groups:
            for span in group.spans:
                counts[span.state] += self.windows(span.start, span.end) * len(group.metrics)
        return counts

    def side_by_side(self) -> Iterator[tuple[Interval, Mapping[State, tuple[str, ...]]]]:
        """The range in pieces in which no metric changes its state, with the metrics by state."""
        edges = sorted({span.start for group in self.groups for span in group.spans} | {self.end})
        places = [0] * len(self.groups)
        for start, end in pairwise(edges):
            found: dict[State, list[str]] = {}
            for index, group in enumerate(self.groups):
                if group.spans[places[index]].end <= start:
                    places[index] += 1
                found.setdefault(group.spans[places[index]].state, []).extend(group.metrics)
            yield (start, end), {state: tuple(names) for state, names in found.items()}

    def silent_ranges(self) -> Intervals:
        """Where no metric had any series, as when the source was down. A single metric may well
        have none: of one alone, nothing is said."""
        if len(self.metrics) < 2:
            return ()
        return self.ranges_where(
            any_of=[State.EMPTY], all_of=[State.EMPTY, State.BEFORE_BEGINNING, State.NOT_DUE]
        )

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


def compute_coverage(
    checkpoint: Checkpoint, names: Iterable[str], settings: Settings, now: int, span: Interval
) -> Coverage:
    """The states of the metrics `names` in `span`, which is widened to whole windows.

    The checkpoint must have taken in the settings of today (Checkpoint.adopt), as a run does.
    """
    start = window_at(checkpoint.schedules, span[0]).start
    end = window_at(checkpoint.schedules, span[1] - 1).end
    handed_over = union(*(handover.ranges for handover in checkpoint.handovers))
    alike: dict[tuple[Span, ...], list[str]] = {}
    for name in names:
        metric = metric_state(checkpoint, name, settings, now, handed_over)
        alike.setdefault(tuple(spans_of(metric, start, end)), []).append(name)
    known = {name for group in alike.values() for name in group}
    return Coverage(
        start=start,
        end=end,
        now=now,
        schedules=checkpoint.schedules,
        groups=tuple(CoverageGroup(tuple(group), spans) for spans, group in alike.items()),
        reasons=tuple(
            sorted(
                (
                    failure
                    for failure in checkpoint.failures
                    if failure.metric in known and failure.start < end and start < failure.end
                ),
                key=lambda failure: (failure.start, failure.metric),
            )
        ),
        executions={
            handover.name: ranges
            for handover in checkpoint.handovers
            if (ranges := _clipped(handover.ranges, start, end))
        },
        empty_known_from={name: checkpoint.metrics[name].empty_known_from for name in known},
        audited_until=_audited_until(checkpoint, known, (start, end)),
        in_part=_of_range(checkpoint, known, lambda progress: progress.in_part, (start, end)),
        doubts=_of_range(checkpoint, known, lambda progress: progress.doubts, (start, end)),
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
            record
            for record in records(checkpoint.metrics[name])
            if record.start < span[1] and span[0] < record.end
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


def _clipped(intervals: Intervals, start: int, end: int) -> Intervals:
    pieces = ((max(low, start), min(high, end)) for low, high in intervals)
    return tuple((low, high) for low, high in pieces if low < high)
