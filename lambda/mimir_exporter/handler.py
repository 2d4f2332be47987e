"""The Lambda entry points of the work; with `widget.py`, all that knows Lambda."""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import cast

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from . import log
from .actions import read_event
from .compose import DEPENDENCIES, Dependencies, create_context
from .errors import ErrorDetails, ExportError
from .errors.runs import INTERNAL_ERROR
from .events import CheckResult, Json, read_item
from .runs.context import RunContext
from .runs.item import backfill_item
from .runs.summary import Summary
from .runs.totals import Totals
from .settings.load import load_settings
from .timeline.deadline import Deadline

metrics = Metrics()


@log.logger.inject_lambda_context(clear_state=True)
def export(
    event: object, context: LambdaContext, *, dependencies: Dependencies = DEPENDENCIES
) -> Json:
    """The regular function: a run, or the action that the event names.

    Returns a small summary. Raises ExportError, one sentence that says what to change, when the
    work could not be done at all: the invocation then counts as failed.
    """
    log.logger.append_keys(run=context.aws_request_id)
    return _handle_errors(lambda: _act(event, context, dependencies))


@log.logger.inject_lambda_context(clear_state=True)
def backfill(
    event: object, context: LambdaContext, *, dependencies: Dependencies = DEPENDENCIES
) -> Json:
    """One item of the Map, as BackfillItem has it."""
    log.logger.append_keys(run=context.aws_request_id)

    def act() -> Json:
        item = read_item(event)
        if item.execution:
            log.logger.append_keys(execution=item.execution)
        with _run_context(context, dependencies) as run:
            result = backfill_item(run, item)
            _publish(run.exporter.totals)
            return result

    return _handle_errors(act)


def _act(event: object, context: LambdaContext, dependencies: Dependencies) -> Json:
    action, work = read_event(event)
    with _run_context(context, dependencies, interactive=action.interactive) as run:
        result = work(run)
    if isinstance(result, Summary):
        return _finish_run(result)
    if log_result := _LOG.get(action.name):
        log_result(result)
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
        failure: ExportError = error
    except Exception as error:  # noqa: BLE001 - logged with its traceback
        log.INTERNAL_ERROR()
        failure = INTERNAL_ERROR(kind=type(error).__name__, cause=error)
    log.RUN_FAILED(error=failure)
    metrics.add_metric(name="RunsFailed", unit=MetricUnit.Count, value=1)
    metrics.flush_metrics()
    raise failure.with_traceback(None) from None


def _finish_run(summary: Summary) -> Json:
    """Log and measure a run; then its result, or the error that stopped it."""
    result = summary.as_dict()
    _log_finished(summary)
    if summary.outcome == "skipped":  # it knows nothing of lag: the run at work will say
        return result
    metrics.add_metric(name="RunsSucceeded", unit=MetricUnit.Count, value=int(not summary.error))
    metrics.add_metric(name="LagSeconds", unit=MetricUnit.Seconds, value=summary.lag_s)
    metrics.add_metric(name="PendingWindows", unit=MetricUnit.Count, value=summary.pending)
    metrics.add_metric(name="InPart", unit=MetricUnit.Count, value=summary.in_part)
    metrics.add_metric(name="Gaps", unit=MetricUnit.Count, value=summary.gaps)
    _publish(summary.totals)
    if summary.error is not None:
        raise summary.error
    return result


def _log_finished(summary: Summary) -> None:
    totals = summary.totals
    fields: log.Fields = {
        "outcome": summary.outcome,
        "summary": summary.message,
        "windows_planned": summary.planned,
        "windows_exported": totals.windows,
        "windows_failed": totals.failed_windows,
        "windows_handed_over": summary.handed_over,
        "windows_pending": summary.pending,
        "objects": totals.objects,
        "series": totals.series,
        "samples": totals.samples,
        "bytes": totals.bytes,
        "raw_bytes": totals.raw_bytes,
        "seconds": round(summary.seconds, 1),
        "query_s": round(totals.query_s, 1),
        "lag_s": summary.lag_s,
        "gaps": summary.gaps,
        "deleted": summary.deleted,
        "failures": summary.failures(),
    }
    if summary.execution is not None:
        fields["execution"] = summary.execution
    log.RUN_FINISHED(**fields)


def _log_action(action: str, result: Json) -> None:
    outcome, message = str(result["outcome"]), str(result["message"])
    log.ACTION_FINISHED(action=action, outcome=outcome, summary=message)


def _log_status(result: Json) -> None:
    log.STATUS_REPORTED(outcome=str(result["outcome"]), summary=str(result["message"]))


def _log_check(result: Json) -> None:
    """The outcome, and a line for each finding that needs a change."""
    for finding in cast(CheckResult, result)["findings"]:
        if finding["level"] != "ok":
            parts = ErrorDetails(
                finding["code"], finding["summary"], finding["cause"], finding["remedy"]
            )
            log.CHECK_FOUND(level=finding["level"].upper(), finding=finding["what"], error=parts)
    log.CHECK_FINISHED(outcome=str(result["outcome"]), summary=str(result["message"]))


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
        "MetricsAudited": totals.audited,
        "MetricsIncomplete": totals.incomplete,
        "MetricsUnauditable": totals.unauditable,
    }
    for name, value in counts.items():
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)
    metrics.add_metric(name="BytesWritten", unit=MetricUnit.Bytes, value=totals.bytes)
    metrics.flush_metrics()
