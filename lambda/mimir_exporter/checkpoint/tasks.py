"""Ranges that an operator wants looked at: work by the day, which any run continues. Pure.

Times are unix seconds.
"""

from collections.abc import Iterable
from dataclasses import replace

from ..errors.runs import TOO_MANY_TASKS
from .records import RangeTask
from .state import Checkpoint

# Waiting at once: each takes less than 2 kB of the document.
MOST_TASKS = 10


def add_task(checkpoint: Checkpoint, task: RangeTask) -> None:
    """A range is to be looked at. Raises SettingsError while too many wait."""
    if any(known.identity == task.identity for known in checkpoint.tasks):
        return
    if len(checkpoint.tasks) >= MOST_TASKS:
        raise TOO_MANY_TASKS(count=len(checkpoint.tasks))
    checkpoint.tasks = [*checkpoint.tasks, task]


def advance_task(checkpoint: Checkpoint, task: RangeTask, done: Iterable[str] | None) -> None:
    """Of the first day of `task` these metrics are done; all of the day, where None."""
    if done is None:
        moved = replace(task, start=task.day_end, done=())
    else:
        moved = replace(task, done=tuple(done))
    # A run that was slower than another takes nothing back.
    checkpoint.tasks = [
        moved if known.identity == task.identity and _is_further(moved, known) else known
        for known in checkpoint.tasks
    ]
    checkpoint.tasks = [task for task in checkpoint.tasks if task.start < task.end]


def drop_task(checkpoint: Checkpoint, task: RangeTask) -> None:
    """All of it is done."""
    checkpoint.tasks = [known for known in checkpoint.tasks if known.identity != task.identity]


def _is_further(task: RangeTask, other: RangeTask) -> bool:
    return (task.start, len(task.done)) > (other.start, len(other.done))


def rebuild_of(checkpoint: Checkpoint) -> RangeTask | None:
    """The rebuild that is not finished: until then the checkpoint is not whole."""
    return next((task for task in checkpoint.tasks if task.action == "rebuild"), None)
