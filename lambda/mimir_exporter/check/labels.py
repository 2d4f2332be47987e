"""The labels that costs are told apart by: cluster, node, and those of Kubernetes itself."""

from collections.abc import Mapping

from ..catalog.metrics import label_in_promql
from ..runs.context import RunContext
from .findings import Findings, some
from .probe import Probe

Counts = Mapping[str, Mapping[str, int]]

# What others call it, the most usual first: OpenCost, Grafana's agents, OpenTelemetry.
OTHER_NAMES = (
    "cluster",
    "cluster_id",
    "cluster_name",
    "k8s_cluster_name",
    "k8s.cluster.name",
    "k8s_cluster",
    "kubernetes_cluster",
    "kube_cluster",
    "eks_cluster",
)
USAGE = 'container_memory_working_set_bytes{pod!="",container!="",container!="POD",node=""}'
KINDS = {
    "pod_labels": ("kube_pod_labels", "pods"),
    "node_labels": ("kube_node_labels", "nodes"),
    "namespace_labels": ("kube_namespace_labels", "namespaces"),
}


def check_labels(context: RunContext, probe: Probe, counts: Counts, findings: Findings) -> None:
    """Judge the labels of what has series. Raises the errors of the endpoint."""
    _check_cluster_label(context, probe, counts, findings)
    if counts.get("memory_usage") or counts.get("cpu_usage"):
        _check_node_label(context, probe, findings)
    if KINDS.keys() & counts.keys():
        _check_kubernetes_labels(probe, counts, findings)


def _check_cluster_label(
    context: RunContext, probe: Probe, counts: Counts, findings: Findings
) -> None:
    label = context.settings.cluster_label
    without = {name: clusters[""] for name, clusters in counts.items() if clusters.get("")}
    named = {cluster for clusters in counts.values() for cluster in clusters if cluster}
    if not without:
        findings.add("ok", "cluster_label", f"{label} is on every series: {some(sorted(named))}")
        return
    found = f"{sum(without.values())} series of {len(without)} metrics have no label {label}"
    if not context.settings.split_by_cluster:
        findings.add("ok", "cluster_label", f"{found}, and SPLIT_BY_CLUSTER is false")
        return
    found += f" ({some(without)})"
    change = (
        f"they go to {context.settings.cluster_name}; add the label where they are scraped "
        "(external_labels), or leave it where that is their cluster"
    )
    if not named:
        other = _other_label(label, probe)
        if other:
            name, values = other
            change = f"set CLUSTER_LABEL_NAME to {name}, which has the values {some(values)}"
    findings.add("warning", "cluster_label", found, change)


def _other_label(label: str, probe: Probe) -> tuple[str, list[str]] | None:
    """A label that might be meant, with its values: known names first, then whatever sounds so."""
    present = [name for name in probe.label_names() if name != label]
    sounding = [name for name in present if "cluster" in name and not name.startswith("label_")]
    for name in [*(name for name in OTHER_NAMES if name in present), *sorted(sounding)]:
        # On what every cluster has. A service's cluster_ip, for one, is not there.
        selector = (
            '{__name__=~"kube_node_info|container_memory_working_set_bytes|k8s_pod_phase",'
            f'{label_in_promql(name)}!=""}}'
        )
        values = probe.label_values_now(name, selector)
        if values:
            return name, values
    return None


def _check_node_label(context: RunContext, probe: Probe, findings: Findings) -> None:
    without = probe.count(USAGE)
    if not without:
        findings.add("ok", "node_label", "node is on every series of cAdvisor")
        return
    label = context.settings.cluster_label
    grouped = label_in_promql(label)
    found = (
        f"{sum(without.values())} series of cAdvisor have no label node (of "
        f"{some(cluster or f'those without {label}' for cluster in without)})"
    )
    # Without node, instance is the only thing that tells it: an address, or the node's own name.
    instances = (
        f'count by ({grouped},instance_host)(label_replace({USAGE},"instance_host","$1","instance",'
        '"(.*?)(:[0-9]+)?"))'
    )
    nodes = " or ".join(
        f'label_replace(kube_node_info,"instance_host","$1","{name}","(.*)")'
        for name in ("internal_ip", "node")
    )
    lost = probe.count(
        f"{instances} unless on ({grouped},instance_host) "
        f"count by ({grouped},instance_host)({nodes})"
    )
    add = "add node where the kubelets are scraped (relabel __meta_kubernetes_node_name to node)"
    if lost:
        findings.add(
            "warning",
            "node_label",
            f"{found}, and {sum(lost.values())} values of instance are no node of kube_node_info",
            add,
        )
    else:
        findings.add(
            "ok",
            "node_label",
            f"{found}; their instance is a node of kube_node_info, by address or name",
        )


def _check_kubernetes_labels(probe: Probe, counts: Counts, findings: Findings) -> None:
    bare: list[str] = []
    absent: list[str] = []
    kinds: list[str] = []
    for name, (series, kind) in KINDS.items():
        if name not in counts:
            continue
        if not counts[name]:
            absent.append(series)
        elif not any(label_name.startswith("label_") for label_name in probe.label_names(series)):
            bare.append(series)
        else:
            continue
        kinds.append(kind)
    if not kinds:
        findings.add("ok", "kubernetes_labels", "pods, nodes and namespaces carry label_*")
        return
    said = []
    if bare:
        said.append(f"{', '.join(bare)} without any label_*")
    if absent:
        said.append(f"no {', '.join(absent)}")
    findings.add(
        "warning",
        "kubernetes_labels",
        f"no costs by the labels of {', '.join(kinds)}: {'; '.join(said)}",
        "start kube-state-metrics with --metric-labels-allowlist="
        + ",".join(f"{kind}=[*]" for kind in kinds),
    )
