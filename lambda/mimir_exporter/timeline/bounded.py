"""Calls that are waited for only as long as this invocation has time.

The clients of AWS have time-outs of their own, but a time-out, its retries and a few calls at the
end of a run add up to more than the reserve of a short invocation. So each call runs in a thread
of its own, which is left behind when the time is over. What it may still do then changes nothing:
writes are conditional, and a window that was written without being noted is written again.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

from ..errors import OutOfTimeError, StopRunError
from .deadline import Deadline

T = TypeVar("T")

# Who was waited for so long in vain hangs; before that, only the time was short.
HANGS_S = 10.0


def call_within(deadline: Deadline, action: Callable[[], T], what: str) -> T:
    """The result of `action`.

    While there is time for work it is waited for until that is used up, and from then on as long
    as the reserve lasts. Raises OutOfTimeError where just the time was short, StopRunError where
    nothing answers.
    """
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(action())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            result.set_exception(error)

    at_work = deadline.remaining_s() > 0
    wait_s = deadline.remaining_s() if at_work else deadline.reserve_s()
    Thread(target=run, daemon=True, name=what).start()
    try:
        return result.result(wait_s)
    except TimeoutError as error:
        if result.done():  # its own
            raise
        if at_work and wait_s < HANGS_S:
            raise OutOfTimeError("The time of this invocation is used up.") from error
        raise StopRunError(
            f"{what} had no answer after {wait_s:.0f} s, and the time of this invocation is used "
            "up. Nothing is lost, the next run goes on."
        ) from error
