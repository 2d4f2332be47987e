"""Calls that are waited for only as long as this invocation has time.

The clients of AWS have time-outs of their own, but a time-out, its retries and a few calls at the
end of a run add up to more than the reserve of a short invocation, and the resolver of names has
none that is ours. So each call runs in a thread that is left behind when the time is over. What it
may still do then changes nothing: writes are conditional, and a window that was written without
being recorded is written again.
"""

from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from ..errors.runs import CALL_TIMED_OUT, OUT_OF_TIME
from .deadline import Deadline
from .workers import SHARED

T = TypeVar("T")

# Treated as hung after 10 s; shorter waits only ran out of budget.
HANGS_S = 10.0


def call_within(deadline: Deadline, action: Callable[[], T], what: str) -> T:
    """The result of `action`, waited for as `result_within` waits."""
    if SHARED.is_current:
        # Whoever waits for this thread waits no longer than there is time.
        return action()
    return result_within(deadline, SHARED.submit(action), lambda: what)


def result_within(deadline: Deadline, future: "Future[T]", what: Callable[[], str]) -> T:
    """The result of what was submitted to the shared threads; `what` names it in an error.

    While there is time for work it is waited for until that is used up, and from then on as long
    as the reserve lasts. Raises OutOfTimeError where just the time was short, StopRunError where
    nothing answers.
    """
    at_work = deadline.remaining_s() > 0
    wait_s = deadline.remaining_s() if at_work else deadline.reserve_s()
    try:
        return future.result(wait_s)
    except TimeoutError as error:
        if future.done() and not future.cancelled():  # its own
            raise
        SHARED.give_up(future)
        if at_work and wait_s < HANGS_S:
            raise OUT_OF_TIME() from error
        raise CALL_TIMED_OUT(call=what(), seconds=wait_s) from error
