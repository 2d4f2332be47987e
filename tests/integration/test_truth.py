"""Whoever sums the files gets what is true, however the cluster was scraped.

One Prometheus holds a known cluster once for each way of scraping it, under that way's name. All of
it is exported, and summed by the macro of docs/reading.md.
"""

import contextlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import duckdb
import pytest

from localcloud.prometheus import Prometheus, running_prometheus
from localcloud.remote_write import Batch, RemoteWriter
from mimir_exporter.catalog.metrics import CLUSTER, Metric, load_catalog
from mimir_exporter.compose import Dependencies, create_context
from mimir_exporter.events import ExportEvent
from mimir_exporter.runs.reexport import export_missing
from mimir_exporter.settings.load import load_settings
from mimir_exporter.storage.folder import LocalFolder
from mimir_exporter.timeline.deadline import Deadline
from tests.integration.sandbox import Clock
from tests.known_cluster import KnownCluster, make_known_cluster
from tests.ways import SLOW_WAYS, WAYS

PAGE = Path(__file__).parents[2] / "docs" / "reading.md"
HOUR_S = 3600
HOURS = 4
END = 1740830400  # 2025-03-01T12:00:00Z
BEGIN = END - HOURS * HOUR_S
CATALOG = {metric.name: metric for metric in load_catalog()}
# At a scrape a minute. What is used between a start and the first scrape is not seen, nor between
# the last one and the end: so a pod has two steps more or less, and rarer scrapes miss more.
TOLERANCE = 0.01
STEPS = 2.0
SUMMED = (
    *("cpu_usage", "memory_usage", "cpu_requests", "memory_requests", "gpu_requests"),
    *("bytes_received", "bytes_transmitted", "pod_labels", "pod_owner", "pod_info"),
)
Sums = dict[tuple[str, str], float]


@pytest.fixture(scope="module")
def cluster() -> KnownCluster:
    return make_known_cluster(BEGIN, END)


@pytest.fixture(scope="module")
def scraped(cluster: KnownCluster) -> Iterator[Prometheus]:
    with running_prometheus() as prometheus:
        push(prometheus, cluster, WAYS)
        yield prometheus


class Stored(Protocol):
    """A way in which a cluster's samples reach the store."""

    def store(
        self, cluster: KnownCluster, name: str, begin: float, end: float
    ) -> Iterable[Batch]: ...


def push(prometheus: Prometheus, cluster: KnownCluster, ways: Mapping[str, Stored]) -> None:
    """All of it an hour at a time, as it would have come."""
    writer = RemoteWriter(prometheus.write_url)
    for hour in range(BEGIN - HOUR_S, END + 1, HOUR_S):
        for name, way in ways.items():
            writer.send(way.store(cluster, name, hour, hour + HOUR_S))


def export(prometheus: Prometheus, folder: Path, names: list[str], **settings: str) -> Path:
    """Metrics over the range, in `exports/` of the folder."""
    given = {
        "S3_BUCKET": "unused",
        "S3_PREFIX": "k8s/prometheus",
        "CLUSTER_NAME": "central",
        "HOSTNAME": "127.0.0.1",
        "PORT": str(prometheus.port),
        "PATH_PREFIX": prometheus.path_prefix,
        "QUERY_DELAY": "0",
        **settings,
    }
    place = LocalFolder(folder / "exports")
    local = Dependencies(clock=Clock(END + 1200), open_bucket=lambda *_: place)
    with create_context(
        load_settings(given), Deadline(900), run_id="truth", dependencies=local
    ) as context:
        event = ExportEvent(BEGIN, END, tuple(names))
        assert export_missing(context, event).outcome == "complete"
    return folder


@pytest.fixture(scope="module")
def exports(scraped: Prometheus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(scraped, tmp_path_factory.mktemp("truth"), list(CATALOG))


@pytest.fixture(scope="module")
def slow_sums(
    cluster: KnownCluster, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[tuple[str, str], Sums]:
    folder = tmp_path_factory.mktemp("slow")
    with running_prometheus() as prometheus:
        push(prometheus, cluster, SLOW_WAYS)
        return read_sums(export(prometheus, folder, list(SUMMED), RATE_RANGE="10m"))


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the page's macro, in the folder."""
    (macro,) = re.findall(
        r"(?ms)^```sql\n(CREATE OR REPLACE MACRO samples.*?)^```", PAGE.read_text("utf-8")
    )
    with contextlib.chdir(folder), duckdb.connect() as connection:
        connection.execute(macro)
        yield connection


@pytest.fixture(scope="module")
def sums(exports: Path) -> Mapping[tuple[str, str], Sums]:
    return read_sums(exports)


def read_sums(folder: Path) -> Mapping[tuple[str, str], Sums]:
    """By cluster and metric, then by namespace and pod."""
    found: dict[tuple[str, str], Sums] = defaultdict(dict)
    names = ", ".join(f"'{name}'" for name in SUMMED)
    with reading(folder) as connection:
        rows = connection.execute(
            "SELECT cluster, metric, labels ->> 'namespace', labels ->> 'pod', sum(value) "  # noqa: S608
            "FROM samples('exports/k8s/prometheus/*/end=*/day=*/metric=*/*.json.gz') "
            f"WHERE metric IN ({names}) GROUP BY ALL"
        ).fetchall()
    for cluster, metric, namespace, pod, value in rows:
        found[cluster, metric][namespace, pod] = value
    return found


def faults(found: Sums, truth: Sums, *, interval_s: float = 60.0) -> dict[str, tuple[float, float]]:
    """What is found and what is true where they differ, by pod, by namespace, of the cluster.

    `interval_s` is from one scrape to the next.
    """
    mean = sum(truth.values()) / len(truth) / (HOURS * 60)
    rarity = max(60.0, interval_s) / 60
    grouped: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for side, values in enumerate((found, truth)):
        for (namespace, pod), value in values.items():
            for name in (f"{namespace}/{pod}", namespace, "cluster"):
                grouped[name][side] += value
    return {
        name: (one, other)
        for name, (one, other) in grouped.items()
        if abs(one - other) > rarity * (TOLERANCE * other + (STEPS * mean if "/" in name else 0))
    }


def judge(
    sums: Mapping[tuple[str, str], Sums],
    cluster: KnownCluster,
    way: str,
    metric: str,
    *,
    rate_range_s: int = 300,
) -> dict[str, tuple[float, float]]:
    truth = cluster.truth(metric, BEGIN, END - 60, rate_range_s=rate_range_s)
    way_of = {**WAYS, **SLOW_WAYS}[way]
    interval_s = max(scrape.interval_s for scrape in (*way_of.kubelet, *way_of.state))
    return faults(sums.get((way, metric), {}), truth, interval_s=interval_s)


NO_NETWORK = ("resource-alone",)


@pytest.mark.parametrize("metric", SUMMED)
@pytest.mark.parametrize("way", WAYS)
def test_the_sum_is_the_truth(
    way: str, metric: str, sums: Mapping[tuple[str, str], Sums], cluster: KnownCluster
) -> None:
    if way in NO_NETWORK and metric.startswith("bytes_"):
        assert (way, metric) not in sums
        return
    assert judge(sums, cluster, way, metric) == {}


@pytest.mark.parametrize("metric", SUMMED)
@pytest.mark.parametrize("way", SLOW_WAYS)
def test_a_longer_rate_range_is_right_where_scrapes_are_rare(
    way: str, metric: str, slow_sums: Mapping[tuple[str, str], Sums], cluster: KnownCluster
) -> None:
    assert judge(slow_sums, cluster, way, metric, rate_range_s=600) == {}


@pytest.mark.parametrize("name", CATALOG)
def test_there_is_one_row_for_each_key_at_each_step(name: str, exports: Path) -> None:
    hold_one_row_for_each_key(CATALOG[name], exports)


def hold_one_row_for_each_key(metric: Metric, exports: Path) -> None:
    """At each step, and every label of the key is on it."""
    assert metric.key[0] == CLUSTER
    columns = ", ".join(f"labels ->> '{label}' AS {label}" for label in metric.key)
    files = f"exports/k8s/prometheus/*/end=*/day=*/metric={metric.name}/*.json.gz"
    with reading(exports) as connection:
        connection.execute(
            f"CREATE TABLE rows AS SELECT cluster AS folder, time, {columns} "  # noqa: S608
            f"FROM samples('{files}')"
        )
        assert connection.execute("SELECT count(*) > 0 FROM rows").fetchall() == [(True,)]
        twice = "SELECT * FROM rows GROUP BY ALL HAVING count(*) > 1"
        assert connection.execute(twice).fetchall() == []
        lacking = " OR ".join(f"coalesce({label}, '') = ''" for label in metric.key)
        assert connection.execute(f"SELECT * FROM rows WHERE {lacking}").fetchall() == []  # noqa: S608
