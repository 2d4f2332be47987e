"""The Prometheus HTTP API of any server that the tests ask."""

from collections.abc import Mapping
from urllib.parse import urlencode

import urllib3


def ask(
    server: str, url: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None
) -> bytes:
    """The body of the answer to a query. Raises RuntimeError with the words of `server`."""
    answer = urllib3.request(
        "POST",
        url,
        body=urlencode(fields),
        headers={"Content-Type": "application/x-www-form-urlencoded", **(headers or {})},
        timeout=60.0,  # urllib3.request's own is three seconds
    )
    if answer.status != 200:
        raise RuntimeError(f"{server} answered {answer.status}: {answer.data[:500]!r}")
    return answer.data


def ask_range(
    server: str,
    url: str,
    query: tuple[str, int, int, int],
    *,
    headers: Mapping[str, str] | None = None,
    **others: str,
) -> bytes:
    """The same for a range: PromQL, first and last moment, both included, and the step, in unix
    seconds; `others` are a server's own fields."""
    promql, first_s, last_s, step_s = query
    fields = {"query": promql, "start": str(first_s), "end": str(last_s), "step": str(step_s)}
    return ask(server, f"{url}/api/v1/query_range", {**fields, **others}, headers)
