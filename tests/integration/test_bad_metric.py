"""A metric whose query Mimir rejects: alone with it, for good, and what brings it back."""

import json
from dataclasses import replace
from datetime import datetime

import pytest

from localcloud.prometheus import Prometheus
from mimir_exporter.errors import SettingsError
from tests.integration import faults
from tests.integration.deployment import FEW, HOUR_S, LAST_END, Function, start_of
from tests.integration.faults import Proxy, Request
from tests.integration.test_receipts import MARCH, read

DAY_S = 86_400
BROKEN = json.dumps({"pods_by_node": "count by (cluster,node)(kube_pod_info"})
CORRECT = json.dumps({"pods_by_node": "count by (cluster,node)(kube_pod_info{$matchers})"})
WINDOW = "2025-03-01T11:00:00Z/2025-03-01T12:00:00Z"


def test_a_bad_metric_fails_alone_becomes_a_gap_and_comes_back(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    broken = through.with_env(EXTRA_METRICS=BROKEN)
    for attempt in range(1, 6):
        result = broken.export()
        assert result["outcome"] == "unfinished"
        assert [(one["metric"], one["window"]) for one in result["failures"]] == [
            ("pods_by_node", WINDOW)
        ]
        assert "parse error" in result["failures"][0]["cause"]
        assert "failed: pods_by_node" in result["message"]
        assert result["gaps"] == (attempt == 5)
        (known,) = broken.checkpoint()["failures"]
        assert (known["metric"], known["attempts"]) == ("pods_by_node", attempt)
        broken.clock.advance(60)
    assert broken.differences(mimir, 1, only=FEW) == []

    # A gap: listed, and left alone for a day.
    proxy.heal()
    result = broken.export()
    assert proxy.queries == []
    assert (result["outcome"], result["gaps"], result["windows"]["pending"]) == ("unfinished", 1, 1)
    assert "1 gap: see the status" in result["message"]
    (failure,) = broken.export({"action": "status"})["failures"]
    assert (failure["metric"], failure["range"], failure["gap"]) == ("pods_by_node", WINDOW, True)

    # Corrected: a manual export does not wait for that day.
    corrected = broken.with_env(EXTRA_METRICS=CORRECT)
    event = {
        "action": "reexport",
        "start": WINDOW[:20],
        "end": WINDOW[21:],
        "metrics": ["pods_by_node"],
    }
    result = corrected.export(event)
    assert (result["outcome"], result["gaps"], result["windows"]["pending"]) == ("complete", 0, 0)
    assert len(proxy.queries) == 1
    assert corrected.differences(mimir, 1) == []
    assert corrected.checkpoint()["failures"] == []


def test_a_gap_is_tried_once_a_day(through: Function, proxy: Proxy, mimir: Prometheus) -> None:
    only = replace(through.with_env(EXTRA_METRICS=BROKEN), metrics=())
    for _ in range(5):
        only.clock.advance(60)
        only.export()
    only.clock.advance(DAY_S - 60)
    proxy.heal()
    only.export()
    asked = {request.fields["start"] for request in proxy.queries}
    assert asked.isdisjoint({"1740826800"})
    only.clock.advance(120)
    corrected = only.with_env(EXTRA_METRICS=CORRECT)
    assert corrected.export()["outcome"] == "complete"
    assert corrected.differences(mimir, 1, files=in_first_window(corrected)) == []


def test_a_gap_stays_a_gap_when_the_source_has_forgotten_it(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """Past its retention it answers with 200 and nothing: neither is that an export, nor is the
    month complete, until an operator has accepted it."""

    gap = {"start": LAST_END - 2 * HOUR_S, "end": LAST_END - HOUR_S}
    function = through.with_env(BACKFILL_DAYS="3h")

    def of_pods(request: Request, begin: int = 0) -> bool:
        fields = request.fields
        moment = int(fields.get("start") or fields.get("time") or 0)
        return "kube_pod_info" in fields.get("query", "") and begin <= moment < gap["end"]

    proxy.heal()
    proxy.spoil(faults.error(422, "no"), lambda request: of_pods(request, gap["start"]))
    for _ in range(5):
        function.export()
        function.clock.advance(60)
    assert function.export()["gaps"] == 1
    proxy.heal()
    nothing = b'{"status":"success","data":{"resultType":"matrix","result":[]}}'
    proxy.spoil(faults.answer(200, nothing), of_pods)
    function.clock.advance(DAY_S)
    result = function.export()
    # Newer windows that really had no series are no gaps: the newest that had some is still there.
    assert (result["gaps"], result["windows"]["pending"]) == (1, 0)
    (line,) = function.messages("nothing left to export")
    assert (line["metric"], line["window"][:13]) == ("pod_info", "2025-03-01T10")
    status = function.export({"action": "status"})
    assert (status["outcome"], status["metric_windows"]["nothing_left"]) == ("incomplete", 1)
    assert status["metric_windows"]["empty"] > 0
    function.clock.advance(2 * DAY_S)
    assert function.export()["gaps"] == 1
    with pytest.raises(SettingsError, match="Invalid by None"):
        function.export({"action": "accept", **gap, "reason": "Prometheus was down"})
    accept = {"action": "accept", **gap, "by": "Ada", "reason": "Prometheus was down"}
    assert complete_until(function) == gap["start"]
    assert function.export(accept)["outcome"] == "accepted"
    assert complete_until(function) > gap["start"]
    assert function.export()["gaps"] == 0
    status = function.export({**gap, "action": "status", "end": LAST_END})
    assert (status["outcome"], status["accepted"][0]["by"]) == ("complete", "Ada")
    assert "1 metric-window is missing, and accepted" in status["message"]
    with pytest.raises(SettingsError, match="Nothing is missing for good"):
        function.export(accept)
    # The source has it after all.
    proxy.heal()
    assert function.export({"action": "reexport", **gap})["outcome"] == "complete"
    assert function.export({"action": "status"})["accepted"] == []
    recent = {k: v for k, v in function.files().items() if start_of(k) < LAST_END}
    assert function.differences(mimir, 3, files=recent) == []


def complete_until(function: Function) -> int:
    """What the month's receipt says."""
    receipt = read(function, MARCH)
    assert receipt is not None
    return int(datetime.fromisoformat(receipt["complete_until"]).timestamp())


def in_first_window(function: Function) -> dict[str, bytes]:
    return {key: body for key, body in function.files().items() if "/1740826800_" in key}


def test_a_bad_metric_does_not_hold_back_other_windows(small: Function, mimir: Prometheus) -> None:
    broken = small.with_env(EXTRA_METRICS=BROKEN)
    result = broken.export()
    # Not one window is whole, but all that can be exported is.
    assert (result["windows"]["exported"], result["windows"]["pending"]) == (0, 3)
    assert broken.differences(mimir, 3, only=FEW) == []
    corrected = broken.with_env(EXTRA_METRICS=CORRECT)
    assert corrected.export()["outcome"] == "complete"
    assert corrected.differences(mimir, 3) == []


def test_a_new_metric_is_exported_as_far_back_as_a_backfill_goes(
    small: Function, mimir: Prometheus
) -> None:
    small.export()
    before = small.file_keys()
    more = small.with_env(EXTRA_METRICS=CORRECT)
    assert more.export()["windows"]["exported"] == 3
    assert more.differences(mimir, 3) == []
    assert before.items() <= more.file_keys().items()


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ('{"node_info": "up"}', "a metric 'node_info' already"),
        ('{"a b": "up"}', "name 'a b'"),
        ('{"x": ""}', "PromQL for 'x'"),
        ('{"x": "up", "x": "down"}', "duplicate key 'x'"),
        ("up", "expected a JSON object of names and PromQL"),
    ],
)
def test_a_wrong_setting_stops_the_start(extra: str, says: str, small: Function) -> None:
    with pytest.raises(SettingsError) as caught:
        small.with_env(EXTRA_METRICS=extra).export()
    assert says in str(caught.value)
    assert small.keys() == {}
