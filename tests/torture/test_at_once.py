"""Regular runs, a manual export and items of the Map over the same windows at the same time.

Each is a process of its own, and reaches Prometheus by a way of its own, which tells who asked.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest

from localcloud.aws import Cloud
from localcloud.prometheus import Prometheus
from mimir_exporter.timeline.windows import iso
from tests.integration import faults
from tests.integration.conftest import MakeFunction, MakeProxy
from tests.integration.deployment import FEW, HOUR_S, LAST_END, Function
from tests.integration.faults import Proxy
from tests.integration.sandbox import Event
from tests.integration.worker import Order, Worker, working
from tests.some import some
from tests.torture.checkpoint_check import CheckpointCheck
from tests.torture.conftest import Record

LONG_HOURS, QUICK_HOURS = 12, 4
REGULAR, ITEMS = 4, 3
SKEW_S = 900  # of clocks: past any lease, and every clock still has the same windows due, or less


@dataclass(frozen=True)
class Crowd:
    """A deployment, and ways to Prometheus for those that work at once."""

    function: Function
    ways: Sequence[Proxy]
    aws: Proxy
    mimir: Prometheus
    hours: int
    chance: random.Random

    @property
    def begin(self) -> int:
        return LAST_END - self.hours * HOUR_S

    def orders(self, **changes: object) -> list[Order]:
        """Four regular runs, the whole range by hand, and items of some of its windows."""
        begin = time.time() + 1.5
        again = {"action": "reexport", "start": iso(self.begin), "end": iso(LAST_END)}
        starts = self.chance.sample(range(self.begin, LAST_END, HOUR_S), ITEMS)
        events: list[Event] = [{}] * REGULAR + [again]
        events += [{"start": start, "end": start + HOUR_S} for start in starts]
        return [
            replace(
                Order(
                    env={**self.function.env, "PORT": str(way.port)},
                    now=self.function.clock(),
                    metrics=self.function.metrics,
                    event=event,
                    item=event in events[-ITEMS:],
                    begin=begin + self.chance.uniform(0, 0.3),
                    request_id=f"request-{number}",
                ),
                **changes,  # type: ignore[arg-type]
            )
            for number, (event, way) in enumerate(zip(events, self.ways, strict=True))
        ]

    def work(
        self, orders: Sequence[Order], check: CheckpointCheck, killed: float = 0.0
    ) -> list[Event]:
        """All at once; whatever the checkpoint records meanwhile is there.

        So many of them are killed on their way, as a part of one: their result is {"killed": True}.
        """
        self.aws.heal()
        for way in self.ways:
            way.heal()
            way.spoil(faults.late(self.chance.uniform(0.01, 0.1)))  # so that they meet
        doomed = {number for number in range(len(orders)) if self.chance.random() < killed}
        left = {number: self.chance.randint(1, 6) for number in doomed}  # looks at the bucket
        with working(*orders) as workers:
            while not all(worker.answers_within(0.1) for worker in workers):
                assert check.missing_files() == []
                for number in [number for number, looks in left.items() if looks == 0]:
                    if not workers[number].answers_within(0):
                        workers[number].kill()
                left = {number: looks - 1 for number, looks in left.items() if looks}
            return [_result(worker) for worker in workers]

    def span_s(self, number: int) -> tuple[float, float] | None:
        """From the first query of a worker to the end of its last; None if it asked nothing."""
        queries = self.ways[number].queries
        return (queries[0].began, max(query.ended for query in queries)) if queries else None

    def assert_whole(self) -> None:
        """The checkpoint says that all is exported; it is, and a run finds nothing to do."""
        for _ in range(3):
            self.function.clock.advance(2 * SKEW_S)
            if self.function.export()["outcome"] == "complete":
                break
        until = int(self.function.clock() - 600) // HOUR_S * HOUR_S
        hours = (until - self.begin) / HOUR_S
        assert self.function.differences(self.mimir, hours, until=until) == []
        # What is newer than the source's history lacks clusters, and is not confirmed: rightly.
        within = {"start": iso(self.begin), "end": iso(LAST_END)}
        status = self.function.export({"action": "status", **within})
        assert (status["outcome"], status["failures"]) == ("complete", [])
        self.function.export()  # which looks again at the newest window that lacks clusters
        assert self.function.export()["windows"]["planned"] == 0


def _result(worker: Worker) -> Event:
    try:
        return worker.result()
    except EOFError:
        return {"killed": True}


@pytest.fixture
def crowd(
    make_function: MakeFunction,
    make_proxy: MakeProxy,
    cloud: Cloud,
    mimir: Prometheus,
    seed: int,
    is_long: bool,
) -> Crowd:
    """With the newest window exported, so that there is a checkpoint, and others to do."""
    hours = LONG_HOURS if is_long else QUICK_HOURS
    ways = [make_proxy(f"http://127.0.0.1:{mimir.port}") for _ in range(REGULAR + 1 + ITEMS)]
    aws = make_proxy(cloud.endpoint)
    function = replace(make_function(AWS_ENDPOINT_URL=aws.url), metrics=FEW)
    function.export()
    longer = function.with_env(BACKFILL_DAYS=f"{hours}h")
    return Crowd(longer, ways, aws, mimir, hours, random.Random(seed))


def test_one_run_works_and_the_others_are_skipped(
    crowd: Crowd, budget_s: float, record: Record, is_long: bool
) -> None:
    """The lease is for those that take one; items of the Map need none."""
    ends = time.monotonic() + budget_s
    check = CheckpointCheck(crowd.function, crowd.mimir, crowd.begin)
    skipped = 0
    while not skipped or (is_long and time.monotonic() < ends):
        results = crowd.work(crowd.orders(), check)
        assert [result.get("error") for result in results] == [None] * len(results)
        runs = range(REGULAR + 1)
        working_s = sorted(span for run in runs if (span := crowd.span_s(run)) is not None)
        for (_, ended), (began, _) in pairwise(working_s):
            assert ended <= began, "two runs were at work at once"
        for run in runs:
            if results[run]["outcome"] == "skipped":
                skipped += 1
                assert crowd.span_s(run) is None
        assert skipped
        assert all(
            result["finished"] and not result["failed"] for result in some(results[REGULAR + 1 :])
        )
        record("processes at once, with the lease", len(results))
        record("runs skipped for another's lease", skipped)
        crowd.assert_whole()


def test_without_a_lease_that_holds_all_is_right_all_the_same(
    crowd: Crowd, budget_s: float, record: Record, is_long: bool
) -> None:
    """Leases that are over when they are taken, or clocks that differ by more than a lease; and
    some are killed."""
    ends = time.monotonic() + budget_s
    check = CheckpointCheck(crowd.function, crowd.mimir, crowd.begin)
    rounds = 0
    while not rounds or (is_long and time.monotonic() < ends):
        rounds += 1
        orders = crowd.orders(lease=crowd.chance.random() < 0.5)
        if orders[0].lease:
            orders = [
                replace(order, now=order.now + crowd.chance.choice([-SKEW_S, 0, SKEW_S]))
                for order in orders
            ]
        results = crowd.work(orders, check, killed=0.2)
        assert [result.get("error") for result in results] == [None] * len(results)
        met = sum(crowd.span_s(number) is not None for number in range(len(orders)))
        record("processes at once, without a lease that holds", len(results))
        record("of these that queried", met)
        record("of these that were killed", sum("killed" in result for result in results))
        record(
            "conditional writes lost to another", sum(r.status == 412 for r in crowd.aws.requests)
        )
        crowd.assert_whole()
