"""A source that moves the start of a range makes no window whole, and none less."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from localcloud.prometheus import Prometheus
from tests.integration import faults
from tests.integration.deployment import FEW, HOUR_S, LAST_END, Function, start_of
from tests.integration.faults import Proxy, Request

HOUR = LAST_END - HOUR_S
REEXPORT = {"action": "reexport", "start": HOUR, "end": LAST_END}


@pytest.fixture
def limited(through: Function, proxy: Proxy) -> Callable[[float], Function]:
    """A few metrics through a proxy that refuses to look back further than so many seconds."""

    def limit(seconds: float, fault: Any = faults.look_back_to) -> Function:
        proxy.heal()
        proxy.spoil(fault(lambda: through.clock() - seconds), lambda one: one.is_any_query)
        return through

    return limit


def status(function: Function) -> dict[str, Any]:
    return function.export({"action": "status"})


def samples(function: Function) -> int:
    from tests.integration.test_manifests import samples_by_cluster  # noqa: PLC0415

    return sum(samples_by_cluster(function, HOUR).values())


# The clock is at 12:20: a lookback of so long begins at 11:21:37.
LOOK_BACK_S = 58 * 60 + 23.4


def test_an_answer_whose_start_was_moved_is_exported_in_part(
    limited: Callable[[float], Function], proxy: Proxy, mimir: Prometheus
) -> None:
    function = limited(LOOK_BACK_S)
    result = function.export()
    assert (result["outcome"], result["windows"]["pending"]) == ("unfinished", 1)
    assert {one["code"] for one in result["failures"]} == {"exported_in_part"}
    said = status(function)
    assert said["outcome"] == "incomplete"
    assert said["metric_windows"] == {"in_part": len(FEW)}
    begun = {(one["metric"], one["from"][:16]) for one in said["in_part"]}
    assert begun == {(name, "2025-03-01T11:21") for name in FEW}
    assert f"{len(FEW)} are exported in part" in said["message"]
    assert "exported in part" in function.coverage({"describe": False})
    had = samples(function)
    assert had > 0
    # The border moves on: what was there stays.
    function.clock.advance(600)
    assert function.export()["outcome"] == "unfinished"
    assert samples(function) == had
    assert status(function)["in_part"] == said["in_part"]
    # The limit is raised.
    proxy.heal()
    function.clock.advance(600)
    assert function.export()["outcome"] == "complete"
    assert status(function)["outcome"].startswith("complete")
    assert function.checkpoint()["failures"] == []
    assert function.differences(mimir, 1) == []


def test_no_part_takes_the_place_of_the_whole_but_by_force(
    limited: Callable[[float], Function], proxy: Proxy, mimir: Prometheus
) -> None:
    function = limited(3 * HOUR_S)
    assert function.export()["outcome"] == "complete"
    limited(LOOK_BACK_S)
    assert function.export(REEXPORT)["outcome"] == "complete"
    assert function.messages("files kept")
    assert function.differences(mimir, 1) == []
    assert "in_part" not in status(function)["metric_windows"]
    assert function.export({**REEXPORT, "force": True})["outcome"] == "unfinished"
    assert status(function)["metric_windows"] == {"in_part": len(FEW)}
    # Force was asked for once: what the source then has less stays.
    had = samples(function)
    function.clock.advance(900)
    function.export()
    assert samples(function) == had
    proxy.heal()
    function.export()
    assert function.differences(mimir, 1, files=of_hour(function)) == []


def test_force_empties_nothing_that_the_source_has_forgotten(
    limited: Callable[[float], Function], proxy: Proxy, mimir: Prometheus
) -> None:
    """A whole window behind the border: 200, and nothing."""
    function = limited(3 * HOUR_S)
    assert function.export()["outcome"] == "complete"
    limited(600)
    result = function.export({**REEXPORT, "force": True})
    assert result["outcome"] == "unfinished"
    assert {one["code"] for one in result["failures"]} == {"files_not_emptied"}
    assert function.differences(mimir, 1) == []
    assert status(function)["reexports"]
    proxy.heal()
    function.clock.advance(60)
    function.export()
    assert function.differences(mimir, 1, files=of_hour(function)) == []
    assert status(function)["reexports"] == []


def of_hour(function: Function) -> dict[str, bytes]:
    return {key: body for key, body in function.files().items() if start_of(key) == HOUR}


def test_what_is_older_than_a_moved_start_is_not_without_series(
    limited: Callable[[float], Function],
) -> None:
    """A backfill that reaches further back than the source does."""
    function = limited(LOOK_BACK_S).with_env(BACKFILL_DAYS="3h")
    function.export()
    said = status(function)
    assert said["outcome"] == "incomplete"
    assert said["metric_windows"] == {"in_part": len(FEW), "nothing_left": 2 * len(FEW)}
    function.clock.advance(600)
    function.export()
    assert status(function)["metric_windows"] == said["metric_windows"]


def test_a_part_becomes_a_gap_and_can_be_accepted(
    limited: Callable[[float], Function],
) -> None:
    function = limited(LOOK_BACK_S)
    for _ in range(5):
        function.export()
        function.clock.advance(60)
    assert status(function)["metric_windows"] == {"in_part": len(FEW)}
    assert function.export()["gaps"] == len(FEW)
    accept = {"action": "accept", "start": HOUR, "end": LAST_END, "by": "Ada", "reason": "gone"}
    assert function.export(accept)["outcome"] == "accepted"
    assert (status(function)["outcome"], function.export()["gaps"]) == ("complete", 0)


def test_a_part_that_the_source_then_forgets_stays_a_part(
    limited: Callable[[float], Function],
) -> None:
    function = limited(LOOK_BACK_S)
    for _ in range(5):
        function.export()
        function.clock.advance(60)
    had = samples(function)
    limited(0)
    function.clock.advance(25 * HOUR_S)
    function.export()
    assert samples(function) == had
    month = function.export({"action": "status", "start": HOUR, "end": LAST_END})
    assert month["metric_windows"] == {"in_part": len(FEW)}


def test_a_start_that_is_moved_to_a_step_is_known_by_what_is_older(
    limited: Callable[[float, Any], Function], proxy: Proxy
) -> None:
    """The hour before is in the bucket, and the source has nothing of it any more."""
    function = limited(5 * HOUR_S, faults.forget_before)
    function.clock.advance(-HOUR_S)
    assert function.export()["outcome"] == "complete"
    function.clock.advance(HOUR_S)
    limited(LOOK_BACK_S, faults.forget_before)
    assert function.export()["outcome"] == "unfinished"
    assert {one["from"] for one in status(function)["in_part"]} == {"2025-03-01T11:22:00Z"}


def test_an_outage_that_ends_within_a_window_is_no_moved_start(
    through: Function, proxy: Proxy
) -> None:
    """Nothing was scraped from 10:40 to 11:22; the source still has what was before."""
    function = through

    def outage(exchange: faults.Exchange) -> None:
        whole = exchange.forward({"accept-encoding": "identity"})
        answered = json.loads(whole.body)
        kept = []
        for series in answered["data"]["result"]:
            points = [series["value"]] if "value" in series else series["values"]
            points = [one for one in points if not -20 * 60 <= float(one[0]) - HOUR < 22 * 60]
            if points:
                kept.append(series | ({"values": points} if "values" in series else {}))
        answered["data"]["result"] = kept
        headers = {"Content-Type": "application/json"}
        exchange.send(faults.Answer(200, json.dumps(answered).encode(), headers))

    function.clock.advance(-HOUR_S)
    proxy.spoil(outage, lambda one: one.is_any_query)
    assert function.export()["outcome"] == "complete"
    function.clock.advance(HOUR_S)
    assert function.export()["outcome"] == "complete"


def test_a_source_that_has_just_begun_is_looked_at_twice(through: Function, proxy: Proxy) -> None:
    """A border moves on, a beginning does not."""
    proxy.spoil(faults.forget_before(lambda: HOUR + 22 * 60), lambda one: one.is_any_query)
    assert through.export()["outcome"] == "unfinished"
    assert {one["code"] for one in through.export()["failures"]} == {"begins_late"}
    assert status(through)["metric_windows"] == {"in_part": len(FEW)}
    through.clock.advance(1800)
    assert through.export()["outcome"] == "complete"
    assert status(through)["outcome"] == "complete"


def test_a_border_that_moves_step_by_step_is_none(
    limited: Callable[[float, Any], Function],
) -> None:
    function = limited(LOOK_BACK_S, faults.forget_before)
    for _ in range(3):
        assert function.export()["outcome"] == "unfinished"
        function.clock.advance(1000)
    assert {one["from"] for one in status(function)["in_part"]} == {"2025-03-01T11:22:00Z"}


def test_a_metric_that_begins_while_others_continue_is_whole(
    through: Function, proxy: Proxy
) -> None:
    def of_pods(request: Request) -> bool:
        return (
            request.is_any_query
            and request.fields["query"].startswith("max by")
            and ("kube_pod_info" in request.fields["query"])
        )

    proxy.spoil(faults.forget_before(lambda: HOUR + 40 * 60), of_pods)
    assert through.export()["outcome"] == "complete"
    assert status(through)["outcome"] == "complete"


@pytest.mark.parametrize("by_s", [-60, -7])
def test_samples_outside_of_what_was_asked_for_are_not_written(
    by_s: int, single: Function, proxy: Proxy
) -> None:
    """A gateway that aligns ranges to its own steps."""

    def shifted(exchange: faults.Exchange) -> None:
        start = int(exchange.request.fields["start"]) + by_s
        exchange.send(exchange.forward(start=str(start)))

    proxy.spoil(shifted)
    result = single.export()
    assert result["outcome"] == "unfinished"
    assert [one["code"] for one in result["failures"]] == ["answer_out_of_range"]
    assert single.files() == {}


def test_a_grid_that_is_shifted_as_a_whole_is_no_whole(single: Function, proxy: Proxy) -> None:
    def shifted(exchange: faults.Exchange) -> None:
        start = int(exchange.request.fields["start"]) + 7
        exchange.send(exchange.forward(start=str(start)))

    proxy.spoil(shifted)
    assert single.export()["outcome"] == "unfinished"
    assert {one["from"] for one in status(single)["in_part"]} == {"2025-03-01T11:00:07Z"}
    proxy.heal()
    assert single.export()["outcome"] == "complete"


def test_parts_of_a_window_can_begin_late_too(single: Function, proxy: Proxy) -> None:
    """The server refuses an hour, so it is asked for in parts; the first ones are forgotten."""
    oldest = faults.look_back_to(lambda: single.clock() - LOOK_BACK_S)
    proxy.spoil(
        faults.error(422, "too many samples"), lambda one: one.is_query and one.span_s > 900
    )
    proxy.spoil(oldest, lambda one: one.is_any_query)
    assert single.export()["outcome"] == "unfinished"
    (part,) = status(single)["in_part"]
    assert part["from"].startswith("2025-03-01T11:21:")


def test_one_metric_alone(limited: Callable[[float], Function]) -> None:
    function = replace(limited(LOOK_BACK_S), metrics=("node_info",))
    function.export()
    assert status(function)["metric_windows"] == {"in_part": 1}
