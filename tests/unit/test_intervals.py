"""Intervals against sets of integers, which are too simple to be wrong."""

from hypothesis import given
from hypothesis import strategies as st

from mimir_exporter.timeline.intervals import (
    Interval,
    Intervals,
    covers,
    intersect,
    subtract,
    total_s,
    union,
)

ENDS = st.integers(-5, 40)
# Empty and reversed ones are asked for too.
MESS = st.lists(st.tuples(ENDS, ENDS), max_size=8)


def members(intervals: list[Interval] | Intervals) -> set[int]:
    return {second for start, end in intervals for second in range(start, end)}


def is_tidy(intervals: Intervals) -> bool:
    """Sorted, not empty, and a hole between any two."""
    ends = [end for interval in intervals for end in interval]
    return ends == sorted(set(ends))


@given(st.lists(MESS, max_size=4))
def test_a_union_holds_all_and_nothing_else(sets: list[list[Interval]]) -> None:
    found = union(*sets)
    assert is_tidy(found)
    assert members(found) == set().union(*map(members, sets))


@given(MESS, st.lists(MESS, max_size=3))
def test_a_difference_holds_what_the_others_lack(
    whole: list[Interval], others: list[list[Interval]]
) -> None:
    found = subtract(whole, *others)
    assert is_tidy(found)
    assert members(found) == members(whole) - set().union(*map(members, others))


@given(MESS, MESS)
def test_an_intersection_holds_what_both_have(one: list[Interval], other: list[Interval]) -> None:
    found = intersect(one, other)
    assert is_tidy(found)
    assert members(found) == members(one) & members(other)
    assert found == intersect(iter(other), iter(one))


@given(MESS, ENDS, st.integers(1, 10))
def test_covering_means_every_second(mess: list[Interval], start: int, length: int) -> None:
    tidy = union(mess)
    inside = set(range(start, start + length)) <= members(tidy)
    assert covers(tidy, start, start + length) == inside


@given(MESS)
def test_the_total_counts_each_second_once(mess: list[Interval]) -> None:
    assert total_s(union(mess)) == len(members(mess))


@given(MESS)
def test_a_union_does_not_change_when_it_is_taken_again(mess: list[Interval]) -> None:
    assert union(union(mess)) == union(mess) == union(mess, mess)


def test_touching_intervals_become_one() -> None:
    assert union([(0, 5), (5, 9)]) == ((0, 9),)
    assert union([(0, 5), (6, 9)]) == ((0, 5), (6, 9))
