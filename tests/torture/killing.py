"""Kills workers at chosen moments, and says what they were doing then.

All that a worker says to Prometheus and to AWS goes through two proxies, which see what it is at
when the moment comes, and which can make the moment one that no clock would hit: after S3 has
stored an object and before the worker hears of it.
"""

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

from tests.integration.faults import Chooser, Exchange, Proxy, Request
from tests.integration.sandbox import Event
from tests.integration.worker import Order, Worker

HAND_OVER = "AWSStepFunctions.StartExecution"


def is_file(request: Request) -> bool:
    return request.path.endswith(".json.gz")


def is_checkpoint(request: Request) -> bool:
    return request.path.endswith("/checkpoint.json")


def doing(request: Request) -> str:
    """What a worker is at while it waits for this request."""
    if request.headers.get("x-amz-target") == HAND_OVER:
        return "handing over"
    if request.is_query:
        return "querying"
    if is_checkpoint(request):
        return "checkpointing"
    return "writing files" if is_file(request) else "preparing and settling"


@dataclass(frozen=True)
class Point:
    """A moment of one of the requests that `chooses` takes, which are `often` many in a run."""

    name: str
    chooses: Chooser
    often: int
    forwards: bool  # the real server has done what it was asked to when the worker dies


def _asked(method: str, chooses: Callable[[Request], bool]) -> Chooser:
    return lambda request: request.method == method and chooses(request)


def _starts_execution(request: Request) -> bool:
    return request.headers.get("x-amz-target") == HAND_OVER


POINTS = (
    Point("a query before its answer", lambda request: request.is_query, 6, forwards=False),
    Point("a file before it is stored", _asked("PUT", is_file), 12, forwards=False),
    Point("a file stored, not confirmed", _asked("PUT", is_file), 12, forwards=True),
    Point("the checkpoint read", _asked("GET", is_checkpoint), 3, forwards=True),
    Point("the checkpoint before it is stored", _asked("PUT", is_checkpoint), 3, forwards=False),
    Point("the checkpoint stored, not confirmed", _asked("PUT", is_checkpoint), 3, forwards=True),
    Point("an execution before it is started", _starts_execution, 1, forwards=False),
    Point("an execution started, not confirmed", _starts_execution, 1, forwards=True),
)


@dataclass(frozen=True)
class Death:
    """Where a worker was when it was killed; `point` is "" for one that the clock chose."""

    doing: str
    point: str = ""


class Killer:
    """Starts workers that speak through `source` and `aws`, and kills them."""

    def __init__(self, source: Proxy, aws: Proxy, chance: random.Random) -> None:
        self._ways = (source, aws)
        self._chance = chance
        self.start_s = 0.1  # from a worker's start to its first request, as the last one took

    def let_live(self, order: Order) -> Event:
        """The result of a worker that is not killed."""
        self.disarm()
        with Worker(order) as worker:
            return worker.result()

    def kill_by_clock(self, order: Order, after_s: float) -> Death | Event:
        """Killed so long after its first request, or its result if it was quicker.

        Below 0: that long before one that starts as usual would make its first request.
        """
        self.disarm()
        with Worker(order) as worker:
            if after_s < 0:
                worker.answers_within(self.start_s + after_s)
            else:
                self._wait_for_request(worker)
                if worker.answers_within(after_s):
                    return worker.result()
            death = Death(self._doing())
            worker.kill()
            return death

    def kill_at(self, order: Order, point: Point) -> Death | Event:
        """Killed at a point, or its result if it does not come by there."""
        self.disarm()
        left = self._chance.randint(1, point.often)
        deaths: list[Death] = []

        def counts(request: Request) -> bool:
            nonlocal left
            chosen = point.chooses(request)
            left -= chosen
            return chosen and left == 0

        def kill(exchange: Exchange) -> None:
            if point.forwards:
                exchange.forward()
            deaths.append(Death(doing(exchange.request), point.name))
            os.kill(started.get().pid, signal.SIGKILL)
            exchange.hang_up()

        started: SimpleQueue[Worker] = SimpleQueue()
        for way in self._ways:
            way.spoil(kill, counts, times=1)
        with Worker(order) as worker:
            started.put(worker)
            assert worker.answers_within(60)
            return deaths[0] if deaths else worker.result()

    def disarm(self) -> None:
        """Let everything through again, as whoever else asks through these proxies needs it."""
        for way in self._ways:
            way.heal()

    def _wait_for_request(self, worker: Worker) -> None:
        """Until a worker's first request, or its end."""
        began = time.monotonic()
        while not any(way.requests for way in self._ways):
            if worker.answers_within(0.002):
                return
        self.start_s = time.monotonic() - began

    def _doing(self) -> str:
        waiting = [one for way in self._ways for one in way.requests if not one.ended]
        if waiting:
            return doing(max(waiting, key=lambda request: request.began))
        past = any(way.requests for way in self._ways)
        return "computing between requests" if past else "starting"
