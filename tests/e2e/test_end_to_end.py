"""The whole: deployed by the real CDK CLI, with IAM enforced, against a Prometheus with a login.

The tests run in the order they stand in; each goes on from where the one before it stopped.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from localcloud.aws import Cloud
from localcloud.cdk import Cdk
from localcloud.exporter import Exporter, InvocationError, deploy_exporter
from localcloud.history import CLUSTERS, History
from localcloud.prometheus import DEMO_LOGIN, Prometheus
from localcloud.workloads import Cluster
from mimir_exporter.catalog import load_catalog
from mimir_exporter.windows import iso_range
from tests.compare import Contract, compare
from tests.conftest import MakeCloud, MakePrometheus

DAY_S = 86_400
DAYS = 3
TIME_FRAME_S = 3600
SETTLE_TIME_S = 600
FIRST_RUN_S = 15  # not enough for three days, so that most of it goes to Step Functions
BACKFILL_TIMEOUT_S = 400

# A name that has to be encoded to be a folder, and the exporter's own CLUSTER_NAME, whose file
# also holds the series without a cluster label.
MORE_CLUSTERS = (
    Cluster("dev/eu west \N{LATIN SMALL LETTER O WITH DIAERESIS}", nodes=1, replicas=1),
    Cluster("monitoring", nodes=1, replicas=1, persistent=False),
)
CONTRACT = Contract(prefix="k8s/prometheus", cluster_name="monitoring", time_frame_s=TIME_FRAME_S)
CHECKPOINT = "k8s/prometheus/monitoring/checkpoint.json"


@dataclass
class Deployed:
    """What the tests share. `first_s` and `last_s` are when the first and last run began."""

    exporter: Exporter
    prometheus: Prometheus
    first_s: float = 0.0
    last_s: float = 0.0
    results: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture(scope="module")
def deployed(make_prometheus: MakePrometheus, make_cloud: MakeCloud) -> Iterator[Deployed]:
    # A little more history than is exported, so that the first window is a whole one.
    history = History(
        end_s=int(time.time()) // 60 * 60,
        days=DAYS + 1 / 12,
        clusters=(*CLUSTERS, *MORE_CLUSTERS),
    )
    prometheus = make_prometheus(history, login=DEMO_LOGIN)
    # IAM is enforced, so the roles of the stack have to suffice, and the bucket's policy holds.
    cloud = make_cloud(enforce_iam=True)
    cdk = Cdk(cloud)
    cdk.bootstrap()
    settings = {
        "timeout_s": "60",
        "backfill_days": f"{DAYS}d",
        "backfill_concurrency": "2",
        "time_frame": str(TIME_FRAME_S),
        "settle_time": str(SETTLE_TIME_S),
        # MiniStack refuses the roles through which `cdk deploy` publishes when it enforces IAM.
        "cli_credentials": "true",
    }
    exporter = deploy_exporter(cdk, cloud, prometheus, settings)
    exporter.limit_time(FIRST_RUN_S)
    yield Deployed(exporter, prometheus)
    cdk.destroy(settings | {"hostname": "127.0.0.1", "cluster_name": "monitoring"})


def test_check_finds_it_fit(deployed: Deployed) -> None:
    result = deployed.exporter.invoke({"action": "check"})
    assert result["outcome"] == "fit", result
    assert {finding["level"] for finding in result["findings"]} <= {"ok", "warning"}
    assert set(result["metrics"]) == {metric.name for metric in load_catalog()}
    assert deployed.exporter.list_keys() == []


def test_status_before_the_first_run_says_that_nothing_is_there(deployed: Deployed) -> None:
    assert "Nothing has been exported yet" in deployed.exporter.draw_coverage({})
    assert deployed.exporter.invoke({"action": "status"})["outcome"] == "nothing yet"


def test_the_first_run_exports_some_and_hands_over_the_rest(deployed: Deployed) -> None:
    wait_off_the_border()
    deployed.first_s = time.time()
    result = deployed.exporter.invoke()
    deployed.results.append(result)
    windows = result["windows"]
    assert result["outcome"] == "handed over", result
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
    wait_off_the_border()
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
    result = exporter.invoke({"action": "export", "start": end - 7200, "end": end - 3600})
    assert result["outcome"] == "complete", result
    assert result["windows"]["exported"] == 1
    assert {key: exporter.read(key) for key in before} == before


def test_status_tells_that_it_is_complete(deployed: Deployed) -> None:
    result = deployed.exporter.invoke({"action": "status"})
    assert result["outcome"] == "complete", result
    assert result["pending_windows"] == 0


def test_the_coverage_map_is_drawn_with_its_own_role(deployed: Deployed) -> None:
    """Which may read the checkpoint, and list and read nothing beside it."""
    shown = {"theme": "dark", "width": 900, "height": 500}
    html = deployed.exporter.draw_coverage({"widgetContext": shown})
    assert "is complete" in html
    assert html.count("<title>") >= 28 * 24
    assert '"month": "' in html


def test_an_unknown_action_is_refused_with_the_known_ones(deployed: Deployed) -> None:
    with pytest.raises(InvocationError, match="export, status, check are known"):
        deployed.exporter.invoke({"action": "exprot"})


def test_the_log_tells_of_each_metric_and_window(deployed: Deployed) -> None:
    windows = {metric.name: set[str]() for metric in load_catalog()}
    for event in deployed.exporter.log_events():
        if event["message"] == "metric exported":
            windows[event["metric"]].add(event["window"])
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
        "item started",
        *exported,
        "window exported",
        "item finished",
    ]
    assert {line["execution"] for line in story} == {first["execution"]}
    assert len({line["run"] for line in story}) == 2


def test_no_secret_is_in_the_log(deployed: Deployed) -> None:
    logs = ("LogConsole", "BackfillLogConsole")
    said = [str(event) for log in logs for event in deployed.exporter.log_events(log)]
    assert said
    assert not [line for line in said if DEMO_LOGIN.password in line]


def test_the_schedule_invokes_the_function_every_30_minutes(deployed: Deployed) -> None:
    cloud: Cloud = deployed.exporter.cloud
    scheduler = cloud.session.client("scheduler", **cloud.where)
    (listed,) = scheduler.list_schedules()["Schedules"]
    schedule = scheduler.get_schedule(Name=listed["Name"], GroupName=listed["GroupName"])
    assert schedule["ScheduleExpression"] == "rate(30 minutes)"
    assert schedule["State"] == "ENABLED"
    assert schedule["Target"]["Arn"].endswith(f":function:{deployed.exporter.function_name}")


def wait_off_the_border() -> None:
    """Do not begin a run in the half minute before a window becomes due, or three days old."""
    for offset in (0, SETTLE_TIME_S):
        left_s = TIME_FRAME_S - (time.time() - offset) % TIME_FRAME_S
        if left_s < 30:
            time.sleep(left_s + 1)


def on_border(moment_s: float) -> int:
    return int(moment_s) // TIME_FRAME_S * TIME_FRAME_S


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
