"""Handing windows over to Step Functions, and taking back what an execution left."""

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256

from aws_lambda_powertools import Logger

from ..checkpoint.outcomes import HANDOVERS, record_execution_end, record_handover
from ..checkpoint.records import GAP_ATTEMPTS, Handover, ReexportRequest
from ..checkpoint.state import Checkpoint
from ..checkpoint.store import CheckpointStore
from ..checkpoint.wanted import wanted_windows
from ..settings.settings import Settings
from ..timeline.intervals import covers, union
from ..timeline.windows import Window, iso, iso_range
from .machine import StateMachine

logger = Logger()

# An execution's input ends at 262,144 characters; an item has about 40, and its child less than
# that again in the Map's result.
MAX_ITEMS = 1000
# An execution that was recorded but is not there yet may be about to be started.
START_GRACE_S = 120


def execution_name(number: int, windows: Sequence[Window]) -> str:
    """A name that the plan decides: the same windows, handed over as the same execution in a
    row, always have the same one (80 characters of letters, digits, - and _ at most)."""
    plan = json.dumps([(window.start, window.end) for window in windows])
    digest = sha256(f"{number} {plan}".encode()).hexdigest()[:12]
    begin = iso(windows[-1].start).replace(":", "")[:13]
    return f"backfill-{number}-{begin}-{len(windows)}-windows-{digest}"


def hand_over(
    store: CheckpointStore,
    machine: StateMachine,
    windows: Sequence[Window],
    now: int,
    *,
    max_items: int = MAX_ITEMS,
) -> dict[str, int]:
    """Give `windows` (newest first) to executions of up to `max_items`; their names, and how many
    windows each has.

    With HANDOVERS of them at work no more is started: the rest is for a later run.
    The checkpoint names an execution before it is started: one that was never started is found
    missing by the next run, which hands its windows over again.
    """
    names: dict[str, int] = {}
    for first in range(0, len(windows), max_items):
        batch = windows[first : first + max_items]
        ranges = union((window.start, window.end) for window in batch)

        def record(checkpoint: Checkpoint) -> str | None:
            for known in checkpoint.handovers:
                if known.ranges == ranges:  # noqa: B023
                    return known.name
            if len(checkpoint.handovers) >= HANDOVERS:
                return None
            name = execution_name(checkpoint.handed_over + 1, batch)  # noqa: B023
            record_handover(checkpoint, Handover(name, ranges, now))  # noqa: B023
            return name

        _, name = store.update(record)
        if name is None:
            logger.warning("enough executions at work", extra={"executions": HANDOVERS})
            break
        machine.start(name, batch)
        names[name] = len(batch)
        logger.info(
            "handed over",
            extra={
                "execution": name,
                "windows": len(batch),
                "range": iso_range(batch[-1].start, batch[0].end),
            },
        )
        # A line for each, so that a window's own name finds all of its story.
        for window in batch:
            logger.info("window handed over", extra={"window": str(window), "execution": name})
    return names


def reconcile_executions(
    checkpoint: Checkpoint,
    store: CheckpointStore,
    machine: StateMachine,
    names: Iterable[str],
    settings: Settings,
    now: int,
) -> Checkpoint:
    """Take back what ended executions have left; the checkpoint after that."""
    names = tuple(names)
    for handover in list(checkpoint.handovers):
        ended = machine.ending(handover.name)
        # Either way: a clock that was wrong may have recorded it in the future.
        is_new = abs(now - handover.started) < START_GRACE_S
        if ended == "" or (ended is None and is_new):
            continue

        def record(fresh: Checkpoint) -> list[ReexportRequest]:
            if ended is not None:  # noqa: B023 - called before the loop goes on
                return record_execution_end(fresh, handover, names, settings, now, ended)  # noqa: B023
            fresh.handovers = [one for one in fresh.handovers if one != handover]  # noqa: B023
            return []

        checkpoint, given_up = store.update(record)
        left = [
            window
            for window, _ in wanted_windows(checkpoint, names, settings, now)
            if covers(handover.ranges, window.start, window.end)
        ]
        _tell_over(handover, ended or "never started", left)
        _tell_given_up(handover, given_up)
    return checkpoint


def _tell_over(handover: Handover, ended: str, left: Sequence[Window]) -> None:
    fields = {"execution": handover.name, "ended": ended}
    for window in left:
        logger.warning("window came back", extra={"window": str(window), **fields})
    if left:
        logger.warning("execution over", extra={**fields, "left": len(left)})
    else:
        logger.info("execution over", extra={**fields, "left": 0})


def _tell_given_up(handover: Handover, repeats: Sequence[ReexportRequest]) -> None:
    """What was asked for by hand and is not done: with the event that asks for it again."""
    for one in repeats:
        event = {
            "action": "export",
            "start": iso(one.start),
            "end": iso(one.end),
            "metrics": list(one.metrics),
            **({"force": True} if one.force else {}),
        }
        logger.error(
            "repetition given up",
            extra={
                "execution": handover.name,
                "range": iso_range(one.start, one.end),
                "metrics": list(one.metrics),
                "reason": f"{GAP_ATTEMPTS} executions were over before they had exported it again; "
                "its files from before stay. See in Step Functions why they ended, then invoke "
                f"the function with {json.dumps(event)}",
            },
        )
