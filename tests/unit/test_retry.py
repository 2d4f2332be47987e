"""Waiting and trying again: how long, and until when."""

from collections.abc import Callable

import pytest

from mimir_exporter.errors import OutOfTimeError, RejectedError, TooLargeError, TryLaterError
from mimir_exporter.source.retry import ATTEMPTS, CAP_S, with_retries
from mimir_exporter.timeline.deadline import Deadline
from tests.clocks import StandingClock


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


def failing(*errors: Exception) -> Callable[[], str]:
    """Raises these one after another, then says "done"."""
    waiting = list(errors)

    def action() -> str:
        if waiting:
            raise waiting.pop(0)
        return "done"

    return action


def busy(count: int, **how: float | bool) -> list[Exception]:
    return [TryLaterError(f"busy {number}", **how) for number in range(count)]  # type: ignore[arg-type]


def test_what_works_is_not_waited_for(clock: StandingClock) -> None:
    assert with_retries(failing(), Deadline(9, clock), sleep=clock.sleep) == "done"
    assert clock.slept == []


def test_waits_double_with_jitter_below_them(clock: StandingClock) -> None:
    action = failing(*busy(ATTEMPTS - 1))
    result = with_retries(action, Deadline(99, clock), sleep=clock.sleep, jitter=lambda: 0.5)
    assert (result, clock.slept) == ("done", [0.5, 1, 2])


def test_no_wait_of_ours_is_longer_than_the_cap(clock: StandingClock) -> None:
    action = failing(*busy(9))
    with_retries(action, Deadline(999, clock), sleep=clock.sleep, jitter=lambda: 1, attempts=10)
    assert clock.slept == [1, 2, 4, 8, 16, CAP_S, CAP_S, CAP_S, CAP_S]


def test_full_jitter_may_be_no_wait_at_all(clock: StandingClock) -> None:
    with_retries(failing(*busy(1)), Deadline(9, clock), sleep=clock.sleep, jitter=lambda: 0)
    assert clock.slept == []


def test_the_last_error_is_the_one_that_is_raised(clock: StandingClock) -> None:
    action = failing(*busy(ATTEMPTS + 1))
    with pytest.raises(TryLaterError, match=f"busy {ATTEMPTS - 1}"):
        with_retries(action, Deadline(99, clock), sleep=clock.sleep)
    assert len(clock.slept) <= ATTEMPTS - 1


@pytest.mark.parametrize(
    ("asked_s", "waits_s"), [(7.0, [7, 7, 7]), (1.5, [1.5, 2, 4]), (0, [1, 2, 4])]
)
def test_the_server_is_given_at_least_what_it_asks_for(
    clock: StandingClock, asked_s: float, waits_s: list[float]
) -> None:
    action = failing(*busy(3, retry_after_s=asked_s))
    with_retries(action, Deadline(99, clock), sleep=clock.sleep, jitter=lambda: 1)
    assert clock.slept == waits_s


def test_a_wait_past_the_deadline_is_not_begun(clock: StandingClock) -> None:
    action = failing(*busy(3, retry_after_s=60))
    with pytest.raises(OutOfTimeError):
        with_retries(action, Deadline(60, clock), sleep=clock.sleep)
    assert clock.slept == []


@pytest.mark.parametrize("error", [RejectedError("no"), TooLargeError("big"), KeyError("bug")])
def test_other_errors_are_not_tried_again(clock: StandingClock, error: Exception) -> None:
    with pytest.raises(type(error)):
        with_retries(failing(error), Deadline(9, clock), sleep=clock.sleep)
    assert clock.slept == []


def test_what_a_smaller_query_may_fix_is_tried_twice_only(clock: StandingClock) -> None:
    action = failing(*busy(9, cut_if_persistent=True))
    with pytest.raises(TryLaterError, match="busy 1"):
        with_retries(action, Deadline(99, clock), sleep=clock.sleep, jitter=lambda: 1)
    assert clock.slept == [1]
