"""How the minutes of `make torture` are shared out, and what each part may take in `make test`."""

import os
from dataclasses import dataclass

# Set by `make torture`; without it the tests of this folder are the quick ones of `make test`.
TOTAL_MINUTES = float(os.environ.get("TORTURE_MINUTES") or 0)


@dataclass(frozen=True)
class Share:
    """A part's name for people, its weight among the others, and its seconds in `make test`."""

    title: str
    weight: float
    quick_s: float


# By file of tests; the tests of a file that take `budget_s` share its part equally.
SHARES = {
    "test_killed": Share("Killed anywhere", weight=5.0, quick_s=5.0),
    "test_at_once": Share("Run at once", weight=1.5, quick_s=5.0),
    "test_hostile": Share("Hostile data", weight=1.0, quick_s=3.0),
    "test_fuzz": Share("Anything as input", weight=1.5, quick_s=4.0),
    "test_coverage_guided": Share("The splitter", weight=1.5, quick_s=3.0),
    "test_bad_mimir": Share("A bad Mimir", weight=2.5, quick_s=4.0),
    "test_bad_s3": Share("A bad S3", weight=2.0, quick_s=4.0),
    "test_unsteady": Share("An unsteady source", weight=3.0, quick_s=0.0),
    # Takes no budget: it ends with its year, after some five minutes on top of all others.
    "test_a_year": Share("A year in fast motion", weight=0.0, quick_s=0.0),
}


def budget_s(module: str, tests: int) -> float:
    """Seconds for one of so many tests of a file. KeyError for a file that has no share yet."""
    share = SHARES[module]
    if TOTAL_MINUTES:
        weights = sum(one.weight for one in SHARES.values())
        return TOTAL_MINUTES * 60 * share.weight / weights / tests
    return share.quick_s / tests
