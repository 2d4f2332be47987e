"""No secret is in anything that the function says or writes.

Last by its name, so that what all tests of this folder have said can be looked at as well.
"""

import base64
import gzip
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from localcloud.aws import Cloud
from mimir_exporter.errors import ExportError
from tests.integration import faults, test_gateways, test_sigv4, test_tls
from tests.integration.deployment import Function
from tests.integration.faults import Fault, Proxy
from tests.integration.sandbox import SAID
from tests.integration.test_login import BEARER, METHODS, PASSWORD, TOKEN, WRONG

SECRETS = (
    *(TOKEN, BEARER, PASSWORD, WRONG["PROMETHEUS_PASSWORD"], "three-days-of-metrics"),
    *(test_sigv4.SECRET, test_sigv4.SESSION, test_tls.BEARER),
    *(test_gateways.TOKEN, test_gateways.BEARER, test_gateways.PASSWORD),
)
LOGINS = {name: METHODS[name][0] for name in ("token", "bearer", "basic")}
LOGINS["SigV4"] = test_sigv4.SIGNED


def echo(status: int) -> Fault:
    """A server that tells in its error what it was sent, as debugging proxies do."""

    def fault(exchange: faults.Exchange) -> None:
        said = json.dumps({"status": "error", "error": f"refused {dict(exchange.request.headers)}"})
        exchange.send(faults.Answer(status, said.encode()))

    return fault


def echo_in_success(exchange: faults.Exchange) -> None:
    """The same with status 200, in each member that we might quote."""
    sent = f"refused {dict(exchange.request.headers)}"
    said = {"status": "error", "errorType": sent, "error": sent, "infos": [sent]}
    exchange.send(faults.Answer(200, json.dumps(said).encode()))


def echo_in_notes(exchange: faults.Exchange) -> None:
    sent = f"{dict(exchange.request.headers)}"
    faults.add_members(infos=[f"PromQL info: {sent}"], warnings=[sent])(exchange)


def echo_in_page(exchange: faults.Exchange) -> None:
    """No JSON at all, quoted by whoever cannot read it."""
    exchange.send(faults.Answer(200, f"{dict(exchange.request.headers)}".encode()))


def echo_decoded(exchange: faults.Exchange) -> None:
    """What a proxy makes of the header: name and password, on a page."""
    sent = exchange.request.headers.get("authorization", "").removeprefix("Bearer ")
    if sent.startswith("Basic "):
        sent = base64.b64decode(sent.removeprefix("Basic ")).decode()
    page = f"<p>{sent or exchange.request.headers.get('token')} is refused</p>"
    exchange.send(faults.Answer(502, page.encode()))


def spellings(secret: str) -> set[str]:
    """As it stands, and as it could stand in a header, a URL or a JSON text."""
    login = base64.b64encode(f"exporter:{secret}".encode()).decode()
    return {secret, login, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]}


@pytest.mark.parametrize("method", LOGINS)
@pytest.mark.parametrize(
    "fault",
    [
        None,
        echo(401),
        echo(500),
        echo(422),
        faults.reset,
        faults.cut_with_length,
        echo_in_success,
        echo_in_notes,
        echo_in_page,
        echo_decoded,
    ],
    ids=["well", "401", "500", "422", "reset", "cut", "200", "notes", "no JSON", "decoded"],
)
def test_no_secret_is_said(
    method: str, fault: Fault | None, through: Function, proxy: Proxy
) -> None:
    function = through.with_env(**LOGINS[method])
    if fault:
        proxy.spoil(fault, lambda request: "/api/v1/" in request.path)
    before = len(SAID)
    for act in calls(function):
        try:
            act()
        except ExportError as error:
            SAID.append(repr(error))
    assert len(SAID) > before + 5
    assert_silent(SAID[before:])
    for key, body in function.files().items():
        assert_silent([key, json.dumps(function.metadata(key))])
        assert_silent([gzip.decompress(body).decode()])
    assert_silent([function.read(function.checkpoint_key).decode()])


def calls(function: Function) -> list[Callable[[], object]]:
    return [
        function.export,
        lambda: function.export({"action": "check"}),
        lambda: function.export({"action": "status"}),
    ]


def test_no_secret_was_said_by_any_test() -> None:
    assert SAID
    assert_silent(SAID)


def test_no_secret_was_written_by_any_test(cloud: Cloud) -> None:
    """Each checkpoint, which holds the reasons of failures, and one file of each bucket."""
    checkpoints = 0
    for bucket in cloud.s3.list_buckets()["Buckets"]:
        name = bucket["Name"]
        listed = cloud.s3.list_objects_v2(Bucket=name).get("Contents", [])
        keys = [one["Key"] for one in listed]
        written = [key for key in keys if key.endswith("/checkpoint.json")]
        checkpoints += len(written)
        for key in written + [key for key in keys if key.endswith(".gz")][:1]:
            found = cloud.s3.get_object(Bucket=name, Key=key)
            assert_silent([key, json.dumps(found["Metadata"])])
            assert_silent([found["Body"].read().decode("latin-1")])
    assert checkpoints


def assert_silent(texts: list[str]) -> None:
    whole = "\n".join(texts)
    for secret in SECRETS:
        for spelling in spellings(secret):
            assert spelling not in whole, f"...{whole[whole.index(spelling) - 200 :][:200]}"
