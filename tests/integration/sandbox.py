"""Calls the function's handlers in this process, as Lambda would."""

import contextlib
import json
import logging
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import boto3
import pytest
from aws_lambda_powertools.metrics.provider.cloudwatch_emf import cloudwatch
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore import endpoint
from botocore.config import Config

from mimir_exporter import compose, handler, widget
from mimir_exporter.catalog.metrics import Metric, load_catalog
from mimir_exporter.checkpoint.store import CheckpointStore
from mimir_exporter.errors import SettingsError
from mimir_exporter.settings.settings import load_settings
from mimir_exporter.source import retry
from mimir_exporter.storage.bucket import CLIENT, IMPATIENT, s3_client

# All that the functions said in this session, for the test that no secret is in it.
SAID: list[str] = []

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

    `metrics` are the catalogue's metrics to use (None: all), EXTRA_METRICS aside. `logs` holds
    the log lines of the last invocation.
    """

    env: Mapping[str, str]
    clock: Clock
    metrics: tuple[str, ...] | None = None
    logs: list[dict[str, Any]] = field(default_factory=list)

    def export(
        self, event: Event | None = None, *, seconds: float = 60.0, request_id: str = ""
    ) -> Event:
        """Invoke the regular function with `seconds` to run; its result."""
        return self._invoke(handler.export, event or {}, seconds, request_id)

    def backfill(self, item: Event, *, seconds: float = 60.0) -> Event:
        """Invoke the backfill function for one item of the Map; its result."""
        return self._invoke(handler.backfill, item, seconds, "")

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
        return tuple(
            metric
            for metric in load_catalog(extra)
            if self.metrics is None or metric.name in self.metrics or metric.name in extra
        )

    def _invoke(
        self,
        entry: Callable[[Event, LambdaContext], T],
        event: Event,
        seconds: float,
        request_id: str,
    ) -> T:
        context = Context(seconds, request_id or f"request-{time.monotonic_ns()}")
        lines = _Lines()
        with self._running(), _logging_to(lines):
            try:
                result = entry(event, cast("LambdaContext", context))
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
            patch.setattr(handler, "_s3", _s3)
            patch.setattr(widget, "_s3", lambda: _s3("", IMPATIENT))
            patch.setattr(widget, "time", SimpleNamespace(time=self.clock))
            patch.setattr(widget, "load_catalog", lambda _extra: self.catalog)
            # The keys that boto3 found first stay with its default session.
            patch.setattr(boto3, "DEFAULT_SESSION", session_of(os.environ["AWS_ACCESS_KEY_ID"]))
            patch.setattr(
                endpoint, "time", SimpleNamespace(sleep=lambda _s: None)
            )  # botocore's waits
            patch.setattr(handler.metrics, "namespace", "MimirExporter")
            patch.setattr(cloudwatch, "print", SAID.append, raising=False)
            patch.setattr(handler, "open_tools", partial(compose.open_tools, clock=self.clock))
            patch.setattr(
                compose,
                "CheckpointStore",
                partial(CheckpointStore, sleep=lambda s: time.sleep(s / 10)),
            )
            patch.setattr(compose, "load_catalog", lambda _extra: self.catalog)
            patch.setattr(retry, "BASE_S", 0.02)  # the waits are tested with a clock of their own
            self._make_client()
            yield

    def _make_client(self) -> None:
        """Before the function's time begins, as that is seconds where a test gives it seconds.

        Where they do not suffice, a thread would go on making it after these variables are gone,
        and what it made would stay, for another place. A role is assumed by the function itself.
        """
        if "ROLE_ARN" not in self.env:
            with contextlib.suppress(SettingsError):
                _s3("", CLIENT)


def _s3(_bucket: str, config: Config) -> Any:
    role = (os.environ.get("ROLE_ARN"), os.environ.get("ROLE_EXTERNAL_ID"))
    return _s3_of(config, os.environ["AWS_ENDPOINT_URL"], os.environ["AWS_ACCESS_KEY_ID"], *role)


@lru_cache
def _s3_of(config: Config, *_who: str | None) -> Any:
    """A client as the function makes it, once for each endpoint and role: making one takes long."""
    return s3_client(load_settings(os.environ), config)


@lru_cache
def session_of(_key: str) -> boto3.Session:
    """The default session of whoever has this access key."""
    return boto3.Session()


class _Lines(logging.Handler):
    """Keeps log lines as Powertools writes them."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(self.format(record))


@contextlib.contextmanager
def _logging_to(lines: _Lines) -> Iterator[None]:
    lines.setFormatter(handler.logger.registered_formatter)
    handler.logger.addHandler(lines)
    try:
        yield
    finally:
        logging.getLogger(handler.logger.name).removeHandler(lines)
