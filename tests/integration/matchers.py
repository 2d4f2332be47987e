"""Which clusters a query selects, read from its PromQL."""

import json
import re

_MATCHER = re.compile(r'cluster(=~|!~|=|!=)("(?:[^"\\]|\\.)*"),')


def is_by_cluster(promql: str) -> bool:
    """Whether it is for some clusters only."""
    return _MATCHER.search(promql) is not None


def is_complement(promql: str) -> bool:
    """Whether it is for what no set of clusters names."""
    return is_by_cluster(promql) and "cluster=" not in promql


def selects(promql: str, cluster: str) -> bool:
    """Whether each of its selectors lets series of this cluster through; "" has no label."""
    for operator, text in _MATCHER.findall(promql):
        pattern = json.loads(text)
        pattern = pattern if "~" in operator else re.escape(pattern)
        if (re.fullmatch(pattern, cluster) is not None) != (operator in ("=~", "=")):
            return False
    return True


def selected(promql: str, clusters: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the clusters that it selects."""
    return tuple(cluster for cluster in clusters if selects(promql, cluster))
