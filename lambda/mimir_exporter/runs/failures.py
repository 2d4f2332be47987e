"""What a failed metric-window counts for: against itself, or against the endpoint.

Nothing that one query meets stops the rest. Its failure is an attempt only where a query that reads
series succeeds after it in the same run. After some failures in a row, and at the end of a run, one
step of other metrics and windows is queried to find that out. Where none of them is answered it is
the endpoint: said once, counted against nothing, and the run stops.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from .. import log
from ..catalog.metrics import Metric
from ..checkpoint.records import GAP_ATTEMPTS, PartialExport
from ..checkpoint.state import Checkpoint
from ..errors import (
    ErrorDetails,
    ExportError,
    OutOfTimeError,
    RefusedError,
    RejectedError,
    StopRunError,
)
from ..errors import runs as errors
from ..errors.source import QUERIES_REJECTED
from ..source.look import SeriesLook
from ..timeline.intervals import covers
from ..timeline.windows import Window, window_at
from .progress import ProgressRecorder
from .totals import MetricFailure, Totals

# Failures in a row after which it is found out whether the endpoint answers anything.
ROW = 3
# A metric that failed in so many windows of which others are exported, and in none not, is not
# queried any more in this run.
STRIKES = 2
# Queries that find it out: of what worked before, and of what is planned.
KNOWN, PLANNED = 2, 3

Pair = tuple[str, Window]


@dataclass(frozen=True)
class _Unproven:
    """A failure that may be the endpoint's."""

    failure: MetricFailure
    error: ExportError | None
    attempts: int  # with this one


class FailureJudge:
    """Takes what succeeded and what failed, in order, and records what counts."""

    def __init__(
        self,
        catalog: Mapping[str, Metric],
        look: SeriesLook,
        progress: ProgressRecorder,
        totals: Totals,
    ) -> None:
        self._catalog = catalog
        self._look = look
        self._progress = progress
        self._totals = totals
        self._plan: dict[Window, tuple[str, ...]] = {}
        self._unproven: list[_Unproven] = []
        self._succeeded: dict[str, Window] = {}  # the last window of each metric, in order
        self._failed: dict[str, set[Window]] = {}  # since it last succeeded
        self._rejected: set[str] = set()
        self._answered: set[Window] = set()  # a metric of them is exported

    def plan(self, plan: Iterable[tuple[Window, tuple[str, ...]]]) -> None:
        """What is to be exported: some of it may be queried to see whether the endpoint answers."""
        for window, names in plan:
            self._plan[window] = (*self._plan.get(window, ()), *names)

    def has_failed(self, name: str) -> bool:
        """Whether this metric failed in this run, and has not succeeded since."""
        return name in self._failed

    def is_given_up(self, name: str) -> bool:
        """Whether it is not worth another query in this run."""
        failed = self._failed.get(name, set())
        return name in self._rejected or len(failed & self._answered) >= STRIKES

    @property
    def is_row(self) -> bool:
        """Whether so much failed in a row that `settle` has to find out why."""
        return len(self._unproven) >= ROW

    def add_success(self, name: str, window: Window) -> None:
        """A query of this metric-window was answered: what failed before it is the metrics' own."""
        self._record_unproven()
        self._answered.add(window)
        self._failed.pop(name, None)
        self._succeeded.pop(name, None)
        self._succeeded[name] = window

    def add_failure(
        self, checkpoint: Checkpoint, name: str, window: Window, error: ExportError
    ) -> None:
        """It failed; `checkpoint` is as it was when the run planned."""
        self._failed.setdefault(name, set()).add(window)
        if any(
            covers(progress.exported, window.start, window.end)
            for progress in checkpoint.metrics.values()
        ):
            self._answered.add(window)
        if isinstance(error, RejectedError):
            self._rejected.add(name)  # rejected in one window, a query is in all
        # The same in one window after the other is one finding: each begins where the last ended.
        everywhere = _is_for_good(error) or self.is_given_up(name)
        least = _most_attempts(checkpoint, name, error.details) + 1 if everywhere else 0
        attempts = _attempts(checkpoint, name, window, least)
        failure = MetricFailure(name, window, error.details, checkpoint.requests_made, least=least)
        self._totals.failures.append(failure)
        self._unproven.append(_Unproven(failure, error, attempts))

    def add_partial(
        self,
        checkpoint: Checkpoint,
        name: str,
        window: Window,
        error: ErrorDetails,
        part: PartialExport,
    ) -> None:
        """It was answered, and exported, but not all of it: nothing is wrong with the query."""
        attempts = _attempts(checkpoint, name, window)
        failure = MetricFailure(name, window, error, checkpoint.requests_made, part)
        self._totals.failures.append(failure)
        _log(_Unproven(failure, None, attempts), counted=True)
        self._progress.add_failure(failure)

    def add_slow(self, checkpoint: Checkpoint, name: str, window: Window, *, counted: bool) -> None:
        """It did not fit into the whole time of an invocation."""
        self.add_failure(checkpoint, name, window, errors.METRIC_WINDOW_TOO_SLOW())
        slow = self._unproven.pop()
        _log(slow, counted=counted)
        self._progress.add_failure(replace(slow.failure, counted=counted))

    def settle(self, checkpoint: Checkpoint) -> None:
        """Record the last failures, where the endpoint answers other queries; otherwise forget
        them. Raises StopRunError where it answers none, and OutOfTimeError."""
        if not self._is_answering(checkpoint):
            self._give_up()
        self._record_unproven()

    def finish(self, checkpoint: Checkpoint, stopped: ExportError | None) -> None:
        """The run is over, because of `stopped` if not all was done. Raises StopRunError where
        nothing at all was answered."""
        if not self._unproven or (stopped and not isinstance(stopped, OutOfTimeError)):
            self._unproven.clear()
            return
        try:
            if stopped is None and self._is_answering(checkpoint):
                self._record_unproven()
        except OutOfTimeError as error:
            stopped = error
        if stopped is None and not self._succeeded and self._unproven:
            self._give_up()
        for unproven in self._unproven:
            _log(unproven, counted=False)
            # Where the time ran out, the next run begins with something else.
            if stopped is not None:
                self._progress.add_failure(replace(unproven.failure, counted=False))
        self._unproven.clear()

    def _give_up(self) -> NoReturn:
        """It is the endpoint, and none of these has failed."""
        error = _explain([unproven.error for unproven in self._unproven if unproven.error])
        forgotten = {id(unproven.failure) for unproven in self._unproven}
        failures = self._totals.failures
        self._totals.failures = [failure for failure in failures if id(failure) not in forgotten]
        self._unproven.clear()
        raise error

    def _record_unproven(self) -> None:
        for unproven in self._unproven:
            _log(unproven, counted=True)
            self._progress.add_failure(unproven.failure)
        self._unproven.clear()

    def _is_answering(self, checkpoint: Checkpoint) -> bool:
        others = self._others(checkpoint)
        if any(self._look.is_answered(self._catalog[name], window) for name, window in others):
            return True
        # The queries of all others may be at fault too, or there are none.
        newest = max(unproven.failure.window for unproven in self._unproven)
        return self._look.is_answered(None, newest)

    def _others(self, checkpoint: Checkpoint) -> Iterator[Pair]:
        """Metric-windows unlike those that failed: another metric, another window, best both."""
        names = {unproven.failure.metric for unproven in self._unproven}
        windows = {unproven.failure.window for unproven in self._unproven}

        def likeness(pair: Pair) -> int:
            return (pair[0] in names) + (pair[1] in windows)

        for pairs, most in ((self._known(checkpoint), KNOWN), (self._planned(windows), PLANNED)):
            unlike = [pair for pair in dict.fromkeys(pairs) if likeness(pair) < 2]
            yield from sorted(unlike, key=likeness)[:most]

    def _known(self, checkpoint: Checkpoint) -> Iterator[Pair]:
        """What was answered in this run, the last first; then what earlier runs exported last."""
        yield from reversed(self._succeeded.items())
        for name in self._catalog:
            progress = checkpoint.metrics.get(name)
            if progress and progress.exported:
                yield name, window_at(checkpoint.schedules, progress.exported[-1][1] - 1)

    def _planned(self, failed: set[Window]) -> Iterator[Pair]:
        """Of the newest, the oldest and a middle one of the other windows, each another metric;
        then of the same windows."""
        others = [window for window in self._plan if window not in failed]
        spread = [others[0], others[-1], others[len(others) // 2]] if others else []
        for place, window in enumerate([*dict.fromkeys(spread), *failed]):
            names = self._plan.get(window, ())
            untried = [name for name in names if not self.has_failed(name)] or names
            yield from ((name, window) for name in untried[place : place + 1] or untried[:1])
        yield from ((name, window) for window in failed for name in self._plan.get(window, ()))


def _is_for_good(error: ExportError | None) -> bool:
    """Whether waiting alone does not fix it."""
    return isinstance(error, (RejectedError, RefusedError))


def _attempts(checkpoint: Checkpoint, name: str, window: Window, least: int = 0) -> int:
    """How often a metric-window has failed, with this time; `least` at least."""
    before = checkpoint.failure_of(name, window)
    return min(max((before.attempts if before else 0) + 1, least), GAP_ATTEMPTS)


def _most_attempts(checkpoint: Checkpoint, name: str, error: ErrorDetails) -> int:
    """How often a metric failed in one window with this error."""
    failures = checkpoint.failures[checkpoint.failures_of(name)]
    return max(
        (failure.attempts for failure in failures if failure.error.code == error.code), default=0
    )


def _explain(found: Sequence[ExportError]) -> StopRunError:
    """One error for several of an endpoint that answers nothing."""
    last = found[-1]
    if isinstance(last, RefusedError):
        return last
    if isinstance(last, RejectedError):
        return QUERIES_REJECTED(cause=last.details.cause or last.details.summary)
    return errors.CONSECUTIVE_FAILURES(
        count=len(found), cause=last.details.found, remedy=last.details.remedy
    )


def _log(unproven: _Unproven, *, counted: bool) -> None:
    attempt = unproven.attempts if counted else unproven.attempts - 1
    gap = attempt >= GAP_ATTEMPTS
    log.METRIC_FAILED(
        level="ERROR" if gap or _is_for_good(unproven.error) else "WARNING",
        window=str(unproven.failure.window),
        metric=unproven.failure.metric,
        attempt=attempt,
        gap=gap,
        retry="daily" if gap else "next_run",
        error=unproven.failure.error,
    )
