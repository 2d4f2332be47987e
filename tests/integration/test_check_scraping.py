"""What the check says of ways of scraping in which no query can be right."""

from dataclasses import replace

import pytest

from tests.conftest import MakePrometheus
from tests.integration.conftest import MakeFunction
from tests.integration.sandbox import Event
from tests.integration.test_truth import BEGIN, END, push
from tests.known_cluster import make_known_cluster
from tests.scraping import Way
from tests.ways import NO_NODE, SLOW_WAYS, USUAL, WAYS, having

DUAL_STACK = replace(
    USUAL, kubelet=(NO_NODE, replace(having(NO_NODE, instance="[{ip6}]:10250"), offset_s=8))
)


def check(
    make_function: MakeFunction, make_prometheus: MakePrometheus, ways: dict[str, Way], **env: str
) -> Event:
    prometheus = make_prometheus()
    push(prometheus, make_known_cluster(BEGIN, END), ways)
    function = make_function(PORT=str(prometheus.port), BACKFILL_DAYS="2h", **env)
    return function.export({"action": "check"})


def errors(result: Event) -> dict[str, Event]:
    return {one["what"]: one for one in result["findings"] if one["level"] == "error"}


def test_rare_scrapes_want_a_longer_rate_range(
    make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    ways = {"rare": SLOW_WAYS["every-4-minutes"], "usual": USUAL}
    result = check(make_function, make_prometheus, ways)
    assert result["outcome"] == "not_ready"
    (one,) = errors(result).values()
    assert one["what"] == "scrape interval"
    assert one["summary"].startswith("rare are scraped about every")
    needed = int(one["remedy"].removeprefix("set RATE_RANGE to ").split(",")[0])
    assert 480 <= needed <= 660
    better = check(make_function, make_prometheus, ways, RATE_RANGE=str(needed))
    assert errors(better) == {}


def test_two_addresses_without_node_are_told(
    make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    result = check(make_function, make_prometheus, {"dual": DUAL_STACK, "usual": USUAL})
    assert result["outcome"] == "not_ready"
    (one,) = errors(result).values()
    assert one["what"] == "nodes"
    assert one["summary"].startswith("in dual the same containers are on two nodes")
    assert "__meta_kubernetes_node_name" in one["remedy"]


@pytest.mark.parametrize("way", ["ha-pair", "dual-stack", "no-node-label"])
def test_what_is_right_is_ready(
    way: str, make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    assert errors(check(make_function, make_prometheus, {way: WAYS[way]})) == {}
