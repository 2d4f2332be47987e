"""Killed anywhere, over and over: in the end the bucket holds just what Prometheus has."""

import random
import time
from dataclasses import replace

import pytest

from localcloud.aws import Cloud
from localcloud.prometheus import Prometheus
from tests.integration.conftest import MakeFunction, MakeMachine, MakeProxy
from tests.integration.deployment import FEW
from tests.integration.machines import WAITING
from tests.torture.conftest import Record
from tests.torture.killing import Death, Killer
from tests.torture.story import Story

LONG_KILLS, QUICK_KILLS = 200, 15
KILLS_A_ROUND = 50
LONG_HOURS, QUICK_HOURS = 24, 6


@pytest.fixture
def story(
    make_function: MakeFunction,
    make_machine: MakeMachine,
    make_proxy: MakeProxy,
    cloud: Cloud,
    mimir: Prometheus,
    seed: int,
    is_long: bool,
) -> Story:
    """A deployment that reaches Prometheus and AWS through proxies only."""
    source, aws = make_proxy(f"http://127.0.0.1:{mimir.port}"), make_proxy(cloud.endpoint)
    hours = LONG_HOURS if is_long else QUICK_HOURS
    machine = make_machine(WAITING)
    function = make_function(
        PORT=str(source.port),
        AWS_ENDPOINT_URL=aws.url,
        BACKFILL_DAYS=f"{hours}h",
        BACKFILL_STATE_MACHINE_ARN=machine,
    )
    chance = random.Random(seed)
    killer = Killer(source, aws, chance)
    return Story(replace(function, metrics=FEW), killer, mimir, machine, hours, chance)


def test_killed_anywhere_nothing_is_missing_or_twice_or_misplaced(
    story: Story, is_long: bool, budget_s: float, record: Record
) -> None:
    """In rounds in one bucket: each ends with a run that is left alone, and a comparison."""
    ends = time.monotonic() + budget_s
    goal = LONG_KILLS if is_long else QUICK_KILLS
    kills = 0
    story.measure()
    while kills < goal or (is_long and time.monotonic() < ends):
        if kills:
            story.ask_for_everything_again()
        round_ends = kills + min(KILLS_A_ROUND, goal)
        while kills < round_ends:
            death = story.go_on()
            assert story.unmet_claims() == []
            if isinstance(death, Death):
                kills += 1
                record("kills", 1)
                record(f"killed while {death.doing}", 1)
                record(f"of these at {death.point}" if death.point else "of these by the clock", 1)
        assert story.leave_alone() == []
        record("times left alone, and the bucket equal to Prometheus", 1)
    record("windows with data", story.hours)
    record("invocations", story.invocations)
