"""The time that one invocation may use, against a clock that moves only when set."""

import pytest

from mimir_exporter.errors import OutOfTimeError
from mimir_exporter.timeline.deadline import Deadline
from tests.clocks import StandingClock


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


def test_time_counts_down_to_nothing_and_not_below(clock: StandingClock) -> None:
    deadline = Deadline(10, clock)
    assert deadline.remaining_s() == 10
    clock.now += 4
    assert deadline.remaining_s() == 6
    clock.now += 60
    assert deadline.remaining_s() == 0


def test_work_may_continue_until_the_moment_and_not_at_it(clock: StandingClock) -> None:
    deadline = Deadline(10, clock)
    clock.now += 9.999
    deadline.check()
    clock.now = 1010
    with pytest.raises(OutOfTimeError):
        deadline.check()


def test_a_wait_that_fits_is_waited(clock: StandingClock) -> None:
    deadline = Deadline(10, clock)
    deadline.sleep(9, clock.sleep)
    deadline.sleep(0, clock.sleep)
    deadline.sleep(0.5, clock.sleep)
    assert clock.slept == [9, 0.5]


@pytest.mark.parametrize("seconds", [10, 11, 1e9])
def test_a_wait_that_would_outlast_the_time_is_not_begun(
    clock: StandingClock, seconds: float
) -> None:
    deadline = Deadline(10, clock)
    with pytest.raises(OutOfTimeError):
        deadline.sleep(seconds, clock.sleep)
    assert clock.slept == []


def test_after_a_wait_that_was_not_begun_the_work_is_over(clock: StandingClock) -> None:
    """What was left of its time comes to the reserve, for saying what is left to do."""
    deadline = Deadline(10, clock, reserve_s=30)
    clock.now += 9.99
    with pytest.raises(OutOfTimeError):
        deadline.sleep(5, clock.sleep)
    assert deadline.remaining_s() == 0
    assert deadline.reserve_s() == pytest.approx(30.01)
    with pytest.raises(OutOfTimeError):
        deadline.check()


@pytest.mark.parametrize(
    ("remaining_s", "usable_s"),
    [(900, 870), (300, 270), (200, 180), (60, 54), (50, 45), (20, 15), (6, 1), (5, 0), (1, 0)],
)
def test_a_reserve_is_kept_for_saying_what_is_left(remaining_s: float, usable_s: float) -> None:
    assert Deadline.for_invocation(remaining_s).remaining_s() == pytest.approx(usable_s, abs=0.5)


def test_an_invocation_that_has_no_time_to_spare_begins_nothing() -> None:
    with pytest.raises(OutOfTimeError):
        Deadline.for_invocation(4).check()
