"""A range by hand: requested in the checkpoint first, then exported by the ordinary run."""

from ..checkpoint.records import ReexportRequest
from ..checkpoint.reexports import open_request, request_reexport
from ..checkpoint.state import Checkpoint
from ..events import DryRunResult, ExportEvent, ReexportEvent
from ..timeline.intervals import Intervals, covers, subtract
from ..timeline.windows import iso_range, windows_within
from ..words import counted
from .context import RunContext
from .event_range import check_range, known_metrics, whole_windows
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
