"""What the endpoint has of each metric, and whether that can be right."""

from collections.abc import Mapping

from ..errors import ExportError
from ..runs.context import RunContext
from ..timeline.windows import iso
from .counts import Count, count_series
from .findings import Findings
from .labels import check_labels
from .missing import KSM, LABELS, explain_empty, explain_lacking_clusters, source_of
from .opentelemetry import check_opentelemetry, reads_opentelemetry
from .pods import check_pods, check_state_metrics
from .probe import Probe
from .scraping import check_scraping

USAGE = ("cpu_usage", "memory_usage")


def check_metrics(context: RunContext, probe: Probe, findings: Findings) -> dict[str, Count]:
    """Count every metric's series and judge them; the counts by metric."""
    counts: dict[str, Count] = {}
    for metric in context.catalog:
        counts[metric.name] = count_series(context, probe, metric, findings)
        if findings.last.what == "query_api":
            return counts
    known = {name: count for name, count in counts.items() if not count.error}
    if not known:
        findings.add(
            "error",
            "metrics",
            f"none of the {len(counts)} metrics could be counted",
            "see the finding of each metric: while every query fails, nothing can be exported",
        )
        return counts
    full = any(count.series for count in known.values())
    if full:
        _say_how_much(known, findings)
    else:
        _say_there_is_none(len(known), probe, findings)
    try:
        collected = check_opentelemetry(context, probe, known, findings)
        if full:
            _judge(context, probe, known, collected, findings)
    except ExportError as error:
        findings.add_error("labels", error)
    return counts


def _judge(
    context: RunContext,
    probe: Probe,
    counts: Mapping[str, Count],
    collected: set[str],
    findings: Findings,
) -> None:
    """Whether what has series can be right, and why the rest has none; `collected` are clusters
    that only OpenTelemetry's collectors know."""
    explain_empty(context, probe, counts, collected, findings)
    explain_lacking_clusters(context, counts, collected, findings)
    from_ksm = [
        metric.name
        for metric in context.catalog
        if source_of(metric) == KSM and not reads_opentelemetry(metric)
    ]
    has_ksm = any(name in counts and counts[name].series for name in from_ksm)
    check_labels(
        context,
        probe,
        # Without kube-state-metrics that is the cause, and said already.
        {name: count.by_cluster for name, count in counts.items() if has_ksm or name not in LABELS},
        findings,
    )
    if any(counts[name].series for name in USAGE if name in counts):
        check_scraping(context, probe, findings)
        check_pods(context, probe, findings)
    if has_ksm:
        check_state_metrics(context, probe, findings)


def _say_how_much(counts: Mapping[str, Count], findings: Findings) -> None:
    full = {name: count for name, count in counts.items() if count.series}
    clusters = set[str]().union(*(count.clusters for count in full.values()))
    slowest = max(counts, key=lambda name: counts[name].seconds)
    findings.add(
        "ok",
        "metrics",
        f"{len(full)} of {len(counts)} have series: {sum(count.series for count in full.values())} "
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
        change = "fix the scraping of the clusters or their remote write, which has stopped"
    findings.add("error", "metrics", found, change)
