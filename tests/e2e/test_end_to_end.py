"""The whole: deployed by the real CDK CLI, with IAM enforced and a Prometheus behind a password.

What happens in order, from an empty bucket to a complete export, is a chain of fixtures; the tests
look at it and run in any order.
"""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from localcloud.exporter import Exporter, InvocationError
from mimir_exporter.actions import ACTIONS, RUN
from mimir_exporter.catalog.metrics import load_catalog
from mimir_exporter.timeline.windows import iso_range
from tests.compare import Contract, compare
from tests.e2e.deployed import (
    DAY_S,
    DAYS,
    OWN_CLUSTERS,
    PREFIX,
    SETTLE_TIME_S,
    TIME_FRAME_S,
    TOGETHER,
    Deployed,
    catch_up,
    on_border,
)
from tests.some import some

BACKFILL_TIMEOUT_S = 400
CONTRACT = Contract(prefix=PREFIX, cluster_name="monitoring", time_frame_s=TIME_FRAME_S)
OWN_FOLDERS = {"prod-eu", "prod-us", "staging", "monitoring", "dev%2Feu%20west%20%C3%B6"}
Result = Mapping[str, Any]


@dataclass(frozen=True)
class Empty:
    """What was found before the first run."""

    check: Result
    keys_after_check: list[str]
    coverage: str
    status: Result


@pytest.fixture(scope="session")
def empty(deployed: Deployed) -> Empty:
    exporter = deployed.exporter
    check = exporter.invoke({"action": "check"})
    return Empty(
        check=check,
        keys_after_check=exporter.list_keys(),
        coverage=exporter.draw_coverage({}),
        status=exporter.invoke({"action": "status"}),
    )


@pytest.fixture(scope="session")
def first(deployed: Deployed, empty: Empty) -> Result:
    """Of the first run, whose time does not suffice."""
    result = catch_up(deployed)
    deployed.first_s = deployed.last_s
    deployed.results.append(dict(result))
    return result


@pytest.fixture(scope="session")
def during(deployed: Deployed, first: Result) -> Result:
    """Of a run while the backfill works."""
    return deployed.exporter.invoke()


@pytest.fixture(scope="session")
def backfill(deployed: Deployed, first: Result, during: Result) -> Any:
    """How far the first run's execution came, once it has ended."""
    return deployed.exporter.wait(first["execution"], BACKFILL_TIMEOUT_S)


@pytest.fixture(scope="session")
def complete(deployed: Deployed, backfill: Any) -> Result:
    """Of the run after that: from here on everything that is due is exported."""
    return catch_up(deployed)


def test_check_is_ready_and_leaves_nothing_behind(empty: Empty) -> None:
    result = empty.check
    assert result["outcome"] == "ready", result
    assert {finding["level"] for finding in result["findings"]} <= {"ok", "warning"}
    assert set(result["metrics"]) == {metric.name for metric in load_catalog()}
    assert empty.keys_after_check == []


def test_status_before_the_first_run_reports_that_nothing_is_there(empty: Empty) -> None:
    assert "Nothing has been exported yet" in empty.coverage
    assert empty.status["outcome"] == "nothing_yet"


def test_the_first_run_exports_some_and_hands_over_the_rest(
    deployed: Deployed, first: Result
) -> None:
    windows = first["windows"]
    assert first["outcome"] == "handed_over", first
    due_s = on_border(deployed.first_s - SETTLE_TIME_S) - on_border(deployed.first_s - DAYS * DAY_S)
    assert windows["planned"] == due_s // TIME_FRAME_S
    assert windows["exported"] > 0
    assert windows["failed"] == 0
    assert windows["handed_over"] == windows["planned"] - windows["exported"]


def test_a_run_while_the_backfill_works_takes_nothing_from_it(during: Result) -> None:
    assert during["windows"]["exported"] == 0, during
    assert during["windows"]["handed_over"] == 0, during


def test_the_backfill_succeeds(first: Result, backfill: Any) -> None:
    assert backfill.status == "SUCCEEDED", backfill
    items = -(-first["windows"]["handed_over"] // TOGETHER)
    assert backfill.windows == backfill.done == items
    assert backfill.failed == 0


def test_the_next_run_finds_everything_exported(complete: Result) -> None:
    assert complete["outcome"] == "complete", complete
    assert complete["windows"]["pending"] == 0


def test_every_sample_is_there_once_and_in_its_own_cluster(
    deployed: Deployed, complete: Result
) -> None:
    catch_up(deployed)
    objects = read_all(deployed.exporter)
    differences = compare(
        deployed.prometheus.query_range,
        objects.items(),
        catalogue={metric.name: metric.promql(CONTRACT.cluster_label) for metric in load_catalog()},
        start=on_border(deployed.first_s - DAYS * DAY_S),
        end=on_border(deployed.last_s - SETTLE_TIME_S),
        contract=CONTRACT,
    )
    assert differences == []
    assert {folder_of(key) for key in objects} == OWN_FOLDERS
    assert len(OWN_FOLDERS) == len({one.name for one in OWN_CLUSTERS} - {None})


def test_metadata_tells_what_is_in_a_file(deployed: Deployed, complete: Result) -> None:
    exporter = deployed.exporter
    start = on_border(deployed.last_s - SETTLE_TIME_S) - TIME_FRAME_S
    (key,) = (key for key in exporter.list_keys() if key.endswith(f"/{start}_gpu_requests.json.gz"))
    told = exporter.cloud.s3.head_object(Bucket=exporter.bucket, Key=key)["Metadata"]
    assert told["step"] == "60"
    assert told["series"] == "2"
    assert told["samples"] == "120"


def test_another_run_writes_nothing(deployed: Deployed, complete: Result) -> None:
    catch_up(deployed)
    before = versions(deployed.exporter)
    result = deployed.exporter.invoke()
    assert result["outcome"] == "complete", result
    assert result["windows"]["planned"] == 0
    assert result["objects"] == 0
    assert versions(deployed.exporter) == before


def test_exporting_a_range_again_writes_the_same_objects(
    deployed: Deployed, complete: Result
) -> None:
    exporter = deployed.exporter
    end = on_border(deployed.last_s - SETTLE_TIME_S)
    before = {
        key: exporter.read(key) for key in some(versions(exporter)) if f"/{end - 7200}_" in key
    }
    result = exporter.invoke({"action": "reexport", "start": end - 7200, "end": end - 3600})
    assert result["outcome"] == "complete", result
    assert result["windows"]["exported"] == 1
    assert {key: exporter.read(key) for key in before} == before


def test_status_tells_that_it_is_complete(deployed: Deployed, complete: Result) -> None:
    catch_up(deployed)
    result = deployed.exporter.invoke({"action": "status"})
    assert result["outcome"] == "complete", result
    assert result["pending_windows"] == 0


def test_the_coverage_map_is_drawn_with_its_own_role(deployed: Deployed, complete: Result) -> None:
    """Which may read the checkpoint, and list and read nothing beside it."""
    shown = {"theme": "dark", "width": 900, "height": 500}
    # Of what is due: in the first hour of a month nothing of it is.
    newest = datetime.fromtimestamp(deployed.last_s - SETTLE_TIME_S - TIME_FRAME_S, UTC)
    asked = {"month": newest.strftime("%Y-%m"), "widgetContext": shown}
    html = deployed.exporter.draw_coverage(asked)
    assert "is complete" in html
    assert html.count(" UTC: ") >= 28 * 24  # an hour a cell, each with its states
    assert '"month": "' in html


def test_an_unknown_action_is_refused_with_the_known_ones(deployed: Deployed) -> None:
    names = ", ".join(name for name in ACTIONS if name != RUN.name)
    known = f"or one of the actions {names} "
    with pytest.raises(InvocationError, match=re.escape(known)):
        deployed.exporter.invoke({"action": "exprot"})


def test_the_log_tells_of_each_metric_and_window(deployed: Deployed, first: Result) -> None:
    windows = {metric.name: set[str]() for metric in load_catalog()}
    lines = list(deployed.exporter.log_events())
    # Runs after the first one export too, if a window has become due since.
    run = next(line["run"] for line in lines if line["message"] == "run planned")
    for line in lines:
        if line["message"] == "metric exported" and line["run"] == run:
            windows[line["metric"]].add(line["window"])
    # The time ran out in the middle of a window, so some metrics have one more.
    exported = first["windows"]["exported"]
    assert {len(found) for found in windows.values()} <= {exported, exported + 1}


def test_the_lines_of_a_window_are_in_both_logs_under_its_name(
    deployed: Deployed, first: Result, backfill: Any
) -> None:
    """The oldest was handed over; the execution's name went with it into the Map and back."""
    start = on_border(deployed.first_s - DAYS * DAY_S)
    window = iso_range(start, start + TIME_FRAME_S)
    lines = [
        line
        for log in ("LogConsole", "BackfillLogConsole")
        for line in deployed.exporter.log_events(log)
        if line.get("window") == window
    ]
    exported = ["metric exported"] * len(load_catalog())
    assert [line["message"] for line in lines] == [
        "window handed over",
        "window started",
        *exported,
        "window exported",
        "window finished",
    ]
    assert {line["execution"] for line in lines} == {first["execution"]}
    assert len({line["run"] for line in lines}) == 2


def test_the_schedule_invokes_the_function_every_30_minutes(deployed: Deployed) -> None:
    cloud = deployed.cloud
    scheduler = cloud.session.client("scheduler", **cloud.where)
    schedules = [
        scheduler.get_schedule(Name=one["Name"], GroupName=one["GroupName"])
        for one in scheduler.list_schedules()["Schedules"]
    ]
    own = f":function:{deployed.exporter.function_name}"
    (schedule,) = (one for one in schedules if one["Target"]["Arn"].endswith(own))
    assert schedule["ScheduleExpression"] == "rate(30 minutes)"
    assert schedule["State"] == "ENABLED"


def read_all(exporter: Exporter) -> dict[str, bytes]:
    keys = list(versions(exporter))
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(keys, pool.map(exporter.read, keys), strict=True))


def versions(exporter: Exporter) -> dict[str, str]:
    """When each file of this exporter was last written; another one may share its bucket."""
    pages = exporter.cloud.s3.get_paginator("list_objects_v2").paginate(Bucket=exporter.bucket)
    return {
        item["Key"]: f"{item['ETag']} {item['LastModified']}"
        for page in pages
        for item in page.get("Contents", [])
        if folder_of(item["Key"]) in OWN_FOLDERS and item["Key"].endswith(".json.gz")
    }


def folder_of(key: str) -> str:
    return key.removeprefix(f"{PREFIX}/").partition("/")[0]
