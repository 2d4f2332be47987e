"""What a metric or a cluster has no series of, and the one cause of all of it."""

from collections import defaultdict
from collections.abc import Mapping, Set

from ..catalog.metrics import Metric
from ..runs.context import RunContext
from .counts import Count
from .findings import Findings, some
from .opentelemetry import unknown_to_collectors
from .probe import Probe

GROUPS = 5  # of clusters, each with a finding of its own
KSM, CADVISOR, KUBELET = "kube-state-metrics", "cAdvisor", "kubelet"
WORDS = {KSM: "kube_state_metrics", CADVISOR: "cadvisor", KUBELET: "kubelet"}
# In the order in which a query names them: the first one decides.
SOURCES = {"kubelet_volume_": KUBELET, "container_": CADVISOR, "kube_": KSM}
SCRAPE = {
    KSM: "scrape kube-state-metrics in the clusters, with honor_labels, and let its series through "
    "the remote write to this endpoint",
    CADVISOR: "scrape the kubelets' /metrics/cadvisor, and let container_* through the remote "
    "write to this endpoint",
    KUBELET: "scrape the kubelets' /metrics, and let kubelet_volume_stats_* through",
}
# A cluster without GPUs, volumes, finished pods or restarts has none of these, and lacks nothing.
OPTIONAL = (
    *("gpu_requests", "pvc_info", "pvc_requests", "pvc_usage", "pv_capacity"),
    *("pod_completion_time", "container_end_time"),
)
LABELS = ("pod_labels", "node_labels", "namespace_labels")
REQUESTS = ("cpu_requests", "memory_requests")


def source_of(metric: Metric) -> str:
    """Which exporter makes what the metric is made from, or "" for something else."""
    bucket = {
        metric.query.find(begin): source
        for begin, source in SOURCES.items()
        if begin in metric.query
    }
    return bucket[min(bucket)] if bucket else ""


def needs_ksm(metric: Metric) -> bool:
    """Whether it reads kube-state-metrics too, as network traffic does to know the host's."""
    return "kube_" in metric.query


def explain_empty(
    context: RunContext,
    probe: Probe,
    counts: Mapping[str, Count],
    collected: Set[str],
    findings: Findings,
) -> None:
    """One finding for each cause, and not one for each metric. Of the clusters `collected` it is
    known already what their collectors do not send."""
    empty = [
        metric
        for metric in context.catalog
        if metric.name in counts and not counts[metric.name].series
    ]
    everyone = set[str]().union(*(count.clusters for count in counts.values()))
    if everyone <= collected:
        unknown = unknown_to_collectors(context) - set(OPTIONAL)
        empty = [metric for metric in empty if metric.name not in unknown]
    own = [metric.name for metric in empty if metric.name in context.settings.extra_metrics]
    left = {metric.name: source_of(metric) for metric in empty if metric.name not in own}
    for source in (KSM, CADVISOR):
        of_source = [
            metric.name
            for metric in context.catalog
            if metric.name in counts
            and source_of(metric) == source
            and metric.name not in context.settings.extra_metrics
        ]
        if of_source and set(of_source) <= left.keys():
            findings.add(
                "warning",
                WORDS[source],
                f"none of the {len(of_source)} metrics of {source} has a series",
                SCRAPE[source],
            )
            left = {name: count for name, count in left.items() if name not in of_source}
            if source == KSM:
                also = {metric.name for metric in empty if needs_ksm(metric)}
                left = {name: count for name, count in left.items() if name not in also}
    requests = [name for name in REQUESTS if name in left]
    if requests and _explain_requests(probe, requests, findings):
        left = {name: count for name, count in left.items() if name not in requests}
    left = {name: count for name, count in left.items() if name not in LABELS}  # see labels.py
    if "pvc_usage" in left and counts.get("pvc_info", Count()).series:
        findings.add(
            "warning",
            WORDS[KUBELET],
            "there are volume claims and nothing of how full they are",
            SCRAPE[KUBELET],
        )
        del left["pvc_usage"]
    usual = [name for name in left if name in OPTIONAL]
    if usual:
        findings.add(
            "ok",
            "optional_metrics",
            f"no series of {', '.join(usual)}, as is usual without GPUs, volumes, finished pods "
            "or restarts",
        )
    odd = [name for name in left if name not in OPTIONAL]
    if odd:
        findings.add(
            "warning",
            "missing_metrics",
            f"no series of {', '.join(odd)}",
            "look whether their source leaves them out (--resources and --metric-allowlist of "
            "kube-state-metrics) or a relabelling drops them",
        )
    if own:
        findings.add(
            "warning",
            "own_metrics",
            f"no series of {', '.join(own)}",
            "try their PromQL in Grafana, or remove them from EXTRA_METRICS",
        )


def _explain_requests(probe: Probe, names: list[str], findings: Findings) -> bool:
    """Whether it is known why nothing is left of the requests once they are joined by phase."""
    if not probe.has_series('kube_pod_container_resource_requests{container!="",node!=""}'):
        if probe.has_series("kube_pod_container_resource_requests_cpu_cores"):
            findings.add(
                "warning",
                "requests",
                f"{' and '.join(names)} are empty: this kube-state-metrics is older than 2.0",
                "update kube-state-metrics to 2.0 or later",
            )
            return True
        return False
    if probe.has_series('kube_pod_status_phase{phase=~"Pending|Running"}==1'):
        found = "the requests and kube_pod_status_phase have no namespace and pod in common"
        change = "scrape kube-state-metrics with honor_labels, so that both keep their own labels"
    else:
        found = "there is no kube_pod_status_phase to tell which pods are still there"
        change = "let kube_pod_status_phase through (--metric-allowlist, relabelling)"
    findings.add("warning", "requests", f"{' and '.join(names)} are empty: {found}", change)
    return True


def explain_lacking_clusters(
    context: RunContext, counts: Mapping[str, Count], collected: Set[str], findings: Findings
) -> None:
    """One finding for all clusters that lack the same metrics, of those that others have. Of the
    clusters `collected` it is known already what their collectors do not send."""
    expected = {
        metric.name: source_of(metric)
        for metric in context.catalog
        if metric.name in counts
        and counts[metric.name].series
        and metric.name not in (*OPTIONAL, *context.settings.extra_metrics)
    }
    of_ksm = {name for name, source in expected.items() if source == KSM}
    also = {metric.name for metric in context.catalog if needs_ksm(metric)} - of_ksm
    everyone = set[str]().union(*(counts[name].clusters for name in expected))
    unknown = unknown_to_collectors(context)
    lacking: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for cluster in sorted(everyone):
        names = tuple(name for name in expected if cluster not in counts[name].clusters)
        if of_ksm and of_ksm <= set(names):
            names = tuple(name for name in names if name not in also)
        if cluster in collected:
            names = tuple(name for name in names if name not in unknown)
        if names:
            lacking[names].append(cluster)
    for names, clusters in sorted(lacking.items(), key=lambda item: -len(item[1]))[:GROUPS]:
        sources = {expected[name] for name in names}
        whole = len(sources) == 1 and set(names) == {
            name for name, source in expected.items() if source in sources
        }
        source = next(iter(sources))
        findings.add(
            "warning",
            "lacking_clusters",
            f"{some(clusters)} have no series of "
            f"{f'{source} ({len(names)} metrics)' if whole and source else some(names)}, "
            "which others have",
            SCRAPE.get(source, "look at what is scraped there")
            if whole
            else "look at what is scraped and let through there",
        )
