"""A Prometheus that really refuses: too many samples for one query."""

import gzip
import json
from dataclasses import replace

import pytest

from localcloud.history import History
from localcloud.prometheus import Prometheus
from mimir_exporter.errors import ExportError
from tests.compare import Contract
from tests.conftest import MakePrometheus
from tests.integration.conftest import MakeFunction, MakeProxy
from tests.integration.deployment import CENTRAL, HOUR_S, LAST_END, NOW, PREFIX, Function, start_of
from tests.integration.faults import Proxy
from tests.integration.matchers import is_by_cluster
from tests.integration.sandbox import Clock
from tests.some import some

# So many samples may a query hold at once: those that it reads and those that each of its operators
# makes, so about three for each series and step, from Prometheus 3 on fewer. An hour of ten nodes
# has 1,800, so time is cut; a single step of 34 pods has 102, so that is split by cluster; the
# largest cluster has fewer.
MAX_SAMPLES = 90


def thrice(selector: str) -> str:
    """A query of one's own that is too large for a single step of all clusters."""
    return " + ".join(3 * [f"max by (cluster,pod)({selector})"])


@pytest.fixture(scope="module")
def strict(make_prometheus: MakePrometheus) -> Prometheus:
    """The same history as `mimir` has, behind a small --query.max-samples."""
    return make_prometheus(History(end_s=NOW, days=1), max_samples=MAX_SAMPLES)


@pytest.fixture
def proxy(make_proxy: MakeProxy, strict: Prometheus) -> Proxy:
    """Spoils nothing here: it only sees what is asked."""
    return make_proxy(f"http://127.0.0.1:{strict.port}")


@pytest.fixture
def limited(make_function: MakeFunction, proxy: Proxy) -> Function:
    """Few series and more, two windows, asked of `strict`."""
    function = make_function(PORT=str(proxy.port), BACKFILL_DAYS="2h")
    return replace(function, metrics=("node_info", "pod_info"))


def test_what_is_too_large_is_cut_until_it_fits(
    limited: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    result = limited.export()
    assert (result["outcome"], result["failures"]) == ("complete", [])
    assert limited.differences(mimir, 2) == []
    asked = {"node_info": 0, "pod_info": 0}
    for request in proxy.queries:
        asked["pod_info" if "kube_pod_info" in request.fields["query"] else "node_info"] += 1
    nodes = [r for r in proxy.queries if "kube_node_info" in r.fields["query"]]
    assert not any(is_by_cluster(request.fields["query"]) for request in nodes)
    pods = [r for r in proxy.queries if is_by_cluster(r.fields["query"])]
    # By cluster as large as it fits, and not every step of each.
    assert max(request.span_s for request in pods) == HOUR_S - 60
    answered = [line["parts"] for line in limited.messages("metric exported")]
    assert all(parts < 100 for parts in some(answered))
    assert all(parts > 10 for parts in some(answered))


def test_the_log_tells_of_each_smaller_size_once(limited: Function) -> None:
    """A metric that is refused fifty times does not fill the log with it."""
    limited.export()
    cuts = {
        (line["metric"], line["window"]): line["splits"]
        for line in limited.messages("metric exported")
    }
    told: dict[tuple[str, str], list[tuple[str, int]]] = {key: [] for key in cuts}
    for line in limited.messages("query split"):
        told[line["metric"], line["window"]].append((line["split"], line["part_s"]))
    assert max(cuts.values()) > 30
    for sizes in told.values():
        assert len(sizes) == len(set(sizes)) <= 8
    first = next(sizes for (metric, _), sizes in told.items() if metric == "pod_info")
    assert first[-1] == ("by_cluster", HOUR_S)
    assert [size for _, size in first[:-1]] == sorted(
        {size for _, size in first[:-1]}, reverse=True
    )


def test_one_file_holds_all_parts(limited: Function) -> None:
    """A series is there once for each part, and the metadata counts what is there."""
    limited.export()
    (key,) = (
        key
        for key in limited.file_keys()
        if "/prod-eu/" in key and "=pod_info/" in key and start_of(key) == LAST_END - HOUR_S
    )
    series = json.loads(gzip.decompress(limited.read(key)))["data"]["result"]
    pods = {json.dumps(one["metric"], sort_keys=True) for one in series}
    assert len(series) > len(pods)
    metadata = limited.metadata(key)
    assert metadata["series"] == str(len(series))
    assert metadata["samples"] == str(sum(len(one["values"]) for one in series))


def test_without_a_place_for_matchers_only_that_metric_fails(
    limited: Function, mimir: Prometheus
) -> None:
    """One step of a query that cannot be split by cluster is too large: nothing is left to do."""
    own = limited.with_env(
        BACKFILL_DAYS="1h",
        EXTRA_METRICS=json.dumps({"every_pod": thrice("kube_pod_info")}),
    )
    result = own.export()
    assert result["outcome"] == "unfinished"
    (failure,) = result["failures"]
    assert failure["metric"] == "every_pod"
    for words in (
        "exceeds Mimir's limits even for one step of one cluster",
        "too many samples",
        "$matchers",
    ):
        assert words in failure["summary"] + failure["cause"] + failure["remedy"]
    assert own.differences(mimir, 1, only=("node_info", "pod_info")) == []
    with_place = own.with_env(
        EXTRA_METRICS=json.dumps({"every_pod": thrice("kube_pod_info{$matchers}")})
    )
    assert with_place.export()["outcome"] == "complete"
    assert with_place.differences(mimir, 1) == []


def test_clusters_are_asked_for_as_far_back_as_the_query_looks(
    limited: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """A cluster that has ended since has series all the same."""
    query = thrice("kube_pod_info{$matchers} offset 6h")
    own = replace(
        limited.with_env(BACKFILL_DAYS="1h", EXTRA_METRICS=json.dumps({"earlier": query})),
        metrics=(),
    )
    assert own.export()["outcome"] == "complete"
    asked = [r.fields for r in proxy.requests if r.path.endswith("/label/cluster/values")]
    assert asked
    assert all(int(fields["start"]) <= LAST_END - 7 * HOUR_S for fields in some(asked))
    assert own.differences(mimir, 1) == []


def test_windows_of_another_step_are_cut_in_steps_of_their_own(
    limited: Function, mimir: Prometheus
) -> None:
    """What fits is remembered within a run, which may meet windows of an older QUERY_STEP."""
    function = replace(limited, clock=Clock(LAST_END - 2.5 * HOUR_S), metrics=("node_info",))
    for step in ("600", "60"):
        # Not exported, as no server answers; but the grid is written down, and begins at the
        # next full hour: 60 at eleven.
        with pytest.raises(ExportError, match="Connection refused"):
            function.with_env(QUERY_STEP=step, PORT="1").export()
        function.clock.advance(HOUR_S)
    function.clock.advance(HOUR_S)
    assert function.export()["windows"]["exported"] == 5
    of_step: dict[str, dict[str, bytes]] = {"60": {}, "600": {}}
    for key, body in function.files().items():
        of_step[function.metadata(key)["step"]][key] = body
    assert function.differences(mimir, 1, files=of_step["60"]) == []
    coarse = Contract(prefix=PREFIX, cluster_name=CENTRAL, step_s=600)
    assert (
        function.differences(
            mimir, 4, until=LAST_END - HOUR_S, contract=coarse, files=of_step["600"]
        )
        == []
    )
