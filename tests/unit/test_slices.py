"""Slices of an answer by window: the same series, each window with its own samples."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimir_exporter.answer.slices import SliceError, Slicer, TooMuchError
from mimir_exporter.answer.split import Splitter
from tests.unit.answers import DEFAULT, HEAD, TAIL, answer, compact, matrices

BEGIN, STEP = 1_759_622_400, 60
MOST = 100_000


class Kept:
    """What each cluster gets, as text."""

    def __init__(self) -> None:
        self.got: dict[str, list[Any]] = {}

    def add(self, cluster: str, run: memoryview, series: int, samples: int) -> None:
        read = json.loads(b"[%s]" % bytes(run), parse_float=str, parse_int=str)
        assert len(read) == series
        assert sum(len(each["values"]) for each in read) == samples
        self.got.setdefault(cluster, []).extend(read)


def slice_all(text: bytes, borders: list[int], block: int = 1 << 20) -> list[dict[str, list[Any]]]:
    windows = [Kept() for _ in borders[1:]]
    slicer = Slicer(borders, [window.add for window in windows], MOST)
    splitter = Splitter("cluster", DEFAULT, slicer.add)
    for at in range(0, len(text), block):
        splitter.feed(text[at : at + block])
    splitter.finish()
    return [window.got for window in windows]


def expect(matrix: list[Any], borders: list[int]) -> list[dict[str, list[Any]]]:
    """By Python's own parser: the text of numbers stays what it was."""
    windows: list[dict[str, list[Any]]] = []
    for low, high in pairwise(borders):
        found: dict[str, list[Any]] = {}
        for series in json.loads(compact(matrix), parse_float=str, parse_int=str):
            values = [point for point in series["values"] if low <= float(point[0]) < high]
            if values:
                cluster = series["metric"].get("cluster") or DEFAULT
                found.setdefault(cluster, []).append(series | {"values": values})
        windows.append(found)
    return windows


texts = st.text(max_size=6) | st.sampled_from(
    ['},"values":[[', "],[", "]]}", '{"metric":{', 'a"b\\', "]]},{"]
)
moments = st.lists(st.integers(0, 59), min_size=1, max_size=20, unique=True).map(
    lambda steps: [BEGIN + STEP * step for step in sorted(steps)]
)
series = st.builds(
    lambda labels, times, value, broken: {
        "metric": labels,
        "values": [[time + (0.5 if broken else 0), value] for time in times],
    },
    st.dictionaries(st.sampled_from(["cluster", "a", "b"]) | texts, texts, max_size=4),
    moments,
    st.sampled_from(["0", "1e+06", "NaN", "+Inf", "0.30000000000000004"]),
    st.booleans(),
)


@given(
    matrix=st.lists(series, max_size=8),
    inner=st.lists(st.integers(1, 59), max_size=6, unique=True),
    block=st.integers(1, 200),
)
def test_each_window_has_its_own_samples_of_each_series(
    matrix: list[Any], inner: list[int], block: int
) -> None:
    borders = [BEGIN + STEP * step for step in (0, *sorted(inner), 60)]
    assert slice_all(answer(matrix), borders, block) == expect(matrix, borders)


@given(matrix=matrices)
def test_what_is_in_another_form_is_refused_or_right(matrix: list[Any]) -> None:
    """Histograms, no samples, any times: a sample is never lost without a word."""
    for each in matrix:
        each.get("values", []).sort(key=lambda point: float(point[0]))
    borders = [0, 1_000, 2**40]
    try:
        got = slice_all(answer(matrix), borders)
    except SliceError:
        return
    assert got == expect(matrix, borders)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{"metric":{"a":"b"},"values":[[1759626000,"1"]]}', "outside"),
        (b'{"metric":{"a":"b"},"values":[[1759622399,"1"]]}', "outside"),
        (b'{"metric":{"a":"b"}, "values":[[1759622400,"1"]]}', "form"),
        (
            b'{"metric":{"a":"b"},"histograms":[[1759622400,{"count":"1","sum":"1"}]]}',
            "form",
        ),
        (
            b'{"metric":{},"values":[[1759622400,"1"]],"histograms":[[1759622460,{"count":"1"}]]}',
            "histograms",
        ),
    ],
)
def test_a_refusal_says_why(text: bytes, why: str) -> None:
    with pytest.raises(SliceError, match=why):
        slice_all(HEAD + text + TAIL, [BEGIN, BEGIN + 1800, BEGIN + 3600])


def test_an_answer_is_no_larger_than_there_is_room_for() -> None:
    series = b'{"metric":{"a":"%d"},"values":[[1759622400,"1"]]}'
    borders = [BEGIN, BEGIN + 3600]
    fits = b",".join(series % n for n in range(MOST // 60))
    assert len(slice_all(HEAD + fits + TAIL, borders)[0][DEFAULT]) == MOST // 60
    too_large = b",".join(series % n for n in range(MOST // 40))
    with pytest.raises(TooMuchError, match="more than 100000 bytes"):
        slice_all(HEAD + too_large + TAIL, borders, 10_000)


def test_series_of_two_forms_are_not_mixed_up() -> None:
    """The samples of the second are not taken for those of the first."""
    mixed = (
        b'{"metric":{"a":"1"},"histograms":[[1759622400,{"count":"1","sum":"1"}]]},'
        b'{"metric":{"a":"2"},"values":[[1759622400,"1"]]}'
    )
    with pytest.raises(SliceError):
        slice_all(HEAD + mixed + TAIL, [BEGIN, BEGIN + 3600])
