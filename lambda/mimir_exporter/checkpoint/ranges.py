"""Moments and sets of time as they are in the checkpoint's document: ISO 8601, or lengths. Pure."""

import re
from collections.abc import Iterable
from datetime import datetime
from itertools import accumulate, pairwise
from math import gcd
from typing import Any, TypeVar

from ..timeline.intervals import Interval, Intervals, union
from ..timeline.windows import iso, iso_range

T = TypeVar("T")

# So many ranges read better as times than as lengths.
MANY_RANGES = 12
_LENGTH = re.compile(r"[1-9][0-9]{0,11}")


def require_type(kind: type[T], value: object) -> T:
    """`value` if it is of just this type: an object is no list, 1 is not true."""
    if type(value) is not kind:
        raise TypeError(f"{type(value).__name__} in the place of {kind.__name__}")
    return value


def load_moment(text: object) -> int:
    """Unix seconds. Raises ValueError, TypeError."""
    moment = datetime.fromisoformat(require_type(str, text))
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return int(moment.timestamp())


def dump_range(interval: Interval) -> str:
    """`start/end`."""
    return iso_range(*interval)


def dump_ranges(intervals: Iterable[Interval]) -> list[str] | dict[str, Any]:
    """A list of ranges; past MANY_RANGES of them the lengths of what is in and of what is out in
    turn, which take a tenth of the bytes."""
    ranges = sorted(intervals)
    if len(ranges) <= MANY_RANGES:
        return [dump_range(interval) for interval in ranges]
    edges = [moment for interval in ranges for moment in interval]
    lengths = [later - moment for moment, later in pairwise(edges)]
    unit_s = gcd(*lengths)
    return {
        "from": iso(edges[0]),
        "unit_s": unit_s,
        "in_and_out": " ".join(str(length // unit_s) for length in lengths),
    }


def load_range(text: object) -> Interval:
    """Raises ValueError, TypeError."""
    start, end = map(load_moment, require_type(str, text).split("/"))
    if start >= end:
        raise ValueError("a range that ends before it starts")
    return start, end


def load_ranges(ranges: object) -> Intervals:
    """What is in the document for a set of time. Raises ValueError, TypeError, KeyError."""
    if isinstance(ranges, dict):
        moment, unit_s = load_moment(ranges["from"]), require_type(int, ranges["unit_s"])
        lengths = require_type(str, ranges["in_and_out"]).split(" ")
        if unit_s <= 0 or len(lengths) % 2 == 0 or not all(map(_LENGTH.fullmatch, lengths)):
            raise ValueError("lengths")
        edges = list(accumulate((int(length) * unit_s for length in lengths), initial=moment))
        return tuple(zip(edges[::2], edges[1::2], strict=True))
    return union(load_range(text) for text in require_type(list, ranges))
