"""OAuth 2, client certificates, headers and forward proxies, against the real things.

The authorization server is npm's oauth2-mock-server, which gives signed tokens to any client; the
proxy before it knows the client. nginx verifies client certificates and forwards plain HTTP.
"""

import base64
import json
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qs, quote

import pytest

from localcloud.certificates import Certificate, make_authority, make_certificate
from localcloud.nginx import Site, running_nginx
from localcloud.processes import Program, serve
from localcloud.prometheus import Prometheus
from mimir_exporter.errors import ExportError, SettingsError
from tests.conftest import NeedProgram
from tests.integration import faults
from tests.integration.conftest import MakeFunction, MakeProxy
from tests.integration.deployment import FEW, Function
from tests.integration.faults import Exchange, Proxy, Request
from tests.integration.test_authentication import secret_env
from tests.some import some

CLIENT, SECRET = "exporter", "s3cret/with+odd&chars=4711"
SCRIPT = Path(__file__).with_name("authorization.mjs")
MODULES = Path(__file__).resolve().parents[2] / "node_modules"


@pytest.fixture(scope="module", params=[90], ids=["90 s"])
def authorization(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """The port of a real authorization server."""
    if shutil.which("node") is None or not (MODULES / "oauth2-mock-server").is_dir():
        if os.environ.get("CI"):
            raise AssertionError("npm ci installs oauth2-mock-server")
        pytest.skip("oauth2-mock-server is not installed: npm ci")
    folder = tmp_path_factory.mktemp("authorization")

    def make(port: int) -> Program:
        return Program(
            name="authorization server",
            argv=["node", str(SCRIPT), str(port), str(request.param)],
            env=dict(os.environ),
            ready_url=f"http://127.0.0.1:{port}/.well-known/openid-configuration",
            log=folder / "log",
            scratch=folder,
        )

    with serve(make) as (_, port):
        yield port


@dataclass
class Issuer:
    """The way to the authorization server: it knows one client, and what it gave."""

    proxy: Proxy
    in_body: bool = False
    tokens: list[str] = field(default_factory=list)
    forms: list[Mapping[str, list[str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.proxy.spoil(self._give, lambda request: request.path == "/token")

    def _give(self, exchange: Exchange) -> None:
        form = parse_qs(exchange.request.body.decode())
        header = exchange.request.headers.get("authorization", "")
        pair = f"{quote(CLIENT, safe='')}:{quote(SECRET, safe='')}".encode()
        is_client = header == f"Basic {base64.b64encode(pair).decode()}"
        if self.in_body:
            is_client = form.get("client_secret") == [SECRET] and not header
        if not is_client:
            said = {"error": "invalid_client", "error_description": f"unknown {header} {SECRET}"}
            faults.answer(401, json.dumps(said))(exchange)
            return
        answer = exchange.forward()
        self.forms.append(form)
        self.tokens.append(json.loads(answer.body)["access_token"])
        exchange.send(answer)

    @property
    def env(self) -> dict[str, str]:
        return {
            "PROMETHEUS_OAUTH2_TOKEN_URL": f"{self.proxy.url}/token",
            "PROMETHEUS_OAUTH2_CLIENT_ID": CLIENT,
            "PROMETHEUS_OAUTH2_CLIENT_SECRET": SECRET,
            "PROMETHEUS_OAUTH2_SCOPES": "metrics.read other",
            "PROMETHEUS_OAUTH2_ENDPOINT_PARAMS": '{"audience": "https://mimir"}',
        }


@pytest.fixture
def issuer(make_proxy: MakeProxy, authorization: int) -> Issuer:
    return Issuer(make_proxy(f"http://127.0.0.1:{authorization}"))


@pytest.fixture
def guarded(through: Function, proxy: Proxy, issuer: Issuer) -> Function:
    """Only who shows the newest token gets an answer."""

    def lacks_token(request: Request) -> bool:
        newest = issuer.tokens[-1] if issuer.tokens else "none"
        return request.headers.get("authorization") != f"Bearer {newest}"

    proxy.spoil(faults.answer(401, "token is expired"), lacks_token)
    return through


def test_a_token_is_fetched_once_and_used_for_every_request(
    guarded: Function, issuer: Issuer, mimir: Prometheus
) -> None:
    secret = secret_env(guarded.cloud, json.dumps(issuer.env))
    function = guarded.with_env(**secret)
    assert function.export()["outcome"] == "complete"
    assert function.differences(mimir, 1) == []
    (form,) = issuer.forms
    assert form["grant_type"] == ["client_credentials"]
    assert form["scope"] == ["metrics.read other"]
    assert form["audience"] == ["https://mimir"]
    (login,) = [
        one
        for one in function.export({"action": "check"})["findings"]
        if "OAuth 2" in one["summary"]
    ]
    assert login["level"] == "warning"
    assert "sent unencrypted, as SCHEME is http" in login["summary"]


def test_a_server_that_wants_the_client_in_the_body(
    guarded: Function, issuer: Issuer, mimir: Prometheus
) -> None:
    issuer.in_body = True
    function = guarded.with_env(**issuer.env)
    assert function.export()["outcome"] == "complete"
    assert function.differences(mimir, 1) == []


def test_a_token_that_expires_early_is_fetched_again(
    guarded: Function, issuer: Issuer, proxy: Proxy, mimir: Prometheus
) -> None:
    """Revoked in the middle of a run: a 401, and another token."""
    function = guarded.with_env(**issuer.env)

    def revoke(exchange: Exchange) -> None:
        exchange.send(exchange.forward())
        issuer.tokens.append("revoked")

    proxy.heal()
    proxy.spoil(revoke, lambda r: r.is_query, times=1)
    proxy.spoil(
        faults.answer(401),
        lambda r: r.headers["authorization"] != f"Bearer {issuer.tokens[-1]}",
    )
    assert function.export()["outcome"] == "complete"
    assert function.differences(mimir, 1) == []
    assert len(issuer.forms) == 2


def test_a_refused_client_is_said_without_its_secret(guarded: Function, issuer: Issuer) -> None:
    wrong = {**issuer.env, "PROMETHEUS_OAUTH2_CLIENT_SECRET": "last-years-secret-of-it"}
    with pytest.raises(ExportError) as caught:
        guarded.with_env(**wrong).export()
    assert caught.value.details.code == "oauth2_refused"
    assert "invalid_client" in str(caught.value)
    assert "last-years-secret" not in str(caught.value)
    assert guarded.file_keys() == {}


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, '{"error": "invalid_scope"}', "oauth2_refused"),
        (403, "<html>blocked</html>", "oauth2_refused"),
        (404, "", "oauth2_refused"),
        (302, "", "oauth2_refused"),
        (200, "<html>sign in</html>", "oauth2_invalid_answer"),
        (200, '{"token": "x"}', "oauth2_invalid_answer"),
        (429, "slow down", "oauth2_unavailable"),
        (503, "", "oauth2_unavailable"),
    ],
)
def test_each_refusal_of_a_token_has_its_code(
    status: int, body: str, code: str, guarded: Function, make_proxy: MakeProxy, authorization: int
) -> None:
    broken = make_proxy(f"http://127.0.0.1:{authorization}")
    broken.spoil(faults.answer(status, body), lambda _: True)
    env = {**Issuer(broken).env}
    with pytest.raises(ExportError, match=rf"\[{code}\]"):
        guarded.with_env(**env).export()


def test_an_authorization_server_that_is_not_there_is_named(guarded: Function) -> None:
    env = {
        "PROMETHEUS_OAUTH2_TOKEN_URL": "http://127.0.0.1:9/token",
        "PROMETHEUS_OAUTH2_CLIENT_ID": CLIENT,
        "PROMETHEUS_OAUTH2_CLIENT_SECRET": SECRET,
    }
    with pytest.raises(ExportError, match="oauth2_unreachable"):
        guarded.with_env(**env).export()
    for name in list(env):
        with pytest.raises(SettingsError, match="incomplete_credentials"):
            guarded.with_env(**{**env, name: ""}).export()


def test_oauth_beside_another_method_is_an_error(guarded: Function, issuer: Issuer) -> None:
    both = {**issuer.env, "PROMETHEUS_BEARER_AUTH_TOKEN": "x"}
    with pytest.raises(SettingsError, match="conflicting_credentials"):
        guarded.with_env(**both).export()


def test_a_bearer_pasted_with_its_word_works(through: Function, proxy: Proxy) -> None:
    function = through.with_env(PROMETHEUS_BEARER_AUTH_TOKEN="Bearer abcdefgh")
    assert function.export()["outcome"] == "complete"
    assert {r.headers["authorization"] for r in proxy.requests} == {"Bearer abcdefgh"}
    assert function.messages("credentials corrected")


def test_headers_are_sent_with_every_request(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """Those of the secret beside the plain ones, and instead of those of the same name."""
    secret = {"PROMETHEUS_HTTP_HEADERS": {"CF-Access-Client-Secret": SECRET, "X-Same": "secret"}}
    plain = {"X-Prom-Label-Policy": '1234:{namespace="a"}', "X-Same": "plain"}
    function = through.with_env(
        PROMETHEUS_HTTP_HEADERS=json.dumps(plain),
        **secret_env(through.cloud, json.dumps(secret)),
    )
    assert function.export()["outcome"] == "complete"
    assert function.differences(mimir, 1) == []
    for request in proxy.requests:
        assert request.headers["cf-access-client-secret"] == SECRET
        assert request.headers["x-prom-label-policy"] == plain["X-Prom-Label-Policy"]
        assert request.headers["x-same"] == "secret"


@pytest.mark.parametrize("name", ["Host", "content-length", "Authorization", "a b", "x\n"])
def test_a_header_that_cannot_be_is_refused(name: str, through: Function) -> None:
    with pytest.raises(SettingsError, match="PROMETHEUS_HTTP_HEADERS"):
        through.with_env(PROMETHEUS_HTTP_HEADERS=json.dumps({name: "v"})).export()


# Client certificates


@pytest.fixture(scope="module")
def authority(need_program: NeedProgram, tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    need_program("openssl")
    return make_authority(tmp_path_factory.mktemp("mesh"), "mesh-authority")


@pytest.fixture(scope="module")
def mesh(need_program: NeedProgram, authority: Certificate, mimir: Prometheus) -> Iterator[int]:
    """A port of a real nginx that verifies who comes."""
    need_program("nginx")
    folder = authority.certificate.parent
    own = make_certificate(folder, "gateway", names="IP:127.0.0.1", authority=authority)
    site = Site(f"http://127.0.0.1:{mimir.port}", "", own, authority.certificate)
    with running_nginx({"mesh": site}) as ports:
        yield ports["mesh"]


@pytest.fixture
def meshed(make_function: MakeFunction, mesh: int, authority: Certificate) -> Function:
    env = {"PORT": str(mesh), "SCHEME": "https", "CA_BUNDLE": str(authority.certificate)}
    return replace(make_function(**env), metrics=FEW)


def pair(one: Certificate) -> dict[str, str]:
    return {
        "PROMETHEUS_TLS_CERT": one.certificate.read_text("utf-8"),
        "PROMETHEUS_TLS_KEY": one.key.read_text("utf-8"),
    }


def test_a_client_certificate_opens_a_mesh_gateway(
    meshed: Function, authority: Certificate, mimir: Prometheus
) -> None:
    folder = authority.certificate.parent
    mine = pair(make_certificate(folder, "client", names="DNS:exporter", authority=authority))
    escaped = {name: text.replace("\n", "\\n") for name, text in mine.items()}
    for values in (mine, escaped):
        function = meshed.with_env(**secret_env(meshed.cloud, json.dumps(values)))
        assert function.export()["outcome"] == "complete"
        assert function.differences(mimir, 1) == []
    report = function.export({"action": "check"})
    assert any("with a client certificate" in one["summary"] for one in report["findings"])


def test_without_one_or_with_anothers_it_is_said(
    meshed: Function, authority: Certificate, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match="PROMETHEUS_TLS_CERT and PROMETHEUS_TLS_KEY"):
        meshed.export()
    other = make_authority(tmp_path, "another")
    stranger = make_certificate(tmp_path, "stranger", names="DNS:exporter", authority=other)
    with pytest.raises(ExportError, match="client_certificate_re"):
        meshed.with_env(**pair(stranger)).export()
    mine = pair(
        make_certificate(
            authority.certificate.parent, "mine", names="DNS:exporter", authority=authority
        )
    )
    mixed = {**mine, "PROMETHEUS_TLS_KEY": pair(stranger)["PROMETHEUS_TLS_KEY"]}
    with pytest.raises(SettingsError, match="invalid_client_certificate"):
        meshed.with_env(**mixed).export()
    for name in mine:
        with pytest.raises(SettingsError, match="incomplete_credentials"):
            meshed.with_env(**{name: mine[name]}).export()
    with pytest.raises(SettingsError, match="PEM"):
        meshed.with_env(**{**mine, "PROMETHEUS_TLS_CERT": "not a certificate"}).export()


# A forward proxy


@contextmanager
def connecting(login: str = "") -> Iterator[tuple[int, list[str]]]:
    """A proxy that makes tunnels (CONNECT), which nginx does not; the first lines that it got."""
    server = socket.create_server(("127.0.0.1", 0))
    asked: list[str] = []
    threads: list[threading.Thread] = []

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while block := source.recv(65_536):
                target.sendall(block)
            target.shutdown(socket.SHUT_WR)

    def handle(client: socket.socket) -> None:
        head = client.recv(65_536).decode("latin-1")
        asked.append(head.partition("\r\n")[0])
        wanted = f"Basic {base64.b64encode(login.encode()).decode()}"
        if login and wanted not in head:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            client.close()
            return
        host, _, port = head.split()[1].rpartition(":")
        with client, socket.create_connection((host, int(port))) as target:
            client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            back = threading.Thread(target=pump, args=(target, client))
            back.start()
            pump(client, target)
            back.join()

    def serve_all() -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                threads.append(threading.Thread(target=handle, args=(client,)))
                threads[-1].start()

    threads.append(threading.Thread(target=serve_all))
    threads[0].start()
    try:
        yield int(server.getsockname()[1]), asked
    finally:
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        for thread in threads:
            thread.join()


def by_setting(url: str) -> dict[str, str]:
    return {"PROMETHEUS_PROXY_URL": url, "NO_PROXY": "", "no_proxy": ""}


def by_environment(url: str) -> dict[str, str]:
    return {
        "HTTPS_PROXY": url,
        "HTTP_PROXY": url,
        "NO_PROXY": "amazonaws.com,localhost",
        "no_proxy": "amazonaws.com,localhost",
    }


WAYS = pytest.mark.parametrize("way", [by_setting, by_environment], ids=["setting", "environment"])


def at_aws(function: Function) -> dict[str, str]:
    """AWS is reached as `localhost`, which NO_PROXY may name apart from the endpoint."""
    return {"AWS_ENDPOINT_URL": function.env["AWS_ENDPOINT_URL"].replace("127.0.0.1", "localhost")}


@WAYS
def test_plain_http_goes_through_a_proxy(
    way: Callable[[str], dict[str, str]],
    need_program: NeedProgram,
    make_function: MakeFunction,
    proxy: Proxy,
    mimir: Prometheus,
) -> None:
    need_program("nginx")
    # As a forward proxy nginx takes whole addresses in the first line.
    with running_nginx({"proxy": Site("http://$http_host$request_uri")}) as ports:
        url = f"http://127.0.0.1:{ports['proxy']}"
        function = replace(make_function(PORT=str(proxy.port)), metrics=FEW)
        function = function.with_env(**way(url), **at_aws(function))
        assert function.export()["outcome"] == "complete"
        assert function.differences(mimir, 1) == []
    # nginx speaks HTTP/1.0 to whom it asks.
    assert {request.headers.get("connection") for request in proxy.requests} == {"close"}


@WAYS
def test_https_goes_through_a_tunnel(
    way: Callable[[str], dict[str, str]],
    meshed: Function,
    authority: Certificate,
    mimir: Prometheus,
) -> None:
    folder = authority.certificate.parent
    mine = pair(make_certificate(folder, "tunnel", names="DNS:exporter", authority=authority))
    with connecting("me:the-password") as (port, asked):
        env = {**mine, **at_aws(meshed), **way(f"http://me:the-password@127.0.0.1:{port}")}
        function = meshed.with_env(**env)
        assert function.export()["outcome"] == "complete"
        assert function.differences(mimir, 1) == []
        assert asked
        tunnel = f"CONNECT 127.0.0.1:{meshed.env['PORT']}"
        assert all(line.startswith(tunnel) for line in some(asked))


def test_no_proxy_names_whom_to_reach_directly(meshed: Function, authority: Certificate) -> None:
    folder = authority.certificate.parent
    mine = pair(make_certificate(folder, "direct", names="DNS:exporter", authority=authority))
    env = {**mine, "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1,localhost"}
    assert meshed.with_env(**env).export()["outcome"] == "complete"


def test_a_proxy_that_refuses_is_named_without_its_password(
    meshed: Function, authority: Certificate
) -> None:
    with connecting("me:the-right-password") as (port, _):
        url = f"http://me:a-wrong-password@127.0.0.1:{port}"
        with pytest.raises(ExportError, match="proxy_authentication_required") as caught:
            meshed.with_env(**at_aws(meshed), **by_setting(url)).export()
    assert "a-wrong-password" not in str(caught.value)
    with pytest.raises(ExportError, match="proxy_failed"):
        meshed.with_env(**at_aws(meshed), **by_setting("http://127.0.0.1:9")).export()
    with pytest.raises(SettingsError, match="PROMETHEUS_PROXY_URL"):
        meshed.with_env(**by_setting("socks5://127.0.0.1:9")).export()
