"""The set of metrics for clusters whose metrics come by OpenTelemetry: their sums are the truth.

As test_truth.py, with the same known cluster: once for each way in which collectors send it, once
for each of some ways of scraping, and once for both together.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from localcloud.prometheus import Prometheus, running_prometheus
from localcloud.remote_write import Batch
from mimir_exporter.catalog.metrics import catalog_text, load_catalog
from tests.integration.test_truth import (
    BEGIN,
    END,
    SUMMED,
    Sums,
    export,
    faults,
    hold_one_row_for_each_key,
    push,
    read_sums,
    reading,
)
from tests.known_cluster import KnownCluster, make_known_cluster
from tests.opentelemetry import Collector
from tests.scraping import Scrape, Way
from tests.ways import STATE, USUAL, WAYS

CATALOG = {metric.name: metric for metric in load_catalog(text=catalog_text("opentelemetry"))}


@dataclass(frozen=True)
class Sent:
    """What is sent of one cluster: by collectors, and by what scrapes it besides."""

    collectors: tuple[Collector, ...] = ()
    way: Way = field(default_factory=Way)

    def store(self, cluster: KnownCluster, name: str, begin: float, end: float) -> Iterator[Batch]:
        for collector in self.collectors:
            yield from collector.store(cluster, name, begin, end)
        yield from self.way.store(cluster, name, begin, end)


def sent_by(job: str, offset_s: float, interval_s: float = 60.0) -> Scrape:
    return Scrape({"job": job}, offset_s=offset_s, interval_s=interval_s, stale=False)


ONE = Collector()
WITH_STATE = Way(state=(STATE,))
# kube-state-metrics beside: so there are labels, accelerators, sidecars and the host's network.
BESIDE = {
    "beside-state-metrics": Sent((ONE,), WITH_STATE),
    "without-suffixes": Sent((Collector(suffixes=False),), WITH_STATE),
    "without-node": Sent((Collector(node_named=False),), WITH_STATE),
    "without-container-id": Sent((Collector(ids=("k8s_pod_uid",)),), WITH_STATE),
    "without-ids": Sent((Collector(ids=()),), WITH_STATE),
    "twice": Sent((ONE, Collector(sent_by("other", 38))), WITH_STATE),
    "twice-with-other-ids": Sent((ONE, Collector(sent_by("other", 38), ids=())), WITH_STATE),
    "twice-with-other-names": Sent(
        (ONE, Collector(sent_by("other", 38), suffixes=False)), WITH_STATE
    ),
    "node-by-one-of-two": Sent(
        (ONE, Collector(sent_by("other", 38), node_named=False)), WITH_STATE
    ),
    "every-15-seconds": Sent((Collector(sent_by("otel", 4, 15)),), WITH_STATE),
    "beside-cadvisor": Sent((ONE,), USUAL),
    "usual": Sent(way=USUAL),
    **{name: Sent(way=WAYS[name]) for name in ("ha-pair", "resource-alone", "ksm-not-honored")},
}
# Nothing but collectors: what they do not know, nothing else knows.
ALONE = {
    "alone": Sent((ONE,)),
    "alone-without-suffixes": Sent((Collector(suffixes=False, node_named=False),)),
}
SENT = {**BESIDE, **ALONE}
UNKNOWN = ("gpu_requests", "bytes_received", "bytes_transmitted", "pod_labels")


@pytest.fixture(scope="module")
def cluster() -> KnownCluster:
    return make_known_cluster(BEGIN, END)


@pytest.fixture(scope="module")
def sent(cluster: KnownCluster) -> Iterator[Prometheus]:
    with running_prometheus() as prometheus:
        push(prometheus, cluster, SENT)
        yield prometheus


@pytest.fixture(scope="module")
def exports(sent: Prometheus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("otel")
    return export(sent, folder, list(CATALOG), CATALOG="opentelemetry")


@pytest.fixture(scope="module")
def sums(exports: Path) -> Mapping[tuple[str, str], Sums]:
    return read_sums(exports)


def wrong(
    sums: Mapping[tuple[str, str], Sums], cluster: KnownCluster, name: str, metric: str
) -> dict[str, tuple[float, float]]:
    return faults(sums.get((name, metric), {}), cluster.truth(metric, BEGIN, END - 60))


def without_sidecars(cluster: KnownCluster) -> KnownCluster:
    pods = (
        replace(pod, containers=tuple(one for one in pod.containers if not one.kind))
        for pod in cluster.pods
    )
    return replace(cluster, pods=tuple(pods))


@pytest.mark.parametrize("metric", SUMMED)
@pytest.mark.parametrize("name", BESIDE)
def test_the_sum_is_the_truth(
    name: str, metric: str, sums: Mapping[tuple[str, str], Sums], cluster: KnownCluster
) -> None:
    if name == "resource-alone" and metric.startswith("bytes_"):
        assert (name, metric) not in sums
        return
    assert wrong(sums, cluster, name, metric) == {}


@pytest.mark.parametrize("metric", SUMMED)
@pytest.mark.parametrize("name", ALONE)
def test_collectors_alone_give_the_truth_or_nothing(
    name: str, metric: str, sums: Mapping[tuple[str, str], Sums], cluster: KnownCluster
) -> None:
    if metric in UNKNOWN:
        assert (name, metric) not in sums
        return
    known = without_sidecars(cluster) if metric.endswith("_requests") else cluster
    assert wrong(sums, known, name, metric) == {}


@pytest.mark.parametrize("name", CATALOG)
def test_there_is_one_row_for_each_key_at_each_step(name: str, exports: Path) -> None:
    hold_one_row_for_each_key(CATALOG[name], exports)


def test_a_pod_has_its_node_and_its_workload(exports: Path) -> None:
    """As kube-state-metrics tells the node, and k8sattributes the workload."""
    query = (
        "SELECT DISTINCT labels ->> 'pod', {} FROM samples("
        "'exports/k8s/prometheus/{}/end=*/day=*/metric={}/*.json.gz') ORDER BY ALL"
    )
    with reading(exports) as connection:

        def rows(columns: str, cluster: str, metric: str) -> list[tuple[str, ...]]:
            return connection.execute(query.format(columns, cluster, metric)).fetchall()

        node = "labels ->> 'node'"
        assert rows(node, "alone", "pod_info") == rows(node, "usual", "pod_info")
        owner = "labels ->> 'owner_kind', labels ->> 'owner_name'"
        owners = {pod: names for pod, *names in rows(owner, "alone", "pod_owner")}
    assert owners["api-0"] == ["Deployment", "api"]
    assert owners["db-0"] == ["StatefulSet", "db"]
    assert owners["report-29"] == ["Job", "report-29"]
    assert owners["bare"] == [None, None]


def test_nodes_have_what_they_can_allocate_and_whether_they_are_ready(
    exports: Path, cluster: KnownCluster
) -> None:
    query = (
        "SELECT DISTINCT labels ->> 'node', {}, value FROM samples("
        "'exports/k8s/prometheus/alone/end=*/day=*/metric={}/*.json.gz') ORDER BY ALL"
    )
    names = sorted(node.name for node in cluster.nodes)
    with reading(exports) as connection:
        ready = connection.execute(query.format("labels ->> 'condition'", "node_status")).fetchall()
        assert ready == [(name, "Ready", 1.0) for name in names]
        amounts = "labels ->> 'resource', labels ->> 'unit'"
        found = connection.execute(query.format(amounts, "node_allocatable")).fetchall()
        wanted = [
            (name, *row)
            for name in names
            for row in (("cpu", "core", 8.0), ("memory", "byte", 32.0 * 1024**3))
        ]
        assert found == wanted
