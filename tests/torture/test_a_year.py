"""A year in fast motion: is October complete, asked at the year's end?

A run every night from 1 January on, over a real Prometheus that holds the year. In it: a week
in which nothing ran, a day on which the endpoint was away, a new TIME_FRAME, a metric that came
later, was left out for six days and had a wrong query for nine, outages of single clusters that
catch up after their windows were exported, and a retention of 40 days that deletes behind.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from localcloud.prometheus import Prometheus
from mimir_exporter.errors import StopRunError
from tests.conftest import MakePrometheus
from tests.integration.conftest import MakeFunction
from tests.integration.days import (
    DAY_S,
    LOAD,
    PODS,
    STEP_S,
    WITH_PEAK,
    ask_for_month,
    at,
    differences,
    fill,
)
from tests.integration.deployment import Function, start_of
from tests.torture.conftest import Record

YEAR = datetime(2024, 1, 1, tzinfo=UTC)  # with a 29 February
BEGIN = int(YEAR.timestamp())
DAYS = 366
WRONG = WITH_PEAK.replace("max by (cluster)", "max by (cluster")


def moment(month: int, day: int, hour: int = 0) -> int:
    return int(datetime(2024, month, day, hour, tzinfo=UTC).timestamp())


# What the deployment was changed to, and when.
CHANGES = {
    moment(1, 1): {"EXTRA_METRICS": LOAD, "TIME_FRAME": "6h"},
    moment(6, 14, 12): {"EXTRA_METRICS": LOAD, "TIME_FRAME": "3h"},
    moment(8, 10): {"EXTRA_METRICS": WITH_PEAK, "TIME_FRAME": "3h"},
    moment(10, 3): {"EXTRA_METRICS": WRONG, "TIME_FRAME": "3h"},
    moment(10, 12): {"EXTRA_METRICS": WITH_PEAK, "TIME_FRAME": "3h"},
    moment(11, 7): {"EXTRA_METRICS": LOAD, "TIME_FRAME": "3h"},
    moment(11, 13): {"EXTRA_METRICS": WITH_PEAK, "TIME_FRAME": "3h"},
}
NOBODY_RAN = (moment(3, 4), moment(3, 11))
MIMIR_AWAY = (moment(5, 20), moment(5, 21))
# A cluster's agent is cut off, and sends what it had kept after the night's run has exported the
# windows without it: parts of windows, whole windows, and two clusters at once.
OUTAGES = {
    (moment(2, 10, 7), moment(2, 10, 10)): ("prod-us",),
    (moment(4, 16, 6), moment(4, 16, 18)): ("prod-eu",),
    (moment(7, 20, 1), moment(7, 20, 2)): ("",),
    (moment(9, 9), moment(9, 9, 21)): ("prod-eu", "prod-us"),
    (moment(11, 20, 10), moment(11, 20, 22)): ("prod-us",),
}
PEAK_SINCE = moment(8, 7, 21)  # the window of three days before the first run that knew of it


@pytest.fixture(scope="module")
def a_year(make_prometheus: MakePrometheus) -> Prometheus:
    """Prometheus for a sample every five minutes of a leap year, of three clusters."""
    return make_prometheus()


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
    months = [moment(month, 1) for month in range(1, 13)] + [BEGIN + DAYS * DAY_S]
    runs = replaced = 0
    for now in range(BEGIN + 23 * 3600, BEGIN + (DAYS + 1) * DAY_S, DAY_S):
        _scrape(a_year, now)
        if NOBODY_RAN[0] <= now < NOBODY_RAN[1]:
            continue
        settings = CHANGES[max(at for at in CHANGES if at < now)]
        away = MIMIR_AWAY[0] <= now < MIMIR_AWAY[1]
        today = at(function, now, **settings, **({"PORT": "9"} if away else {}))
        runs += _run(today)
        replaced += len({line["window"] for line in today.messages("window replaced")})
        for start, end in pairwise(months):
            # In the next month, while the files of this one are there.
            if now == end + 23 * 3600:
                assert _month(today, a_year, start, end) == []
                assert ask_for_month(today, start)["outcome"] == "complete"
    last = at(function, BEGIN + (DAYS + 1) * DAY_S - 3600, EXTRA_METRICS=WITH_PEAK, TIME_FRAME="3h")
    # A year on: what retention has deleted is known to have been there.
    for start in months[:10]:
        found = ask_for_month(last, start)
        assert found["outcome"] == "deleted", found["message"]
        assert not found["pending_windows"]
        assert re.search(r" (\d+) of \1 metric-windows had been exported", found["message"])
    assert ask_for_month(last, months[11])["outcome"] == "complete"
    kept_since = BEGIN + (DAYS - 40) * DAY_S
    assert min(map(start_of, last.file_keys())) == kept_since
    assert len(last.read(last.checkpoint_key)) < 10_000
    assert runs > 350
    record("days gone through", DAYS)
    record("runs", runs)
    assert replaced >= len(OUTAGES)
    record("outages of clusters, healed by the audit", len(OUTAGES))
    record("windows replaced by it", replaced)
    record("months complete, compared with Prometheus", 12)


def _scrape(prometheus: Prometheus, now: int) -> None:
    """Put into Prometheus what it gets on the day of `now`: that day but for outages, and what was
    held back of the day before."""
    day = now // DAY_S * DAY_S
    down = {
        cluster: span
        for span, names in OUTAGES.items()
        for cluster in names
        if day <= span[0] < day + DAY_S
    }
    for cluster in PODS:
        low, high = down.get(cluster, (day, day))
        fill(prometheus, day, low, (cluster,))
        fill(prometheus, high, day + DAY_S, (cluster,))
    for (low, high), clusters in OUTAGES.items():
        if day - DAY_S <= low < day:
            fill(prometheus, low, high, clusters)


def _run(function: Function) -> bool:
    """Whether the run found the endpoint there."""
    try:
        function.export()
    except StopRunError:
        return False
    return True


def _month(function: Function, mimir: Prometheus, start: int, end: int) -> list[str]:
    """What the month's files have wrong, for each metric and grid."""
    wrong = []
    for metric in function.catalog:
        begin = max(start, PEAK_SINCE) if metric.name == "peak" else start
        for low, high, frame_s in _grids(begin, end):
            wrong += differences(function, mimir, metric.name, low, high, frame_s)
    return wrong


def _grids(start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Parts of [start, end) with the TIME_FRAME that each was cut by."""
    changed = moment(6, 15)  # the end of the window in which the first run knew of it
    for low, high, frame_s in ((BEGIN, changed, 6 * 3600), (changed, end, 3 * 3600)):
        if max(low, start) < min(high, end):
            yield max(low, start), min(high, end), frame_s
