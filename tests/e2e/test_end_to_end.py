"""The whole: deployed by the real CDK CLI, with IAM enforced, against a Prometheus with a login.

The tests run in the order they stand in; each goes on from where the one before it stopped.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from localcloud.aws import Cloud
from localcloud.exporter import Exporter, InvocationError
from mimir_exporter.catalog.metrics import load_catalog
from mimir_exporter.timeline.windows import iso_range
from tests.compare import Contract, compare
from tests.e2e.deployed import (
    DAY_S,
    DAYS,
    PREFIX,
    SETTLE_TIME_S,
    TIME_FRAME_S,
    Deployed,
    on_border,
    wait_off_the_border,
)

BACKFILL_TIMEOUT_S = 400
CONTRACT = Contract(prefix=PREFIX, cluster_name="monitoring", time_frame_s=TIME_FRAME_S)
CHECKPOINT = f"{PREFIX}/monitoring/checkpoint.json"


def test_check_finds_it_fit(deployed: Deployed) -> None:
    result = deployed.exporter.invoke({"action": "check"})
    assert result["outcome"] == "ready", result
    assert {finding["level"] for finding in result["findings"]} <= {"ok", "warning"}
    assert set(result["metrics"]) == {metric.name for metric in load_catalog()}
    assert deployed.exporter.list_keys() == []


def test_status_before_the_first_run_says_that_nothing_is_there(deployed: Deployed) -> None:
    assert "Nothing has been exported yet" in deployed.exporter.draw_coverage({})
    assert deployed.exporter.invoke({"action": "status"})["outcome"] == "nothing_yet"


def test_the_first_run_exports_some_and_hands_over_the_rest(deployed: Deployed) -> None:
    wait_off_the_border()
    deployed.first_s = time.time()
    result = deployed.exporter.invoke()
    deployed.results.append(result)
    windows = result["windows"]
    assert result["outcome"] == "handed_over", result
    due_s = on_border(deployed.first_s - SETTLE_TIME_S) - on_border(deployed.first_s - DAYS * DAY_S)
    assert windows["planned"] == due_s // TIME_FRAME_S
    assert windows["exported"] > 0
    assert windows["failed"] == 0
    assert windows["handed_over"] == windows["planned"] - windows["exported"]


def test_a_run_while_the_backfill_works_takes_nothing_from_it(deployed: Deployed) -> None:
    result = deployed.exporter.invoke()
    assert result["windows"]["exported"] == 0, result
    assert result["windows"]["handed_over"] == 0, result


def test_the_backfill_succeeds(deployed: Deployed) -> None:
    (first,) = deployed.results
    progress = deployed.exporter.wait(first["execution"], BACKFILL_TIMEOUT_S)
    assert progress.status == "SUCCEEDED", progress
    assert progress.windows == progress.done == first["windows"]["handed_over"]
    assert progress.failed == 0


def test_the_next_run_finds_everything_exported(deployed: Deployed) -> None:
    wait_off_the_border()
    deployed.last_s = time.time()
    result = deployed.exporter.invoke()
    assert result["outcome"] == "complete", result
    assert result["windows"]["pending"] == 0


def test_every_sample_is_there_once_and_in_its_own_cluster(deployed: Deployed) -> None:
    objects = read_all(deployed.exporter)
    assert objects.pop(CHECKPOINT, None) is not None
    manifests = [key for key in objects if key.endswith(".manifest")]
    assert {key.split("/")[2:4] == ["monitoring", "_manifests"] for key in manifests} == {True}
    objects = {key: body for key, body in objects.items() if key not in manifests}
    differences = compare(
        deployed.prometheus.query_range,
        objects.items(),
        catalogue={metric.name: metric.promql(CONTRACT.cluster_label) for metric in load_catalog()},
        start=on_border(deployed.first_s - DAYS * DAY_S),
        end=on_border(deployed.last_s - SETTLE_TIME_S),
        contract=CONTRACT,
    )
    assert differences == []
    folders = {key.split("/")[2] for key in objects}
    assert folders == {"prod-eu", "prod-us", "staging", "monitoring", "dev%2Feu%20west%20%C3%B6"}


def test_metadata_tells_what_is_in_a_file(deployed: Deployed) -> None:
    exporter = deployed.exporter
    start = on_border(deployed.last_s - SETTLE_TIME_S) - TIME_FRAME_S
    (key,) = (key for key in exporter.list_keys() if key.endswith(f"/{start}_gpu_requests.json.gz"))
    told = exporter.cloud.s3.head_object(Bucket=exporter.bucket, Key=key)["Metadata"]
    assert told["step"] == "60"
    assert told["series"] == "2"
    assert told["samples"] == "120"


def test_another_run_writes_nothing(deployed: Deployed) -> None:
    catch_up(deployed)
    before = versions(deployed.exporter)
    result = deployed.exporter.invoke()
    assert result["outcome"] == "complete", result
    assert result["windows"]["planned"] == 0
    assert result["objects"] == 0
    assert versions(deployed.exporter) == before


def test_exporting_a_range_again_writes_the_same_objects(deployed: Deployed) -> None:
    exporter = deployed.exporter
    end = on_border(deployed.last_s - SETTLE_TIME_S)
    before = {key: exporter.read(key) for key in versions(exporter) if f"/{end - 7200}_" in key}
    result = exporter.invoke({"action": "reexport", "start": end - 7200, "end": end - 3600})
    assert result["outcome"] == "complete", result
    assert result["windows"]["exported"] == 1
    assert {key: exporter.read(key) for key in before} == before


def test_status_tells_that_it_is_complete(deployed: Deployed) -> None:
    catch_up(deployed)
    result = deployed.exporter.invoke({"action": "status"})
    assert result["outcome"] == "complete", result
    assert result["pending_windows"] == 0


def test_the_coverage_map_is_drawn_with_its_own_role(deployed: Deployed) -> None:
    """Which may read the checkpoint, and list and read nothing beside it."""
    shown = {"theme": "dark", "width": 900, "height": 500}
    # Of what is due: in the first hour of a month nothing of it is.
    newest = datetime.fromtimestamp(deployed.last_s - SETTLE_TIME_S - TIME_FRAME_S, UTC)
    asked = {"month": newest.strftime("%Y-%m"), "widgetContext": shown}
    html = deployed.exporter.draw_coverage(asked)
    assert "is complete" in html
    assert html.count("<title>") >= 28 * 24
    assert '"month": "' in html


def test_an_unknown_action_is_refused_with_the_known_ones(deployed: Deployed) -> None:
    with pytest.raises(InvocationError, match="export, status, check are known"):
        deployed.exporter.invoke({"action": "exprot"})


def test_the_log_tells_of_each_metric_and_window(deployed: Deployed) -> None:
    windows = {metric.name: set[str]() for metric in load_catalog()}
    lines = list(deployed.exporter.log_events())
    # Runs after the first one export too, if a window has become due since.
    run = next(line["run"] for line in lines if line["message"] == "run planned")
    for line in lines:
        if line["message"] == "metric exported" and line["run"] == run:
            windows[line["metric"]].add(line["window"])
    (first,) = deployed.results
    # The time ran out in the middle of a window, so some metrics have one more.
    exported = first["windows"]["exported"]
    assert {len(found) for found in windows.values()} <= {exported, exported + 1}


def test_the_story_of_a_window_is_in_both_logs_under_its_name(deployed: Deployed) -> None:
    """The oldest was handed over; the execution's name went with it into the Map and back."""
    (first,) = deployed.results
    start = on_border(deployed.first_s - DAYS * DAY_S)
    window = iso_range(start, start + TIME_FRAME_S)
    story = [
        line
        for log in ("LogConsole", "BackfillLogConsole")
        for line in deployed.exporter.log_events(log)
        if line.get("window") == window
    ]
    exported = ["metric exported"] * len(load_catalog())
    assert [line["message"] for line in story] == [
        "window handed over",
        "window started",
        *exported,
        "window exported",
        "window finished",
    ]
    assert {line["execution"] for line in story} == {first["execution"]}
    assert len({line["run"] for line in story}) == 2


def test_the_schedule_invokes_the_function_every_30_minutes(deployed: Deployed) -> None:
    cloud: Cloud = deployed.exporter.cloud
    scheduler = cloud.session.client("scheduler", **cloud.where)
    (listed,) = scheduler.list_schedules()["Schedules"]
    schedule = scheduler.get_schedule(Name=listed["Name"], GroupName=listed["GroupName"])
    assert schedule["ScheduleExpression"] == "rate(30 minutes)"
    assert schedule["State"] == "ENABLED"
    assert schedule["Target"]["Arn"].endswith(f":function:{deployed.exporter.function_name}")


def catch_up(deployed: Deployed) -> None:
    """Export what has become due since the last run."""
    wait_off_the_border()
    deployed.exporter.invoke()


def read_all(exporter: Exporter) -> dict[str, bytes]:
    keys = exporter.list_keys()
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(keys, pool.map(exporter.read, keys), strict=True))


def versions(exporter: Exporter) -> dict[str, str]:
    """When each file was last written. The checkpoint is not a file of the export."""
    pages = exporter.cloud.s3.get_paginator("list_objects_v2").paginate(Bucket=exporter.bucket)
    return {
        item["Key"]: f"{item['ETag']} {item['LastModified']}"
        for page in pages
        for item in page.get("Contents", [])
        if item["Key"] != CHECKPOINT
    }
