"""Requests signed for Amazon Managed Service for Prometheus, as the server gets them.

The service itself runs nowhere but in AWS: a real Prometheus answers here, behind a check of each
signature that is made by hand (tests/signature.py).
"""

import json
from dataclasses import replace

import pytest

from localcloud.prometheus import Prometheus
from mimir_exporter.errors import ExportError
from mimir_exporter.errors.source import CONFLICTING_SIGNATURE
from tests.integration import faults
from tests.integration.conftest import MakeFunction
from tests.integration.deployment import FEW, Function
from tests.integration.faults import Exchange, Proxy, Request
from tests.integration.matchers import is_by_cluster
from tests.integration.test_authentication import secret_env
from tests.integration.test_faults import asks_for, assert_complete
from tests.raised import raises
from tests.signature import canonical_request, signature
from tests.some import some

REGION = "eu-central-1"
KEY, SECRET = "AKIDOFTHETESTS", "the/secret+key-of-the-tests"
SESSION = "the/session+token=of-the-tests"
SIGNED = {
    "SIGV4_REGION": REGION,
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_SESSION_TOKEN": SESSION,
}
READER = "arn:aws:iam::000000000000:role/reader"


def is_signed(request: Request) -> bool:
    """By KEY, over what really arrived."""
    algorithm, _, rest = request.headers.get("authorization", "").partition(" ")
    if algorithm != "AWS4-HMAC-SHA256":
        return False
    fields = dict(part.split("=", 1) for part in rest.split(", "))
    moment = request.headers["x-amz-date"]
    text = canonical_request(
        request.method,
        f"http://{request.headers['host']}{request.target}",
        request.headers,
        fields["SignedHeaders"],
        request.body,
    )
    return (
        fields["Credential"] == f"{KEY}/{moment[:8]}/{REGION}/aps/aws4_request"
        and {"host", "x-amz-date"} <= set(fields["SignedHeaders"].split(";"))
        and fields["Signature"] == signature(SECRET, REGION, "aps", moment, text)
    )


@pytest.fixture
def managed(make_function: MakeFunction, proxy: Proxy) -> Function:
    """Signs; whatever is not signed rightly is refused, as AWS words it."""
    refused = json.dumps({"message": "The request signature we calculated does not match."})
    proxy.spoil(faults.answer(403, refused), lambda request: not is_signed(request))
    # Nothing of readiness is there.
    proxy.spoil(faults.answer(404), lambda request: "ready" in request.path)
    return replace(make_function(PORT=str(proxy.port), **SIGNED), metrics=FEW)


def test_each_request_is_signed(managed: Function, proxy: Proxy, mimir: Prometheus) -> None:
    """Queries, label values and readiness."""
    too_many = faults.error(422, "err-mimir-max-series-per-query")
    proxy.spoil(too_many, lambda r: r.is_query and not is_by_cluster(r.fields["query"]), times=1)
    assert_complete(managed, managed.export(), mimir)
    assert any(request.path.endswith("/values") for request in proxy.requests)
    assert all(is_signed(request) for request in some(proxy.requests))
    assert {r.headers["x-amz-security-token"] for r in proxy.requests} == {SESSION}
    assert not any("token" in request.headers for request in proxy.requests)


def test_what_is_throttled_is_asked_again_and_signed_anew(
    managed: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """A signature is good for five minutes, a run may wait for longer."""

    def throttle_late(exchange: Exchange) -> None:
        exchange.wait(1.1)  # dates are in seconds
        body = json.dumps({"__type": "ThrottlingException", "message": "Rate exceeded"})
        exchange.send(faults.Answer(400, body.encode()))

    proxy.spoil(throttle_late, asks_for("pod_info"), times=1)
    assert_complete(managed, managed.export(), mimir)
    first, again = [request for request in proxy.queries if asks_for("pod_info")(request)]
    assert (first.target, first.body) == (again.target, again.body)
    assert first.headers["x-amz-date"] < again.headers["x-amz-date"]
    assert first.headers["authorization"] != again.headers["authorization"]


def test_a_refused_signature_stops_the_run_and_says_nothing_secret(
    managed: Function, proxy: Proxy
) -> None:
    def echo(exchange: Exchange) -> None:
        said = json.dumps({"message": f"refused {exchange.request.headers['authorization']}"})
        exchange.send(faults.Answer(403, said.encode()))

    proxy.spoil(echo, lambda request: request.is_query)
    with pytest.raises(ExportError, match=r"HTTP 403.*refused AWS4.*Signature=\*\*\*"):
        managed.export()


def test_another_role_signs(managed: Function, proxy: Proxy, mimir: Prometheus) -> None:
    """With keys that STS gives for it."""
    function = managed.with_env(SIGV4_ROLE_ARN=READER)
    with pytest.raises(ExportError, match="HTTP 403"):
        function.export()  # not signed by KEY, which is all that the check here takes
    request = proxy.requests[-1]
    assert request.headers["x-amz-security-token"] != SESSION
    assert f"Credential={KEY}/" not in request.headers["authorization"]
    assert "x-amz-security-token" in request.headers["authorization"]


def test_a_role_that_cannot_be_assumed_is_named(managed: Function) -> None:
    function = managed.with_env(SIGV4_ROLE_ARN=READER, AWS_ENDPOINT_URL_STS="http://127.0.0.1:9")
    with pytest.raises(ExportError) as caught:
        function.export()
    for words in (READER, "Cannot assume", "check SIGV4_ROLE_ARN", "endpoint for STS"):
        assert words in str(caught.value)


@pytest.mark.parametrize("from_secret", [False, True], ids=["environment", "secret"])
def test_credentials_beside_the_signature_are_an_error(
    managed: Function, from_secret: bool
) -> None:
    values = {"PROMETHEUS_BEARER_AUTH_TOKEN": "beside-a-signature"}
    env = secret_env(managed.cloud, json.dumps(values)) if from_secret else values
    with raises(CONFLICTING_SIGNATURE) as one:
        managed.with_env(**env).export()
    assert "beside" not in str(one.value)


def test_check_reports_who_signs(managed: Function) -> None:
    def found(function: Function) -> str:
        findings = function.export({"action": "check"})["findings"]
        return next(str(one["summary"]) for one in findings if one["what"] == "credentials")

    assert found(managed) == "SigV4 in eu-central-1 as the exporter's own role"
    assert found(managed.with_env(SIGV4_ROLE_ARN=READER)) == f"SigV4 in eu-central-1 as {READER}"
