"""The regular run: exports what is due, and hands over what does not fit into the time."""

from collections.abc import Callable

from .. import log
from ..checkpoint.changes import held_until
from ..checkpoint.state import Checkpoint
from ..checkpoint.tasks import rebuild_of
from ..checkpoint.wanted import lag_s, wanted_windows
from ..errors import CheckpointError, OutOfTimeError, StopRunError, TryLaterError
from ..errors.source import ENDPOINT_NOT_READY_IN_TIME
from ..source.api import Ready
from ..source.retry import with_retries
from ..timeline.windows import Window, iso, window_at
from .audit import audit_exported
from .changes import log_changes
from .context import RunContext
from .damage import continue_repairs
from .handover import hand_over, reconcile_executions
from .lease import release_lease, renew_lease, take_lease
from .plan import ExportScope, Plan, limit_plan, log_plan, plan_run
from .rebuild import finish_rebuild
from .receipts import update_receipts
from .retention import ExpiryResult, delete_expired
from .summary import Summary, describe

# Shares of the time that is left, for receipts: before and after the exports.
EARLY_RECEIPTS, LATE_RECEIPTS = 0.1, 0.9


def run_regular(
    context: RunContext,
    scope: ExportScope | None = None,
    before_plan: Callable[[], StopRunError | None] | None = None,
) -> Summary:
    """Export what is due, newest first; hand over what does not fit into the time.

    `scope` limits the run. `before_plan` may change what is due, once the lease is held and the
    endpoint is ready; its error stops the run. Raises StopRunError when nothing can be done at all.
    """
    started = context.clock()
    checkpoint, leased = take_lease(context)
    if not leased:
        until = iso(checkpoint.lease_until)
        return Summary(
            "skipped",
            f"Skipped: another run holds the lease until {until} at the latest.",
        )
    log_changes(context, checkpoint)
    summary: Summary | None = None
    try:
        whole = finish_rebuild(context, checkpoint)
        if whole is None:
            return _still_rebuilding(context, started)
        checkpoint = whole
        if context.machine is not None:
            checkpoint = reconcile_executions(
                checkpoint,
                context.store,
                context.machine,
                context.names,
                context.settings,
                context.now(),
            )
        # Of runs that had no time for them, as during a backfill.
        update_receipts(context, EARLY_RECEIPTS, checkpoint)
        ready = _wait_until_ready(context)
        log.ENDPOINT_READY(path=ready.path, tried=list(ready.before))
        # An operator who exports a range, or from a laptop, does not mean to delete days.
        deletes = scope is None and context.command is None
        expired = delete_expired(context, checkpoint) if deletes else ExpiryResult()
        stop_error: OutOfTimeError | StopRunError | None = None
        if before_plan is not None:
            stop_error, checkpoint = before_plan(), context.store.read()
        plan = plan_run(context, checkpoint, scope)
        log_plan(plan)
        if context.machine is not None and len(plan) > 1:
            context.machine.prepare()
        if stop_error is None:
            plan, stop_error = _export_all(context, checkpoint, plan, scope)
        try:
            summary = _conclude(context, plan, scope, stop_error)
        except (OutOfTimeError, StopRunError) as error:
            summary = _summarize_without_checkpoint(context, checkpoint, plan)
            summary.stop(scope, StopRunError(error.details))
        update_receipts(context, LATE_RECEIPTS)
        summary.deleted = expired.deleted
        if expired.error is not None and summary.error is None:
            summary.stop(scope, expired.error)
        summary.seconds = context.clock() - started
        return summary
    finally:
        complete = summary is not None and summary.error is None and not summary.pending
        complete = complete and rebuild_of(checkpoint) is None
        release_lease(context, complete=complete)


def _still_rebuilding(context: RunContext, started: float) -> Summary:
    message = (
        "The checkpoint is being rebuilt from the manifests: the next run continues, and exports "
        "nothing before it has finished."
    )
    checkpoint = context.store.read()
    return Summary(
        "unfinished",
        message,
        gaps=len(checkpoint.gaps()),
        lag_s=lag_s(checkpoint, context.names, context.now()),
        seconds=context.clock() - started,
    )


def _export_all(
    context: RunContext, checkpoint: Checkpoint, plan: Plan, scope: ExportScope | None
) -> tuple[Plan, OutOfTimeError | StopRunError | None]:
    """Export what is planned, and what becomes due by that; the whole plan, and what stopped it
    before its end, if something did."""
    stop_error = _export_plan(context, checkpoint, plan)
    if stop_error is None and context.exporter.cured:
        plan, stop_error = _export_cured(context, plan, scope)
    if stop_error is None and scope is None:
        plan, stop_error = _look_again(context, plan)
    return plan, stop_error


def _export_cured(
    context: RunContext, plan: Plan, scope: ExportScope | None
) -> tuple[Plan, OutOfTimeError | StopRunError | None]:
    """Where an error of a metric is over, its other gaps do not wait for their daily try; the whole
    plan, and what stopped it before its end, if something did."""
    checkpoint = context.store.read()
    failed = {(failure.metric, failure.window) for failure in context.exporter.totals.failures}
    again = [
        (window, left)
        for window, names in plan_run(context, checkpoint, scope, context.exporter.cured)
        if (left := tuple(name for name in names if (name, window) not in failed))
    ]
    return [*plan, *again], _export_plan(context, checkpoint, again)


def _look_again(
    context: RunContext, plan: Plan
) -> tuple[Plan, OutOfTimeError | StopRunError | None]:
    """Continue the repairs that were requested, audit what is due, and export at once what turned
    out to be broken or incomplete: the whole plan, and what stopped it before its end, if something
    did."""
    checkpoint = context.store.read()
    error = continue_repairs(context, checkpoint)
    if error is None:
        error = audit_exported(context, checkpoint).error
    if error is not None:
        return plan, error
    tried = {(window, name) for window, names in plan for name in names}
    checkpoint = context.store.read()
    again = [
        (window, names)
        for window, lacking in plan_run(context, checkpoint, None)
        if (names := tuple(name for name in lacking if (window, name) not in tried))
    ]
    return [*plan, *again], _export_plan(context, checkpoint, again)


def _wait_until_ready(context: RunContext) -> Ready:
    """Which path says so; see Mimir.find_ready. Raises StopRunError."""

    def log_wait(error: TryLaterError, attempt: int, wait_s: float) -> None:
        log.ENDPOINT_NOT_READY(attempt=attempt, wait_s=round(wait_s, 1), error=error)

    try:
        return with_retries(
            context.mimir.find_ready, context.deadline, jitter=context.jitter, waiting=log_wait
        )
    except TryLaterError as error:
        raise StopRunError(error.details) from error
    except OutOfTimeError as error:
        raise ENDPOINT_NOT_READY_IN_TIME() from error


def _export_plan(
    context: RunContext, checkpoint: Checkpoint, plan: Plan
) -> OutOfTimeError | StopRunError | None:
    """Export what is planned; the error that stopped it before its end, if there was one."""
    stopped: OutOfTimeError | StopRunError | None = None
    try:
        context.exporter.export_plan(
            checkpoint, plan, before_window=lambda: renew_lease(context, checkpoint)
        )
    except (OutOfTimeError, StopRunError) as error:
        stopped = error
    try:
        if isinstance(stopped, OutOfTimeError) and context.machine is None:
            context.exporter.fail_slow(checkpoint)
        context.exporter.finish(checkpoint, stopped)
    except CheckpointError:
        raise  # without it there is nothing to conclude from
    except (OutOfTimeError, StopRunError) as error:
        stopped = error if stopped is None else stopped
    return stopped


def _count_windows(plan: Plan) -> int:
    return len({window for window, _ in plan})


def _not_tried(context: RunContext, plan: Plan) -> list[Window]:
    """Windows, newest first, of which the run has not tried all that it would."""
    failed = {(failure.metric, failure.window) for failure in context.exporter.totals.failures}
    return sorted(
        {
            window
            for window, names in plan
            for name in names
            if (name, window) not in failed and not context.exporter.is_given_up(name)
        },
        reverse=True,
    )


def _summarize_without_checkpoint(
    context: RunContext, checkpoint: Checkpoint, plan: Plan
) -> Summary:
    """The summary of a run that could not read its checkpoint again."""
    totals = context.exporter.totals
    return Summary(
        "stopped",
        "",
        totals,
        planned=_count_windows(plan),
        pending=_count_windows(plan) - totals.windows,
        gaps=len(checkpoint.gaps()),
        lag_s=lag_s(checkpoint, context.names, context.now()),
    )


def _conclude(
    context: RunContext,
    plan: Plan,
    scope: ExportScope | None,
    stop_error: OutOfTimeError | StopRunError | None,
) -> Summary:
    """Hand over the remaining windows where the time did not suffice, and sum up the run."""
    now = context.now()
    totals = context.exporter.totals
    checkpoint = context.store.read()
    summary = Summary("complete", "", totals, planned=_count_windows(plan))
    if isinstance(stop_error, StopRunError):
        summary.outcome, summary.error = "stopped", stop_error
    elif stop_error is not None:
        summary.outcome = "unfinished"
        remaining = _not_tried(context, plan_run(context, checkpoint, scope))
        if context.machine is not None and remaining:
            try:
                started = hand_over(
                    *(context.store, context.machine, remaining, now),
                    together=context.settings.query_windows,
                )
            except StopRunError as error:
                summary.outcome, summary.error = "stopped", error
            else:
                if started is not None:
                    summary.outcome = "handed_over"
                    summary.execution, summary.handed_over = started.name, started.windows
            checkpoint = context.store.read()
    wanted = list(wanted_windows(checkpoint, context.names, context.settings, now))
    summary.pending = len(wanted)
    summary.gaps = len(checkpoint.gaps())
    summary.in_part = sum(len(progress.in_part) for progress in checkpoint.metrics.values())
    summary.lag_s = lag_s(checkpoint, context.names, now)
    in_scope = wanted if scope is None else list(limit_plan(scope, wanted))
    # A window whose reexport failed keeps its files from before and is not wanted any more, but it
    # is not exported again either.
    if summary.outcome == "complete" and (in_scope or totals.failures):
        summary.outcome = "unfinished"
    summary.held_until = held_until(checkpoint, in_scope, now)
    newest = now - context.settings.settle_time_s
    summary.covered_until = window_at(checkpoint.schedules, newest).start
    summary.message = describe(summary, scope)
    return summary
