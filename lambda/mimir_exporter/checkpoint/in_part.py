"""Metric-windows whose files are known to lack something. Pure; times are unix seconds."""

from ..timeline.intervals import Intervals, union
from ..timeline.windows import Window
from .records import MetricProgress, PartialExport
from .state import Checkpoint


def note_partial(progress: MetricProgress, part: PartialExport) -> None:
    """This window has files that lack something."""
    forget_partial(progress, part.start, part.end)
    progress.in_part = tuple(sorted((*progress.in_part, part)))


def forget_partial(progress: MetricProgress, start: int, end: int) -> None:
    """What is exported in [start, end) is whole, or gone."""
    progress.in_part = tuple(
        part for part in progress.in_part if part.start < start or end < part.end
    )


def partial_of(progress: MetricProgress, window: Window) -> PartialExport | None:
    """What is known of a window that is exported in part."""
    for part in progress.in_part:
        if (part.start, part.end) == (window.start, window.end):
            return part
    return None


def partial_ranges(progress: MetricProgress) -> Intervals:
    """When a metric has files that lack something."""
    return union((part.start, part.end) for part in progress.in_part)


def forgotten_until(checkpoint: Checkpoint) -> int:
    """Before this moment the source has moved the start of a range: nothing that it answers of
    older time can be believed. 0 where it never did."""
    return max(
        (
            part.begins
            for progress in checkpoint.metrics.values()
            for part in progress.in_part
            if part.certain
        ),
        default=0,
    )
