"""The cycle against a real Cortex, where there is one: no distribution has it.

Its frontend, tenants and limits are those from which Mimir's came.
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest

from localcloud.cortex import HEADERS, TENANT, Cortex, running_cortex
from localcloud.history import History, load_history
from localcloud.remote_write import RemoteWriter
from mimir_exporter.errors import ExportError
from tests.integration.conftest import MakeFunction
from tests.integration.deployment import HOUR_S, NOW, Function

HISTORY = History(end_s=NOW, days=0.3)
pytestmark = pytest.mark.skipif(
    shutil.which("cortex") is None, reason="cortex is not on PATH, and in no distribution"
)


def fill(cortex: Cortex) -> Cortex:
    load_history(HISTORY, RemoteWriter(cortex.write_url, HEADERS))
    return cortex


def asking(cortex: Cortex) -> dict[str, str]:
    return {
        "PORT": str(cortex.port),
        "PATH_PREFIX": cortex.path_prefix,
        "PROMETHEUS_X_SCOPE_ORGID": TENANT,
    }


@pytest.fixture(scope="module")
def cortex() -> Iterator[Cortex]:
    with running_cortex() as running:
        yield fill(running)


@pytest.fixture
def function(make_function: MakeFunction, cortex: Cortex) -> Function:
    """The whole catalogue, three windows."""
    return make_function(**asking(cortex), BACKFILL_DAYS="3h")


@pytest.mark.parametrize("together", [1, 3])
def test_every_sample_is_there_once(function: Function, cortex: Cortex, together: int) -> None:
    several = function.with_env(QUERY_WINDOWS=str(together))
    result = several.export()
    assert (result["outcome"], result["failures"]) == ("complete", [])
    assert several.differences(cortex, 3) == []
    (ready,) = several.messages("endpoint ready")
    assert ready["path"] == "/ready"


def test_check_finds_it_fit(function: Function) -> None:
    assert function.export({"action": "check"})["outcome"] == "ready"


def test_its_windows_are_audited(function: Function) -> None:
    function.export()
    function.clock.advance(25 * HOUR_S)
    function.export()
    progress = function.checkpoint()["progress"]
    assert {one["audited"][0][:20] for one in progress} == {"2025-03-01T09:00:00Z"}
    assert function.messages("more samples at source") == []


def test_a_missing_tenant_is_named(function: Function) -> None:
    with pytest.raises(ExportError) as caught:
        function.with_env(PROMETHEUS_X_SCOPE_ORGID="").export()
    assert caught.value.details.code == "no_tenant"


@pytest.mark.parametrize(
    "limits",
    [
        {"max_query_length": "40m"},
        {"max_fetched_series_per_query": 20},
        {"max_fetched_chunks_per_query": 20},
        {"max_fetched_chunk_bytes_per_query": 3000},
    ],
    ids=lambda limits: next(iter(limits)),
)
def test_its_limits_are_kept_by_cutting(
    limits: dict[str, str | int], function: Function, cortex: Cortex
) -> None:
    with running_cortex(limits) as strict:
        fill(strict)
        few = replace(function, metrics=("cpu_usage", "pod_info")).with_env(
            **asking(strict), BACKFILL_DAYS="1h"
        )
        result = few.export()
    assert (result["outcome"], result["failures"]) == ("complete", [])
    assert few.differences(cortex, 1) == []
    assert max(line["parts"] for line in few.messages("metric exported")) > 1
