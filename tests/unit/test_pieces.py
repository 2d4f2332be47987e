"""Queries made of pieces."""

import pytest

from mimir_exporter.catalog.metrics import read_catalog
from mimir_exporter.catalog.pieces import Pieces

PIECES = Pieces(
    words={"pod": "namespace,pod", "deep": "$pod,container"},
    functions={"twice": "($_ + $_)", "renamed": 'label_replace($_,"a","$1","b","(.+)")'},
)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("sum by ($deep)(x)", "sum by (namespace,pod,container)(x)"),
        ("$twice(rate(x[5m]))", "(rate(x[5m]) + rate(x[5m]))"),
        ('$renamed(x{a=")"})', 'label_replace(x{a=")"},"a","$1","b","(.+)")'),
        ("$twice($renamed(x))", '({0} + {0})'.format('label_replace(x,"a","$1","b","(.+)")')),
        ("x{$matchers a='$1'} $unknown (y)", "x{$matchers a='$1'} $unknown (y)"),
    ],
)  # fmt: skip
def test_words_and_functions_are_replaced_and_nothing_else(text: str, expanded: str) -> None:
    assert PIECES.expand(text) == expanded


def test_a_metrics_own_field_comes_first() -> None:
    assert PIECES.expand("$pod", {"pod": "mine"}) == "mine"


@pytest.mark.parametrize("text", ["$twice(x", "$loop"])
def test_what_has_no_end_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"bracket|holds itself"):
        Pieces({"loop": "x $loop"}, PIECES.functions).expand(text)


def test_a_metric_is_read_with_its_key() -> None:
    (metric,) = read_catalog(
        """
[shapes]
rate = 'sum by ($key)(rate($series{$matchers a="b"}[$rate_range]))'
[[metric]]
name = "x"
shape = "rate"
series = "y_total"
key = ["cluster", "pod"]
""",
        rate_range_s=600,
    )
    assert metric.key == ("cluster", "pod")
    assert metric.promql("c") == 'sum by (c,pod)(rate(y_total{ a="b"}[600s]))'
