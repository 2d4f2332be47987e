"""One HTTP connection to the endpoint, kept alive, and bounded in time.

Answers are streamed; the deadline is checked at every block, because an HTTP time-out bounds one
read and not a whole answer. A server that sends a byte now and then outlasts that too, so at the
deadline the connection is shut down from outside.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from ..errors import ExportError
from ..errors.source import QUERY_OUT_OF_TIME
from ..settings.credentials import Credentials, password_of
from ..settings.settings import Settings
from ..timeline.bounded import call_within
from ..timeline.deadline import Deadline
from .bodies import BLOCK_BYTES, decode_blocks
from .proxy import find_proxy
from .tls import make_context
from .unreachable import explain_failure

ERROR_BODY_BYTES = 64 * 1024
CONNECT_TIMEOUT_S = 10.0
# Between two blocks of an answer that has begun. Before the first one only the deadline counts:
# Mimir computes the whole answer before it sends anything, for up to -querier.timeout (2 min).
STALL_TIMEOUT_S = 30.0
FIRST_BYTE_TIMEOUT_S = 150.0


class Transport:
    """The connection to one origin. Raises the errors of `errors/source.py`."""

    def __init__(self, settings: Settings, deadline: Deadline) -> None:
        self.deadline = deadline
        self.certificate_ends: float | None = None  # of the server, unix seconds
        self.date: tuple[str, float] | None = None  # the last answer's Date, and when it came
        self._settings = settings
        self._pool: urllib3.PoolManager | None = None
        self._proxy = ""
        self._socket: socket.socket | None = None
        self._closed = False
        self._changed = threading.Event()  # closed, or another deadline
        threading.Thread(target=self._watch, daemon=True).start()

    def open(self, credentials: Credentials) -> None:
        """Connect as these at the next request. Raises SettingsError."""
        settings = self._settings
        if self._pool is not None:
            self._pool.clear()
        self._proxy = find_proxy(settings.scheme, settings.hostname, credentials.proxy_url)
        context = None
        if settings.scheme == "https":
            context = make_context(settings.ca_bundle, credentials.certificate, credentials.key)
        self._pool = self._make_pool(context)

    def _make_pool(self, context: ssl.SSLContext | None) -> urllib3.PoolManager:
        if not self._proxy:
            pool = urllib3.PoolManager(1, maxsize=1, ssl_context=context)
        else:
            auth = password_of(self._proxy)
            pool = urllib3.ProxyManager(
                self._proxy,
                1,
                proxy_headers=urllib3.make_headers(proxy_basic_auth=auth) if auth else None,
                maxsize=1,
                ssl_context=context,
            )
        plain, tls = _pools(self)
        pool.pool_classes_by_scheme = {"http": plain, "https": tls}
        return pool

    def close(self) -> None:
        """Close the connection."""
        self._closed = True
        self._changed.set()
        if self._pool is not None:
            self._pool.clear()

    def bounded(self, connect: Callable[[], socket.socket]) -> socket.socket:
        """What `connect` opens: resolving a name has no time-out that is ours."""
        return call_within(self.deadline, connect, "Connecting to the endpoint")

    def connected(self, sock: socket.socket | ssl.SSLSocket) -> None:
        """Take the socket of a connection that was just made."""
        self._socket = sock
        self.certificate_ends = None
        if isinstance(sock, ssl.SSLSocket):
            ends = str((sock.getpeercert() or {})["notAfter"])
            self.certificate_ends = float(ssl.cert_time_to_seconds(ends))

    def _watch(self) -> None:
        """End every read that is still waiting when the time is up; ours is in another thread."""
        while not self._closed:
            self._changed.wait(max(0.1, self.deadline.remaining_s()))
            self._changed.clear()
            if not self._closed and self.deadline.remaining_s() <= 0 and self._socket is not None:
                # Of the plain socket: TLS's own would take the state from under a read.
                with suppress(OSError):
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """What is requested in here raises OutOfTimeError after `seconds`, if not before."""
        whole = self.deadline
        self.deadline = Deadline(min(seconds, whole.remaining_s()))
        self._changed.set()
        try:
            yield
        finally:
            self.deadline = whole
            self._changed.set()

    @contextmanager
    def request(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Iterator[BaseHTTPResponse]:
        """Any answer. Redirects are not followed: they would carry credentials to another host."""
        assert self._pool is not None  # noqa: S101 - `open` comes first
        try:
            response = self._pool.request(
                method,
                url,
                body=body,
                headers=dict(headers),
                timeout=urllib3.Timeout(
                    connect=min(CONNECT_TIMEOUT_S, self._patience_s()),
                    read=min(FIRST_BYTE_TIMEOUT_S, self._patience_s()),
                ),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except HTTPError as error:
            raise self._explain(error) from error
        if "Date" in response.headers:
            self.date = response.headers["Date"], time.time()
        try:
            yield response
        except HTTPError as error:
            raise self._explain(error, in_answer=True) from error
        finally:
            # An answer read to its end gives the connection back; any other is cut off.
            response.close()

    def blocks(self, response: BaseHTTPResponse) -> Iterator[bytes]:
        """The body's blocks, decoded, until its end. Raises for a body that is not whole."""
        coding = response.headers.get("Content-Encoding", "")
        return decode_blocks(self._raw_blocks(response), coding)

    def _raw_blocks(self, response: BaseHTTPResponse) -> Iterator[bytes]:
        while True:
            self._set_timeout(min(STALL_TIMEOUT_S, self._patience_s()))
            block = response.read(BLOCK_BYTES, decode_content=False)
            self.deadline.check()
            if not block:
                return
            yield block

    def read_error(self, response: BaseHTTPResponse) -> str:
        """The beginning of an error's body, as text; "" where it breaks off."""
        self._set_timeout(CONNECT_TIMEOUT_S)
        try:
            body = response.read(ERROR_BODY_BYTES, decode_content=True)
        except HTTPError:
            return ""
        try:
            return body.decode()
        except UnicodeDecodeError:
            # Headers travel in Latin-1, and come back in it where a server quotes them.
            return body.decode("latin-1")

    def _set_timeout(self, seconds: float) -> None:
        # urllib3 fixes a read time-out when the request begins; that of the first byte is far
        # longer than that between two blocks.
        if self._socket is not None and self._socket.fileno() != -1:
            self._socket.settimeout(seconds)

    def _patience_s(self) -> float:
        self.deadline.check()
        return max(0.1, self.deadline.remaining_s())

    def _explain(self, error: HTTPError, *, in_answer: bool = False) -> ExportError:
        if self.deadline.remaining_s() <= 0:
            return QUERY_OUT_OF_TIME()
        return explain_failure(error, self._settings, proxy=self._proxy, in_answer=in_answer)


def _pools(
    transport: Transport,
) -> tuple[type[urllib3.HTTPConnectionPool], type[urllib3.HTTPSConnectionPool]]:
    """Pools whose connections give their socket to the transport."""

    class PlainConnection(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return transport.bounded(super()._new_conn)

        def connect(self) -> None:
            super().connect()
            transport.connected(self.sock)

    class TlsConnection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return transport.bounded(super()._new_conn)

        def connect(self) -> None:
            super().connect()
            transport.connected(self.sock)

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = PlainConnection

    class TlsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = TlsConnection

    return PlainPool, TlsPool
