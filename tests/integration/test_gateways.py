"""Behind a real nginx that refuses all but the right credentials, as gateways before Mimir do."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from localcloud.nginx import Site, running_nginx
from localcloud.prometheus import Prometheus
from mimir_exporter.errors.source import AUTHENTICATION_FAILED
from tests.conftest import NeedProgram
from tests.integration.conftest import MakeFunction
from tests.integration.deployment import FEW
from tests.raised import raises

TOKEN = "the-token-for-the-gateway"
BEARER = "the-bearer-for-the-gateway"
USER, PASSWORD = "123456", "the-password-for-the-gateway"
TENANT = "team-a|team-b"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


def require(variable: str, value: str, status: int) -> str:
    return f'if (${variable} != "{value}") {{ return {status}; }}'


# What a gateway demands, and the settings that give it; the last column is its path.
GATEWAYS: dict[str, tuple[str, dict[str, str], str]] = {
    "token": (
        require("http_token", TOKEN, 401),
        {"PROMETHEUS_AUTH_TOKEN": TOKEN},
        "/prometheus",
    ),
    "bearer": (
        require("http_authorization", f"Bearer {BEARER}", 401),
        {"PROMETHEUS_BEARER_AUTH_TOKEN": BEARER},
        "/prometheus",
    ),
    # As Grafana Cloud has it: the number of the stack, a token, and a path of its own.
    "basic": (
        require("http_authorization", f"Basic {BASIC}", 401),
        {"PROMETHEUS_USERNAME": USER, "PROMETHEUS_PASSWORD": PASSWORD},
        "/api/prom",
    ),
    "tenant": (
        require("http_x_scope_orgid", TENANT, 401),
        {"PROMETHEUS_X_SCOPE_ORGID": TENANT},
        "/prometheus",
    ),
    "bearer and tenant": (
        require("http_authorization", f"Bearer {BEARER}", 401)
        + require("http_x_scope_orgid", TENANT, 401),
        {"PROMETHEUS_BEARER_AUTH_TOKEN": BEARER, "PROMETHEUS_X_SCOPE_ORGID": TENANT},
        "/prometheus",
    ),
}


@pytest.fixture(scope="module")
def ports(need_program: NeedProgram, mimir: Prometheus) -> Iterator[Mapping[str, int]]:
    """A port of one nginx for each gateway. Readiness is guarded there like everything else."""
    need_program("nginx")
    server = f"http://127.0.0.1:{mimir.port}"
    sites = {
        name: Site(server, f"{rules} rewrite ^{path}/(.*)$ {mimir.path_prefix}/$1 break;")
        for name, (rules, _, path) in GATEWAYS.items()
    }
    with running_nginx(sites) as ports:
        yield ports


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_the_right_credentials_export_and_missing_ones_name_what_to_check(
    gateway: str, make_function: MakeFunction, ports: Mapping[str, int], mimir: Prometheus
) -> None:
    _, login, path = GATEWAYS[gateway]
    function = replace(make_function(PORT=str(ports[gateway]), PATH_PREFIX=path), metrics=FEW)
    with raises(AUTHENTICATION_FAILED):
        function.export()
    allowed = function.with_env(**login)
    assert allowed.export()["outcome"] == "complete"
    assert allowed.differences(mimir, 1) == []
    assert allowed.export({"action": "check"})["outcome"] == "ready"
