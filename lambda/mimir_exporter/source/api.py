"""What is asked of the Prometheus HTTP API: readiness, queries, labels.

One request at a time, on one connection. Answers to range queries are streamed.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from urllib3.response import BaseHTTPResponse

from ..catalog.metrics import label_in_promql
from ..errors import QueryError, StopRunError, TryLaterError
from ..errors.source import (
    ANSWER_IS_ERROR,
    ANSWER_TOO_LARGE,
    ANSWER_TRUNCATED,
    ENDPOINT_NOT_READY,
    NOT_PROMETHEUS,
    PARTIAL_ANSWER,
    QUERIES_REJECTED,
)
from ..settings.settings import Settings
from ..timeline.deadline import Deadline
from .refusals import explain, missing_data
from .secret import CredentialSource
from .session import Fields, Session
from .transport import Transport

if TYPE_CHECKING:
    from .sigv4 import Signer

SMALL_ANSWER_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Ready:
    """The path that said so, and what was queried before it, such as `/-/ready answered 404`."""

    path: str
    before: tuple[str, ...] = ()


class Mimir:
    """Queries one endpoint. Raises the errors of `errors/source.py`."""

    def __init__(
        self,
        settings: Settings,
        credentials: CredentialSource,
        deadline: Deadline,
        signer: "Signer | None" = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`signer` signs each request, where the endpoint takes no other credentials."""
        self._settings = settings
        self._sleep = sleep
        self._clock = clock
        self._api = settings.origin + settings.path_prefix + "/api/v1"
        self._transport = Transport(settings, deadline)
        self._session = Session(settings, credentials, self._transport, signer)
        self._last_query_end: float | None = None

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """What is queried in here raises OutOfTimeError after `seconds`, if not before."""
        return self._transport.within(seconds)

    def hide(self, text: str) -> str:
        """The text without the credentials, to be used on the final text."""
        return self._session.hide(text)

    @property
    def certificate_ends(self) -> float | None:
        """When the server's certificate expires (unix seconds); None without TLS."""
        return self._transport.certificate_ends

    @property
    def date(self) -> tuple[str, float] | None:
        """The last answer's Date, and when it came."""
        return self._transport.date

    def find_ready(self) -> Ready:
        """The path that says the endpoint is ready.

        Mimir answers at /ready, Prometheus and its kin at /-/ready, always at the host's root. A
        gateway or a router there may know neither, whatever its status: then a query decides.
        Raises StopRunError when it is not ready or no such endpoint, TryLaterError when it may be
        in a moment.
        """
        paths = [self._settings.readiness_path]
        if "/ready" not in paths:
            paths.append("/ready")
        before: list[str] = []
        unready: StopRunError | None = None
        for path in paths:
            url = self._settings.origin + path
            with self._session.request("GET", url) as response:
                if response.status == 200:
                    return Ready(path, tuple(before))
                before.append(f"{path} answered {response.status}")
                if response.status >= 500 and unready is None:
                    cause = explain(self._session.read_error(response))
                    unready = ENDPOINT_NOT_READY(status=response.status, url=url, cause=cause)
        try:
            self.query("vector(1)")
        except TryLaterError as error:
            raise unready or error from error
        except QueryError as error:
            raise unready or QUERIES_REJECTED(cause=error.details.found) from error
        return Ready(f"{self._settings.path_prefix}/api/v1/query", tuple(before))

    def query(self, promql: str, moment: int | None = None) -> list[dict[str, Any]]:
        """An instant query's result. `moment` is unix seconds, now by default."""
        url = f"{self._api}/query"
        form = {"query": promql} | ({} if moment is None else {"time": str(moment)})
        result = self._small(self._session.query(url, form), url)
        return list(result.get("result") or ()) if isinstance(result, dict) else []

    def count_by(self, label: str, promql: str, moment: int) -> dict[str, int]:
        """How many series `promql` has by the values of a label; "" has those without it."""
        found = self.query(f"count by ({label_in_promql(label)})({promql})", moment)
        return {series["metric"].get(label, ""): int(float(series["value"][1])) for series in found}

    def label_names(self, start: int, end: int, selector: str | None = None) -> list[str]:
        """The labels of all series between two moments (unix seconds), or of those selected."""
        fields = {"start": str(start), "end": str(end)}
        if selector is not None:
            fields["match[]"] = selector
        return [str(name) for name in self._get("/labels", fields) or ()]

    def label_values(
        self, label: str, start: int, end: int, selectors: Sequence[str] = ()
    ) -> list[str]:
        """The values of a label between two moments (unix seconds), of the series selected."""
        fields = [("start", str(start)), ("end", str(end)), ("partial_response", "false")]
        fields += [("match[]", selector) for selector in selectors]
        found = self._get(f"/label/{_label_in_path(label)}/values", fields)
        return [str(value) for value in found or ()]

    def build_info(self) -> dict[str, str]:
        """What the server reports of itself; empty where it reports nothing."""
        try:
            info = self._get("/status/buildinfo", {})
        except (QueryError, StopRunError):
            return {}
        return {key: str(value) for key, value in info.items()} if isinstance(info, dict) else {}

    @contextmanager
    def query_range(
        self, promql: str, first: int, last: int, step_s: int
    ) -> Iterator[Iterator[bytes]]:
        """The blocks of a range query's answer, uncompressed. Both ends are evaluated.

        `wait_for_turn` comes before it. Only a 200 yields; every other answer raises.
        """
        form = _range_form(promql, first, last, step_s)
        try:
            with self._session.query(f"{self._api}/query_range", form) as response:
                yield self._transport.blocks(response)
        finally:
            self._last_query_end = self._clock()

    def query_points(self, promql: str, first: int, last: int, step_s: int) -> list[dict[str, Any]]:
        """The series of a range query of few points, held as a whole. Both ends are evaluated.

        `wait_for_turn` comes before it.
        """
        url = f"{self._api}/query_range"
        try:
            answered = self._session.query(url, _range_form(promql, first, last, step_s))
            result = self._small(answered, url)
        finally:
            self._last_query_end = self._clock()
        return list(result.get("result") or ()) if isinstance(result, dict) else []

    def wait_for_turn(self) -> None:
        """Wait until QUERY_DELAY after the range query before is over. Raises OutOfTimeError."""
        deadline = self._transport.deadline
        if self._last_query_end is not None:
            due = self._last_query_end + self._settings.query_delay_s
            deadline.sleep(max(0.0, due - self._clock()), self._sleep)
        deadline.check()

    def _get(self, path: str, fields: Fields) -> Any:
        url = self._api + path
        return self._small(self._session.answer("GET", url, fields), url)

    def _small(self, answered: AbstractContextManager[BaseHTTPResponse], url: str) -> Any:
        """`data` of an answer small enough to be held, and whole as far as it says."""
        with answered as response:
            body = bytearray()
            for block in self._transport.blocks(response):
                body += block
                if len(body) > SMALL_ANSWER_BYTES:
                    raise ANSWER_TOO_LARGE(url=url, limit=SMALL_ANSWER_BYTES)
        answer = _parse(body)
        if answer is None and bytes(body.lstrip()[:1]) in (b"{", b""):
            raise ANSWER_TRUNCATED(url=url)
        if answer is None or not {"data", "error"} & answer.keys():
            raise NOT_PROMETHEUS(url=url)
        if answer.get("status") == "error":
            said = f"{answer.get('errorType')}: {answer.get('error')}"
            raise ANSWER_IS_ERROR(cause=self.hide(said))
        warnings = [str(text) for text in answer.get("warnings") or ()]
        missing = missing_data(warnings, is_partial=answer.get("isPartial") is True)
        if missing is not None:
            raise PARTIAL_ANSWER(cause=self.hide(missing))
        return answer.get("data")


def _label_in_path(label: str) -> str:
    """A name with a slash would be two parts of a path, escaped or not: for such there is an
    encoding of letters, digits and `_`."""
    if "/" not in label:
        return quote(label, safe="")
    return "U__" + "".join(
        "__"
        if letter == "_"
        else letter
        if letter.isascii() and letter.isalnum()
        else f"_{ord(letter):x}_"
        for letter in label
    )


def _range_form(promql: str, first: int, last: int, step_s: int) -> dict[str, str]:
    return {
        "query": promql,
        "start": str(first),
        "end": str(last),
        "step": str(step_s),
        "partial_response": "false",  # Thanos: an error instead of half an answer
        "nocache": "1",  # VictoriaMetrics: the range as asked, not moved to its cache's grid
    }


def _parse(body: bytes | bytearray) -> Mapping[str, Any] | None:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None
