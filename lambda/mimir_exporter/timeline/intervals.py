"""Sets of time as sorted, disjoint, half-open intervals of unix seconds. Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from operator import itemgetter

Interval = tuple[int, int]
Intervals = tuple[Interval, ...]


def union(*sets: Iterable[Interval]) -> Intervals:
    """All that is in any of `sets`; touching intervals become one, empty ones vanish."""
    merged: list[Interval] = []
    for start, end in sorted(interval for intervals in sets for interval in intervals):
        if start >= end:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)


def subtract(whole: Iterable[Interval], *others: Iterable[Interval]) -> Intervals:
    """What is in `whole` and in none of `others`."""
    left: list[Interval] = []
    cuts = union(*others)
    at = 0
    for start, end in union(whole):
        while at < len(cuts) and cuts[at][1] <= start:
            at += 1
        for cut_start, cut_end in cuts[at:]:
            if end <= cut_start:
                break
            if start < cut_start:
                left.append((start, cut_start))
            start = max(start, cut_end)  # noqa: PLW2901 - what is left of it
        if start < end:
            left.append((start, end))
    return tuple(left)


def intersect(first: Iterable[Interval], other: Iterable[Interval]) -> Intervals:
    """What is in both."""
    first = union(first)
    return subtract(first, subtract(first, other))


def covers(intervals: Sequence[Interval], start: int, end: int) -> bool:
    """Whether [start, end) lies in `intervals` as a whole. They must be sorted and disjoint."""
    place = bisect_right(intervals, start, key=itemgetter(0)) - 1
    return place >= 0 and end <= intervals[place][1]


def overlaps(intervals: Iterable[Interval], start: int, end: int) -> bool:
    """Whether some of [start, end) lies in `intervals`."""
    return any(low < end and start < high for low, high in intervals)


def total_s(intervals: Iterable[Interval]) -> int:
    """Seconds in all."""
    return sum(end - start for start, end in intervals)
