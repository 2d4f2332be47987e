"""Hypothesis for a given time, rather than for a given number of examples."""

import time
from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import given, settings
from hypothesis import strategies as st

BATCH = 100


def search(
    check: Callable[..., Any], budget_s: float, seed: int, **strategies: st.SearchStrategy[Any]
) -> int:
    """Call `check` with examples until the time is over; how many there were.

    The same seed gives the same examples, in batches of a seed each; at least one batch.
    """
    examples = 0
    deadline = time.monotonic() + budget_s
    while not examples or time.monotonic() < deadline:

        def one(**drawn: Any) -> None:
            nonlocal examples
            examples += 1
            check(**drawn)

        found = settings(max_examples=BATCH)(given(**strategies)(one))
        hypothesis.seed(seed + examples)(found)()
    return examples
