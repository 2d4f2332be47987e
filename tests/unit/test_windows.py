"""Cutting time: no gap, no overlap, never across a midnight, and windows that keep their names."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mimir_exporter.timeline.windows import (
    DAY_S,
    Window,
    WindowSchedule,
    adopt_schedule,
    count_windows,
    halves,
    iso,
    window_at,
    windows_within,
)
from tests.clocks import unix
from tests.some import some

STEPS = [step for step in range(1, DAY_S + 1) if DAY_S % step == 0]
MOMENTS = st.integers(0, unix("2100-01-01"))
# Month and year ends and a leap day, in which any slip about days would show.
EDGES = [
    unix(text) + second
    for text in ("2024-02-29", "2024-03-01", "2025-03-01", "2026-11-01", "2027-01-01")
    for second in (-1, 0, 1)
]


@st.composite
def cuts(draw: st.DrawFn) -> tuple[int, int]:
    """(TIME_FRAME, QUERY_STEP) as the settings allow them, those that divide no day included."""
    step = draw(st.sampled_from(STEPS))
    return step * draw(st.integers(1, DAY_S // step)), step


def one_grid(cut: tuple[int, int]) -> tuple[WindowSchedule, ...]:
    return adopt_schedule((), *cut, 0)


def moments_of(window: Window) -> range:
    """The steps that a query for this window evaluates."""
    return range(window.start, window.last + 1, window.step_s)


@given(cuts(), MOMENTS | st.sampled_from(EDGES))
def test_a_window_holds_its_moment_and_lies_within_one_day(
    cut: tuple[int, int], moment: int
) -> None:
    width_s, step_s = cut
    window = window_at(one_grid(cut), moment)
    assert window.start <= moment < window.end
    assert window.start // DAY_S == (window.end - 1) // DAY_S
    assert window.start % DAY_S % width_s == 0
    # Whole, but for the last one of a day that the width does not divide.
    assert window.end - window.start == min(width_s, DAY_S - window.start % DAY_S)
    assert window.step_s == step_s


@given(cuts(), MOMENTS, st.integers(0, 10**9))
def test_any_moment_of_a_window_tells_the_same_window(
    cut: tuple[int, int], moment: int, other: int
) -> None:
    window = window_at(one_grid(cut), moment)
    inside = window.start + other % (window.end - window.start)
    assert window_at(one_grid(cut), inside) == window


@given(cuts(), MOMENTS | st.sampled_from(EDGES), st.integers(0, 300))
def test_windows_touch_without_gap_and_overlap(
    cut: tuple[int, int], start: int, count: int
) -> None:
    end = start + count * cut[0] // 3
    windows = list(windows_within(one_grid(cut), start, end))
    first = window_at(one_grid(cut), start)
    assert [window.start for window in windows] == [first.start, *[w.end for w in windows]][:-1]
    covered_until = windows[-1].end if windows else first.start
    assert covered_until <= end or not windows
    # As many as there are: the next one would not end in time.
    assert window_at(one_grid(cut), covered_until).end > end


@given(cuts(), MOMENTS)
def test_every_step_of_a_day_is_in_just_one_window(cut: tuple[int, int], moment: int) -> None:
    width_s, step_s = cut
    midnight = moment - moment % DAY_S
    if DAY_S // step_s > 5000:  # many steps take long and show no more
        step_s = 60
        width_s = max(60, width_s // 60 * 60)
    schedules = one_grid((width_s, step_s))
    found = [
        at
        for window in windows_within(schedules, midnight, midnight + DAY_S)
        for at in moments_of(window)
    ]
    assert found == list(range(midnight, midnight + DAY_S, step_s))


@given(cuts(), MOMENTS)
def test_the_last_step_is_inside_and_the_one_behind_it_is_not(
    cut: tuple[int, int], moment: int
) -> None:
    window = window_at(one_grid(cut), moment)
    assert window.start <= window.last < window.end <= window.last + window.step_s
    assert (window.last - window.start) % window.step_s == 0


@pytest.mark.parametrize(
    ("width_s", "day", "starts"),
    [
        (25_200, "2026-10-31", ["00:00", "07:00", "14:00", "21:00"]),
        (50_000 // 60 * 60, "2024-02-29", ["00:00", "13:53"]),
        (86_400, "2026-12-31", ["00:00"]),
        (86_340, "2026-12-31", ["00:00", "23:59"]),
    ],
)
def test_a_day_that_the_width_does_not_divide_ends_in_a_shorter_window(
    width_s: int, day: str, starts: list[str]
) -> None:
    midnight = unix(day)
    windows = list(windows_within(one_grid((width_s, 60)), midnight, midnight + DAY_S))
    assert [iso(window.start)[11:16] for window in windows] == starts
    assert windows[-1].end == midnight + DAY_S


def test_a_window_reads_as_its_times() -> None:
    window = window_at(one_grid((3600, 60)), unix("2026-12-31T23:30"))
    assert str(window) == "2026-12-31T23:00:00Z/2027-01-01T00:00:00Z"
    assert iso(window.last) == "2026-12-31T23:59:00Z"


# Settings that change

BEGIN = unix("2026-10-30")
CHANGES = st.lists(st.tuples(st.integers(0, 3 * DAY_S), cuts()), min_size=1, max_size=6)


def coarse(cut: tuple[int, int]) -> tuple[int, int]:
    """The same kind of cut with at most a few hundred windows a day."""
    width_s, step_s = cut
    return (width_s, step_s) if width_s >= 300 else (width_s * (300 // width_s), step_s)


def all_windows(schedules: Sequence[WindowSchedule], end: int) -> list[Window]:
    return list(windows_within(schedules, BEGIN, end))


@given(CHANGES)
# At the very moment in which the grid before began.
@example([(0, (3600, 60)), (5000, (1800, 60)), (2200, (900, 60))])
@example([(0, (3600, 60)), (5000, (1800, 60)), (0, (3600, 60)), (1, (7200, 3600))])
def test_a_window_keeps_its_start_and_end_however_the_settings_change(
    changes: list[tuple[int, tuple[int, int]]],
) -> None:
    now = BEGIN
    schedules: tuple[WindowSchedule, ...] = ()
    for wait_s, cut in changes:
        now += wait_s
        begun = window_at(schedules, now).end if schedules else 0
        before = all_windows(schedules, begun) if schedules else []
        schedules = adopt_schedule(schedules, *coarse(cut), now)
        assert schedules[0].since == 0
        assert [grid.since for grid in schedules] == sorted({grid.since for grid in schedules})
        # All windows up to the one of this moment are what they were, however often it is said.
        if begun:
            assert all_windows(schedules, begun) == before
        assert adopt_schedule(schedules, *coarse(cut), now) == schedules
        # From the next midnight on today's settings count, if not from the next window on.
        window = window_at(schedules, now - now % DAY_S + DAY_S)
        assert (window.step_s, window.end - window.start <= coarse(cut)[0]) == (cut[1], True)
    windows = all_windows(schedules, now + 2 * DAY_S)
    assert windows[0].start == BEGIN
    widths = {(grid.since, grid.width_s) for grid in schedules}
    for one, following in itertools.pairwise(windows):
        assert one.end == following.start
        # As a query's steps are: and as wide as its grid has it, but before a midnight.
        assert one.start % one.step_s == 0
        (_, width_s) = max(grid for grid in widths if grid[0] <= one.start)
        assert one.end - one.start == width_s or one.end % DAY_S == 0
        assert one.start // DAY_S == (one.end - 1) // DAY_S
        assert one.start <= one.last < one.end <= one.last + one.step_s
    assert all(
        window_at(schedules, one.start) == window_at(schedules, one.end - 1) == one
        for one in some(windows)
    )


def test_a_change_that_is_taken_back_within_its_window_leaves_no_trace() -> None:
    before = one_grid((3600, 60))
    changed = adopt_schedule(before, 1800, 60, BEGIN + 10)
    assert changed != before
    assert adopt_schedule(changed, 3600, 60, BEGIN + 20) == before


@pytest.mark.parametrize(
    ("before", "after", "at", "begins"),
    [
        ((25_200, 60), (3600, 60), "10:00", "2026-10-30T14:00:00Z"),
        ((3600, 60), (1200, 30), "09:20", "2026-10-30T10:00:00Z"),
        # 7 and 5 hours have nothing in common but midnight.
        ((25_200, 60), (18_000, 60), "10:00", "2026-10-31T00:00:00Z"),
        # 50 minutes and an hour meet every five hours.
        ((3000, 60), (3600, 60), "10:00", "2026-10-30T15:00:00Z"),
        # Half an hour in steps of a minute, then two hours in steps of two hours.
        ((1800, 60), (7200, 7200), "09:40", "2026-10-30T10:00:00Z"),
        ((3600, 60), (86_400, 60), "00:00", "2026-10-31T00:00:00Z"),
        ((86_400, 60), (60, 60), "23:59", "2026-10-31T00:00:00Z"),
    ],
)
def test_a_change_begins_where_windows_of_both_do(
    before: tuple[int, int], after: tuple[int, int], at: str, begins: str
) -> None:
    schedules = adopt_schedule(one_grid(before), *after, unix(f"2026-10-30T{at}"))
    assert [iso(grid.since) for grid in schedules[1:]] == [begins]


# Halves


@given(st.integers(0, 10**9), st.integers(1, 2000), st.sampled_from(STEPS))
def test_halves_make_up_the_whole_and_touch(first: int, steps: int, step_s: int) -> None:
    last = first + steps * step_s
    pieces = halves(first, last, step_s)
    assert pieces is not None
    (low, middle), (after, high) = pieces
    together = [*range(low, middle + 1, step_s), *range(after, high + 1, step_s)]
    assert together == list(range(first, last + 1, step_s))
    sizes = (middle - low) // step_s + 1, (high - after) // step_s + 1
    assert abs(sizes[0] - sizes[1]) <= 1


@given(st.integers(0, 10**9), st.sampled_from(STEPS))
def test_one_step_has_no_halves(first: int, step_s: int) -> None:
    assert halves(first, first, step_s) is None


@given(st.integers(0, 10**9), st.integers(0, 500), st.sampled_from(STEPS))
def test_halving_comes_to_single_steps_that_are_the_whole(
    first: int, steps: int, step_s: int
) -> None:
    waiting, single = [(first, first + steps * step_s)], []
    while waiting:
        low, high = waiting.pop()
        pieces = halves(low, high, step_s)
        if pieces is None:
            assert low == high
            single.append(low)
        else:
            waiting += pieces
    assert sorted(single) == list(range(first, first + steps * step_s + 1, step_s))


@given(
    st.lists(
        st.tuples(st.integers(0, 3 * DAY_S), st.sampled_from([1800, 3600, 5400, 50_000, DAY_S])),
        max_size=3,
    ),
    st.integers(0, 6 * DAY_S),
    st.integers(0, 6 * DAY_S),
)
def test_windows_are_counted_without_going_through_them(
    changes: list[tuple[int, int]], start: int, length: int
) -> None:
    """Also where the grid changed, which may cut a window short."""
    schedules: tuple[WindowSchedule, ...] = adopt_schedule((), 7200, 60, 0)
    for at, width_s in sorted(changes):
        schedules = adopt_schedule(schedules, width_s, 60, at)
    windows = windows_within(schedules, 0, 14 * DAY_S)
    begun = sum(1 for window in windows if start <= window.start < start + length)
    assert count_windows(schedules, start, start + length) == begun
