"""The HTTP client of Mimir, or of anything else that speaks the Prometheus HTTP API.

One request at a time, on one connection. Answers are streamed; the deadline is checked at every
block, because an HTTP time-out bounds one read and not a whole answer. A server that sends a byte
now and then outlasts that too, so at the deadline the connection is shut down from outside.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

import urllib3
from isal import igzip_lib
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from .. import __version__, log
from ..catalog.metrics import label_in_promql
from ..errors import (
    ExportError,
    QueryError,
    StopRunError,
    TryLaterError,
)
from ..errors import source as errors
from ..settings.credentials import Credentials
from ..settings.settings import Settings
from ..timeline.bounded import call_within
from ..timeline.deadline import Deadline
from .auth import CredentialSource, hide
from .connection import Sockets, explain_failure, open_pool
from .refusals import classify, missing_data

if TYPE_CHECKING:
    from .sigv4 import Signer

T = TypeVar("T")
Fields = Mapping[str, str] | Sequence[tuple[str, str]]

BLOCK_BYTES = 256 * 1024
SMALL_ANSWER_BYTES = 64 * 1024 * 1024
ERROR_BODY_BYTES = 64 * 1024
CONNECT_TIMEOUT_S = 10.0
# Between two blocks of an answer that has begun. Before the first one only the deadline counts:
# Mimir computes the whole answer before it sends anything, for up to -querier.timeout (2 min).
STALL_TIMEOUT_S = 30.0
FIRST_BYTE_TIMEOUT_S = 150.0


@dataclass(frozen=True)
class Ready:
    """The path that said so, and what was asked before it, such as `/-/ready answered 404`."""

    path: str
    before: tuple[str, ...] = ()


class Mimir:
    """Asks one endpoint. Raises the errors of `errors.py`, classified by `failures.py`."""

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
        """`signer` signs each request, where the endpoint takes no other login."""
        self._settings = settings
        self._credentials = credentials
        self._signer = signer
        self._deadline = deadline
        self._sleep = sleep
        self._clock = clock
        self._api = settings.origin + settings.path_prefix + "/api/v1"
        self._pool = open_pool(settings)
        Sockets.deadline = lambda: self._deadline
        self._login: Credentials | None = None
        self._last_query_end: float | None = None
        self._closed = False
        self._changed = threading.Event()  # closed, or another deadline
        self.date: tuple[str, float] | None = None  # the last answer's Date, and when it came
        threading.Thread(target=self._watch, daemon=True).start()

    def close(self) -> None:
        """Close the connection."""
        self._closed = True
        self._changed.set()
        self._pool.close()

    def _watch(self) -> None:
        """End every read that is still waiting when the time is up; ours is in another thread."""
        while not self._closed:
            self._changed.wait(max(0.1, self._deadline.remaining_s()))
            self._changed.clear()
            if not self._closed and self._deadline.remaining_s() <= 0:
                Sockets.hang_up()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """What is asked in here raises OutOfTimeError after `seconds`, if not before."""
        whole = self._deadline
        self._deadline = Deadline(min(seconds, whole.remaining_s()))
        self._changed.set()
        try:
            yield
        finally:
            self._deadline = whole
            self._changed.set()

    @property
    def certificate_ends(self) -> float | None:
        """When the server's certificate expires (unix seconds); None without TLS."""
        return Sockets.certificate_ends

    def find_ready(self) -> Ready:
        """The path that says the endpoint is ready.

        Mimir answers at /ready, Prometheus and its kin at /-/ready, always at the host's root;
        a gateway that shows neither still answers a query. Raises StopRunError when it is not
        ready or no such endpoint, TryLaterError when it may be in a moment.
        """
        paths = [self._settings.readiness_path]
        if "/ready" not in paths:
            paths.append("/ready")
        before: list[str] = []
        for path in paths:
            url = self._settings.origin + path
            with self._request("GET", url) as response:
                if response.status == 200:
                    return Ready(path, tuple(before))
                before.append(f"{path} answered {response.status}")
                body = self._read_error(response)
                # A gateway may guard or hide the path; only a 5xx speaks of readiness.
                if response.status >= 500:
                    raise errors.ENDPOINT_NOT_READY(status=response.status, url=url, cause=body)
        try:
            self.query("vector(1)")
        except TryLaterError:
            raise
        except QueryError as error:
            raise errors.QUERIES_REJECTED(cause=error.details.found) from error
        return Ready(f"{self._settings.path_prefix}/api/v1/query", tuple(before))

    def query(self, promql: str, moment: int | None = None) -> list[dict[str, Any]]:
        """An instant query's result. `moment` is unix seconds, now by default."""
        form = {"query": promql} | ({} if moment is None else {"time": str(moment)})
        result = self._small("POST", f"{self._api}/query", form)
        return list(result["result"]) if isinstance(result, dict) else []

    def query_points(self, promql: str, first: int, last: int, step_s: int) -> list[dict[str, Any]]:
        """The series of a range query of few points, held as a whole. Both ends are evaluated.

        `wait_for_turn` comes before it.
        """
        form = {
            "query": promql,
            "start": str(first),
            "end": str(last),
            "step": str(step_s),
            "partial_response": "false",
            "nocache": "1",  # as in query_range
        }
        try:
            result = self._small("POST", f"{self._api}/query_range", form)
        finally:
            self._last_query_end = self._clock()
        return list(result["result"]) if isinstance(result, dict) else []

    def label_names(self, start: int, end: int, selector: str | None = None) -> list[str]:
        """The labels of all series between two moments (unix seconds), or of those selected."""
        fields = {"start": str(start), "end": str(end)}
        if selector is not None:
            fields["match[]"] = selector
        return [str(name) for name in self._small("GET", f"{self._api}/labels", fields) or ()]

    def count_by(self, label: str, promql: str, moment: int) -> dict[str, int]:
        """How many series `promql` has by the values of a label; "" has those without it."""
        found = self.query(f"count by ({label_in_promql(label)})({promql})", moment)
        return {one["metric"].get(label, ""): int(float(one["value"][1])) for one in found}

    def label_values(
        self, label: str, start: int, end: int, selectors: Sequence[str] = ()
    ) -> list[str]:
        """The values of a label between two moments (unix seconds), of the series selected."""
        url = f"{self._api}/label/{quote(label, safe='')}/values"
        fields = [("start", str(start)), ("end", str(end)), ("partial_response", "false")]
        fields += [("match[]", selector) for selector in selectors]
        return [str(value) for value in self._small("GET", url, fields) or ()]

    def build_info(self) -> dict[str, str]:
        """What the server says of itself, or nothing where it does not say."""
        try:
            info = self._small("GET", f"{self._api}/status/buildinfo", {})
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
        form = {
            "query": promql,
            "start": str(first),
            "end": str(last),
            "step": str(step_s),
            "partial_response": "false",  # Thanos: an error instead of half an answer
            "nocache": "1",  # VictoriaMetrics: the range as asked, not moved to its cache's grid
        }
        try:
            with self._answer("POST", f"{self._api}/query_range", form) as response:
                yield self._blocks(response)
        finally:
            self._last_query_end = self._clock()

    def wait_for_turn(self) -> None:
        """Wait until QUERY_DELAY after the range query before is over. Raises OutOfTimeError."""
        if self._last_query_end is not None:
            due = self._last_query_end + self._settings.query_delay_s
            self._deadline.sleep(max(0.0, due - self._clock()), self._sleep)
        self._deadline.check()

    def _small(self, method: str, url: str, fields: Fields) -> Any:
        """`data` of an answer small enough to be held, and whole as far as it says."""
        with self._answer(method, url, fields) as response:
            body = bytearray()
            for block in self._blocks(response):
                body += block
                if len(body) > SMALL_ANSWER_BYTES:
                    raise errors.ANSWER_TOO_LARGE(url=url, limit=SMALL_ANSWER_BYTES)
        answer = _parse(body)
        if answer is None and bytes(body.lstrip()[:1]) in (b"{", b""):
            raise errors.ANSWER_TRUNCATED(url=url)
        if answer is None or not {"data", "error"} & answer.keys():
            raise errors.NOT_PROMETHEUS(url=url)
        if answer.get("status") == "error":
            raise errors.ANSWER_IS_ERROR(cause=self._quote(answer))
        warnings = [str(text) for text in answer.get("warnings") or ()]
        missing = missing_data(warnings, is_partial=answer.get("isPartial") is True)
        if missing is not None:
            raise errors.PARTIAL_ANSWER(cause=self.hide(missing))
        return answer.get("data")

    def _quote(self, answer: Mapping[str, Any]) -> str:
        return self.hide(f"{answer.get('errorType')}: {answer.get('error')}")[:300]

    @contextmanager
    def _answer(self, method: str, url: str, fields: Fields) -> Iterator[BaseHTTPResponse]:
        """A response of status 200. On the first 401 the secret is read again, once."""
        with self._request(method, url, fields) as response:
            if response.status == 200:
                yield response
                return
            error = self._error(response, url)
            refused = response.status == 401
        if not refused or not self._credentials.from_secret:
            raise error
        login = self._bounded(lambda: self._credentials.get(refresh=True), "read the secret")
        if login == self._login:
            raise error
        self._login = login
        log.CREDENTIALS_RELOADED()
        with self._request(method, url, fields) as response:
            if response.status != 200:
                raise self._error(response, url)
            yield response

    def _log_in(self) -> Credentials:
        if self._login is None:
            self._login = self._bounded(self._credentials.get, "read the secret")
        if self._signer is not None and self._login.method != "none":
            raise errors.CONFLICTING_SIGNATURE(method=self._login.method)
        return self._login

    def _bounded(self, action: Callable[[], T], verb: str) -> T:
        """AWS answers late, or never where the VPC has no endpoint: that holds no run either."""
        self._deadline.check()
        return call_within(self._deadline, action, f"The request to {verb}")

    @contextmanager
    def _request(
        self, method: str, url: str, fields: Fields | None = None
    ) -> Iterator[BaseHTTPResponse]:
        login = self._log_in()
        headers = {
            # gzip makes a server slower, and saves far more in traffic between zones than the wait
            # costs: docs/performance.md. Within one zone WIRE_GZIP=false is the better one.
            "Accept-Encoding": "gzip" if self._settings.wire_gzip else "identity",
            "Cache-Control": "no-store",  # Mimir's result cache has a freshness of its own
            "User-Agent": f"mimir-exporter/{__version__}",
            **login.headers(),
        }
        if method == "POST":
            # The token method sends Content-Type: application/json on every request, as the
            # integration before this one does. Prometheus reads a form only under its own
            # type, so the fields travel in the URL there.
            if "Content-Type" in headers:
                url, fields = f"{url}?{urlencode(fields or {})}", None
            else:
                headers["Content-Type"] = "application/x-www-form-urlencoded"
        elif fields:
            url, fields = f"{url}?{urlencode(fields or {})}", None
        body = urlencode(fields).encode() if fields else None
        if (signer := self._signer) is not None:
            kind = headers.get("Content-Type", "")
            headers |= self._bounded(
                lambda: signer.sign(method, url, body, kind), "sign as SIGV4_ROLE_ARN"
            )
        try:
            response = self._pool.request(
                method,
                # The path alone: a whole URL in the request line is how one speaks to a proxy.
                url.removeprefix(self._settings.origin),
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(
                    connect=min(CONNECT_TIMEOUT_S, self._patience_s()),
                    read=min(FIRST_BYTE_TIMEOUT_S, self._patience_s()),
                ),
                retries=False,
                redirect=False,  # a redirect must not carry the login to another host
                preload_content=False,
                decode_content=False,
            )
        except HTTPError as error:
            raise self._network_error(error) from error
        if "Date" in response.headers:
            self.date = response.headers["Date"], time.time()
        try:
            yield response
        except HTTPError as error:
            raise self._network_error(error, in_answer=True) from error
        finally:
            # An answer read to its end gives the connection back; any other is cut off.
            response.close()

    def _blocks(self, response: BaseHTTPResponse) -> Iterator[bytes]:
        """The body's blocks, decoded, until its end. Raises for a body cut off."""
        gzipped = response.headers.get("Content-Encoding", "identity").lower() == "gzip"
        inflate = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP) if gzipped else None
        try:
            while True:
                Sockets.set_timeout(min(STALL_TIMEOUT_S, self._patience_s()))
                block = response.read(BLOCK_BYTES, decode_content=False)
                self._deadline.check()
                if not block:
                    break
                if inflate is None:
                    yield block
                    continue
                if inflate.eof:
                    raise errors.GZIP_TRAILING_DATA()
                out = inflate.decompress(block, BLOCK_BYTES)
                while out:
                    yield out
                    out = inflate.decompress(b"", BLOCK_BYTES) if not inflate.eof else b""
        except igzip_lib.error as error:  # type: ignore[misc]  # its stub has it as a value
            raise errors.GZIP_INVALID(cause=error) from error
        if inflate is not None and not inflate.eof:
            raise errors.GZIP_TRUNCATED()

    def _error(self, response: BaseHTTPResponse, url: str) -> ExportError:
        return classify(
            response.status,
            self._read_error(response),
            url=url,
            retry_after=response.headers.get("Retry-After"),
        )

    def _read_error(self, response: BaseHTTPResponse) -> str:
        """The body of an error, without the login, which some gateways send back in it."""
        Sockets.set_timeout(CONNECT_TIMEOUT_S)
        try:
            body = response.read(ERROR_BODY_BYTES, decode_content=True)
        except HTTPError:
            return ""
        try:
            return self.hide(body.decode())
        except UnicodeDecodeError:
            # Headers travel in Latin-1, and come back in it where a server quotes them.
            return self.hide(body.decode("latin-1"))

    def hide(self, text: str) -> str:
        """The text without the login."""
        secrets = () if self._login is None else self._login.secrets
        return hide(text, secrets if self._signer is None else secrets + self._signer.secrets)

    def _patience_s(self) -> float:
        self._deadline.check()
        return max(0.1, self._deadline.remaining_s())

    def _network_error(self, error: HTTPError, *, in_answer: bool = False) -> ExportError:
        if self._deadline.remaining_s() <= 0:
            return errors.QUERY_OUT_OF_TIME()
        return explain_failure(error, self._settings, in_answer=in_answer)


def _parse(body: bytes | bytearray) -> dict[str, Any] | None:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None
