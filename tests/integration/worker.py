"""One invocation in a process of its own, as every sandbox is one.

For what one process cannot show: runs at the same time, and a run that is killed.
"""

import multiprocessing
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Self

from mimir_exporter.errors import ExportError
from mimir_exporter.runs import lease
from tests.integration.sandbox import Clock, Event, Sandbox

# Processes are forked from one that has imported everything and has no threads.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__, "tests.integration.warm"])


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
    request_id: str = ""

    def work(self) -> Event:
        """The result, or {"error": its sentence}."""
        if not self.lease:
            # Every lease has run out when it is taken: nothing keeps runs from each other.
            lease.LEASE_MARGIN_S = -1_000_000
        time.sleep(max(0.0, self.begin - time.time()))
        sandbox = Sandbox(env=self.env, clock=Clock(self.now), metrics=self.metrics)
        try:
            if self.item:
                return sandbox.backfill(self.event, seconds=self.seconds)
            return sandbox.export(self.event, seconds=self.seconds, request_id=self.request_id)
        except ExportError as error:
            return {"error": str(error)}


class Worker:
    """A process that does one order."""

    def __init__(self, order: Order) -> None:
        self._answer, theirs = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(target=_work, args=(order, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def result(self) -> Event:
        """What the invocation returned."""
        assert self._answer.poll(60), "the worker did not answer"
        found: Event = self._answer.recv()
        return found

    def answers_within(self, seconds: float) -> bool:
        """Whether it ends meanwhile: by itself, or killed."""
        return self._answer.poll(seconds)

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def kill(self) -> None:
        """End it without a goodbye, as a machine that is lost."""
        self._process.kill()
        self._process.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._process.close()
        self._answer.close()


@contextmanager
def working(*orders: Order) -> Iterator[list[Worker]]:
    """Workers for all orders; none is left when the block ends."""
    with ExitStack() as running:
        yield [running.enter_context(Worker(order)) for order in orders]


def _work(order: Order, answer: Connection) -> None:
    answer.send(order.work())
