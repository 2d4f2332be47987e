"""A real VictoriaMetrics on a free loopback port: starts empty, scrapes nothing, takes pushes."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import urllib3

from localcloud.http_api import ask_range
from localcloud.processes import Process, Program, serve
from localcloud.programs import find_program


@dataclass(frozen=True)
class VictoriaMetrics:
    """A running single-node server."""

    port: int
    server: Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def write_url(self) -> str:
        return f"{self.url}/api/v1/write"

    def flush(self) -> None:
        """Make all that was pushed visible to queries, which is otherwise a matter of seconds."""
        answer = urllib3.request("GET", f"{self.url}/internal/force_flush", timeout=60)
        if answer.status != 200:
            raise RuntimeError(f"VictoriaMetrics answered {answer.status}: {answer.data[:500]!r}")

    def query_range(self, promql: str, first_s: int, last_s: int, step_s: int) -> bytes:
        """The body of a query_range answer over [first, last], both ends included."""
        # Without `nocache` the range is moved to multiples of the step that suit the cache.
        query = (promql, first_s, last_s, step_s)
        return ask_range("VictoriaMetrics", self.url, query, nocache="1")


@contextlib.contextmanager
def running_victoria_metrics(
    limits: Mapping[str, int] | None = None,
) -> Iterator[VictoriaMetrics]:
    """Run an empty VictoriaMetrics until the block ends; its data goes with it.

    `limits` are flags by name, such as search.maxSamplesPerQuery. Raises StartError.
    """
    binary = find_program("victoria-metrics")
    with tempfile.TemporaryDirectory(prefix="victoria-", ignore_cleanup_errors=True) as folder:

        def make(port: int) -> Program:
            return Program(
                name="VictoriaMetrics",
                argv=[
                    str(binary),
                    f"-storageDataPath={folder}/data",
                    "-retentionPeriod=100y",
                    f"-httpListenAddr=127.0.0.1:{port}",
                    "-loggerLevel=WARN",
                    *(f"-{name}={value}" for name, value in (limits or {}).items()),
                ],
                env=dict(os.environ),
                ready_url=f"http://127.0.0.1:{port}/-/ready",
                log=Path(folder, "victoria-metrics.log"),
                scratch=Path(folder),
            )

        with serve(make) as (server, port):
            yield VictoriaMetrics(port, server)
