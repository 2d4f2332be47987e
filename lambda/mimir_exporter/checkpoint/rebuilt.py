"""A checkpoint from what manifests say. Pure; times are unix seconds.

Manifests come by the day, oldest first; within a day metric by metric.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import lcm

from ..timeline.intervals import union
from ..timeline.windows import DAY_S, Window, WindowSchedule, window_at
from .records import MetricProgress, PartitionConfig
from .state import Checkpoint


def note_exported(
    checkpoint: Checkpoint, name: str, window: Window, *, empty: bool, exported: int
) -> bool:
    """Files of this metric-window are there, or it has no series, since `exported`; whether it was
    taken in: one that no schedule can have beside those before it is not."""
    schedules = fit_schedule(checkpoint.schedules, window)
    if window_at(schedules, window.start) != window:
        return False
    checkpoint.schedules = schedules
    checkpoint.change(window.start, window.end)
    fresh = MetricProgress(since=window.start, added=exported)
    progress = checkpoint.metrics.setdefault(name, fresh)
    progress.since = min(progress.since, window.start)
    # The metric came into the catalogue by then: BACKFILL_DAYS counts from there.
    progress.added = min(progress.added, exported)
    here = [(window.start, window.end)]
    progress.exported = union(progress.exported, here)
    if empty:
        progress.empty = union(progress.empty, here)
    checkpoint.forget_failures(name, window.start, window.end)
    return True


def note_layout(checkpoint: Checkpoint, partition: PartitionConfig, exported: int) -> None:
    """What decided the folders of a window's series when it was exported."""
    known = checkpoint.partition
    if known is None:
        checkpoint.partition = partition
        return
    same = (known.cluster_label, known.cluster_name, known.split) == (
        *(partition.cluster_label, partition.cluster_name),
        partition.split,
    )
    if not same:
        since = max(exported, known.since)
        checkpoint.partition = PartitionConfig(
            partition.cluster_label, partition.cluster_name, partition.split, since
        )


def fit_schedule(schedules: Sequence[WindowSchedule], window: Window) -> tuple[WindowSchedule, ...]:
    """The schedules with one that has `window`, where they allow for it."""
    schedules = tuple(schedules)
    width_s = window.end - window.start
    if not schedules:
        return (WindowSchedule(0, width_s, window.step_s),)
    if window_at(schedules, window.start) == window:
        return schedules
    before = [schedule for schedule in schedules if schedule.since <= window.start]
    after = [schedule for schedule in schedules if schedule.since > window.start]
    midnight = window.start - window.start % DAY_S
    # Windows of both begin there, and no window of the one before lies behind it.
    both_s = lcm(before[-1].width_s, width_s)
    since = midnight + (window.start - midnight) // both_s * both_s
    new = WindowSchedule(max(since, before[-1].since), width_s, window.step_s)
    kept = [schedule for schedule in before if schedule.since < new.since]
    whole = [*kept, new, *after] if kept or new.since == 0 else [*before, new, *after]
    joined: list[WindowSchedule] = []
    for schedule in whole:
        last = joined[-1] if joined else None
        if last is None or (last.width_s, last.step_s) != (schedule.width_s, schedule.step_s):
            joined.append(schedule)
    return tuple(joined) if _is_valid(joined) else schedules


def _is_valid(schedules: Sequence[WindowSchedule]) -> bool:
    """Whether each begins where windows of it and of the one before begin: see adopt_schedule."""
    return schedules[0].since == 0 and all(
        earlier.since < later.since
        and not later.since % DAY_S % later.width_s
        and not later.since % DAY_S % earlier.width_s
        for earlier, later in pairwise(schedules)
    )
