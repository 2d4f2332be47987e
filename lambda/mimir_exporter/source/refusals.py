"""What an answer that is no success means: status and body -> the error that cures it. Pure.

The classes come from the error catalogue and limits of Mimir (pkg/util/globalerror, runbooks),
Cortex (the same statuses without IDs), Prometheus (web/api/v1), VictoriaMetrics (app/vmselect) and
Amazon Managed Prometheus.
"""

import json
import re
from collections.abc import Mapping, Sequence

from ..errors import ErrorKind, ExportError, StopRunError
from ..errors import source as errors

RETRY_AFTER_CAP_S = 60.0
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
# What nginx and Go's servers say to plain HTTP.
_TLS_ONLY = ("plain http request was sent to https port", "http request to an https server")
_BUSY = ("throttlingexception", "too many outstanding requests", "err-mimir-query-limited")

# What stops every query alike, until a person changes something.
_OF_THE_ENDPOINT: Mapping[int, ErrorKind[StopRunError]] = {
    401: errors.AUTHENTICATION_FAILED,
    403: errors.ACCESS_DENIED,
    405: errors.METHOD_NOT_ALLOWED,
    406: errors.NOT_ACCEPTABLE,
    407: errors.PROXY_AUTHENTICATION_REQUIRED,
}


def classify(  # noqa: C901 - a table of cases
    status: int, body: str, *, url: str, retry_after: str | None = None
) -> ExportError:
    """The error for an answer of `status` with `body` (JSON, text or HTML)."""
    text = body.lower()
    at: dict[str, object] = {"url": url, "cause": explain(body)}
    wait_s = parse_retry_after(retry_after)
    if 300 <= status < 400:
        return errors.REDIRECTED(status=status, **at)
    if status in _OF_THE_ENDPOINT:
        return _OF_THE_ENDPOINT[status](**at)
    if status in (404, 410):
        return errors.API_NOT_FOUND(status=status, **at)
    if status == 400 and any(word in text for word in _TLS_ONLY):
        return errors.HTTPS_EXPECTED(**at)
    if status == 400 and "no required ssl certificate was sent" in text:
        return errors.CLIENT_CERTIFICATE_REQUIRED(**at)
    at["status"] = status
    if status in (400, 429) and any(word in text for word in _BUSY):
        return errors.RATE_LIMITED(**at).after(wait_s)
    if any(word in text for word in _FEWER_SERIES):
        return errors.TOO_MANY_SERIES(**at)
    if status in (400, 413, 422, 500, 503) and any(word in text for word in _LESS_TIME):
        return errors.QUERY_TOO_LARGE(**at)
    if status in (502, 504):
        return errors.GATEWAY_ERROR(**at).after(wait_s)
    if status in (429, 499) or status >= 500:
        return errors.MIMIR_UNAVAILABLE(**at).after(wait_s)
    if status in (400, 413, 422) and not any(word in text for word in _TEXT):
        return errors.QUERY_REFUSED(**at)
    return errors.QUERY_REJECTED(**at)


def missing_data(warnings: Sequence[str], *, is_partial: bool) -> str | None:
    """Why a success may lack data, or None.

    PromQL's own annotations speak of the expression; any other warning, and VictoriaMetrics'
    isPartial, says that some store did not answer.
    """
    partial = [text for text in warnings if not text.startswith("PromQL ")]
    if is_partial:
        partial.append("isPartial is true")
    return partial[0][:300] if partial else None


def explain(body: str, limit: int = 300) -> str:
    """The one line of an error body that a person wants, without markup."""
    try:
        parsed = json.loads(body)
        if isinstance(parsed, dict) and isinstance(parsed.get("error"), str):
            body = parsed["error"]
    except (ValueError, RecursionError):
        page = body[:MARKUP_CHARACTERS]
        body = re.sub(r"(?is)<(script|style|head).*?</\1>|<[^>]*>", " ", page)
    line = " ".join(body.split())
    line = _ECHO.sub("", line)
    return line if len(line) <= limit else f"{line[:limit]}…"


def parse_retry_after(value: str | None) -> float | None:
    """Seconds to wait, capped; None without a usable header. Dates are not honoured: proxies
    in front of Mimir send seconds, and a wrong clock would make a date absurd."""
    # What strip() takes off is more than what float() would pass over.
    seconds = (value or "").strip()
    if not re.fullmatch(r"[0-9]{1,9}", seconds):
        return None
    return min(float(seconds), RETRY_AFTER_CAP_S)
