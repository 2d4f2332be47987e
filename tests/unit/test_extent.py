"""When a cluster's samples begin and end is what Python's own parser reads in the answer."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimir_exporter.answer.extent import find_extent, has_first, has_last
from mimir_exporter.answer.split import Splitter
from mimir_exporter.answer.spool import Spool
from tests.unit.answers import DEFAULT, answer, cut, cuts, feed_all, matrices

START = 1759622400
STEPS = (START, START + 540)


def sample(moment: float) -> list[Any]:
    return [moment, "0.5"]


def series(*moments: float, cluster: str = "a", compact: bool = True, key: str = "values") -> bytes:
    points = [sample(moment) for moment in moments]
    if key == "histograms":
        points = [[moment, {"count": "1", "sum": "2"}] for moment in moments]
    one = {"metric": {"cluster": cluster}, key: points}
    return json.dumps(one, separators=(",", ":") if compact else None).encode()


def fill(text: bytes, points: list[int], steps: tuple[int, int] | None) -> Spool:
    spool = Spool(steps=steps)
    splitter = Splitter("cluster", DEFAULT, spool.add)
    feed_all(splitter, cut(text, points))
    splitter.finish()
    return spool


@given(matrix=matrices, points=cuts)
def test_any_answer(matrix: list[Any], points: list[int]) -> None:
    expected: dict[str, list[float]] = {}
    for one in matrix:
        for key in one.keys() & {"values", "histograms"}:
            one[key] = sorted(one[key] or (), key=lambda point: point[0])  # as every server does
        found = expected.setdefault(one["metric"].get("cluster") or DEFAULT, [])
        found += [point[0] for key in ("values", "histograms") for point in one.get(key) or ()]
    with fill(answer(matrix), points, None) as spool:
        for name, amount in spool.amounts().items():
            moments = expected[name]
            assert (amount.first, amount.last) == (
                (min(moments), max(moments)) if moments else (None, None)
            )


grid = st.lists(st.integers(0, 9), min_size=1, max_size=10, unique=True).map(sorted)


@given(all_series=st.lists(st.tuples(st.sampled_from("ab"), grid), min_size=1), points=cuts)
def test_knowing_the_steps_changes_nothing(
    all_series: list[tuple[str, list[int]]], points: list[int]
) -> None:
    texts = [
        series(*(START + 60 * step for step in steps), cluster=name) for name, steps in all_series
    ]
    text = b'{"status":"success","data":{"resultType":"matrix","result":[%s]}}' % b",".join(texts)
    with fill(text, points, STEPS) as quick, fill(text, points, None) as slow:
        assert quick.amounts() == slow.amounts()


def test_a_label_that_looks_like_the_last_sample_is_none() -> None:
    text = b'{"metric":{"a":"[%d,"},"values":[[%d,"1"]]}' % (STEPS[1], START)
    assert has_first(text, START)
    assert not has_last(text, STEPS[1])
    assert not has_last(b'{"metric":{"a":"[%d,{"},"values":[[1,"1"]]}' % STEPS[1], STEPS[1])
    assert has_last(series(*STEPS, key="histograms"), STEPS[1])
    assert has_first(series(*STEPS, key="histograms"), STEPS[0])
    assert find_extent(text, 1) == (START, START)


@pytest.mark.parametrize("key", ["values", "histograms"])
@pytest.mark.parametrize("compact", [True, False])
def test_any_spelling(key: str, compact: bool) -> None:
    text = series(START + 0.5, START + 60, key=key, compact=compact)
    assert find_extent(text + b"," + text, 2) == (START + 0.5, START + 60)


def test_a_part_that_is_dropped_takes_its_ends_with_it() -> None:
    with Spool(steps=STEPS) as spool:
        spool.begin_part()
        spool.add("a", series(START + 60), 1, 1)
        spool.begin_part()
        spool.add("a", series(*STEPS), 1, 2)
        spool.drop_part()
        assert spool.amounts()["a"].first == spool.amounts()["a"].last == START + 60
        spool.add("a", series(START + 120), 1, 1)
        assert [(one.first, one.last) for one in spool.files()] == [(START + 60, START + 120)]


def test_files_can_be_had_again_and_in_any_order() -> None:
    with Spool() as spool:
        for name in "abc":
            spool.add(name, series(START, cluster=name), 1, 1)
        first = {one.cluster: one.body.read() for one in spool.files(["c", "a"])}
        again = {one.cluster: one.body.read() for one in spool.files()}
        assert list(first) == ["c", "a"]
        assert {name: again[name] for name in first} == first
