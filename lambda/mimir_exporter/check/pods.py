"""Whether the two sources speak of the same pods and nodes, and what they leave out."""

from collections.abc import Mapping

from ..catalog.metrics import label_in_promql
from ..runs.context import RunContext
from ..words import counted
from .findings import Findings, named_clusters, some
from .probe import Probe

# Pods without requests are usual; where nearly none of a cluster has any, the two do not match.
NEARLY_ALL = 0.9
CPU = "container_cpu_usage_seconds_total"
STATE_METRICS = "kube_state_metrics_build_info"


def check_pods(context: RunContext, probe: Probe, findings: Findings) -> None:
    """Compare usage with requests. Raises the errors of the endpoint."""
    queries = {
        metric.name: metric.promql(context.settings.cluster_label) for metric in context.catalog
    }
    label = label_in_promql(context.settings.cluster_label)
    if "cpu_usage" in queries and "cpu_requests" in queries:
        usage, requests = queries["cpu_usage"], queries["cpu_requests"]
        _check_pods_without_requests(probe, label, usage, requests, findings)
        _check_nodes_without_usage(probe, label, usage, requests, findings)
    _check_containers(probe, label, findings)
    _check_unscheduled(probe, label, findings)


def check_state_metrics(context: RunContext, probe: Probe, findings: Findings) -> None:
    """Which kube-state-metrics there are, and what they lack. Raises the errors of the endpoint."""
    label = context.settings.cluster_label
    found = probe.labels(f"count by ({label_in_promql(label)},version)({STATE_METRICS})")
    versions: dict[str, list[str]] = {}
    for labels in found:
        versions.setdefault(labels.get("version", ""), []).append(labels.get(label, ""))
    told = "; ".join(
        f"{version.removeprefix('v') or 'unknown'} in {named_clusters(clusters, label)}"
        for version, clusters in sorted(versions.items())
    )
    told = told or f"the version is unknown: its own metrics ({STATE_METRICS}) are not scraped"
    renamed = sorted(probe.count('kube_pod_info{exported_namespace!=""}'))
    if renamed:
        told += (
            f". Scraped without honor_labels in {named_clusters(renamed, label)}: the queries read "
            "exported_namespace, exported_pod and the like"
        )
    sidecars = probe.count("kube_pod_init_container_info")
    telling = probe.count('kube_pod_init_container_info{restart_policy!=""}')
    requests = probe.count("kube_pod_init_container_resource_requests")
    silent = [name for name in sidecars if name not in telling and name in requests]
    if silent:
        findings.add(
            "ok",
            "state_metrics_version",
            f"{told}. No init container of {named_clusters(silent, label)} has a restart_policy: "
            "where there are native sidecars, their requests are missing (kube-state-metrics "
            "before 2.11 does not have it)",
        )
    else:
        findings.add("ok", "state_metrics_version", told)


def _check_pods_without_requests(
    probe: Probe, label: str, usage: str, requests: str, findings: Findings
) -> None:
    pods = f"group by ({label},namespace,pod)"
    using, asking = probe.count(f"{pods}({usage})"), probe.count(f"{pods}({requests})")
    without = probe.count(f"{pods}({usage}) unless on ({label},namespace,pod) {pods}({requests})")
    both = [name for name in using if name in asking]
    odd = [name for name in both if without.get(name, 0) > NEARLY_ALL * using[name]]
    if odd:
        findings.add(
            "warning",
            "pods",
            f"in {named_clusters(odd, label)} the pods that use CPU and those that request some "
            "are not the same: " + _figures(odd, without, using, "use CPU and request none"),
            "compare the labels namespace and pod of container_cpu_usage_seconds_total and "
            "kube_pod_container_resource_requests there",
        )
        return
    total = sum(without.get(name, 0) for name in both)
    findings.add(
        "ok",
        "pods",
        f"{total} of {counted(sum(using[name] for name in both), 'pod')} that use CPU request "
        "none, as pods without requests do"
        if total
        else "all that use CPU have requests",
    )


def _check_nodes_without_usage(
    probe: Probe, label: str, usage: str, requests: str, findings: Findings
) -> None:
    """A node whose pods request and do not use anything is one whose kubelet is not scraped."""
    nodes = f"group by ({label},node)"
    asking = probe.count(f"{nodes}({requests})")
    seen = probe.count(f"{nodes}({usage})")
    dark = f"{nodes}({requests}) unless on ({label},node) {nodes}({usage})"
    # Where all are dark, usage has the nodes' addresses for their names: labels.py speaks of that.
    without = {
        name: count
        for name, count in probe.count(dark).items()
        if name in seen and count < asking.get(name, 0)
    }
    if not without:
        return
    names = [labels.get("node", "") for labels in probe.labels(f"topk(5,{dark})")]
    findings.add(
        "warning",
        "nodes_without_usage",
        _figures(list(without), without, asking, "have requests and no usage", "node")
        + f", such as {some(names)}",
        "scrape the kubelets of all nodes, under the node's name of Kubernetes (label node)",
    )


def _check_containers(probe: Probe, label: str, findings: Findings) -> None:
    """Pods of which cAdvisor knows the whole and no container."""
    pods = f"group by ({label},namespace,pod)"
    whole, parts = f'{CPU}{{pod!=""}}', f'{CPU}{{pod!="",container!=""}}'
    all_of_them = probe.count(f"{pods}({whole})")
    without = probe.count(f"{pods}({whole}) unless on ({label},namespace,pod) {pods}({parts})")
    odd = [name for name, count in without.items() if count > all_of_them[name] / 2]
    if odd:
        findings.add(
            "warning",
            "container_label",
            f"in {named_clusters(odd, label)} cAdvisor's series have no label container, so that "
            "usage is missing: " + _figures(odd, without, all_of_them, "have no container"),
            "use a container runtime that the kubelet's cAdvisor knows: containerd or CRI-O; with "
            "cri-dockerd and some releases of k3s the label is missing; or scrape "
            "/metrics/resource, which has it",
        )


def _check_unscheduled(probe: Probe, label: str, findings: Findings) -> None:
    waiting = probe.count(
        '(kube_pod_status_phase{phase="Pending"}==1) unless on '
        f'({label},namespace,pod) kube_pod_info{{node!=""}}'
    )
    if waiting:
        findings.add(
            "ok",
            "unscheduled_pods",
            f"{counted(sum(waiting.values()), 'pod')} pending without a node: the requests count "
            "from when they are on one",
        )


def _figures(
    names: list[str],
    part: Mapping[str, int],
    whole: Mapping[str, int],
    what: str,
    thing: str = "pod",
) -> str:
    shown = (
        f"{part[name]} of {counted(whole.get(name, part[name]), thing)}"
        f"{f' of {name}' if name else ''}"
        for name in sorted(names)
    )
    return f"{some(shown)} {what}"
