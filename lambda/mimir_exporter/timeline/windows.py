"""Cutting time. Pure; every time is unix seconds, UTC, every range half-open.

A window is known from a moment alone: windows lie on the grid of TIME_FRAME counted from
midnight and never cross a midnight. A changed TIME_FRAME or QUERY_STEP begins a new schedule
where windows of both begin, and leaves older time on the older one, so a window keeps its start,
its end and its files for good, however the settings change.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import lcm

DAY_S = 86_400


@dataclass(frozen=True)
class WindowSchedule:
    """How time is split from `since` on, until the next schedule begins."""

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


def is_off_grid(window: Window, *moments: float) -> bool:
    """Whether one of these is none of the window's steps, nor of those before or after it."""
    return any((moment - window.start) % window.step_s for moment in moments)


def iso(moment: float) -> str:
    """`2026-10-31T06:00:00Z`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_range(start: float, end: float) -> str:
    """`2026-10-31T06:00:00Z/2026-10-31T07:00:00Z`, as ISO 8601 writes an interval."""
    return f"{iso(start)}/{iso(end)}"


def window_at(schedules: Sequence[WindowSchedule], moment: int) -> Window:
    """The window that holds `moment`.

    `schedules` are in the order of their `since`, the first's being 0. Each begins where a window
    of the one before ends: see adopt_schedule.
    """
    schedule = schedules[
        max(bisect_right([schedule.since for schedule in schedules], moment) - 1, 0)
    ]
    midnight = moment - moment % DAY_S
    start = midnight + (moment - midnight) // schedule.width_s * schedule.width_s
    end = min(start + schedule.width_s, midnight + DAY_S)
    return Window(start, end, schedule.step_s)


def windows_within(schedules: Sequence[WindowSchedule], start: int, end: int) -> Iterator[Window]:
    """The windows from the one that holds `start` on, oldest first, that end by `end`."""
    window = window_at(schedules, start)
    while window.end <= end:
        yield window
        window = window_at(schedules, window.end)


def count_windows(schedules: Sequence[WindowSchedule], start: int, end: int) -> int:
    """How many windows begin in [start, end), without going through them: a year has thousands."""
    count = 0
    for index, schedule in enumerate(schedules):
        low = max(start, schedule.since)
        high = min(end, schedules[index + 1].since) if index + 1 < len(schedules) else end
        if low < high:
            count += _starts_before(schedule, high) - _starts_before(schedule, low)
    return count


def _starts_before(schedule: WindowSchedule, moment: int) -> int:
    """How many windows of the schedule, taken as if it had always been, begin before `moment`."""
    days, second = divmod(moment, DAY_S)
    return days * -(-DAY_S // schedule.width_s) + -(-second // schedule.width_s)


def adopt_schedule(
    schedules: Sequence[WindowSchedule], width_s: int, step_s: int, now: int
) -> tuple[WindowSchedule, ...]:
    """The schedules with the settings of today.

    A change begins after the current window, where windows of both schedules begin: so every
    window starts on a multiple of its step, and none is shorter than its neighbours but before
    midnight, where all schedules begin anew.
    """
    begun = tuple(schedule for schedule in schedules if schedule.since <= now)
    if not begun:
        return (WindowSchedule(0, width_s, step_s),)
    if (begun[-1].width_s, begun[-1].step_s) == (width_s, step_s):
        return begun
    over = window_at(begun, now).end
    midnight = over - over % DAY_S
    both_s = lcm(begun[-1].width_s, width_s)
    since = midnight + -(-(over - midnight) // both_s) * both_s
    return (*begun, WindowSchedule(min(since, midnight + DAY_S), width_s, step_s))


def halves(first: int, last: int, step_s: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Two touching inclusive ranges of steps that make up [first, last]; None for one step."""
    steps = (last - first) // step_s
    if steps < 1:
        return None
    middle = first + steps // 2 * step_s
    return (first, middle), (middle + step_s, last)
