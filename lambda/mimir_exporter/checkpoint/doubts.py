"""Which answers of the source need a second look before they count. Pure; unix seconds."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..timeline.intervals import Intervals, covers, intersect, subtract
from ..timeline.windows import Window, window_at
from .records import Doubt, MetricProgress
from .state import Checkpoint

# Of a doubt, that are kept.
CLUSTERS = 5


@dataclass(frozen=True)
class EmptyDoubt:
    """Why an answer without series may be one of a source that has forgotten that time.

    `metric` had series in `window`, which is older, or the same: a source that still has those has
    this time too, and really had no series. "" and None: nothing is known that could be asked for.
    `was_gap`: the time for a new try is over, and the source's answer is its last word.
    """

    metric: str
    window: Window | None
    was_gap: bool


def doubt_empty(checkpoint: Checkpoint, name: str, window: Window) -> EmptyDoubt | None:
    """Whether an answer without series is to be doubted for this metric-window.

    Past its retention, or the lookback that it allows, a source answers with 200 and nothing: what
    had been down, or pending, until then would count as exported. So nothing is believed where the
    metric had series before, or where the window is a gap and the metric had series after it.
    """
    progress = checkpoint.metrics[name]
    if covers(progress.exported, window.start, window.end):
        return None  # it has its files from before, or retention has deleted them
    failure = checkpoint.failure_of(name, window)
    # A reexport that was requested of a gap has set its attempts back to 0.
    was_gap = failure is not None and (failure.is_gap or not failure.attempts)
    before = intersect(checkpoint.stored(name), [(0, window.start)])
    if before:
        older = window_at(checkpoint.schedules, before[-1][1] - 1)
        if covers(progress.empty, older.start, older.end):
            return None
        return EmptyDoubt(name, older, was_gap)
    if not was_gap or not with_series(checkpoint, name):
        return None
    for other in checkpoint.metrics:
        if covers(with_series(checkpoint, other), window.start, window.end):
            return EmptyDoubt(other, window, was_gap)
    return EmptyDoubt("", None, was_gap)


def with_series(checkpoint: Checkpoint, name: str) -> Intervals:
    """When a metric is exported, and had series."""
    return subtract(checkpoint.stored(name), checkpoint.metrics[name].empty)


def note_vanished(progress: MetricProgress, window: Window, clusters: Iterable[str]) -> None:
    """Clusters are not in this window that were in the one before. Noted once more, it has been
    asked for again."""
    known = doubt_of(progress, window)
    names = tuple(sorted(clusters)[:CLUSTERS])
    forget_doubts(progress, window.start, window.end)
    noted = Doubt(window.start, window.end, names, looked=known is not None)
    progress.doubts = tuple(sorted((*progress.doubts, noted)))


def doubt_of(progress: MetricProgress, window: Window) -> Doubt | None:
    """The doubt about a window, if there is one."""
    found = (
        doubt
        for doubt in progress.doubts
        if doubt.start <= window.start and window.end <= doubt.end
    )
    return next(found, None)


def forget_doubts(progress: MetricProgress, start: int, end: int) -> None:
    """What is exported in [start, end) is confirmed, or of no matter any more."""
    progress.doubts = tuple(
        replace(doubt, start=low, end=high)
        for doubt in progress.doubts
        for low, high in subtract([(doubt.start, doubt.end)], [(start, end)])
    )
