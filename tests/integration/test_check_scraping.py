"""What `check` reports of ways of scraping in which no query can be right."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from localcloud.prometheus import Prometheus
from localcloud.remote_write import Batch, RemoteWriter
from tests.conftest import MakePrometheus
from tests.integration.conftest import MakeFunction
from tests.integration.sandbox import Event
from tests.integration.test_truth import BEGIN, END, HOUR_S, push
from tests.known_cluster import KnownCluster, make_known_cluster
from tests.scraping import Way
from tests.ways import KUBELET, NO_NODE, SLOW_WAYS, STATE, USUAL, WAYS, having

DUAL_STACK = replace(
    USUAL, kubelet=(NO_NODE, replace(having(NO_NODE, instance="[{ip6}]:10250"), offset_s=8))
)


def check(
    make_function: MakeFunction, make_prometheus: MakePrometheus, ways: dict[str, Way], **env: str
) -> Event:
    prometheus = make_prometheus()
    push(prometheus, make_known_cluster(BEGIN, END), ways)
    function = make_function(PORT=str(prometheus.port), BACKFILL_DAYS="2h", **env)
    return function.export({"action": "check"})


def errors(result: Event) -> dict[str, Event]:
    return {one["what"]: one for one in result["findings"] if one["level"] == "error"}


def test_rare_scrapes_want_a_longer_rate_range(
    make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    ways = {"rare": SLOW_WAYS["every-4-minutes"], "usual": USUAL}
    result = check(make_function, make_prometheus, ways)
    assert result["outcome"] == "not_ready"
    (one,) = errors(result).values()
    assert one["what"] == "scrape_interval"
    assert one["summary"].startswith("rare are scraped about every")
    needed = int(one["remedy"].removeprefix("set RATE_RANGE to ").split(",")[0])
    assert 480 <= needed <= 660
    better = check(make_function, make_prometheus, ways, RATE_RANGE=str(needed))
    assert errors(better) == {}


def test_two_addresses_without_node_are_reported(
    make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    result = check(make_function, make_prometheus, {"dual": DUAL_STACK, "usual": USUAL})
    assert result["outcome"] == "not_ready"
    (one,) = errors(result).values()
    assert one["what"] == "nodes"
    assert one["summary"].startswith("in dual the same containers are on two nodes")
    assert "__meta_kubernetes_node_name" in one["remedy"]


@pytest.mark.parametrize("way", ["ha-pair", "dual-stack", "no-node-label"])
def test_what_is_right_is_ready(
    way: str, make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    assert errors(check(make_function, make_prometheus, {way: WAYS[way]})) == {}


def push_together(
    prometheus: Prometheus,
    scraped: Sequence[tuple[KnownCluster, Mapping[str, Way]]],
    others: Sequence[Mapping[str, str]] = (),
) -> None:
    """Several clusters, and series of value 1, an hour at a time."""
    writer = RemoteWriter(prometheus.write_url)
    for hour in range(BEGIN - HOUR_S, END + 1, HOUR_S):
        for cluster, ways in scraped:
            for name, way in ways.items():
                writer.send(way.store(cluster, name, hour, hour + HOUR_S))
        times = [at * 1000 for at in range(hour, hour + HOUR_S, 60)]
        writer.send(Batch.of(labels, times, [1.0] * len(times)) for labels in others)


def finding(result: Event, what: str) -> dict[str, str]:
    (found,) = (one for one in result["findings"] if one["what"] == what)
    return dict(found)


def scraped(result: Event) -> dict[str, str]:
    return finding(result, "duplicate_series")


NAMED = {
    "ha-pair": "an HA pair: prometheus_replica is r-0, r-1",
    "ha-pair-unknown-label": "an HA pair: replica_of is r-0, r-1",
    "no-ids": "an HA pair: prometheus_replica is r-0, r-1",
    "ha-pair-of-15-and-60": "an HA pair: replica is a, b",
    "two-jobs": "several jobs scrape the kubelets (k, kubelet)",
    "node-label-by-one-job": "several jobs scrape the kubelets (kubelet, other)",
    "dual-stack": "the kubelets are scraped by IPv4 and by IPv6",
    "resource-beside": "/metrics/resource is scraped beside /metrics/cadvisor",
    "resource-same-labels": "/metrics/resource is scraped beside /metrics/cadvisor",
    "opencost-copies": "several exporters make the same series (jobs kube-state-metrics, opencost",
    "opencost-honored": "several exporters make the same series (jobs kube-state-metrics, opencost",
    "two-state-metrics": "several exporters make the same series (jobs ksm-two, kube-state-metrics",
}


@pytest.mark.parametrize("way", NAMED)
def test_what_is_scraped_twice_is_named_with_its_cause(
    way: str, make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    result = check(make_function, make_prometheus, {way: WAYS[way]})
    found = scraped(result)
    assert found["level"] == "ok"
    assert f"in {way} " in found["summary"]
    assert NAMED[way] in found["summary"]
    assert found["summary"].endswith("The queries count each thing once")
    assert [one["what"] for one in result["findings"] if one["level"] != "ok"] == ["history"]


@pytest.mark.parametrize(
    "way", ["usual", "every-2-minutes", "labels-of-the-node", "ksm-not-honored", "no-node-label"]
)
def test_what_is_scraped_once_has_no_duplicates(
    way: str, make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    result = check(make_function, make_prometheus, {way: WAYS[way]})
    assert scraped(result)["summary"] == "none: each thing is scraped once"
    assert [one["what"] for one in result["findings"] if one["level"] != "ok"] == ["history"]


def test_many_clusters_are_counted_and_some_of_them_named(
    make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    ways = {f"prod-{number}": WAYS["two-jobs"] for number in range(5)} | {"usual": USUAL}
    found = scraped(check(make_function, make_prometheus, ways))
    assert "and 2 more clusters several jobs scrape the kubelets" in found["summary"]
    assert "usual" not in found["summary"]


PLAIN = """
[[metric]]
name = "cpu_usage"
key = ["cluster", "namespace", "pod", "container"]
unit = "cores"
description = "CPU that containers use"
query = 'rate(container_cpu_usage_seconds_total{$matchers container!=""}[$rate_range])'
"""


@pytest.mark.parametrize("way", ["ha-pair", "two-jobs", "dual-stack"])
def test_a_query_that_counts_twice_is_an_error(
    way: str, tmp_path: Path, make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    catalog = tmp_path / "own.toml"
    catalog.write_text(PLAIN, "utf-8")
    result = check(
        make_function, make_prometheus, {way: WAYS[way], "usual": USUAL}, CATALOG=str(catalog)
    )
    assert result["outcome"] == "not_ready"
    found = scraped(result)
    assert found["level"] == "error"
    assert "cpu_usage has several series for" in found["summary"]
    assert NAMED[way] in found["summary"]
    assert found["remedy"]


def test_a_catalogue_with_a_query_that_is_right_is_ready(
    tmp_path: Path, make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    catalog = tmp_path / "own.toml"
    catalog.write_text(PLAIN, "utf-8")
    result = check(make_function, make_prometheus, {"usual": USUAL}, CATALOG=str(catalog))
    assert scraped(result)["level"] == "ok"


def test_a_runtime_without_the_label_container_is_named(
    make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    bare = replace(USUAL, kubelet=(replace(KUBELET, drop=("container",)),))
    result = check(make_function, make_prometheus, {"k3s": bare, "usual": USUAL})
    found = finding(result, "container_label")
    assert found["level"] == "warning"
    assert found["summary"].startswith("in k3s cAdvisor's series have no label container")
    assert "container runtime" in found["remedy"]
    assert "kube-state-metrics" not in found["remedy"]


def test_nodes_whose_kubelets_are_not_scraped_are_named(
    make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    prometheus = make_prometheus()
    whole = make_known_cluster(BEGIN, END)
    dark, *others = whole.nodes
    push_together(
        prometheus,
        [
            (replace(whole, nodes=tuple(others)), {"prod": Way(kubelet=(KUBELET,))}),
            (whole, {"prod": Way(state=(STATE,)), "usual": USUAL}),
        ],
    )
    function = make_function(PORT=str(prometheus.port), BACKFILL_DAYS="2h")
    found = finding(function.export({"action": "check"}), "nodes_without_usage")
    assert found["level"] == "warning"
    assert f"1 of {len(whole.nodes)} nodes of prod" in found["summary"]
    assert found["summary"].endswith(f"such as {dark.name}")


def test_pods_of_two_sources_that_do_not_match_are_reported(
    make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    """As where a relabelling renames the namespaces at one of the two."""
    prometheus = make_prometheus()
    whole = make_known_cluster(BEGIN, END)
    renamed = [replace(pod, namespace=f"x-{pod.namespace}") for pod in whole.pods]
    push_together(
        prometheus,
        [
            (replace(whole, pods=tuple(renamed)), {"prod": Way(kubelet=(KUBELET,))}),
            (whole, {"prod": Way(state=(STATE,)), "usual": USUAL}),
        ],
    )
    function = make_function(PORT=str(prometheus.port), BACKFILL_DAYS="2h")
    result = function.export({"action": "check"})
    found = finding(result, "pods")
    assert found["level"] == "warning"
    assert found["summary"].startswith("in prod the pods that use CPU and those that request some")
    assert "usual" not in found["summary"]


def test_what_is_known_of_kube_state_metrics_is_reported(
    make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    prometheus = make_prometheus()
    ways = {"new": USUAL, "old": USUAL, "renamed": WAYS["ksm-not-honored"]}
    push_together(
        prometheus,
        [(make_known_cluster(BEGIN, END), ways)],
        [
            {
                "__name__": "kube_state_metrics_build_info",
                "cluster": cluster,
                "version": version,
            }
            for cluster, version in (("new", "v2.17.0"), ("old", "v2.9.2"))
        ],
    )
    function = make_function(PORT=str(prometheus.port), BACKFILL_DAYS="2h")
    found = finding(function.export({"action": "check"}), "state_metrics_version")["summary"]
    assert found.startswith("2.17.0 in new; 2.9.2 in old")
    assert "Scraped without honor_labels in renamed" in found
