"""A metric-window that takes several invocations: what one has fetched, the next does not ask for.

Hundreds of clusters, of which a query may select a few, before a real Prometheus that takes its
time.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from localcloud.prometheus import Prometheus
from tests.conftest import MakePrometheus
from tests.integration import faults
from tests.integration.conftest import MakeFunction, MakeProxy
from tests.integration.deployment import CENTRAL, HOUR_S, LAST_END, PREFIX, Function
from tests.integration.faults import Exchange, Proxy, Request
from tests.integration.matchers import selected
from tests.integration.sandbox import Event
from tests.integration.short_runs import races_the_clock
from tests.integration.test_by_cluster import CLUSTERS, OWN, TOO_MANY, fill

MOST = 12  # clusters that one query may select
TAKES_S = 0.4
SECONDS = 10.0  # of an invocation, of which 5 are its reserve
pytestmark = races_the_clock
ITEM = {"start": LAST_END - HOUR_S, "end": LAST_END}


@pytest.fixture(scope="module")
def crowd(make_prometheus: MakePrometheus) -> Prometheus:
    return fill(make_prometheus())


@pytest.fixture
def proxy(make_proxy: MakeProxy, crowd: Prometheus) -> Proxy:
    proxy = make_proxy(crowd.url.removesuffix(crowd.path_prefix))
    proxy.spoil(slowly(lambda r: len(selected(r.fields["query"], ("", *CLUSTERS))) > MOST))
    return proxy


@pytest.fixture
def nodes(make_function: MakeFunction, proxy: Proxy) -> Function:
    """One metric, one window, asked for through `proxy`."""
    return replace(make_function(PORT=str(proxy.port), EXTRA_METRICS=OWN), metrics=())


def slowly(refused: Callable[[Request], bool]) -> faults.Fault:
    def act(exchange: Exchange) -> None:
        if refused(exchange.request):
            faults.error(422, TOO_MANY)(exchange)
            return
        exchange.wait(TAKES_S)
        exchange.send(exchange.forward())

    return act


def started(function: Function) -> list[str]:
    return list(function.keys(f"{PREFIX}/{CENTRAL}/_started/"))


def answered(proxy: Proxy) -> Counter[str]:
    """How often each cluster was answered for."""
    found: Counter[str] = Counter()
    for request in proxy.queries:
        if request.status == 200 and not request.fields["query"].startswith("count("):
            found.update(selected(request.fields["query"], ("", *CLUSTERS)))
    return found


def assert_once(proxy: Proxy, invocations: int) -> None:
    """Each cluster, but for the query at which the time of an invocation ends."""
    found = answered(proxy)
    assert len(found) == len(CLUSTERS) + 1
    assert found.total() - len(found) <= MOST * invocations


def until_complete(export: Callable[[], Event], done: Callable[[Event], bool]) -> int:
    """After how many invocations it is complete."""
    for number in range(1, 25):
        if done(export()):
            return number
    raise AssertionError("it never ends")


def test_run_after_run_continues_where_the_last_one_ended(
    nodes: Function, proxy: Proxy, crowd: Prometheus
) -> None:
    runs = until_complete(
        lambda: nodes.export(seconds=SECONDS), lambda result: result["outcome"] == "complete"
    )
    assert runs > 2
    assert nodes.differences(crowd, 1) == []
    assert_once(proxy, runs)
    assert nodes.checkpoint()["failures"] == []
    assert started(nodes) == []


def test_the_map_calls_until_it_is_finished(
    nodes: Function, proxy: Proxy, crowd: Prometheus
) -> None:
    nodes.export(seconds=SECONDS)
    assert len(started(nodes)) >= 2
    calls = until_complete(
        lambda: nodes.backfill(ITEM, seconds=SECONDS), lambda result: result["finished"]
    )
    assert calls > 1
    assert nodes.differences(crowd, 1) == []
    assert_once(proxy, calls + 1)
    assert started(nodes) == []


def test_what_is_split_in_time_only_is_continued_too(
    nodes: Function, proxy: Proxy, crowd: Prometheus
) -> None:
    query = "max by (cluster,node)(kube_node_info)"
    mine = nodes.with_env(EXTRA_METRICS=json.dumps({"mine": query}))
    proxy.heal()
    proxy.spoil(slowly(lambda r: r.span_s > 60))
    runs = until_complete(
        lambda: mine.export(seconds=SECONDS), lambda result: result["outcome"] == "complete"
    )
    assert runs > 1
    assert mine.differences(crowd, 1) == []
    assert {one["attempts"] for one in mine.checkpoint()["failures"]} <= {1}


def test_a_source_that_is_away_for_a_part_costs_that_part(
    nodes: Function, proxy: Proxy, crowd: Prometheus
) -> None:
    """The hundredth query meets a restart."""

    def is_late(request: Request) -> bool:
        return request.is_query and sum(answered(proxy).values()) > 100

    proxy.heal()
    proxy.spoil(faults.answer(503), is_late, times=4)
    proxy.spoil(slowly(lambda r: len(selected(r.fields["query"], ("", *CLUSTERS))) > MOST))
    assert nodes.export(seconds=60)["outcome"] == "unfinished"
    assert nodes.export(seconds=60)["outcome"] == "complete"
    assert nodes.differences(crowd, 1) == []
    assert set(answered(proxy).values()) == {1}


def _other_query(nodes: Function) -> Function:
    query = "min by ($cluster_label,node)(kube_node_info{$matchers})"
    return replace(nodes.with_env(EXTRA_METRICS=json.dumps({"nodes": query})), metrics=())


def _damage(nodes: Function) -> Function:
    for key in started(nodes):
        if key.endswith(".part"):
            nodes.put(key, b"x" * len(nodes.read(key)))
    return nodes


def _truncate(nodes: Function) -> Function:
    (key,) = (key for key in started(nodes) if key.endswith(".json"))
    nodes.put(key, nodes.read(key)[:-20])
    return nodes


def _remove(nodes: Function) -> Function:
    for key in started(nodes):
        if key.endswith(".part"):
            nodes.delete(key)
    return nodes


def _a_day_later(nodes: Function) -> Function:
    nodes.clock.advance(86_400 + 60)
    return nodes


@pytest.mark.parametrize("change", [_other_query, _damage, _truncate, _remove])
def test_what_does_not_fit_is_fetched_from_its_beginning(
    change: Callable[[Function], Function], nodes: Function, proxy: Proxy, crowd: Prometheus
) -> None:
    """Another query than that of before, or objects that are not as they were written."""
    nodes.export(seconds=SECONDS)
    changed = change(nodes)
    result = changed.export(seconds=60)
    assert result["outcome"] == "complete"
    assert changed.differences(crowd, 1) == []
    assert max(answered(proxy).values()) == 2
    assert started(changed) == []


def test_parts_of_another_day_are_not_used(nodes: Function, proxy: Proxy) -> None:
    nodes.export(seconds=SECONDS)
    _a_day_later(nodes).backfill(ITEM, seconds=60)
    assert max(answered(proxy).values()) == 2
    assert started(nodes) == []


def test_what_was_requested_again_since_is_fetched_again(
    nodes: Function, proxy: Proxy, crowd: Prometheus
) -> None:
    nodes.export(seconds=SECONDS)
    event = {"action": "reexport", **ITEM}
    assert nodes.export(event, seconds=60)["outcome"] == "complete"
    assert max(answered(proxy).values()) == 2
    assert nodes.differences(crowd, 1) == []
