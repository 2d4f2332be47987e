"""A run ends by itself before its time is up, and loses nothing by it."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from localcloud.prometheus import Prometheus
from mimir_exporter.errors import ExportError
from tests.integration import faults
from tests.integration.deployment import FEW, HOUR_S, LAST_END, Function
from tests.integration.faults import Exchange, Fault, Proxy, Request
from tests.integration.short_runs import SHORT_S, races_the_clock
from tests.some import some

pytestmark = races_the_clock


def test_short_runs_resume_where_the_last_one_ended(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    longer = through.with_env(BACKFILL_DAYS="3h")
    longer.export({"action": "status"})  # a second is little where everything is still cold
    proxy.spoil(faults.late(0.3))
    outcomes: list[str] = []
    done: list[tuple[str, str]] = []
    while "complete" not in outcomes:
        assert len(outcomes) < 9
        began = time.monotonic()
        result = longer.export(seconds=SHORT_S)
        assert time.monotonic() - began < SHORT_S - 1
        outcomes.append(result["outcome"])
        lines = longer.messages("metric exported")
        assert lines
        done += [(line["window"], line["metric"]) for line in lines]
    assert set(outcomes[:-1]) == {"unfinished"}
    assert len(outcomes) > 2
    # Each metric of each window once, though runs ended in the middle of windows.
    assert len(done) == len(set(done)) == 9
    assert longer.differences(mimir, 3) == []


def is_ready_path(request: Request) -> bool:
    return "ready" in request.path


def is_query(request: Request) -> bool:
    return request.is_query


SLOW: list[tuple[str, Fault, Callable[[Request], bool], bool]] = [
    ("never answers", faults.never_answer, is_query, False),
    ("stalls in its answer", faults.stall, is_query, False),
    ("drips its answer", faults.drip(), is_query, False),
    ("drips an error", faults.drip(500), is_query, False),
    ("drips a header", faults.drip_head, is_query, False),
    ("never says that it is ready", faults.never_answer, is_ready_path, True),
    ("drips that it is not ready", faults.drip(503), is_ready_path, True),
    ("drips that it is ready", faults.drip_head, is_ready_path, False),
]


@pytest.mark.parametrize(
    ("fault", "when", "raises"), [one[1:] for one in SLOW], ids=[one[0] for one in SLOW]
)
def test_a_server_that_is_slow_without_end_does_not_hold_the_run(
    fault: Fault,
    when: Callable[[Request], bool],
    raises: bool,
    through: Function,
    proxy: Proxy,
    mimir: Prometheus,
) -> None:
    proxy.spoil(fault, when)
    began = time.monotonic()
    if raises:
        with pytest.raises(ExportError, match=r"budget|used up|not ready"):
            through.export(seconds=SHORT_S)
    else:
        assert through.export(seconds=SHORT_S)["outcome"] == "unfinished"
    assert time.monotonic() - began < SHORT_S - 1
    assert through.checkpoint()["lease"]["owner"] == ""
    assert through.file_keys() == {}
    proxy.heal()
    assert through.export()["outcome"] == "complete"
    assert through.differences(mimir, 1) == []


def test_a_metric_that_never_fits_into_a_run_fails_and_holds_back_no_other(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """It comes last from then on, so that each run exports something."""
    proxy.spoil(faults.never_answer, lambda r: r.is_query and "rate(" in r.fields["query"])
    result = through.export(seconds=SHORT_S)
    assert [one["metric"] for one in result["failures"]] == ["cpu_usage"]
    assert result["failures"][0]["code"] == "metric_window_too_slow"
    through.clock.advance(60)
    assert through.export(seconds=SHORT_S)["outcome"] == "unfinished"
    assert through.differences(mimir, 1, only=("node_info", "pod_info")) == []
    proxy.heal()
    assert through.export()["outcome"] == "complete"
    assert through.differences(mimir, 1) == []


def test_a_metric_after_one_that_fails_slowly_is_not_said_to_need_a_whole_run(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """It had what the other left of it, and has its turn before it the next time."""

    def fail_late(exchange: Exchange) -> None:
        exchange.wait(0.6)
        faults.error(422, "many-to-many matching not allowed")(exchange)

    proxy.spoil(faults.answer(404))
    with pytest.raises(ExportError):
        through.export()  # only so that there is a checkpoint
    proxy.heal()
    item = {"start": LAST_END - HOUR_S, "end": LAST_END}
    two = replace(through, metrics=("cpu_usage", "node_info"))
    proxy.spoil(fail_late, lambda r: r.is_query and "rate(" in r.fields["query"])
    proxy.spoil(faults.late(0.7), lambda r: r.is_query)
    result = two.backfill(item, seconds=SHORT_S)
    assert (result["finished"], result["failures"]) == (False, ["cpu_usage"])
    result = two.backfill(item, seconds=SHORT_S)
    assert result["metrics"] == 1
    assert two.differences(mimir, 1, only=("node_info",)) == []


def test_an_item_resumes_where_the_last_invocation_ended(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """The Map's loop: called again with the same item until it says that it is finished."""
    with_more = through.with_env(BACKFILL_DAYS="2h")
    proxy.spoil(faults.never_answer)
    with_more.export(seconds=SHORT_S)  # only so that there is a checkpoint
    proxy.heal()
    proxy.spoil(faults.late(0.45))
    item = {"start": LAST_END - HOUR_S, "end": LAST_END}
    calls = [with_more.backfill(item, seconds=SHORT_S)]
    while not calls[-1]["finished"]:
        assert len(calls) < 4
        calls.append(with_more.backfill(item, seconds=SHORT_S))
    assert len(calls) > 1
    assert sum(call["metrics"] for call in calls) == len(FEW)
    assert all(call["metrics"] for call in some(calls))
    assert not any(call["failed"] for call in calls)
    assert {name: calls[-1][name] for name in ("start", "end")} == item
    assert with_more.differences(mimir, 1) == []
    assert with_more.backfill(item)["metrics"] == 0


def test_an_item_that_never_fits_ends_as_failed(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """Or the Map would call for it for ever."""
    item = {"start": LAST_END - HOUR_S, "end": LAST_END}
    proxy.spoil(faults.answer(404))
    with pytest.raises(ExportError):
        through.export()
    proxy.heal()
    proxy.spoil(faults.never_answer, lambda r: r.is_query and "rate(" in r.fields["query"])
    result = through.backfill(item, seconds=SHORT_S)
    assert (result["finished"], result["failed"]) == (True, True)
    assert result["failures"] == ["cpu_usage"]
    proxy.heal()
    result = through.backfill(item)
    assert (result["finished"], result["failed"], result["metrics"]) == (True, False, 3)
    assert through.differences(mimir, 1) == []
