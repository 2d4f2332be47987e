"""The three ways to work: the regular run, a range again by hand, and one item of the Map."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from aws_lambda_powertools import Logger

from .backfill import hand_over, other_machine, settle
from .checkpoint import Checkpoint, Repeat, keep_from
from .errors import (
    CheckpointError,
    ExportError,
    OutOfTimeError,
    SettingsError,
    StopRunError,
    TryLaterError,
)
from .export import Totals
from .intervals import Intervals, subtract
from .mimir import Ready
from .retention import retain
from .retry import with_retries
from .settings import parse_flag, parse_time
from .tools import Tools
from .windows import Window, iso, iso_range, window_at, windows_within

logger = Logger()

# A lease outlasts its run's deadline by this, for the last writes.
LEASE_MARGIN_S = 60
# And lasts no longer than an invocation can; a run that goes on, outside of Lambda, renews it.
LEASE_S = 15 * 60
# The clocks of two machines that are kept right may differ by this.
CLOCKS_APART_S = 30


@dataclass(frozen=True)
class Asked:
    """What a run is limited to: whole windows of [start, end), and these metrics."""

    start: int
    end: int
    metrics: tuple[str, ...]

    def __str__(self) -> str:
        return iso_range(self.start, self.end)

    def of(self, window: Window, names: Sequence[str]) -> tuple[str, ...]:
        """The metrics of this window that are asked for."""
        if not (self.start <= window.start and window.end <= self.end):
            return ()
        return tuple(name for name in names if name in self.metrics)


@dataclass
class Summary:
    """A run's result. `pending` counts windows that still lack a metric."""

    outcome: str
    message: str
    totals: Totals = field(default_factory=Totals)
    planned: int = 0
    handed_over: int = 0
    pending: int = 0
    gaps: int = 0
    lag_s: int = 0
    covered_until: int = 0  # unix seconds; 0: not known
    executions: list[str] = field(default_factory=list)
    deleted: int = 0
    seconds: float = 0.0
    error: StopRunError | None = None

    def as_dict(self) -> dict[str, Any]:
        """What the function returns: small, and readable in the console."""
        totals = self.totals
        return {
            "outcome": self.outcome,
            "message": self.message,
            "windows": {
                "planned": self.planned,
                "exported": totals.windows,
                "failed": len({failure.window for failure in totals.failures}),
                "handed_over": self.handed_over,
                "pending": self.pending,
            },
            "objects": totals.objects,
            "series": totals.series,
            "samples": totals.samples,
            "bytes": totals.bytes,
            "raw_bytes": totals.raw_bytes,
            "lag_s": self.lag_s,
            "gaps": self.gaps,
            "execution": self.executions[0] if self.executions else None,
            "deleted": self.deleted,
            "seconds": round(self.seconds, 1),
            "query_s": round(totals.query_s, 1),
            "failures": [
                {"metric": one.metric, "window": str(one.window), "reason": one.reason}
                for one in totals.failures[:20]
            ],
        }


def run_regular(tools: Tools, only: Asked | None = None) -> Summary:
    """Export what is due, newest first; hand over what the time does not suffice for.

    `only` limits the run. Raises StopRunError when nothing can be done at all.
    """
    started = tools.clock()
    checkpoint, leased, other = _begin(tools)
    if other:
        _tell_of_another(other)
    if not leased:
        until = iso(checkpoint.lease_until)
        return Summary(
            "skipped",
            f"Another run is at work, until {until} at the latest; this one did nothing.",
        )
    summary: Summary | None = None
    try:
        if tools.machine is not None:
            checkpoint = settle(
                checkpoint, tools.store, tools.machine, tools.names, tools.settings, tools.now()
            )
        ready = wait_until_ready(tools)
        logger.info("endpoint ready", extra={"path": ready.path, "before": ready.before})
        retained = retain(tools, checkpoint)
        plan = _plan(tools, checkpoint, only)
        _tell_plan(plan)
        left_off = _work(tools, checkpoint, plan)
        try:
            summary = _conclude(tools, plan, only, left_off)
        except (OutOfTimeError, StopRunError) as error:
            summary = _unconcluded(tools, checkpoint, plan)
            _stop(summary, only, StopRunError(str(error)))
        summary.deleted = retained.deleted
        if retained.error is not None and summary.error is None:
            _stop(summary, only, retained.error)
        summary.seconds = tools.clock() - started
        return summary
    finally:
        _end(tools, summary)


def wait_until_ready(tools: Tools) -> Ready:
    """Which path says so; see Mimir.find_ready. Raises StopRunError."""

    def tell(error: TryLaterError, attempt: int, wait_s: float) -> None:
        logger.warning(
            "endpoint not ready",
            extra={"attempt": attempt, "wait_s": round(wait_s, 1), "reason": str(error)},
        )

    try:
        return with_retries(tools.mimir.find_ready, tools.deadline, waiting=tell)
    except TryLaterError as error:
        raise StopRunError(f"{error} Nothing was exported, the next run tries again.") from error
    except OutOfTimeError as error:
        raise StopRunError(
            "This invocation's time was used up before Mimir said that it is ready. Nothing was "
            "exported, the next run tries again."
        ) from error


def run_again(tools: Tools, event: dict[str, Any]) -> Summary:
    """Export a range again: `start`, `end`, optional `metrics`, `force` and `again`.

    `again` false leaves alone what is exported already. The range is widened to whole windows. It
    is recorded first, so that it is done in the end whatever happens to this run. Raises
    SettingsError for an event that cannot be done.
    """
    start = int(parse_time("start", event.get("start")).timestamp())
    end = int(parse_time("end", event.get("end")).timestamp())
    metrics = _asked_metrics(tools, event.get("metrics"))
    force = parse_flag("force", event.get("force", False))
    again = parse_flag("again", event.get("again", True))
    if start >= end:
        raise SettingsError(
            f"start is {iso(start)} and end is {iso(end)}; start has to be before end."
        )

    def record(fresh: Checkpoint) -> Asked:
        fresh.adopt(tools.settings, tools.names, tools.now())
        newest = tools.now() - tools.settings.settle_time_s
        low = window_at(fresh.grids, start).start
        high = window_at(fresh.grids, min(end, newest) - 1).end
        high = high if high <= newest else window_at(fresh.grids, newest).start
        if low >= high:
            raise SettingsError(
                f"{iso(start)}/{iso(end)} holds no whole window that is "
                f"{tools.settings.settle_time_s} s old; nothing was exported."
            )
        if low < (kept := keep_from(tools.settings, tools.now())):
            raise SettingsError(
                f"{iso_range(low, high)} begins before {iso(kept)}, and RETENTION_DAYS has files "
                "of older days deleted; raise it, or set it to 0 to keep them, and export again."
            )
        lacking: dict[Intervals, list[str]] = {}
        for name in metrics:
            done = () if again else fresh.there(name)
            lacking.setdefault(subtract([(low, high)], done), []).append(name)
        for ranges, names in lacking.items():
            for one in ranges:
                fresh.ask_again(Repeat(*one, tuple(names), force, (low, high)))
        return Asked(low, high, metrics)

    _, only = tools.store.update(record)
    summary = run_regular(tools, only)
    if summary.outcome == "skipped":
        summary.message = (
            f"{only} is recorded; another run is at work, and the next "
            "regular run exports it again."
        )
    return summary


def run_item(tools: Tools, item: dict[str, Any]) -> dict[str, Any]:
    """Export what one window still lacks: {"start", "end"} in unix seconds.

    `finished` false asks to be called again with the same item: something was exported and the
    time ran out. `failed` says that a metric of the window was given up for now.
    """
    start, end = (int(parse_time(key, item.get(key)).timestamp()) for key in ("start", "end"))
    checkpoint = tools.store.read()
    if not checkpoint.metrics:
        raise CheckpointError(
            "There is no checkpoint: it was deleted, or no regular run has been yet; nothing was "
            "exported, and the next regular run begins as a first run does."
        )
    # Only in memory: a deployment may have changed it since the last regular run, and files that
    # were split by the label of before would stay beside the new ones.
    checkpoint.adopt_labelling(tools.settings, tools.now())
    here = {"window": iso_range(start, end)}
    logger.info("item started", extra=here)
    failed, finished = False, True
    for window in windows_within(checkpoint.grids, start, end):
        names = checkpoint.lacking(tools.names, window, tools.now())
        try:
            failed |= not tools.exporter.export_window(checkpoint, window, names)
        except OutOfTimeError:
            failed |= tools.exporter.fail_slow(checkpoint)
            finished = failed
            break
    tools.exporter.finish()
    totals = tools.exporter.totals
    result = {
        "start": start,
        "end": end,
        "finished": finished,
        "failed": failed,
        "metrics": totals.metrics,
        "samples": totals.samples,
        "failures": [one.metric for one in totals.failures],
    }
    if not finished:
        logger.info("item goes on", extra=here | result)
    elif failed:
        logger.warning("item failed", extra=here | result)
    else:
        logger.info("item finished", extra=here | result)
    return result


def _begin(tools: Tools) -> tuple[Checkpoint, bool, str]:
    """Take the lease; whether it was to be had, and another exporter whose checkpoint this is."""

    def record(fresh: Checkpoint) -> tuple[bool, str]:
        now = tools.now()
        other = other_machine(fresh, tools.machine)
        fresh.adopt(tools.settings, tools.names, now)
        # No run holds it for longer: a lease that would was written by a clock that was wrong.
        held = 0 < fresh.lease_until - now <= LEASE_S + LEASE_MARGIN_S + CLOCKS_APART_S
        if held and fresh.lease_owner not in ("", tools.run_id):
            return False, other
        fresh.lease_owner, fresh.lease_until = tools.run_id, _lease_end(tools, now)
        if tools.machine is not None:
            fresh.machine = tools.machine.arn
        return True, other

    checkpoint, (leased, other) = tools.store.update(record)
    return checkpoint, leased, other


def _tell_of_another(machine: str) -> None:
    logger.warning(
        "checkpoint of another exporter",
        extra={
            "state_machine": machine,
            "reason": f"An exporter with the state machine {machine} wrote this checkpoint last. "
            "If it is gone, as after a change of the stack's name, all is well; if not, the two "
            "take each other's work: give one of them a CLUSTER_NAME of its own.",
        },
    )


def _lease_end(tools: Tools, now: int) -> int:
    return now + int(min(LEASE_S, tools.deadline.remaining_s())) + LEASE_MARGIN_S


def _renew(tools: Tools, checkpoint: Checkpoint) -> None:
    """Hold the lease for longer where the run may outlast it."""
    left_s = checkpoint.lease_until - tools.now()
    if left_s > min(LEASE_S / 2, tools.deadline.remaining_s()):
        return

    def record(fresh: Checkpoint) -> None:
        if fresh.lease_owner == tools.run_id:
            fresh.lease_until = _lease_end(tools, tools.now())

    tools.store.update(record)
    # Where somebody else has it by now, nothing is wrong but the load on Mimir.
    checkpoint.lease_until = _lease_end(tools, tools.now())


def _end(tools: Tools, summary: Summary | None) -> None:
    """Give the lease back, and note what the run came to, if it came to something."""

    def record(fresh: Checkpoint) -> None:
        if fresh.lease_owner == tools.run_id:
            fresh.lease_owner, fresh.lease_until = "", 0
        if summary is not None and summary.error is None and not summary.pending:
            fresh.last_complete = tools.now()

    try:
        tools.store.update(record)
    except ExportError as error:
        # The run's own outcome is what counts; the lease runs out by itself.
        logger.warning("lease not released", extra={"reason": str(error)})


def _plan(
    tools: Tools, checkpoint: Checkpoint, only: Asked | None
) -> list[tuple[Window, tuple[str, ...]]]:
    plan = checkpoint.plan(tools.names, tools.settings, tools.now())
    return list(plan if only is None else _only(only, plan))


def _only(
    only: Asked, plan: Iterable[tuple[Window, tuple[str, ...]]]
) -> Iterator[tuple[Window, tuple[str, ...]]]:
    for window, names in plan:
        if asked := only.of(window, names):
            yield window, asked


def _tell_plan(plan: Sequence[tuple[Window, tuple[str, ...]]]) -> None:
    fields: dict[str, object] = {
        "windows": len(plan),
        "metrics": sum(len(names) for _, names in plan),
    }
    if plan:
        windows = [window for window, _ in plan]
        fields["range"] = iso_range(min(windows).start, max(windows).end)
    logger.info("run planned", extra=fields)


def _work(
    tools: Tools, checkpoint: Checkpoint, plan: Sequence[tuple[Window, tuple[str, ...]]]
) -> OutOfTimeError | StopRunError | None:
    """Do the plan; what stopped it before its end, if something did."""
    stopped: OutOfTimeError | StopRunError | None = None
    try:
        for window, names in plan:
            _renew(tools, checkpoint)
            tools.exporter.export_window(checkpoint, window, names)
    except (OutOfTimeError, StopRunError) as error:
        stopped = error
    try:
        if isinstance(stopped, OutOfTimeError) and tools.machine is None:
            tools.exporter.fail_slow(checkpoint)
        tools.exporter.finish()
    except CheckpointError:
        raise  # without it there is nothing to conclude from
    except (OutOfTimeError, StopRunError) as error:
        stopped = error if stopped is None else stopped
    return stopped


def _stop(summary: Summary, only: Asked | None, error: StopRunError) -> None:
    summary.outcome, summary.error = "stopped", error
    summary.message = _message(summary, only)


def _unconcluded(
    tools: Tools, checkpoint: Checkpoint, plan: Sequence[tuple[Window, tuple[str, ...]]]
) -> Summary:
    """What is known of a run that could not look at its checkpoint again."""
    totals = tools.exporter.totals
    return Summary(
        "stopped",
        "",
        totals,
        planned=len(plan),
        pending=len(plan) - totals.windows,
        gaps=len(checkpoint.gaps()),
        lag_s=checkpoint.lag_s(tools.names, tools.now()),
    )


def _conclude(
    tools: Tools,
    plan: Sequence[tuple[Window, tuple[str, ...]]],
    only: Asked | None,
    left_off: OutOfTimeError | StopRunError | None,
) -> Summary:
    """Hand over what is left where time was what lacked, and say how things stand."""
    now = tools.now()
    totals = tools.exporter.totals
    checkpoint = tools.store.read()
    summary = Summary("complete", "", totals, planned=len(plan))
    if isinstance(left_off, StopRunError):
        summary.outcome, summary.error = "stopped", left_off
    elif left_off is not None:
        summary.outcome = "unfinished"
        left = [
            window
            for window, names in _plan(tools, checkpoint, only)
            if not set(names) <= tools.exporter.rejected
        ]
        if tools.machine is not None and left:
            try:
                started = hand_over(tools.store, tools.machine, left, now)
            except StopRunError as error:
                summary.outcome, summary.error = "stopped", error
            else:
                summary.executions = list(started)
                summary.handed_over = sum(started.values())
                summary.outcome = "handed over" if started else summary.outcome
            checkpoint = tools.store.read()
    wanted = list(checkpoint.wanted(tools.names, tools.settings, now))
    summary.pending = len(wanted)
    summary.gaps = len(checkpoint.gaps())
    summary.lag_s = checkpoint.lag_s(tools.names, now)
    left_over = wanted if only is None else list(_only(only, wanted))
    # A window that has its files from before and failed when it was asked for again is wanted no
    # more, and not what was asked for either.
    if summary.outcome == "complete" and (left_over or totals.failures):
        summary.outcome = "unfinished"
    newest = now - tools.settings.settle_time_s
    summary.covered_until = window_at(checkpoint.grids, newest).start
    summary.message = _message(summary, only)
    return summary


def _message(summary: Summary, only: Asked | None) -> str:
    totals = summary.totals
    did = f"{totals.windows} of {summary.planned} windows exported"
    if not summary.planned:
        did = "Nothing was due"
    parts = [did]
    if summary.error is not None:
        parts.append(str(summary.error).rstrip("."))
    if summary.handed_over:
        parts.append(f"{summary.handed_over} handed over to Step Functions")
    if totals.failures:
        metrics = sorted({failure.metric for failure in totals.failures})
        parts.append(f"failed: {', '.join(metrics[:5])} ({totals.failures[0].reason.rstrip('.')})")
    if totals.empty_windows:
        parts.append(
            f"{len(totals.empty_windows)} windows had no series of any metric: if that is a "
            "surprise, check the tenant and the data source, then export them again"
        )
    if summary.gaps:
        parts.append(f"{summary.gaps} gaps; ask for the status")
    if only is not None and summary.outcome == "complete":
        parts.append(f"{only} is exported")
        if summary.pending:
            parts.append(f"{summary.pending} windows outside of it are pending")
    elif summary.pending:
        parts.append(f"{summary.pending} windows are pending")
    elif summary.covered_until:
        parts.append(f"everything up to {iso(summary.covered_until)} is exported")
    return "; ".join(parts) + "."


def _asked_metrics(tools: Tools, asked: object) -> tuple[str, ...]:
    if asked is None:
        return tools.names
    if not isinstance(asked, list) or not asked:
        raise SettingsError(f"metrics is {asked!r}; a list of metric names is allowed.")
    for name in asked:
        if name not in tools.names:
            raise SettingsError(
                f"metrics names {name!r}, which the catalogue does not have; it has "
                f"{', '.join(tools.names)}."
            )
    return tuple(asked)
