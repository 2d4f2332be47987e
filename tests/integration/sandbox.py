"""Calls the function's handlers in this process, as Lambda would."""

import contextlib
import json
import logging
import os
import random
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

import boto3
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore import endpoint

from mimir_exporter import handler, log, widget
from mimir_exporter.catalog.metrics import Metric, catalog_text, load_catalog
from mimir_exporter.compose import Dependencies
from mimir_exporter.runs.machine import StateMachine
from mimir_exporter.settings.settings import Settings
from mimir_exporter.storage.bucket import Bucket
from mimir_exporter.storage.client_config import ClientConfig
from mimir_exporter.storage.connection import S3Connection
from mimir_exporter.storage.fast_bucket import FastBucket
from mimir_exporter.storage.objects import ObjectStore

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

# All that the functions said in this session, for the test that no secret is in it.
SAID: list[str] = []

# Of the waits before another try; the waits themselves are tested with a clock of their own.
QUICK = 0.05

Event = dict[str, Any]
T = TypeVar("T")


class Clock:
    """Unix seconds, from `now` on at the pace of the real time."""

    def __init__(self, now: float) -> None:
        self._ahead = now - time.time()

    def __call__(self) -> float:
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


class Context:
    """What the code uses of Lambda's context."""

    function_name = "exporter"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-central-1:000000000000:function:exporter"

    def __init__(self, seconds: float, request_id: str) -> None:
        self.aws_request_id = request_id
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(max(0.0, self._end - time.monotonic()) * 1000)


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """The environment in which the functions run: variables, the time, the catalogue.

    `metrics` are the catalogue's metrics to use (None: all), EXTRA_METRICS aside. `patience` is how
    the clients of AWS try, by the names of Dependencies. `logs` holds the log lines of the last
    invocation.
    """

    env: Mapping[str, str]
    clock: Clock
    metrics: tuple[str, ...] | None = None
    patience: Mapping[str, Any] = field(default_factory=dict)
    logs: list[dict[str, Any]] = field(default_factory=list)

    def export(
        self, event: Event | None = None, *, seconds: float = 60.0, request_id: str = ""
    ) -> Event:
        """Invoke the regular function with `seconds` to run; its result."""
        return dict(self._invoke(handler.export, event or {}, seconds, request_id))

    def backfill(self, item: Event, *, seconds: float = 60.0) -> Event:
        """Invoke the backfill function for one item of the Map; its result."""
        return dict(self._invoke(handler.backfill, item, seconds, ""))

    def coverage(self, event: Event | None = None) -> str:
        """Invoke the function of the coverage map; its HTML."""
        return self._invoke(widget.coverage, event or {}, 30.0, "")

    def messages(self, message: str) -> list[dict[str, Any]]:
        """The last invocation's log lines with this message."""
        return [line for line in self.logs if line["message"] == message]

    @property
    def catalog(self) -> tuple[Metric, ...]:
        """The metrics that this sandbox exports."""
        extra = json.loads(self.env.get("EXTRA_METRICS", "{}"))
        text = catalog_text(self.env.get("CATALOG", "default"))
        range_s = int(self.env.get("RATE_RANGE", 300))
        return tuple(
            metric
            for metric in load_catalog(extra, rate_range_s=range_s, text=text)
            if self.metrics is None or metric.name in self.metrics or metric.name in extra
        )

    def _invoke(
        self,
        entry: Callable[..., T],
        event: Event,
        seconds: float,
        request_id: str,
    ) -> T:
        context = Context(seconds, request_id or f"request-{time.monotonic_ns()}")
        lines = _Lines()
        with self._running(), _logging_to(lines):
            try:
                result = entry(
                    event, cast("LambdaContext", context), dependencies=self.dependencies
                )
            except Exception as error:
                SAID.extend(traceback.format_exception(error))
                raise
            finally:
                self.logs[:] = [json.loads(line) for line in lines.said]
                SAID.extend(lines.said)
        SAID.append(json.dumps(result))
        return result

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("PROMETHEUS_")]:
                patch.delenv(name)
            for name, value in self.env.items():
                patch.setenv(name, value)
            # Process-wide in libraries: the keys that boto3 found first stay with its default
            # session, and botocore waits between its own tries.
            patch.setattr(boto3, "DEFAULT_SESSION", session_of(os.environ["AWS_ACCESS_KEY_ID"]))
            patch.setattr(endpoint, "time", SimpleNamespace(sleep=lambda _s: None))
            self._make_client()
            with contextlib.redirect_stdout(cast("TextIO", _Said())):  # where EMF goes
                yield

    @property
    def dependencies(self) -> Dependencies:
        """What the functions are made of here: this time, this catalogue, clients that are kept."""
        made = Dependencies(
            clock=self.clock,
            jitter=lambda: random.random() * QUICK,
            load_catalog=lambda _settings: self.catalog,
            open_bucket=_open_bucket,
            open_machine=_open_machine,
        )
        return replace(made, **self.patience)

    def _make_client(self) -> None:
        """Before the function's time begins, as that is seconds where a test gives it seconds.

        Where they do not suffice, a thread would continue making it after these variables are gone,
        and what it made would stay, for another place. A role is assumed by the function itself.
        """
        if "ROLE_ARN" not in self.env:
            connection = _s3(self.dependencies.client_config)
            assert connection.client
            assert connection.store


def _open_bucket(settings: Settings, config: ClientConfig) -> ObjectStore:
    connection = _s3(config)
    if config.by_boto3:
        return Bucket(lambda: connection.client, settings.bucket, settings.role_arn)
    return FastBucket(connection, settings.bucket, settings.role_arn)


def _open_machine(settings: Settings, config: ClientConfig) -> StateMachine | None:
    arn, client = settings.state_machine_arn, _stepfunctions(config, *_where())
    return StateMachine(lambda: client, arn) if arn else None


def _s3(config: ClientConfig) -> S3Connection:
    names = ("ROLE_ARN", "ROLE_EXTERNAL_ID", "S3_KMS_KEY_ARN")
    role = tuple(os.environ.get(name, "") for name in names)
    return _s3_of(os.environ.get("S3_BUCKET", ""), config, role, *_where())


def _where() -> tuple[str, str]:
    return os.environ["AWS_ENDPOINT_URL"], os.environ["AWS_ACCESS_KEY_ID"]


@lru_cache
def _s3_of(bucket: str, config: ClientConfig, role: tuple[str, ...], *_where: str) -> S3Connection:
    """As the function makes it, once for each bucket, endpoint and role: clients take long."""
    return S3Connection(bucket, config, *role)


@lru_cache
def _stepfunctions(config: ClientConfig, *_where: str) -> "SFNClient":
    return boto3.client("stepfunctions", config=config.of_boto3)


@lru_cache
def session_of(_key: str) -> boto3.Session:
    """The default session of whoever has this access key."""
    return boto3.Session()


class _Said:
    """Standard output, kept with the rest."""

    def write(self, text: str) -> int:
        SAID.append(text)
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


class _Lines(logging.Handler):
    """Keeps log lines as Powertools writes them."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(self.format(record))


@contextlib.contextmanager
def _logging_to(lines: _Lines) -> Iterator[None]:
    lines.setFormatter(log.logger.registered_formatter)
    log.logger.addHandler(lines)
    try:
        yield
    finally:
        logging.getLogger(log.logger.name).removeHandler(lines)
