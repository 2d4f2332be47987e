"""What the check found: level, what was looked at, what is there, and the one thing to change."""

import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from ..errors import ExportError, OutOfTimeError
from ..events import CheckResult

Level = Literal["error", "warning", "ok"]
LEVELS: tuple[Level, ...] = ("error", "warning", "ok")
REPORT_WIDTH = 100
_WHAT_WIDTH = 20
NAMED = 5


@dataclass(frozen=True)
class Finding:
    """`level` is ok, warning or error; `change` is empty when all is well."""

    level: Level
    what: str
    found: str
    change: str = ""


class Findings:
    """Gathers findings, and says in the end whether the exporter is ready to run."""

    def __init__(self) -> None:
        self._all: list[Finding] = []

    @property
    def last(self) -> Finding:
        """The newest."""
        return self._all[-1]

    def add(self, level: Level, what: str, found: str, change: str = "") -> None:
        """One more."""
        self._all.append(Finding(level, what, found, change))

    def attempt(self, what: str, step: Callable[[], str]) -> bool:
        """Whether `step` went well; what it says is found, or what its error says."""
        try:
            self.add("ok", what, step())
        except ExportError as error:
            self.add_error(what, error)
            return False
        return True

    def add_error(self, what: str, error: ExportError) -> None:
        """An error of ours; where only the time ran out, that is no verdict on `what`."""
        if isinstance(error, OutOfTimeError):
            self.add("warning", what, f"not known: {error}", "run the check again")
            return
        # Every message of ours ends with what to change.
        text, _, change = str(error).partition("; ")
        self.add("error", what, text.rstrip("."), change.rstrip("."))

    def as_dict(self) -> CheckResult:
        """Outcome, one sentence, the report's lines, and the findings, the worst first."""
        found = sorted(self._all, key=lambda one: LEVELS.index(one.level))
        errors = [one for one in found if one.level == "error"]
        warnings = [one for one in found if one.level == "warning"]
        message = "Ready."
        if errors:
            message = f"Not ready: {errors[0].what}: {errors[0].found}."
        elif warnings:
            message = (
                f"Ready, {len(warnings)} {'warning' if len(warnings) == 1 else 'warnings'}: "
                f"{warnings[0].what}: {warnings[0].found}."
            )
        return {
            "outcome": "not_ready" if errors else "ready",
            "message": message,
            "report": [line for one in found for line in _lines(one)],
            "findings": [
                {"level": one.level, "what": one.what, "found": one.found, "change": one.change}
                for one in found
            ],
        }


def some(names: Iterable[str]) -> str:
    """The first few, and how many more."""
    listed = list(names)
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(listed[:NAMED]) + more


def _lines(one: Finding) -> list[str]:
    """A finding for reading: level and name in columns, the change under what was found."""
    begin = f"{one.level:<8} {one.what:<{_WHAT_WIDTH - 1}} "
    indent = " " * len(begin)
    texts = [(one.found, begin, indent)]
    if one.change:
        texts.append((one.change, f"{indent}-> ", f"{indent}   "))
    return [
        line
        for text, first, rest in texts
        for line in textwrap.wrap(
            text,
            REPORT_WIDTH,
            initial_indent=first,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        )
        or [first.rstrip()]
    ]
