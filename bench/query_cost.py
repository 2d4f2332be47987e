"""What the catalogue's queries cost the server, beside the plain ones of before.

A real Prometheus holds SERIES series of made-up clusters, scraped in the usual way. Each metric's
query of today and that of queries.toml are asked for in turns, as range queries over a window.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlencode

import urllib3

from bench.measure import Usage, cpu_s, interleave, ratio
from localcloud.prometheus import Prometheus, running_prometheus
from localcloud.remote_write import RemoteWriter
from mimir_exporter.catalog.metrics import Metric, load_catalog, read_catalog
from mimir_exporter.catalog.tables import read_set
from tests.known_cluster import Container, KnownCluster, Node, Pod
from tests.ways import USUAL

BEFORE = Path(__file__).with_name("queries.toml")
# The set that reads more than the default one: on series that only cAdvisor and kube-state-metrics
# make, so that the rest of its queries finds nothing.
OTHER = "opentelemetry"
CLUSTERS, NODES, PODS_A_NODE = 4, 20, 17
WINDOW_S, STEP_S = 3600, 60
ROUNDS = 5
# Seconds of CPU in a round: many queries, as a garbage collection of the server costs as much as a
# query, and would be counted to one of them by chance.
ROUND_S = 1.0
MOST_REPEATS = 200


@dataclass(frozen=True)
class QueryCost:
    """Seconds of the server's CPU for one metric of a window; `before` is None for a new one.

    `ratio` is the median of the rounds' own ratios, `catalog` the set it is of.
    """

    metric: str
    series: int
    cpu_s: float
    before_cpu_s: float | None
    ratio: float | None
    catalog: str = "default"


@dataclass(frozen=True)
class QueryCosts:
    """All metrics, and how many series the server held."""

    date: str
    version: str
    series: int
    costs: list[QueryCost]


def make_fleet_cluster() -> KnownCluster:
    """Pods of two containers, of which a fifth has a sidecar and a tenth a GPU and a volume."""
    nodes = tuple(
        Node(
            f"ip-10-1-0-{n}.ec2.internal",
            f"10.1.0.{n}",
            f"fd00::{n}",
            devices={"nvidia_com_gpu": 4},
        )
        for n in range(NODES)
    )
    return KnownCluster(nodes, tuple(_make_pods(nodes)))


def _make_pods(nodes: tuple[Node, ...]) -> Iterator[Pod]:
    proxy = Container("proxy", 0.05, 50e6, 0.1, 64e6)
    mesh = Container("mesh", 0.1, 80e6, 0.1, 96e6, kind="sidecar")
    for number in range(NODES * PODS_A_NODE):
        app = Container(
            "app", 0.3, 300e6, 0.5, 512e6, devices={"nvidia_com_gpu": 1} if number % 10 == 0 else {}
        )
        yield Pod(
            namespace=f"team-{number % 11}",
            name=f"web-{number % 37}-{number:05x}",
            uid=f"{number:08x}-0000-4000-8000-000000000000",
            node=nodes[number % NODES],
            containers=(app, proxy, mesh) if number % 5 == 0 else (app, proxy),
            start=0.0,
            end=4e9,
            gone=4e9,
            owner=("ReplicaSet", f"web-{number % 37}"),
            labels={"team": f"team-{number % 11}", "app": f"web-{number % 37}"},
            host_network=number % PODS_A_NODE == 3,
            claim=f"data-{number}" if number % 10 == 5 else "",
        )


def measure_queries() -> QueryCosts:
    """Every metric of the catalogue, in turns with its query of before."""
    first = int(time.time()) // WINDOW_S * WINDOW_S - 2 * WINDOW_S
    before = {metric.name: metric for metric in read_catalog(BEFORE.read_text("utf-8"))}
    with running_prometheus() as prometheus:
        load(prometheus, first)
        (held,) = prometheus.query('count({__name__!=""})', first + WINDOW_S - STEP_S)
        asker = Asker(prometheus, first)
        catalog = load_catalog()
        costs = [asker.measure(metric, before.get(metric.name)) for metric in catalog]
        costs += [
            replace(asker.measure(metric, before.get(metric.name)), catalog=OTHER)
            for metric in load_catalog(text=read_set(OTHER))
            if metric.query not in [known.query for known in catalog]
        ]
        version = urllib3.request("GET", f"{prometheus.url}/api/v1/status/buildinfo").json()
    date = time.strftime("%Y-%m-%d", time.gmtime())
    return QueryCosts(date, version["data"]["version"], int(held["value"][1]), costs)


def load(prometheus: Prometheus, first: int) -> None:
    """What the window's queries look at, from ten minutes before it."""
    writer = RemoteWriter(prometheus.write_url)
    cluster = make_fleet_cluster()
    for number in range(CLUSTERS):
        batches = list(USUAL.store(cluster, f"prod-{number}", first - 600, first + WINDOW_S))
        for at in range(0, len(batches), 1000):
            writer.send(batches[at : at + 1000])


class Asker:
    """Asks one server for a window, and reads its process's CPU."""

    def __init__(self, prometheus: Prometheus, first: int) -> None:
        self._url = f"{prometheus.url}/api/v1/query_range"
        self._first = first
        self._http = urllib3.PoolManager(retries=False)
        keeper = prometheus.server.pid
        children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text("utf-8").split()
        # MAKE_PROCESS_CPUCLOCK of Linux, with CPUCLOCK_SCHED: nanoseconds, all threads.
        self._clock = (~int(children[0]) << 3) | 2

    def measure(self, metric: Metric, before: Metric | None) -> QueryCost:
        """Both queries in turns, a batch of each in each round."""
        contenders = {"now": metric} | ({"before": before} if before else {})
        runs = interleave({name: self._batch(one) for name, one in contenders.items()}, ROUNDS)
        return QueryCost(
            metric.name,
            self._answer(metric).count(b'{"metric":'),
            cpu_s(runs["now"]),
            cpu_s(runs["before"]) if before else None,
            ratio(runs["now"], runs["before"]) if before else None,
        )

    def _batch(self, metric: Metric) -> Callable[[], Usage]:
        """The mean of as many queries as take ROUND_S."""
        self._ask(metric, 1)
        repeats = min(MOST_REPEATS, int(ROUND_S / self._ask(metric, 2).cpu_s) + 1)
        return lambda: self._ask(metric, repeats)

    def _ask(self, metric: Metric, repeats: int) -> Usage:
        cpu, wall = time.clock_gettime(self._clock), time.perf_counter()
        for _ in range(repeats):
            self._answer(metric)
        wall = time.perf_counter() - wall
        return Usage((time.clock_gettime(self._clock) - cpu) / repeats, wall / repeats)

    def _answer(self, metric: Metric) -> bytes:
        fields = {
            "query": metric.promql("cluster"),
            "start": str(self._first),
            "end": str(self._first + WINDOW_S - STEP_S),
            "step": str(STEP_S),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self._http.request("POST", self._url, body=urlencode(fields), headers=headers)
        if answer.status != 200:
            raise RuntimeError(f"{metric.name}: {answer.status} {answer.data[:300]!r}")
        return answer.data
