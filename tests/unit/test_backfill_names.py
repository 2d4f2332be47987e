"""Handing over: the plan decides an execution's name, so that starting twice is starting once."""

import json
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from mimir_exporter.checkpoint.adopt import adopt_settings
from mimir_exporter.checkpoint.outcomes import HANDOVERS, record_handover
from mimir_exporter.checkpoint.records import Handover
from mimir_exporter.checkpoint.state import Checkpoint
from mimir_exporter.checkpoint.store import CheckpointStore
from mimir_exporter.errors import StopRunError
from mimir_exporter.runs.handover import (
    MAX_WINDOWS,
    START_GRACE_S,
    execution_name,
    hand_over,
    reconcile_executions,
)
from mimir_exporter.runs.machine import StateMachine
from mimir_exporter.settings.load import load_settings
from mimir_exporter.timeline.intervals import union
from mimir_exporter.timeline.windows import Window
from tests.some import some

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

ARN = "arn:aws:states:eu-central-1:123456789012:stateMachine:backfill"
NOW = 1_793_450_040  # 2026-10-31T12:34:00Z
SETTINGS = load_settings({"S3_BUCKET": "bucket", "S3_PREFIX": "k8s", "CLUSTER_NAME": "prod"})


def hours(count: int, newest: int = 1_793_444_400) -> list[Window]:
    """Windows newest first."""
    return [Window(newest - 3600 * n, newest - 3600 * n + 3600, 60) for n in range(count)]


class Machine:
    """Step Functions in so far as it is asked: a name is taken once, with any input."""

    def __init__(self) -> None:
        self.started: dict[str, str] = {}
        self.statuses: dict[str, str] = {}
        self.error: Exception | None = None

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> None:  # noqa: A002, N803
        assert stateMachineArn == ARN
        if self.error is not None:
            raise self.error
        if name in self.started:
            raise refusal("ExecutionAlreadyExists")
        self.started[name] = input

    def describe_execution(self, *, executionArn: str) -> dict[str, str]:  # noqa: N803
        assert executionArn.startswith(ARN.replace(":stateMachine:", ":execution:") + ":")
        if self.error is not None:
            raise self.error
        name = executionArn.rpartition(":")[2]
        if name not in self.started:
            raise refusal("ExecutionDoesNotExist")
        return {"status": self.statuses.get(name, "RUNNING")}

    def client(self) -> StateMachine:
        return StateMachine(lambda: cast("SFNClient", self), ARN)


class Store:
    """A checkpoint that no other process writes; every change is applied twice, as a race does."""

    def __init__(self) -> None:
        self.checkpoint = Checkpoint()

    def update(self, change: Callable[[Checkpoint], Any]) -> tuple[Checkpoint, Any]:
        first = change(self.checkpoint)
        assert change(self.checkpoint) == first
        return self.checkpoint, first


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "StartExecution")


def give(
    store: Store, machine: Machine, windows: Sequence[Window], max_windows: int = MAX_WINDOWS
) -> list[str]:
    started = hand_over(
        cast(CheckpointStore, store), machine.client(), windows, NOW, max_windows=max_windows
    )
    if started is None:
        return []
    assert started.windows == min(len(windows), max_windows)
    return [started.name]


@given(st.integers(1, 10**9), st.integers(1, MAX_WINDOWS), st.integers(0, 1_100_000))
def test_a_name_is_one_that_step_functions_takes(number: int, count: int, newest: int) -> None:
    name = execution_name(number, hours(count, newest=3600 * newest + 3_600_000))
    assert re.fullmatch(r"[0-9A-Za-z_-]{1,80}", name)


def test_a_name_tells_what_it_is_for() -> None:
    name = execution_name(7, hours(48))
    assert re.fullmatch(r"backfill-7-2026-10-29T12-48-windows-[0-9a-f]{12}", name)


def test_the_same_plan_has_the_same_name_and_another_plan_another() -> None:
    plans = [hours(3), hours(4), hours(3, 1_793_440_800), [*hours(3)[:1], *hours(3)[2:]]]
    names = {execution_name(number, plan) for number in (1, 2) for plan in plans}
    assert len(names) == 8
    assert names == {execution_name(number, list(plan)) for number in (1, 2) for plan in plans}


def test_windows_go_to_one_execution_after_another_the_newest_first() -> None:
    store, machine, windows = Store(), Machine(), hours(2 * MAX_WINDOWS + 1)
    given: list[dict[str, int]] = []
    sizes = []
    while len(given) < len(windows):
        (name,) = give(store, machine, windows[len(given) :])
        (handover,) = store.checkpoint.handovers
        assert handover.name == name == list(machine.started)[-1]
        batch = json.loads(machine.started[name])["windows"]
        assert handover.ranges == union((item["start"], item["end"]) for item in batch)
        # Step Functions takes 262,144 characters, and the Map's result has the items once more.
        assert len(machine.started[name]) < 262_144 / 2
        # While it is at work, there is no other.
        assert give(store, machine, windows[len(given) + len(batch) :] or hours(1, 0)) == []
        store.checkpoint.handovers.clear()
        given += batch
        sizes.append(len(batch))
    assert sizes == [MAX_WINDOWS, MAX_WINDOWS, 1]
    assert given == [{"start": window.start, "end": window.end} for window in windows]


@given(
    kept=st.lists(st.booleans(), min_size=1, max_size=40).filter(any),
    together=st.integers(1, 48),
)
def test_an_item_has_no_more_windows_than_one_query_may_cover(
    kept: list[bool], together: int
) -> None:
    """Each window is in one item, and an item has nothing between its windows."""
    store, machine = Store(), Machine()
    windows = [window for window, keep in zip(hours(len(kept)), kept, strict=True) if keep]
    started = hand_over(
        cast(CheckpointStore, store), machine.client(), windows, NOW, together=together
    )
    assert started is not None
    items = json.loads(machine.started[started.name])["windows"]
    found = [start for item in items for start in reversed(range(item["start"], item["end"], 3600))]
    assert found == [window.start for window in windows]
    assert all(item["end"] - item["start"] <= together * 3600 for item in some(items))
    # As few items as that allows.
    touching = [pair for pair in pairwise(items) if pair[0]["start"] == pair[1]["end"]]
    assert {item["end"] - item["start"] for item, _ in touching} <= {together * 3600}


def test_a_run_that_died_before_the_start_is_taken_up_under_the_same_name() -> None:
    store, machine, windows = Store(), Machine(), hours(5)
    machine.error = refusal("ThrottlingException")
    with pytest.raises(StopRunError):
        give(store, machine, windows)
    (handover,) = store.checkpoint.handovers
    machine.error = None
    assert give(store, machine, windows) == [handover.name]
    assert list(machine.started) == [handover.name]
    # And one that died behind it starts nothing a second time.
    assert give(store, machine, windows) == [handover.name]
    assert store.checkpoint.handed_over == 1


@pytest.mark.parametrize("earlier", [1, 50])
def test_while_executions_are_at_work_no_other_starts(earlier: int) -> None:
    """What Mimir meets is bounded by the concurrency within one."""
    store, machine = Store(), Machine()
    # As many as an earlier version started.
    for window in hours(earlier, newest=0):
        ranges = ((window.start, window.end),)
        record_handover(store.checkpoint, Handover(f"n{window.start}", ranges, NOW))
    assert give(store, machine, hours(3)) == []
    assert machine.started == {}
    assert len(store.checkpoint.handovers) == earlier
    while len(store.checkpoint.handovers) >= HANDOVERS:
        store.checkpoint.handovers.pop()
    assert len(give(store, machine, hours(3))) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (refusal("AccessDeniedException"), "step_functions_denied"),
        (refusal("StateMachineDoesNotExist"), "step_functions_error"),
        (EndpointConnectionError(endpoint_url="https://x"), "step_functions_unreachable"),
    ],
)
def test_a_machine_that_refuses_says_what_to_check(error: Exception, code: str) -> None:
    machine = Machine()
    machine.error = error
    with pytest.raises(StopRunError) as start:
        machine.client().start("n", [])
    with pytest.raises(StopRunError) as ending:
        machine.client().ending("n")
    for details in (start.value.details, ending.value.details):
        assert details.code == code
        assert ARN in details.summary
        assert "\n" not in str(details)


@pytest.mark.parametrize(
    ("status", "ending"),
    [
        ("RUNNING", ""),
        ("PENDING_REDRIVE", ""),
        ("SUCCEEDED", "SUCCEEDED"),
        ("FAILED", "FAILED"),
        ("TIMED_OUT", "TIMED_OUT"),
        ("ABORTED", "ABORTED"),
    ],
)
def test_an_execution_is_over_or_it_is_not(status: str, ending: str) -> None:
    machine = Machine()
    machine.client().start("n", [])
    machine.statuses["n"] = status
    assert machine.client().ending("n") == ending
    assert machine.client().ending("other") is None


@pytest.mark.parametrize(
    ("started", "status", "age_s", "left", "attempts"),
    [
        (True, "RUNNING", 10**6, 1, 0),
        (True, "SUCCEEDED", 5, 0, 1),
        (True, "FAILED", 5, 0, 1),
        (False, "", START_GRACE_S - 1, 1, 0),
        # It never ran: nothing has failed, and it is handed over again.
        (False, "", START_GRACE_S, 0, 0),
    ],
)
def test_an_ended_execution_is_settled_and_one_that_never_began_is_taken_back(
    started: bool, status: str, age_s: int, left: int, attempts: int
) -> None:
    store, machine, windows = Store(), Machine(), hours(2)
    adopt_settings(store.checkpoint, SETTINGS, ["cpu"], NOW)
    ranges = union((window.start, window.end) for window in windows)
    record_handover(store.checkpoint, Handover("n", ranges, NOW - age_s))
    if started:
        machine.client().start("n", ranges)
        machine.statuses["n"] = status
    after = reconcile_executions(
        store.checkpoint,
        cast(CheckpointStore, store),
        machine.client(),
        iter(["cpu"]),
        SETTINGS,
        NOW,
    )
    assert len(after.handovers) == left
    found = [after.failure_of("cpu", window) for window in windows]
    assert [one.attempts if one else 0 for one in found] == [attempts] * 2


def test_the_client_is_made_once_and_before_it_is_needed() -> None:
    """A run that will hand over has no time for it at its end."""
    functions = Machine()
    made: list[int] = []

    def make() -> "SFNClient":
        made.append(len(functions.started))
        return cast("SFNClient", functions)

    machine = StateMachine(make, ARN)
    assert made == []
    machine.prepare()
    machine.start("one", [])
    machine.start("two", [])
    assert machine.ending("two") == ""
    assert made == [0]
