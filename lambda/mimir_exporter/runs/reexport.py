"""A range by hand: requested in the checkpoint first, then exported by the ordinary run."""

from collections.abc import Iterable

from ..checkpoint.records import ReexportRequest
from ..checkpoint.reexports import open_request, request_reexport
from ..checkpoint.state import Checkpoint
from ..checkpoint.wanted import keep_from
from ..errors.settings import (
    INVALID_RANGE,
    NO_COMPLETE_WINDOW,
    RANGE_PAST_RETENTION,
    UNKNOWN_METRIC,
)
from ..events import DryRunResult, ExportEvent, ReexportEvent
from ..timeline.intervals import Interval, Intervals, covers, subtract
from ..timeline.windows import iso, iso_range, window_at, windows_within
from ..words import counted
from .context import RunContext
from .plan import ExportScope
from .regular import run_regular
from .summary import Summary

# Windows that a dry run names.
FIRST = 10


def export_missing(context: RunContext, event: ExportEvent) -> Summary:
    """Export what a range lacks. Raises SettingsError for an event that cannot be done."""
    scope, missing = _request(context, event, only_missing=True, force=False)
    if not missing:
        return Summary(
            "complete",
            f"Nothing is missing in {scope}; to export it again, use reexport.",
        )
    return _run(context, scope)


def reexport(context: RunContext, event: ReexportEvent) -> Summary | DryRunResult:
    """Export all of a range again. Raises SettingsError for an event that cannot be done."""
    if event.dry_run:
        return _dry_run(context, event)
    scope, _ = _request(context, event, only_missing=False, force=event.force)
    return _run(context, scope)


def _dry_run(context: RunContext, event: ReexportEvent) -> DryRunResult:
    """What a reexport would do, from the checkpoint alone."""
    metrics = known_metrics(context, event.metrics)
    check_range(event.start, event.end)
    checkpoint = context.store.read()
    context.adopt(checkpoint, read_only=True)
    low, high = whole_windows(context, checkpoint, event.start, event.end)
    windows = list(windows_within(checkpoint.schedules, low, high))
    exported = sum(
        covers(checkpoint.stored(name), window.start, window.end)
        for name in metrics
        for window in windows
    )
    again = len(windows) * len(metrics)
    force = ", also where files get fewer samples" if event.force else ""
    return {
        "outcome": "dry_run",
        "message": f"Would export {counted(again, 'metric-window')} of {iso_range(low, high)}, of "
        f"which {exported:,} are exported now{force}. Nothing was written.",
        "range": iso_range(low, high),
        "counts": {"windows": len(windows), "metric_windows": again, "exported": exported},
        "first": [str(window) for window in windows[:FIRST]],
        "counted_whole": True,
    }


def _run(context: RunContext, scope: ExportScope) -> Summary:
    summary = run_regular(context, scope)
    if summary.outcome == "skipped":
        summary.message = (
            f"Queued {scope}: another run holds the lease; the next run exports the range."
        )
    return summary


def _request(
    context: RunContext, event: ExportEvent | ReexportEvent, *, only_missing: bool, force: bool
) -> tuple[ExportScope, bool]:
    """Record in the checkpoint that whole windows of the range are wanted, so that they are
    exported in the end whatever happens to this run; the range, and whether any was requested."""
    metrics = known_metrics(context, event.metrics)
    check_range(event.start, event.end)

    def record(fresh: Checkpoint) -> tuple[ExportScope, bool]:
        context.adopt(fresh)
        low, high = whole_windows(context, fresh, event.start, event.end)
        requested: dict[Intervals, list[str]] = {}
        for name in metrics:
            exported = fresh.stored(name) if only_missing else ()
            requested.setdefault(subtract([(low, high)], exported), []).append(name)
        number = open_request(fresh, context.run_id)
        for ranges, names in requested.items():
            for start, end in ranges:
                request = ReexportRequest(
                    *(start, end, tuple(names), force, (low, high)),
                    number=number,
                    requested_at=context.now(),
                    requester=context.run_id,
                )
                request_reexport(fresh, request)
        return ExportScope(low, high, metrics), any(requested)

    _, requested = context.store.update(record)
    return requested


def whole_windows(context: RunContext, checkpoint: Checkpoint, start: int, end: int) -> Interval:
    """The range widened to whole windows, as far as they are due. Raises SettingsError."""
    newest = context.now() - context.settings.settle_time_s
    low = window_at(checkpoint.schedules, start).start
    high = window_at(checkpoint.schedules, min(end, newest) - 1).end
    if high > newest:
        high = window_at(checkpoint.schedules, newest).start
    if low >= high:
        raise NO_COMPLETE_WINDOW(
            seconds=context.settings.settle_time_s, range=iso_range(start, end)
        )
    if low < (kept := keep_from(context.settings, context.now())):
        raise RANGE_PAST_RETENTION(range=iso_range(low, high), kept=iso(kept))
    return low, high


def check_range(start: int, end: int) -> None:
    """Raises SettingsError for a range that is none."""
    if start >= end:
        raise INVALID_RANGE(
            range=iso_range(start, end),
            problem="its start is not before its end",
            change="swap start and end, or widen the range",
        )


def known_metrics(context: RunContext, names: Iterable[str] | None) -> tuple[str, ...]:
    """The metrics of an event, by default the catalogue's. Raises SettingsError."""
    if names is None:
        return context.names
    for name in names:
        if name not in context.names:
            raise UNKNOWN_METRIC(name=name, known=", ".join(context.names))
    return tuple(names)
