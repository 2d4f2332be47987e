"""The part of docs/metrics.md that is made from the catalogue."""

from collections.abc import Iterable, Sequence

from mimir_exporter.catalog.metrics import CLUSTER_LABEL, MATCHERS, Metric, load_catalog

EXPORTERS = {"kube_": "kube-state-metrics", "kubelet_": "the kubelet", "container_": "cAdvisor"}


def render_catalog() -> str:
    """A section for each metric of the default catalogue."""
    catalog = load_catalog()
    return "\n".join(_section(metric, catalog) for metric in catalog)


def _section(metric: Metric, catalog: Sequence[Metric]) -> str:
    families: dict[str, dict[str, None]] = {}
    for selector in metric.reads:
        name = selector.partition("{")[0]
        families.setdefault(_exporter(name), {})[name] = None
    reads = "; ".join(f"{_names(names)} of {exporter}" for exporter, names in families.items())
    joins = [
        f"`{other.name}`"
        for other in catalog
        if other.name != metric.name and set(other.key) <= set(metric.key)
    ]
    lines = [
        f"### {metric.name}",
        "",
        f"{metric.description}.",
        "",
        f"- Key: {_names(metric.key)}. Unit: {metric.unit}.",
        f"- Reads {reads}.",
        f"- {metric.pitfalls}",
    ]
    if joins:
        lines.append(f"- One row at most by its key: {', '.join(joins)}.")
    query = metric.query.replace(f"{MATCHERS} ", "").replace(MATCHERS, "")
    query = query.replace(CLUSTER_LABEL, "cluster")
    return "\n".join([*lines, "", "```promql", query, "```", ""])


def _names(labels: Iterable[str]) -> str:
    return ", ".join(f"`{label}`" for label in labels)


def _exporter(family: str) -> str:
    return next(name for prefix, name in EXPORTERS.items() if family.startswith(prefix))
