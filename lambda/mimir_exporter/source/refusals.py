"""What an answer that is no success means: status and body -> the error that fits it. Pure.

The classes come from the error catalogue and limits of Mimir (pkg/util/globalerror, runbooks),
Cortex (the same statuses without IDs), Thanos, Prometheus (web/api/v1), VictoriaMetrics
(app/vmselect) and Amazon Managed Prometheus. docs/sources.md has them as a table.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from ..errors import ErrorKind, ExportError, TryLaterError
from ..errors.source import (
    ACCESS_DENIED,
    API_NOT_FOUND,
    AUTHENTICATION_FAILED,
    CLIENT_CERTIFICATE_REQUIRED,
    GATEWAY_ERROR,
    HTTPS_EXPECTED,
    METHOD_NOT_ALLOWED,
    MIMIR_UNAVAILABLE,
    NO_TENANT,
    NOT_ACCEPTABLE,
    PROXY_AUTHENTICATION_REQUIRED,
    QUERY_REFUSED,
    QUERY_REJECTED,
    QUERY_TOO_LARGE,
    RATE_LIMITED,
    REDIRECTED,
    STORE_UNAVAILABLE,
    TOO_MANY_SERIES,
)

RETRY_AFTER_CAP_S = 60.0
CAUSE_CHARACTERS = 300
# Of a page; in broken markup the search for tags takes the square of its length.
MARKUP_CHARACTERS = 8192

# VictoriaMetrics repeats the whole query before it says what is wrong with it.
_ECHO = re.compile(r"^error when executing query=.*? on the time range \([^)]*\): ")

_LESS_TIME = (
    "exceeded maximum resolution",
    "err-mimir-max-total-query-length",
    "err-mimir-max-query-length",
    "the query time range exceeds the limit",
    "err-mimir-max-chunks-per-query",
    "err-mimir-max-estimated-chunks-per-query",
    "err-mimir-max-chunks-bytes-per-query",
    "err-mimir-max-estimated-memory-consumption-per-query",
    "the query hit the max number of chunks limit",
    "the query hit the aggregated chunks size limit",
    "too many samples",
    "response larger than the max",
    # Cortex, and Amazon Managed Prometheus, which runs it; then Thanos.
    "the query hit the aggregated data size limit",
    "the query response size exceeds limit",
    "exceeded bytes limit",
    "query timed out",
    # A store-gateway's or an ingester's own limits, and gRPC's: the querier only passes them on.
    "exceeded chunks limit",
    "exceeded samples limit",
    "received message larger than max",
    # VictoriaMetrics names the limit by its flag.
    "-search.maxsamplesperquery",
    "-search.maxsamplesperseries",
    "-search.maxpointspertimeseries",
    "not enough memory for processing",
    "timeout exceeded during",
)
_FEWER_SERIES = (
    "err-mimir-max-series-per-query",
    "the query hit the max number of series limit",
    "exceeded series limit",
    "the number of matching timeseries exceeds",
)
# What is wrong with the query's text or with what it joins: no smaller query helps.
_TEXT = (
    "parse error",
    "cannot parse",
    "error parsing",
    "invalid parameter",
    "invalid expression type",
    "unknown function",
    "err-mimir-max-query-expression-size-bytes",
    "err-mimir-query-blocked",
    "err-mimir-request-blocked",
    "multiple matches for labels",
    "many-to-many matching",
    "many-to-one matching",
    "found duplicate series for the match group",
    "duplicate time series on the",
    "vector cannot contain metrics with the same labelset",
    "too many tenant ids",
    "request body too large",
)
# What nginx and Go's servers say to plain HTTP, and to a request without a client certificate.
_TLS_ONLY = ("plain http request was sent to https port", "http request to an https server")
_NO_CERTIFICATE = ("no required ssl certificate was sent", "the ssl certificate error")
_BUSY = ("throttlingexception", "too many outstanding requests", "err-mimir-query-limited")
# The state of a store, as gRPC words it (Thanos with partial_response=false, Mimir's queriers).
_STORE = re.compile(
    r"code = (aborted|unavailable|cancell?ed|deadlineexceeded)|no store matched|context canceled"
)
_NO_TENANT = ("no org id", "no tenant", "x-scope-orgid")


def classify(
    status: int,
    body: str,
    *,
    url: str,
    headers: Mapping[str, str] | None = None,
    hide: Callable[[str], str] = str,
) -> ExportError:
    """The error for an answer of `status` with `body` (JSON, text or HTML).

    `hide` removes the credentials: from the text that is shown, after all that decodes it.
    """
    headers = headers or {}
    kind = _kind(status, body.lower())
    given = {"status": status, "url": url, "location": hide(_location(headers))}
    fields = {name: value for name, value in given.items() if name in kind.fields}
    error = kind(cause=shorten(hide(one_line(body)), CAUSE_CHARACTERS - 1), **fields)
    if isinstance(error, TryLaterError):
        error.after(parse_retry_after(headers.get("Retry-After")))
    return error


def _kind(status: int, text: str) -> ErrorKind[ExportError]:
    """`text` is in lower case."""
    kind = _of_endpoint(status, text) or _of_query(status, text)
    if kind is not None:
        return kind
    if status in (408, 502, 504):
        return GATEWAY_ERROR
    if status in (429, 499) or status >= 500:
        return MIMIR_UNAVAILABLE
    if status in (400, 413, 422) and not _has(text, _TEXT):
        return QUERY_REFUSED
    return QUERY_REJECTED


def _of_endpoint(status: int, text: str) -> ErrorKind[ExportError] | None:
    """Where it is not the query's fault, whatever the query."""
    if status == 401:
        return NO_TENANT if _has(text, _NO_TENANT) else AUTHENTICATION_FAILED
    if status == 400 and _has(text, _TLS_ONLY):
        return HTTPS_EXPECTED
    if status in (400, 495, 496) and (status > 400 or _has(text, _NO_CERTIFICATE)):
        return CLIENT_CERTIFICATE_REQUIRED
    by_status = {
        403: ACCESS_DENIED,
        404: API_NOT_FOUND,
        405: METHOD_NOT_ALLOWED,
        406: NOT_ACCEPTABLE,
        407: PROXY_AUTHENTICATION_REQUIRED,
        410: API_NOT_FOUND,
        501: API_NOT_FOUND,
    }
    return REDIRECTED if 300 <= status < 400 else by_status.get(status)


def _of_query(status: int, text: str) -> ErrorKind[ExportError] | None:
    """Where the query's time or size is the matter, or the stores that it needs."""
    if status in (400, 429) and _has(text, _BUSY):
        return RATE_LIMITED
    if _has(text, _FEWER_SERIES):
        return TOO_MANY_SERIES
    if status in (400, 413, 422, 500, 503) and _has(text, _LESS_TIME):
        return QUERY_TOO_LARGE
    if status == 422 and _STORE.search(text):
        return STORE_UNAVAILABLE
    return None


def _has(text: str, words: Sequence[str]) -> bool:
    return any(word in text for word in words)


def _location(headers: Mapping[str, str]) -> str:
    """Where a redirect leads, without what follows the path: it may carry a ticket."""
    location = headers.get("Location", "")
    if not location:
        return "an unnamed address"
    try:
        url = urlsplit(location)
        host = url.netloc.rpartition("@")[2]
        return f"{url.scheme}://{host}{url.path}" if host else url.path
    except ValueError:
        return "an invalid address"


def missing_data(warnings: Sequence[str], *, is_partial: bool) -> str | None:
    """Why a successful response may be partial, or None.

    PromQL's own annotations speak of the expression; any other warning, and VictoriaMetrics'
    isPartial, says that some store did not answer.
    """
    partial = [text for text in warnings if not text.startswith("PromQL ")]
    if is_partial:
        partial.append("isPartial is true")
    return partial[0] if partial else None


def one_line(body: str) -> str:
    """What an error body says, without markup, on one line."""
    try:
        parsed = json.loads(body)
        if isinstance(parsed, dict) and isinstance(parsed.get("error"), str):
            body = parsed["error"]
    except (ValueError, RecursionError):
        page = body[:MARKUP_CHARACTERS]
        body = re.sub(r"(?is)<(script|style|head).*?</\1>|<[^>]*>", " ", page)
    return _ECHO.sub("", " ".join(body.split()))


def shorten(line: str, limit: int = CAUSE_CHARACTERS) -> str:
    """The line, or its beginning."""
    return line if len(line) <= limit else f"{line[:limit]}…"


def explain(body: str) -> str:
    """The one line of an error body that a person wants."""
    return shorten(one_line(body))


def parse_retry_after(value: str | None) -> float | None:
    """Seconds to wait, capped; None without a usable header. Dates are not honoured: proxies
    in front of Mimir send seconds, and a wrong clock would make a date absurd."""
    # What strip() takes off is more than what float() would pass over.
    seconds = (value or "").strip()
    if not re.fullmatch(r"[0-9]{1,9}", seconds):
        return None
    return min(float(seconds), RETRY_AFTER_CAP_S)
