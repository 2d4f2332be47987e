"""Handing over to Step Functions, whatever becomes of the execution, against its real API."""

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from localcloud.prometheus import Prometheus
from mimir_exporter.checkpoint.adopt import adopt_settings
from mimir_exporter.checkpoint.records import GAP_ATTEMPTS, Handover
from mimir_exporter.checkpoint.store import CheckpointStore
from mimir_exporter.errors.runs import STEP_FUNCTIONS_DENIED
from mimir_exporter.runs.handover import MAX_WINDOWS, hand_over
from mimir_exporter.runs.machine import StateMachine
from mimir_exporter.settings.load import load_settings
from mimir_exporter.storage.bucket import Bucket
from mimir_exporter.timeline.windows import Window
from tests.integration import faults
from tests.integration.conftest import MakeFunction, MakeMachine, MakeProxy
from tests.integration.deployment import CENTRAL, HOUR_S, LAST_END, NOW, PREFIX, Function, start_of
from tests.integration.faults import Proxy, Request
from tests.integration.machines import (
    FAILING,
    PASSING,
    WAITING,
    executions,
    items_of,
    stop,
    wait_for_end,
)
from tests.integration.sandbox import Event
from tests.integration.short_runs import SHORT_S, races_the_clock
from tests.raised import raises
from tests.some import some

pytestmark = races_the_clock


@pytest.fixture
def slow(through: Function, proxy: Proxy) -> Function:
    """Four windows, of which a short run does the newest at most."""
    proxy.spoil(faults.late(0.4), lambda request: request.is_query)
    return replace(through.with_env(BACKFILL_DAYS="4h"), metrics=("node_info", "pod_info"))


def test_what_does_not_fit_before_the_next_pause_is_handed_over(
    make_function: MakeFunction, make_machine: MakeMachine, make_proxy: MakeProxy, mimir: Prometheus
) -> None:
    """The pause would outlast the time, of which one request's worth is left: the requests that
    hand over are not held to that."""
    late_s = 0.5
    source = make_proxy(f"http://127.0.0.1:{mimir.port}")

    def run(seconds: float) -> tuple[Event, float]:
        """The result, and how long it took until the first query."""
        function = make_function(PORT=str(source.port), BACKFILL_DAYS="4h", QUERY_DELAY="60")
        aws = make_proxy(function.cloud.endpoint)
        aws.spoil(faults.late(late_s), lambda request: "checkpoint.json" in request.path)
        handing = function.with_env(
            AWS_ENDPOINT_URL=aws.url, BACKFILL_STATE_MACHINE_ARN=make_machine(WAITING)
        )
        asked, began = len(source.queries), time.monotonic()
        result = handing.export(seconds=seconds)
        return result, source.queries[asked].ended - began

    result, first_s = run(20.0)
    assert result["outcome"] == "handed_over"
    result, _ = run(5 + first_s + 1.5 * late_s)
    assert result["outcome"] == "handed_over"


def status_of(function: Function) -> Event:
    return function.export({"action": "status"})


def test_what_the_time_does_not_suffice_for_is_handed_over(
    slow: Function, make_machine: MakeMachine, proxy: Proxy, mimir: Prometheus
) -> None:
    machine = make_machine(WAITING)
    function = slow.with_env(BACKFILL_STATE_MACHINE_ARN=machine)
    result = function.export(seconds=SHORT_S)
    assert result["outcome"] == "handed_over"
    assert executions(function.cloud, machine) == [result["execution"]]
    items = items_of(function.cloud, machine, result["execution"])
    assert result["windows"]["handed_over"] == result["windows"]["pending"] == len(items)
    assert 3 <= len(items) <= 4
    # Newest first, and up to the oldest that is wanted.
    starts = [item["start"] for item in items]
    assert starts == sorted(starts, reverse=True)
    assert starts[-1] == LAST_END - 4 * HOUR_S
    assert all(
        item == {"start": at, "end": at + HOUR_S}
        for at, item in some(zip(starts, items, strict=True))
    )
    assert f"; {len(items)} windows handed over to Step Functions; " in result["message"]

    # While it runs, no other process does.
    proxy.heal()
    result = function.export()
    assert (result["windows"]["planned"], result["execution"]) == (0, None)
    assert (result["outcome"], result["windows"]["pending"]) == ("unfinished", len(items))
    assert proxy.queries == []
    assert [one["status"] for one in status_of(function)["executions"]] == ["running"]
    waiting = status_of(function)["metric_windows"]["in_execution"]
    assert f"; {waiting} are in Step Functions." in status_of(function)["message"]

    # Its items do the work, and it ends.
    for item in items:
        assert function.backfill(item)["finished"]
    stop(function.cloud, machine)
    result = function.export()
    assert (result["outcome"], result["windows"]["pending"]) == ("complete", 0)
    assert function.checkpoint()["executions"] == []
    assert function.differences(mimir, 4) == []
    assert status_of(function)["outcome"] == "complete"


def test_a_window_that_is_noted_after_the_time_is_up_is_exported(
    slow: Function, make_machine: MakeMachine, make_proxy: MakeProxy, proxy: Proxy
) -> None:
    """The checkpoint's write outlasts the time for work: the one at the run's end has its record,
    and the result counts it."""
    proxy.heal()
    s3 = make_proxy(slow.cloud.endpoint)
    s3.spoil(faults.late(3.5), lambda r: notes(r) and len(proxy.queries) == 2, times=1)
    machine = make_machine(WAITING)
    function = slow.with_env(BACKFILL_STATE_MACHINE_ARN=machine, AWS_ENDPOINT_URL=s3.url)
    result = function.export(seconds=8.0)
    assert result["outcome"] == "handed_over"
    assert result["windows"]["handed_over"] == result["windows"]["pending"] == 3
    assert result["windows"]["exported"] == len(function.messages("window exported")) == 1
    assert result["message"].startswith("1/4 windows exported; 3 windows handed over")


def notes(request: Request) -> bool:
    return request.method == "PUT" and request.path.endswith("checkpoint.json")


def test_the_story_of_a_window_is_found_by_its_name(
    slow: Function, make_machine: MakeMachine, proxy: Proxy
) -> None:
    """From the run that had no time for it, through the Map and what it met there, to its end."""
    machine = make_machine(PASSING)
    function = slow.with_env(BACKFILL_STATE_MACHINE_ARN=machine)
    window = str(Window(LAST_END - 4 * HOUR_S, LAST_END - 3 * HOUR_S, 60))
    item = {"start": LAST_END - 4 * HOUR_S, "end": LAST_END - 3 * HOUR_S}
    story: list[dict[str, Any]] = []

    def keep() -> None:
        story.extend(line for line in function.logs if line.get("window") == window)

    execution = function.export(seconds=SHORT_S)["execution"]
    keep()
    proxy.heal()
    proxy.spoil(faults.answer(429), asks_for_pods, times=1)
    proxy.spoil(faults.answer(422, "err-mimir-max-chunks-per-query"), asks_for_an_hour_of_pods)
    # The execution is over without it: this item's call came from a Map that does not run here.
    wait_for_end(function.cloud, machine)
    proxy.spoil(faults.answer(400, "parse error: a bad query"), asks_for_nodes, times=1)
    assert function.backfill({**item, "execution": execution})["failed"]
    keep()
    function.clock.advance(300)
    assert function.export()["outcome"] == "complete"
    keep()
    assert [(line["message"], line.get("metric")) for line in story] == [
        ("window handed over", None),
        ("window started", None),
        ("query retried", "pod_info"),
        ("query split", "pod_info"),
        # Once another query is answered, it is not the endpoint that failed.
        ("metric failed", "node_info"),
        ("metric exported", "pod_info"),
        ("window incomplete", None),
        ("window failed", None),
        ("window requeued", None),
        ("metric exported", "node_info"),
        ("window exported", None),
    ]
    assert {line["execution"] for line in story[:9]} == {execution}
    assert [len({line["run"] for line in part}) for part in (story[:1], story[1:8], story[8:])] == [
        1,
        1,
        1,
    ]
    retried, split, failed = story[2:5]
    assert (failed["level"], failed["attempt"], failed["gap"]) == ("ERROR", 1, False)
    assert (retried["attempt"], "429" in retried["summary"]) == (1, True)
    assert (split["split"], split["parts"], split["part_s"]) == ("by_time", 2, HOUR_S // 2)


def asks_for_nodes(request: Request) -> bool:
    return request.is_query and "kube_node_info" in request.fields["query"]


def asks_for_pods(request: Request) -> bool:
    return request.is_query and "kube_pod_info" in request.fields["query"]


def asks_for_an_hour_of_pods(request: Request) -> bool:
    return asks_for_pods(request) and request.span_s == HOUR_S - 60


@pytest.mark.parametrize(
    ("state", "ended"), [(PASSING, "SUCCEEDED"), (FAILING, "FAILED"), (WAITING, "ABORTED")]
)
def test_what_an_execution_leaves_is_done_by_the_next_run(
    state: dict[str, Any],
    ended: str,
    slow: Function,
    make_machine: MakeMachine,
    proxy: Proxy,
    mimir: Prometheus,
) -> None:
    machine = make_machine(state)
    function = slow.with_env(BACKFILL_STATE_MACHINE_ARN=machine)
    result = function.export(seconds=SHORT_S)
    if ended == "ABORTED":
        stop(function.cloud, machine)
    wait_for_end(function.cloud, machine)
    proxy.heal()
    function.clock.advance(300)
    again = function.export()
    (line,) = function.messages("execution ended")
    assert (line["execution"], line["execution_status"]) == (result["execution"], ended)
    assert (again["outcome"], again["execution"]) == ("complete", None)
    assert again["windows"]["exported"] == result["windows"]["handed_over"]
    assert function.differences(mimir, 4) == []


def test_what_an_execution_leaves_has_failed_once(
    slow: Function, make_machine: MakeMachine
) -> None:
    """So that windows that no execution ever does become gaps, and an alarm."""
    machine = make_machine(PASSING)
    function = slow.with_env(BACKFILL_STATE_MACHINE_ARN=machine)
    names = set()
    for attempt in range(1, 4):
        result = function.export(seconds=SHORT_S)
        assert result["outcome"] == "handed_over"
        names.add(result["execution"])
        wait_for_end(function.cloud, machine)
        oldest = [
            one["attempts"]
            for one in status_of(function)["failures"]
            if one["range"].startswith("2025-03-01T08:00:00Z")
        ]
        assert set(oldest) == ({attempt - 1} if attempt > 1 else set())
        function.clock.advance(300)
    assert len(names) == 3


@pytest.fixture
def exported(slow: Function, proxy: Proxy) -> Function:
    """Everything is exported, and its newest file is gone; Mimir is slow again."""
    proxy.heal()
    slow.export()
    lost = next(key for key in slow.file_keys() if start_of(key) == LAST_END - HOUR_S)
    slow.delete(lost)
    proxy.spoil(faults.late(0.4), lambda request: request.is_query)
    return slow


AGAIN = {"action": "reexport", "start": LAST_END - 4 * HOUR_S, "end": LAST_END}


def test_what_was_asked_for_again_is_done_though_its_execution_was_aborted(
    exported: Function, make_machine: MakeMachine, proxy: Proxy, mimir: Prometheus
) -> None:
    function = exported.with_env(BACKFILL_STATE_MACHINE_ARN=make_machine(WAITING))
    # Slow enough that the first window is not done.
    proxy.heal()
    proxy.spoil(faults.late(2), lambda request: request.is_query)
    result = function.export(AGAIN, seconds=SHORT_S)
    assert result["outcome"] == "handed_over"
    left = result["windows"]["handed_over"]
    stop(function.cloud, function.env["BACKFILL_STATE_MACHINE_ARN"])
    proxy.heal()
    function.clock.advance(300)
    assert function.export()["windows"]["exported"] == left
    assert len(function.messages("window requeued")) == left
    assert (function.checkpoint()["reexports"], function.checkpoint()["failures"]) == ([], [])
    assert function.differences(mimir, 4) == []


def test_a_reexport_that_fails_becomes_a_gap_and_stays_requested(
    exported: Function, make_machine: MakeMachine, proxy: Proxy
) -> None:
    function = exported.with_env(BACKFILL_STATE_MACHINE_ARN=make_machine(PASSING))
    asked: Event = {**AGAIN, "start": LAST_END - HOUR_S, "force": True}
    proxy.heal()
    proxy.spoil(faults.late(2), lambda request: request.is_query)
    function.export(asked, seconds=SHORT_S)
    gaps = runs = 0
    # A run that came to no query, on a slow machine, is no attempt.
    while gaps == 0:
        runs += 1
        assert runs < 4 * GAP_ATTEMPTS
        assert function.export({"action": "status"})["outcome"] == "complete"
        wait_for_end(function.cloud, function.env["BACKFILL_STATE_MACHINE_ARN"])
        function.clock.advance(300)
        gaps = function.export(seconds=SHORT_S)["gaps"]
    assert runs >= GAP_ATTEMPTS
    status = function.export({"action": "status"})
    (left,) = status["reexports"]
    assert (status["outcome"], left["metrics"]) == ("incomplete", ["node_info", "pod_info"])
    assert all(one["gap"] for one in some(status["failures"]))
    proxy.heal()
    function.clock.advance(86_400)
    function.export()
    assert (function.checkpoint()["reexports"], function.checkpoint()["failures"]) == ([], [])


def starts_execution(request: Request) -> bool:
    return request.headers.get("x-amz-target") == "AWSStepFunctions.StartExecution"


def test_an_execution_that_never_started_is_handed_over_again(
    slow: Function,
    make_machine: MakeMachine,
    make_proxy: MakeProxy,
    proxy: Proxy,
    mimir: Prometheus,
) -> None:
    machine = make_machine(WAITING)
    aws = make_proxy(slow.cloud.endpoint)
    refused = json.dumps({"__type": "AccessDeniedException", "message": "not authorized"})
    aws.spoil(faults.answer(400, refused), starts_execution)
    function = slow.with_env(BACKFILL_STATE_MACHINE_ARN=machine, AWS_ENDPOINT_URL=aws.url)
    with raises(STEP_FUNCTIONS_DENIED) as caught:
        function.export(seconds=SHORT_S)
    assert "did not start" in caught.value.details.summary
    assert machine in caught.value.details.summary
    assert "AccessDeniedException" in caught.value.details.cause
    assert executions(function.cloud, machine) == []
    (recorded,) = function.checkpoint()["executions"]

    # It may be about to start: not before some time has passed is it known that it did not.
    aws.heal()
    assert function.export(seconds=SHORT_S)["windows"]["planned"] == 0
    assert [one["status"] for one in status_of(function)["executions"]] == ["never_started"]
    function.clock.advance(180)
    result = function.export(seconds=SHORT_S)
    assert function.messages("execution ended")[0]["execution_status"] == "never_started"
    assert result["outcome"] == "handed_over"
    assert executions(function.cloud, machine) == [result["execution"]]
    assert result["execution"] != recorded["name"]
    # That was no failure.
    assert status_of(function)["failures"] == []


def test_an_answer_that_was_lost_does_not_start_a_second_execution(
    slow: Function, make_machine: MakeMachine, make_proxy: MakeProxy
) -> None:
    machine = make_machine(WAITING)
    aws = make_proxy(slow.cloud.endpoint)
    aws.spoil(faults.lose_answer, starts_execution, times=1)
    function = slow.with_env(BACKFILL_STATE_MACHINE_ARN=machine, AWS_ENDPOINT_URL=aws.url)
    result = function.export(seconds=SHORT_S)
    assert result["outcome"] == "handed_over"
    assert len([request for request in aws.requests if starts_execution(request)]) == 2
    assert executions(function.cloud, machine) == [result["execution"]]


@pytest.mark.parametrize("state", [WAITING, PASSING], ids=["running", "over"])
def test_the_same_plan_twice_is_one_execution(
    state: dict[str, Any], slow: Function, make_machine: MakeMachine
) -> None:
    machine = make_machine(state)
    store = CheckpointStore(Bucket(slow.cloud.s3, slow.bucket), PREFIX, CENTRAL)
    store.update(lambda fresh: adopt_settings(fresh, load_settings(slow.env), ["node_info"], NOW))
    windows = [
        Window(at - HOUR_S, at, 60) for at in range(LAST_END, LAST_END - 3 * HOUR_S, -HOUR_S)
    ]
    step_functions = StateMachine(lambda: slow.cloud.stepfunctions, machine)
    first = hand_over(store, step_functions, windows, NOW)
    assert first is not None
    if state is PASSING:
        wait_for_end(slow.cloud, machine)
    assert hand_over(store, step_functions, windows, NOW) == first
    assert executions(slow.cloud, machine) == [first.name]
    assert [one.name for one in store.read().handovers] == [first.name]
    # The number of the execution is in its name: what is handed over again gets a new one.
    store.update(lambda fresh: setattr(fresh, "handovers", list[Handover]()))
    assert hand_over(store, step_functions, windows, NOW) not in (None, first)
    assert len(executions(slow.cloud, machine)) == 2


def test_more_windows_than_an_execution_takes_wait_for_the_next(
    slow: Function, make_machine: MakeMachine, proxy: Proxy
) -> None:
    machine = make_machine(WAITING)
    proxy.heal()
    proxy.spoil(faults.never_answer)
    many = slow.with_env(
        BACKFILL_STATE_MACHINE_ARN=machine, TIME_FRAME="60", BACKFILL_DAYS="18h", SETTLE_TIME="600"
    )
    result = many.export(seconds=SHORT_S)
    expected = 17 * 60 + 50  # of a minute each, up to ten minutes ago
    assert result["windows"]["handed_over"] == MAX_WINDOWS
    newest = [item["start"] for item in items_of(many.cloud, machine, result["execution"])]
    assert newest == sorted(newest, reverse=True)
    assert (newest[0], len(newest)) == (NOW - 600 - 60, MAX_WINDOWS)
    # While it is at work, no other starts, and nothing is lost.
    waiting = many.export(seconds=SHORT_S)
    assert waiting["outcome"] == "unfinished"
    assert waiting["execution"] is None
    assert waiting["windows"]["planned"] == expected - MAX_WINDOWS
    assert waiting["windows"]["pending"] == expected
    (line,) = many.messages("execution limit reached")
    assert (line["execution"], line["windows"]) == (result["execution"], expected - MAX_WINDOWS)
    (name,) = executions(many.cloud, machine)
    assert name == result["execution"]
    # It ends, having exported nothing: its windows and the others are due.
    stop(many.cloud, machine)
    second = many.export(seconds=SHORT_S)
    assert second["windows"]["planned"] == expected
    assert second["windows"]["handed_over"] == MAX_WINDOWS
    assert len(executions(many.cloud, machine)) == 2
    (recorded,) = many.checkpoint()["executions"]
    assert recorded["name"] == second["execution"]
    assert len(many.read(many.checkpoint_key)) < 3000


def test_new_windows_are_exported_while_an_execution_has_the_old_ones(
    slow: Function, make_machine: MakeMachine, proxy: Proxy
) -> None:
    function = slow.with_env(BACKFILL_STATE_MACHINE_ARN=make_machine(WAITING))
    function.export(seconds=SHORT_S)
    proxy.heal()
    function.clock.advance(HOUR_S)
    result = function.export()
    assert (result["windows"]["planned"], result["windows"]["exported"]) == (1, 1)
    assert {int(request.fields["start"]) for request in proxy.queries} == {LAST_END}
