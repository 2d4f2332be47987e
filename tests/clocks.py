"""Moments and clocks as the tests write them."""

from datetime import UTC, datetime


def unix(text: str) -> int:
    """Unix seconds of a moment in UTC, as in "2024-02-29" or "2024-02-29T12:30"."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


class StandingClock:
    """Seconds that pass only when slept or set."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
