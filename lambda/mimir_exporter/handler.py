"""The Lambda entry points of the work; with `widget.py`, all that knows Lambda."""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from .check import run_check
from .compose import DEPENDENCIES, Dependencies, create_context
from .coverage.status import report_status
from .errors import ExportError, SettingsError
from .runs.context import RunContext
from .runs.item import backfill_window
from .runs.reexport import export_range
from .runs.regular import run_regular
from .runs.summary import Summary
from .runs.totals import Totals
from .settings.settings import load_settings
from .timeline.deadline import Deadline

logger = Logger()
metrics = Metrics()

Event = dict[str, Any]

# What an event of each action may have besides.
_KEYS: Mapping[str, tuple[str, ...]] = {
    "run": (),
    "export": ("start", "end", "metrics", "force", "again"),
    "status": ("month", "start", "end", "files"),
    "check": (),
}
_KNOWN = (
    "{} (a regular run) and the actions "
    f"{', '.join(name for name in _KEYS if name != 'run')} are known."
)


@logger.inject_lambda_context(clear_state=True)
def export(
    event: Event, context: LambdaContext, *, dependencies: Dependencies = DEPENDENCIES
) -> Event:
    """The regular function: a run, or the action that the event names.

    Returns a small summary. Raises ExportError, one sentence that says what to change, when the
    work could not be done at all: the invocation then counts as failed.
    """
    logger.append_keys(run=context.aws_request_id)
    return _answered(lambda: _act(event, context, dependencies))


@logger.inject_lambda_context(clear_state=True)
def backfill(
    event: Event, context: LambdaContext, *, dependencies: Dependencies = DEPENDENCIES
) -> Event:
    """One item of the Map: {"start", "end"} of a window in unix seconds, and the `execution`."""
    logger.append_keys(run=context.aws_request_id)
    if event.get("execution"):
        logger.append_keys(execution=event["execution"])

    def act() -> Event:
        with _run_context(context, dependencies) as run:
            result = backfill_window(run, event)
            _publish(run.exporter.totals)
            return result

    return _answered(act)


def _act(event: Event, context: LambdaContext, dependencies: Dependencies) -> Event:
    actions: dict[str, Callable[[RunContext], Event]] = {
        "run": lambda run: _finish(run_regular(run)),
        "export": lambda run: _finish(export_range(run, event)),
        "status": lambda run: _tell_status(report_status(run, event)),
        "check": lambda run: _tell_check(run_check(run)),
    }
    action = event.get("action", "run") if isinstance(event, dict) else event
    if not isinstance(action, str) or action not in actions:
        raise SettingsError(f"The event's action is {action!r}; {_KNOWN}")
    _refuse_unknown_keys(action, event)
    with _run_context(context, dependencies, interactive=action == "check") as run:
        return actions[action](run)


def _refuse_unknown_keys(action: str, event: Event) -> None:
    """A key with a typing error would be left out of what is done, and nobody would know."""
    if "action" not in event and "detail-type" in event:
        return  # as a rule of EventBridge sends it
    unknown = [key for key in event if key != "action" and key not in _KEYS[action]]
    if unknown and "action" not in event:
        raise SettingsError(f"The event has {unknown[0]!r} and no action; {_KNOWN}")
    if unknown:
        allowed = f"may have {', '.join(_KEYS[action])}" if _KEYS[action] else "has nothing else"
        raise SettingsError(
            f"The event has {unknown[0]!r}, which is unknown; with the action {action!r} it "
            f"{allowed}."
        )


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


def _answered(act: Callable[[], Event]) -> Event:
    """The result of `act`; an error is logged once, here, and raised without its traceback."""
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


def _finish(summary: Summary) -> Event:
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


def _tell_status(result: Event) -> Event:
    logger.info(
        "status reported", extra={"outcome": result["outcome"], "reason": result["message"]}
    )
    return result


def _tell_check(result: Event) -> Event:
    """The outcome, and a line for each finding that asks for something."""
    for found in result["findings"]:
        fields = {name: found[name] for name in ("what", "found", "change")}
        if found["level"] == "error":
            logger.error("check found", extra=fields)
        elif found["level"] == "warning":
            logger.warning("check found", extra=fields)
    logger.info("check finished", extra={"outcome": result["outcome"], "reason": result["message"]})
    return result


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
