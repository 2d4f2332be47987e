"""Killed anywhere, over and over: in the end the bucket holds just what Prometheus has."""

import random
import time
from collections import Counter
from dataclasses import replace

import pytest

from localcloud.aws import Cloud
from localcloud.prometheus import Prometheus
from tests.integration.conftest import MakeFunction, MakeMachine, MakeProxy
from tests.integration.deployment import FEW
from tests.integration.machines import WAITING
from tests.torture.conftest import Record
from tests.torture.killing import Death, Killer
from tests.torture.workload import Workload

LONG_KILLS, QUICK_KILLS = 200, 15
KILLS_A_ROUND = 50
LONG_HOURS, QUICK_HOURS = 23, 4  # the history begins within the hour before


@pytest.fixture
def workload(
    make_function: MakeFunction,
    make_machine: MakeMachine,
    make_proxy: MakeProxy,
    cloud: Cloud,
    mimir: Prometheus,
    seed: int,
    is_long: bool,
) -> Workload:
    """A deployment that reaches Prometheus and AWS through proxies only."""
    source, aws = make_proxy(f"http://127.0.0.1:{mimir.port}"), make_proxy(cloud.endpoint)
    hours = LONG_HOURS if is_long else QUICK_HOURS
    machine = make_machine(WAITING)
    chance = random.Random(seed)
    function = make_function(
        PORT=str(source.port),
        AWS_ENDPOINT_URL=aws.url,
        BACKFILL_DAYS=f"{hours}h",
        BACKFILL_STATE_MACHINE_ARN=machine,
        QUERY_WINDOWS=chance.choice(["1", "4"]),
    )
    killer = Killer(source, aws, chance)
    return Workload(replace(function, metrics=FEW), killer, mimir, machine, hours, chance)


def test_killed_anywhere_nothing_is_missing_or_twice_or_misplaced(
    workload: Workload, is_long: bool, budget_s: float, record: Record
) -> None:
    """In rounds in one bucket: each ends with a run that is left alone, and a comparison."""
    ends = time.monotonic() + budget_s
    goal = LONG_KILLS if is_long else QUICK_KILLS
    deaths: list[Death] = []
    workload.measure()
    while len(deaths) < goal or (is_long and time.monotonic() < ends):
        if deaths:
            workload.ask_for_everything_again()
        round_ends = len(deaths) + min(KILLS_A_ROUND, goal)
        while len(deaths) < round_ends:
            found = workload.go_on()
            assert workload.missing_files() == []
            if isinstance(found, Death):
                deaths.append(found)
        assert workload.leave_alone() == []
        record("times left alone, and the bucket equal to Prometheus", 1)
    record("windows with data", workload.hours)
    record("invocations", workload.invocations)
    record("kills", len(deaths))
    record("files lost or spoilt, and repaired", workload.lost)
    for name, number in sorted(Counter(f"killed while {one.doing}" for one in deaths).items()):
        record(name, number)
    record("moments chosen by the clock", sum(not one.point for one in deaths))
    points = Counter(f"moments chosen: {one.point}" for one in deaths if one.point)
    for name, number in sorted(points.items()):
        record(name, number)
