"""Moving from the CronJob: neither a hole nor an overlap where the page's order is kept.

The CronJob's files are taken to be whole answers of all clusters, in the folder CLUSTER_NAME,
without any metadata: that is all that is known of them.
"""

import gzip
from collections.abc import Mapping
from dataclasses import replace

import pytest

from localcloud.prometheus import Prometheus
from mimir_exporter.runs.retention import delete_expired_files
from mimir_exporter.settings.load import load_settings
from mimir_exporter.storage.bucket import Bucket
from mimir_exporter.storage.layout import object_key
from mimir_exporter.timeline.deadline import Deadline
from tests.compare import Contract
from tests.integration.conftest import MakeFunction
from tests.integration.deployment import CENTRAL, CONTRACT, HOUR_S, PREFIX, Function, start_of
from tests.some import some

FEW = ("node_info", "pvc_info")  # the second one has no series without a cluster
MIDNIGHT = 1740787200  # 2025-03-01T00:00:00Z, twelve hours before the last window's end
FIRST, LAST = MIDNIGHT - 2 * HOUR_S, MIDNIGHT + 10 * HOUR_S  # what the CronJob did
WHOLE = Contract(prefix=PREFIX, cluster_name=CENTRAL, split_by_cluster=False)


@pytest.fixture
def moved(make_function: MakeFunction, mimir: Prometheus) -> Function:
    """A deployment as the page has it, with the CronJob's files in its bucket."""
    function = replace(make_function(INITIAL_BACKFILL_DATE="2025-03-01"), metrics=FEW)
    for metric in function.catalog:
        for start in range(FIRST, LAST, HOUR_S):
            answer = mimir.query_range(metric.promql("cluster"), start, start + HOUR_S - 60, 60)
            key = object_key(PREFIX, CENTRAL, metric.name, start)
            function.put(key, gzip.compress(answer))
    function.put(f"{PREFIX}/{CENTRAL}/the-cronjob-s-own-state.json", b"{}")
    return function


def files_of(function: Function) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The files of before the midnight, and from it on."""
    files = {key: body for key, body in function.files().items() if key.endswith(".gz")}
    before = {key: body for key, body in files.items() if start_of(key) < MIDNIGHT}
    return before, {key: body for key, body in files.items() if key not in before}


def whole(function: Function, mimir: Prometheus, before: Mapping[str, bytes]) -> list[str]:
    """What is wrong with the CronJob's share."""
    return function.differences(mimir, 2, until=MIDNIGHT, contract=WHOLE, files=before)


def test_files_of_one_key_are_replaced_where_clusters_are_not_split(
    moved: Function, mimir: Prometheus
) -> None:
    """SPLIT_BY_CLUSTER=false: the CronJob may have gone on past the midnight."""
    function = moved.with_env(SPLIT_BY_CLUSTER="false")
    assert function.export()["outcome"] == "complete"
    before, after = files_of(function)
    assert whole(function, mimir, before) == []
    assert function.differences(mimir, 12, contract=WHOLE, files=after) == []
    assert all(function.metadata(key)["samples"] for key in some(after))
    assert not any(function.metadata(key) for key in before)


def delete_from_midnight_on(function: Function) -> None:
    """As the page's `aws s3 rm --recursive` does, of the folder CLUSTER_NAME."""
    for key in function.keys(f"{PREFIX}/{CENTRAL}/end=20250401/"):
        function.delete(key)


def test_nothing_is_there_twice_where_clusters_are_split(
    moved: Function, mimir: Prometheus
) -> None:
    delete_from_midnight_on(moved)
    assert moved.export()["outcome"] == "complete"
    before, after = files_of(moved)
    assert whole(moved, mimir, before) == []
    assert moved.differences(mimir, 12, contract=CONTRACT, files=after) == []


def test_what_was_not_deleted_is_there_twice_until_it_is(
    moved: Function, mimir: Prometheus
) -> None:
    """Why the page has that step, and how it is made up for."""
    moved.export()
    _, after = files_of(moved)
    wrong = moved.differences(mimir, 12, contract=CONTRACT, files=after)
    assert wrong
    assert all("pvc_info" in one for one in some(wrong))
    delete_from_midnight_on(moved)
    again = {"action": "reexport", "start": MIDNIGHT, "end": MIDNIGHT + 12 * HOUR_S}
    assert moved.export(again)["outcome"] == "complete"
    before, after = files_of(moved)
    assert whole(moved, mimir, before) == []
    assert moved.differences(mimir, 12, contract=CONTRACT, files=after) == []


def test_the_date_has_to_stay_set(moved: Function) -> None:
    """Without it BACKFILL_DAYS counts, and reaches into the CronJob's days."""
    delete_from_midnight_on(moved)
    moved.export()
    assert moved.export()["windows"]["planned"] == 0
    later = moved.with_env(INITIAL_BACKFILL_DATE="", BACKFILL_DAYS="14h")
    assert later.export()["windows"]["planned"] == 2


def test_retention_leaves_the_cronjob_s_files(moved: Function) -> None:
    before = moved.keys()
    bucket = Bucket(moved.cloud.s3, moved.bucket)
    a_year_later = int(moved.clock()) + 366 * 24 * HOUR_S
    assert delete_expired_files(bucket, load_settings(moved.env), a_year_later, Deadline(60)) == (
        0,
        True,
    )
    assert moved.keys() == before
