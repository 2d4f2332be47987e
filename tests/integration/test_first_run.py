"""Whole runs against Prometheus and S3: what lands in the bucket, and that it is right."""

import gzip
import json
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from localcloud.prometheus import Prometheus
from mimir_exporter import __version__
from tests.compare import Contract
from tests.integration.conftest import MakeFunction
from tests.integration.deployment import CENTRAL, HOUR_S, LAST_END, PREFIX, Function, start_of
from tests.integration.faults import Proxy
from tests.integration.sandbox import Event
from tests.some import some

# Over the midnight that is also a month's end.
HOURS = 14


@pytest.fixture(scope="module")
def exported(module_function: MakeFunction) -> tuple[Function, Event, dict[str, bytes]]:
    """A first run of the whole catalogue: the function, its result, the files."""
    function = module_function(BACKFILL_DAYS=f"{HOURS}h")
    result = function.export()
    return function, result, function.files()


def test_a_first_run_exports_every_sample_once(
    exported: tuple[Function, Event, dict[str, bytes]], mimir: Prometheus
) -> None:
    function, result, files = exported
    assert function.differences(mimir, HOURS, files=files) == []
    assert result["outcome"] == "complete"
    assert result["windows"] == {
        "planned": HOURS,
        "exported": HOURS,
        "failed": 0,
        "handed_over": 0,
        "pending": 0,
    }
    assert result["message"] == (
        f"{HOURS}/{HOURS} windows exported; everything up to 2025-03-01T12:00:00Z is exported."
    )
    assert result["objects"] == len(files)
    assert result["bytes"] == sum(map(len, files.values()))
    assert result["lag_s"] == pytest.approx(20 * 60, abs=60)
    assert result["failures"] == []


def test_the_keys_are_those_of_the_layout(
    exported: tuple[Function, Event, dict[str, bytes]],
) -> None:
    _, _, files = exported
    last_of_february = 1740783600  # 2025-02-28T23:00:00Z
    assert {
        f"{PREFIX}/{cluster}/end={end}/day={day}/metric=node_info/{start}_node_info.json.gz"
        for cluster in ("prod-eu", "prod-us", "staging", CENTRAL)
        for end, day, start in (
            ("20250301", 28, last_of_february),
            ("20250401", 1, last_of_february + HOUR_S),
        )
    } <= files.keys()


def test_an_object_says_what_it_holds(
    exported: tuple[Function, Event, dict[str, bytes]],
) -> None:
    function, _, files = exported
    (key,) = (k for k in files if "/prod-eu/" in k and f"/{LAST_END - HOUR_S}_pod_info" in k)
    document = json.loads(gzip.decompress(files[key]))
    series = document["data"]["result"]
    assert document["status"] == "success"
    assert document["data"]["resultType"] == "matrix"
    assert function.metadata(key) == {
        "window": "2025-03-01T11:00:00Z/2025-03-01T12:00:00Z",
        "step": "60",
        "series": str(len(series)),
        "samples": str(sum(len(one["values"]) for one in series)),
        "split-by": "cluster",
        "exporter": f"mimir-exporter/{__version__}",
        "source": CENTRAL,
    }


def test_a_second_run_does_nothing(
    exported: tuple[Function, Event, dict[str, bytes]],
) -> None:
    function, _, _ = exported
    before = function.file_keys()
    result = function.export()
    assert result["outcome"] == "complete"
    assert result["message"].startswith("Nothing was due; everything up to")
    assert (result["windows"]["planned"], result["objects"]) == (0, 0)
    assert function.file_keys() == before


def test_the_next_window_is_exported_once_it_has_settled(
    small: Function, mimir: Prometheus
) -> None:
    small.export()
    small.clock.advance(49 * 60)  # to 13:09: the hour until 13:00 is over, but not ten minutes old
    assert small.export()["windows"]["planned"] == 0
    small.clock.advance(60)
    result = small.export()
    assert (result["windows"]["planned"], result["windows"]["exported"]) == (1, 1)
    late = [key for key in small.file_keys() if start_of(key) == LAST_END]
    assert late
    assert result["objects"] == len(late)


def test_the_log_tells_of_each_metric_and_window(small: Function) -> None:
    result = small.export()
    lines = small.messages("metric exported")
    assert len(lines) == 9
    told = {"window", "metric", "clusters", "series", "samples", "bytes", "query_s", "seconds"}
    assert all(told <= line.keys() for line in some(lines))
    assert sum(line["samples"] for line in lines) == result["samples"]
    (summary,) = small.messages("run finished")
    assert {name: summary[f"windows_{name}"] for name in result["windows"]} == result["windows"]
    assert sum(line["raw_bytes"] for line in lines) == summary["raw_bytes"] > summary["bytes"]
    assert sum(line["query_s"] for line in lines) == pytest.approx(summary["query_s"], abs=0.06)
    assert summary["summary"] == result["message"]
    newest_first = [line["window"][:13] for line in lines[::3]]
    assert newest_first == ["2025-03-01T11", "2025-03-01T10", "2025-03-01T09"]


def test_all_clusters_share_a_file_where_they_are_not_split(
    small: Function, mimir: Prometheus
) -> None:
    whole = small.with_env(SPLIT_BY_CLUSTER="false")
    result = whole.export()
    assert (result["outcome"], result["objects"]) == ("complete", 9)
    contract = Contract(prefix=PREFIX, cluster_name=CENTRAL, split_by_cluster=False)
    assert whole.differences(mimir, 3, contract=contract) == []


def test_series_without_the_label_share_a_folder_with_the_cluster_of_that_name(
    small: Function, mimir: Prometheus
) -> None:
    """CLUSTER_NAME may be a cluster's own name too: one folder, one file."""
    own = small.with_env(CLUSTER_NAME="prod-eu")
    own.export()
    contract = Contract(prefix=PREFIX, cluster_name="prod-eu")
    assert own.differences(mimir, 3, contract=contract) == []
    assert not own.keys(f"{PREFIX}/{CENTRAL}/")


def test_the_delay_lies_between_the_end_of_a_query_and_the_start_of_the_next(
    through: Function, proxy: Proxy
) -> None:
    slow = through.with_env(QUERY_DELAY="0.3", BACKFILL_DAYS="2h")
    slow.export()
    assert len(proxy.queries) == 6
    pauses = [after.began - before.ended for before, after in pairwise(proxy.queries)]
    # `ended` is when the proxy had sent all; the client's clock starts a moment later.
    assert min(pauses) >= 0.29
    # The time that a query takes is Mimir's, and not the pause before it.
    assert sum(line["query_s"] for line in slow.messages("metric exported")) < 5 * 0.29


def test_a_backfill_begins_at_a_date_if_one_is_given(small: Function) -> None:
    dated = small.with_env(INITIAL_BACKFILL_DATE="2025-03-01T07:30:00Z")
    assert dated.export()["windows"]["exported"] == 5
    begin = datetime(2025, 3, 1, 7, tzinfo=UTC).timestamp()
    assert min(map(start_of, dated.file_keys())) == begin
