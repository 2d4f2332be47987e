"""A lost checkpoint comes back from the manifests, and what cannot is said."""

from dataclasses import replace

import pytest

from localcloud.prometheus import Prometheus
from mimir_exporter.errors import SettingsError
from mimir_exporter.timeline.windows import iso
from tests.conftest import MakePrometheus
from tests.integration import days
from tests.integration.conftest import MakeFunction
from tests.integration.deployment import CENTRAL, HOUR_S, LAST_END, PREFIX, Function, start_of
from tests.integration.faults import Proxy

REBUILD = {"action": "rebuild"}


@pytest.fixture
def exported(through: Function) -> Function:
    """Three metrics, three windows, through the proxy; then the checkpoint is lost."""
    function = through.with_env(BACKFILL_DAYS="3h")
    assert function.export()["outcome"] == "complete"
    return function


def progress(function: Function) -> object:
    """What is exported, by metric."""
    return {
        name: (group["exported"], group["empty"])
        for group in function.checkpoint()["progress"]
        for name in group["metrics"]
    }


def test_a_lost_checkpoint_is_rebuilt_and_nothing_is_exported_twice(
    exported: Function, proxy: Proxy
) -> None:
    known, schedules = progress(exported), exported.checkpoint()["schedules"]
    files = exported.file_keys()
    exported.delete(exported.checkpoint_key)
    proxy.heal()
    result = exported.export(REBUILD)
    assert (result["outcome"], result["metric_windows"], result["missing"]) == ("complete", 9, {})
    assert any("accept" in one for one in result["not_rebuilt"])
    assert proxy.requests == []
    assert progress(exported) == known
    assert exported.checkpoint()["schedules"] == schedules
    assert exported.checkpoint()["partition"]["split_by_cluster"] is True
    proxy.heal()
    assert exported.export()["windows"]["planned"] == 0
    assert proxy.queries == []
    assert exported.file_keys() == files
    # The repair that it queued is done.
    assert exported.messages("files compared")[0]["objects"] == len(files)
    assert "tasks" not in exported.checkpoint()
    assert exported.export({"action": "status", "files": True})["outcome"] == "complete"


def test_what_has_no_manifest_is_pending_again(
    exported: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    lost = next(
        key
        for key in exported.keys(f"{PREFIX}/{CENTRAL}/_manifests/")
        if key.endswith(f"/{LAST_END - 2 * HOUR_S}_pod_info.manifest")
    )
    exported.delete(lost)
    exported.delete(exported.checkpoint_key)
    result = exported.export(REBUILD)
    assert result["missing"] == {"pod_info": 1}
    assert "1 metric-window between them pending again" in result["message"]
    proxy.heal()
    assert exported.export()["windows"]["exported"] == 1
    assert len(proxy.queries) == 1
    assert exported.differences(mimir, 3) == []


def test_a_checkpoint_that_exists_is_rebuilt_with_merge_alone(
    exported: Function, mimir: Prometheus
) -> None:
    """A first run since the loss began a new one, with a shorter backfill."""
    with pytest.raises(SettingsError) as caught:
        exported.export(REBUILD)
    assert caught.value.details.code == "checkpoint_exists"
    known = progress(exported)
    exported.delete(exported.checkpoint_key)
    shorter = exported.with_env(BACKFILL_DAYS="1h")
    shorter.export()
    assert progress(shorter) != known
    assert shorter.export({**REBUILD, "merge": True})["outcome"] == "complete"
    assert progress(shorter) == known
    assert shorter.differences(mimir, 3) == []


def test_without_manifests_there_is_nothing_to_rebuild_from(small: Function) -> None:
    with pytest.raises(SettingsError) as caught:
        small.export(REBUILD)
    assert caught.value.details.code == "no_manifests"
    assert small.keys() == {}


def test_a_manifest_that_cannot_be_read_is_named_and_its_window_exported_again(
    exported: Function, mimir: Prometheus
) -> None:
    spoilt = next(
        key
        for key in exported.keys(f"{PREFIX}/{CENTRAL}/_manifests/")
        if key.endswith("_node_info.manifest")
    )
    exported.put(spoilt, b"nonsense")
    exported.delete(exported.checkpoint_key)
    result = exported.export(REBUILD)
    assert result["days"][0]["keys"] == [spoilt]
    assert result["missing"] == {"node_info": 1}


def test_a_rebuild_of_days_is_continued_and_nothing_is_exported_meanwhile(
    make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    """Also over a change of TIME_FRAME."""
    source = make_prometheus()
    end = LAST_END - LAST_END % days.DAY_S
    start = end - 10 * days.DAY_S
    days.fill(source, start, end + days.DAY_S)
    function = days.at(
        make_function(
            PORT=str(source.port),
            PATH_PREFIX=source.path_prefix,
            QUERY_STEP=str(days.STEP_S),
            EXTRA_METRICS=days.WITH_PEAK,
            TIME_FRAME="30m",
        ),
        end - 4 * days.DAY_S,
        BACKFILL_DAYS="6",
        RETENTION_DAYS="0",
    )
    assert function.export()["outcome"] == "complete"
    function = days.at(function, end + 1800, TIME_FRAME="1h")
    assert function.export()["outcome"] == "complete"
    files, known = function.file_keys(), progress(function)
    schedules = function.checkpoint()["schedules"]
    assert len(schedules) == 2
    function.delete(function.checkpoint_key)
    result = function.export(REBUILD, seconds=5.4)
    assert result["outcome"] == "unfinished"
    with pytest.raises(SettingsError, match="is being rebuilt"):
        function.export({"action": "reexport", "start": iso(start), "end": iso(end)})
    runs = 0
    while any(one["action"] == "rebuild" for one in function.checkpoint().get("tasks", [])):
        result = function.export(seconds=6)
        runs += 1
        assert runs < 60
    assert function.export()["outcome"] == "complete"
    assert progress(function) == known
    assert [one["time_frame"] for one in function.checkpoint()["schedules"]] == [1800, 3600]
    assert files.items() <= function.file_keys().items()
    assert min(map(start_of, function.file_keys())) == min(map(start_of, files))


def test_files_that_a_death_left_half_replaced_are_found_by_the_repair(
    exported: Function, mimir: Prometheus
) -> None:
    """The checkpoint that was lost had the window as pending."""
    lost = next(key for key in exported.file_keys() if f"/{LAST_END - HOUR_S}_pod_info." in key)
    exported.delete(lost)
    exported.delete(exported.checkpoint_key)
    exported.export(REBUILD)
    assert lost not in exported.file_keys()
    exported.export()
    assert exported.differences(mimir, 3) == []
    assert replace(exported).export({"action": "status", "files": True})["outcome"] == "complete"
