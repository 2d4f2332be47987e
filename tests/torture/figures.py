"""What a run of `make torture` found: docs/reliability.json, and its table."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
FIGURES = PROJECT / "docs" / "reliability.json"

Figure = int | float | str


@dataclass(frozen=True)
class Run:
    """One run of everything. `parts` has the figures by file of tests, in order."""

    date: str
    machine: str
    cpus: int
    python: str
    seed: int
    minutes: float
    tests: int
    parts: Mapping[str, Mapping[str, Figure]]

    def save(self) -> None:
        FIGURES.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", "utf-8")


def load_run() -> Run:
    """The last run that was written down."""
    return Run(**json.loads(FIGURES.read_text("utf-8")))


def rows(parts: Mapping[str, Mapping[str, Figure]]) -> list[tuple[str, str, str]]:
    """(part, what, figure) as texts; a part is named in its first row only."""
    made = []
    for part, figures in parts.items():
        for at, (name, figure) in enumerate(figures.items()):
            shown = figure if isinstance(figure, str) else f"{figure:,.10g}"
            made.append((part.replace("_", " ") if at == 0 else "", name, shown))
    return made
