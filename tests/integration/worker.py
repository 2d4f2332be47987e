"""One invocation in a process of its own: `python -m tests.integration.worker`, told on stdin.

For what one process cannot show: runs at the same time, and a run that is killed.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from subprocess import PIPE, Popen
from typing import Any, Self

from localcloud.cdk import PROJECT
from mimir_exporter import runs
from mimir_exporter.errors import ExportError
from tests.integration.sandbox import Clock, Event, Sandbox


@dataclass(frozen=True)
class Order:
    """What a worker does. `begin` is when all workers begin at once (unix seconds, real time)."""

    env: Mapping[str, str]
    now: float
    metrics: tuple[str, ...] | None
    event: Event
    item: bool = False
    seconds: float = 60.0
    lease: bool = True
    begin: float = 0.0

    def work(self) -> Event:
        """The result, or {"error": its sentence}."""
        if not self.lease:
            # Every lease has run out when it is taken: nothing keeps runs from each other.
            runs.LEASE_MARGIN_S = -1_000_000
        sandbox = Sandbox(env=self.env, clock=Clock(self.now), metrics=self.metrics)
        time.sleep(max(0.0, self.begin - time.time()))
        try:
            if self.item:
                return sandbox.backfill(self.event, seconds=self.seconds)
            return sandbox.export(self.event, seconds=self.seconds)
        except ExportError as error:
            return {"error": str(error)}


class Worker:
    """A process that does one order."""

    def __init__(self, order: Order) -> None:
        self._process = Popen(
            [sys.executable, "-W", "error", "-m", "tests.integration.worker"],
            stdin=PIPE,
            stdout=PIPE,
            text=True,
            cwd=PROJECT,
        )
        assert self._process.stdin is not None
        json.dump(vars(order), self._process.stdin)
        self._process.stdin.close()

    def result(self) -> Event:
        """What the invocation returned."""
        assert self._process.stdout is not None
        said = self._process.stdout.read()
        assert self._process.wait(60) == 0
        found: Event = json.loads(said.splitlines()[-1])
        return found

    def kill(self) -> None:
        """End it without a goodbye, as a machine that is lost."""
        self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def working(*orders: Order) -> Iterator[list[Worker]]:
    """Workers for all orders; none is left when the block ends."""
    with ExitStack() as running:
        yield [running.enter_context(Worker(order)) for order in orders]


if __name__ == "__main__":
    print(json.dumps(Order(**json.load(sys.stdin)).work()))  # noqa: T201 - to its owner
