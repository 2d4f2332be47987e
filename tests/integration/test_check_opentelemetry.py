"""What `check` reports of clusters whose metrics come by OpenTelemetry's names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from localcloud.remote_write import Batch
from tests.conftest import MakePrometheus
from tests.integration.conftest import MakeFunction
from tests.integration.sandbox import Event
from tests.integration.test_check_scraping import finding
from tests.integration.test_opentelemetry import ONE, WITH_STATE, Sent, sent_by
from tests.integration.test_truth import BEGIN, END, Stored, push
from tests.known_cluster import make_known_cluster
from tests.opentelemetry import Collector
from tests.ways import USUAL

SCRAPED = {"usual": Sent(way=USUAL)}
SILENT = Collector(promoted=False)


def check(
    make_function: MakeFunction,
    make_prometheus: MakePrometheus,
    sent: Mapping[str, Stored],
    catalog: str = "opentelemetry",
) -> Event:
    prometheus = make_prometheus()
    push(prometheus, make_known_cluster(BEGIN, END), sent)
    function = make_function(PORT=str(prometheus.port), BACKFILL_DAYS="2h", CATALOG=catalog)
    return function.export({"action": "check"})


def judged(result: Event) -> list[str]:
    """What is no more than ok, but for what the short history of the tests says."""
    return [
        one["what"]
        for one in result["findings"]
        if one["level"] != "ok" and one["what"] != "history"
    ]


@pytest.mark.parametrize("collectors", [(ONE,), (Collector(suffixes=False, node_named=False),)])
def test_collectors_beside_state_metrics_are_ready(
    collectors: tuple[Collector, ...], make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    sent = {"otel": Sent(collectors, WITH_STATE), **SCRAPED}
    assert judged(check(make_function, make_prometheus, sent)) == []


@pytest.mark.parametrize("others", [{}, SCRAPED])
def test_what_collectors_do_not_know_is_said_once(
    others: Mapping[str, Sent], make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    result = check(make_function, make_prometheus, {"otel": Sent((ONE,)), **others})
    assert judged(result) == ["opentelemetry"]
    found = finding(result, "opentelemetry")
    assert found["level"] == "warning"
    assert found["summary"].startswith("otel have collectors and no kube-state-metrics")
    assert "bytes_received" in found["summary"]
    assert "native sidecars" in found["summary"]
    assert found["remedy"].startswith("scrape kube-state-metrics")


@pytest.mark.parametrize("others", [{}, SCRAPED])
def test_a_catalogue_that_does_not_read_the_names_is_not_ready(
    others: Mapping[str, Sent], make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    result = check(make_function, make_prometheus, {"otel": Sent((ONE,)), **others}, "default")
    assert result["outcome"] == "not_ready"
    found = finding(result, "opentelemetry")
    assert found["summary"].startswith("the metrics of otel have OpenTelemetry's names")
    assert found["remedy"].startswith("set CATALOG to opentelemetry")


@pytest.mark.parametrize("catalog", ["default", "opentelemetry"])
@pytest.mark.parametrize("collector", [ONE, SILENT])
def test_collectors_beside_cadvisor_are_nobodys_concern(
    catalog: str,
    collector: Collector,
    make_function: MakeFunction,
    make_prometheus: MakePrometheus,
) -> None:
    sent = {"both": Sent((collector,), USUAL)}
    assert judged(check(make_function, make_prometheus, sent, catalog)) == []


@pytest.mark.parametrize("catalog", ["default", "opentelemetry"])
def test_attributes_that_are_no_labels_are_named_with_the_settings_that_make_them(
    catalog: str, make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    sent = {"otel": Sent((SILENT,)), **SCRAPED}
    result = check(make_function, make_prometheus, sent, catalog)
    assert result["outcome"] == "not_ready"
    found = finding(result, "opentelemetry")
    assert found["summary"].startswith("in otel what OpenTelemetry's collectors send has no label")
    for setting in (
        "-distributor.otel-promote-resource-attributes=",
        "otlp.promote_resource_attributes",
        "resource_to_telemetry_conversion",
        "k8s.pod.name",
    ):
        assert setting in found["remedy"]


def test_collectors_that_send_rarely_are_not_ready(
    make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    rare = Collector(sent_by("otel", 11, 120))
    sent = {"rare": Sent((rare,), WITH_STATE), "often": Sent((ONE,), WITH_STATE)}
    result = check(make_function, make_prometheus, sent)
    found = finding(result, "opentelemetry")
    assert found["level"] == "error"
    assert found["summary"].startswith("the collectors of rare send about every")
    assert found["remedy"].startswith("set collection_interval to 60s")


def test_two_collectors_are_named_and_count_once(
    make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    sent = {"otel": Sent((ONE, Collector(sent_by("other", 38))), WITH_STATE)}
    found = finding(check(make_function, make_prometheus, sent), "duplicate_series")
    assert found["level"] == "ok"
    assert "collectors send the same series (job is otel, other)" in found["summary"]
    assert found["summary"].endswith("The queries count each thing once")


@dataclass(frozen=True)
class FromKubelets:
    """Sent by the receiver kubeletstats alone."""

    sent: Sent

    def store(self, *what: Any) -> Iterator[Batch]:
        for batch in self.sent.store(*what):
            if batch.labels["__name__"].startswith("container_"):
                yield batch


@dataclass(frozen=True)
class NamedByCollectors:
    """The cluster's name in OpenTelemetry's own label."""

    sent: Sent

    def store(self, *what: Any) -> Iterator[Batch]:
        for batch in self.sent.store(*what):
            labels = {**batch.labels, "k8s_cluster_name": batch.labels["cluster"]}
            del labels["cluster"]
            yield replace(batch, labels=labels)


def test_usage_of_which_nothing_tells_the_node_is_named(
    make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    sent: dict[str, Stored] = {
        "otel": FromKubelets(Sent((Collector(node_named=False),))),
        **SCRAPED,
    }
    found = finding(check(make_function, make_prometheus, sent), "opentelemetry")
    assert found["summary"].startswith("in otel usage has no node")
    assert "k8s_cluster" in found["remedy"]


def test_the_cluster_label_of_collectors_is_found(
    make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    sent = {"prod": NamedByCollectors(Sent((Collector(suffixes=False),)))}
    found = finding(check(make_function, make_prometheus, sent), "cluster_label")
    assert found["remedy"].startswith("set CLUSTER_LABEL_NAME to k8s_cluster_name")
