"""Days in fast motion: a Prometheus with a few series over many of them, and a run on each.

A sample every five minutes; a clock that is set, and not waited for.
"""

import math
from collections.abc import Collection, Iterator
from dataclasses import replace

from localcloud.prometheus import Prometheus
from localcloud.remote_write import Batch, RemoteWriter
from mimir_exporter.timeline.windows import iso
from tests.compare import Contract
from tests.integration.deployment import CENTRAL, PREFIX, Function, start_of
from tests.integration.sandbox import Clock, Event

DAY_S = 86_400
STEP_S = 300
PODS = {"prod-eu": ("api", "web"), "prod-us": ("api",), "": ("cron",)}

LOAD = '{"load": "sum by (cluster,pod)(pod_load{$matchers})"}'
WITH_PEAK = (
    '{"load": "sum by (cluster,pod)(pod_load{$matchers})",'
    ' "peak": "max by (cluster)(pod_load{$matchers})"}'
)


def fill(
    prometheus: Prometheus, start: int, end: int, clusters: Collection[str] = tuple(PODS)
) -> None:
    """Push a sample of each series of these clusters every STEP_S in [start, end), a week at a
    time."""
    writer = RemoteWriter(prometheus.write_url, prometheus.headers)
    for first in range(start, end, 7 * DAY_S):
        writer.send(_samples(range(first, min(first + 7 * DAY_S, end), STEP_S), clusters))


def _samples(times: range, clusters: Collection[str]) -> Iterator[Batch]:
    for number, (cluster, pods) in enumerate(PODS.items()):
        if cluster not in clusters:
            continue
        for pod in pods:
            labels = {"__name__": "pod_load", "pod": pod} | (
                {"cluster": cluster} if cluster else {}
            )
            values = [math.sin(time / 7000 + number) for time in times]
            yield Batch.of(labels, [time * 1000 for time in times], values)


def at(function: Function, now: float, **env: str) -> Function:
    """The deployment at another time, with other settings if given; it exports EXTRA_METRICS."""
    return replace(function.with_env(**env), clock=Clock(now), metrics=())


def ask_for_month(function: Function, start: int) -> Event:
    """What `status` says of the month that begins at `start`."""
    return function.export({"action": "status", "month": iso(start)[:7]})


def differences(
    function: Function, mimir: Prometheus, metric: str, start: int, end: int, frame_s: int
) -> list[str]:
    """What is wrong with the files of one metric in [start, end)."""
    files = {
        key: function.read(key)
        for key in function.file_keys()
        if f"metric={metric}/" in key and start <= start_of(key) < end
    }
    return function.differences(
        mimir,
        (end - start) / 3600,
        until=end,
        contract=Contract(PREFIX, CENTRAL, time_frame_s=frame_s, step_s=STEP_S),
        files=files,
        only=(metric,),
    )
