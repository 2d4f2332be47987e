"""The splitter gives every cluster its own series, byte for byte, or refuses the answer.

What Python's own parser reads in an answer is the measure throughout. `plain` is the way without
short cuts; every property is asked of both, and they must agree.
"""

import json
import random
import re
import sys
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimir_exporter.split import AnswerError, Envelope, Splitter

DEFAULT = "the default"
HEAD = b'{"status":"success","data":{"resultType":"matrix","result":['
TAIL = b"]}}"

# The same examples in every run: a failure here is never news of another day.
steady = settings(derandomize=True, deadline=None, database=None)


@dataclass
class Got:
    """What the sink of one answer got, and the answer's envelope."""

    files: dict[str, bytes] = field(default_factory=dict)
    series: dict[str, int] = field(default_factory=dict)
    samples: dict[str, int] = field(default_factory=dict)
    calls: int = 0
    envelope: Envelope | None = None

    def take(self, cluster: str, run: memoryview, series: int, samples: int) -> None:
        assert series > 0
        assert bytes(run[:1]) == b"{"
        assert bytes(run[-1:]) == b"}"
        if cluster in self.files:
            self.files[cluster] += b"," + run
        else:
            self.files[cluster] = bytes(run)
        self.series[cluster] = self.series.get(cluster, 0) + series
        self.samples[cluster] = self.samples.get(cluster, 0) + samples
        self.calls += 1


def cut(text: bytes, points: Iterable[int]) -> list[bytes]:
    at = [0, *sorted(min(point, len(text)) for point in points), len(text)]
    return [text[a:b] for a, b in pairwise(at)]


def feed_all(splitter: Splitter, blocks: Iterable[bytes]) -> None:
    for block in blocks:
        splitter.feed(block)


def split(
    text: bytes, points: Iterable[int] = (), *, label: str | None = "cluster", plain: bool = False
) -> Got:
    got = Got()
    splitter = Splitter(label, DEFAULT, got.take, plain=plain)
    feed_all(splitter, cut(text, points))
    got.envelope = splitter.finish()
    return got


def try_split(text: bytes, points: Iterable[int] = (), *, plain: bool = False) -> Got | None:
    try:
        return split(text, points, plain=plain)
    except AnswerError:
        return None


# --- the measure -------------------------------------------------------------------------------


class Obj(dict[str, Any]):
    """A JSON object that remembers which names stood twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.twice = {name for name in names if names.count(name) > 1}


def strict_json(text: bytes) -> Any:
    """Raises ValueError for all that is not JSON; Python alone would let NaN pass."""

    def refuse(name: str) -> Any:
        raise ValueError(name)

    return json.loads(text.decode("utf-8"), object_pairs_hook=Obj, parse_constant=refuse)


@dataclass
class Expected:
    """A matrix as Python reads it, by cluster. `ordinary`: labels and samples are all as usual."""

    files: dict[str, list[Any]]
    samples: dict[str, int]
    ordinary: bool


def expect(text: bytes, label: str | None = "cluster") -> Expected | None:
    """What an answer must be split into; None if it must be refused."""
    try:
        top = strict_json(text)
    except ValueError:
        return None
    if not isinstance(top, Obj) or top.get("status") not in ("success", "error"):
        return None
    known = {"status", "data", "error", "errorType", "warnings", "infos", "isPartial"}
    data = top.get("data")
    if known & top.twice or top["status"] == "error" or not isinstance(data, Obj):
        return None
    if {"resultType", "result"} & data.twice or data.get("resultType") != "matrix":
        return None
    if not isinstance(data.get("result"), list):
        return None
    made = Expected({}, {}, ordinary=True)
    for series in data["result"]:
        if not isinstance(series, Obj) or {"metric", "values", "histograms"} & series.twice:
            return None
        labels = series.get("metric")
        labels = Obj([]) if labels is None else labels
        if not isinstance(labels, Obj) or label in labels.twice:
            return None
        cluster = None if label is None else labels.get(label)
        if not isinstance(cluster, str | None):
            return None
        points = [series.get("values"), series.get("histograms")]
        if not all(isinstance(one, list | None) for one in points):
            return None
        cluster = cluster or DEFAULT
        made.files.setdefault(cluster, []).append(series)
        count = sum(len(one or ()) for one in points)
        made.samples[cluster] = made.samples.get(cluster, 0) + count
        made.ordinary &= all(isinstance(value, str) for value in labels.values())
        made.ordinary &= all(map(is_sample, points[0] or ()))
    return made


def is_sample(point: Any) -> bool:
    return (
        isinstance(point, list)
        and len(point) == 2
        and isinstance(point[0], int | float)
        and isinstance(point[1], str)
        and re.fullmatch(r"[^\[{}:\\]*", point[1]) is not None
    )


def read(files: dict[str, bytes]) -> dict[str, list[Any]]:
    return {cluster: strict_json(b"[" + body + b"]") for cluster, body in files.items()}


def check(text: bytes, points: Iterable[int], *, plain: bool) -> None:
    """Split a matrix and compare it with what Python reads."""
    expected = expect(text)
    assert expected is not None
    got = split(text, points, plain=plain)
    assert read(got.files) == expected.files
    assert list(got.files) == list(expected.files)
    assert got.series == {name: len(series) for name, series in expected.files.items()}
    assert got.samples == expected.samples
    assert got.envelope is not None
    assert got.envelope.status == "success"
    assert got.envelope.series == sum(got.series.values())
    assert got.envelope.samples == sum(got.samples.values())


# --- random matrices ---------------------------------------------------------------------------

# Pieces of an answer's own syntax, and what must be escaped.
PIECES = [
    '"},"values":[[',
    '},"values":[[',
    '"]]},{"metric":{"cluster":"b"',
    '"]]},{"metric":',
    '{"metric":{',
    '"cluster":"x"',
    '"cluster"',
    "cluster",
    '\\"cluster\\":\\"x\\"',
    "\\",
    '"',
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\x00",
    "\n",
    "\x1f\x7f",
    "é",
    "集群",
    "🦊",
    "\u2028",
    "<&>",
    "]}}",
    "\\u0061",
]
words = st.lists(st.sampled_from([*PIECES, "a", "b", "prod-1"]), max_size=4).map("".join)
clusters = st.one_of(st.sampled_from(["a", "b", "ab", "", "A", "prod-1"]), words)
label_names = st.one_of(
    st.sampled_from(["__name__", "app", "xcluster", "cluster_", "pod", 'cluster"', '"cluster']),
    words.filter(bool),
)
times = st.one_of(
    st.integers(1_759_622_400, 1_759_626_000), st.integers(0, 10**13).map(lambda ms: ms / 1000)
)
figures = st.one_of(
    st.sampled_from(["NaN", "+Inf", "-Inf", "0", "1e-07", "-1.5E+21", "0.30000000000000004"]),
    st.floats().map(repr),
    st.integers(0, 10**20).map(str),
)
values = st.lists(st.tuples(times, figures).map(list), min_size=1, max_size=4)
buckets = st.lists(
    st.tuples(st.integers(0, 3), figures, figures, figures).map(list), min_size=1, max_size=3
)
histograms = st.lists(
    st.tuples(
        times,
        st.one_of(
            st.fixed_dictionaries({"count": figures, "sum": figures}),
            st.fixed_dictionaries({"count": figures, "sum": figures, "buckets": buckets}),
        ),
    ).map(list),
    min_size=1,
    max_size=3,
)


@st.composite
def series(draw: st.DrawFn) -> dict[str, Any]:
    labels = draw(st.dictionaries(label_names, words, max_size=4))
    if draw(st.integers(0, 4)):
        labels["cluster"] = draw(clusters)
    # Prometheus sorts by name; others need not.
    names = sorted(labels) if draw(st.booleans()) else draw(st.permutations(list(labels)))
    made: dict[str, Any] = {"metric": {name: labels[name] for name in names}}
    kind = draw(st.integers(0, 9))
    if kind < 8:
        made["values"] = draw(values)
    if kind in (7, 8):
        made["histograms"] = draw(histograms)
    return made


matrices = st.lists(series(), max_size=8)
seeds = st.integers(0, 2**32)
points = st.lists(st.integers(0, 4000), max_size=8)


def compact(matrix: Any, *, ascii_only: bool = False) -> bytes:
    return json.dumps(matrix, separators=(",", ":"), ensure_ascii=ascii_only).encode()


def answer(matrix: Any) -> bytes:
    return HEAD + compact(matrix)[1:-1] + TAIL


class Odd:
    """Writes JSON as no server does: any white space, any escapes, any order of names."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def gap(self) -> str:
        return self.chance.choice(["", "", " ", "\n", "\t\r\n  "])

    def text(self, value: str) -> str:
        # A character past U+FFFF becomes the two escapes that json writes for it.
        return '"' + "".join(self.letter(one) for one in value) + '"'

    def letter(self, one: str) -> str:
        if self.chance.random() < 0.8:
            return json.dumps(one, ensure_ascii=self.chance.random() < 0.5)[1:-1]
        pairs = one.encode("utf-16-be", "surrogatepass")
        return "".join(f"\\u{pairs[i]:02x}{pairs[i + 1]:02X}" for i in range(0, len(pairs), 2))

    def write(self, value: Any) -> str:
        if isinstance(value, dict):
            items = list(value.items())
            self.chance.shuffle(items)
            body = ",".join(
                f"{self.gap()}{self.text(k)}{self.gap()}:{self.write(v)}" for k, v in items
            )
            made = "{" + (body or self.gap()) + "}"
        elif isinstance(value, list):
            made = "[" + (",".join(map(self.write, value)) or self.gap()) + "]"
        else:
            made = self.text(value) if isinstance(value, str) else json.dumps(value)
        return self.gap() + made + self.gap()


@pytest.mark.parametrize("plain", [False, True])
@given(matrix=matrices, points=points)
@settings(steady, max_examples=200)
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
@given(matrix=matrices, points=points, seed=seeds)
@settings(steady, max_examples=100)
def test_odd_json_is_split_as_python_reads_it(
    matrix: list[Any], points: list[int], seed: int, plain: bool
) -> None:
    whole = {
        "status": "success",
        "data": {"resultType": "matrix", "result": matrix, "stats": {"result": [[{}]]}},
        "infos": ["]"],
    }
    check(Odd(random.Random(seed)).write(whole).encode(), points, plain=plain)


@given(matrix=matrices, points=points, seed=seeds)
@settings(steady, max_examples=100)
def test_series_in_odd_json_among_compact_ones_change_nothing(
    matrix: list[Any], points: list[int], seed: int
) -> None:
    chance = random.Random(seed)
    odd = Odd(chance)
    body = [odd.write(one).encode() if chance.random() < 0.3 else compact(one) for one in matrix]
    text = HEAD + b",".join(body) + TAIL
    check(text, points, plain=False)
    assert split(text, points).files == split(text, points, plain=True).files


@given(matrix=matrices, points=points, ascii_only=st.booleans())
@settings(steady, max_examples=100)
def test_without_a_label_everything_is_one_file(
    matrix: list[Any], points: list[int], ascii_only: bool
) -> None:
    body = compact(matrix, ascii_only=ascii_only)[1:-1]
    for plain in (False, True):
        got = split(HEAD + body + TAIL, points, label=None, plain=plain)
        assert got.files == ({DEFAULT: body} if matrix else {})


@pytest.mark.parametrize("label", ['cluster"', "cluster\\", "集群", "k8s.cluster/name", "", "a\nb"])
@given(matrix=matrices, points=points, ascii_only=st.booleans())
@settings(steady, max_examples=30)
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


# --- what could fool a search ------------------------------------------------------------------


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


def test_objects_in_labels_made_to_look_like_series_are_refused() -> None:
    """Valid JSON, though no matrix: the fake series must not stay in a file."""
    fake = '{"bar":{"q":"x"},"values":[["1"]]},{"metric":{"cluster":"b"},"values":[["2"]]},'
    metric = f'{{"metric":{{"cluster":"a","foo":[{fake}{{"metric":{{"cluster":"b","z":"z"}}}}]}}'
    text = HEAD + f'{metric},"values":[["1","2"]]}}'.encode() + TAIL
    assert expect(text) is not None
    assert try_split(text) is None
    assert read(split(text, plain=True).files) == read({"a": text[len(HEAD) : -len(TAIL)]})


# --- cut short, damaged ------------------------------------------------------------------------

SMALL = [
    {"metric": {"__name__": "up", "cluster": "a", "pod": "p1"}, "values": [[1, "2"], [3, "4"]]},
    {"metric": {"__name__": "up", "cluster": "a", "pod": "é"}, "values": [[1, "2.5"]]},
    {"metric": {"__name__": "up", "cluster": "b", "pod": '"}'}, "values": [[1, "NaN"]]},
    {"metric": {"__name__": "up", "pod": "p4"}, "values": [[1.5, "1e-07"], [3, "-4"]]},
    {
        "metric": {"app": "x", "cluster": "b"},
        "histograms": [[1, {"count": "2", "sum": "3", "buckets": [[0, "1", "2", "2"]]}]],
    },
    {"metric": {"__name__": "up", "cluster": "c"}, "values": [[1, "+Inf"]]},
]


@pytest.mark.parametrize("plain", [False, True])
def test_no_part_of_an_answer_passes_for_the_whole(plain: bool) -> None:
    tail = b'],"x":{"result":[]}},"warnings":["w"]}'
    text = HEAD + compact(SMALL)[1:-1] + tail
    for length in range(len(text)):
        for points in ([], [length // 2], [length - 1]):
            assert try_split(text[:length], points, plain=plain) is None
    check(text, [], plain=plain)


def damage(text: bytes, chance: random.Random) -> bytes:
    """One to three random changes, with bytes and pieces that mean something in JSON."""
    made = bytearray(text)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(made) + 1)
        to = min(len(made), at + chance.choice([0, 1, 1, 2, 5, 40]))
        kind = chance.randrange(4)
        if kind == 0:
            made[at:to] = b""
        elif kind == 1:
            made[at:to] = bytes([chance.choice(b'"\\[]{},:0.e \n\x00\xff\x80an')])
        elif kind == 2:
            source = chance.randrange(len(text))
            made[at:at] = text[source : source + chance.choice([1, 3, 20, 90, 200])]
        else:
            made[at:to] = chance.choice(PIECES).encode()
    return bytes(made)


@given(
    matrix=st.one_of(st.just(SMALL), matrices),
    seed=seeds,
    points=st.lists(st.integers(0, 1500), max_size=4),
)
@settings(steady, max_examples=1500)
def test_a_damaged_answer_is_refused_or_means_what_it_now_says(
    matrix: list[Any], seed: int, points: list[int]
) -> None:
    whole = answer(matrix)
    text = damage(whole, random.Random(seed))
    expected = expect(text)
    plain, quick = try_split(text, points, plain=True), try_split(text, points)
    if expected is not None:
        assert plain is not None
        assert read(plain.files) == expected.files
        assert plain.samples == expected.samples
        assert quick is not None or not expected.ordinary
        if quick is not None:
            assert quick.files == plain.files
            if expected.ordinary:
                assert quick.samples == plain.samples
    elif plain is not None:
        assert plain.envelope is not None
        assert plain.envelope.status == "error"
    elif quick is not None and quick.envelope is not None and quick.envelope.status == "success":
        # Not JSON, and passed: this is what the quick ways do not look for. The damage must lie in
        # the text of labels or samples, and every series that it did not touch in its own file.
        assert_only_inner_damage(text)
        for one in matrix:
            bare = compact(one)
            own = one["metric"].get("cluster") or DEFAULT
            if whole.count(bare) == text.count(bare) == 1:
                assert [own] == [name for name, body in quick.files.items() if bare in body]


INNER = re.compile(
    rb'("metric":\{)(?:(?!"metric":).)*?(\},"values":\[\[)[^:]*("\]\]\}(?=,\{"metric":))', re.DOTALL
)


def assert_only_inner_damage(text: bytes) -> None:
    """With other labels and samples in their places the text is JSON."""
    fixed = INNER.sub(rb'\1"a":"b"\g<2>1,"2\3', text)
    try:
        strict_json(fixed)
    except ValueError as error:
        raise AssertionError(f"{text!r} is damaged outside of labels and samples") from error


# --- what is refused ---------------------------------------------------------------------------

ONE = b'{"metric":{"cluster":"a"},"values":[[1,"2"]]}'


def matrix_of(*series: bytes) -> bytes:
    return HEAD + b",".join(series) + TAIL


REFUSED = {
    "empty": (b"", "is empty"),
    "space": (b" \n", "is empty"),
    "html": (b"<html>502</html>", "begins with b'<'"),
    "text": (b"ok", "no JSON object"),
    "list": (b"[]", "no JSON object"),
    "byte order mark": (b"\xef\xbb\xbf" + matrix_of(ONE), "begins with b'\\xef'"),
    "no status": (b"{}", "no status"),
    "odd status": (b'{"status":"ok","data":{}}', "no status"),
    "no data": (b'{"status":"success"}', "no list of series"),
    "null data": (b'{"status":"success","data":null}', "no list of series"),
    "no result": (b'{"status":"success","data":{"resultType":"matrix"}}', "no list of series"),
    "null result": (HEAD[:-1] + b"null}}", "no list of series"),
    "object result": (HEAD[:-1] + b"{}}}", "not a list"),
    "vector": (matrix_of(ONE).replace(b"matrix", b"vector"), "a vector, not a matrix"),
    "late vector": (
        b'{"status":"success","data":{"result":[%s],"resultType":"vector"}}' % ONE,
        "a vector, not a matrix",
    ),
    "no type": (b'{"status":"success","data":{"result":[%s]}}' % ONE, "not a matrix"),
    "two results": (HEAD + ONE + b'],"result":[]}}', "'result' twice"),
    "two data": (HEAD + ONE + b']},"data":{}}', "'data' twice"),
    "early second data": (b'{"data":null,' + matrix_of(ONE)[1:], "'data' twice"),
    "trailing text": (matrix_of(ONE) + b"x", "not valid JSON"),
    "two answers": (matrix_of(ONE) * 2, "not valid JSON"),
    "trailing comma": (matrix_of(ONE, b""), "no object"),
    "leading comma": (matrix_of(b"", ONE), "no object"),
    "two commas": (matrix_of(ONE, b"", ONE), "no object"),
    "no comma": (matrix_of(ONE + ONE), "comma is missing"),
    "number": (matrix_of(ONE, b"5"), "no object"),
    "null": (matrix_of(b"null"), "no object"),
    "wrong bracket": (matrix_of(b'{"metric":{"a":"b"],"values":[]}'), "not valid JSON"),
    "NaN": (matrix_of(ONE.replace(b'"2"', b"NaN")), "NaN is no JSON number"),
    "deep": (matrix_of(b'{"x":' + b"[" * 99999 + b"]" * 99999 + b"}"), "nested too deeply"),
    "deep envelope": (matrix_of(ONE)[:-1] + b',"x":' + b"[" * 99999, "nested too deeply"),
    "two clusters": (
        matrix_of(ONE, b'{"metric":{"cluster":"a","cluster":"b"},"values":[[1,"2"]]}', ONE),
        "'cluster' twice",
    ),
    "two clusters apart": (
        matrix_of(b'{"metric":{"cluster":"a","b":"c","cluster":"a"},"values":[[1,"2"]]}', ONE),
        "'cluster' twice",
    ),
    "two spelled clusters": (
        matrix_of(b'{"metric":{"cluster":"a","clu\\u0073ter":"b"},"values":[[1,"2"]]}', ONE),
        "'cluster' twice",
    ),
    "two metrics": (
        matrix_of(b'{"metric":{"cluster":"a"},"values":[["1"]],"metric":{},"x":[["2"]]}', ONE),
        "'metric' twice",
    ),
    "two values": (
        matrix_of(b'{"metric":{"cluster":"a"},"values":[["1"]],"values":[["2"]]}', ONE),
        "'values' twice",
    ),
    "labels": (matrix_of(b'{"metric":["a"],"values":[]}'), "labels of a series"),
    "cluster": (matrix_of(b'{"metric":{"cluster":5},"values":[]}'), "not a string"),
    "values": (matrix_of(b'{"metric":{},"values":"x"}'), "values of a series"),
    "histograms": (matrix_of(b'{"metric":{},"histograms":{}}'), "histograms of a series"),
    "cluster not UTF-8": (matrix_of(ONE.replace(b'"a"', b'"\xff"'), ONE), "valid"),
    "cluster cut escape": (matrix_of(ONE.replace(b'"a"', b'"\\u12"'), ONE), "not valid JSON"),
    "control in cluster": (matrix_of(ONE.replace(b'"a"', b'"\n"'), ONE), "not valid JSON"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused_in_a_sentence(name: str) -> None:
    text, reason = REFUSED[name]
    for plain in (False, True):
        for points in (range(0), range(min(len(text), 300))):
            with pytest.raises(AnswerError, match=re.escape(reason)) as caught:
                split(text, points, plain=plain)
            assert str(caught.value).endswith(".")
            assert len(str(caught.value)) < 200


def test_after_an_error_nothing_more_is_taken() -> None:
    splitter = Splitter("cluster", DEFAULT, Got().take)
    with pytest.raises(AnswerError):
        splitter.feed(b"<html>")
    with pytest.raises(AnswerError, match="before"):
        splitter.feed(b"</html>")
    with pytest.raises(AnswerError, match="before"):
        splitter.finish()


def test_a_failing_sink_passes_its_own_error_and_ends_the_answer() -> None:
    def fail(*_: object) -> None:
        raise OSError("full")

    splitter = Splitter("cluster", DEFAULT, fail)
    with pytest.raises(OSError, match="full"):
        splitter.feed(matrix_of(ONE, ONE))
    with pytest.raises(AnswerError):
        splitter.finish()


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    "series",
    [
        b'{"metric":{"cluster":"a"},"values":[%s]}' % b",".join([b'[1,"2"]'] * 500),
        b'{"metric":{"cluster":"a","b":"%s"},"values":[[1,"2"]]}' % (b"x" * 4000),
        b'{"metric":{"cluster":"a"},"histograms":[[1,{"count":"%s"' % (b"2" * 4000),
    ],
)
def test_a_series_past_the_bound_is_refused(series: bytes, plain: bool) -> None:
    splitter = Splitter("cluster", DEFAULT, Got().take, max_item_bytes=2000, plain=plain)
    with pytest.raises(AnswerError, match="more than 2000 bytes"):
        feed_all(splitter, cut(matrix_of(ONE, series, ONE), range(0, 5000, 500)))


@pytest.mark.parametrize("at", [1, -1])
def test_an_envelope_past_the_bound_is_refused(at: int) -> None:
    text = matrix_of(ONE)
    splitter = Splitter("cluster", DEFAULT, Got().take)
    splitter.feed(text[:at] + b' "x":"')
    with pytest.raises(AnswerError, match="around its series"):
        feed_all(splitter, [b"x" * 100_000] * 20)


# --- the envelope ------------------------------------------------------------------------------


@given(seed=seeds, points=points)
@settings(steady, max_examples=50)
def test_the_envelope_is_read_in_any_order(seed: int, points: list[int]) -> None:
    trace = {"data": {"result": [[{}], "]"], "result ": '"result":['}, "result": [1]}
    whole = {
        "status": "success",
        "data": {"resultType": "matrix", "result": SMALL, "analysis": trace, "stats": None},
        "warnings": ["w ]", "é"],
        "infos": ["i"],
        "isPartial": True,
        "trace": trace,
        "result": [{}],
    }
    text = Odd(random.Random(seed)).write(whole).encode()
    got = split(text, points)
    assert got.envelope == Envelope(
        "success", "matrix", "", "", ("w ]", "é"), ("i",), True, series=6, samples=8
    )
    check(text, points, plain=False)


def test_an_empty_matrix_is_an_answer() -> None:
    got = split(HEAD + b" " + TAIL)
    assert got.files == {}
    assert got.envelope == Envelope("success", "matrix", "", "", (), (), False, 0, 0)


def test_an_error_with_status_200_comes_back_in_the_envelope() -> None:
    text = b'{"status":"error","errorType":"timeout","error":"query timed out","data":null}'
    envelope = split(text, [7, 30]).envelope
    assert envelope == Envelope("error", "", "timeout", "query timed out", (), (), False, 0, 0)


def test_warnings_of_any_type_are_not_lost() -> None:
    text = matrix_of(ONE)[:-1] + b',"warnings":["a",{"b":1}],"infos":"c"}'
    envelope = split(text).envelope
    assert envelope is not None
    assert len(envelope.warnings) == 2
    assert envelope.infos == ("c",)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_blocks_may_be_any_bytes(kind: type[Any]) -> None:
    got = Got()
    splitter = Splitter("cluster", DEFAULT, got.take)
    for block in cut(matrix_of(ONE, ONE), [70, 71]):
        splitter.feed(kind(block))
    assert splitter.finish().series == 2
    assert got.files == {"a": ONE + b"," + ONE}


# --- what must not grow ------------------------------------------------------------------------

STEP_S = 60


def usual_series(number: int, cluster: int, samples: int = 60) -> bytes:
    labels = {
        "__name__": "container_cpu_usage",
        "cluster": f"prod-{cluster:04}",
        "namespace": f"team-{number % 37}",
        "pod": f"web-{number * 7919 % 1_000_003:06x}-{number}",
    }
    points = [
        [1_759_622_400 + STEP_S * i, repr((number * 31 + i) % 97 / 96)] for i in range(samples)
    ]
    return compact({"metric": labels, "values": points})


def blocks_of(series: Iterable[bytes], size: int) -> Iterator[bytes]:
    """An answer in blocks of that size, made as it is asked for."""
    held = bytearray(HEAD)
    for number, one in enumerate(series):
        held += b"," * (number > 0) + one
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    yield bytes(held + TAIL)


def count_c_calls(blocks: list[bytes]) -> tuple[Got, int, int]:
    """Splits, and counts calls of built-in functions and of Python's."""
    calls = {"c_call": 0, "call": 0}

    def note(_frame: object, event: str, _arg: object) -> None:
        if event in calls:
            calls[event] += 1

    got = Got()
    splitter = Splitter("cluster", DEFAULT, lambda *_: None)
    sys.setprofile(note)
    try:
        feed_all(splitter, blocks)
        got.envelope = splitter.finish()
    finally:
        sys.setprofile(None)
    return got, calls["c_call"], calls["call"]


def test_a_series_of_a_run_costs_six_searches() -> None:
    """`walk` takes all but the last of an answer: a slower way would be seen here."""
    number = 2000
    blocks = list(blocks_of((usual_series(i, i // 500) for i in range(number)), 256 * 1024))
    got, c_calls, calls = count_c_calls(blocks)
    assert got.envelope is not None
    assert got.envelope.samples == number * 60
    assert c_calls < number * 6 + len(blocks) * 120
    assert calls < len(blocks) * 60


def test_a_series_of_its_own_cluster_costs_a_few_calls_more() -> None:
    number = 2000
    blocks = list(blocks_of((usual_series(i, i % 20) for i in range(number)), 256 * 1024))
    _, c_calls, calls = count_c_calls(blocks)
    assert c_calls < number * 13 + len(blocks) * 120
    assert calls < number * 1.1 + len(blocks) * 60  # the sink, once for each


def test_runs_reach_the_sink_whole() -> None:
    size = 64 * 1024
    blocks = list(blocks_of((usual_series(i, i // 500) for i in range(2000)), size))
    got = Got()
    splitter = Splitter("cluster", DEFAULT, got.take)
    feed_all(splitter, blocks)
    splitter.finish()
    # At most: what straddles two blocks, what follows in the block, and each cluster's change.
    assert got.calls <= 2 * len(blocks) + 4


@pytest.mark.parametrize("spread", ["sorted", "interleaved"])
def test_memory_does_not_grow_with_the_answer_or_its_clusters(spread: str) -> None:
    def peak(number: int, clusters: int) -> int:
        def series() -> Iterator[bytes]:
            one = usual_series(1, 0)
            for i in range(number):
                cluster = i * clusters // number if spread == "sorted" else i % clusters
                yield one.replace(b"prod-0000", b"prod-%04d" % cluster)

        splitter = Splitter("cluster", DEFAULT, lambda *_: None)
        blocks = blocks_of(series(), 64 * 1024)
        splitter.feed(next(blocks))
        tracemalloc.start()
        try:
            feed_all(splitter, blocks)
            assert splitter.finish().series == number
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large, many = peak(500, 1), peak(8000, 1), peak(8000, 1000)
    assert large < small + 64 * 1024
    assert many < small + 1024 * 1024  # the beginnings it remembers: some 400 bytes a cluster
    assert large < 1024 * 1024
