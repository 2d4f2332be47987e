"""Splitting a metric-window: the parts are the whole, whatever the list of clusters lacks."""

import json
import re
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimir_exporter.catalog.metrics import load_catalog
from mimir_exporter.source.parts import (
    EVERYTHING,
    QUERY_BYTES,
    ClusterSet,
    Part,
    complements,
    matcher_bytes,
)
from tests.some import some

LABEL = "cluster"
_MATCHER = re.compile(r'(\w+|"[^"]+")(=~|!~)("(?:[^"\\]|\\.)*"),')
NAMES = st.text(st.characters(codec="utf-8"), max_size=12)


def selects(clusters: ClusterSet, value: str) -> bool:
    """As the PromQL says it, and not the set itself."""
    found = True
    for _, operator, pattern in _MATCHER.findall(clusters.matchers(LABEL)):
        matches = re.fullmatch(json.loads(pattern), value) is not None
        found = found and matches == (operator == "=~")
    return found


def sets_of(found: list[ClusterSet]) -> list[ClusterSet]:
    return [one for whole in found for one in whole.chunks(3)] + found


@given(st.sets(NAMES), st.lists(NAMES), st.integers(60, 400))
def test_every_cluster_is_in_exactly_one_part(
    listed: set[str], others: list[str], limit: int
) -> None:
    """Those of the list and any other, series without the label too."""
    parts = sets_of(complements(listed, LABEL, limit))
    for cluster in {*listed, *others, "", *(name + "x" for name in listed)}:
        assert sum(cluster in one for one in parts) == 1
        assert sum(selects(one, cluster) for one in parts) == 1
        assert [cluster in one for one in parts] == [selects(one, cluster) for one in parts]


@pytest.mark.parametrize(
    "names",
    [
        [f"prod-eu-west-{number:04d}-payments-k8s" for number in range(1000)],
        [f"{number:x}"[::-1] + ".example.internal" for number in range(3000)],
        [f"a{'b' * (number % 60)}{number}" for number in range(500)],
        ["集群-" + chr(0x4E00 + number % 30) + f"-{number}" for number in range(1000)],
    ],
    ids=["common prefix", "none", "nested", "beyond ASCII"],
)
def test_a_query_stays_short_however_many_clusters_there_are(names: list[str]) -> None:
    for metric in load_catalog():
        query = metric.promql(LABEL)
        limit = matcher_bytes(len(quote_plus(query)), metric.query.count("$matchers"))
        for one in complements(names, LABEL, limit):
            for clusters in (one, *one.chunks(len(one.names))):
                sent = metric.promql(LABEL, clusters.matchers(LABEL))
                assert len(quote_plus(sent)) <= QUERY_BYTES
        found = complements(names, LABEL, limit)
        assert sorted(name for one in found for name in one.names) == sorted(names)
        assert len(found) < len(names) / 3


def test_more_prefixes_than_a_query_has_room_for_stay_in_the_complement() -> None:
    found = complements([chr(0x4E00 + number) for number in range(1000)], LABEL, 3000)
    assert all(len(quote_plus(one.matchers(LABEL))) <= 3000 for one in some(found))
    assert 100 < sum(len(one.names) for one in found) < 1000


def test_few_clusters_have_one_complement() -> None:
    (found,) = complements(["b", "a.b"], LABEL, 3000)
    assert found.matchers(LABEL) == r'cluster!~"a\\.b|b",'
    assert [one.matchers(LABEL) for one in found.chunks(1)] == [
        r'cluster=~"a\\.b",',
        'cluster=~"b",',
    ]


def test_what_cannot_be_named_stays_in_the_complement() -> None:
    odd = {"", "\ud800", "x" * 5000}
    (found,) = complements({"a", *odd}, LABEL, 3000)
    assert found.names == ("a",)
    assert all(name in found for name in some(odd))


@given(st.sets(NAMES, min_size=1), NAMES)
def test_halves_make_up_the_whole(names: set[str], other: str) -> None:
    whole = ClusterSet(tuple(sorted(names)))
    halves = whole.halves()
    if len(names) == 1:
        assert halves is None
        return
    assert halves is not None
    for cluster in {*names, other}:
        assert sum(cluster in half for half in halves) == (cluster in whole)
    assert abs(len(halves[0].names) - len(halves[1].names)) <= 1


@given(st.sets(NAMES), st.sets(NAMES), NAMES, st.integers(60, 400))
def test_a_complement_without_more_names_is_still_the_whole(
    listed: set[str], more: set[str], other: str, limit: int
) -> None:
    for whole in complements(listed, LABEL, limit):
        rest, new = whole.without(more, LABEL, limit)
        for cluster in {*listed, *more, other}:
            assert (cluster in rest) + (cluster in new) == (cluster in whole)


@given(st.integers(0, 200), st.integers(1, 60), st.integers(1, 50))
def test_time_is_split_without_a_gap(steps: int, step_s: int, span: int) -> None:
    whole = Part(1000, 1000 + steps * step_s)
    for parts in (whole.in_time(step_s) or (whole,), whole.pieces(span * step_s, step_s)):
        asked = [at for part in parts for at in range(part.first, part.last + 1, step_s)]
        assert asked == list(range(whole.first, whole.last + 1, step_s))
        assert all(part.clusters == EVERYTHING for part in some(parts))
