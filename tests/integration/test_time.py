"""A run ends by itself before its time is up, and loses nothing by it."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from localcloud.prometheus import Prometheus
from mimir_exporter.errors import ExportError
from tests.integration import faults
from tests.integration.conftest import MakeFunction, MakeProxy
from tests.integration.deployment import FEW, HOUR_S, LAST_END, Function
from tests.integration.faults import Fault, Proxy, Request

# Five seconds are kept for handing over; so this is one second of work.
SHORT_S = 6.0


def test_short_runs_go_on_where_the_last_one_ended(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    longer = through.with_env(BACKFILL_DAYS="3h")
    proxy.spoil(faults.late(0.3))
    outcomes = []
    done: list[tuple[str, str]] = []
    while "complete" not in outcomes:
        assert len(outcomes) < 9
        began = time.monotonic()
        result = longer.export(seconds=SHORT_S)
        assert time.monotonic() - began < SHORT_S - 3
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


SLOW: list[tuple[str, Fault, Callable[[Request], bool]]] = [
    ("never answers", faults.never_answer, is_query),
    ("stalls in its answer", faults.stall, is_query),
    ("drips its answer", faults.drip(), is_query),
    ("drips an error", faults.drip(500), is_query),
    ("drips a header", faults.drip_head, is_query),
    ("never says that it is ready", faults.never_answer, is_ready_path),
    ("drips that it is ready", faults.drip_head, is_ready_path),
    ("drips that it is not ready", faults.drip(503), is_ready_path),
]


@pytest.mark.parametrize(("fault", "when"), [one[1:] for one in SLOW], ids=[one[0] for one in SLOW])
def test_a_server_that_is_slow_without_end_does_not_hold_the_run(
    fault: Fault,
    when: Callable[[Request], bool],
    through: Function,
    proxy: Proxy,
    mimir: Prometheus,
) -> None:
    proxy.spoil(fault, when)
    began = time.monotonic()
    if when is is_ready_path:
        with pytest.raises(ExportError) as caught:
            through.export(seconds=SHORT_S)
        assert "\\n" not in str(caught.value)
    else:
        result = through.export(seconds=SHORT_S)
        assert result["outcome"] == "unfinished"
    assert time.monotonic() - began < SHORT_S - 3
    assert through.checkpoint()["lease"]["owner"] == ""
    proxy.heal()
    assert through.export()["outcome"] == "complete"
    assert through.differences(mimir, 1) == []
