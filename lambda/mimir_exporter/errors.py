"""What can go wrong, named for what the caller does next.

Every message is one sentence for the person who must act: what happened, to what, and what to
change. No message ever holds a secret.
"""


class ExportError(Exception):
    """Base of every error that this package raises on purpose."""


class SettingsError(ExportError, ValueError):
    """A setting, an event or a catalogue entry has a value that cannot be used."""


class StopRunError(ExportError):
    """The endpoint or the bucket cannot be used at all: stop now, keep everything for later."""


class CheckpointError(StopRunError):
    """The checkpoint cannot be read or written safely. It is never replaced by a fresh one."""


class OutOfTimeError(ExportError):
    """The time budget of this invocation is used up; what is left is for a later one."""


class QueryError(ExportError):
    """One query of one metric failed. Only that metric and window are touched."""


class TooLargeError(QueryError):
    """Mimir finds the query too large: ask for less time, and past one step for one cluster."""


class TooManySeriesError(QueryError):
    """The query selects too many series: less time does not help, one cluster at a time does."""


class TryLaterError(QueryError):
    """Mimir or the network is busy: wait and ask again.

    `retry_after_s` is what the server asked for, in seconds, or None. `cut_if_persistent` says
    that a smaller query is worth a try once waiting has not helped (gateway time-outs).
    """

    def __init__(
        self, message: str, *, retry_after_s: float | None = None, cut_if_persistent: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.cut_if_persistent = cut_if_persistent


class RejectedError(QueryError):
    """Mimir rejects the query itself: asking again, or for less, gives the same answer."""
