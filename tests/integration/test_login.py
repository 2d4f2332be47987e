"""Each way to log in, as the server sees it, and what a refusal ends in."""

import base64
import json
import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest

from localcloud.aws import Cloud
from localcloud.history import History
from localcloud.prometheus import DEMO_LOGIN, Prometheus
from mimir_exporter.errors import ExportError
from tests.conftest import MakePrometheus
from tests.integration import faults
from tests.integration.conftest import MakeFunction
from tests.integration.deployment import FEW, NOW, Function
from tests.integration.faults import Proxy, Request

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
def test_the_server_gets_the_login_and_understands_the_request(
    method: str, source: str, through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    values, headers = METHODS[method]
    env = values if source == "environment" else secret_env(through.cloud, method, values)
    function = through.with_env(**env)
    # By cluster too: the values of a label are asked for in another way.
    too_many = faults.error(422, "err-mimir-max-series-per-query")
    proxy.spoil(too_many, lambda r: r.is_query and "{cluster=" not in r.fields["query"], times=1)
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


def secret_env(cloud: Cloud, name: str, values: dict[str, str]) -> dict[str, str]:
    """The variables of a function whose login is in a new secret."""
    made = cloud.secretsmanager.create_secret(
        Name=f"login-{name.replace(' ', '-')}-{len(cloud.secretsmanager.list_secrets())}",
        SecretString=json.dumps(values),
        ForceOverwriteReplicaSecret=False,
    )
    return {"AUTH_SECRET_ARN": made["ARN"]}
