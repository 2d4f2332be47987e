"""The Lambda entry points of the work; with `widget.py`, all that knows Lambda."""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import cast

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from .actions import read_event
from .compose import DEPENDENCIES, Dependencies, create_context
from .errors import ExportError
from .events import CheckResult, Json, read_item
from .runs.context import RunContext
from .runs.item import backfill_window
from .runs.summary import Summary
from .runs.totals import Totals
from .settings.settings import load_settings
from .timeline.deadline import Deadline

logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context(clear_state=True)
def export(
    event: object, context: LambdaContext, *, dependencies: Dependencies = DEPENDENCIES
) -> Json:
    """The regular function: a run, or the action that the event names.

    Returns a small summary. Raises ExportError, one sentence that says what to change, when the
    work could not be done at all: the invocation then counts as failed.
    """
    logger.append_keys(run=context.aws_request_id)
    return _handle_errors(lambda: _act(event, context, dependencies))


@logger.inject_lambda_context(clear_state=True)
def backfill(
    event: object, context: LambdaContext, *, dependencies: Dependencies = DEPENDENCIES
) -> Json:
    """One item of the Map, as BackfillItem has it."""
    logger.append_keys(run=context.aws_request_id)

    def act() -> Json:
        item = read_item(event)
        if item.execution:
            logger.append_keys(execution=item.execution)
        with _run_context(context, dependencies) as run:
            result = backfill_window(run, item)
            _publish(run.exporter.totals)
            return result

    return _handle_errors(act)


def _act(event: object, context: LambdaContext, dependencies: Dependencies) -> Json:
    action, work = read_event(event)
    with _run_context(context, dependencies, interactive=action.interactive) as run:
        result = work(run)
    if isinstance(result, Summary):
        return _finish_run(result)
    if log := _LOG.get(action.name):
        log(result)
    else:
        _log_action(action.name, result)
    return result


def _run_context(
    context: LambdaContext, dependencies: Dependencies, *, interactive: bool = False
) -> AbstractContextManager[RunContext]:
    return create_context(
        load_settings(os.environ),
        Deadline.for_invocation(context.get_remaining_time_in_millis() / 1000),
        run_id=context.aws_request_id,
        interactive=interactive,
        dependencies=dependencies,
    )


def _handle_errors(act: Callable[[], Json]) -> Json:
    """The result of `act`; an error is logged here, once, and raised without its traceback."""
    try:
        return act()
    except ExportError as error:
        failure: Exception = error
    except Exception as error:
        logger.exception("unexpected error")
        failure = ExportError(
            f"Unexpected {type(error).__name__}: {error}; nothing that counts as exported is "
            "half written, and the next run goes on. Please report this with the log."
        )
    logger.error("run failed", extra={"error": type(failure).__name__, "reason": str(failure)})
    metrics.add_metric(name="RunsFailed", unit=MetricUnit.Count, value=1)
    metrics.flush_metrics()
    raise failure.with_traceback(None) from None


def _finish_run(summary: Summary) -> Json:
    """Log and measure a run; then its result, or the error that stopped it."""
    result = summary.as_dict()
    # `message` is the log line's own; the run's sentence has the name that errors have too.
    fields = {("reason" if key == "message" else key): value for key, value in result.items()}
    logger.info("run finished", extra=fields)
    if summary.outcome == "skipped":  # it knows nothing of lag: the run at work will say
        return result
    metrics.add_metric(name="RunsSucceeded", unit=MetricUnit.Count, value=int(not summary.error))
    metrics.add_metric(name="LagSeconds", unit=MetricUnit.Seconds, value=summary.lag_s)
    metrics.add_metric(name="PendingWindows", unit=MetricUnit.Count, value=summary.pending)
    metrics.add_metric(name="Gaps", unit=MetricUnit.Count, value=summary.gaps)
    _publish(summary.totals)
    if summary.error is not None:
        raise summary.error
    return result


def _log_action(action: str, result: Json) -> None:
    fields = {"action": action, "outcome": result["outcome"], "reason": result["message"]}
    logger.info("action finished", extra=fields)


def _log_status(result: Json) -> None:
    logger.info(
        "status reported", extra={"outcome": result["outcome"], "reason": result["message"]}
    )


def _log_check(result: Json) -> None:
    """The outcome, and a line for each finding that needs a change."""
    for finding in cast(CheckResult, result)["findings"]:
        fields = {"what": finding["what"], "found": finding["found"], "change": finding["change"]}
        if finding["level"] == "error":
            logger.error("check found", extra=fields)
        elif finding["level"] == "warning":
            logger.warning("check found", extra=fields)
    logger.info("check finished", extra={"outcome": result["outcome"], "reason": result["message"]})


# By action; what is not a run's.
_LOG: Mapping[str, Callable[[Json], None]] = {"status": _log_status, "check": _log_check}


def _publish(totals: Totals) -> None:
    """The metrics of any work, as an EMF line."""
    counts = {
        "WindowsExported": totals.windows,
        "MetricsExported": totals.metrics,
        "MetricsFailed": len(totals.failures),
        "SamplesExported": totals.samples,
        "ObjectsWritten": totals.objects,
        "QueryRetries": totals.retries,
        "QueryCuts": totals.cuts,
    }
    for name, value in counts.items():
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)
    metrics.add_metric(name="BytesWritten", unit=MetricUnit.Bytes, value=totals.bytes)
    metrics.flush_metrics()
