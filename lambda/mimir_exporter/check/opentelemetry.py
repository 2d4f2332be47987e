"""Clusters whose metrics come by OpenTelemetry's names: whether the catalogue reads them rightly.

Names and attributes: documentation.md of the receivers kubeletstats and k8s_cluster, in
github.com/open-telemetry/opentelemetry-collector-contrib.
"""

from collections.abc import Mapping

from ..catalog.metrics import Metric, label_in_promql
from ..runs.context import RunContext
from .counts import Count
from .findings import Findings, named_clusters, some
from .probe import Probe
from .scraping import LOOK_S

CPU = '__name__=~"container_cpu_time|container_cpu_time_seconds_total"'
PHASE = '__name__="k8s_pod_phase"'
ATTRIBUTES = (
    "k8s.cluster.name,k8s.namespace.name,k8s.pod.name,k8s.pod.uid,k8s.container.name,container.id,"
    "k8s.node.name,k8s.deployment.name,k8s.statefulset.name,k8s.daemonset.name,k8s.job.name"
)
# The queries look back two minutes for the latest value (`fresh` in opentelemetry.toml).
SLOWEST_S = 90
TRAFFIC = ("bytes_received", "bytes_transmitted")


def reads_opentelemetry(metric: Metric) -> bool:
    """Whether its query has a part for OpenTelemetry's names."""
    return "k8s_pod_" in metric.query or "k8s_node_" in metric.query


def unknown_to_collectors(context: RunContext) -> set[str]:
    """The metrics that need kube-state-metrics also where collectors send the rest."""
    return {
        metric.name
        for metric in context.catalog
        if not reads_opentelemetry(metric) or metric.name in TRAFFIC
    }


def check_opentelemetry(
    context: RunContext, probe: Probe, counts: Mapping[str, Count], findings: Findings
) -> set[str]:
    """Judge what collectors send, where they send anything. Raises the errors of the endpoint.

    Returns the clusters whose collectors are all that is known of their pods, as there is no
    kube-state-metrics; none where the catalogue reads no names of OpenTelemetry.
    """
    sent = probe.count(f"{{{CPU}}}").keys() | probe.count(f"{{{PHASE}}}").keys()
    if not sent:
        return set()
    promoted = probe.count(f'{{{CPU},k8s_pod_name!=""}}').keys()
    with_pods = probe.count(f'{{{PHASE},k8s_pod_name!=""}}').keys()
    label = context.settings.cluster_label
    usage = counts.get("cpu_usage", Count())
    known = usage.by_cluster.keys() if not usage.error else sent
    bare = sent - known - promoted - with_pods
    if bare:
        findings.add(
            "error",
            "opentelemetry",
            f"in {named_clusters(bare, label)} what OpenTelemetry's collectors send has no label "
            "k8s_pod_name: all pods are one series there",
            "promote the resource attributes to labels: Mimir with "
            f"-distributor.otel-promote-resource-attributes={ATTRIBUTES}, Prometheus with "
            "otlp.promote_resource_attributes, or a collector that writes by Prometheus remote "
            "write with resource_to_telemetry_conversion",
        )
    if not any(reads_opentelemetry(metric) for metric in context.catalog):
        if unread := promoted - known:
            findings.add(
                "error",
                "opentelemetry",
                f"the metrics of {named_clusters(unread, label)} have OpenTelemetry's names, which "
                "this catalogue does not read",
                "set CATALOG to opentelemetry, or extend it",
            )
        return set()
    _check_node(probe, label, findings)
    _check_interval(probe, label, findings)
    collected = with_pods - probe.count("kube_pod_info").keys()
    if collected:
        unknown = unknown_to_collectors(context)
        missing = [metric.name for metric in context.catalog if metric.name in unknown]
        findings.add(
            "warning",
            "opentelemetry",
            f"{named_clusters(collected, label)} have collectors and no kube-state-metrics: there "
            f"is nothing of {some(missing)}, nor of the requests of native sidecars",
            "scrape kube-state-metrics in them too; or leave it, where no cost depends on these",
        )
    return collected


def _check_node(probe: Probe, label: str, findings: Findings) -> None:
    nodeless = probe.count(f'{{{CPU},k8s_container_name!="",k8s_node_name=""}}').keys()
    lost = nodeless - probe.count(f'{{{PHASE},k8s_node_name!=""}}').keys()
    if lost:
        findings.add(
            "warning",
            "opentelemetry",
            f"in {named_clusters(lost, label)} usage has no node: neither k8s_node_name nor "
            "k8s_pod_phase says where a pod runs",
            "run the receiver k8s_cluster in them, or add k8s.node.name by the processor "
            "k8sattributes",
        )


def _check_interval(probe: Probe, label: str, findings: Findings) -> None:
    """Of the quarter of the series that come least often: of nodes and of the cluster."""
    grouped = label_in_promql(label)
    slowest: dict[str, float] = {}
    for which in (f'{CPU},k8s_container_name!=""', f'{PHASE},k8s_pod_name!=""'):
        # A series without its name may be there twice, under the name with and without its unit.
        pods = f"max by ({grouped},k8s_node_name,k8s_pod_name)"
        counted = f"quantile by ({grouped})(0.25,{pods}(count_over_time({{{which}}}[{LOOK_S}s])))"
        for name, count in probe.values(counted).items():
            slowest[name] = max(slowest.get(name, 0.0), LOOK_S / max(1.0, count - 1))
    rare = {name: interval_s for name, interval_s in slowest.items() if interval_s > SLOWEST_S}
    if rare:
        findings.add(
            "error",
            "opentelemetry",
            f"the collectors of {named_clusters(rare, label)} send about every "
            f"{max(rare.values()):.0f} s, and the queries look back two minutes: requests and "
            "memory would have gaps",
            "set collection_interval to 60s or less, or give `fresh` anew in a catalogue that "
            "extends opentelemetry",
        )
