"""The figures on the page are of the catalogue as it is, and within their bound."""

from bench.query_cost import BEFORE, OTHER
from bench.results import QUERY_TO_PLAIN, load
from mimir_exporter.catalog.metrics import load_catalog, read_catalog

CATALOG = {metric.name: metric for metric in load_catalog()}
PLAIN = {metric.name: metric for metric in read_catalog(BEFORE.read_text("utf-8"))}


def test_each_plain_query_has_one_of_today_that_reads_the_same_series() -> None:
    assert len(PLAIN) >= 20
    for name, plain in PLAIN.items():
        families = {selector.partition("{")[0] for selector in plain.reads}
        assert families <= {selector.partition("{")[0] for selector in CATALOG[name].reads}


def test_no_query_costs_the_server_more_than_its_bound() -> None:
    queries = load().queries
    assert queries is not None
    compared = [one for one in queries.costs if one.ratio is not None]
    assert {one.metric for one in compared if one.catalog == "default"} == PLAIN.keys()
    assert {one.catalog for one in compared} == {"default", OTHER}
    assert [one for one in compared if (one.ratio or 0) > QUERY_TO_PLAIN] == []
