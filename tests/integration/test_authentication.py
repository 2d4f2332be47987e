"""Each way to log in, as the server sees it, and what a refusal ends in."""

import base64
import json
from dataclasses import replace
from itertools import count

import pytest

from localcloud.aws import Cloud
from localcloud.history import History
from localcloud.prometheus import DEMO_LOGIN, Prometheus
from mimir_exporter.errors import ExportError, SettingsError
from mimir_exporter.errors import source as errors
from tests.conftest import MakePrometheus
from tests.integration import faults
from tests.integration.conftest import MakeFunction, MakeProxy
from tests.integration.deployment import FEW, NOW, Function
from tests.integration.faults import Proxy, Request
from tests.integration.matchers import is_by_cluster
from tests.raised import raises

_numbers = count(1)

TOKEN = "glsa_the-token-of-the-tests"
BEARER = "eyJhbGciOi.the-bearer-of-the-tests.c2ln"
PASSWORD = "pa55:word-of-the-tests-ü"
TENANTS = "team-a|team-b"
BASIC = base64.b64encode(f"exporter:{PASSWORD}".encode()).decode()

METHODS = {
    "none": ({}, {}),
    "token": (
        {"PROMETHEUS_AUTH_TOKEN": TOKEN},
        {"token": TOKEN, "content-type": "application/json"},
    ),
    "bearer": ({"PROMETHEUS_BEARER_AUTH_TOKEN": BEARER}, {"authorization": f"Bearer {BEARER}"}),
    "basic": (
        {"PROMETHEUS_USERNAME": "exporter", "PROMETHEUS_PASSWORD": PASSWORD},
        {"authorization": f"Basic {BASIC}"},
    ),
    "tenant": ({"PROMETHEUS_X_SCOPE_ORGID": TENANTS}, {"x-scope-orgid": TENANTS}),
    "token and tenant": (
        {"PROMETHEUS_AUTH_TOKEN": TOKEN, "PROMETHEUS_X_SCOPE_ORGID": "team-a"},
        {"token": TOKEN, "content-type": "application/json", "x-scope-orgid": "team-a"},
    ),
    "bearer and tenant": (
        {"PROMETHEUS_BEARER_AUTH_TOKEN": BEARER, "PROMETHEUS_X_SCOPE_ORGID": "team-a"},
        {"authorization": f"Bearer {BEARER}", "x-scope-orgid": "team-a"},
    ),
}
ANY = {"token", "authorization", "x-scope-orgid"}


@pytest.mark.parametrize("source", ["environment", "secret"])
@pytest.mark.parametrize("method", METHODS)
def test_the_server_gets_the_credentials_and_understands_the_request(
    method: str, source: str, through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    values, headers = METHODS[method]
    env = values if source == "environment" else secret_env(through.cloud, json.dumps(values))
    function = through.with_env(**env)
    # By cluster too: the values of a label are asked for in another way.
    too_many = faults.error(422, "err-mimir-max-series-per-query")
    proxy.spoil(too_many, lambda r: r.is_query and not is_by_cluster(r.fields["query"]), times=1)
    assert function.export()["outcome"] == "complete"
    assert function.differences(mimir, 1) == []
    assert {request.path for request in proxy.requests} == {
        "/-/ready",
        "/ready",
        "/prometheus/api/v1/query",
        "/prometheus/api/v1/query_range",
        "/prometheus/api/v1/label/cluster/values",
    }
    for request in proxy.requests:
        assert headers.items() <= request.headers.items()
        assert not (ANY - headers.keys()) & request.headers.keys()
    (query, *_) = proxy.queries
    in_url = "query=" in query.target
    assert in_url == (query.headers["content-type"] == "application/json")
    assert bool(query.body) != in_url


@pytest.fixture(scope="module")
def guarded(make_prometheus: MakePrometheus) -> Prometheus:
    """A Prometheus that refuses all but the right password."""
    return make_prometheus(History(end_s=NOW, days=0.1), login=DEMO_LOGIN)


RIGHT = {
    "PROMETHEUS_USERNAME": DEMO_LOGIN.username,
    "PROMETHEUS_PASSWORD": DEMO_LOGIN.password,
}
WRONG = RIGHT | {"PROMETHEUS_PASSWORD": "last-months-password"}


def test_a_rotated_secret_is_read_again(make_function: MakeFunction, guarded: Prometheus) -> None:
    """By a sandbox that has the old one in its cache."""
    function, secret = with_secret(make_function, guarded, WRONG)
    with raises(errors.AUTHENTICATION_FAILED):
        function.export()
    function.cloud.secretsmanager.put_secret_value(SecretId=secret, SecretString=json.dumps(RIGHT))
    assert function.export()["outcome"] == "complete"
    assert function.differences(guarded, 1) == []


def test_a_secret_rotated_during_a_run_is_read_again(
    make_function: MakeFunction, proxy: Proxy, mimir: Prometheus
) -> None:
    function, secret = with_secret(make_function, mimir, {"PROMETHEUS_AUTH_TOKEN": "first"})
    function = function.with_env(PORT=str(proxy.port))
    asked = count(1)

    def refuse_from_the_second_query_on(request: Request) -> bool:
        if request.is_query and request.headers["token"] == "first" and next(asked) == 2:
            function.cloud.secretsmanager.put_secret_value(
                SecretId=secret, SecretString='{"PROMETHEUS_AUTH_TOKEN": "second"}'
            )
            return True
        return False

    proxy.spoil(faults.answer(401), refuse_from_the_second_query_on)
    assert function.export()["outcome"] == "complete"
    assert function.differences(mimir, 1) == []
    tokens = [request.headers["token"] for request in proxy.queries]
    assert tokens == ["first", "first", "second", "second"]


def test_a_wrong_secret_is_read_again_once(
    make_function: MakeFunction, proxy: Proxy, mimir: Prometheus
) -> None:
    """One refusal is one message, not a storm of attempts that locks an account."""
    function, _ = with_secret(make_function, mimir, {"PROMETHEUS_AUTH_TOKEN": TOKEN})
    proxy.spoil(faults.answer(401))
    with raises(errors.AUTHENTICATION_FAILED):
        function.with_env(PORT=str(proxy.port)).export()
    assert len(proxy.queries) == 1


def test_a_redirect_is_not_followed(
    through: Function, proxy: Proxy, mimir: Prometheus, make_proxy: MakeProxy
) -> None:
    """Neither to another host, which would get the credentials, nor at all."""
    other = make_proxy(f"http://127.0.0.1:{mimir.port}")
    for method in ("token", "bearer", "basic", "tenant"):
        for status in (301, 302, 307, 308):
            elsewhere = f"{other.url}/prometheus/api/v1/query_range"
            proxy.heal()
            proxy.spoil(faults.answer(status, Location=elsewhere))
            with pytest.raises(ExportError, match=rf"HTTP {status}.*\[redirected\]"):
                through.with_env(**METHODS[method][0]).export()
    proxy.heal()
    proxy.spoil(faults.answer(302, Location=f"{other.url}/-/ready"), lambda r: "ready" in r.path)
    assert through.with_env(**METHODS["token"][0]).export()["outcome"] == "complete"
    assert other.requests == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no json at all", "is not JSON"),
        ('["PROMETHEUS_AUTH_TOKEN"]', "is not a JSON object"),
        (json.dumps({"PROMETHEUS_TOKEN": TOKEN}), "unknown key 'PROMETHEUS_TOKEN'"),
        (json.dumps({"PROMETHEUS_AUTH_TOKEN": 7}), "not a string"),
        (
            json.dumps({"PROMETHEUS_AUTH_TOKEN": TOKEN, "PROMETHEUS_BEARER_AUTH_TOKEN": BEARER}),
            "are set",
        ),
        (json.dumps({"PROMETHEUS_USERNAME": "exporter"}), "PROMETHEUS_PASSWORD is not"),
        (json.dumps({"PROMETHEUS_AUTH_TOKEN": f"{TOKEN}\nX-Evil: 1"}), "cannot carry"),
        (json.dumps({"PROMETHEUS_X_SCOPE_ORGID": "team a"}), "PROMETHEUS_X_SCOPE_ORGID"),
    ],
)
def test_a_secret_that_cannot_be_used_is_named(text: str, says: str, small: Function) -> None:
    function = small.with_env(**secret_env(small.cloud, text))
    with pytest.raises(SettingsError) as caught:
        function.export()
    assert says in str(caught.value)
    assert function.env["AUTH_SECRET_ARN"] in str(caught.value)
    assert function.file_keys() == {}


def test_check_reads_the_secret_anew(make_function: MakeFunction, guarded: Prometheus) -> None:
    """Empty as the stack makes it, filled wrongly, filled, within the minutes that it is kept."""
    function, secret = with_secret(make_function, guarded, {})

    def look(text: str) -> dict[str, tuple[str, str]]:
        function.cloud.secretsmanager.put_secret_value(SecretId=secret, SecretString=text)
        findings = function.export({"action": "check"})["findings"]
        return {one["what"]: (one["level"], one["summary"] + one["remedy"]) for one in findings}

    empty = look("{}")
    assert empty["credentials"][0] == "warning"
    assert "is empty" in empty["credentials"][1]
    assert "SecretCommand" in empty["credentials"][1]
    assert "Authentication failed" in empty["endpoint"][1]
    assert "it is not JSON" in look("a-token")["credentials"][1]
    right = look(json.dumps(RIGHT))
    assert (right["credentials"][0], right["endpoint"][0]) == ("warning", "ok")
    assert "sent unencrypted, as SCHEME is http" in right["credentials"][1]
    tenant_alone = look(json.dumps({"PROMETHEUS_X_SCOPE_ORGID": "team-a"}))
    assert tenant_alone["credentials"][0] == "ok"


def test_a_secret_that_is_not_there_is_named(small: Function) -> None:
    arn = "arn:aws:secretsmanager:eu-central-1:000000000000:secret:none-AbCdEf"
    with pytest.raises(ExportError) as caught:
        small.with_env(AUTH_SECRET_ARN=arn).export()
    for words in (
        arn,
        "ResourceNotFoundException",
        "check AUTH_SECRET_ARN",
        "endpoint for Secrets",
    ):
        assert words in str(caught.value)


def test_two_methods_at_once_are_an_error(small: Function) -> None:
    both = {"PROMETHEUS_AUTH_TOKEN": TOKEN, "PROMETHEUS_BEARER_AUTH_TOKEN": BEARER}
    with raises(errors.CONFLICTING_CREDENTIALS):
        small.with_env(**both).export()


def with_secret(
    make_function: MakeFunction, prometheus: Prometheus, values: dict[str, str]
) -> tuple[Function, str]:
    """A function that queries `prometheus` with credentials of a new secret, and its ARN."""
    function = replace(make_function(PORT=str(prometheus.port)), metrics=FEW)
    env = secret_env(function.cloud, json.dumps(values))
    return function.with_env(**env), env["AUTH_SECRET_ARN"]


def secret_env(cloud: Cloud, text: str) -> dict[str, str]:
    """The variables of a function whose credentials are in a new secret."""
    made = cloud.secretsmanager.create_secret(Name=f"login-{next(_numbers)}", SecretString=text)
    return {"AUTH_SECRET_ARN": made["ARN"]}
