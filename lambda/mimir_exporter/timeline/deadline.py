"""The time that one invocation may use."""

import time
from collections.abc import Callable

from ..errors.runs import OUT_OF_TIME

# Of the reserve this is for the last log lines: nothing is waited for any more.
FINAL_LOG_S = 1.5


class Deadline:
    """Counts down to the moment at which work must stop, leaving time to say what is left.

    `reserve_s` is that time.
    """

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        reserve_s: float = 30.0,
    ) -> None:
        self._clock = clock
        self._end = clock() + seconds
        self._reserve_s = reserve_s
        self._is_over = False  # before its end

    @classmethod
    def for_invocation(cls, remaining_s: float) -> "Deadline":
        """All but a reserve for handing over and the checkpoint: a tenth, 5 to 30 s."""
        reserve_s = min(30.0, max(5.0, remaining_s / 10))
        return cls(remaining_s - reserve_s, reserve_s=reserve_s - FINAL_LOG_S)

    @classmethod
    def open_ended(cls) -> "Deadline":
        """None to speak of: a hundred years, so that it can still be counted down."""
        return cls(100 * 365 * 86_400)

    def remaining_s(self) -> float:
        """Seconds left for work, never below 0."""
        return 0.0 if self._is_over else max(0.0, self._end - self._clock())

    def reserve_s(self) -> float:
        """Seconds left of work and reserve, never below 0."""
        return max(0.0, self._end + self._reserve_s - self._clock())

    def check(self) -> None:
        """Raise OutOfTimeError once the time is used up."""
        if not self.remaining_s():
            raise OUT_OF_TIME()

    def sleep(self, seconds: float, sleep: Callable[[float], None] = time.sleep) -> None:
        """Wait, or raise OutOfTimeError at once where the wait would outlast the time.

        Then the work is over, and what was left of its time comes to the reserve: whoever says what
        is left to do would otherwise have just that moment for it.
        """
        if seconds >= self.remaining_s():
            self._is_over = True
            raise OUT_OF_TIME()
        if seconds > 0:
            sleep(seconds)
