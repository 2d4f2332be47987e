"""Answers to query_range, made and judged without the splitter: what its tests share.

What Python's own parser reads in an answer is the measure throughout.
"""

import json
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from mimir_exporter.answer.split import AnswerError, Envelope, Splitter

DEFAULT = "the default"
HEAD = b'{"status":"success","data":{"resultType":"matrix","result":['
TAIL = b"]}}"
ONE = b'{"metric":{"cluster":"a"},"values":[[1,"2"]]}'


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


def matrix_of(*series: bytes) -> bytes:
    return HEAD + b",".join(series) + TAIL


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
    """A matrix as Python reads it, by cluster. `ordinary`: its samples are all pairs as usual."""

    files: dict[str, list[Any]]
    samples: dict[str, int]
    ordinary: bool


def expect(text: bytes, label: str | None = "cluster") -> Expected | None:  # noqa: C901 - cases
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
    if {"resultType", "result"} & data.twice or "result" not in data:
        return None
    kind, result = data.get("resultType"), data["result"]
    # Go encodes an empty list as null, and its type then is empty too.
    if (result is None and kind in (None, "", "matrix")) or (result == [] and kind == ""):
        return Expected({}, {}, ordinary=True)
    if kind != "matrix" or not isinstance(result, list):
        return None
    made = Expected({}, {}, ordinary=True)
    for series in result:
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
cuts = st.lists(st.integers(0, 4000), max_size=8)


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


def judge(text: bytes, points: Iterable[int], whole: bytes, matrix: Sequence[Any]) -> str:
    """Split `text`, which was the answer `whole` of `matrix`, and compare with what Python reads.

    Says what it was: "still a matrix", "an error", "refused", or "damaged inside a series" for
    what is no JSON and passed.
    """
    points = list(points)
    expected = expect(text)
    plain, quick = try_split(text, points, plain=True), try_split(text, points)
    if expected is not None:
        assert plain is not None
        assert read(plain.files) == expected.files
        assert plain.samples == expected.samples
        assert quick is not None
        assert quick.files == plain.files
        if expected.ordinary:
            assert quick.samples == plain.samples
        return "still a matrix"
    if plain is not None:
        assert plain.envelope is not None
        assert plain.envelope.status == "error"
        return "an error"
    if quick is None or quick.envelope is None or quick.envelope.status == "error":
        return "refused"
    # Not JSON, and passed: this is what the quick ways do not look for. The damage must lie in
    # the text of labels or samples, and every series that it did not touch in its own file.
    assert_only_inner_damage(text)
    for one in matrix:
        bare = compact(one)
        own = one["metric"].get("cluster") or DEFAULT
        if whole.count(bare) == text.count(bare) == 1:
            assert [own] == [name for name, body in quick.files.items() if bare in body]
    return "damaged inside a series"


# What the splitter does not look at, from a series' labels to the next series; see matrix.py. Each
# expression takes what it may pass over, and nothing more.
TEXT = rb'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*"'
# `_walk`: behind the cluster, if it is in front, anything but `{`, `}`, `[`, a backslash and the
# cluster's label. `_match_head`: labels that are whole. Both: samples without a colon.
INNER = re.compile(
    rb'("metric":\{)'
    rb'(?:(?>(?:(?:"__name__":"[^"\\]*",)?"cluster":"[^"\\]*")?)(?:(?!"cluster":)[^{}\[\\])*'
    rb"|(?:%(text)s:%(text)s(?:,(?=\")|(?=\})))*)"
    rb'(\},"values":\[\[)[^:]*("\]\]\}(?=,\{"metric":))' % {b"text": TEXT},
    re.DOTALL,
)
# Of native histograms: objects in lists of a time, one behind the other, without another object or
# any text but figures in them.
PLAIN = rb"[A-Za-z0-9.+-]*"
INSIDE = rb'(?:[^{}"]|"%s")*' % PLAIN
INNER_HISTOGRAMS = re.compile(
    rb'(\},"histograms":\[\[)%(p)s,%(p)s\{%(in)s(?:\}%(p)s\]%(p)s,%(p)s\[%(p)s,%(p)s\{%(in)s)*'
    rb'(\}\]\]\}(?=,\{"metric":\{))' % {b"p": PLAIN, b"in": INSIDE}
)


def assert_only_inner_damage(text: bytes) -> None:
    """With other labels and samples in their places the text is JSON."""
    fixed = INNER.sub(rb'\1"a":"b"\g<2>1,"2\3', text)
    fixed = INNER_HISTOGRAMS.sub(rb'\g<1>1,{"count":"2"\2', fixed)
    try:
        strict_json(fixed)
    except ValueError as error:
        raise AssertionError(f"{text!r} is damaged outside of labels and samples") from error
