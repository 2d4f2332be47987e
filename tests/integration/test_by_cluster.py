"""Hundreds of clusters in one source that refuses to answer for all of them at once.

Real Prometheus answers; a proxy before it refuses by the number of clusters that a query selects,
and spoils the list of clusters as real servers do.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from localcloud.prometheus import Prometheus
from localcloud.remote_write import Batch, RemoteWriter
from tests.conftest import MakePrometheus
from tests.integration import faults
from tests.integration.conftest import MakeFunction, MakeProxy
from tests.integration.deployment import HOUR_S, LAST_END, Function
from tests.integration.faults import Exchange, Fault, Proxy, Request
from tests.integration.matchers import is_by_cluster, is_complement, selected
from tests.integration.sandbox import Event
from tests.some import some

ODD = (
    "a.b",
    "a|b",
    "(x)",
    'say "hi"',
    "back\\slash",
    "$x^",
    "日本",
    "[c]",
    "{d}",
    "a*+?",
    "new\nline",
)
CLUSTERS = (*(f"prod-eu-west-{number:03d}-payments" for number in range(200)), *ODD)
SEARCH = tuple(f"elastic-{number}" for number in range(200))
MOST = 60  # clusters that one query may select
QUERY_BYTES = 8192
# One selector, so that the sets are as long as a query may be.
OWN = json.dumps({"nodes": "max by ($cluster_label,node)(kube_node_info{$matchers})"})
TOO_MANY = "the query exceeded the maximum number of series (err-mimir-max-series-per-query)"


def fill(prometheus: Prometheus) -> Prometheus:
    """One node for each cluster, and one without the label; and a search engine's clusters."""
    times = [1000 * at for at in range(LAST_END - 2 * HOUR_S - 300, LAST_END, 60)]

    def series(name: str, cluster: str) -> Batch:
        labels = {"__name__": name, "node": f"node-of-{cluster}", "namespace": "pay"}
        labels |= {"cluster": cluster} if cluster else {}
        return Batch.of(labels, times, [float(at % 7) for at in range(len(times))])

    writer = RemoteWriter(prometheus.write_url, prometheus.headers)
    writer.send(series("kube_node_info", cluster) for cluster in ("", *CLUSTERS))
    writer.send(series("elasticsearch_health", cluster) for cluster in SEARCH)
    return prometheus


@pytest.fixture(scope="module")
def crowd(make_prometheus: MakePrometheus) -> Prometheus:
    return fill(make_prometheus())


@pytest.fixture
def proxy(make_proxy: MakeProxy, crowd: Prometheus) -> Proxy:
    return make_proxy(crowd.url.removesuffix(crowd.path_prefix))


@pytest.fixture
def nodes(make_function: MakeFunction, proxy: Proxy) -> Function:
    """One metric, one window, asked for through `proxy`."""
    return replace(make_function(PORT=str(proxy.port), EXTRA_METRICS=OWN), metrics=())


def too_many(most: int = MOST, clusters: Sequence[str] = ("", *CLUSTERS)) -> Fault:
    return only_if(
        lambda r: len(selected(r.fields["query"], tuple(clusters))) > most,
        faults.error(422, TOO_MANY),
    )


def only_if(when: Callable[[Request], bool], fault: Fault) -> Fault:
    def act(exchange: Exchange) -> None:
        if when(exchange.request):
            fault(exchange)
        else:
            exchange.send(exchange.forward())

    return act


def lists_clusters(request: Request) -> bool:
    return request.path.endswith("/label/cluster/values")


def counts(request: Request) -> bool:
    return request.path.endswith("/query") and "count by" in request.fields["query"]


def assert_whole(function: Function, result: Event, crowd: Prometheus) -> None:
    assert (result["outcome"], result["failures"]) == ("complete", [])
    assert function.differences(crowd, 1) == []


def test_sets_of_clusters_and_their_complement_are_the_whole(
    nodes: Function, proxy: Proxy, crowd: Prometheus
) -> None:
    proxy.spoil(too_many())
    assert_whole(nodes, nodes.export(), crowd)
    answered = [r.fields["query"] for r in proxy.queries if r.status == 200]
    for cluster in ("", "one-that-no-list-has", *CLUSTERS):
        assert sum(cluster in selected(query, (cluster,)) for query in answered) == 1
    assert sum(map(is_complement, answered)) == len(answered) - 4
    assert all(len(r.fields["query"]) <= QUERY_BYTES for r in some(proxy.requests) if r.is_query)
    # 211 clusters: the whole, two sets or three, and again in halves.
    assert len(proxy.queries) <= 12
    listed = [r for r in proxy.requests if lists_clusters(r)]
    assert [r.fields["match[]"] for r in listed] == ["kube_node_info{}"]


@pytest.mark.parametrize(
    "spoil",
    [
        faults.alter(lambda body: _list(json.loads(body)["data"][:150])),
        faults.alter(lambda body: _list(json.loads(body)["data"][7:])),
        faults.alter(lambda body: _list([*json.loads(body)["data"][::2], "gone", "away"])),
        faults.alter(lambda _: _list([])),
        faults.answer(200, '{"status":"success","data":null}'),
        faults.answer(403, "only queries may pass"),
        faults.answer(404, "404 page not found"),
        faults.error(422, "match[] is not supported"),
        faults.answer(503, "no healthy upstream"),
        faults.answer(200, "<html>a login page</html>"),
    ],
    ids=[
        "cut off",
        "without the newest",
        "half of it",
        "empty",
        "null",
        "403",
        "404",
        "422",
        "503",
        "a page",
    ],
)
def test_a_list_that_lacks_clusters_loses_none(
    spoil: Fault, nodes: Function, proxy: Proxy, crowd: Prometheus
) -> None:
    """Even where what it lacks is too much for one query."""
    proxy.spoil(too_many())
    proxy.spoil(spoil, lists_clusters)
    assert_whole(nodes, nodes.export(), crowd)
    assert len(proxy.queries) <= 30


def test_a_list_that_is_always_cut_off_is_read_in_pieces(
    nodes: Function, proxy: Proxy, crowd: Prometheus
) -> None:
    """As VictoriaMetrics does with -search.maxTagValues; and no query counts past the limit."""
    proxy.spoil(too_many())
    proxy.spoil(faults.alter(lambda body: _list(json.loads(body)["data"][:40])), lists_clusters)
    proxy.spoil(faults.error(422, TOO_MANY), counts)
    assert_whole(nodes, nodes.export(), crowd)


def test_other_systems_clusters_are_not_asked_for(
    nodes: Function, proxy: Proxy, crowd: Prometheus
) -> None:
    proxy.spoil(too_many())
    assert nodes.export()["outcome"] == "complete"
    assert not any("elastic" in r.fields["query"] for r in proxy.queries)
    assert_whole(nodes, nodes.export(), crowd)


def test_what_worked_is_remembered(make_function: MakeFunction, proxy: Proxy) -> None:
    """The second window of a run begins with sets that fit."""
    longer = make_function(PORT=str(proxy.port), BACKFILL_DAYS="2h", EXTRA_METRICS=OWN)
    proxy.spoil(too_many())
    assert replace(longer, metrics=()).export()["outcome"] == "complete"
    earlier = [r for r in proxy.queries if int(r.fields["end"]) < LAST_END - HOUR_S]
    assert all(r.status == 200 for r in some(earlier))
    assert len(earlier) <= 6


@pytest.mark.parametrize(
    "query",
    [
        "avg by (namespace)(kube_node_info{$matchers})",
        "sum(kube_node_info{$matchers})",
        'label_replace(kube_node_info{$matchers}, "cluster", "all", "", "")',
    ],
    ids=["another grouping", "a sum", "another value"],
)
def test_a_query_whose_sense_depends_on_the_clusters_is_split_in_time_only(
    query: str, nodes: Function, proxy: Proxy, crowd: Prometheus
) -> None:
    own = replace(nodes.with_env(EXTRA_METRICS=json.dumps({"mine": query})), metrics=())
    refuse = faults.error(422, TOO_MANY)
    proxy.spoil(refuse, lambda r: r.is_query and r.span_s > 20 * 60 and not is_by_cluster(_q(r)))
    assert_whole(own, own.export(), crowd)
    (line,) = own.messages("metric not split")
    assert line["code"] == "not_split_by_cluster"


def test_everything_in_one_file_is_split_by_cluster_too(
    nodes: Function, proxy: Proxy, crowd: Prometheus
) -> None:
    proxy.spoil(too_many())
    one = nodes.with_env(SPLIT_BY_CLUSTER="false")
    result = one.export()
    assert (result["outcome"], len(one.file_keys())) == ("complete", 1)
    assert result["samples"] == 60 * (len(CLUSTERS) + 1)


def test_a_limit_that_one_cluster_exceeds_is_said(nodes: Function, proxy: Proxy) -> None:
    proxy.spoil(faults.error(422, TOO_MANY))
    result = nodes.export()
    assert result["outcome"] == "unfinished"
    assert result["failures"][0]["code"] == "query_exceeds_limits"
    assert len(proxy.queries) < 20


def _q(request: Request) -> str:
    return request.fields["query"]


def _list(names: Sequence[str]) -> bytes:
    return json.dumps({"status": "success", "data": list(names)}).encode()
