"""A setting that was changed by mistake deletes and renames nothing for a day."""

from dataclasses import replace
from typing import Any

from localcloud.prometheus import Prometheus
from tests.compare import Contract
from tests.integration.conftest import MakeFunction
from tests.integration.deployment import CENTRAL, HOUR_S, LAST_END, PREFIX, Function, start_of

DAY_S = 86_400
AGAIN: dict[str, Any] = {"action": "reexport", "start": LAST_END - HOUR_S, "end": LAST_END}
BY_NODE = Contract(prefix=PREFIX, cluster_name=CENTRAL, cluster_label="node")


def changes(function: Function) -> list[tuple[str, str, str]]:
    found = function.export({"action": "status"})["changes"]
    return [(one["setting"], one["before"], one["value"]) for one in found]


def test_a_lowered_retention_deletes_nothing_for_a_day_and_says_what_it_will(
    make_function: MakeFunction,
) -> None:
    function = replace(
        make_function(RETENTION_DAYS="0", BACKFILL_DAYS="14h"), metrics=("node_info",)
    )
    function.export()
    february = {key for key in function.file_keys() if start_of(key) < LAST_END - 12 * HOUR_S}
    assert february
    function.clock.advance(2 * DAY_S)
    lowered = function.with_env(RETENTION_DAYS="1")
    lowered.export()
    (line,) = lowered.messages("setting changed")
    assert (line["level"], line["code"]) == ("WARNING", "retention_lowered")
    assert "2025-03-03T00:00:00Z are deleted, 14 exported metric-windows" in line["summary"]
    assert changes(lowered) == [("RETENTION_DAYS", "0", "1")]
    assert february <= lowered.file_keys().keys()
    # By hand neither.
    assert lowered.export({"action": "retention"})["deleted"] == 0
    # Set back: nothing has happened.
    function.export()
    assert not function.messages("setting changed")
    assert changes(function) == []
    function.clock.advance(DAY_S)
    lowered.export()
    assert february <= lowered.file_keys().keys()
    # And a day after it was seen.
    function.clock.advance(DAY_S)
    assert lowered.export()["deleted"] > 0
    assert february.isdisjoint(lowered.file_keys())
    assert not lowered.messages("setting changed")
    assert changes(lowered) == []


def test_a_changed_label_renames_nothing_for_a_day(small: Function, mimir: Prometheus) -> None:
    small.export()
    before = small.file_keys()
    changed = small.with_env(CLUSTER_LABEL_NAME="node")
    result = changed.export(AGAIN)
    assert (result["outcome"], result["windows"]["exported"]) == ("unfinished", 0)
    assert "stay as they are until 2025-03-02T12:20" in result["message"]
    (line,) = changed.messages("setting changed")
    assert (line["level"], line["code"]) == ("WARNING", "layout_changed")
    assert "CLUSTER_LABEL_NAME is changed from cluster to node" in line["summary"]
    assert changed.file_keys() == before
    assert changes(changed) == [("CLUSTER_LABEL_NAME", "cluster", "node")]
    # What was asked for is not forgotten.
    small.clock.advance(DAY_S + 60)
    changed.export()
    newest = {k: v for k, v in changed.files().items() if start_of(k) == LAST_END - HOUR_S}
    assert changed.differences(mimir, 1, contract=BY_NODE, files=newest) == []
    assert changes(changed) == []


def test_a_label_that_is_set_back_lets_go_at_once(small: Function, mimir: Prometheus) -> None:
    small.export()
    small.with_env(CLUSTER_LABEL_NAME="node").export(AGAIN)
    assert small.export()["outcome"] == "complete"
    assert small.differences(mimir, 3) == []
    assert changes(small) == []


def test_force_renames_at_once(small: Function, mimir: Prometheus) -> None:
    small.export()
    changed = small.with_env(CLUSTER_LABEL_NAME="node")
    assert changed.export({**AGAIN, "force": True})["outcome"] == "complete"
    newest = {k: v for k, v in changed.files().items() if start_of(k) == LAST_END - HOUR_S}
    assert changed.differences(mimir, 1, contract=BY_NODE, files=newest) == []


def test_new_windows_follow_at_once(small: Function) -> None:
    small.export()
    small.clock.advance(HOUR_S)
    changed = small.with_env(SPLIT_BY_CLUSTER="false", BACKFILL_DAYS="4h")
    changed.export()
    folders = {
        key.removeprefix(f"{PREFIX}/").partition("/")[0]
        for key in changed.file_keys()
        if start_of(key) not in range(LAST_END - 3 * HOUR_S, LAST_END)
    }
    assert folders == {CENTRAL}
