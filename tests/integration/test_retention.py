"""Retention deletes what this exporter wrote of days that are too old, and nothing else."""

import threading
from dataclasses import replace

import pytest

from localcloud.aws import Cloud
from localcloud.prometheus import Prometheus
from mimir_exporter.errors import ExportError
from tests.integration.conftest import MakeFunction, MakeMachine, MakeProxy
from tests.integration.deployment import CENTRAL, HOUR_S, LAST_END, PREFIX, Function, start_of
from tests.integration.faults import Exchange, answer, late, never_answer
from tests.integration.machines import WAITING
from tests.integration.short_runs import races_the_clock
from tests.some import some

DAY_S = 86_400
OLD = "end=20250301/day=28/metric=node_info/1740740400_node_info.json.gz"  # 11:00 the day before
OURS = {"source": CENTRAL, "samples": "60"}


@pytest.fixture
def function(make_function: MakeFunction) -> Function:
    """Files of the day of NOW; every day before it is too old."""
    made = replace(make_function(RETENTION_DAYS="1h", BACKFILL_DAYS="3h"), metrics=("node_info",))
    made.export()
    return made


def test_files_of_expired_days_are_deleted(function: Function) -> None:
    old = function.file_keys()
    assert old
    function.clock.advance(13 * HOUR_S)  # to 01:20 of the next day: all of the day is too old
    result = function.export()
    assert result["deleted"] == len(old)
    assert not old.keys() & function.keys().keys()
    assert function.messages("expired files deleted")[0]["deleted"] == len(old)
    # Nothing says any more that they are there.
    days = {key.split("/")[4] for key in function.keys(f"{PREFIX}/{CENTRAL}/_manifests/")}
    assert days == {"20250302", "202503.receipt"}
    assert function.checkpoint()["retention_done"] == "2025-03-02"


def test_a_run_of_a_range_deletes_nothing(function: Function) -> None:
    """Who exports a range again does not mean to delete days."""
    old = function.file_keys()
    function.clock.advance(13 * HOUR_S)
    newest = LAST_END + 12 * HOUR_S
    span = {"start": newest, "end": newest + HOUR_S}
    assert function.export({"action": "reexport", **span})["deleted"] == 0
    assert old.items() <= function.file_keys().items()
    assert function.export()["deleted"] == len(old)


def test_a_dry_run_reports_what_would_be_deleted_and_deletes_nothing(function: Function) -> None:
    """Also of the files that no manifest lists, and none of another exporter's."""
    function.export()
    old = function.file_keys()
    unlisted = f"{PREFIX}/a/{OLD}"
    function.put(unlisted, b"x", **OURS)
    function.put(f"{PREFIX}/b/{OLD}", b"x", source="other")
    dry = {"action": "retention", "dry_run": True}
    assert function.export(dry)["counts"] == {"files": 1, "manifests": 0}
    function.clock.advance(13 * HOUR_S)
    before = function.keys()
    result = function.export(dry)
    assert result["counts"] == {"files": len(old) + 1, "manifests": 3}
    assert (result["outcome"], result["counted_whole"]) == ("dry_run", True)
    assert set(result["first"]) <= {*old, unlisted}
    assert function.keys() == before
    assert not function.messages("expired files deleted")
    result = function.export({"action": "retention"})
    assert (result["outcome"], result["deleted"]) == ("complete", len(old) + 1)
    assert function.export(dry)["counts"] == {"files": 0, "manifests": 0}
    kept = function.with_env(RETENTION_DAYS="0")
    assert "RETENTION_DAYS is 0" in kept.export(dry)["message"]


def test_retention_by_hand_deletes_what_came_after_the_days_own(function: Function) -> None:
    function.clock.advance(13 * HOUR_S)
    function.export()
    function.put(f"{PREFIX}/a/{OLD}", b"x", **OURS)
    assert function.export()["deleted"] == 0
    assert function.export({"action": "retention"})["deleted"] == 1


@pytest.mark.parametrize("days", ["2", "0"])
def test_retention_by_hand_keeps_what_a_longer_setting_keeps(days: str, function: Function) -> None:
    """Also before a regular run has seen the setting."""
    function.export()
    before = function.file_keys()
    function.clock.advance(13 * HOUR_S)
    longer = function.with_env(RETENTION_DAYS=days)
    assert longer.export({"action": "retention"})["deleted"] == 0
    assert before.items() <= longer.file_keys().items()


@pytest.mark.parametrize("days", ["1", "2d", "0"])
def test_what_is_not_too_old_stays(days: str, function: Function) -> None:
    """A day goes as a whole, once all of it is too old; 0 keeps everything."""
    before = function.file_keys()
    function.clock.advance(13 * HOUR_S)
    longer = function.with_env(RETENTION_DAYS=days)
    assert longer.export()["deleted"] == 0
    assert before.items() <= longer.file_keys().items()


def test_deleted_days_come_back_by_hand_when_retention_is_longer(function: Function) -> None:
    old = function.file_keys()
    function.clock.advance(13 * HOUR_S)
    function.export()
    longer = function.with_env(RETENTION_DAYS="2")
    longer.export()
    assert not old.keys() & longer.file_keys().keys()
    span = {"start": LAST_END - 3 * HOUR_S, "end": LAST_END}
    status = {"action": "status", "files": True, **span}
    assert longer.export(status)["outcome"] == "deleted"
    longer.export({"action": "export", **span})
    assert old.items() <= longer.file_keys().items()
    assert longer.export(status)["outcome"] == "complete"
    assert longer.export({"action": "export", **span})["windows"]["planned"] == 0


WINDOW = "1740740400_node_info.json.gz"
DAY = "end=20250301/day=28"
# Key below the prefix, and metadata: what is ours in all but one thing.
FOREIGN = {
    "of another exporter that shares the prefix": (f"a/{OLD}", {"source": "other"}),
    "of an exporter whose name begins alike": (f"b/{OLD}", {"source": f"{CENTRAL}-2"}),
    "of the exporter before, which does not say its name": (f"c/{OLD}", {}),
    "of a window of another day": (f"d/{DAY}/metric=node_info/1740823200_node_info.json.gz", OURS),
    "in another month's folder": (f"d/end=20250201/day=28/metric=node_info/{WINDOW}", OURS),
    "in a padded day's folder": (
        "d/end=20250301/day=01/metric=node_info/1738368000_node_info.json.gz",
        OURS,
    ),
    "with a padded start": (f"d/{DAY}/metric=node_info/0{WINDOW}", OURS),
    "of another metric than its folder's": (f"d/{DAY}/metric=pod_info/{WINDOW}", OURS),
    "of another kind": (f"d/{DAY}/metric=node_info/1740740400_node_info.parquet", OURS),
    "deeper": (f"team/d/{OLD}", OURS),
    "beside the clusters": ("readme.txt", OURS),
    "beside the months": (f"d/notes/day=28/metric=node_info/{WINDOW}", OURS),
    "a folder's marker": (f"d/{DAY}/", OURS),
    "beside the metrics": (f"d/{DAY}/list.json", OURS),
    "of a day that is kept": (
        "d/end=20250401/day=2/metric=node_info/1740877200_node_info.json.gz",
        OURS,
    ),
}


def test_nothing_else_is_deleted(function: Function) -> None:
    own = function.file_keys()
    for key, metadata in FOREIGN.values():
        function.put(f"{PREFIX}/{key}", b"theirs", **metadata)
    function.put(f"{PREFIX}-2/d/{OLD}", b"theirs", **OURS)
    function.put(f"d/{OLD}", b"theirs", **OURS)
    before = function.file_keys()
    assert len(before) == len(own) + len(FOREIGN) + 2
    function.clock.advance(13 * HOUR_S)
    assert function.export()["deleted"] == len(own)
    after = function.file_keys()
    assert {key: tag for key, tag in before.items() if key not in own}.items() <= after.items()
    assert function.checkpoint()["retention_done"] == "2025-03-02"
    assert function.checkpoint()["deleted_until"] == "2025-03-02T00:00:00Z"


def test_old_files_go_from_every_cluster_month_and_year(function: Function) -> None:
    """Those of metrics that are no longer in the catalogue too."""
    for key in (
        f"d/{OLD}",
        f"team%2Fd/{OLD}",
        "d/end=20250101/day=31/metric=old/1735642800_old.json.gz",
        "d/end=20240301/day=29/metric=old/1709204400_old.json.gz",
    ):
        function.put(f"{PREFIX}/{key}", b"ours", **OURS)
    function.clock.advance(13 * HOUR_S)
    function.export()
    assert [key for key in function.file_keys() if start_of(key) < LAST_END] == []


def test_the_bucket_is_walked_once_a_day(
    function: Function, make_proxy: MakeProxy, cloud: Cloud
) -> None:
    s3 = make_proxy(cloud.endpoint)
    watched = function.with_env(AWS_ENDPOINT_URL=s3.url)
    function.clock.advance(13 * HOUR_S)
    watched.export()
    assert any("list-type" in request.fields for request in s3.requests)
    function.put(f"{PREFIX}/d/{OLD}", b"ours", **OURS)
    s3.heal()
    function.clock.advance(HOUR_S / 2)
    assert watched.export()["deleted"] == 0
    assert not any("list-type" in request.fields for request in s3.requests)
    function.clock.advance(DAY_S)
    assert watched.export()["deleted"] > 0
    assert f"{PREFIX}/d/{OLD}" not in function.file_keys()


@races_the_clock
def test_a_run_that_hands_over_deletes_too(
    function: Function, make_proxy: MakeProxy, make_machine: MakeMachine, mimir: Prometheus
) -> None:
    """Or the bucket of an exporter whose runs are all full would grow for ever."""
    old = function.file_keys()
    slow = make_proxy(f"http://127.0.0.1:{mimir.port}")
    slow.spoil(never_answer, lambda request: request.is_query)
    full = function.with_env(PORT=str(slow.port), BACKFILL_STATE_MACHINE_ARN=make_machine(WAITING))
    function.clock.advance(13 * HOUR_S)
    result = full.export(seconds=7)
    assert (result["outcome"], result["deleted"]) == ("handed_over", len(old))
    assert not old.keys() & function.keys().keys()
    assert function.checkpoint()["retention_done"] == "2025-03-02"


def test_what_cannot_be_deleted_holds_back_no_export(
    function: Function, make_proxy: MakeProxy, cloud: Cloud
) -> None:
    s3 = make_proxy(cloud.endpoint)
    refused = "<Error><Code>AccessDenied</Code></Error>"
    s3.spoil(answer(403, refused), lambda request: request.method == "DELETE")
    watched = function.with_env(AWS_ENDPOINT_URL=s3.url)
    function.clock.advance(13 * HOUR_S)
    with pytest.raises(
        ExportError, match=r"S3 denied access to delete .*check that the function's role"
    ):
        watched.export()
    (line,) = watched.messages("run finished")
    assert (line["outcome"], line["windows_pending"]) == ("stopped", 0)
    assert line["windows_exported"] == line["windows_planned"] > 0
    assert function.checkpoint()["retention_done"] == "2025-03-01"
    # No message says that what is too old is there for good.
    s3.heal()
    assert watched.export()["deleted"] > 0


def test_folders_are_cleared_side_by_side(
    function: Function, make_proxy: MakeProxy, cloud: Cloud
) -> None:
    for number in range(8):
        function.put(f"{PREFIX}/d/{OLD.replace('node_info', f'metric_{number}')}", b"ours", **OURS)
    s3 = make_proxy(cloud.endpoint)
    meeting = threading.Barrier(8, timeout=20)

    def meet(exchange: Exchange) -> None:
        meeting.wait()
        exchange.send(exchange.forward())

    s3.spoil(meet, lambda request: request.method == "DELETE" and "/d/" in request.path)
    watched = function.with_env(AWS_ENDPOINT_URL=s3.url)
    function.clock.advance(13 * HOUR_S)
    assert watched.export()["deleted"] > 8
    assert not meeting.broken


@races_the_clock
def test_what_the_time_does_not_suffice_for_is_deleted_by_the_next_run(
    function: Function, make_proxy: MakeProxy, cloud: Cloud
) -> None:
    s3 = make_proxy(cloud.endpoint)
    s3.spoil(late(0.15), lambda request: request.method == "DELETE")
    for hour in range(24):
        start = 1740700800 + hour * HOUR_S
        key = f"d/{DAY}/metric=node_info/{start}_node_info.json.gz"
        function.put(f"{PREFIX}/{key}", b"ours", **OURS)
    watched = function.with_env(AWS_ENDPOINT_URL=s3.url)
    function.clock.advance(13 * HOUR_S)
    deleted = [watched.export(seconds=9)["deleted"], watched.export()["deleted"]]
    assert all(some(deleted))
    assert [key for key in function.file_keys() if start_of(key) < LAST_END] == []
