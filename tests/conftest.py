"""Servers for the tests that ask for them. Nothing starts for a test that does not.

`prometheus` and `cloud` are shared by all tests of a session; a test that changes what others see
takes one of its own from `make_prometheus` or `make_cloud`.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from localcloud.aws import Cloud, running_cloud, running_moto
from localcloud.cdk import NODE
from localcloud.history import History, load_history
from localcloud.processes import StartError
from localcloud.programs import find_program
from localcloud.prometheus import Prometheus, running_prometheus
from localcloud.remote_write import RemoteWriter

# As the stack gives it to the functions; read when a handler is imported.
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "MimirExporter")

# jsii starts Node.js as soon as aws_cdk is imported. The wheel's is there on every machine, and
# one that jsii knows.
os.environ.setdefault("JSII_NODE", str(NODE))

# A script's shell starts what it puts into the background with SIGINT ignored, and so would be all
# that the tests start and stop by it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run, however busy the machine is, so that a failure can be repeated.
# What looks for news is tests/torture.
settings.register_profile(
    "steady",
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("steady")

MakePrometheus = Callable[..., Prometheus]
SharePrometheus = Callable[[History], Prometheus]
MakeCloud = Callable[..., Cloud]
NeedProgram = Callable[[str], Path]


@pytest.fixture(autouse=True, scope="session")
def no_real_cloud() -> Iterator[None]:
    """Whatever forgets to name an endpoint reaches no server, and finds no real credentials."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # discard: nothing listens there
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        # Of a network whose only way out is a proxy: everything is on this machine.
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1,localhost")
        yield


@pytest.fixture(scope="session")
def need_program() -> NeedProgram:
    """The path of a program of the distribution; without it the test is skipped, in CI it fails."""

    def need(name: str) -> Path:
        try:
            return find_program(name)
        except StartError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(error))

    return need


@pytest.fixture(scope="session")
def history() -> History:
    """Three days of four clusters up to now, as `prometheus` holds them."""
    return History(end_s=int(time.time()) // 60 * 60)


@pytest.fixture(scope="session")
def make_prometheus() -> Iterator[MakePrometheus]:
    """Starts a Prometheus of its own: takes a history to load and what running_prometheus takes."""
    with ExitStack() as running:

        def make(history: History | None = None, **options: object) -> Prometheus:
            prometheus = running.enter_context(running_prometheus(**options))  # type: ignore[arg-type]
            if history is not None:
                load_history(history, RemoteWriter(prometheus.write_url, prometheus.headers))
            return prometheus

        yield make


@pytest.fixture(scope="session")
def share_prometheus(make_prometheus: MakePrometheus) -> SharePrometheus:
    """The one Prometheus of a history, for all that only ask it."""
    return lru_cache(make_prometheus)


@pytest.fixture(scope="session")
def clouds() -> list[Cloud]:
    """Every cloud that `make_cloud` has started, for what is searched at the session's end."""
    return []


@pytest.fixture(scope="session")
def make_cloud(clouds: list[Cloud]) -> Iterator[MakeCloud]:
    """Starts a MiniStack of its own; with enforce_iam=True roles and policies count.

    With AWS_SERVER=moto it is moto's server: `make moto` shows that nothing passes for MiniStack's
    sake alone.
    """
    is_moto = os.environ.get("AWS_SERVER") == "moto"
    with ExitStack() as running:

        def make(*, enforce_iam: bool = False) -> Cloud:
            if is_moto:
                if enforce_iam:
                    pytest.skip("moto enforces no policy")
                clouds.append(running.enter_context(running_moto()))
                return clouds[-1]
            clouds.append(running.enter_context(running_cloud(enforce_iam=enforce_iam)))
            return clouds[-1]

        yield make


@pytest.fixture(scope="session")
def prometheus(make_prometheus: MakePrometheus, history: History) -> Prometheus:
    """Prometheus with `history` in it, under /prometheus, without credentials."""
    return make_prometheus(history)


@pytest.fixture(scope="session")
def cloud(make_cloud: MakeCloud) -> Cloud:
    """An AWS of one's own."""
    return make_cloud()
