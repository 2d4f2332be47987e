"""Samples as a scraper would have written them: one grid of ticks, one offset for each target."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from localcloud.remote_write import STALE, TIME_BYTES, Batch, encode_times


@dataclass(frozen=True)
class Grid:
    """`length` ticks, `interval_s` apart, from `start_s` (unix seconds)."""

    start_s: int
    length: int
    interval_s: int

    def ticks(self, minutes: float) -> int:
        """So many minutes in ticks, at least one."""
        return max(1, round(minutes * 60 / self.interval_s))


@dataclass(frozen=True)
class Target:
    """One scraped endpoint. It is scraped a little after each tick, and not at all in `gap`.

    `other` is the same endpoint as the second Prometheus of an HA pair scrapes it.
    """

    labels: Mapping[str, str]
    times: bytes  # encoded, one for each tick of the grid
    gap: tuple[int, int] = (0, 0)
    other: "Target | None" = None

    @classmethod
    def on(
        cls, grid: Grid, labels: Mapping[str, str], late_ms: int, gap: tuple[int, int] = (0, 0)
    ) -> "Target":
        first_ms = grid.start_s * 1000 + late_ms
        step_ms = grid.interval_s * 1000
        times_ms = range(first_ms, first_ms + grid.length * step_ms, step_ms)
        return cls(labels, encode_times(times_ms), gap)


@dataclass(frozen=True)
class Run:
    """Values at the ticks from `first` on, without a hole. A stale marker follows the last."""

    labels: Mapping[str, str]
    times: bytes
    first: int
    values: bytes

    @property
    def last(self) -> int:
        return self.first + len(self.values) // 8

    def between(self, first: int, last: int) -> Batch | None:
        """The part in [first, last), with the stale marker if that falls into it."""
        marked = self.values + STALE
        begin, end = max(first, self.first), min(last, self.last + 1)
        end = min(end, len(self.times) // TIME_BYTES)
        if begin >= end:
            return None
        return Batch(
            self.labels,
            self.times[begin * TIME_BYTES : end * TIME_BYTES],
            marked[(begin - self.first) * 8 : (end - self.first) * 8],
        )


def scrape(target: Target, labels: Mapping[str, str], first: int, values: bytes) -> Iterator[Run]:
    """The runs of one series that begins at tick `first`: one, or two around the target's gap."""
    last = first + len(values) // 8
    gap_first, gap_last = target.gap
    for begin, end in ((first, min(last, gap_first)), (max(first, gap_last), last)):
        if begin < end:
            part = values[(begin - first) * 8 : (end - first) * 8]
            yield Run(labels, target.times, begin, part)
