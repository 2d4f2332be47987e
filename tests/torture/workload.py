"""A random workload for one deployment: invocation after invocation, most of them killed."""

import gzip
import json
import random
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from localcloud.prometheus import Prometheus
from mimir_exporter.errors.runs import OUT_OF_TIME
from mimir_exporter.errors.source import ENDPOINT_NOT_READY_IN_TIME
from mimir_exporter.timeline.windows import iso
from tests.integration.deployment import HOUR_S, LAST_END, PREFIX, Function
from tests.integration.machines import items_of, stop
from tests.integration.sandbox import Event
from tests.integration.worker import Order
from tests.torture.checkpoint_check import CheckpointCheck, File
from tests.torture.killing import POINTS, Death, Killer, Point

AROUND_S = 0.2  # readiness, the lease and the plan, and giving the lease back
LEASE_S = 130  # a killed run's lease is over by then
NO_TIME = (
    str(ENDPOINT_NOT_READY_IN_TIME().details),
    str(OUT_OF_TIME().details),
)
NO_RESERVE_S = 5.0  # of an invocation's time so much is kept for handing over


@dataclass
class Workload:
    """Invocations of `function`, whose state machine waits until this workload does its items.

    Everything random comes from `chance`. The windows are the `hours` before LAST_END, and those
    that become due while time passes: it has to, for a dead run's lease to end.
    """

    function: Function
    killer: Killer
    mimir: Prometheus
    machine: str
    hours: int
    chance: random.Random
    invocations: int = 0
    lost: int = 0
    _window_s: float = 0.0
    _last: Order | None = None
    _done: set[tuple[str, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._begin = LAST_END - self.hours * HOUR_S
        self._check = CheckpointCheck(self.function, self.mimir, self._begin)

    def measure(self) -> None:
        """How long a start takes, and a window: before anybody is killed."""
        self._let_live({"action": "status"})  # the first one starts more than itself
        began = time.monotonic()
        self._let_live({"action": "status"})
        started = time.monotonic()
        assert self._let_live({})["outcome"] == "complete"
        ended = time.monotonic()
        self._window_s = max(0.01, (ended - started - (started - began)) / self.hours)
        keys = self.function.keys()
        for key in keys:  # and now from the beginning
            self.function.delete(key)

    def ask_for_everything_again(self) -> None:
        """So that there is something left to do."""
        self._let_live(self._again(self._begin, LAST_END), seconds=NO_RESERVE_S + 0.1)

    def go_on(self) -> Death | Event:
        """One invocation of any kind: killed at a moment of any kind, or its result."""
        chance = self.chance
        point = chance.choice(POINTS) if chance.random() < 0.5 else None
        order, expected_s = self._next_order(hands_over=point is not None and point.often == 1)
        found = self._kill(order, point, expected_s)
        if isinstance(found, Death):
            self._last = order
            if chance.random() < 0.7:
                self.function.clock.advance(LEASE_S)
            return found
        self._last = None
        assert is_expected(found), found
        if found.get("finished"):
            self._done.add((order.request_id, found["start"]))
        self._end_executions()
        return found

    def missing_files(self) -> list[File]:
        """Files that the checkpoint records and the bucket does not have."""
        return self._check.missing_files()

    def leave_alone(self) -> list[str]:
        """Let the function finish its work; then lose files, and have them repaired: what is wrong
        with the bucket after that."""
        stop(self.function.cloud, self.machine)
        self._finish()
        self._lose_files()
        repair = {"action": "repair", "start": iso(self._begin), "end": iso(self._due())}
        self._kill(self._order(repair), None, 3 * self._window_s)
        self.function.clock.advance(2 * LEASE_S)
        self._let_live(repair)
        self._finish()
        until = self._due()
        hours = (until - self._begin) / HOUR_S
        wrong = self.function.differences(self.mimir, hours, until=until)
        # What is newer than the source's history lacks clusters, and is not confirmed: rightly.
        within = {"start": iso(self._begin), "end": iso(LAST_END)}
        status = self._let_live({"action": "status", **within})
        if status["outcome"] != "complete":
            wrong.append(f"the status is {status}")
        if self._check.document()["lease"]["owner"]:
            wrong.append("the lease is still taken")
        found = self._let_live({**repair, "dry_run": True})
        if found["counts"]["broken"] or not found["counted_whole"]:
            wrong.append(f"the manifests are not true: {found}")
        return wrong + self._untrue_receipts()

    def _due(self) -> int:
        """The end of the newest window that is due by now."""
        return int(self.function.clock() - 600) // HOUR_S * HOUR_S

    def _finish(self) -> None:
        for _ in range(5):
            self.function.clock.advance(2 * LEASE_S)
            if self._let_live({})["outcome"] == "complete":
                break

    def _lose_files(self) -> None:
        """A few files and a manifest are gone, or others than they were."""
        keys = sorted(self.function.file_keys())
        for key in self.chance.sample(keys, min(4, len(keys))):
            if self.chance.random() < 0.3:
                self.function.put(key, b"spoilt")
            else:
                self.function.delete(key)
            self.lost += 1
        kept = self.function.keys(f"{PREFIX}/")
        manifests = [key for key in kept if key.endswith(".manifest")]
        self.function.delete(self.chance.choice(sorted(manifests)))
        self.lost += 1

    def _untrue_receipts(self) -> list[str]:
        """What a reader that follows month, day, manifest and file finds to be another one; and
        windows that no receipt lists."""
        keys = self.function.keys()
        wrong, listed = [], set()
        months = [key for key in keys if re.search(r"_manifests/[0-9]{6}\.receipt$", key)]
        for month in months:
            for day in self._read(month)["days"]:
                entries = self._read(day["key"])["manifests"]
                listed |= {entry["key"] for entry in entries}
                found = [day, *entries]
                for entry in entries:
                    found += self._read(entry["key"])["files"]
                wrong += [one["key"] for one in found if keys.get(one["key"]) != one["etag"]]
        manifests = {key for key in keys if key.endswith(".manifest")}
        return [*wrong, *sorted(manifests - listed)]

    def _read(self, key: str) -> Any:
        return json.loads(gzip.decompress(self.function.read(key)))

    def _next_order(self, *, hands_over: bool) -> tuple[Order, float]:
        """What is invoked next, and how long its windows would take."""
        chance = self.chance
        items = list(self._open_items())
        if self._last and not hands_over and chance.random() < 0.2:
            # Delivered again, as Lambda does: the same request.
            return replace(self._last, now=self.function.clock()), self._window_s
        if items and not hands_over and chance.random() < 0.6:
            execution, item = chance.choice(items)
            order = replace(self._order(item), item=True, request_id=execution)
            return order, self._window_s
        if hands_over or chance.random() < 0.3:
            work_s = chance.uniform(0.1, 0.5)
            event = self._again(self._begin, LAST_END) if hands_over else {}
            return self._order(event, NO_RESERVE_S + work_s), work_s + 0.2
        if chance.random() < 0.5:
            length = chance.randint(1, max(1, self.hours // 3))
            begin = self._begin + chance.randint(0, self.hours - length) * HOUR_S
            event = self._again(begin, begin + length * HOUR_S)
            if chance.random() < 0.3:
                del event["force"]
                event["action"] = chance.choice(["repair", "audit"])
            return self._order(event), length * self._window_s
        left = self._check.windows_left(self._begin, LAST_END)
        return self._order({}), left * self._window_s

    def _kill(self, order: Order, point: Point | None, expected_s: float) -> Death | Event:
        self.invocations += 1
        if point is not None:
            return self.killer.kill_at(order, point)
        expected_s += AROUND_S
        # One in ten dies before it says anything.
        return self.killer.kill_by_clock(order, self.chance.uniform(-0.1 * expected_s, expected_s))

    def _let_live(self, event: Event, *, seconds: float = 60.0) -> Event:
        self.invocations += 1
        result = self.killer.let_live(self._order(event, seconds))
        assert is_expected(result), result
        return result

    def _order(self, event: Event, seconds: float = 60.0) -> Order:
        return Order(
            env=self.function.env,
            now=self.function.clock(),
            metrics=self.function.metrics,
            event=event,
            seconds=seconds,
            request_id=f"request-{self.invocations}",
        )

    def _again(self, start: int, end: int) -> Event:
        force = self.chance.random() < 0.1
        return {"action": "reexport", "start": iso(start), "end": iso(end), "force": force}

    def _open_items(self) -> Iterator[tuple[str, Event]]:
        cloud = self.function.cloud
        for name in running(self.function, self.machine):
            for item in items_of(cloud, self.machine, name):
                if (name, item["start"]) not in self._done:
                    yield name, item

    def _end_executions(self) -> None:
        """An execution whose items are all done is over."""
        names = running(self.function, self.machine)
        if names and not list(self._open_items()):
            stop(self.function.cloud, self.machine)


def is_expected(result: Event) -> bool:
    """Nothing fails, but for a run that is given next to no time, which reports just that."""
    return "error" not in result or str(result["error"]).startswith(NO_TIME)


def running(function: Function, machine: str) -> Sequence[str]:
    """Executions that are not over."""
    found = function.cloud.stepfunctions.list_executions(
        stateMachineArn=machine, statusFilter="RUNNING"
    )
    return [one["name"] for one in found["executions"]]
