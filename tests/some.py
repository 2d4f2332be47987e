"""What is said of each of several things says nothing where there are none."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def some(things: Iterable[T]) -> Iterator[T]:
    """The same things; an assertion fails at the end if there was none."""
    empty = True
    for thing in things:
        empty = False
        yield thing
    assert not empty, "nothing was looked at"
