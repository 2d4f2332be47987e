"""What a query reads."""

import re

import pytest

from mimir_exporter.catalog.metrics import Metric, load_catalog
from mimir_exporter.catalog.selectors import find_selectors


@pytest.mark.parametrize(
    ("query", "selectors"),
    [
        ("up", ["up"]),
        ("rate(x{$matchers a='b'}[5m])", ["x{$matchers a='b'}"]),
        ("sum by (a, b) (x{}) / on (a) group_left (c, d) y", ["x{}", "y"]),
        ("sum(x) by (pod) or sum without (up) (z)", ["x", "z"]),
        ("x{a=~\"}[)\", b='\\''}[1h:5m] offset 5m", ["x{a=~\"}[)\", b='\\''}"]),
        ("x offset -1h @ end() > bool 5e3", ["x"]),
        ('{__name__=~"a|b"}', ['{__name__=~"a|b"}']),
        ('{"k8s.pod.phase", a="b"} and x:y:z', ['{"k8s.pod.phase", a="b"}', "x:y:z"]),
        ('label_replace(x{$matchers}, "a", "$1", "b", `({.+})`)', ["x{$matchers}"]),
        ("topk by (a) (1, x) + x # and y", ["x"]),
        ("max_over_time(rate(a:b[5m])[1d:1h]) * 1 < Inf", ["a:b"]),
        ("count_values by (v) ('v', x == 1)", ["x"]),
        ("vector(1) + time()", []),
    ],
)
def test_selectors_are_found_with_their_text(query: str, selectors: list[str]) -> None:
    assert find_selectors(query) == tuple(selectors)


@pytest.mark.parametrize("metric", load_catalog(), ids=lambda metric: metric.name)
def test_every_brace_of_the_catalogue_is_in_a_selector(metric: Metric) -> None:
    assert metric.reads
    assert len(re.findall(r"\{\$matchers", metric.query)) >= len(metric.reads)
    for selector in metric.reads:
        assert re.fullmatch(r"[a-z_:]+\{\$matchers[^{}]*\}", selector)
        assert selector in metric.query
