"""A proxy in front of a real server that spoils single exchanges.

Only for what real servers do not do on demand: connections that break, answers that end early,
statuses of gateways and of Mimir that Prometheus never sends. All else passes through unchanged,
and every request is kept for the test to look at.
"""

import base64
import gzip
import json
import socket
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import urllib3

# Headers that belong to one connection: the proxy sets its own.
_OF_CONNECTION = (
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
    "date",
)

# With this on a socket its closing sends RST.
_LINGER_NOT = struct.pack("ii", 1, 0)


@dataclass
class Request:
    """One request as it arrived; header names in lower case, times from `time.monotonic`."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    began: float
    ended: float = 0.0
    status: int = 0  # what the real server answered, if it was queried

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def fields(self) -> dict[str, str]:
        """Of the URL, and of the body where that is a form."""
        of_url = dict(parse_qsl(urlsplit(self.target).query))
        is_form = self.headers.get("content-type", "").startswith("application/x-www-form")
        return of_url | (dict(parse_qsl(self.body.decode())) if is_form else {})

    @property
    def has_checksum(self) -> bool:
        """Whether S3 refuses any other body: by the SHA-256 that is signed, or by a CRC-32."""
        crc32 = base64.b64encode(zlib.crc32(self.body).to_bytes(4)).decode()
        return (
            self.headers["x-amz-content-sha256"] == sha256(self.body).hexdigest()
            or self.headers.get("x-amz-checksum-crc32") == crc32
        )

    @property
    def is_query(self) -> bool:
        return self.path.endswith("/query_range")

    @property
    def is_any_query(self) -> bool:
        """Of a range, or of one moment."""
        return self.path.endswith(("/query_range", "/query"))

    @property
    def span_s(self) -> int:
        """From the first step asked for to the last, in seconds."""
        return int(self.fields["end"]) - int(self.fields["start"])


@dataclass
class Answer:
    """A whole answer. Its length and the connection's headers are the sender's business."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Exchange:
    """One request in the proxy's hands: ask the real server, send something, or break off."""

    def __init__(self, request: Request, server: "Proxy", connection: socket.socket) -> None:
        self.request = request
        self.connection = connection
        self._proxy = server

    def forward(self, headers: Mapping[str, str] | None = None, **fields: str) -> Answer:
        """The real server's answer. `headers` and `fields` of the form replace the request's."""
        asked = self.request
        if fields:
            asked = replace(asked, body=urlencode(asked.fields | fields).encode())
            headers = {**(headers or {}), "content-length": str(len(asked.body))}
        return self._proxy.ask(asked, headers or {})

    def send(self, answer: Answer) -> None:
        """The whole answer, with its length."""
        length = answer.headers.get("Content-Length", str(len(answer.body)))
        self.send_head(answer, f"Content-Length: {length}")
        if self.request.method != "HEAD":
            self.connection.sendall(answer.body)

    def send_head(self, answer: Answer, *lines: str) -> None:
        head = [f"HTTP/1.1 {answer.status} Spoilt", *lines]
        names = [name for name in answer.headers if name.lower() not in _OF_CONNECTION]
        head += [f"{name}: {answer.headers[name]}" for name in names]
        self.connection.sendall("\r\n".join([*head, "", ""]).encode("latin-1"))

    def hang_up(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)

    def leave(self, seconds: float) -> None:
        """The proxy listens no more, and again after so many seconds."""
        self._proxy.leave()
        threading.Timer(seconds, self._proxy.come_back).start()

    def wait(self, seconds: float) -> bool:
        """Whether the proxy stopped meanwhile."""
        return self._proxy.stopping.wait(seconds)


Fault = Callable[[Exchange], None]
Chooser = Callable[[Request], bool]


@dataclass
class _Rule:
    chooses: Chooser
    fault: Fault
    left: int | None  # None: every time


class Proxy:
    """Forwards to `upstream` (scheme, host and port), but for what its rules choose.

    `certificate` is one that upstream's TLS is to be trusted for.
    """

    def __init__(self, upstream: str, certificate: Path | None = None) -> None:
        self.requests: list[Request] = []
        self.mistakes: list[BaseException] = []
        self.stopping = threading.Event()
        self._upstream = upstream
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self._http = urllib3.PoolManager(
            retries=False,
            timeout=60.0,
            maxsize=20,
            ca_certs=None if certificate is None else str(certificate),
        )
        self._server = _Server(self)
        self._listening = threading.Event()
        self._listening.set()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def spoil(self, fault: Fault, when: Chooser | None = None, times: int | None = None) -> None:
        """Use `fault` for the requests that `when` chooses (range queries), so many times."""
        self._rules.append(_Rule(when or (lambda request: request.is_query), fault, times))

    def leave(self) -> None:
        """Listen no more, so that connections are refused, until `come_back` or `heal`."""
        self._listening.clear()
        self._server.shutdown()

    def come_back(self) -> None:
        self._listening.set()

    def heal(self) -> None:
        """Forward everything from now on, and forget what was asked before."""
        with self._lock:
            self._rules.clear()
            self.requests.clear()
        self.come_back()

    @property
    def queries(self) -> list[Request]:
        """The range queries so far."""
        return [request for request in self.requests if request.is_query]

    def ask(self, request: Request, headers: Mapping[str, str]) -> Answer:
        sent = {k: v for k, v in request.headers.items() if k not in ("connection", "expect")}
        found = self._http.request(
            request.method,
            self._upstream + request.target,
            body=request.body or None,
            headers={**sent, **headers},
            redirect=False,
            decode_content=False,
        )
        request.status = found.status
        return Answer(found.status, found.data, dict(found.headers))

    def handle(self, request: Request, connection: socket.socket) -> None:
        exchange = Exchange(request, self, connection)
        with self._lock:
            self.requests.append(request)
            fault = self._choose(request)
        try:
            if fault is None:
                exchange.send(exchange.forward())
            else:
                fault(exchange)
        finally:
            request.ended = time.monotonic()

    def _choose(self, request: Request) -> Fault | None:
        for rule in self._rules:
            if rule.left != 0 and rule.chooses(request):
                if rule.left is not None:
                    rule.left -= 1
                return rule.fault
        return None

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        thread = threading.Thread(target=self._serve)
        thread.start()
        try:
            yield self
        finally:
            self.stopping.set()
            self.come_back()
            self._server.shutdown()
            thread.join()
            self._server.server_close()
            self._http.clear()
        assert not self.mistakes, self.mistakes

    def _serve(self) -> None:
        while not self.stopping.is_set():
            self._server.serve_forever(0.02)
            if not self._listening.is_set():
                self._server.stop_listening()
                self._listening.wait()
                self._server.listen_again()


class _Server(ThreadingHTTPServer):
    """Waits for its threads when it closes: each of them ends once `stopping` is set."""

    daemon_threads = False

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def stop_listening(self) -> None:
        self.socket.close()

    def listen_again(self) -> None:
        """At the same port, which no other server was given: it is of the ephemeral ones."""
        self.socket = socket.socket(self.address_family, self.socket_type)
        self.server_bind()
        self.server_activate()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == _LINGER_NOT:
            self.close_request(request)  # without a goodbye: that is what a reset is
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A client that went away is what many tests want; all else is the proxy's mistake."""
        problem = sys.exception()
        if problem is not None and not isinstance(problem, OSError):
            self.proxy.mistakes.append(problem)

    def server_close(self) -> None:
        for connection in list(self._open):  # idle ones, kept alive by the client
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are sent apart
    server: _Server

    def serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        length = int(headers.get("content-length", 0))
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionAbortedError  # the client died: nothing of this is for the real server
        assert self.command is not None
        request = Request(self.command, self.path, headers, body, time.monotonic())
        self.server.proxy.handle(request, self.connection)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = serve  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing: the test looks at `requests`."""


# Faults


def answer(status: int, body: str | bytes = b"", **headers: str) -> Fault:
    """An answer of our own; `Retry_After="1"` is the header Retry-After."""
    raw = body.encode() if isinstance(body, str) else body
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda exchange: exchange.send(Answer(status, raw, named))


def error(status: int, text: str) -> Fault:
    """An error as Prometheus and Mimir word it."""
    return answer(status, json.dumps({"status": "error", "errorType": "execution", "error": text}))


def reset(exchange: Exchange) -> None:
    """The connection breaks (RST) without an answer."""
    exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    raise ConnectionAbortedError


def hang_up(exchange: Exchange) -> None:
    """The connection is closed without an answer."""
    exchange.hang_up()


def leave(seconds: float) -> Fault:
    """No answer, and no server for a while: connections are refused."""

    def fault(exchange: Exchange) -> None:
        exchange.leave(seconds)
        exchange.hang_up()

    return fault


def cut_with_length(exchange: Exchange) -> None:
    """Half of the answer; Content-Length tells of the whole."""
    whole = exchange.forward({"accept-encoding": "identity"})
    exchange.send_head(whole, f"Content-Length: {len(whole.body)}")
    exchange.connection.sendall(whole.body[: len(whole.body) // 2])
    exchange.hang_up()


def cut_in_chunks(exchange: Exchange) -> None:
    """Half of the answer in one chunk; the last chunk never comes."""
    whole = exchange.forward({"accept-encoding": "identity"})
    half = whole.body[: len(whole.body) // 2]
    exchange.send_head(whole, "Transfer-Encoding: chunked")
    exchange.connection.sendall(f"{len(half):x}\r\n".encode() + half + b"\r\n")
    exchange.hang_up()


def cut_without_length(exchange: Exchange) -> None:
    """Half of the answer; its end is where the connection closes, and so looks like the end."""
    whole = exchange.forward({"accept-encoding": "identity"})
    exchange.send_head(whole, "Connection: close")
    exchange.connection.sendall(whole.body[: len(whole.body) // 2])
    exchange.hang_up()


def cut_gzip(exchange: Exchange) -> None:
    """Half of a gzip answer, with the length of that half."""
    whole = exchange.forward({"accept-encoding": "identity"})
    packed = gzip.compress(whole.body)
    half = Answer(200, packed[: len(packed) // 2], {"Content-Encoding": "gzip"})
    exchange.send(half)


def add_to_gzip(exchange: Exchange) -> None:
    """A gzip answer, and behind its end more than is read at once."""
    packed = gzip.compress(exchange.forward({"accept-encoding": "identity"}).body)
    exchange.send(Answer(200, packed + bytes(600_000), {"Content-Encoding": "gzip"}))


def break_gzip(exchange: Exchange) -> None:
    """A gzip answer with a byte changed in its middle."""
    packed = bytearray(gzip.compress(exchange.forward({"accept-encoding": "identity"}).body))
    packed[len(packed) // 2] ^= 0xFF
    exchange.send(Answer(200, bytes(packed), {"Content-Encoding": "gzip"}))


def alter(change: Callable[[bytes], bytes]) -> Fault:
    """The real answer's body, changed."""

    def fault(exchange: Exchange) -> None:
        whole = exchange.forward({"accept-encoding": "identity"})
        headers = {k: v for k, v in whole.headers.items() if k.lower() != "content-length"}
        exchange.send(Answer(whole.status, change(whole.body), headers))

    return fault


def add_members(**members: Any) -> Fault:
    """The real answer with more members at its top, as of warnings."""
    return alter(lambda body: json.dumps(json.loads(body) | members).encode())


def stall(exchange: Exchange) -> None:
    """The answer's head and a little of its body, and then nothing."""
    whole = exchange.forward({"accept-encoding": "identity"})
    exchange.send_head(whole, f"Content-Length: {len(whole.body)}")
    exchange.connection.sendall(whole.body[:50])
    exchange.wait(60)


def never_answer(exchange: Exchange) -> None:
    """Nothing at all, on a connection that stays open."""
    exchange.wait(60)


def drip(status: int = 200) -> Fault:
    """A byte of the body now and then, each of them in time: no read ever times out."""

    def fault(exchange: Exchange) -> None:
        whole = exchange.forward({"accept-encoding": "identity"})
        exchange.send_head(Answer(status), f"Content-Length: {len(whole.body)}")
        for byte in whole.body:
            exchange.connection.sendall(bytes([byte]))
            if exchange.wait(0.1):
                return

    return fault


def drip_head(exchange: Exchange) -> None:
    """Header lines without an end."""
    exchange.connection.sendall(b"HTTP/1.1 200 OK\r\nX-Header: ")
    while not exchange.wait(0.1):
        exchange.connection.sendall(b"x")


def lose_answer(exchange: Exchange) -> None:
    """The real server does what was requested; its answer is lost."""
    exchange.forward()
    exchange.hang_up()


def late(seconds: float) -> Fault:
    """The real answer, later."""

    def fault(exchange: Exchange) -> None:
        exchange.wait(seconds)
        exchange.send(exchange.forward())

    return fault


NO_SERIES = b'{"status":"success","data":{"resultType":"matrix","result":[]}}'


def look_back_to(oldest: Callable[[], float]) -> Fault:
    """The real answer of what is from `oldest` (unix seconds) on: as max_query_lookback does it,
    the start of the range is moved there, whatever the step."""

    def fault(exchange: Exchange) -> None:
        fields, begin = exchange.request.fields, oldest()
        first = float(fields.get("start", fields.get("time", 0)))
        last = float(fields.get("end", first))
        if first >= begin:
            exchange.send(exchange.forward())
        elif last < begin or "time" in fields:
            exchange.send(Answer(200, NO_SERIES, {"Content-Type": "application/json"}))
        else:
            exchange.send(exchange.forward(start=f"{begin:.3f}"))

    return fault


def without_clusters(*gone: str) -> Fault:
    """The real answer without these clusters, as while the store that has them is away."""

    def keep(body: bytes) -> bytes:
        answer = json.loads(body)
        found = answer.get("data", {}).get("result", ())
        if isinstance(found, list):
            kept = [series for series in found if series["metric"].get("cluster") not in gone]
            answer["data"]["result"] = kept
        return json.dumps(answer).encode()

    return alter(keep)


def forget_before(oldest: Callable[[], float]) -> Fault:
    """The real answer without any sample of before `oldest`: a retention that does not touch the
    grid, as VictoriaMetrics has it."""

    def fault(exchange: Exchange) -> None:
        whole = exchange.forward({"accept-encoding": "identity"})
        answered = json.loads(whole.body)
        kept = []
        for series in answered["data"]["result"]:
            if "value" in series:
                kept += [series] if float(series["value"][0]) >= oldest() else []
                continue
            values = [one for one in series["values"] if float(one[0]) >= oldest()]
            kept += [series | {"values": values}] if values else []
        answered["data"]["result"] = kept
        exchange.send(
            Answer(200, json.dumps(answered).encode(), {"Content-Type": "application/json"})
        )

    return fault
