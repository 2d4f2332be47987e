"""The cycle against a real VictoriaMetrics, compared with what it says of the whole range itself.

Its PromQL is its own (staleness, the window of `rate`), so that its numbers are not Prometheus'.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from localcloud.history import History, load_history
from localcloud.remote_write import RemoteWriter
from localcloud.victoria_metrics import VictoriaMetrics, running_victoria_metrics
from tests.conftest import NeedProgram
from tests.integration import faults
from tests.integration.conftest import MakeFunction, MakeProxy
from tests.integration.deployment import HOUR_S, LAST_END, NOW, Function, start_of
from tests.integration.matchers import is_by_cluster

HISTORY = History(end_s=NOW, days=0.2)


def fill(victoria: VictoriaMetrics) -> VictoriaMetrics:
    load_history(HISTORY, RemoteWriter(victoria.write_url))
    victoria.flush()
    return victoria


@pytest.fixture(scope="module")
def victoria(need_program: NeedProgram) -> Iterator[VictoriaMetrics]:
    need_program("victoria-metrics")
    with running_victoria_metrics() as running:
        yield fill(running)


@pytest.fixture
def function(make_function: MakeFunction, victoria: VictoriaMetrics) -> Function:
    """The whole catalogue, three windows."""
    return make_function(PORT=str(victoria.port), PATH_PREFIX="", BACKFILL_DAYS="3h")


# Sums of differences: the last digits of these depend on where the range begins that is asked for.
RATES = ("cpu_usage", "bytes_received", "bytes_transmitted")


def test_every_sample_is_there_once(function: Function, victoria: VictoriaMetrics) -> None:
    result = function.export()
    assert (result["outcome"], result["failures"]) == ("complete", [])
    others = tuple(metric.name for metric in function.catalog if metric.name not in RATES)
    assert function.differences(victoria, 3, only=others) == []
    files = function.files()
    for end in (LAST_END, LAST_END - HOUR_S, LAST_END - 2 * HOUR_S):
        window = {key: body for key, body in files.items() if start_of(key) == end - HOUR_S}
        assert function.differences(victoria, 1, until=end, files=window, only=RATES) == []
    (ready,) = function.messages("endpoint ready")
    assert ready["path"] == "/-/ready"


def test_under_the_prefix_that_it_has_too(function: Function, victoria: VictoriaMetrics) -> None:
    few = replace(function, metrics=("node_info",)).with_env(PATH_PREFIX="/prometheus")
    assert few.export()["outcome"] == "complete"
    assert few.differences(victoria, 3) == []


def test_check_finds_it_fit(function: Function) -> None:
    report = function.export({"action": "check"})
    assert report["outcome"] == "ready"
    assert set(report["metrics"]["node_info"]["by_cluster"]) >= {"prod-eu", "prod-us", "staging"}


def test_by_cluster_it_gives_the_same(
    function: Function, make_proxy: MakeProxy, victoria: VictoriaMetrics
) -> None:
    """Also those without the label, and the values of the label with a range."""
    proxy = make_proxy(victoria.url)
    proxy.spoil(
        faults.error(422, "the number of matching timeseries exceeds 5"),
        lambda r: r.is_query and not is_by_cluster(r.fields["query"]),
    )
    through = function.with_env(PORT=str(proxy.port), BACKFILL_DAYS="1h")
    result = through.export()
    assert (result["outcome"], result["failures"]) == ("complete", [])
    assert through.differences(victoria, 1) == []


@pytest.mark.parametrize(
    ("limits", "parts"),
    [
        # Not the pods of all clusters, but those of each.
        ({"search.maxUniqueTimeseries": 20}, 4),
        # It counts whole blocks, here the 288 samples that each of 34 pods has, 15 of them of one
        # cluster: less time does not help, fewer clusters do.
        ({"search.maxSamplesPerQuery": 6000}, 3),
        ({"search.maxPointsPerTimeseries": 20}, 4),
        ({"search.maxSamplesPerSeries": 30}, None),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_its_own_limits_are_kept_by_cutting(
    limits: dict[str, int],
    parts: int | None,
    need_program: NeedProgram,
    function: Function,
    victoria: VictoriaMetrics,
) -> None:
    need_program("victoria-metrics")
    with running_victoria_metrics(limits) as strict:
        fill(strict)
        few = replace(function, metrics=("pod_info",)).with_env(
            PORT=str(strict.port), BACKFILL_DAYS="1h"
        )
        result = few.export()
    assert (result["outcome"], result["failures"]) == ("complete", [])
    assert few.differences(victoria, 1) == []
    (line,) = few.messages("metric exported")
    assert line["parts"] > 1
    assert parts is None or line["parts"] == parts
