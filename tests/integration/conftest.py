"""Deployments of the function in this process, and a real Prometheus with one day of history."""

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

import pytest
from aws_lambda_powertools.utilities import parameters

from localcloud.aws import Cloud
from localcloud.history import History
from localcloud.prometheus import Prometheus
from tests.conftest import MakeCloud, SharePrometheus
from tests.integration.deployment import FEW, NOW, PREFIX, Function, asking
from tests.integration.faults import Proxy
from tests.integration.machines import ROLE, execution_arn, executions
from tests.integration.sandbox import SAID, Clock
from tests.leaks import everything_in, leaks

MakeFunction = Callable[..., Function]
MakeProxy = Callable[..., Proxy]
MakeMachine = Callable[[dict[str, Any]], str]
_numbers = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def session_s_end(make_cloud: MakeCloud, clouds: list[Cloud]) -> Iterator[None]:
    """At the session's end, whatever tests ran and in whatever order: no secret is in anything
    that the functions logged, returned, raised or wrote, and each log line is one of docs/logs.md.
    """
    yield
    # Imported here: the tests' own modules know the secrets that they use.
    from tests.integration.test_log_lines import undocumented  # noqa: PLC0415
    from tests.integration.test_secrets import SECRETS, found_in  # noqa: PLC0415

    assert found_in(SAID) == []
    assert undocumented(SAID) == []
    for cloud in clouds:
        assert leaks(SECRETS, everything_in(cloud)) == []


@pytest.fixture(scope="session")
def mimir(share_prometheus: SharePrometheus) -> Prometheus:
    """A Prometheus with the day before NOW, of all clusters."""
    return share_prometheus(History(end_s=NOW, days=1))


@pytest.fixture
def make_function(cloud: Cloud, mimir: Prometheus) -> Iterator[MakeFunction]:
    """Makes a deployment with a bucket of its own; takes settings that differ from the usual."""
    yield from _function_maker(cloud, mimir)


@pytest.fixture(scope="module")
def module_function(cloud: Cloud, mimir: Prometheus) -> Iterator[MakeFunction]:
    """As `make_function`, for what several tests of a module look at."""
    yield from _function_maker(cloud, mimir)


def _function_maker(cloud: Cloud, mimir: Prometheus) -> Iterator[MakeFunction]:

    def make(**env: str) -> Function:
        bucket = f"exports-{next(_numbers)}"
        cloud.create_bucket(bucket)
        usual = {
            "AWS_ENDPOINT_URL": cloud.endpoint,
            "S3_BUCKET": bucket,
            "S3_PREFIX": PREFIX,
            **asking(mimir),
        }
        return Function(cloud=cloud, bucket=bucket, env=usual | env, clock=Clock(NOW))

    yield make
    # The secret is cached for as long as a sandbox lives: no other test's sandbox may have it.
    parameters.base.DEFAULT_PROVIDERS.clear()  # type: ignore[attr-defined]  # not exported


@pytest.fixture
def function(make_function: MakeFunction) -> Function:
    """The whole catalogue, one window of one hour."""
    return make_function()


@pytest.fixture
def make_proxy() -> Iterator[MakeProxy]:
    """Makes ways to a server that a test can spoil; takes what Proxy takes."""
    with ExitStack() as running:
        yield lambda *where: running.enter_context(Proxy(*where).running())


@pytest.fixture
def make_machine(cloud: Cloud) -> Iterator[MakeMachine]:
    """Makes a state machine of one state, which replaces what a backfill comes to; its ARN."""
    arns: list[str] = []

    def make(state: dict[str, Any]) -> str:
        definition = {"StartAt": "Work", "States": {"Work": state}}
        arns.append(
            cloud.stepfunctions.create_state_machine(
                name=f"backfill-{next(_numbers)}", definition=json.dumps(definition), roleArn=ROLE
            )["stateMachineArn"]
        )
        return arns[-1]

    yield make
    for arn in arns:
        for name in executions(cloud, arn):
            with suppress(cloud.stepfunctions.exceptions.ClientError):
                cloud.stepfunctions.stop_execution(executionArn=execution_arn(arn, name))


@pytest.fixture
def proxy(make_proxy: MakeProxy, mimir: Prometheus) -> Proxy:
    """A way to `mimir` that a test can spoil."""
    return make_proxy(f"http://127.0.0.1:{mimir.port}")


@pytest.fixture
def through(make_function: MakeFunction, proxy: Proxy) -> Function:
    """A few metrics, one window, asked for through `proxy`."""
    return replace(make_function(PORT=str(proxy.port)), metrics=FEW)


@pytest.fixture
def single(through: Function) -> Function:
    """One metric, one window, asked for through `proxy`."""
    return replace(through, metrics=("pod_info",))


@pytest.fixture
def small(make_function: MakeFunction) -> Function:
    """A few metrics, three windows, asked of `mimir` itself."""
    return replace(make_function(BACKFILL_DAYS="3h"), metrics=FEW)
