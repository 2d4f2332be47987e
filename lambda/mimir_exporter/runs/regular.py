"""The regular run: what is due is exported, and what the time does not suffice for handed over."""

from aws_lambda_powertools import Logger

from ..checkpoint.state import Checkpoint
from ..checkpoint.wanted import lag_s, wanted_windows
from ..errors import CheckpointError, OutOfTimeError, StopRunError, TryLaterError
from ..source.mimir import Ready
from ..source.retry import with_retries
from ..timeline.windows import iso, window_at
from .context import RunContext
from .handover import hand_over, reconcile_executions
from .lease import give_back_lease, renew_lease, take_lease
from .plan import Asked, Plan, limit, plan_run, tell_plan
from .retention import retain
from .summary import Summary, describe

logger = Logger()


def run_regular(context: RunContext, only: Asked | None = None) -> Summary:
    """Export what is due, newest first; hand over what the time does not suffice for.

    `only` limits the run. Raises StopRunError when nothing can be done at all.
    """
    started = context.clock()
    checkpoint, leased = take_lease(context)
    if not leased:
        until = iso(checkpoint.lease_until)
        return Summary(
            "skipped",
            f"Another run is at work, until {until} at the latest; this one did nothing.",
        )
    summary: Summary | None = None
    try:
        if context.machine is not None:
            checkpoint = reconcile_executions(
                checkpoint,
                context.store,
                context.machine,
                context.names,
                context.settings,
                context.now(),
            )
        ready = _wait_until_ready(context)
        logger.info("endpoint ready", extra={"path": ready.path, "before": ready.before})
        retained = retain(context, checkpoint)
        plan = plan_run(context, checkpoint, only)
        tell_plan(plan)
        left_off = _work(context, checkpoint, plan)
        try:
            summary = _conclude(context, plan, only, left_off)
        except (OutOfTimeError, StopRunError) as error:
            summary = _unconcluded(context, checkpoint, plan)
            summary.stop(only, StopRunError(str(error)))
        summary.deleted = retained.deleted
        if retained.error is not None and summary.error is None:
            summary.stop(only, retained.error)
        summary.seconds = context.clock() - started
        return summary
    finally:
        complete = summary is not None and summary.error is None and not summary.pending
        give_back_lease(context, complete=complete)


def _wait_until_ready(context: RunContext) -> Ready:
    """Which path says so; see Mimir.find_ready. Raises StopRunError."""

    def tell(error: TryLaterError, attempt: int, wait_s: float) -> None:
        logger.warning(
            "endpoint not ready",
            extra={"attempt": attempt, "wait_s": round(wait_s, 1), "reason": str(error)},
        )

    try:
        return with_retries(
            context.mimir.find_ready, context.deadline, jitter=context.jitter, waiting=tell
        )
    except TryLaterError as error:
        raise StopRunError(f"{error} Nothing was exported, the next run tries again.") from error
    except OutOfTimeError as error:
        raise StopRunError(
            "This invocation's time was used up before Mimir said that it is ready. Nothing was "
            "exported, the next run tries again."
        ) from error


def _work(
    context: RunContext, checkpoint: Checkpoint, plan: Plan
) -> OutOfTimeError | StopRunError | None:
    """Do the plan; what stopped it before its end, if something did."""
    stopped: OutOfTimeError | StopRunError | None = None
    try:
        for window, names in plan:
            renew_lease(context, checkpoint)
            context.exporter.export_window(checkpoint, window, names)
    except (OutOfTimeError, StopRunError) as error:
        stopped = error
    try:
        if isinstance(stopped, OutOfTimeError) and context.machine is None:
            context.exporter.fail_slow(checkpoint)
        context.exporter.finish()
    except CheckpointError:
        raise  # without it there is nothing to conclude from
    except (OutOfTimeError, StopRunError) as error:
        stopped = error if stopped is None else stopped
    return stopped


def _unconcluded(context: RunContext, checkpoint: Checkpoint, plan: Plan) -> Summary:
    """What is known of a run that could not look at its checkpoint again."""
    totals = context.exporter.totals
    return Summary(
        "stopped",
        "",
        totals,
        planned=len(plan),
        pending=len(plan) - totals.windows,
        gaps=len(checkpoint.gaps()),
        lag_s=lag_s(checkpoint, context.names, context.now()),
    )


def _conclude(
    context: RunContext,
    plan: Plan,
    only: Asked | None,
    left_off: OutOfTimeError | StopRunError | None,
) -> Summary:
    """Hand over what is left where time was what lacked, and say how things stand."""
    now = context.now()
    totals = context.exporter.totals
    checkpoint = context.store.read()
    summary = Summary("complete", "", totals, planned=len(plan))
    if isinstance(left_off, StopRunError):
        summary.outcome, summary.error = "stopped", left_off
    elif left_off is not None:
        summary.outcome = "unfinished"
        left = [
            window
            for window, names in plan_run(context, checkpoint, only)
            if not set(names) <= context.exporter.rejected
        ]
        if context.machine is not None and left:
            try:
                started = hand_over(context.store, context.machine, left, now)
            except StopRunError as error:
                summary.outcome, summary.error = "stopped", error
            else:
                summary.executions = list(started)
                summary.handed_over = sum(started.values())
                summary.outcome = "handed over" if started else summary.outcome
            checkpoint = context.store.read()
    wanted = list(wanted_windows(checkpoint, context.names, context.settings, now))
    summary.pending = len(wanted)
    summary.gaps = len(checkpoint.gaps())
    summary.lag_s = lag_s(checkpoint, context.names, now)
    left_over = wanted if only is None else list(limit(only, wanted))
    # A window that has its files from before and failed when it was asked for again is wanted no
    # more, and not what was asked for either.
    if summary.outcome == "complete" and (left_over or totals.failures):
        summary.outcome = "unfinished"
    newest = now - context.settings.settle_time_s
    summary.covered_until = window_at(checkpoint.schedules, newest).start
    summary.message = describe(summary, only)
    return summary
