"""What a run of `make torture` found: docs/reliability.json, and the table made of it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from tests.torture.shares import SHARES

PROJECT = Path(__file__).resolve().parents[2]
FIGURES = PROJECT / "docs" / "reliability.json"
PAGE = PROJECT / "docs" / "reliability.md"

Figure = int | float | str
Parts = Mapping[str, Mapping[str, Figure]]  # by file of tests

# What is between these two lines of the page is made here.
_BLOCK = re.compile(r"(?<=<!-- figures -->\n).*?(?=<!-- end of figures -->)", re.DOTALL)


@dataclass(frozen=True)
class Run:
    """One run of everything. `seconds` is all of it, servers and checks included.

    `note` is what a person must know of these figures; a run by itself has none.
    """

    date: str
    machine: str
    cpus: int
    python: str
    seed: int
    minutes: float
    seconds: int
    tests: int
    parts: Parts
    note: str = ""

    def save(self) -> None:
        """Write the figures down, and into the page."""
        FIGURES.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", "utf-8")
        page = PAGE.read_text("utf-8")
        PAGE.write_text(_BLOCK.sub(lambda _: self.as_markdown(), page), "utf-8")

    def as_markdown(self) -> str:
        """The block of the page."""
        lines = [
            (
                f"{self.date}, {self.machine}, {self.cpus} CPUs, Python {self.python}: "
                f"`make torture TORTURE_MINUTES={self.minutes:g} SEED={self.seed}`, "
                f"{self.tests} tests in {self.seconds // 60} minutes, all passed."
                f"{' ' if self.note else ''}{self.note}"
            ),
            "",
            "| part | what | figure |",
            "| --- | --- | --- |",
            *(f"| {part} | {what} | {figure} |" for part, what, figure in grouped(self.parts)),
        ]
        return "\n".join([*lines, ""])


def load_run() -> Run:
    """The last run that was written down."""
    return Run(**json.loads(FIGURES.read_text("utf-8")))


def block_of_page() -> str:
    """What the page has of the figures now."""
    (block,) = _BLOCK.findall(PAGE.read_text("utf-8"))
    return str(block)


def rows(parts: Parts) -> Iterator[tuple[str, str, str]]:
    """(part, what, figure) as texts; a part is named in its first row only."""
    for part, figures in parts.items():
        for at, (name, figure) in enumerate(figures.items()):
            shown = figure if isinstance(figure, str) else f"{figure:,.10g}"
            yield SHARES[part].title if at == 0 else "", name, shown


def grouped(parts: Parts) -> Iterator[tuple[str, str, str]]:
    """As `rows`, with all that is called "kind: one" in one row of its kind."""
    for part, figures in parts.items():
        texts = list(rows({part: figures}))
        for kind, found in groupby(texts, lambda row: row[1].partition(": ")[0]):
            several = list(found)
            title, name, figure = several[0]
            if ": " in name:
                figure = ", ".join(f"{n} x {one.partition(': ')[2]}" for _, one, n in several)
            yield title, kind, figure
