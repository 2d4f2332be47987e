"""Settings that change what a window or a folder is: nothing is there twice, nothing is lost."""

from dataclasses import replace
from typing import Any

import pytest

from localcloud.prometheus import Prometheus
from mimir_exporter.errors import ExportError
from tests.compare import Contract
from tests.integration.conftest import MakeFunction
from tests.integration.deployment import CENTRAL, HOUR_S, LAST_END, PREFIX, Function, start_of
from tests.integration.sandbox import Clock
from tests.some import some

AGAIN: dict[str, Any] = {
    "action": "reexport",
    "start": LAST_END - 3 * HOUR_S,
    "end": LAST_END,
}
BY_NODE = Contract(prefix=PREFIX, cluster_name=CENTRAL, cluster_label="node")
IN_ONE = Contract(prefix=PREFIX, cluster_name=CENTRAL, split_by_cluster=False)


@pytest.mark.parametrize(
    ("env", "contract"),
    [
        ({"CLUSTER_LABEL_NAME": "node"}, BY_NODE),
        ({"SPLIT_BY_CLUSTER": "false"}, IN_ONE),
    ],
    ids=["another label", "no longer split"],
)
def test_a_range_exported_again_after_the_label_changed_is_there_once(
    env: dict[str, str], contract: Contract, small: Function, mimir: Prometheus
) -> None:
    small.export()
    before = small.file_keys()
    changed = small.with_layout(**env)
    assert changed.export()["windows"]["planned"] == 0
    assert changed.file_keys() == before
    assert changed.export(AGAIN)["outcome"] == "complete"
    assert changed.differences(mimir, 3, contract=contract) == []
    # And back again.
    assert small.with_layout().export(AGAIN)["outcome"] == "complete"
    assert small.differences(mimir, 3) == []
    assert small.file_keys().keys() == before.keys()


def test_an_item_that_runs_before_a_regular_run_has_the_new_label_leaves_no_file_twice(
    small: Function, mimir: Prometheus
) -> None:
    """The wish was recorded with the old one, and the deployment came in between."""
    small.export()
    with pytest.raises(ExportError):
        small.with_env(PORT="1").export(AGAIN)
    items = [{"start": at, "end": at + HOUR_S} for at in range(AGAIN["start"], LAST_END, HOUR_S)]
    changed = small.with_env(CLUSTER_LABEL_NAME="node")
    assert [changed.backfill(item)["metrics"] for item in items] == [0, 0, 0]
    assert small.differences(mimir, 3) == []
    changed = small.with_layout(CLUSTER_LABEL_NAME="node")
    assert all(some(changed.backfill(item)["metrics"] > 0 for item in items))
    assert changed.differences(mimir, 3, contract=BY_NODE) == []


def test_only_the_range_that_was_asked_for_is_laid_anew(small: Function, mimir: Prometheus) -> None:
    small.export()
    changed = small.with_layout(CLUSTER_LABEL_NAME="node")
    changed.export({**AGAIN, "start": LAST_END - HOUR_S})
    files = changed.files()
    newest = {key: body for key, body in files.items() if start_of(key) == LAST_END - HOUR_S}
    older = {key: body for key, body in files.items() if key not in newest}
    assert changed.differences(mimir, 1, contract=BY_NODE, files=newest) == []
    assert small.differences(mimir, 2, until=LAST_END - HOUR_S, files=older) == []


def test_files_of_others_stay_when_the_label_changes(small: Function) -> None:
    """Who shares the prefix, or wrote there before: they are not ours to delete."""
    small.export()
    theirs = {
        f"{PREFIX}/{cluster}/end=20250401/day=1/metric=node_info/{start}_node_info.json.gz": source
        for start in (LAST_END - HOUR_S, LAST_END - 2 * HOUR_S)
        for cluster, source in (("a", "other"), ("b", ""))
    }
    for key, source in theirs.items():
        small.put(key, b"theirs", **({"source": source} if source else {}))
    small.with_layout(CLUSTER_LABEL_NAME="node").export(AGAIN)
    for key in theirs:
        assert small.read(key) == b"theirs"


def test_fewer_samples_than_before_the_change_replace_nothing(
    small: Function, mimir: Prometheus
) -> None:
    small.export()
    before = small.file_keys()
    richer = next(key for key in before if "/metric=node_info/" in key)
    body, metadata = small.read(richer), small.metadata(richer)
    small.put(richer, body, **{**metadata, "samples": "100000"})
    # As before there were manifests: what the file says of itself is all that is known.
    small.delete(f"{PREFIX}/{CENTRAL}/_manifests/20250301/{start_of(richer)}_node_info.manifest")
    changed = small.with_layout(CLUSTER_LABEL_NAME="node")
    assert changed.export(AGAIN)["outcome"] == "complete"
    window = f"{start_of(richer)}_node_info"
    assert {k for k in changed.file_keys() if window in k} == {k for k in before if window in k}
    assert changed.messages("files kept")
    assert changed.export({**AGAIN, "force": True})["outcome"] == "complete"
    assert changed.differences(mimir, 3, contract=BY_NODE) == []


def test_old_windows_keep_their_grid(make_function: MakeFunction, mimir: Prometheus) -> None:
    """Another TIME_FRAME and QUERY_STEP begin at a window's end; what was before stays as it is."""
    clock = Clock(LAST_END - 3 * HOUR_S + 1200)  # 09:20
    made = replace(make_function(BACKFILL_DAYS="2h"), metrics=("node_info",), clock=clock)
    assert made.export()["windows"]["exported"] == 2  # from 07:00 to 09:00
    finer = made.with_env(TIME_FRAME="20m", QUERY_STEP="30")
    assert finer.export()["windows"]["planned"] == 0  # from 10:00 on it is finer
    clock.advance(3 * HOUR_S)  # 12:20
    border = LAST_END - 2 * HOUR_S
    assert finer.export()["windows"]["exported"] == 1 + 6
    files = finer.files()
    assert sorted({start_of(key) for key in files}) == [
        *range(border - 3 * HOUR_S, border, HOUR_S),
        *range(border, LAST_END, 1200),
    ]
    assert_on_both_grids(finer, mimir, border)
    # Asked for again, each window is what it was; a part of one is the whole.
    before = finer.file_keys()
    again = {"action": "reexport", "start": border - 1800, "end": border + 1800}
    result = finer.export(again)
    assert (result["outcome"], result["windows"]["exported"]) == ("complete", 3)
    assert finer.file_keys() == before
    # Without its checkpoint all of it lies on one grid: no file of the other may stay.


def assert_on_both_grids(function: Function, mimir: Prometheus, border: int) -> None:
    files = function.files()
    older = {key: body for key, body in files.items() if start_of(key) < border}
    newer = {key: body for key, body in files.items() if start_of(key) >= border}
    finer = Contract(prefix=PREFIX, cluster_name=CENTRAL, time_frame_s=1200, step_s=30)
    assert function.differences(mimir, 3, until=border, files=older) == []
    assert function.differences(mimir, 2, contract=finer, files=newer) == []


def test_a_day_that_the_frame_does_not_divide_ends_in_a_shorter_window(
    make_function: MakeFunction, mimir: Prometheus
) -> None:
    """Seven hours: 00-07, 07-14, 14-21, 21-24, and none lies in two days."""
    made = replace(make_function(TIME_FRAME="7h", BACKFILL_DAYS="20h"), metrics=("node_info",))
    assert made.export()["windows"]["exported"] == 3
    midnight = LAST_END - 12 * HOUR_S
    assert {start_of(key) for key in made.file_keys()} == {
        midnight - 10 * HOUR_S,
        midnight - 3 * HOUR_S,
        midnight,
    }
    contract = Contract(prefix=PREFIX, cluster_name=CENTRAL, time_frame_s=7 * HOUR_S)
    until = midnight + 7 * HOUR_S
    assert made.differences(mimir, 17, until=until, contract=contract) == []
