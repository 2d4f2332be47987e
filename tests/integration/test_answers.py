"""Answers and refusals in every form that servers and gateways give them, taken for what they are.

A proxy before a real Prometheus gives those that Prometheus does not. The first bytes of other
protocols come from a socket.
"""

import gzip
import html
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import quote, quote_plus

import pytest

from localcloud.prometheus import Prometheus
from mimir_exporter.errors import ExportError
from tests.integration import faults
from tests.integration.deployment import Function
from tests.integration.faults import Answer, Exchange, Fault, Proxy, Request
from tests.integration.test_faults import asks_for, assert_complete

PAGE = "<html><head><title>Sign in</title></head><body><form>Sign in to go on</form></body></html>"


def coded(coding: str, pack: Callable[[bytes], bytes]) -> Fault:
    """The real answer under a Content-Encoding."""

    def fault(exchange: Exchange) -> None:
        body = exchange.forward({"accept-encoding": "identity"}).body
        exchange.send(Answer(200, pack(body), {"Content-Encoding": coding}))

    return fault


def in_members(*sizes: int) -> Callable[[bytes], bytes]:
    """gzip in members of these sizes, and the rest."""

    def pack(body: bytes) -> bytes:
        packed, at = b"", 0
        for size in (*sizes, len(body)):
            packed += gzip.compress(body[at : at + size])
            at += size
        return packed

    return pack


@pytest.mark.parametrize(
    "fault",
    [
        coded("gzip", in_members(10, 0, 1000)),
        coded("x-gzip", gzip.compress),
        coded("GZIP ", in_members()),
        coded("x-gzip", in_members(*[100] * 50)),
        coded("identity", bytes),
    ],
    ids=["members", "x-gzip", "upper case", "many members", "identity"],
)
def test_a_body_is_read_in_each_coding_that_was_requested(
    fault: Fault, single: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    proxy.spoil(fault)
    assert_complete(single, single.export(), mimir)
    assert len(proxy.queries) == 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (coded("gzip", lambda body: gzip.compress(body) + b"rubbish"), "gzip_trailing_data"),
        (coded("gzip", lambda body: gzip.compress(body) + b"\x1f"), "gzip_trailing_data"),
        (coded("gzip", lambda body: gzip.compress(body) + bytes(9)), "gzip_trailing_data"),
        (coded("gzip", lambda body: in_members(9)(body)[:-9]), "gzip_truncated"),
        (
            coded("gzip", lambda body: gzip.compress(body) + b"\x1f\x8b" + b"\xff" * 40),
            "gzip_invalid",
        ),
        (coded("br", bytes), "unknown_content_coding"),
        (coded("zstd", bytes), "unknown_content_coding"),
        (faults.answer(200, PAGE, Content_Type="text/html"), "answer_is_page"),
        (faults.answer(200, "<!DOCTYPE html><p>Please log in"), "answer_is_page"),
    ],
    ids=["rubbish", "a byte", "zeros", "half a member", "no member", "br", "zstd", "page", "html5"],
)
def test_another_body_is_named_as_what_it_is(
    fault: Fault, code: str, through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    proxy.spoil(fault, asks_for("pod_info"))
    result = through.export()
    (failure,) = result["failures"]
    assert (failure["metric"], failure["code"]) == ("pod_info", code)
    assert {line["code"] for line in through.logs if "code" in line} == {code}
    assert through.differences(mimir, 1, only=("node_info", "cpu_usage")) == []


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (408, "request timeout"),
        (408, PAGE),
        (422, "expanding series: rpc error: code = Aborted desc = receive series from store"),
        (422, "rpc error: code = Unavailable desc = connection refused"),
        (422, "rpc error: code = Canceled desc = context canceled"),
        (
            422,
            "store 10.0.0.1: rpc error: code = DeadlineExceeded desc = deadline exceeded",
        ),
    ],
)
def test_what_passes_by_itself_is_waited_for(
    status: int, text: str, through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    proxy.spoil(faults.error(status, text), asks_for("pod_info"), times=1)
    assert_complete(through, through.export(), mimir)
    assert len(proxy.queries) == 4


@pytest.mark.parametrize("only", ["/query_range", "/query"])
def test_where_post_is_not_allowed_get_is(
    only: str, through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """As gateways that know reading from writing by the method."""

    def posts(request: Request) -> bool:
        return request.method == "POST" and request.path.endswith(only)

    proxy.spoil(faults.answer(404), lambda r: r.path in ("/-/ready", "/ready"))
    proxy.spoil(faults.answer(405, "405 Method Not Allowed", Allow="GET"), posts)
    assert_complete(through, through.export(), mimir)
    assert sum(map(posts, proxy.requests)) == 1


def test_where_neither_is_allowed_it_is_said(through: Function, proxy: Proxy) -> None:
    proxy.spoil(faults.answer(405), lambda r: "/api/v1/query" in r.path)
    with pytest.raises(ExportError, match="method_not_allowed"):
        through.export()


@pytest.mark.parametrize(
    ("location", "named"),
    [
        ("https://login.example/start?ticket=4711", "to https://login.example/start:"),
        ("https://me:secret@login.example:8443/start#x", "to https://login.example:8443/start:"),
        ("/oauth2/sign_in?rd=%2F", "to /oauth2/sign_in:"),
    ],
)
@pytest.mark.parametrize("status", [302, 303, 307, 308])
def test_a_redirect_names_where_it_leads(
    status: int, location: str, named: str, single: Function, proxy: Proxy
) -> None:
    proxy.spoil(faults.answer(status, Location=location), lambda r: "/api/v1/" in r.path)
    with pytest.raises(ExportError) as caught:
        single.export()
    assert named in str(caught.value)
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["no org id", "no org id\n", "X-Scope-OrgID header is missing", "no tenant"]
)
def test_a_missing_tenant_is_named(text: str, single: Function, proxy: Proxy) -> None:
    proxy.spoil(faults.answer(401, text), lambda r: "/api/v1/" in r.path)
    with pytest.raises(ExportError, match="set PROMETHEUS_X_SCOPE_ORGID"):
        single.export()


@contextmanager
def speaking(first: bytes) -> Iterator[int]:
    """A port where something else than HTTP answers."""
    server = socket.create_server(("127.0.0.1", 0))
    stopping = threading.Event()

    def serve() -> None:
        while not stopping.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(2)
                connection.recv(65_536)
                connection.sendall(first)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield int(server.getsockname()[1])
    finally:
        stopping.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


@pytest.mark.parametrize(
    ("first", "says"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "SSH"),
        (b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00", "gRPC"),
        (b"\x15\x03\x01\x00\x02\x02\x16", "expects HTTPS"),
        (b"220 mail.example ESMTP\r\n", "SMTP"),
        (b"-ERR unknown command\r\n", "Redis"),
        (b"what is this?\n", "what is this?"),
    ],
    ids=["SSH", "gRPC", "TLS", "SMTP", "Redis", "unknown"],
)
def test_a_port_of_another_protocol_is_named_and_not_called_unreachable(
    first: bytes, says: str, single: Function
) -> None:
    with speaking(first) as port, pytest.raises(ExportError) as caught:
        single.with_env(PORT=str(port)).export()
    assert says in str(caught.value)
    assert "Cannot connect" not in str(caught.value)
    assert re.search(r"\[(not_http|https_expected)\]", str(caught.value))


SECRET = "tok+en/with&odd=chars-4711"
ECHOES: dict[str, Callable[[str], str]] = {
    "JSON": lambda text: json.dumps({"status": "error", "error": f"bad token {text}"}),
    "Go's JSON": lambda text: json.dumps({"error": f"bad {text}"}).replace("&", r"\u0026"),
    "+ escaped": lambda text: json.dumps({"error": f"bad {text}"}).replace("+", r"\u002B"),
    "percent": lambda text: f"bad token {quote(text, safe='')}",
    "a form": lambda text: json.dumps({"error": f"bad {quote_plus(text)}"}),
    "a page": lambda text: f"<html><body><b>bad</b> {html.escape(text)}</body></html>",
    "entities": lambda text: "<p>" + "".join(f"&#x{ord(one):x};" for one in text) + "</p>",
    "percent in JSON": lambda text: json.dumps({"error": quote(text, safe="")}).replace(
        "%", r"\u0025"
    ),
}
METHODS = {
    "token": {"PROMETHEUS_AUTH_TOKEN": SECRET},
    "bearer": {"PROMETHEUS_BEARER_AUTH_TOKEN": SECRET},
    "basic": {"PROMETHEUS_USERNAME": "me", "PROMETHEUS_PASSWORD": SECRET},
    "header": {"PROMETHEUS_HTTP_HEADERS": json.dumps({"CF-Access-Client-Secret": SECRET})},
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES.keys())
@pytest.mark.parametrize("method", METHODS)
def test_credentials_that_a_server_returns_are_hidden_everywhere(
    method: str, echo: Callable[[str], str], through: Function, proxy: Proxy
) -> None:
    """In the result, the checkpoint and the log: as they are, and in any spelling of them."""
    function = replace(through.with_env(**METHODS[method]), metrics=("pod_info", "cpu_usage"))
    proxy.spoil(faults.answer(500, echo(SECRET)), asks_for("pod_info"))
    result = function.export()
    shown = json.dumps([result, function.checkpoint(), function.logs])
    assert "***" in shown
    for part in ("odd=chars", "odd%3Dchars", "chars-4711", "en/with", "en%2Fwith", "with&amp;odd"):
        assert part not in shown
    assert html.unescape(shown) == html.unescape(shown).replace("chars-4711", "")


def test_an_empty_answer_as_go_spells_it_is_empty(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    for data in ('{"resultType":"matrix","result":null}', '{"resultType":"","result":[]}'):
        proxy.heal()
        body = f'{{"status":"success","data":{data}}}'
        proxy.spoil(faults.answer(200, body), asks_for("pod_info"))
        function = replace(through, metrics=("pod_info", "cpu_usage"))
        assert function.export()["outcome"] == "complete"
        assert function.differences(mimir, 1, only=("cpu_usage",)) == []
