"""Recording what has happened: exported, failed, handed over, deleted. Pure.

Times are unix seconds.
"""

from collections.abc import Iterable, Sequence

from ..errors import ErrorDetails
from ..errors.runs import EXECUTION_ENDED
from ..settings.settings import Settings
from ..timeline.intervals import covers, intersect, subtract, union
from ..timeline.windows import Window
from .accepted import forget_accepted
from .doubts import doubt_of, forget_doubts, note_vanished
from .in_part import forget_partial, note_partial
from .records import (
    GAP_ATTEMPTS,
    Failure,
    Handover,
    PartialExport,
    merge_failures,
    shorten,
)
from .reexports import request_for, settle_requests
from .state import Checkpoint
from .wanted import wanted_windows

# Executions at work at once. The Map's concurrency holds within one execution, so that with one at
# a time it bounds all that backfills ask Mimir for (docs/decisions, 5).
HANDOVERS = 1


def mark_exported(
    checkpoint: Checkpoint,
    name: str,
    window: Window,
    *,
    empty: bool,
    seen: int | None = None,
    vanished: Iterable[str] = (),
) -> None:
    """All objects of this metric-window are written. Raises CheckpointError.

    `vanished` are the clusters that it lacks and the window before has.

    `seen` is the `requests_made` of the checkpoint that the work began with: requests after that
    stay. None is all of them.
    """
    progress = checkpoint.progress_of(name)
    checkpoint.change(window.start, window.end)
    here = [(window.start, window.end)]
    had_series = subtract(intersect(here, checkpoint.stored(name)), progress.empty)
    progress.exported = union(progress.exported, here)
    if window.start < checkpoint.deleted_until:
        progress.restored = union(progress.restored, here)
    progress.audited = subtract(progress.audited, here)
    progress.unauditable = subtract(progress.unauditable, here)
    progress.unstable = subtract(progress.unstable, here)
    progress.empty = subtract(progress.empty, here)
    if empty and not had_series:  # past the source's retention the older files are all there is
        progress.empty = union(progress.empty, here)
    checkpoint.forget_failures(name, window.start, window.end)
    forget_partial(progress, window.start, window.end)
    if vanished := tuple(vanished):
        note_vanished(progress, window, vanished)
    else:
        forget_doubts(progress, window.start, window.end)
    settle_requests(checkpoint, name, window.start, window.end, seen=seen)
    forget_accepted(checkpoint, name, window)


def mark_pending(checkpoint: Checkpoint, name: str, window: Window) -> None:
    """This metric-window is to be exported again: its files are about to be taken away, or the
    source has more than they have. Until then it is exported in part. Raises CheckpointError."""
    progress = checkpoint.progress_of(name)
    checkpoint.change(window.start, window.end)
    here = [(window.start, window.end)]
    if covers(checkpoint.stored(name), window.start, window.end):
        note_partial(progress, PartialExport(window.start, window.end))
    progress.exported = subtract(progress.exported, here)
    progress.empty = subtract(progress.empty, here)
    progress.restored = subtract(progress.restored, here)
    progress.audited = subtract(progress.audited, here)
    progress.unauditable = subtract(progress.unauditable, here)
    progress.unstable = subtract(progress.unstable, here)


def mark_audited(checkpoint: Checkpoint, name: str, window: Window) -> None:
    """The source was asked again and has no more of this exported metric-window."""
    progress = checkpoint.progress_of(name)
    checkpoint.change(window.start, window.end)
    here = intersect([(window.start, window.end)], progress.exported)
    progress.audited = union(progress.audited, here)
    forget_doubts(progress, window.start, window.end)


def mark_vanished(
    checkpoint: Checkpoint, name: str, window: Window, clusters: Iterable[str]
) -> None:
    """The window before this exported one turns out to have clusters that this one lacks. What an
    audit has looked at, and what is noted already, stays as it is."""
    progress = checkpoint.progress_of(name)
    here = [(window.start, window.end)]
    audited = union(progress.audited, progress.unauditable)
    known = doubt_of(progress, window) is not None or intersect(here, audited)
    if not known and covers(checkpoint.stored(name), window.start, window.end):
        note_vanished(progress, window, clusters)


def forget_audit(checkpoint: Checkpoint, name: str, start: int, end: int) -> None:
    """[start, end) of a metric is to be audited, however often it has been."""
    progress = checkpoint.progress_of(name)
    checkpoint.change(start, end)
    progress.audited = subtract(progress.audited, [(start, end)])
    progress.unauditable = subtract(progress.unauditable, [(start, end)])
    progress.unstable = subtract(progress.unstable, [(start, end)])


def mark_unauditable(
    checkpoint: Checkpoint, name: str, window: Window, *, unstable: bool = False
) -> None:
    """The source cannot say any more whether this exported metric-window is whole; `unstable`: it
    had more of it each time that it was asked."""
    progress = checkpoint.progress_of(name)
    here = intersect([(window.start, window.end)], progress.exported)
    progress.unauditable = union(progress.unauditable, here)
    if unstable:
        progress.unstable = union(progress.unstable, here)


def mark_failed(
    checkpoint: Checkpoint,
    name: str,
    window: Window,
    error: ErrorDetails,
    now: int,
    *,
    seen: int | None = None,
    least: int = 0,
    counted: bool = True,
) -> None:
    """This metric-window failed once more, which makes `least` attempts at least; where it may not
    be its own fault, it is not `counted`. Recorded twice for one moment, it failed once.

    `seen` as in mark_exported. What another run exported meanwhile, and no request up to `seen`
    wants again, has not failed.
    """
    mark_all_failed(checkpoint, name, [window], error, now, seen=seen, least=least, counted=counted)


def mark_all_failed(
    checkpoint: Checkpoint,
    name: str,
    windows: Sequence[Window],
    error: ErrorDetails,
    now: int,
    *,
    seen: int | None = None,
    least: int = 0,
    counted: bool = True,
) -> None:
    """`mark_failed` for several windows."""
    exported = checkpoint.progress_of(name).exported
    failed: list[Failure] = []
    for window in windows:
        requested = request_for(checkpoint, name, window, seen=seen) is not None
        if covers(exported, window.start, window.end) and not requested:
            continue
        before = checkpoint.failure_of(name, window)
        attempts = before.attempts if before else 0
        if counted:
            repeated = before is not None and before.at == now
            attempts = min(max(attempts + (not repeated), least), GAP_ATTEMPTS)
        checkpoint.forget_failures(name, window.start, window.end)
        failed.append(Failure(name, window.start, window.end, attempts, now, shorten(error)))
    _add_failures(checkpoint, name, failed, now)


def mark_in_part(
    checkpoint: Checkpoint,
    name: str,
    part: PartialExport,
    window: Window,
    error: ErrorDetails,
    now: int,
    *,
    seen: int | None = None,
) -> None:
    """What the source gave of this metric-window is written, and is known not to be the whole: it
    stays pending, as one that failed. Requests up to `seen` are done: another try by itself may
    make it more, and never less. Raises CheckpointError."""
    progress = checkpoint.progress_of(name)
    checkpoint.change(window.start, window.end)
    here = [(window.start, window.end)]
    for kept in ("exported", "empty", "restored", "audited", "unauditable", "unstable"):
        setattr(progress, kept, subtract(getattr(progress, kept), here))
    settle_requests(checkpoint, name, window.start, window.end, seen=seen)
    note_partial(progress, part)
    mark_failed(checkpoint, name, window, error, now, seen=seen)


def mark_nothing_left(
    checkpoint: Checkpoint,
    name: str,
    window: Window,
    error: ErrorDetails,
    now: int,
    *,
    seen: int | None = None,
) -> None:
    """The source answers this metric-window with nothing because it has forgotten that time: it is
    missing for good, until an operator accepts it or it is exported after all."""
    if covers(checkpoint.progress_of(name).exported, window.start, window.end):
        return
    checkpoint.forget_failures(name, window.start, window.end)
    settle_requests(checkpoint, name, window.start, window.end, seen=seen)
    last = Failure(
        *(name, window.start, window.end, GAP_ATTEMPTS, now, shorten(error)), nothing_left=True
    )
    _add_failures(checkpoint, name, [last], now)


def _add_failures(checkpoint: Checkpoint, name: str, failed: Sequence[Failure], now: int) -> None:
    place = checkpoint.failures_of(name)
    checkpoint.failures[place] = merge_failures([*checkpoint.failures[place], *failed], now)


def mark_deleted(checkpoint: Checkpoint, until: int) -> None:
    """Retention is about to delete the files of all windows before `until`."""
    checkpoint.deleted_until = max(checkpoint.deleted_until, until)
    for progress in checkpoint.metrics.values():
        progress.restored = subtract(progress.restored, [(0, until)])
        progress.empty = subtract(progress.empty, [(0, until)])
        forget_partial(progress, 0, until)
        forget_doubts(progress, 0, until)
        if progress.empty_known_from <= until:
            progress.empty_known_from = 0


def record_handover(checkpoint: Checkpoint, handover: Handover) -> None:
    """An execution is about to have these ranges."""
    if all(known.name != handover.name for known in checkpoint.handovers):
        checkpoint.handovers.append(handover)
        checkpoint.handed_over += 1


def record_execution_end(
    checkpoint: Checkpoint,
    handover: Handover,
    names: Iterable[str],
    settings: Settings,
    now: int,
    ended: str,
) -> None:
    """An execution has ended: what it did not export counts as failed once, unless it recorded the
    failure itself, or the reexport was requested after it had started."""
    if handover not in checkpoint.handovers:
        return
    checkpoint.handovers.remove(handover)
    earlier = [
        request.number
        for request in checkpoint.reexports
        if request.requested_at <= handover.started
    ]
    remaining: dict[str, list[Window]] = {}
    for window, lacking in wanted_windows(checkpoint, names, settings, now):
        if not covers(handover.ranges, window.start, window.end):
            continue
        for name in lacking:
            known = checkpoint.failure_of(name, window)
            if known is None or known.at < handover.started:
                remaining.setdefault(name, []).append(window)
    for name, windows in remaining.items():
        error = EXECUTION_ENDED.details(name=handover.name, status=ended)
        mark_all_failed(checkpoint, name, windows, error, now, seen=max(earlier, default=0))
