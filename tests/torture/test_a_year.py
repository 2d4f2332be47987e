"""A year in fast motion: is October complete, asked at the year's end?

A run every night from 1 January on, over a real Prometheus that holds the year. In it: a week
in which nothing ran, a day on which the endpoint was away, a new TIME_FRAME, a metric that came
later, was left out for six days and had a wrong query for nine, and a retention of 40 days that
deletes behind.
"""

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from localcloud.prometheus import Prometheus
from localcloud.remote_write import Batch, RemoteWriter
from mimir_exporter.errors import StopRunError
from mimir_exporter.windows import iso
from tests.compare import Contract
from tests.conftest import MakePrometheus
from tests.integration.conftest import MakeFunction
from tests.integration.deployment import CENTRAL, PREFIX, Function, start_of
from tests.integration.sandbox import Clock, Event
from tests.torture.conftest import Record

DAY_S = 86_400
STEP_S = 300
YEAR = datetime(2024, 1, 1, tzinfo=UTC)  # with a 29 February
BEGIN = int(YEAR.timestamp())
DAYS = 366
PODS = {"prod-eu": ("api", "web"), "prod-us": ("api",), "": ("cron",)}

GOOD = '{"load": "sum by (cluster,pod)(pod_load{$matchers})"}'
BOTH = (
    '{"load": "sum by (cluster,pod)(pod_load{$matchers})",'
    ' "peak": "max by (cluster)(pod_load{$matchers})"}'
)
WRONG = BOTH.replace("max by (cluster)", "max by (cluster")


def moment(month: int, day: int, hour: int = 0) -> int:
    return int(datetime(2024, month, day, hour, tzinfo=UTC).timestamp())


# What the deployment was changed to, and when.
CHANGES = {
    moment(1, 1): {"EXTRA_METRICS": GOOD, "TIME_FRAME": "6h"},
    moment(6, 14, 12): {"EXTRA_METRICS": GOOD, "TIME_FRAME": "3h"},
    moment(8, 10): {"EXTRA_METRICS": BOTH, "TIME_FRAME": "3h"},
    moment(10, 3): {"EXTRA_METRICS": WRONG, "TIME_FRAME": "3h"},
    moment(10, 12): {"EXTRA_METRICS": BOTH, "TIME_FRAME": "3h"},
    moment(11, 7): {"EXTRA_METRICS": GOOD, "TIME_FRAME": "3h"},
    moment(11, 13): {"EXTRA_METRICS": BOTH, "TIME_FRAME": "3h"},
}
NOBODY_RAN = (moment(3, 4), moment(3, 11))
MIMIR_AWAY = (moment(5, 20), moment(5, 21))
PEAK_SINCE = moment(8, 7, 21)  # the window of three days before the first run that knew of it


@pytest.fixture(scope="module")
def a_year(make_prometheus: MakePrometheus) -> Prometheus:
    """Prometheus with a sample every five minutes of a leap year, of three clusters."""
    prometheus = make_prometheus()
    writer = RemoteWriter(prometheus.write_url, prometheus.headers)
    for first in range(BEGIN, BEGIN + DAYS * DAY_S, 7 * DAY_S):
        writer.send(_week(first))
    return prometheus


def _week(first: int) -> Iterator[Batch]:
    times = range(first, min(first + 7 * DAY_S, BEGIN + DAYS * DAY_S), STEP_S)
    for number, (cluster, pods) in enumerate(PODS.items()):
        for pod in pods:
            labels = {"__name__": "pod_load", "pod": pod} | (
                {"cluster": cluster} if cluster else {}
            )
            values = [math.sin(time / 7000 + number) for time in times]
            yield Batch.of(labels, [time * 1000 for time in times], values)


@pytest.mark.long
def test_a_year_of_runs_is_complete_and_says_so(
    make_function: MakeFunction, a_year: Prometheus, record: Record
) -> None:
    env = {
        "PORT": str(a_year.port),
        "QUERY_STEP": str(STEP_S),
        "BACKFILL_DAYS": "3d",
        "RETENTION_DAYS": "40",
    }
    function = make_function(**env)
    clock = Clock(BEGIN)
    months = [moment(month, 1) for month in range(1, 13)] + [BEGIN + DAYS * DAY_S]
    runs = 0
    for now in range(BEGIN + 23 * 3600, BEGIN + (DAYS + 1) * DAY_S, DAY_S):
        clock.advance(now - clock())
        if NOBODY_RAN[0] <= now < NOBODY_RAN[1]:
            continue
        settings = CHANGES[max(at for at in CHANGES if at < now)]
        away = MIMIR_AWAY[0] <= now < MIMIR_AWAY[1]
        today = _deployed(function, clock, **settings, **({"PORT": "9"} if away else {}))
        runs += _run(today)
        for start, end in pairwise(months):
            # In the next month, while the files of this one are there.
            if now == end + 23 * 3600:
                assert _month(today, a_year, start, end) == []
                assert _asked(today, start)["outcome"] == "complete"
    last = _deployed(function, clock, EXTRA_METRICS=BOTH, TIME_FRAME="3h")
    # A year on: what retention has deleted is known to have been there.
    for start in months[:10]:
        found = _asked(last, start)
        assert found["outcome"] == "deleted", found["message"]
        assert not found["pending_windows"]
        assert re.search(r" (\d+) of \1 windows of metrics had been exported", found["message"])
    assert _asked(last, months[11])["outcome"] == "complete"
    kept_since = BEGIN + (DAYS - 40) * DAY_S
    assert min(map(start_of, last.file_keys())) == kept_since
    assert len(last.read(last.checkpoint_key)) < 10_000
    assert runs > 350
    record("days gone through", DAYS)
    record("runs", runs)
    record("months complete, compared with Prometheus", 12)


def _asked(function: Function, start: int) -> Event:
    return function.export({"action": "status", "month": iso(start)[:7]})


def _deployed(function: Function, clock: Clock, **env: str) -> Function:
    made = function.with_env(**env)
    return Function(cloud=made.cloud, bucket=made.bucket, env=made.env, clock=clock, metrics=())


def _run(function: Function) -> bool:
    """Whether the run found the endpoint there."""
    try:
        function.export()
    except StopRunError:
        return False
    return True


def _month(function: Function, mimir: Prometheus, start: int, end: int) -> list[str]:
    """What the month's files have wrong, metric by metric and grid by grid."""
    files = function.files()
    wrong = []
    for metric in function.catalog:
        begin = max(start, PEAK_SINCE) if metric.name == "peak" else start
        for low, high, frame_s in _grids(begin, end):
            part = {
                key: body
                for key, body in files.items()
                if f"metric={metric.name}/" in key and low <= start_of(key) < high
            }
            wrong += function.differences(
                mimir,
                (high - low) / 3600,
                until=high,
                contract=Contract(PREFIX, CENTRAL, time_frame_s=frame_s, step_s=STEP_S),
                files=part,
                only=(metric.name,),
            )
    return wrong


def _grids(start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Parts of [start, end) with the TIME_FRAME that each was cut by."""
    changed = moment(6, 15)  # the end of the window in which the first run knew of it
    for low, high, frame_s in ((BEGIN, changed, 6 * 3600), (changed, end, 3 * 3600)):
        if max(low, start) < min(high, end):
            yield max(low, start), min(high, end), frame_s
