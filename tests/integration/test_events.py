"""The events that a person sends: export again, check, status, and what is none of them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localcloud.processes import free_port
from localcloud.prometheus import Prometheus
from mimir_exporter.checkpoint.records import ReexportRequest
from mimir_exporter.checkpoint.reexports import request_reexport
from mimir_exporter.checkpoint.store import CheckpointStore
from mimir_exporter.errors import SettingsError
from mimir_exporter.storage.bucket import Bucket
from tests.integration import faults
from tests.integration.deployment import CENTRAL, FEW, HOUR_S, LAST_END, PREFIX, Function, start_of
from tests.integration.faults import Exchange, Proxy
from tests.integration.sandbox import Event
from tests.integration.short_runs import races_the_clock

EVENTS = Path(__file__).resolve().parents[2] / "events"
HOUR_ISO = {"start": "2025-03-01T11:00:00Z", "end": "2025-03-01T12:00:00Z"}


def finding(result: Event, what: str) -> Event:
    (found,) = (one for one in result["findings"] if one["what"] == what)
    return dict(found)


# Export again


@pytest.mark.parametrize(
    "span",
    [
        HOUR_ISO,
        {"start": LAST_END - HOUR_S, "end": LAST_END},
        {"start": str(LAST_END - HOUR_S), "end": str(LAST_END)},
        {"start": "2025-03-01T12:00:00+01:00", "end": "2025-03-01T13:00:00+01:00"},
        {"start": "2025-03-01T11:20", "end": "2025-03-01T11:21"},
    ],
    ids=[
        "ISO 8601",
        "unix seconds",
        "unix seconds as text",
        "with an offset",
        "a part of a window",
    ],
)
def test_a_range_is_exported_again(span: Event, small: Function, mimir: Prometheus) -> None:
    small.export()
    lost = [key for key in small.file_keys() if start_of(key) == LAST_END - HOUR_S]
    for key in lost:
        small.delete(key)
    result = small.export({"action": "reexport", **span})
    assert (result["outcome"], result["windows"]["exported"]) == ("complete", 1)
    assert result["objects"] == len(lost)
    assert small.differences(mimir, 3) == []


def test_force_that_is_asked_for_while_a_run_is_at_work_is_done_by_the_next(
    single: Function, proxy: Proxy
) -> None:
    """The run at work read its checkpoint before."""
    single.export()
    store = CheckpointStore(Bucket(single.cloud.s3, single.bucket), PREFIX, CENTRAL)
    span = (LAST_END - HOUR_S, LAST_END)

    def ask(exchange: Exchange) -> None:
        store.update(
            lambda fresh: request_reexport(fresh, ReexportRequest(*span, ("pod_info",), force=True))
        )
        exchange.send(exchange.forward())

    proxy.spoil(ask, lambda request: request.is_query, times=1)
    single.export({"action": "reexport", **HOUR_ISO})
    assert [one["force"] for one in single.checkpoint()["reexports"]] == [True]
    assert single.export()["windows"]["exported"] == 1
    assert single.checkpoint()["reexports"] == []


def test_only_the_metrics_that_were_asked_for_are_exported_again(
    through: Function, proxy: Proxy
) -> None:
    through.export()
    proxy.heal()
    result = through.export({"action": "reexport", **HOUR_ISO, "metrics": ["node_info"]})
    assert (result["outcome"], len(proxy.queries)) == ("complete", 1)
    assert through.checkpoint()["reexports"] == []


def test_an_export_adds_only_what_the_range_lacks(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    through.export()
    one = min(through.file_keys())
    through.delete(one)  # the checkpoint has it still: it is not missing
    proxy.heal()
    two_hours = {"start": LAST_END - 2 * HOUR_S, "end": LAST_END}
    result = through.export({"action": "export", **two_hours})
    assert (result["outcome"], result["windows"]["exported"]) == ("complete", 1)
    assert len(proxy.queries) == len(FEW)
    assert one not in through.file_keys()
    assert through.export({"action": "reexport", **two_hours})["windows"]["exported"] == 2
    assert through.differences(mimir, 2) == []


def test_an_export_that_finds_nothing_missing_names_reexport(
    through: Function, proxy: Proxy
) -> None:
    through.export()
    proxy.heal()
    result = through.export({"action": "export", **HOUR_ISO})
    assert (result["outcome"], result["windows"]["planned"]) == ("complete", 0)
    assert result["message"].startswith("Nothing is missing in 2025-03-01T11:00:00Z/")
    assert "reexport" in result["message"]
    assert proxy.requests == []


def test_a_range_before_the_backfill_is_exported(small: Function, mimir: Prometheus) -> None:
    small.export()
    result = small.export({"action": "reexport", "start": LAST_END - 6 * HOUR_S, "end": LAST_END})
    assert (result["outcome"], result["windows"]["exported"]) == ("complete", 6)
    assert small.differences(mimir, 6) == []


def test_a_range_before_the_backfill_that_fails_is_not_forgotten(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    through.export()
    proxy.spoil(
        faults.error(422, "no"), lambda r: r.is_query and "kube_pod_info" in r.fields["query"]
    )
    result = through.export(
        {"action": "reexport", "start": LAST_END - 3 * HOUR_S, "end": LAST_END - 2 * HOUR_S}
    )
    assert result["outcome"] == "unfinished"
    assert [one["metric"] for one in result["failures"]] == ["pod_info"]
    status = through.export({"action": "status"})
    assert status["outcome"] == "incomplete"
    assert [one["metric"] for one in status["failures"]] == ["pod_info"]
    proxy.heal()
    assert through.export()["windows"]["exported"] == 1
    window = {k: body for k, body in through.files().items() if start_of(k) < LAST_END - 2 * HOUR_S}
    assert through.differences(mimir, 1, until=LAST_END - 2 * HOUR_S, files=window) == []


def test_a_range_that_fails_when_it_is_exported_again_is_not_called_complete(
    through: Function, proxy: Proxy
) -> None:
    through.export()
    before = through.file_keys()
    proxy.spoil(
        faults.error(422, "no"), lambda r: r.is_query and "kube_pod_info" in r.fields["query"]
    )
    result = through.export({"action": "reexport", **HOUR_ISO})
    assert (result["outcome"], result["windows"]["pending"]) == ("unfinished", 1)
    assert "is exported" not in result["message"].split("failed: pod_info")[0]
    assert through.file_keys() == before
    (left,) = through.export({"action": "status"})["reexports"]
    assert (left["metrics"], left["range"]) == (["pod_info"], "/".join(HOUR_ISO.values()))
    proxy.heal()
    through.clock.advance(60)
    assert through.export()["windows"]["exported"] == 1
    assert through.export({"action": "status"})["reexports"] == []


def test_a_range_that_is_requested_while_an_older_fetch_of_it_is_on_its_way_is_done_after_it(
    single: Function, proxy: Proxy
) -> None:
    """The older one may hold what the request was made for: late data."""
    store = CheckpointStore(Bucket(single.cloud.s3, single.bucket), PREFIX, CENTRAL)
    span = (LAST_END - HOUR_S, LAST_END)

    def ask(exchange: Exchange) -> None:
        store.update(lambda fresh: request_reexport(fresh, ReexportRequest(*span, ("pod_info",))))
        exchange.send(exchange.forward())

    proxy.spoil(ask, lambda request: request.is_query, times=1)
    single.export()
    assert [one["metrics"] for one in single.checkpoint()["reexports"]] == [["pod_info"]]
    assert single.export()["windows"]["exported"] == 1
    assert single.checkpoint()["reexports"] == []


def test_a_manual_export_may_be_the_first_run(small: Function, mimir: Prometheus) -> None:
    """It does what was asked for; the rest is the next regular run's."""
    result = small.export({"action": "reexport", **HOUR_ISO})
    assert (result["outcome"], result["windows"]["exported"]) == ("complete", 1)
    assert small.differences(mimir, 1) == []
    assert small.export()["windows"]["exported"] == 2
    assert small.differences(mimir, 3) == []


@races_the_clock
def test_what_does_not_fit_into_a_manual_export_is_done_by_the_next_run(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    through.export()
    before = through.file_keys()
    for key in before:
        through.delete(key)
    proxy.spoil(faults.late(0.6))
    result = through.export({"action": "reexport", **HOUR_ISO}, seconds=6)
    assert result["outcome"] == "unfinished"
    proxy.heal()
    assert through.export()["outcome"] == "complete"
    assert 0 < len(proxy.queries) < len(FEW)
    assert through.file_keys() == before


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "Invalid start None"),
    ({"start": "2025-03-01"}, "Invalid end None"),
    ({"start": "yesterday", "end": "2025-03-01"}, "Invalid start 'yesterday'"),
    ({"start": True, "end": "2025-03-01"}, "Invalid start True"),
    ({"start": [], "end": {}}, "Invalid start []"),
    ({"start": "2025-03-01", "end": "2025-02-28"}, "its start is not before its end"),
    ({"start": LAST_END, "end": LAST_END}, "its start is not before its end"),
    (
        {"start": "2025-03-01T12:00", "end": "2025-03-02"},
        "older than SETTLE_TIME (600 s)",
    ),
    ({"start": "2026-03-01", "end": "2026-03-02"}, "No complete window"),
    ({**HOUR_ISO, "metrics": ["node_info", "nodes"]}, "Unknown metric 'nodes'"),
    ({**HOUR_ISO, "metrics": []}, "expected a list of metric names"),
    ({**HOUR_ISO, "metrics": "node_info"}, "expected a list of metric names"),
    ({**HOUR_ISO, "metrics": [7]}, "Invalid metrics [7]"),
    ({**HOUR_ISO, "force": "yes"}, "Invalid force 'yes'"),
]


@pytest.mark.parametrize(("event", "says"), WRONG, ids=[json.dumps(one[0])[:60] for one in WRONG])
def test_a_wrong_event_changes_nothing_and_says_what_is_allowed(
    event: dict[str, Any], says: str, small: Function
) -> None:
    with pytest.raises(SettingsError) as caught:
        small.export({"action": "reexport", **event})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert small.keys() == {}


@pytest.mark.parametrize("event", [{"action": "exprot"}, {"action": 7}, {"action": None}, [7], 7])
def test_an_unknown_event_lists_the_known_ones(event: Any, small: Function) -> None:
    with pytest.raises(SettingsError) as caught:
        small.export(event)
    for known in ("{} for a regular run", "export", "reexport", "status", "check"):
        assert known in str(caught.value)
    assert small.keys() == {}


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (
            {"acton": "check"},
            "in the event; add an action: {} is a regular run",
        ),
        ({"key1": "value1"}, "Unknown key 'key1'"),
        (
            {"action": "reexport", **HOUR_ISO, "metric": ["pod_info"]},
            "have start, end, metrics, force, dry_run",
        ),
        ({"action": "export", **HOUR_ISO, "force": True}, "use reexport, which exports all of"),
        ({"action": "export", **HOUR_ISO, "again": False}, "use reexport, which exports all of"),
        ({"action": "status", "mont": "2025-03"}, "Unknown key 'mont'"),
        ({"action": "status", "files": "yes"}, "Invalid files 'yes': expected true or false"),
        ({"action": "check", "force": True}, "the action 'check' takes no other keys"),
    ],
)
def test_a_key_that_is_unknown_is_not_left_out(event: Event, says: str, small: Function) -> None:
    with pytest.raises(SettingsError) as caught:
        small.export(event)
    assert says in str(caught.value)
    assert small.keys() == {}


def test_a_schedules_event_is_a_regular_run(small: Function) -> None:
    event = {"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}
    assert small.export(event)["outcome"] == "complete"


@pytest.mark.parametrize("path", sorted(EVENTS.glob("*.json")), ids=lambda path: path.stem)
def test_the_ready_made_events_are_known(path: Path, small: Function) -> None:
    """Their dates are of another time, which their error would name."""
    event = json.loads(path.read_text("utf-8"))
    small = replace(small, metrics=(*FEW, *event.get("metrics", ())))
    small.export()
    if {"start", "end"} <= event.keys():
        event |= HOUR_ISO
    if "month" in event:
        event["month"] = "2025-03"
    nothing_to_do = {"accept": "Nothing is missing for good", "rebuild": "There is a checkpoint"}
    if (reason := nothing_to_do.get(event.get("action", ""))) is not None:  # all is well here
        with pytest.raises(SettingsError, match=reason):
            small.export(event)
        return
    assert small.export(event)["outcome"] in ("complete", "dry_run", "ready", "partial")


def test_a_dry_run_of_a_reexport_writes_nothing(through: Function, proxy: Proxy) -> None:
    through.export()
    proxy.heal()
    before = through.keys()
    event = {"action": "reexport", "start": LAST_END - 2 * HOUR_S, "end": LAST_END}
    result = through.export({**event, "dry_run": True})
    assert result["counts"] == {"windows": 2, "metric_windows": 6, "exported": 3}
    assert result["first"][0] == "2025-03-01T10:00:00Z/2025-03-01T11:00:00Z"
    assert (through.keys(), proxy.requests) == (before, [])
    assert result["counts"]["metric_windows"] == (
        through.export(event)["windows"]["exported"] * len(FEW)
    )


def test_a_dry_run_before_the_first_run_makes_no_checkpoint(small: Function) -> None:
    result = small.export({"action": "reexport", **HOUR_ISO, "dry_run": True})
    assert result["counts"] == {"windows": 1, "metric_windows": 3, "exported": 0}
    for action in ("repair", "retention"):
        span = HOUR_ISO if action == "repair" else {}
        assert small.export({"action": action, **span, "dry_run": True})["outcome"] == "dry_run"
    assert small.keys() == {}


# Check


def test_check_finds_nothing_wrong_with_what_is_well(small: Function) -> None:
    result = small.export({"action": "check"})
    assert result["outcome"] == "ready"
    assert [one["level"] for one in result["findings"]].count("error") == 0
    assert finding(result, "endpoint")["summary"].endswith(
        "/prometheus/api/v1/query says so; before it /-/ready answered 404, /ready answered 404"
    )
    assert "have no label cluster" in finding(result, "cluster_label")["summary"]
    nodes = result["metrics"]["node_info"]
    assert (nodes["series"], nodes["clusters"]) == (10, 3)
    assert nodes["by_cluster"]["prod-eu"] == 4
    # It left nothing.
    assert small.keys() == {}
    small.export()
    assert (
        "3 metrics, exported up to 2025-03-01T12:00:00Z, 0 windows pending"
        in finding(small.export({"action": "check"}), "checkpoint")["summary"]
    )


def test_check_reports_what_is_wrong_with_a_metric(small: Function) -> None:
    extra = json.dumps({"broken": "sum(", "nothing": 'up{job="none"}'})
    result = small.with_env(EXTRA_METRICS=extra).export({"action": "check"})
    assert result["outcome"] == "not_ready"
    assert "parse error" in finding(result, "metric:broken")["cause"]
    assert finding(result, "metric:broken")["level"] == "error"
    assert finding(result, "own_metrics")["level"] == "warning"
    assert finding(result, "own_metrics")["summary"] == "no series of nothing"
    assert result["metrics"]["node_info"]["series"] == 10


def nobody_there(function: Function, proxy: Proxy) -> Function:
    return function.with_env(PORT=str(free_port()))


def refuses(function: Function, proxy: Proxy) -> Function:
    proxy.spoil(faults.answer(401), lambda request: "/api/" in request.path)
    return function


def not_ready(function: Function, proxy: Proxy) -> Function:
    """At the root and at the API: a 503 at the root alone is no verdict, the API is asked."""
    proxy.spoil(
        faults.answer(503, "starting"),
        lambda request: request.path == "/-/ready" or "/api/" in request.path,
    )
    return function


def no_machine(function: Function, proxy: Proxy) -> Function:
    arn = "arn:aws:states:eu-central-1:000000000000:stateMachine:none"
    return function.with_env(BACKFILL_STATE_MACHINE_ARN=arn)


# With the error's code, and what is in its summary or its cause.
UNHEALTHY: list[tuple[Callable[[Function, Proxy], Function], str, str, str]] = [
    (nobody_there, "endpoint", "cannot_connect", "Connection refused"),
    (refuses, "endpoint", "authentication_failed", "Authentication failed"),
    (not_ready, "endpoint", "endpoint_not_ready", "not ready"),
    (no_machine, "state_machine_start", "step_functions_error", "failed to start the execution"),
]


@pytest.mark.parametrize(
    ("spoil", "what", "code", "says"),
    UNHEALTHY,
    ids=[f"{one[0].__name__}, {one[1]}" for one in UNHEALTHY],
)
def test_check_reports_what_is_wrong_and_what_to_change(
    spoil: Callable[[Function, Proxy], Function],
    what: str,
    code: str,
    says: str,
    through: Function,
    proxy: Proxy,
) -> None:
    result = spoil(through, proxy).export({"action": "check"})
    assert result["outcome"] == "not_ready"
    assert result["message"].startswith("Not ready: ")
    found = finding(result, what)
    assert (found["level"], found["code"]) == ("error", code)
    assert says in f"{found['summary']} ({found['cause']})"
    assert found["remedy"]
    # The other things were looked at all the same.
    looked_at = {one["what"] for one in result["findings"]}
    assert {"credentials", "bucket_list", "bucket_delete"} <= looked_at
    assert any(name.startswith("state_machine") for name in looked_at)
    assert through.keys() == {}


def test_a_bucket_that_is_not_there_is_said_once(small: Function) -> None:
    result = small.with_env(S3_BUCKET="nobodys-bucket").export({"action": "check"})
    errors = [one for one in result["findings"] if one["level"] == "error"]
    assert [(one["what"], one["summary"]) for one in errors] == [
        ("bucket_write", "The bucket nobodys-bucket does not exist")
    ]
    assert finding(result, "bucket")["summary"] == "remaining bucket checks skipped"
    assert result["metrics"]["node_info"]["series"] == 10


# Status


def test_status_tells_what_is_exported_and_what_is_not(small: Function) -> None:
    assert small.export({"action": "status"})["outcome"] == "nothing_yet"
    small.export()
    status = small.export({"action": "status"})
    assert status["outcome"] == "complete"
    assert status["range"] == "2025-03-01T09:00:00Z/2025-03-01T12:00:00Z"
    (group,) = status["coverage"]
    assert group["metrics"] == list(FEW)
    assert (group["exported"], group["missing"]) == ([status["range"]], [])
    keys = small.file_keys()
    assert status["files"]["objects"] == len(keys)
    assert status["files"]["bytes"] == sum(len(body) for body in small.files().values())
    assert set(status["files"]["clusters"]) == {"central", "prod-eu", "prod-us", "staging"}
    small.clock.advance(HOUR_S)
    status = small.export({"action": "status"})
    assert (status["outcome"], status["pending_windows"]) == ("incomplete", 1)
    assert status["coverage"][0]["missing"] == ["2025-03-01T12:00:00Z/2025-03-01T13:00:00Z"]
    assert status["lag_s"] == pytest.approx(80 * 60, abs=60)
    span = {"start": "2025-03-01T10:00", "end": "2025-03-01T11:00"}
    status = small.export({"action": "status", **span})
    assert (status["outcome"], status["range"]) == (
        "complete",
        "2025-03-01T10:00:00Z/2025-03-01T11:00:00Z",
    )


def test_status_answers_for_a_month(small: Function) -> None:
    small = small.with_env(BACKFILL_DAYS="13h")  # from an hour of February on
    small.export()
    february = small.export({"action": "status", "month": "2025-02"})
    assert february["message"] == (
        "February 2025 is complete only from 28 February 2025, 23:00 UTC on: 1/1 window (3/3 "
        "metric-windows); the export begins on 28 February 2025, 23:00 UTC. "
        "None of it is audited."
    )
    march = small.export({"action": "status", "month": "2025-03", "files": True})
    assert march["message"] == (
        "March 2025 is complete as of 1 March 2025, 12:00 UTC: 12/12 windows (36/36 "
        "metric-windows). None of it is audited."
    )
    assert march["files"]["counted_whole"]


def test_status_misses_every_single_file_that_was_deleted_or_changed(small: Function) -> None:
    """And the reexport of that range, which it advises, brings it back."""
    small.export()
    before = small.file_keys()
    lost, changed = [key for key in before if f"/{LAST_END - HOUR_S}_pod_info" in key][:2]
    small.delete(lost)
    status = small.export({"action": "status", "files": True})
    assert status["outcome"] == "incomplete"
    assert "1 recorded file is missing from the bucket; reexport" in status["message"]
    assert status["files"]["missing"] == [lost]
    small.put(changed, b"something else")
    status = small.export({"action": "status", "files": True})
    assert (
        "1 recorded file is missing from the bucket and 1 recorded file is not as"
        in (status["message"])
    )
    assert status["files"]["changed"] == [changed]
    small.export({"action": "reexport", **HOUR_ISO})
    assert small.export({"action": "status", "files": True})["outcome"] == "complete"
    assert small.file_keys() == before


def test_a_file_of_another_exporter_in_the_same_folder_replaces_none_of_ours(
    small: Function,
) -> None:
    small.export()
    lost = next(key for key in small.file_keys() if f"/{LAST_END - HOUR_S}_pod_info" in key)
    small.put(lost, b"theirs", source="other")
    status = small.export({"action": "status", "files": True})
    assert (status["outcome"], status["files"]["changed"]) == ("incomplete", [lost])


def test_files_of_before_there_were_manifests_are_missed_where_none_is_there(
    small: Function,
) -> None:
    small.export()
    for key in list(small.keys(f"{PREFIX}/{small.env['CLUSTER_NAME']}/_manifests/")):
        small.delete(key)
    lost = [key for key in small.file_keys() if f"/{LAST_END - HOUR_S}_pod_info" in key]
    for key in lost[1:]:
        small.delete(key)
    assert small.export({"action": "status"})["outcome"] == "complete"
    small.delete(lost[0])
    status = small.export({"action": "status", "files": True})
    (named,) = status["files"]["missing"]
    assert named == lost[0].replace(f"{PREFIX}/{lost[0].split('/')[2]}/", f"{PREFIX}/*/")


def test_status_asks_nothing_of_mimir_and_writes_nothing(through: Function, proxy: Proxy) -> None:
    through.export()
    proxy.heal()
    before = through.keys()
    replace(through, metrics=("node_info",)).export({"action": "status"})
    assert proxy.requests == []
    assert through.keys() == before
