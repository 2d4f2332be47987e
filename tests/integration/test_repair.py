"""A repair exports again just what the bucket lacks of what its manifests list."""

import gzip
import json
from dataclasses import replace

import pytest

from localcloud.prometheus import Prometheus
from mimir_exporter.timeline.windows import iso
from tests.integration import days
from tests.integration.deployment import HOUR_S, LAST_END, PREFIX, Function, start_of
from tests.integration.faults import Proxy
from tests.integration.sandbox import Event

THREE_HOURS = {"start": LAST_END - 3 * HOUR_S, "end": LAST_END}
REPAIR: Event = {"action": "repair", **THREE_HOURS}
DRY: Event = {**REPAIR, "dry_run": True}


@pytest.fixture
def exported(through: Function) -> Function:
    """Three metrics, three windows, through the proxy."""
    function = through.with_env(BACKFILL_DAYS="3h")
    assert function.export()["outcome"] == "complete"
    return function


def of(function: Function, metric: str, start: int) -> list[str]:
    return [key for key in function.file_keys() if f"/{start}_{metric}." in key]


def test_nothing_is_exported_where_all_is_there(exported: Function, proxy: Proxy) -> None:
    before = exported.keys()
    proxy.heal()
    result = exported.export(REPAIR)
    assert (result["outcome"], result["windows"]["planned"], proxy.requests) == ("complete", 0, [])
    (day,) = result["days"]
    assert (day["day"], day["metric_windows"], day["keys"]) == ("2025-03-01", 9, [])
    assert day["found"] == {"files": len(exported.file_keys())}
    after = exported.keys()
    del before[exported.checkpoint_key], after[exported.checkpoint_key]
    assert after == before
    assert "tasks" not in exported.checkpoint()


def test_what_is_missing_and_what_has_changed_is_exported_again_and_nothing_else(
    exported: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    lost = of(exported, "pod_info", LAST_END - HOUR_S)[0]
    changed = of(exported, "cpu_usage", LAST_END - 3 * HOUR_S)[-1]
    exported.delete(lost)
    exported.put(changed, b"something else")
    proxy.heal()
    result = exported.export(REPAIR)
    assert (result["outcome"], len(proxy.queries)) == ("complete", 2)
    (line,) = exported.messages("files compared")
    assert (line["missing_files"], line["changed_files"], line["broken"]) == (1, 1, 2)
    (day,) = result["days"]
    assert {name: day["found"][name] for name in ("missing", "changed", "broken")} == {
        "missing": 1,
        "changed": 1,
        "broken": 2,
    }
    assert sorted(day["keys"]) == sorted([lost, changed])
    assert result["message"].startswith("1 missing file, 1 changed file among ")
    assert exported.differences(mimir, 3) == []
    assert exported.export({"action": "status", "files": True})["outcome"] == "complete"


def test_a_lost_manifest_is_written_again(exported: Function, mimir: Prometheus) -> None:
    """Readers that follow the manifests would miss its window."""
    key = next(key for key in exported.keys() if key.endswith("_node_info.manifest"))  # noqa: SIM118
    exported.delete(key)
    assert exported.export(DRY)["counts"]["without_manifest"] == 1
    assert exported.export(REPAIR)["outcome"] == "complete"
    assert key in exported.keys()  # noqa: SIM118
    assert exported.export(DRY)["counts"]["broken"] == 0
    assert exported.differences(mimir, 3) == []


def test_only_the_metrics_that_were_named_are_repaired(exported: Function, proxy: Proxy) -> None:
    for metric in ("pod_info", "cpu_usage"):
        exported.delete(of(exported, metric, LAST_END - HOUR_S)[0])
    proxy.heal()
    result = exported.export({**REPAIR, "metrics": ["cpu_usage"]})
    assert (result["days"][0]["found"]["missing"], len(proxy.queries)) == (1, 1)


def test_a_dry_run_reports_what_it_would_do_and_writes_nothing(
    exported: Function, proxy: Proxy
) -> None:
    lost = of(exported, "pod_info", LAST_END - HOUR_S)[0]
    exported.delete(lost)
    before = exported.keys()
    proxy.heal()
    result = exported.export(DRY)
    assert (result["outcome"], result["counted_whole"]) == ("dry_run", True)
    assert (result["counts"]["missing"], result["counts"]["broken"]) == (1, 1)
    assert result["first"] == [lost]
    assert "Nothing was written" in result["message"]
    assert (exported.keys(), proxy.requests) == (before, [])


def test_what_the_source_has_forgotten_stays_missing_and_status_says_so(
    exported: Function, make_prometheus: object
) -> None:
    lost = of(exported, "pod_info", LAST_END - HOUR_S)[0]
    exported.delete(lost)
    empty = make_prometheus()  # type: ignore[operator]
    forgetful = exported.with_env(PORT=str(empty.port))
    forgetful.export(REPAIR)
    status = forgetful.export({"action": "status", "files": True})
    assert (status["outcome"], status["files"]["missing"]) == ("incomplete", [lost])


def test_a_repair_of_days_is_continued_by_the_next_runs(
    make_function: object, make_prometheus: object
) -> None:
    """A little time at once: what was looked at is recorded by the day."""
    source = make_prometheus()  # type: ignore[operator]
    end = LAST_END - LAST_END % days.DAY_S
    start = end - 10 * days.DAY_S
    days.fill(source, start, end + days.DAY_S)
    function = days.at(
        make_function(  # type: ignore[operator]
            PORT=str(source.port),
            PATH_PREFIX=source.path_prefix,
            QUERY_STEP=str(days.STEP_S),
            EXTRA_METRICS=days.WITH_PEAK,
        ),
        end + 3600,
        BACKFILL_DAYS="10",
    )
    assert function.export()["outcome"] == "complete"
    before = function.file_keys()
    lost = [
        min(key for key in before if start_of(key) >= start + n * days.DAY_S) for n in range(10)
    ]
    for key in lost:
        function.delete(key)
    event = {"action": "repair", "start": iso(start), "end": iso(end)}
    result = function.export(event, seconds=5.4)  # of which 0.4 are for work
    assert result["outcome"] == "unfinished"
    assert "the next run continues" in result["message"]
    runs = 0
    while function.checkpoint().get("tasks") or function.checkpoint()["reexports"]:
        function.clock.advance(1800)
        function.export(seconds=6)
        runs += 1
        assert runs < 40
    assert before.items() <= function.file_keys().items()
    assert function.export({**event, "dry_run": True})["counts"]["broken"] == 0


def test_files_that_an_interrupted_deletion_left_are_taken_away(exported: Function) -> None:
    """A manifest says which keys were to go."""
    key = next(key for key in exported.keys() if key.endswith("_node_info.manifest"))  # noqa: SIM118
    document = json.loads(gzip.decompress(exported.read(key)))
    left = f"{PREFIX}/gone/" + document["files"][0]["key"].removeprefix(PREFIX).split("/", 2)[2]
    exported.put(left, b"x", source=exported.env["CLUSTER_NAME"])
    theirs = left.replace("/gone/", "/theirs/")
    exported.put(theirs, b"x", source="other")
    document["superseded"] = [{"key": left, "etag": ""}, {"key": theirs, "etag": ""}]
    exported.put(key, gzip.compress(json.dumps(document).encode()))
    result = exported.export(REPAIR)
    assert result["days"][0]["found"]["left_over"] == 1
    assert left not in exported.file_keys()
    assert theirs in exported.file_keys()


@pytest.mark.parametrize("action", ["repair"])
def test_a_range_that_no_run_has_exported_has_nothing_to_repair(
    action: str, small: Function
) -> None:
    small = replace(small, metrics=("node_info",))
    result = small.export({"action": action, **THREE_HOURS})
    assert result["outcome"] == "complete"
    assert result["days"][0]["metric_windows"] == 0
