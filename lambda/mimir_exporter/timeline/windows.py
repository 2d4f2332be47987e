"""Cutting time. Pure; every time is unix seconds, UTC, every range half-open.

A window is known from a moment alone: windows lie on the grid of TIME_FRAME counted from
midnight and never cross a midnight. A changed TIME_FRAME or QUERY_STEP begins a new grid where
windows of both begin, and leaves older time on the older grid, so a window keeps its start, its
end and its files for good, however the settings change.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import lcm

DAY_S = 86_400


@dataclass(frozen=True)
class Grid:
    """How time is cut from `since` on, until the next grid begins."""

    since: int
    width_s: int
    step_s: int


@dataclass(frozen=True, order=True)
class Window:
    """[start, end) with one sample every `step_s` from `start` on."""

    start: int
    end: int
    step_s: int

    @property
    def last(self) -> int:
        """The last step inside. query_range includes both ends, so this is its `end`."""
        return self.start + (self.end - self.start - 1) // self.step_s * self.step_s

    def __str__(self) -> str:
        return iso_range(self.start, self.end)


def iso(moment: float) -> str:
    """`2026-10-31T06:00:00Z`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_range(start: float, end: float) -> str:
    """`2026-10-31T06:00:00Z/2026-10-31T07:00:00Z`, as ISO 8601 writes an interval."""
    return f"{iso(start)}/{iso(end)}"


def window_at(grids: Sequence[Grid], moment: int) -> Window:
    """The window that holds `moment`. `grids` are in the order of their `since`, the first's 0."""
    index = max(bisect_right([grid.since for grid in grids], moment) - 1, 0)
    grid = grids[index]
    midnight = moment - moment % DAY_S
    start = midnight + (moment - midnight) // grid.width_s * grid.width_s
    end = min(start + grid.width_s, midnight + DAY_S)
    if index + 1 < len(grids):
        end = min(end, grids[index + 1].since)
    return Window(max(start, grid.since), end, grid.step_s)


def windows_within(grids: Sequence[Grid], start: int, end: int) -> Iterator[Window]:
    """The windows from the one that holds `start` on, oldest first, that end by `end`."""
    window = window_at(grids, start)
    while window.end <= end:
        yield window
        window = window_at(grids, window.end)


def count_windows(grids: Sequence[Grid], start: int, end: int) -> int:
    """How many windows begin in [start, end), without going through them: a year has thousands."""
    count = 0
    for index, grid in enumerate(grids):
        low = max(start, grid.since)
        high = min(end, grids[index + 1].since) if index + 1 < len(grids) else end
        if low >= high:
            continue
        count += _starts_before(grid, high) - _starts_before(grid, low)
        # A new grid that does not have its own beginning cuts a shorter window there.
        if low == grid.since and (grid.since % DAY_S) % grid.width_s:
            count += 1
    return count


def _starts_before(grid: Grid, moment: int) -> int:
    """How many windows of the grid, taken as if it had always been, begin before `moment`."""
    days, second = divmod(moment, DAY_S)
    return days * -(-DAY_S // grid.width_s) + -(-second // grid.width_s)


def adopt_grid(grids: Sequence[Grid], width_s: int, step_s: int, now: int) -> tuple[Grid, ...]:
    """The grids with the settings of today.

    A change begins after the current window, where windows of both grids begin: so every window
    starts on a multiple of its step, and none is shorter than its neighbours but before midnight,
    where all grids begin anew.
    """
    begun = tuple(grid for grid in grids if grid.since <= now) or (Grid(0, width_s, step_s),)
    if (begun[-1].width_s, begun[-1].step_s) == (width_s, step_s):
        return begun
    over = window_at(begun, now).end
    midnight = over - over % DAY_S
    both_s = lcm(begun[-1].width_s, width_s)
    since = midnight + -(-(over - midnight) // both_s) * both_s
    return (*begun, Grid(min(since, midnight + DAY_S), width_s, step_s))


def halves(first: int, last: int, step_s: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Two touching inclusive ranges of steps that make up [first, last]; None for one step."""
    steps = (last - first) // step_s
    if steps < 1:
        return None
    middle = first + steps // 2 * step_s
    return (first, middle), (middle + step_s, last)
