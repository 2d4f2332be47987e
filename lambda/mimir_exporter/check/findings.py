"""What the check found: level, what was looked at, what is there, and what to do."""

import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from ..errors import ErrorDetails, ExportError, OutOfTimeError
from ..events import CheckResult
from ..words import counted

Level = Literal["error", "warning", "ok"]
LEVELS: tuple[Level, ...] = ("error", "warning", "ok")
REPORT_WIDTH = 100
_WHAT_WIDTH = 25  # of the longest subject, and a space
NAMED = 5


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: `what`, a word for programs, or `metric:` and its name.

    `level` is ok, warning or error; `remedy` is empty when all is well. `code` and `cause` are of
    the error that was met, and empty without one.
    """

    level: Level
    what: str
    summary: str
    remedy: str = ""
    code: str = ""
    cause: str = ""

    @property
    def subject(self) -> str:
        """`what` for reading."""
        kind, _, name = self.what.partition(":")
        return f"{kind.replace('_', ' ')} {name}".rstrip()

    @property
    def found(self) -> str:
        """The summary, and the cause if there is one."""
        return f"{self.summary} ({self.cause})" if self.cause else self.summary


class Findings:
    """Gathers findings, and says in the end whether the exporter is ready to run."""

    def __init__(self) -> None:
        self._all: list[Finding] = []

    @property
    def last(self) -> Finding:
        """The newest."""
        return self._all[-1]

    def add(self, level: Level, what: str, summary: str, remedy: str = "") -> None:
        """One more."""
        self._all.append(Finding(level, what, summary, remedy))

    def attempt(self, what: str, step: Callable[[], str]) -> bool:
        """Whether `step` went well; what it says is found, or what its error says."""
        try:
            self.add("ok", what, step())
        except ExportError as error:
            self.add_error(what, error)
            return False
        return True

    def add_error(self, what: str, error: ExportError) -> None:
        """An error that was met; where only the time ran out, that is no verdict on `what`."""
        if isinstance(error, OutOfTimeError):
            self.add_warning(what, "unknown", error, "run the check again")
        else:
            self.add_details("error", what, error.details)

    def add_details(self, level: Level, what: str, parts: ErrorDetails) -> None:
        """The parts of an error."""
        self._all.append(Finding(level, what, parts.summary, parts.remedy, parts.code, parts.cause))

    def add_warning(self, what: str, summary: str, error: ExportError, remedy: str) -> None:
        """An error that a run may not meet, as it waits longer and retries."""
        self._all.append(
            Finding("warning", what, summary, remedy, error.details.code, error.details.found)
        )

    def as_dict(self) -> CheckResult:
        """Outcome, one sentence, the report's lines, and the findings, the worst first."""
        found = sorted(self._all, key=lambda finding: LEVELS.index(finding.level))
        errors = [finding for finding in found if finding.level == "error"]
        warnings = [finding for finding in found if finding.level == "warning"]
        message = "Ready."
        if errors:
            message = f"Not ready: {errors[0].subject}: {errors[0].found}."
        elif warnings:
            message = (
                f"Ready, {counted(len(warnings), 'warning')}: "
                f"{warnings[0].subject}: {warnings[0].found}."
            )
        return {
            "outcome": "not_ready" if errors else "ready",
            "message": message,
            "report": [line for finding in found for line in _lines(finding)],
            "findings": [
                {
                    "level": finding.level,
                    "what": finding.what,
                    "code": finding.code,
                    "summary": finding.summary,
                    "cause": finding.cause,
                    "remedy": finding.remedy,
                }
                for finding in found
            ],
        }


def some(names: Iterable[str]) -> str:
    """The first few, and how many more."""
    listed = list(names)
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(listed[:NAMED]) + more


def named_clusters(clusters: Iterable[str], label: str) -> str:
    """Some of the clusters; "" is what has no cluster label."""
    return some(cluster or f"those without {label}" for cluster in sorted(clusters))


def _lines(finding: Finding) -> list[str]:
    """A finding for reading: level and name in columns, the remedy under what was found."""
    begin = f"{finding.level:<8} {finding.subject:<{_WHAT_WIDTH - 1}} "
    indent = " " * len(begin)
    texts = [(finding.found, begin, indent)]
    if finding.remedy:
        texts.append((finding.remedy, f"{indent}-> ", f"{indent}   "))
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
