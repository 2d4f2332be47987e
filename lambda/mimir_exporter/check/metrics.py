"""What the endpoint has of each metric, by cluster, and the one cause of all that it has not."""

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..catalog.metrics import Metric
from ..errors import ExportError, OutOfTimeError, QueryError, RejectedError, StopRunError
from ..events import MetricCount, NotCounted
from ..runs.context import RunContext
from ..timeline.windows import iso
from .findings import Findings, some
from .labels import check_labels
from .probe import Probe
from .scraping import check_scraping

TOP_CLUSTERS = 20
GROUPS = 5  # of clusters, each with a finding of its own
KSM, CADVISOR, KUBELET = "kube-state-metrics", "cAdvisor", "kubelet"
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
USAGE = ("cpu_usage", "memory_usage")
REQUESTS = ("cpu_requests", "memory_requests")


@dataclass
class Count:
    """One metric's series by cluster, "" for those without the label; `error` where not known."""

    by_cluster: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    no_label: str = ""

    @property
    def series(self) -> int:
        """Of all clusters."""
        return sum(self.by_cluster.values())

    @property
    def clusters(self) -> set[str]:
        """Those with a name."""
        return {name for name in self.by_cluster if name}

    @property
    def largest(self) -> dict[str, int]:
        """The series of the largest clusters; those without the label by its place."""
        top = sorted(self.by_cluster.items(), key=lambda item: (-item[1], item[0]))[:TOP_CLUSTERS]
        return {name or self.no_label: count for name, count in top}

    def as_dict(self) -> MetricCount | NotCounted:
        """For the result: the largest clusters only."""
        if self.error:
            return {"error": self.error}
        return {
            "series": self.series,
            "clusters": len(self.clusters),
            "by_cluster": self.largest,
            "seconds": round(self.seconds, 3),
        }


def check_metrics(context: RunContext, probe: Probe, findings: Findings) -> dict[str, Count]:
    """Count every metric's series and judge them; the counts by metric."""
    counts: dict[str, Count] = {}
    for metric in context.catalog:
        counts[metric.name] = _count(context, probe, metric, findings)
        if findings.last.what == "query API":
            return counts
    known = {name: count for name, count in counts.items() if not count.error}
    if not known:
        findings.add(
            "error",
            "metrics",
            f"none of the {len(counts)} metrics could be counted",
            "see what is said of each; without a single answer nothing can be exported",
        )
        return counts
    if not any(count.series for count in known.values()):
        _say_there_is_none(len(known), probe, findings)
        return counts
    _say_how_much(known, findings)
    try:
        _explain_empty(context, probe, known, findings)
        _explain_lacking_clusters(context, known, findings)
        from_ksm = [metric.name for metric in context.catalog if source_of(metric) == KSM]
        has_ksm = any(name in known and known[name].series for name in from_ksm)
        check_labels(
            context,
            probe,
            # Without kube-state-metrics that is the cause, and said already.
            {name: one.by_cluster for name, one in known.items() if has_ksm or name not in LABELS},
            findings,
        )
        if any(known[name].series for name in USAGE if name in known):
            check_scraping(context, probe, findings)
    except ExportError as error:
        findings.add_error("labels", error)
    return counts


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


def _count(context: RunContext, probe: Probe, metric: Metric, findings: Findings) -> Count:
    label = context.settings.cluster_label
    what = f"metric {metric.name}"
    started = time.monotonic()
    count = Count(no_label=f"(no {label} label)")
    try:
        count.by_cluster = probe.count(metric.promql(label))
    except (StopRunError, RejectedError) as error:
        findings.add_error("query API" if isinstance(error, StopRunError) else what, error)
        count.error = error.details.found
    except OutOfTimeError as error:
        findings.add_warning(what, "not counted", error, "give the function a longer timeout_s")
        count.error = error.details.found
    except QueryError as error:
        # A run waits longer, retries and splits: this alone is no error.
        findings.add_warning(
            what,
            "its series could not be counted",
            error,
            "run the check again; a run retries, and splits the query",
        )
        count.error = error.details.found
    count.seconds = time.monotonic() - started
    return count


def _say_how_much(counts: Mapping[str, Count], findings: Findings) -> None:
    full = {name: count for name, count in counts.items() if count.series}
    clusters = set[str]().union(*(count.clusters for count in full.values()))
    slowest = max(counts, key=lambda name: counts[name].seconds)
    findings.add(
        "ok",
        "metrics",
        f"{len(full)} of {len(counts)} have series: {sum(one.series for one in full.values())} "
        f"series, {len(clusters)} clusters; the slowest to count was {slowest}, in "
        f"{counts[slowest].seconds:.1f} s",
    )


def _say_there_is_none(metrics: int, probe: Probe, findings: Findings) -> None:
    """Nothing ever is another tenant or place; nothing any more is a source that has stopped."""
    found = f"none of the {metrics} metrics has a series"
    change = (
        "check the tenant (PROMETHEUS_X_SCOPE_ORGID) and PATH_PREFIX, and that the clusters write "
        "to this endpoint"
    )
    try:
        newest = probe.newest_sample("kube_node_info")
    except ExportError:
        newest = None
    if newest is not None:
        found += f"; the newest sample of kube_node_info is of {iso(int(newest))}"
        change = "mend what scrapes the clusters, or what sends to this endpoint: it has stopped"
    findings.add("error", "metrics", found, change)


def _explain_empty(
    context: RunContext, probe: Probe, counts: Mapping[str, Count], findings: Findings
) -> None:
    """One finding for each cause, and not one for each metric."""
    empty = [
        metric
        for metric in context.catalog
        if metric.name in counts and not counts[metric.name].series
    ]
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
                source,
                f"none of the {len(of_source)} metrics of {source} has a series",
                SCRAPE[source],
            )
            left = {name: one for name, one in left.items() if name not in of_source}
            if source == KSM:
                also = {metric.name for metric in empty if needs_ksm(metric)}
                left = {name: one for name, one in left.items() if name not in also}
    requests = [name for name in REQUESTS if name in left]
    if requests and _explain_requests(probe, requests, findings):
        left = {name: one for name, one in left.items() if name not in requests}
    left = {name: one for name, one in left.items() if name not in LABELS}  # see labels.py
    if "pvc_usage" in left and counts.get("pvc_info", Count()).series:
        findings.add(
            "warning",
            KUBELET,
            "there are volume claims and nothing of how full they are",
            SCRAPE[KUBELET],
        )
        del left["pvc_usage"]
    usual = [name for name in left if name in OPTIONAL]
    if usual:
        findings.add(
            "ok",
            "optional metrics",
            f"no series of {', '.join(usual)}, as is usual without GPUs, volumes, finished pods "
            "or restarts",
        )
    odd = [name for name in left if name not in OPTIONAL]
    if odd:
        findings.add(
            "warning",
            "metrics missing",
            f"no series of {', '.join(odd)}",
            "look whether their source leaves them out (--resources and --metric-allowlist of "
            "kube-state-metrics) or a relabelling drops them",
        )
    if own:
        findings.add(
            "warning",
            "your own metrics",
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


def _explain_lacking_clusters(
    context: RunContext, counts: Mapping[str, Count], findings: Findings
) -> None:
    """One finding for all clusters that lack the same metrics, of those that others have."""
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
    lacking: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for cluster in sorted(everyone):
        names = tuple(name for name in expected if cluster not in counts[name].clusters)
        if of_ksm and of_ksm <= set(names):
            names = tuple(name for name in names if name not in also)
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
            "clusters lacking",
            f"{some(clusters)} have no series of "
            f"{f'{source} ({len(names)} metrics)' if whole and source else some(names)}, "
            "which others have",
            SCRAPE.get(source, "look at what is scraped there")
            if whole
            else "look at what is scraped and let through there",
        )
