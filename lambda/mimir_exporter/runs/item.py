"""One item of the Map: the metrics that its windows still lack."""

from .. import log
from ..checkpoint.changes import adopt_partition
from ..checkpoint.wanted import due_metrics
from ..errors import OutOfTimeError
from ..errors.runs import NO_CHECKPOINT
from ..events import BackfillItem, ItemResult
from ..timeline.windows import Window, windows_within
from .context import RunContext
from .totals import Totals


def backfill_item(context: RunContext, item: BackfillItem) -> ItemResult:
    """Export what the windows of an item still lack.

    `finished` false: the time ran out after something was exported, and the state machine invokes
    the function again with the same item. `failed`: a metric of a window failed.
    """
    checkpoint = context.store.read()
    if not checkpoint.metrics:
        raise NO_CHECKPOINT()
    # Only in memory: a deployment may have changed it since the last regular run, and files that
    # were split by the label of before would stay beside the new ones.
    adopt_partition(checkpoint, context.settings, context.now())
    stopped: OutOfTimeError | None = None
    stuck = False
    exporter, totals = context.exporter, context.exporter.totals
    windows = windows_within(checkpoint.schedules, item.start, item.end)
    plan = [
        (window, due_metrics(checkpoint, context.names, window, context.now()))
        for window in windows
    ]
    # A line for each window, so that a query for one finds its whole history.
    at_work = [window for window, names in plan if names] or [window for window, _ in plan]
    for window in at_work:
        log.WINDOW_STARTED(window=str(window))
    try:
        exporter.export_plan(checkpoint, plan)
    except OutOfTimeError as error:
        stopped = error
        # Another invocation begins with what has not failed yet; without anything exported, and
        # nothing newly failed, it would not get any further.
        known = (
            checkpoint.failure_of(failure.metric, failure.window) for failure in totals.failures
        )
        stuck = not exporter.has_progressed and all(known)
        exporter.fail_slow(checkpoint)
    exporter.finish(checkpoint, stopped)
    finished = stopped is None or stuck
    failed = bool(totals.failures) or (finished and any(totals.remaining.values()))
    result: ItemResult = {
        "start": item.start,
        "end": item.end,
        "finished": finished,
        "failed": failed,
        "metrics": totals.metrics,
        "samples": totals.samples,
        "failures": [failure.metric for failure in totals.failures],
    }
    for window in at_work:
        _log_end(totals, window, finished=finished)
    return result


def _log_end(totals: Totals, window: Window, *, finished: bool) -> None:
    """What one window came to; `finished`: no invocation with the same item follows."""
    failed = [failure.metric for failure in totals.failures if failure.window == window]
    fields: log.Fields = {
        "window": str(window),
        "metric_windows": totals.metrics_of[window],
        "samples": totals.samples_of[window],
    }
    if not failed and not totals.remaining.get(window):
        log.WINDOW_FINISHED(**fields)
    elif not finished:
        log.WINDOW_CONTINUED(**fields)
    else:
        fields["failed_metrics"] = failed
        log.WINDOW_FAILED(**fields)
