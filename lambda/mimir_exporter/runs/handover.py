"""Handing windows over to Step Functions, and taking back what an execution left."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

from .. import log
from ..checkpoint.outcomes import HANDOVERS, record_execution_end, record_handover
from ..checkpoint.records import Handover
from ..checkpoint.state import Checkpoint
from ..checkpoint.store import CheckpointStore
from ..checkpoint.wanted import wanted_windows
from ..settings.settings import Settings
from ..timeline.intervals import covers, union
from ..timeline.windows import Window, iso, iso_range
from .machine import StateMachine

# Windows that become due meanwhile wait for the execution's end, or for a regular run that has time
# for them: with more windows they would wait longer, with fewer the Map would wait more often for
# the next run. (Step Functions takes 262,144 characters, some 6,000 windows.)
MAX_WINDOWS = 200
# An execution that was recorded but is not there yet may be about to be started.
START_GRACE_S = 120


@dataclass(frozen=True)
class Execution:
    """An execution, and how many windows it has."""

    name: str
    windows: int


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
    together: int = 1,
    max_windows: int = MAX_WINDOWS,
) -> Execution | None:
    """Give the first `max_windows` of `windows` (newest first) to an execution; None while another
    is at work. Up to `together` windows that touch are one item: one query may cover them.

    The rest stays due, for later runs and the next execution. The checkpoint names an execution
    before it is started: one that was never started is found missing by the next run, which hands
    its windows over again.
    """
    batch = windows[:max_windows]
    checkpoint, name = store.update(partial(_record_handover, batch=batch, now=now))
    if name is None:
        at_work = checkpoint.handovers[0].name
        log.EXECUTION_LIMIT_REACHED(execution=at_work, windows=len(windows))
        return None
    machine.start(name, _items(batch, together))
    log.HANDED_OVER(
        execution=name, windows=len(batch), range=iso_range(batch[-1].start, batch[0].end)
    )
    # A line for each window, so that a query for one window finds its whole history.
    for window in batch:
        log.WINDOW_HANDED_OVER(window=str(window), execution=name)
    return Execution(name, len(batch))


def _items(windows: Sequence[Window], together: int) -> list[tuple[int, int]]:
    """The ranges of up to `together` windows (newest first) that touch."""
    items: list[tuple[int, int]] = []
    count = 0
    for window in windows:
        if items and count < together and window.end == items[-1][0]:
            items[-1] = (window.start, items[-1][1])
            count += 1
        else:
            items.append((window.start, window.end))
            count = 1
    return items


def _record_handover(checkpoint: Checkpoint, *, batch: Sequence[Window], now: int) -> str | None:
    """The name of the execution that gets `batch`, once it is in the checkpoint; None where
    HANDOVERS are at work."""
    ranges = union((window.start, window.end) for window in batch)
    for known in checkpoint.handovers:
        if known.ranges == ranges:
            return known.name
    if len(checkpoint.handovers) >= HANDOVERS:
        return None
    name = execution_name(checkpoint.handed_over + 1, batch)
    record_handover(checkpoint, Handover(name, ranges, now))
    return name


def reconcile_executions(
    checkpoint: Checkpoint,
    store: CheckpointStore,
    machine: StateMachine,
    names: Iterable[str],
    settings: Settings,
    now: int,
) -> Checkpoint:
    """Take back the windows that ended executions did not export; the checkpoint after that."""
    names = tuple(names)
    for handover in list(checkpoint.handovers):
        ended = machine.ending(handover.name)
        # Either way: a clock that was wrong may have recorded it in the future.
        is_new = abs(now - handover.started) < START_GRACE_S
        if ended == "" or (ended is None and is_new):
            continue
        if ended is None:
            checkpoint, _ = store.update(partial(_forget, handover=handover))
        else:
            checkpoint, _ = store.update(
                partial(
                    record_execution_end,
                    handover=handover,
                    names=names,
                    settings=settings,
                    now=now,
                    ended=ended,
                )
            )
        remaining = [
            window
            for window, _ in wanted_windows(checkpoint, names, settings, now)
            if covers(handover.ranges, window.start, window.end)
        ]
        _log_end(handover, ended or "never_started", remaining)
    return checkpoint


def _forget(checkpoint: Checkpoint, *, handover: Handover) -> None:
    """The execution was never started: its windows are free again."""
    checkpoint.handovers = [known for known in checkpoint.handovers if known != handover]


def _log_end(handover: Handover, ended: str, remaining: Sequence[Window]) -> None:
    for window in remaining:
        log.WINDOW_REQUEUED(window=str(window), execution=handover.name, execution_status=ended)
    log.EXECUTION_ENDED(
        level="WARNING" if remaining else "INFO",
        execution=handover.name,
        execution_status=ended,
        requeued_windows=len(remaining),
    )
