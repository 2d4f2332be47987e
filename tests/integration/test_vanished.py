"""A cluster or a metric that vanishes is asked for again, and complete once an audit has agreed."""

from typing import Any

import pytest

from localcloud.prometheus import Prometheus
from tests.conftest import MakePrometheus
from tests.integration.conftest import MakeFunction, MakeProxy
from tests.integration.deployment import HOUR_S, Function
from tests.integration.faults import Exchange
from tests.integration.test_audit import THIS_HOUR, wait
from tests.integration.test_manifests import START, Series, exporting, push, samples_by_cluster

# Until ten minutes before the hour: the hour has nothing of it.
GONE = range(-180, -10)
WHOLE = range(-180, 240)


@pytest.fixture
def make_exporting(make_function: MakeFunction, make_prometheus: MakePrometheus) -> Any:
    """Makes a function that has exported the hour before, and the source that it asks."""

    def make(series: Series, **env: str) -> tuple[Function, Prometheus]:
        source = push(make_prometheus(), series)
        function = exporting(make_function, source, **{"AUDIT_AFTER": "1h", **env})
        function.clock.advance(-HOUR_S)
        assert function.export()["outcome"] == "complete"
        function.clock.advance(HOUR_S)
        return function, source

    return make


def status(function: Function) -> dict[str, Any]:
    return function.export({"action": "status", "start": START, "end": START + HOUR_S})


def unconfirmed(function: Function) -> list[tuple[str, list[str], bool]]:
    return [
        (one["range"], one["vanished_clusters"], one["asked_again"])
        for one in function.export({"action": "status"})["unconfirmed"]
    ]


def test_a_cluster_that_vanishes_is_noted_once_asked_for_again_and_confirmed(
    make_exporting: Any,
) -> None:
    function, _ = make_exporting({("prod-eu", "api"): WHOLE, ("prod-us", "api"): GONE})
    function.export()
    (line,) = function.messages("clusters vanished")
    assert (line["level"], line["cluster_names"]) == ("WARNING", ["prod-us"])
    assert unconfirmed(function) == [(THIS_HOUR, ["prod-us"], False)]
    said = status(function)
    assert (said["outcome"], said["metric_windows"]) == ("incomplete", {"unconfirmed": 1})
    assert "1 is not confirmed: clusters have vanished from it" in said["message"]
    # The next run queries again, and no other.
    assert function.export()["windows"]["planned"] == 1
    assert not function.messages("clusters vanished")
    assert unconfirmed(function) == [(THIS_HOUR, ["prod-us"], True)]
    assert function.export()["windows"]["planned"] == 0
    assert status(function)["outcome"] == "incomplete"
    # The hours after it lack what this one lacks: that is no news.
    wait(function).export()
    assert not function.messages("clusters vanished")
    assert unconfirmed(function) == []
    said = status(function)
    assert (said["outcome"], said["metric_windows"]) == ("complete", {"audited": 1})


def test_a_cluster_that_catches_up_is_exported_by_the_next_run(make_exporting: Any) -> None:
    series = {("prod-eu", "api"): WHOLE, ("prod-us", "api"): GONE}
    function, source = make_exporting(series)
    function.export()
    assert "prod-us" not in samples_by_cluster(function, START)
    push(source, {("prod-us", "api"): range(60)})
    function.clock.advance(1800)
    function.export()
    assert function.messages("window replaced")
    assert samples_by_cluster(function, START) == {"prod-eu": 60, "prod-us": 60}
    assert unconfirmed(function) == []
    assert status(function)["outcome"] == "complete"


def test_a_cluster_that_catches_up_later_is_found_by_the_audit(make_exporting: Any) -> None:
    series = {("prod-eu", "api"): WHOLE, ("prod-us", "api"): GONE}
    function, source = make_exporting(series)
    function.export()
    function.export()
    push(source, {("prod-us", "api"): range(60)})
    wait(function).export()
    assert samples_by_cluster(function, START) == {"prod-eu": 60, "prod-us": 60}
    assert THIS_HOUR not in [one for one, *_ in unconfirmed(function)]


def test_a_metric_that_vanishes_whole_names_all_its_clusters(make_exporting: Any) -> None:
    function, _ = make_exporting({("a", "api"): GONE, ("b", "api"): GONE})
    function.export()
    assert unconfirmed(function) == [(THIS_HOUR, ["a", "b"], False)]
    assert status(function)["metric_windows"] == {"unconfirmed": 1}
    function.export()
    wait(function).export()
    assert unconfirmed(function) == []


def test_a_window_that_lacks_what_its_neighbours_have_is_found_in_a_backfill(
    make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    """The newest comes first: that the hour between lacks a cluster shows with the oldest."""
    hours = [*range(-90, -70), *range(60)]
    series: dict[tuple[str, str], Any] = {("a", "api"): range(-180, 60), ("b", "api"): hours}
    source = push(make_prometheus(), series)
    function = exporting(make_function, source, AUDIT_AFTER="1h", BACKFILL_DAYS="3h")
    function.export()
    middle = "2025-03-01T10:00:00Z/2025-03-01T11:00:00Z"
    assert unconfirmed(function) == [(middle, ["b"], False)]
    function.export()
    assert unconfirmed(function) == [(middle, ["b"], True)]
    wait(function).export()
    assert middle not in [one for one, *_ in unconfirmed(function)]


def test_new_clusters_are_named_and_no_doubt(make_exporting: Any) -> None:
    function, _ = make_exporting({("a", "api"): WHOLE, ("b", "api"): range(30, 60)})
    assert function.export()["outcome"] == "complete"
    (line,) = function.messages("clusters new")
    assert (line["cluster_names"], line["level"]) == (["b"], "INFO")
    assert status(function)["outcome"] == "complete"


def test_without_audits_the_second_look_is_enough(make_exporting: Any) -> None:
    series = {("a", "api"): WHOLE, ("b", "api"): GONE}
    function, _ = make_exporting(series, AUDIT_AFTER="0")
    function.export()
    assert status(function)["outcome"] == "incomplete"
    function.export()
    assert status(function)["outcome"] == "complete"


def test_what_cannot_be_confirmed_any_more_is_an_operators_to_accept(
    make_exporting: Any, make_prometheus: MakePrometheus
) -> None:
    function, _ = make_exporting({("a", "api"): WHOLE, ("b", "api"): GONE})
    function.export()
    function.export()
    forgetful = function.with_env(PORT=str(make_prometheus().port))
    wait(forgetful).export()
    wait(forgetful).export()
    assert status(forgetful)["metric_windows"] == {"unconfirmed": 1}
    accept = {"action": "accept", "start": START, "end": START + HOUR_S, "by": "Ada"}
    assert forgetful.export({**accept, "reason": "it was shut down"})["outcome"] == "accepted"
    assert status(forgetful)["metric_windows"] == {"unauditable": 1}


@pytest.mark.parametrize("slow_one", [START, START - HOUR_S], ids=["later", "earlier"])
def test_windows_that_are_exported_side_by_side_are_compared(
    slow_one: int,
    make_function: MakeFunction,
    make_prometheus: MakePrometheus,
    make_proxy: MakeProxy,
) -> None:
    """As items of the Map are: each began before the other was recorded."""
    series = {("a", "api"): WHOLE, ("b", "api"): range(-180, -10)}
    source = push(make_prometheus(), series)
    proxy = make_proxy(f"http://127.0.0.1:{source.port}")
    function = exporting(make_function, source, AUDIT_AFTER="1h", PORT=str(proxy.port))
    function.clock.advance(-2 * HOUR_S)
    function.export()
    function.clock.advance(2 * HOUR_S)
    quick_one = 2 * START - HOUR_S - slow_one

    def export_the_other(exchange: Exchange) -> None:
        assert function.backfill({"start": quick_one, "end": quick_one + HOUR_S})["finished"]
        exchange.send(exchange.forward())

    proxy.spoil(
        export_the_other,
        lambda request: request.is_query and request.fields["start"] == str(slow_one),
        times=1,
    )
    assert function.backfill({"start": slow_one, "end": slow_one + HOUR_S})["finished"]
    assert unconfirmed(function) == [(THIS_HOUR, ["b"], False)]
