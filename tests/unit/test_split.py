"""The splitter gives every cluster its own series, byte for byte, or refuses the answer.

`plain` is the way without short cuts; every property is asked of both, and they must agree.
"""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimir_exporter.answer.split import AnswerError, Splitter
from tests.unit.answers import (
    DEFAULT,
    HEAD,
    ONE,
    PIECES,
    SMALL,
    TAIL,
    Odd,
    answer,
    check,
    compact,
    cuts,
    damage,
    expect,
    judge,
    matrices,
    matrix_of,
    read,
    seeds,
    split,
    try_split,
)


@pytest.mark.parametrize("plain", [False, True])
@given(matrix=matrices, points=cuts)
@settings(max_examples=200)
def test_compact_answers_are_split_byte_for_byte(
    matrix: list[Any], points: list[int], plain: bool
) -> None:
    check(answer(matrix), points, plain=plain)
    files: dict[str, list[bytes]] = {}
    for one in matrix:
        files.setdefault(one["metric"].get("cluster") or DEFAULT, []).append(compact(one))
    got = split(answer(matrix), points, plain=plain)
    assert got.files == {name: b",".join(series) for name, series in files.items()}


@pytest.mark.parametrize("plain", [False, True])
@given(matrix=matrices, points=cuts, seed=seeds)
@settings(max_examples=100)
def test_odd_json_is_split_as_python_reads_it(
    matrix: list[Any], points: list[int], seed: int, plain: bool
) -> None:
    whole = {
        "status": "success",
        "data": {"resultType": "matrix", "result": matrix, "stats": {"result": [[{}]]}},
        "infos": ["]"],
    }
    check(Odd(random.Random(seed)).write(whole).encode(), points, plain=plain)


@given(matrix=matrices, points=cuts, seed=seeds)
@settings(max_examples=100)
def test_series_in_odd_json_among_compact_ones_change_nothing(
    matrix: list[Any], points: list[int], seed: int
) -> None:
    chance = random.Random(seed)
    odd = Odd(chance)
    body = [odd.write(one).encode() if chance.random() < 0.3 else compact(one) for one in matrix]
    text = HEAD + b",".join(body) + TAIL
    check(text, points, plain=False)
    assert split(text, points).files == split(text, points, plain=True).files


@given(matrix=matrices, points=cuts, ascii_only=st.booleans())
@settings(max_examples=100)
def test_without_a_label_everything_is_one_file(
    matrix: list[Any], points: list[int], ascii_only: bool
) -> None:
    body = compact(matrix, ascii_only=ascii_only)[1:-1]
    for plain in (False, True):
        got = split(HEAD + body + TAIL, points, label=None, plain=plain)
        assert got.files == ({DEFAULT: body} if matrix else {})


@pytest.mark.parametrize("label", ['cluster"', "cluster\\", "集群", "k8s.cluster/name", "", "a\nb"])
@given(matrix=matrices, points=cuts, ascii_only=st.booleans())
@settings(max_examples=30)
def test_any_string_can_be_the_label(
    label: str, matrix: list[Any], points: list[int], ascii_only: bool
) -> None:
    for one in matrix:
        if "cluster" in one["metric"]:
            one["metric"][label] = one["metric"].pop("cluster")
    text = HEAD + compact(matrix, ascii_only=ascii_only)[1:-1] + TAIL
    expected = expect(text, label)
    assert expected is not None
    for plain in (False, True):
        assert read(split(text, points, label=label, plain=plain).files) == expected.files


@pytest.mark.parametrize("piece", [*PIECES, *(a + b for a in PIECES[:8] for b in PIECES[:8])])
def test_no_label_value_is_taken_for_syntax(piece: str) -> None:
    def one(cluster: str, **labels: str) -> dict[str, Any]:
        return {"metric": {**labels, "cluster": cluster}, "values": [[1.5, "2"], [3, "NaN"]]}

    text = answer(
        [
            one("a"),
            one("a", pod=piece),
            one("b", zone=piece),
            one(piece),
            one("b"),
            {"metric": {"__name__": piece, "cluster": "a", "pod": piece}, "values": [[1, "2"]]},
            {"metric": {"pod": piece, piece: piece}, "values": [[1, "2"]]},
            one("a"),
        ]
    )
    for at in range(len(HEAD), len(text), 7):
        check(text, [at], plain=False)
    check(text, range(len(text)), plain=False)
    check(text, [], plain=True)


def test_two_spellings_of_a_cluster_are_one_cluster() -> None:
    labels = [b'"cluster":"a"', b'"cluster":"\\u0061"', b'"\\u0063luster":"a"', b'"cluster" :"a"']
    body = b",".join(b'{"metric":{%s},"values":[[1,"2"]]}' % one for one in labels)
    got = split(HEAD + body + TAIL)
    assert got.files == {"a": body}
    assert got.series == {"a": 4}


@pytest.mark.parametrize("plain", [False, True])
def test_half_a_surrogate_pair_is_a_value_of_its_own(plain: bool) -> None:
    spelled = [rb"\ud83e", rb"\udd8a", rb"\ud83e\udd8a", rb"\ufffd"]
    body = b",".join(b'{"metric":{"cluster":"%s"},"values":[[1,"2"]]}' % one for one in spelled)
    got = split(HEAD + body + TAIL, plain=plain)
    assert list(got.files) == ["\ud83e", "\udd8a", "🦊", "\ufffd"]
    assert len({name.encode("utf-8", "surrogatepass") for name in got.files}) == 4


def test_objects_in_labels_made_to_look_like_series_are_none() -> None:
    fake = '{"bar":{"q":"x"},"values":[["1"]]},{"metric":{"cluster":"b"},"values":[["2"]]},'
    metric = f'{{"metric":{{"cluster":"a","foo":[{fake}{{"metric":{{"cluster":"b","z":"z"}}}}]}}'
    body = f'{metric},"values":[["1","2"]]}}'.encode()
    text = matrix_of(ONE, body, body)
    for plain in (False, True):
        for at in range(len(text)):
            assert split(text, [at], plain=plain).files == {"a": b",".join([ONE, body, body])}


def test_a_label_whose_name_looks_like_a_pattern_is_only_itself() -> None:
    body = b'{"metric":{"axb":"x","a.b":"y"},"values":[[1,"2"]]}'
    other = b'{"metric":{"axb":"x"},"values":[[1,"2"]]}'
    got = split(matrix_of(other, body, other), label="a.b")
    assert got.files == {DEFAULT: other + b"," + other, "y": body}


def test_the_name_of_the_metric_can_be_the_label() -> None:
    names = [
        b'{"metric":{"__name__":"%s","x":"y"},"values":[[1,"2"]]}' % one for one in (b"a", b"b")
    ]
    got = split(matrix_of(*names, *names), label="__name__")
    assert got.series == {"a": 2, "b": 2}


@pytest.mark.parametrize("quote", ["x", " ", "", ",", "}", "]", "\x00", "'", "\\"])
@pytest.mark.parametrize(
    "labels",
    [
        '"cluster":"b%s',
        '"cluster":"b%s,"pod":"x"',
        '"__name__":"up","cluster":"b%s,"pod":"x"',
        '"__name__":"up%s,"cluster":"b"',
        '"pod":"x","cluster":"b%s',
        '"pod":"x%s,"cluster":"b"',
    ],
)
def test_a_closing_quote_that_is_damaged_makes_no_other_cluster(labels: str, quote: str) -> None:
    """The value would reach to the quote of the next name: a file of a cluster that is none."""
    one = b'{"metric":{%s},"values":[[1,"2"]]}' % (labels % quote).encode()
    got = try_split(matrix_of(ONE, one, one, ONE))
    assert got is None or got.files.keys() <= {"a", "b"}
    assert got is None or '"cluster":"b"' in labels


@pytest.mark.parametrize("broken", ["}x", ',"b":"}","c"', "},{", "{}", '"', "x"])
def test_damaged_labels_never_reach_another_cluster_s_file(broken: str) -> None:
    one = b'{"metric":{"cluster":"b"%s},"values":[[1,"2"]]}' % broken.encode()
    got = try_split(matrix_of(ONE, one, ONE))
    assert got is None or got.files == {"a": ONE + b"," + ONE, "b": one}
    assert try_split(matrix_of(ONE, one, ONE), plain=True) is None


@pytest.mark.parametrize("broken", ["}", "{", "[", "\\", '","b":"}', ',"cluster":"c"'])
def test_what_is_looked_at_among_broken_labels_is_noticed(broken: str) -> None:
    """docs/reliability.md says what is, and what is not."""
    one = b'{"metric":{"cluster":"b"%s,},"values":[[1,"2"]]}' % broken.encode()
    assert try_split(matrix_of(ONE, one, ONE)) is None


@pytest.mark.parametrize(
    "samples", ['[1,"2":]', '[1:"2"]', '[1,"2"],{"a":1}x', '[1,"2"]]:[[1,"2"]']
)
def test_what_is_looked_at_among_broken_samples_is_noticed(samples: str) -> None:
    one = b'{"metric":{"cluster":"b"},"values":[%s]}' % samples.encode()
    assert try_split(matrix_of(ONE, one, ONE)) is None


def test_a_series_stays_out_of_the_file_of_a_broken_one_in_front_of_it() -> None:
    """Bytes were lost in the labels of b's series; what follows them is a whole one of c."""
    broken, whole = (
        b'{"metric":{"cluster":"b","pod',
        b'{"metric":{"cluster":"c"},"values":[[1,"2"]]}',
    )
    for text in (matrix_of(ONE, broken + b"," + whole, ONE), matrix_of(broken + whole, ONE)):
        assert try_split(text) is None


@pytest.mark.parametrize("plain", [False, True])
def test_no_part_of_an_answer_passes_for_the_whole(plain: bool) -> None:
    tail = b'],"x":{"result":[]}},"warnings":["w"]}'
    text = HEAD + compact(SMALL)[1:-1] + tail
    for length in range(len(text)):
        for points in ([], [length // 2], [length - 1]):
            assert try_split(text[:length], points, plain=plain) is None
    check(text, [], plain=plain)


FAKE = '{"metric":{"cluster":"b"},"histograms":[[1,{"count":"1"}]]}'
POINT = '[1,{"count":"2","sum":"3","buckets":[[0,"1","2","2"],[3,"2","4","1"]]}]'
ODD_POINTS = [
    "[]",
    "[1]",
    "{}",
    "1",
    "true",
    '"}"',
    '[1,"2"]',
    '[1,"2","3","4"]',
    "[1,{}]",
    '[1,{"count":"2"}]',
    '[1,{"count":"2"},3]',
    '[1,{"count":"2"},{"sum":"3"}]',
    '[1,{"count":{"sum":"3"}}]',
    '[1,{"count":"}"}]',
    '[1,{"count":"{"}]',
    '[1,{"}],[,{":"2"}]',
    '[1,{"count":"2\\""}]',
    '[1,{"count":"é"}]',
    '[1, {"count":"2"}]',
    '["x",{"count":"2"}]',
    '[[1,{"count":"2"}],[2,{"count":"2"}]]',
    '[1,{"a":[2,{"count":"2"}],"b":[3,{"count":"2"}]}]',
    '[1,{"count":"}","x":[[{"count":"1"}]]},' + FAKE + "]",
    '[1,{"x":[[1,{"count":"1"}]]},' + FAKE + "]",
]


@pytest.mark.parametrize("odd", ODD_POINTS)
def test_histograms_of_any_kind_end_where_their_series_does(odd: str) -> None:
    """The quick way goes by brackets alone, so what has other brackets must not take it."""
    for points in ([odd], [odd, POINT], [POINT, odd], [POINT, odd, POINT], [POINT, POINT, odd]):
        for more in ("", ',"x":1', ',"values":[[1,"2"]]'):
            body = '{"metric":{"cluster":"a","le":"[1,{"},"histograms":[%s]%s}'
            one = (body % (",".join(points), more)).encode()
            text = matrix_of(ONE, one, one, ONE, FAKE.encode(), one, FAKE.encode())
            for at in (0, len(HEAD) + len(ONE) + 10):
                check(text, [at], plain=False)


def test_histograms_may_be_cut_anywhere() -> None:
    """Also where a block ends between the list's comma and the next series' first name."""
    point = '[1,{"buckets":[[0,"1","2","2"]],"sum":"3","count":"2"}]'
    series = [ONE, *(f'{{"metric":{{"cluster":"{name}"}},"histograms":[{each}]}}'.encode()
                     for name in "ab" for each in (POINT, point)), ONE]  # fmt: skip
    text = matrix_of(*series)
    for at in range(len(HEAD), len(text)):
        check(text, [at], plain=False)
        check(text, [at, min(at + 40, len(text))], plain=False)


@given(
    matrix=st.one_of(st.just(SMALL), matrices),
    seed=seeds,
    points=st.lists(st.integers(0, 1500), max_size=4),
)
@settings(max_examples=800)
def test_a_damaged_answer_is_refused_or_means_what_it_now_says(
    matrix: list[Any], seed: int, points: list[int]
) -> None:
    whole = answer(matrix)
    judge(damage(whole, random.Random(seed)), points, whole, matrix)


@pytest.mark.parametrize(
    "data",
    [
        b'{"resultType":"matrix","result":null}',
        b'{"resultType":"","result":null}',
        b'{"resultType":"","result":[]}',
        b'{"result":null}',
        b'{"result": null ,"resultType" : "matrix", "stats": {"a": [1]}}',
    ],
)
def test_an_empty_answer_in_gos_spelling_is_an_empty_answer(data: bytes) -> None:
    found = Splitter("cluster", "none", lambda *_: None)
    found.feed(b'{"status":"success","data":' + data + b"}")
    envelope = found.finish()
    assert (envelope.status, envelope.series, envelope.samples) == ("success", 0, 0)


def test_series_without_a_type_are_no_empty_answer() -> None:
    series = b'{"metric":{},"values":[[1,"1"]]}'
    found = Splitter("cluster", "none", lambda *_: None)
    found.feed(b'{"status":"success","data":{"resultType":"","result":[' + series + b"]}}")
    with pytest.raises(AnswerError):
        found.finish()
