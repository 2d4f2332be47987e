"""What can go wrong. An error's class says what fixes it, its code which error it is.

Every error that this package raises is a row of a table beside this file: a stable code, a summary
with the values, and a remedy. `ErrorDetails` are these parts, which logs, results and the
checkpoint carry; nothing in the program reads the sentence that they make together.
No part ever holds a secret.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from string import Formatter
from typing import Generic, Self, TypeVar

CAUSE_CHARACTERS = 300


@dataclass(frozen=True, order=True)
class ErrorDetails:
    """The parts of an error.

    `code` is for machines and never changes: the row of docs/troubleshooting.md. `summary` says
    what happened, to what, with which value. `cause` is what the other side said, in its own
    words, and "" where there is no other side. `remedy` says what to do. The texts have no full
    stop at their end.
    """

    code: str
    summary: str
    cause: str = ""
    remedy: str = ""

    @property
    def found(self) -> str:
        """What happened, and why: all but what to do."""
        return f"{self.summary} ({self.cause})" if self.cause else self.summary

    def __str__(self) -> str:
        """One sentence for a person, which ends at the code."""
        remedy, code = self.remedy and f"; {self.remedy}", self.code and f" [{self.code}]"
        return f"{self.found}{remedy}{code}"

    def as_dict(self) -> dict[str, str]:
        """All four parts, for JSON."""
        return asdict(self)


class ExportError(Exception):
    """Base of every error that this package raises on purpose. Made by an ErrorKind."""

    def __init__(self, details: ErrorDetails | str) -> None:
        # A text alone is of a place that has no kind yet.
        super().__init__(str(details))
        self.details = ErrorDetails("", details) if isinstance(details, str) else details


class SettingsError(ExportError, ValueError):
    """A setting, an event or a catalogue entry has a value that cannot be used."""


class StopRunError(ExportError):
    """The endpoint or the bucket cannot be used at all: stop now, keep everything for later."""


class RefusedError(StopRunError):
    """The endpoint, or a gateway before it, refuses a request: every one, or as a firewall does
    this one query alone. A run continues with others to find that out."""


class CheckpointError(StopRunError):
    """The checkpoint cannot be read or written safely. It is never replaced by a fresh one."""


class OutOfTimeError(ExportError):
    """The time budget of this invocation is used up; what remains is for a later one."""


class ConditionFailedError(ExportError):
    """Another process wrote the object first: read it again and decide anew."""


class QueryError(ExportError):
    """One query of one metric failed. Only that metric and window are affected."""


class TooLargeError(QueryError):
    """Mimir finds the query too large: ask for less time, and past one step for one cluster."""


class TooManySeriesError(QueryError):
    """The query selects too many series: less time does not help, one cluster at a time does."""


class TryLaterError(QueryError):
    """Mimir or the network is busy: wait and query again.

    `retry_after_s` is what the server gave to wait, in seconds, or None. `cut_if_persistent` says
    that a smaller query is worth a try once waiting has not helped (gateway time-outs).
    """

    def __init__(
        self,
        details: ErrorDetails | str,
        *,
        retry_after_s: float | None = None,
        cut_if_persistent: bool = False,
    ) -> None:
        super().__init__(details)
        self.retry_after_s = retry_after_s
        self.cut_if_persistent = cut_if_persistent

    def after(self, retry_after_s: float | None) -> Self:
        """The same error, with the seconds that the server gave to wait, if it did."""
        self.retry_after_s = retry_after_s
        return self


class TryLaterOrSplitError(TryLaterError):
    """As TryLaterError; once waiting has not helped, a smaller query is worth a try."""

    def __init__(self, details: ErrorDetails | str) -> None:
        super().__init__(details, cut_if_persistent=True)


class RejectedError(QueryError):
    """Mimir rejects the query itself: the same query, or a smaller one, gets the same answer."""


class UnclearRefusalError(RejectedError):
    """The server refuses the query, and does not say whether for its text or its size.

    A smaller one is tried; where the smallest is refused in the same way, it is the text.
    """

    @property
    def signature(self) -> str:
        """What two refusals of the same kind have in common: all but the numbers."""
        return re.sub("[0-9]+", "#", self.details.cause)


E_co = TypeVar("E_co", bound=ExportError, covariant=True)


@dataclass(frozen=True)
class ErrorKind(Generic[E_co]):
    """A row of the table of errors: `raise KIND(where=key, cause=code) from error`.

    `summary` and `remedy` are templates, whose fields are the arguments of a call. `usually` is
    for the troubleshooting page: what is behind it most often.
    """

    code: str
    error: type[E_co]
    summary: str
    remedy: str
    usually: str = ""

    def __call__(self, *, cause: object = "", **fields: object) -> E_co:
        """The error itself; `cause` is what the other side said."""
        return self.error(self.details(cause=cause, **fields))

    def details(self, *, cause: object = "", **fields: object) -> ErrorDetails:
        """Its parts, where nothing is raised: to record or to log."""
        said = " ".join(str(cause).split()).rstrip(".")[:CAUSE_CHARACTERS]
        summary, remedy = self.summary.format(**fields), self.remedy.format(**fields)
        return ErrorDetails(self.code, summary, said, remedy)

    @property
    def fields(self) -> frozenset[str]:
        """The arguments that its templates need."""
        parts = Formatter().parse(self.summary + self.remedy)
        return frozenset(name for _, name, _, _ in parts if name)


def kinds_in(table: Mapping[str, object]) -> dict[str, ErrorKind[ExportError]]:
    """The kinds of a table's module (its `vars()`), by the name of each constant."""
    return {name: value for name, value in table.items() if isinstance(value, ErrorKind)}
