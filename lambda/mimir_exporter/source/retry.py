"""Waiting and asking again, within the deadline."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from ..errors import TryLaterError
from ..timeline.deadline import Deadline

T = TypeVar("T")

ATTEMPTS = 4
BASE_S = 1.0
CAP_S = 20.0


def with_retries(
    action: Callable[[], T],
    deadline: Deadline,
    *,
    sleep: Callable[[float], None] = time.sleep,
    jitter: Callable[[], float] = random.random,
    attempts: int = ATTEMPTS,
    waiting: Callable[[TryLaterError, int, float], None] = lambda *_: None,
) -> T:
    """Call `action` until it raises no TryLaterError, `attempts` times at most.

    Waits 1, 2, 4 … seconds with full jitter, or what the server gave if that is more (the
    client caps it). `waiting` is called with each wait before it: why, after which attempt (from 1)
    and for how many seconds. Raises the last TryLaterError, or OutOfTimeError where a wait would
    outlast the deadline.
    """
    for attempt in range(attempts):
        try:
            return action()
        except TryLaterError as error:
            # What a smaller query may fix is not worth all the waits.
            if attempt == attempts - 1 or (error.cut_if_persistent and attempt > 0):
                raise
            wait_s = min(CAP_S, BASE_S * 2**attempt) * jitter()
            wait_s = max(wait_s, error.retry_after_s or 0.0)
            waiting(error, attempt + 1, wait_s)
            deadline.sleep(wait_s, sleep)
    raise AssertionError("unreachable")
