"""What a day takes beside the files themselves: manifests, receipts, checkpoint, and the audit.

A known cluster, a few times, in a real Prometheus; the function runs every half hour of two days in
fast motion, against MiniStack. Proxies count what the second day asks both of, when the windows of
the first are audited, and how long the source took to answer.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass

from bench.way import python_environment, run_module
from localcloud.aws import Cloud
from localcloud.prometheus import Prometheus, running_prometheus
from localcloud.remote_write import RemoteWriter
from mimir_exporter.catalog.metrics import load_catalog
from tests.integration.deployment import PREFIX, asking
from tests.integration.faults import Proxy, Request
from tests.integration.sandbox import Clock, Sandbox
from tests.known_cluster import KnownCluster, make_known_cluster
from tests.ways import USUAL

CLUSTERS = 4
HOUR_S, DAY_S, RUN_S = 3600, 86_400, 1800
# In the middle of a month, so that one month's receipt is written.
BEGIN = 1740787200 + 9 * DAY_S
# The parts of the bucket by what is in a key.
KINDS = {
    ".json.gz": "files",
    ".receipt": "receipts",
    "_manifests/": "manifests",
    "checkpoint.json": "checkpoint",
}


@dataclass(frozen=True)
class Bookkeeping:
    """Of one day: requests of S3 by part of the bucket and method, queries of the source by what
    they are for, and the seconds from each query to the end of its answer."""

    clusters: int
    metrics: int
    windows: int
    runs: int
    requests: dict[str, dict[str, int]]
    queries: dict[str, int]
    seconds: dict[str, float]
    date: str

    def count(self, kind: str, *methods: str) -> int:
        """Requests of a part of the bucket by these methods."""
        return sum(self.requests.get(kind, {}).get(method, 0) for method in methods)

    @property
    def metric_windows(self) -> int:
        return self.metrics * self.windows


def measure_bookkeeping(cloud: Cloud) -> Bookkeeping:
    """Two days, of which the second is counted, in a process of its own: some libraries read their
    environment when they are imported."""
    bucket = f"bookkeeping-{time.monotonic_ns()}"
    cloud.create_bucket(bucket)
    env = python_environment(cloud) | {"S3_BUCKET": bucket, "S3_PREFIX": PREFIX}
    return Bookkeeping(**run_module(env, "bench.bookkeeping"))


def measure_here() -> Bookkeeping:
    """The same in this process, into the bucket of its environment."""
    with ExitStack() as running:
        mimir = running.enter_context(running_prometheus())
        end = BEGIN + 2 * DAY_S + HOUR_S
        fill(mimir, make_known_cluster(BEGIN, end), BEGIN, end)
        source = running.enter_context(Proxy(f"http://127.0.0.1:{mimir.port}").running())
        s3 = running.enter_context(Proxy(os.environ["AWS_ENDPOINT_URL"]).running())
        env = {**asking(mimir), "PORT": str(source.port), "AWS_ENDPOINT_URL": s3.url}
        runs = [BEGIN + HOUR_S + 1200 + n * RUN_S for n in range(2 * DAY_S // RUN_S)]
        for number, now in enumerate(runs):
            if number == len(runs) // 2:
                source.heal()
                s3.heal()
            result = Sandbox(env=env, clock=Clock(now)).export()
            assert result["outcome"] == "complete", result
        queries, seconds = _count_queries(source.requests)
        return Bookkeeping(
            clusters=CLUSTERS,
            metrics=len(load_catalog()),
            windows=DAY_S // HOUR_S,
            runs=len(runs) // 2,
            requests=_count_requests(s3.requests),
            queries=queries,
            seconds=seconds,
            date=time.strftime("%Y-%m-%d", time.gmtime()),
        )


def fill(prometheus: Prometheus, cluster: KnownCluster, begin: int, end: int) -> None:
    """The cluster CLUSTERS times, from an hour before `begin` to an hour after `end`."""
    writer = RemoteWriter(prometheus.write_url)
    for hour in range(begin - HOUR_S, end + HOUR_S, HOUR_S):
        for number in range(CLUSTERS):
            writer.send(USUAL.store(cluster, f"prod-{number}", hour, hour + HOUR_S))


def _count_requests(requests: list[Request]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for one in requests:
        counts.setdefault(_kind(one), Counter())[_method(one)] += 1
    return {kind: dict(counts[kind]) for kind in sorted(counts)}


def _kind(request: Request) -> str:
    text = request.fields.get("prefix", "") or request.path
    return next((kind for part, kind in KINDS.items() if part in text), "other")


def _method(request: Request) -> str:
    return "LIST" if "list-type" in request.fields else request.method


def _count_queries(requests: list[Request]) -> tuple[dict[str, int], dict[str, float]]:
    """How many for each purpose, and their seconds."""
    counts: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for purpose, one in _purposes(requests):
        counts[purpose] = counts.get(purpose, 0) + 1
        seconds[purpose] = seconds.get(purpose, 0.0) + one.ended - one.began
    return counts, seconds


def _purposes(requests: list[Request]) -> Iterator[tuple[str, Request]]:
    for one in requests:
        counted = "count_over_time" in one.fields.get("query", "")
        if one.is_query:
            # An audit counts the windows of a day at once.
            yield ("audit" if counted else "export"), one
        elif counted:
            yield "counts at export", one


if __name__ == "__main__":
    print(json.dumps(asdict(measure_here())))
