"""Two names of one answer: one query, files and a manifest for each."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from localcloud.prometheus import Prometheus
from mimir_exporter.catalog.metrics import load_catalog
from tests.integration import faults
from tests.integration.deployment import Function
from tests.integration.faults import Proxy, Request

QUERIES = {metric.name: metric.promql("cluster") for metric in load_catalog()}
NAMES = ("cpu_usage", "cpu_usage_v2")
OWN = """
extends = "default"
[[metric]]
name = "pods"
same_as = "pod_info"
"""


@pytest.fixture
def finout(through: Function) -> Function:
    return replace(through.with_env(CATALOG="finout"), metrics=(*NAMES, "memory_usage"))


def queries_of(proxy: Proxy, name: str) -> list[Request]:
    return [
        request
        for request in proxy.queries
        if request.is_query and request.fields["query"] == QUERIES[name]
    ]


def reading(*texts: str) -> Callable[[Request], bool]:
    """Chooses the range queries that hold one of these, whole or split."""
    return lambda request: (
        request.is_query and any(text in request.fields["query"] for text in texts)
    )


def bodies(function: Function, name: str) -> dict[str, bytes]:
    """Each file of a metric by its cluster."""
    marker = f"/metric={name}/"
    listed = function.cloud.s3.list_objects_v2(Bucket=function.bucket)["Contents"]
    return {
        one["Key"].partition("/end=")[0]: function.cloud.s3.get_object(
            Bucket=function.bucket, Key=one["Key"]
        )["Body"].read()
        for one in listed
        if marker in one["Key"]
    }


def test_one_query_makes_the_files_of_both_names(finout: Function, proxy: Proxy) -> None:
    result = finout.export()
    assert result["outcome"] == "complete"
    assert len(queries_of(proxy, "cpu_usage")) == 1
    first, second = (bodies(finout, name) for name in NAMES)
    assert len(first) > 1
    assert first == second
    manifests = [
        one["Key"].rpartition("/")[2]
        for one in finout.cloud.s3.list_objects_v2(Bucket=finout.bucket)["Contents"]
        if one["Key"].endswith(".manifest")
    ]
    assert [sum(one.endswith(f"_{name}.manifest") for one in manifests) for name in NAMES] == [1, 1]
    lines = {line["metric"]: line for line in finout.messages("metric exported")}
    assert lines[NAMES[0]]["samples"] == lines[NAMES[1]]["samples"] > 0
    assert lines[NAMES[0]]["query_s"] > 0
    assert lines[NAMES[1]]["query_s"] == 0
    proxy.heal()
    assert finout.export()["outcome"] == "complete"
    assert proxy.queries == []


def test_a_name_that_comes_later_gets_its_files_alone(through: Function, proxy: Proxy) -> None:
    before = replace(through, metrics=("cpu_usage",))
    assert before.export()["outcome"] == "complete"
    first = bodies(before, "cpu_usage")
    proxy.heal()
    after = replace(before.with_env(CATALOG="finout"), metrics=NAMES)
    assert after.export()["outcome"] == "complete"
    assert len(queries_of(proxy, "cpu_usage")) == 1
    assert bodies(after, "cpu_usage_v2") == first == bodies(after, "cpu_usage")


def test_a_query_that_fails_fails_for_both_and_is_asked_for_once(
    finout: Function, proxy: Proxy
) -> None:
    proxy.spoil(faults.error(422, "no"), reading("container_cpu_usage_seconds_total"))
    result = finout.export()
    assert sorted(one["metric"] for one in result["failures"]) == list(NAMES)
    assert bodies(finout, "memory_usage")
    assert bodies(finout, "cpu_usage") == bodies(finout, "cpu_usage_v2") == {}
    proxy.heal()
    finout.clock.advance(60)
    assert finout.export()["outcome"] == "complete"
    assert len(queries_of(proxy, "cpu_usage")) == 1
    assert bodies(finout, "cpu_usage") == bodies(finout, "cpu_usage_v2") != {}


def test_an_endpoint_that_is_busy_is_asked_three_times_and_not_once_a_name(
    finout: Function, proxy: Proxy
) -> None:
    """Two names of one failed query are one failure in a row of three."""
    busy = replace(finout, metrics=(*NAMES, "memory_usage", "memory_usage_v2", "pod_info"))
    proxy.spoil(
        faults.error(503, "shutting down"),
        reading("container_cpu_usage_seconds_total", "topk by (cluster,namespace,pod)(1,"),
    )
    result = busy.export(seconds=90)
    failed = sorted(one["metric"] for one in result["failures"])
    assert failed == ["cpu_usage", "cpu_usage_v2", "pod_info"]
    assert bodies(busy, "memory_usage") == bodies(busy, "memory_usage_v2") != {}


def test_a_file_of_the_users_own_is_exported_as_it_says(
    through: Function, tmp_path: Path, mimir: Prometheus
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(OWN, "utf-8")
    own = replace(through.with_env(CATALOG=str(path)), metrics=("pod_info", "pods"))
    assert own.export()["outcome"] == "complete"
    assert own.differences(mimir, 1) == []
    assert bodies(own, "pods") == bodies(own, "pod_info") != {}
