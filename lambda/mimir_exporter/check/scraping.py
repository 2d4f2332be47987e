"""How the clusters are scraped, where sums depend on it: how often, and under which node's name."""

from ..catalog.metrics import label_in_promql
from ..runs.context import RunContext
from .findings import Findings, named_clusters
from .probe import Probe

# A sample of this long: three scrapes of every five minutes.
LOOK_S = 900
# Of the containers of a cluster. A StatefulSet's pod that moves is on two nodes for some minutes.
MOVING = 0.05
CPU = 'container_cpu_usage_seconds_total{pod!=""}'
ADD_NODE = (
    "add the label node where the kubelets are scraped (relabel __meta_kubernetes_node_name to "
    "node), or scrape them under one address alone"
)


def check_scraping(context: RunContext, probe: Probe, findings: Findings) -> None:
    """Whether the queries can be right. Raises the errors of the endpoint."""
    _check_interval(context, probe, findings)
    _check_nodes(context, probe, findings)


def _check_interval(context: RunContext, probe: Probe, findings: Findings) -> None:
    """Of the quarter of the kubelets that are scraped least often."""
    label = label_in_promql(context.settings.cluster_label)
    range_s = context.settings.rate_range_s
    counts = probe.values(
        f"quantile by ({label})(0.25, max by ({label},instance)(count_over_time({CPU}[{LOOK_S}s])))"
    )
    if not counts:
        return
    # One sample less than there are lies between the first and the last.
    intervals = {name: LOOK_S / max(1, count - 1) for name, count in counts.items()}
    rare = {name: interval for name, interval in intervals.items() if 2 * interval > range_s}
    slowest = max(intervals.values())
    if not rare:
        findings.add(
            "ok", "scrape_interval", f"about {slowest:.0f} s at most; RATE_RANGE is {range_s} s"
        )
        return
    needed = -(-2 * slowest // 60) * 60
    findings.add(
        "error",
        "scrape_interval",
        f"{named_clusters(rare, label)} are scraped about every {slowest:.0f} s, so that a "
        f"RATE_RANGE of {range_s} s often holds no two samples: CPU and network would be too low",
        f"set RATE_RANGE to {needed:.0f}, or scrape more often",
    )


def _check_nodes(context: RunContext, probe: Probe, findings: Findings) -> None:
    """A kubelet that is scraped under two addresses, and without node, is two nodes."""
    metric = next((metric for metric in context.catalog if metric.name == "memory_usage"), None)
    if metric is None:
        return
    label = label_in_promql(context.settings.cluster_label)
    query = metric.promql(context.settings.cluster_label)
    containers = f"count by ({label},namespace,pod,container)({query})"
    all_of_them = probe.count(containers)
    twice = probe.count(f"{containers} > 1")
    wrong = [name for name, count in twice.items() if count > MOVING * all_of_them.get(name, count)]
    if wrong:
        findings.add(
            "error",
            "nodes",
            f"in {named_clusters(wrong, label)} the same containers are on two nodes: their "
            "kubelets are scraped under two addresses, and nothing but instance tells the node; "
            "usage would be twice the truth",
            ADD_NODE,
        )
