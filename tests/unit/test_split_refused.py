"""What the splitter refuses, in which words, and what it reads around the series."""

import random
import re
from typing import Any

import pytest
from hypothesis import given, settings

from mimir_exporter.answer.split import AnswerError, Envelope, Splitter
from tests.unit.answers import (
    DEFAULT,
    HEAD,
    ONE,
    SMALL,
    TAIL,
    Got,
    Odd,
    check,
    cut,
    cuts,
    feed_all,
    matrix_of,
    seeds,
    split,
)

LABEL = b'{"metric":{"cluster":"a","pod":"?"},"values":[[1,"2"]]}'

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
    "null vector": (
        b'{"status":"success","data":{"resultType":"vector","result":null}}',
        "a vector",
    ),
    "text result": (HEAD[:-1] + b'"none"}}', "not a list of series"),
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
    "label not UTF-8": (matrix_of(LABEL.replace(b"?", b"\xff")), "invalid UTF-8"),
    "escaped label not UTF-8": (
        matrix_of(LABEL.replace(b"?", b"\\n\xff"), ONE),
        "invalid UTF-8",
    ),
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


def test_a_metric_named_twice_is_refused_where_the_name_is_the_cluster() -> None:
    twice = b'{"metric":{"__name__":"a","__name__":"b"},"values":[[1,"2"]]}'
    for plain in (False, True):
        with pytest.raises(AnswerError, match="'__name__' twice"):
            split(matrix_of(twice, ONE), label="__name__", plain=plain)


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


@given(seed=seeds, points=cuts)
@settings(max_examples=50)
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
