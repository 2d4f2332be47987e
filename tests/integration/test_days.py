"""What only days show: 29 February, a year's end, a week without a run, a metric that comes, goes
and comes back, and a retention that is shorter than the backfill. tests/torture has a whole year.
"""

import pytest

from localcloud.prometheus import Prometheus
from tests.clocks import unix
from tests.conftest import MakePrometheus
from tests.integration.conftest import MakeFunction
from tests.integration.days import (
    DAY_S,
    LOAD,
    STEP_S,
    WITH_PEAK,
    ask_for_month,
    at,
    differences,
    fill,
)
from tests.integration.deployment import CENTRAL, PREFIX, Function, start_of
from tests.integration.sandbox import Event

FRAME_S = 12 * 3600
BEGIN, END = unix("2024-02-26"), unix("2024-03-12")


@pytest.fixture(scope="module")
def source(make_prometheus: MakePrometheus) -> Prometheus:
    """The end of a February with 29 days and half a March; then the turn of the year."""
    prometheus = make_prometheus()
    fill(prometheus, BEGIN, END)
    fill(prometheus, unix("2024-12-29"), unix("2025-01-03"))
    return prometheus


@pytest.fixture
def function(make_function: MakeFunction, source: Prometheus) -> Function:
    """Begins with BEGIN, and keeps its files."""
    return make_function(
        PORT=str(source.port),
        QUERY_STEP=str(STEP_S),
        TIME_FRAME="12h",
        BACKFILL_DAYS="2d",
        INITIAL_BACKFILL_DATE="2024-02-26",
        RETENTION_DAYS="0",
        EXTRA_METRICS=LOAD,
    )


def run(function: Function, date: str, **env: str) -> tuple[Function, Event]:
    """Deployed anew and run at this time."""
    today = at(function, unix(date), **env)
    result = today.export()
    assert result["outcome"] == "complete", result
    return today, result


def days_of(function: Function) -> set[str]:
    """The folders of days, of one cluster."""
    keys = function.keys(f"{PREFIX}/prod-eu/")
    return {key.removeprefix(f"{PREFIX}/prod-eu/").partition("/metric=")[0] for key in keys}


def test_29_february_is_a_day_of_its_month(function: Function, source: Prometheus) -> None:
    for date in ("2024-02-29T00:05", "2024-02-29T12:30", "2024-03-01T00:09", "2024-03-01T00:10"):
        today, _ = run(function, date)
    assert days_of(today) == {f"end=20240301/day={day}" for day in (26, 27, 28, 29)}
    assert differences(today, source, "load", BEGIN, unix("2024-03-01"), FRAME_S) == []
    said = ask_for_month(today, unix("2024-02-01"))["message"]
    assert said.startswith("February 2024 is complete only from 26 February 2024 on: 8/8 ")


def test_a_year_ends_in_the_next_one(function: Function, source: Prometheus) -> None:
    function = function.with_env(INITIAL_BACKFILL_DATE="2024-12-29")
    for date in ("2024-12-31T23:59", "2025-01-01T00:00", "2025-01-01T00:20", "2025-01-02T12:20"):
        today, _ = run(function, date)
    assert days_of(today) == {
        *(f"end=20250101/day={day}" for day in (29, 30, 31)),
        *(f"end=20250201/day={day}" for day in (1, 2)),
    }
    start, end = unix("2024-12-29"), unix("2025-01-02T12:00")
    assert differences(today, source, "load", start, end, FRAME_S) == []


def test_a_week_without_any_run_is_made_up_for(function: Function, source: Prometheus) -> None:
    """However few days BACKFILL_DAYS has: they are those before the first run."""
    function = function.with_env(INITIAL_BACKFILL_DATE="")
    run(function, "2024-02-28T00:20")
    today, result = run(function, "2024-03-07T12:20")
    assert result["windows"]["planned"] == 17
    start, end = BEGIN, unix("2024-03-07T12:00")
    assert differences(today, source, "load", start, end, FRAME_S) == []
    assert today.checkpoint()["failures"] == []


def test_a_metric_comes_goes_and_comes_back(function: Function, source: Prometheus) -> None:
    """It begins as far back as a backfill goes, and lacks nothing of the days it was left out."""
    function = function.with_env(INITIAL_BACKFILL_DATE="")
    run(function, "2024-02-29T12:20")
    run(function, "2024-03-02T12:20", EXTRA_METRICS=WITH_PEAK)
    gone, _ = run(function, "2024-03-05T12:20")
    before = {key for key in gone.file_keys() if "metric=peak/" in key}
    assert max(map(start_of, before)) == unix("2024-03-02")
    today, _ = run(function, "2024-03-08T00:20", EXTRA_METRICS=WITH_PEAK)
    assert before < {key for key in today.file_keys() if "metric=peak/" in key}
    end = unix("2024-03-08")
    for metric, first in (("load", "2024-02-27T12:00"), ("peak", "2024-02-29T12:00")):
        assert differences(today, source, metric, unix(first), end, FRAME_S) == []
        starts = [start_of(key) for key in today.file_keys() if f"metric={metric}/" in key]
        assert min(starts) == unix(first)


def test_what_retention_would_delete_is_not_exported(
    function: Function, source: Prometheus
) -> None:
    """RETENTION_DAYS shorter than the backfill: each day is exported once and deleted once."""
    settings = {"INITIAL_BACKFILL_DATE": "2024-02-26", "RETENTION_DAYS": "3"}
    counts = []
    for day in range(4, 8):
        today, first = run(function, f"2024-03-0{day}T00:20", **settings)
        kept = unix(f"2024-03-0{day}") - 3 * DAY_S
        assert differences(today, source, "load", kept, kept + 3 * DAY_S, FRAME_S) == []
        assert min(map(start_of, today.file_keys())) == kept
        again, second = run(function, f"2024-03-0{day}T00:50", **settings)
        assert (second["windows"]["planned"], second["deleted"]) == (0, 0)
        assert again.file_keys() == today.file_keys()
        counts.append((first["windows"]["planned"], first["deleted"]))
    # Two windows a day, of three folders each.
    assert counts == [(6, 0), (2, 6), (2, 6), (2, 6)]
    assert f"{PREFIX}/{CENTRAL}/checkpoint.json" in today.keys()  # noqa: SIM118 - of the bucket
