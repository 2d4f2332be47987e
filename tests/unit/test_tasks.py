"""Ranges that are looked at by the day: recorded once, and never taken back by a slower run."""

from dataclasses import replace

import pytest

from mimir_exporter.checkpoint.records import RangeTask
from mimir_exporter.checkpoint.state import Checkpoint
from mimir_exporter.checkpoint.tasks import (
    MOST_TASKS,
    add_task,
    advance_task,
    drop_task,
)
from mimir_exporter.errors import SettingsError
from tests.clocks import unix

START, END = unix("2026-10-30T06:00"), unix("2026-11-01T00:00")
TASK = RangeTask("repair", START, END, ("cpu", "memory"), START, "run-1", (START, END))


def test_a_task_is_recorded_once() -> None:
    checkpoint = Checkpoint()
    add_task(checkpoint, TASK)
    add_task(checkpoint, TASK)
    add_task(checkpoint, replace(TASK, requester="run-2"))
    assert [one.requester for one in checkpoint.tasks] == ["run-1", "run-2"]


def test_too_many_tasks_are_refused() -> None:
    checkpoint = Checkpoint()
    for number in range(MOST_TASKS):
        add_task(checkpoint, replace(TASK, requester=str(number)))
    with pytest.raises(SettingsError, match="10 ranges are queued"):
        add_task(checkpoint, TASK)
    assert len(checkpoint.tasks) == MOST_TASKS


def test_a_task_advances_by_the_metric_and_the_day_and_ends() -> None:
    checkpoint = Checkpoint()
    add_task(checkpoint, TASK)
    advance_task(checkpoint, TASK, ["cpu"])
    assert checkpoint.tasks[0].done == ("cpu",)
    advance_task(checkpoint, checkpoint.tasks[0], None)
    (left,) = checkpoint.tasks
    assert (left.start, left.done) == (unix("2026-10-31"), ())
    advance_task(checkpoint, TASK, ["cpu", "memory"])  # a run that was slower
    assert checkpoint.tasks == [left]
    advance_task(checkpoint, left, None)
    assert checkpoint.tasks == []


def test_a_task_that_is_dropped_leaves_the_others() -> None:
    checkpoint = Checkpoint()
    other = replace(TASK, action="audit")
    add_task(checkpoint, TASK)
    add_task(checkpoint, other)
    drop_task(checkpoint, TASK)
    assert checkpoint.tasks == [other]
