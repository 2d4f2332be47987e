"""The state of one metric at any moment, from what the checkpoint has of it. Pure.

Times are unix seconds, ranges half-open.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..checkpoint.changes import expired_before
from ..checkpoint.in_part import partial_ranges
from ..checkpoint.state import Checkpoint
from ..settings.settings import Settings
from ..timeline.intervals import Interval, Intervals, covers, union
from ..timeline.windows import window_at
from .states import State


@dataclass(frozen=True)
class Span:
    """A piece of time in which one metric has one state."""

    start: int
    end: int
    state: State


@dataclass(frozen=True)
class MetricState:
    """All that decides the state of one metric at any moment."""

    since: int
    exported: Intervals
    stored: Intervals
    empty: Intervals
    audited: Intervals
    unauditable: Intervals
    unstable: Intervals
    reexports: Intervals
    gaps: Intervals
    nothing_left: Intervals
    in_part: Intervals
    unconfirmed: Intervals
    accepted: Intervals
    failed: Intervals
    handed_over: Intervals
    kept_from: int
    due_until: int


def state_at(metric: MetricState, moment: int) -> State:
    """The state of the window that holds `moment`."""
    requested = _holds(metric.reexports, moment)
    # What is too old goes today.
    if moment >= metric.kept_from and _holds(metric.stored, moment):
        return _state_of_exported(metric, moment, requested=requested)
    if moment >= metric.due_until:
        return State.NOT_DUE
    if not requested and (state := _state_of_unwanted(metric, moment)):
        return state
    if _holds(metric.gaps, moment):
        return State.GAP
    if _holds(metric.handed_over, moment):
        return State.IN_EXECUTION
    return State.FAILED if _holds(metric.failed, moment) else State.PENDING


def _state_of_exported(metric: MetricState, moment: int, *, requested: bool) -> State:
    if requested and moment < metric.due_until:
        return State.GAP if _holds(metric.gaps, moment) else State.REEXPORT_REQUESTED
    if _holds(metric.unconfirmed, moment):
        return State.UNCONFIRMED
    if _holds(metric.empty, moment):
        return State.EMPTY
    if _holds(metric.audited, moment):
        return State.AUDITED
    if _holds(metric.unstable, moment):
        return State.SOURCE_UNSTABLE
    return State.UNAUDITABLE if _holds(metric.unauditable, moment) else State.EXPORTED


def _state_of_unwanted(metric: MetricState, moment: int) -> State | None:
    """Of what no run does by itself; None where one does."""
    if _holds(metric.exported, moment):
        return State.DELETED
    if _holds(metric.accepted, moment):
        return State.ACCEPTED
    if moment < metric.since:
        return State.BEFORE_BEGINNING
    if moment < metric.kept_from:
        return State.MISSED_PAST_RETENTION
    if _holds(metric.in_part, moment):
        return State.IN_PART
    return State.NOTHING_LEFT if _holds(metric.nothing_left, moment) else None


def metric_state(
    checkpoint: Checkpoint, name: str, settings: Settings, now: int, handed_over: Intervals
) -> MetricState:
    progress = checkpoint.metrics[name]
    failures = [failure for failure in checkpoint.failures if failure.metric == name]
    return MetricState(
        since=progress.since,
        exported=progress.exported,
        # What was deleted stays so when RETENTION_DAYS is raised, until it is exported again.
        stored=checkpoint.stored(name),
        empty=progress.empty,
        audited=progress.audited,
        unauditable=progress.unauditable,
        unstable=progress.unstable,
        reexports=union(
            (request.start, request.end)
            for request in checkpoint.reexports
            if name in request.metrics
        ),
        gaps=union((failure.start, failure.end) for failure in failures if failure.is_gap),
        nothing_left=union(
            (failure.start, failure.end) for failure in failures if failure.nothing_left
        ),
        in_part=partial_ranges(progress),
        unconfirmed=union((doubt.start, doubt.end) for doubt in progress.doubts),
        accepted=checkpoint.accepted_of(name),
        failed=union((failure.start, failure.end) for failure in failures),
        handed_over=handed_over,
        kept_from=expired_before(checkpoint, settings, now),
        due_until=window_at(checkpoint.schedules, now - settings.settle_time_s).start,
    )


def spans_of(metric: MetricState, start: int, end: int) -> Iterator[Span]:
    """[start, end) cut where the state changes."""
    sets = (
        metric.exported,
        metric.stored,
        metric.empty,
        metric.audited,
        metric.unauditable,
        metric.unstable,
        metric.reexports,
        metric.gaps,
        metric.nothing_left,
        metric.in_part,
        metric.unconfirmed,
        metric.accepted,
        metric.failed,
        metric.handed_over,
    )
    edges = {edge for intervals in sets for interval in intervals for edge in interval}
    edges |= {metric.since, metric.kept_from, metric.due_until}
    inner = sorted(edge for edge in edges if start < edge < end)
    begin, state = start, state_at(metric, start)
    for edge in inner:
        following = state_at(metric, edge)
        if following != state:
            yield Span(begin, edge, state)
            begin, state = edge, following
    yield Span(begin, end, state)


def _holds(intervals: Sequence[Interval], moment: int) -> bool:
    return covers(intervals, moment, moment + 1)
