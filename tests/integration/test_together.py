"""Runs at the same time, and runs that are killed: in the end the bucket equals Prometheus.

Each runs in a process of its own, as each sandbox does.
"""

import json
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from localcloud.prometheus import Prometheus
from mimir_exporter.timeline.windows import iso
from tests.integration import faults
from tests.integration.deployment import FEW, HOUR_S, LAST_END, Function
from tests.integration.faults import Proxy
from tests.integration.worker import Order, Worker, working
from tests.some import some

HOURS = 4


def order(function: Function, **changes: object) -> Order:
    """A regular run of this function, with changes."""
    plain = Order(env=function.env, now=function.clock(), metrics=function.metrics, event={})
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_runs_at_the_same_time_lose_nothing_and_double_nothing(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """Four regular runs without a lease, a manual export and items of the Map, of one bucket."""
    through.export()
    longer = through.with_env(BACKFILL_DAYS=f"{HOURS}h")
    proxy.spoil(faults.late(0.02))  # so that they meet
    begin = time.time() + 2
    regular = [order(longer, lease=False, begin=begin) for _ in range(4)]
    again = {
        "action": "reexport",
        "start": iso(LAST_END - HOURS * HOUR_S),
        "end": iso(LAST_END),
    }
    by_hand = order(longer, lease=False, begin=begin, event=again)
    items = [
        order(longer, begin=begin, item=True, event={"start": start, "end": start + HOUR_S})
        for start in range(LAST_END - 3 * HOUR_S, LAST_END, HOUR_S)
    ]
    with working(*regular, by_hand, *items) as workers:
        results = [worker.result() for worker in workers]
    assert [result.get("error") for result in results] == [None] * 8
    assert all(result["outcome"] != "skipped" for result in some(results[:5]))
    assert all(result["finished"] and not result["failed"] for result in some(results[5:]))
    # They did meet: more was asked than one run alone would have asked.
    assert len(proxy.queries) > 1.5 * HOURS * len(FEW)
    assert longer.differences(mimir, HOURS) == []
    assert longer.export({"action": "status"})["outcome"] == "complete"
    assert longer.export()["windows"]["planned"] == 0


def test_a_run_that_is_killed_loses_nothing(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """Three times, somewhere between two objects; its lease keeps others away until it ends."""
    longer = through.with_env(BACKFILL_DAYS=f"{HOURS}h")
    proxy.spoil(faults.late(0.1))
    for _ in range(3):
        before = len(longer.file_keys())
        with Worker(order(longer)) as worker:
            wait_until(lambda: len(longer.file_keys()) >= before + 11)  # noqa: B023 - now
            worker.kill()
        result = longer.export()
        assert result["outcome"] == "skipped"
        assert "another run holds the lease until 2025-03-01T" in result["message"]
        longer.clock.advance(150)  # its time and a minute
    proxy.heal()
    assert longer.export()["outcome"] == "complete"
    assert longer.differences(mimir, HOURS) == []
    # What the killed ones had written down was not asked for again.
    assert len(proxy.queries) < HOURS * len(FEW)


def test_a_second_run_is_skipped_while_one_is_at_work(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    proxy.spoil(faults.late(0.5))
    with Worker(order(through)) as worker:
        wait_until(lambda: proxy.queries != [])
        asked = len(proxy.requests)
        result = through.export()
        assert result["outcome"] == "skipped"
        assert result["windows"]["planned"] == 0
        assert through.messages("run finished")[0]["outcome"] == "skipped"
        # A manual export is written down, and done by whoever comes next.
        event = {"action": "reexport", "start": LAST_END - 4 * HOUR_S, "end": LAST_END - 3 * HOUR_S}
        result = through.export(event)
        assert result["outcome"] == "skipped"
        assert result["message"].startswith("Queued 2025-03-01T08:00:00Z/2025-03-01T09:00:00Z")
        assert worker.result()["outcome"] in ("complete", "unfinished")
    assert asked < len(proxy.requests)
    proxy.heal()
    assert through.export()["outcome"] == "complete"
    both = {LAST_END - HOUR_S: 1, LAST_END - 4 * HOUR_S: 1}
    for start in both:
        files = {key: body for key, body in through.files().items() if f"/{start}_" in key}
        assert through.differences(mimir, 1, until=start + HOUR_S, files=files) == []


@pytest.mark.parametrize("status", ["healthy", "failing"])
def test_a_run_gives_its_lease_back(status: str, through: Function, proxy: Proxy) -> None:
    if status == "failing":
        proxy.spoil(faults.answer(404))
        with pytest.raises(Exception, match="404"):
            through.export()
    else:
        through.export()
    assert through.checkpoint()["lease"] == {"owner": "", "until": "1970-01-01T00:00:00Z"}


def test_lambdas_own_second_try_is_not_kept_out_by_the_first(through: Function) -> None:
    """An invocation that is delivered again has the same request id."""
    through.export(request_id="one")
    hold_lease(through, through.clock() + 600)
    assert through.export(request_id="two")["outcome"] == "skipped"
    assert through.export(request_id="one")["outcome"] == "complete"


@pytest.mark.parametrize(("left_s", "outcome"), [(16 * 60 + 10, "skipped"), (86_400, "complete")])
def test_a_lease_holds_if_its_clock_was_a_little_ahead_and_not_if_it_was_wrong(
    left_s: int, outcome: str, through: Function
) -> None:
    through.export()
    hold_lease(through, through.clock() + left_s)
    assert through.export(request_id="two")["outcome"] == outcome


def hold_lease(function: Function, until: float) -> None:
    """As a run with the request id `one` that is still at work."""
    checkpoint = function.checkpoint()
    checkpoint["lease"] = {"owner": "one", "until": iso(until)}
    function.put(function.checkpoint_key, json.dumps(checkpoint).encode())


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_exporters_with_one_checkpoint_are_warned_of_each_other(single: Function) -> None:
    """With S3_PREFIX and CLUSTER_NAME in common; each says so whenever the other was there."""
    machines = [f"arn:aws:states:eu-central-1:000000000000:stateMachine:{n}" for n in ("a", "b")]
    first, second = (single.with_env(BACKFILL_STATE_MACHINE_ARN=one) for one in machines)
    message = "checkpoint of another exporter"
    for function, other in ((first, ""), (first, ""), (second, machines[0]), (second, "")):
        function.export()
        assert [line["state_machine"] for line in function.messages(message)] == [other] * bool(
            other
        )
    first.export({"action": "check"})
    (found,) = (
        line for line in first.messages("check found") if line["finding"] == "another_exporter"
    )
    assert machines[1] in found["summary"]
    assert "CLUSTER_NAME" in found["remedy"]
