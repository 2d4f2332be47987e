"""What is to be done, as the checkpoint and the settings have it. Pure; times are unix seconds."""

from collections.abc import Collection, Iterable, Iterator

from ..settings.settings import Settings
from ..timeline.intervals import Intervals, covers, intersect, subtract, union
from ..timeline.windows import DAY_S, Window, windows_within
from .changes import first_kept, is_held
from .reexports import request_for
from .state import Checkpoint

# A gap is tried again after this.
GAP_RETRY_S = DAY_S

WindowPlan = Iterator[tuple[Window, tuple[str, ...]]]


def keep_from(settings: Settings, now: int) -> int:
    """The first midnight whose day RETENTION_DAYS keeps; older windows are not exported."""
    return first_kept(settings.retention_s, now)


def wanted_windows(
    checkpoint: Checkpoint, names: Iterable[str], settings: Settings, now: int
) -> WindowPlan:
    """Windows with the metrics that each still lacks, newest first.

    Only complete windows older than SETTLE_TIME, and none that retention would delete, that the
    source has forgotten, or that were accepted as missing. Includes what an execution has, and gaps
    whose daily try is not due: see `due_windows`.
    """
    names = [name for name in names if name in checkpoint.metrics]
    if not names:
        return
    newest = now - settings.settle_time_s
    oldest = min(checkpoint.metrics[name].since for name in names)
    oldest = max(oldest, keep_from(settings, now))
    missing = {}
    for name in names:
        progress = checkpoint.metrics[name]
        missing[name] = union(
            subtract(
                [(max(progress.since, oldest), newest)],
                progress.exported,
                _given_up(checkpoint, name),
            ),
            [
                (request.start, request.end)
                for request in checkpoint.reexports
                if name in request.metrics
            ],
        )
    for low, high in reversed(union(*missing.values())):
        windows = list(windows_within(checkpoint.schedules, low, min(high, newest)))
        for window in reversed(windows):
            lacking = tuple(
                name for name in names if covers(missing[name], window.start, window.end)
            )
            if lacking:
                yield window, lacking


def due_windows(
    checkpoint: Checkpoint,
    names: Iterable[str],
    settings: Settings,
    now: int,
    *,
    cured: Collection[tuple[str, str]] = (),
) -> WindowPlan:
    """What a run may do of what is wanted, and what it is to ask for once more: nothing that an
    execution has, nor gaps that were tried within a day, unless the metric's error of that code is
    known to be `cured`, nor what would rename files within a day after the layout was changed."""
    held = union(*(handover.ranges for handover in checkpoint.handovers))
    names = tuple(names)
    plan = dict(wanted_windows(checkpoint, names, settings, now))
    for window, name in _doubtful(checkpoint, names, settings, now):
        if name not in plan.get(window, ()):
            plan[window] = (*plan.get(window, ()), name)
    for window, lacking in sorted(plan.items(), reverse=True):
        if covers(held, window.start, window.end):
            continue
        due = [name for name in lacking if _is_due(checkpoint, name, window, now, cured)]
        if due:
            yield window, _least_failed_first(checkpoint, due, window)


def _doubtful(
    checkpoint: Checkpoint, names: Iterable[str], settings: Settings, now: int
) -> Iterator[tuple[Window, str]]:
    """What is exported, and is asked for once more because clusters have vanished from it."""
    kept = [(keep_from(settings, now), now - settings.settle_time_s)]
    for name in names:
        if progress := checkpoint.metrics.get(name):
            doubts = ((doubt.start, doubt.end) for doubt in progress.doubts if not doubt.looked)
            for low, high in intersect(intersect(doubts, checkpoint.stored(name)), kept):
                for window in windows_within(checkpoint.schedules, low, high):
                    yield window, name


def due_metrics(
    checkpoint: Checkpoint, names: Iterable[str], window: Window, now: int
) -> tuple[str, ...]:
    """The metrics that this window lacks, those that failed least first; no gaps that were tried
    within a day."""
    due = [
        name
        for name in names
        if name in checkpoint.metrics
        and (_is_wanted(checkpoint, name, window) or request_for(checkpoint, name, window))
        and _is_due(checkpoint, name, window, now)
    ]
    return _least_failed_first(checkpoint, due, window)


def lag_s(checkpoint: Checkpoint, names: Iterable[str], now: int) -> int:
    """Seconds since the end of the newest window of the metric that is furthest behind."""
    newest = [
        progress.exported[-1][1] if progress.exported else progress.since
        for name in names
        if (progress := checkpoint.metrics.get(name))
    ]
    return now - min(newest, default=now)


def _is_wanted(checkpoint: Checkpoint, name: str, window: Window) -> bool:
    """Whether a run does it without a request: a window of another metric's reexport may lie
    before this one's beginning."""
    progress = checkpoint.metrics[name]
    settled = union(progress.exported, _given_up(checkpoint, name))
    return window.start >= progress.since and not covers(settled, window.start, window.end)


def _given_up(checkpoint: Checkpoint, name: str) -> Intervals:
    """What of a metric no run can or shall do any more."""
    failures = checkpoint.failures[checkpoint.failures_of(name)]
    forgotten = ((failure.start, failure.end) for failure in failures if failure.nothing_left)
    return union(forgotten, checkpoint.accepted_of(name))


def _is_due(
    checkpoint: Checkpoint,
    name: str,
    window: Window,
    now: int,
    cured: Collection[tuple[str, str]] = (),
) -> bool:
    if is_held(checkpoint, name, window, now):
        request = request_for(checkpoint, name, window)
        if request is None or not request.force:
            return False
    failure = checkpoint.failure_of(name, window)
    if failure is None or not failure.is_gap or failure.nothing_left:
        return True  # what the source has forgotten is wanted only where it was requested again
    if (name, failure.error.code) in cured:
        return True
    # Either way: a try in the future was recorded by a wrong clock.
    return abs(now - failure.at) >= GAP_RETRY_S


def _least_failed_first(
    checkpoint: Checkpoint, names: Iterable[str], window: Window
) -> tuple[str, ...]:
    """A metric that always uses up the time then holds back no other."""
    failures = {name: checkpoint.failure_of(name, window) for name in names}
    # A failure that did not count has no attempts, and is one all the same.
    return tuple(
        sorted(failures, key=lambda name: failure.attempts if (failure := failures[name]) else -1)
    )
