"""The frame of `make torture`: random faults for a bounded time, and figures of what was done.

A file of tests here is one part. To add one:

- name it test_WHAT.py and give it a line in `shares.py`: its name for people, how much of the whole
  time it has, and how many seconds in `make test`, where it runs too, just shorter;
- take `budget_s` and continue until that many seconds are over (what is prepared before, and the
  checks behind, come on top: keep them short). A test that makes no sense in a few seconds is
  marked `@pytest.mark.long` and runs in `make torture` only. `is_long` tells which of the two runs;
- take `seed` for all that is random, as in `random.Random(seed)`, so that SEED=n does it again;
- say what was done with `record("what", figure)`. Numbers under the same name add up, a text
  replaces the one before; the names are read by people: `record("connections reset", 1)`.

`make torture` prints the figures as a table. A whole run in which everything passed also writes
docs/reliability.json, and the figures in docs/reliability.md; a run of some tests does not.

The servers and deployments of tests/integration are at hand under their names.
"""

import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from bench.results import describe_run
from tests.integration.conftest import (  # noqa: F401 - fixtures
    make_function,
    make_machine,
    make_proxy,
    mimir,
    proxy,
    through,
)
from tests.torture import figures, shares
from tests.torture.figures import Figure

Record = Callable[[str, Figure], None]

# Shorter runs are steady: a failure in `make test` is no news of another day.
SEED = int(os.environ.get("SEED") or (secrets.randbelow(10**6) if shares.TOTAL_MINUTES else 1))

BEGAN = time.monotonic()

_PARTS = pytest.StashKey[dict[str, dict[str, Figure]]]()
_SHARERS = pytest.StashKey[Counter[str]]()


def pytest_report_header() -> str | None:
    if not shares.TOTAL_MINUTES:
        return None
    return f"torture: SEED={SEED}, {shares.TOTAL_MINUTES:g} minutes (TORTURE_MINUTES)"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long tests of this folder in short runs, and count who shares a part's time."""
    here = [item for item in items if item.path.parent == figures.PROJECT / "tests" / "torture"]
    if not shares.TOTAL_MINUTES:
        long = [item for item in here if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
        here = [item for item in here if item not in long]
    config.stash[_PARTS] = {}
    config.stash[_SHARERS] = Counter(
        _part_of(item) for item in here if "budget_s" in getattr(item, "fixturenames", ())
    )


@pytest.fixture
def seed() -> int:
    """The number that all randomness comes from; printed where the test fails."""
    print(f"SEED={SEED}")  # noqa: T201 - shown with a failure only
    return SEED


@pytest.fixture
def is_long() -> bool:
    """Whether this is `make torture`."""
    return bool(shares.TOTAL_MINUTES)


@pytest.fixture
def budget_s(request: pytest.FixtureRequest) -> float:
    """Seconds that this test may take; see shares.py."""
    part = _part_of(request.node)
    return shares.budget_s(part, request.config.stash[_SHARERS][part])


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Iterator[Record]:
    """Takes figures of what the test did. Those of a test that fails are not in the table."""
    found: dict[str, Figure] = {}

    def take(name: str, figure: Figure) -> None:
        _add(found, name, figure)

    failed = request.session.testsfailed
    yield take
    if request.session.testsfailed == failed:
        part = request.config.stash[_PARTS].setdefault(_part_of(request.node), {})
        for name, figure in found.items():
            _add(part, name, figure)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    parts = config.stash.get(_PARTS, {})
    if not shares.TOTAL_MINUTES or not parts:
        return
    terminalreporter.section(f"torture, SEED={SEED}")
    rows = list(figures.rows(parts))
    wide = max(len(what) for _, what, _ in rows)
    for part, what, figure in rows:
        terminalreporter.write_line(f"{part:20} {what:{wide}}  {figure:>10}")
    whole = config.args == ["tests/torture"] and not terminalreporter.stats.get("deselected")
    if exitstatus or not whole:
        terminalreporter.write_line("docs/reliability.json is left as it was: not all, or failed.")
        return
    machine = describe_run()
    figures.Run(
        date=str(machine["date"]),
        machine=str(machine["machine"]),
        cpus=int(machine["cpus"]),
        python=str(machine["python"]),
        seed=SEED,
        minutes=shares.TOTAL_MINUTES,
        seconds=round(time.monotonic() - BEGAN),
        tests=len(terminalreporter.stats.get("passed", ())),
        parts=parts,
    ).save()
    terminalreporter.write_line("Written down in docs/reliability.json.")


def _part_of(node: pytest.Item) -> str:
    return node.path.stem


def _add(figures_: dict[str, Figure], name: str, figure: Figure) -> None:
    before = figures_.get(name, 0)
    if isinstance(figure, str) or isinstance(before, str):
        figures_[name] = figure
    else:
        figures_[name] = before + figure
