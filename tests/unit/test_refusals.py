"""Each way in which Mimir, or a proxy before it, refuses a query, and what follows from it."""

import json
import time

import pytest

from mimir_exporter.errors import (
    ExportError,
    RejectedError,
    StopRunError,
    TooLargeError,
    TooManySeriesError,
    TryLaterError,
    TryLaterOrSplitError,
    UnclearRefusalError,
)
from mimir_exporter.source.refusals import RETRY_AFTER_CAP_S, classify, explain, parse_retry_after

URL = "http://mimir:8080/prometheus/api/v1/query_range"

UNCLEAR = UnclearRefusalError
REJECTED, LARGE, SERIES = RejectedError, TooLargeError, TooManySeriesError
LATER, STOP, SPLIT = TryLaterError, StopRunError, TryLaterOrSplitError

# Texts as Mimir (pkg/util/globalerror), Cortex, Prometheus and their gateways send them.
CASES: list[tuple[int, str, type[ExportError]]] = [
    (400, 'invalid parameter "query": 1:5: parse error: unexpected end of input', REJECTED),
    (
        400,
        "the query expression is too long (err-mimir-max-query-expression-size-bytes)",
        REJECTED,
    ),
    (400, "the request has been blocked (err-mimir-query-blocked)", REJECTED),
    (400, "the request has been blocked (err-mimir-request-blocked)", REJECTED),
    (
        400,
        "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the step",
        LARGE,
    ),
    (400, "the total query time range exceeds (err-mimir-max-total-query-length)", LARGE),
    (400, '{"message":"ThrottlingException: Rate exceeded"}', LATER),
    (400, "<h1>400</h1>The plain HTTP request was sent to HTTPS port", STOP),
    (400, "Client sent an HTTP request to an HTTPS server.", STOP),
    (400, "<h1>400</h1>No required SSL certificate was sent", STOP),
    (401, "no org id", STOP),
    (401, "", STOP),
    (403, "<html><body>Forbidden</body></html>", STOP),
    (404, "404 page not found", STOP),
    (405, "method not allowed", STOP),
    (406, "not acceptable", STOP),
    (407, "proxy authentication required", STOP),
    (410, "gone", STOP),
    (300, "", STOP),
    (302, "", STOP),
    (308, "", STOP),
    (413, "response larger than the max message size (104857600 vs 4194304)", LARGE),
    (413, "http: request body too large", REJECTED),
    (413, "<html><h1>413 Request Entity Too Large</h1></html>", UNCLEAR),
    # In words that no list has.
    (400, "response would be 9 GB, refusing", UNCLEAR),
    (413, "the result of the query is bigger than allowed", UNCLEAR),
    (422, "query aborted: budget of scanned data exceeded", UNCLEAR),
    (418, "the result of the query is bigger than allowed", REJECTED),
    (422, "the query hit the aggregated data size limit (limit: 2048 bytes)", LARGE),
    (422, "the query response size exceeds limit (limit: 2048 bytes)", LARGE),
    (422, "rpc error: code = Unknown desc = exceeded bytes limit: limit 3 violated", LARGE),
    (422, "the query time range exceeds the limit (err-mimir-max-query-length)", LARGE),
    (422, "expanding series: the query time range exceeds the limit (query length: 800h)", LARGE),
    (
        422,
        "the query exceeded the maximum number of chunks (err-mimir-max-chunks-per-query)",
        LARGE,
    ),
    (422, "the query exceeded it (err-mimir-max-estimated-chunks-per-query)", LARGE),
    (422, "the query exceeded the size (err-mimir-max-chunks-bytes-per-query)", LARGE),
    (
        422,
        "the query exceeded the memory (err-mimir-max-estimated-memory-consumption-per-query)",
        LARGE,
    ),
    (
        422,
        "query processing would load too many samples into memory in query execution",
        LARGE,
    ),
    (
        422,
        "the query exceeded the maximum number of series (err-mimir-max-series-per-query)",
        SERIES,
    ),
    (422, "the query hit the max number of series limit (limit: 100000)", SERIES),
    (
        422,
        "multiple matches for labels: many-to-one matching must be explicit (group_left)",
        REJECTED,
    ),
    # As a store-gateway and gRPC word it, passed on by a querier (Mimir, Cortex, Thanos).
    (422, "rpc error: code = Code(422) desc = exceeded series limit: limit 3 violated", SERIES),
    (422, "rpc error: code = Code(422) desc = exceeded chunks limit: limit 3 violated", LARGE),
    (500, "code = ResourceExhausted desc = grpc: received message larger than max (9 vs 4)", LARGE),
    # As VictoriaMetrics words it.
    (422, "cannot select more than -search.maxSamplesPerQuery=500 samples", LARGE),
    (422, "cannot process more than 20 samples per series; -search.maxSamplesPerSeries", LARGE),
    (422, "too many points for: 61; cannot exceed -search.maxPointsPerTimeseries=20", LARGE),
    (422, "not enough memory for processing 90 data points across 3 time series", LARGE),
    (503, "timeout exceeded during query execution: 30.000 seconds", LARGE),
    (422, "error when searching tsids: the number of matching timeseries exceeds 5", SERIES),
    (503, "couldn't start executing the request, -search.maxConcurrentRequests=8", LATER),
    (422, "found duplicate series for the match group on the right hand-side", REJECTED),
    (422, "too many tenant IDs present", REJECTED),
    (429, "too many outstanding requests", LATER),
    (429, "the query has been limited (err-mimir-query-limited)", LATER),
    (429, "", LATER),
    (499, "context canceled", LATER),
    (500, "failed to fetch some blocks (err-mimir-store-consistency-check-failed)", LATER),
    (500, "the bucket index is too old (err-mimir-bucket-index-too-old)", LATER),
    (500, "rpc error: code = Unavailable desc = ingester is shutting down", LATER),
    (502, "<html><center>nginx</center></html>", SPLIT),
    (503, "query timed out in expression evaluation", LARGE),
    (503, "too many unhealthy instances in the ring", LATER),
    (503, "server is shutting down", LATER),
    (504, "context deadline exceeded", SPLIT),
    (507, "", LATER),
    (418, "I'm a teapot", REJECTED),
]


def as_json(text: str) -> str:
    return json.dumps({"status": "error", "errorType": "execution", "error": text})


def as_html(text: str) -> str:
    return f"<html><head><title>Error</title></head><body><p>{text}</p></body></html>"


@pytest.mark.parametrize("wrap", [str, as_json, as_html, str.upper])
@pytest.mark.parametrize(
    ("status", "body", "kind"), CASES, ids=[f"{case[0]}-{case[1][-40:]}" for case in CASES]
)
def test_an_answer_is_the_error_that_names_its_fix(
    status: int, body: str, kind: type[ExportError], wrap: type[str]
) -> None:
    error = classify(status, wrap(body), url=URL)
    assert isinstance(error, kind)
    assert isinstance(error, UnclearRefusalError) == (kind is UNCLEAR)
    text = str(error)
    assert URL in text
    assert error.details.code
    assert "\n" not in text
    assert len(text) < 700


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (302, "redirected"),
        (401, "authentication_failed"),
        (403, "access_denied"),
        (404, "api_not_found"),
        (405, "method_not_allowed"),
        (406, "not_acceptable"),
        (407, "proxy_authentication_required"),
        (410, "api_not_found"),
        (429, "mimir_unavailable"),
        (502, "gateway_error"),
        (503, "mimir_unavailable"),
        (504, "gateway_error"),
    ],
)
def test_each_status_has_its_own_error_and_remedy(status: int, code: str) -> None:
    details = classify(status, "as the server says; obtain a new one", url=URL).details
    assert (details.code, details.cause) == (code, "as the server says; obtain a new one")
    assert details.remedy
    assert "obtain" not in details.remedy


@pytest.mark.parametrize("status", [502, 504])
def test_a_gateways_time_out_is_cut_if_waiting_does_not_help(status: int) -> None:
    error = classify(status, "", url=URL)
    assert isinstance(error, TryLaterError)
    assert error.cut_if_persistent


@pytest.mark.parametrize("status", [429, 499, 500, 503])
def test_what_is_busy_is_not_cut(status: int) -> None:
    error = classify(status, "", url=URL)
    assert isinstance(error, TryLaterError)
    assert not error.cut_if_persistent


@pytest.mark.parametrize(
    ("status", "body"),
    [(429, "busy"), (500, ""), (502, ""), (503, ""), (400, "ThrottlingException")],
)
def test_the_wait_that_the_server_requests_is_waited(status: int, body: str) -> None:
    error = classify(status, body, url=URL, headers={"Retry-After": "7"})
    assert isinstance(error, TryLaterError)
    assert error.retry_after_s == 7


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        (" 12 ", 12),
        ("1\x1d", 1),
        ("60", 60),
        ("61", RETRY_AFTER_CAP_S),
        ("86400", RETRY_AFTER_CAP_S),
        ("999999999", RETRY_AFTER_CAP_S),
        ("9" * 5000, None),
        ("-1", None),
        ("1.5", None),
        ("inf", None),
        ("٣", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),
    ],
)
def test_the_wait_that_the_server_requests_is_capped_and_nonsense_is_none(
    value: str | None, seconds: float | None
) -> None:
    assert parse_retry_after(value) == seconds


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("", ""),
        ('{"status":"error","error":"bad  query\\n here"}', "bad query here"),
        ('{"error": 5}', '{"error": 5}'),
        ("[1]", "[1]"),
        ("<html><head><title>x</title></head><body>Bad <b>gateway</b></body>", "Bad gateway"),
        ("<style>p { color: red }</style><script>evil()</script>text", "text"),
        ("plain\r\n\ttext", "plain text"),
        ("x" * 301, "x" * 300 + "…"),
        (
            r'error when executing query="x{a=\"b\"}" on the time range (start=1): it is too long',
            "it is too long",
        ),
    ],
)
def test_an_error_body_becomes_one_line(body: str, line: str) -> None:
    assert explain(body) == line


@pytest.mark.parametrize("piece", ["<", "<script", "<!--", "[", "{", '"\\', "\x00", "&lt;"])
def test_broken_markup_of_any_kind_is_explained_at_once(piece: str) -> None:
    started = time.process_time()
    assert len(explain(piece * (65_536 // len(piece)))) <= 301
    assert time.process_time() - started < 1
