"""One item of the Map: the metrics that one window still lacks."""

from aws_lambda_powertools import Logger

from ..checkpoint.adopt import adopt_partition
from ..checkpoint.wanted import due_metrics
from ..errors import CheckpointError, OutOfTimeError
from ..events import BackfillItem, ItemResult
from ..timeline.windows import iso_range, windows_within
from .context import RunContext

logger = Logger()


def backfill_window(context: RunContext, item: BackfillItem) -> ItemResult:
    """Export what one window still lacks.

    `finished` false: the time ran out after something was exported, and the state machine invokes
    the function again with the same item. `failed`: a metric of the window failed.
    """
    checkpoint = context.store.read()
    if not checkpoint.metrics:
        raise CheckpointError(
            "There is no checkpoint: it was deleted, or no regular run has been yet; nothing was "
            "exported, and the next regular run begins as a first run does."
        )
    # Only in memory: a deployment may have changed it since the last regular run, and files that
    # were split by the label of before would stay beside the new ones.
    adopt_partition(checkpoint, context.settings, context.now())
    here = {"window": iso_range(item.start, item.end)}
    logger.info("item started", extra=here)
    failed, finished = False, True
    for window in windows_within(checkpoint.schedules, item.start, item.end):
        names = due_metrics(checkpoint, context.names, window, context.now())
        try:
            failed |= not context.exporter.export_window(checkpoint, window, names)
        except OutOfTimeError:
            failed |= context.exporter.fail_slow(checkpoint)
            finished = failed
            break
    context.exporter.finish()
    totals = context.exporter.totals
    result: ItemResult = {
        "start": item.start,
        "end": item.end,
        "finished": finished,
        "failed": failed,
        "metrics": totals.metrics,
        "samples": totals.samples,
        "failures": [failure.metric for failure in totals.failures],
    }
    if not finished:
        logger.info("item goes on", extra={**here, **result})
    elif failed:
        logger.warning("item failed", extra={**here, **result})
    else:
        logger.info("item finished", extra={**here, **result})
    return result
