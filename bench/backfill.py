"""Three days of backfill, one window in a query and several: what the source gets to do.

Known clusters in a real Prometheus; the function in fast motion against MiniStack, and without
pauses: QUERY_DELAY is between two queries, so that their number says how long a backfill waits.
Queries, bytes and CPU are what Prometheus says of itself.
"""

import json
import os
import re
import sys
import time
from dataclasses import dataclass
from typing import Any

import urllib3

from bench.bookkeeping import CLUSTERS, DAY_S, fill
from bench.measure import peak_mb
from bench.way import python_environment, run_module
from localcloud.aws import Cloud
from localcloud.prometheus import Prometheus, running_prometheus
from mimir_exporter.catalog.metrics import load_catalog
from tests.integration.deployment import PREFIX, asking
from tests.integration.sandbox import Clock, Sandbox
from tests.known_cluster import make_known_cluster

DAYS = 3
BEGIN = 1740787200  # 2025-03-01
END = BEGIN + DAYS * DAY_S
TOGETHER = (1, 6, 24)


@dataclass(frozen=True)
class Backfill:
    """With up to `together` windows in a query.

    Range queries are each followed by a pause; those of one moment are not. `seconds` are the run's
    without its pauses, `peak_mb` its highest memory.
    """

    together: int
    range_queries: int
    other_queries: int
    sent_mb: float
    source_cpu_s: float
    seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Backfills:
    """DAYS of some clusters. `series` are those of a window, all metrics, on the average."""

    clusters: int
    series: int
    metrics: int
    windows: int
    runs: list[Backfill]
    date: str


def load_backfills(raw: dict[str, Any]) -> Backfills:
    """From JSON."""
    return Backfills(**{**raw, "runs": [Backfill(**run) for run in raw["runs"]]})


def measure_backfills(cloud: Cloud) -> Backfills:
    """Each in a process of its own, all of one source."""
    env = python_environment(cloud) | {"S3_PREFIX": PREFIX}
    runs, series = [], 0
    with running_prometheus() as source:
        fill(source, make_known_cluster(BEGIN, END), BEGIN, END)
        for together in TOGETHER:
            bucket = f"backfill-{time.monotonic_ns()}"
            cloud.create_bucket(bucket)
            before = _said_by(source)
            done = run_module(
                {
                    **env,
                    **asking(source),
                    "BACKFILL_DAYS": str(DAYS),
                    "S3_BUCKET": bucket,
                    "QUERY_WINDOWS": str(together),
                },
                "bench.backfill",
            )
            said = {name: value - before[name] for name, value in _said_by(source).items()}
            series = done.pop("series") // (DAYS * 24)
            runs.append(Backfill(together=together, **done, **said))
    return Backfills(
        CLUSTERS, series, len(load_catalog()), DAYS * 24, runs, time.strftime("%Y-%m-%d")
    )


def _said_by(source: Prometheus) -> dict[str, Any]:
    """Its own counters: of answered queries, their bytes, and seconds of CPU."""
    text = urllib3.request("GET", f"{source.url}/metrics").data.decode()

    def total(name: str, path: str) -> float:
        pattern = rf'^prometheus_http_{name}{{.*handler="/api/v1/{path}".*}} (\S+)$'
        return sum(float(found) for found in re.findall(pattern, text, re.MULTILINE))

    (cpu_s,) = re.findall(r"^process_cpu_seconds_total (\S+)$", text, re.MULTILINE)
    sent = total("response_size_bytes_sum", "query_range") + total(
        "response_size_bytes_sum", "query"
    )
    return {
        "range_queries": int(total("requests_total", "query_range")),
        "other_queries": int(total("requests_total", "query")),
        "sent_mb": sent / 1e6,
        "source_cpu_s": float(cpu_s),
    }


def main() -> None:
    began = time.monotonic()
    sandbox = Sandbox(env=dict(os.environ), clock=Clock(END + 1200))
    result = sandbox.export(seconds=850.0)
    seconds = time.monotonic() - began
    assert result["outcome"] == "complete", result
    json.dump(
        {"seconds": seconds, "peak_mb": peak_mb(), "series": result["series"]},
        sys.stdout,
    )


if __name__ == "__main__":
    main()
