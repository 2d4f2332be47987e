"""One metric of one window: asked whole, and cut where Mimir refuses it whole.

Refused for its size, a query is cut in time, down to one step, and then by cluster; refused for
its number of series, it is cut by cluster at once. All parts land in the same files. Where one
step of all clusters was too much, what is left of the window is asked for cluster by cluster, each
as a whole first: with QUERY_DELAY between them, every step of every cluster would take hours.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from aws_lambda_powertools import Logger

from ..answer.split import AnswerError, Envelope, Splitter
from ..answer.spool import Spool
from ..catalog.metrics import Metric
from ..errors import (
    QueryError,
    RejectedError,
    TooLargeError,
    TooManySeriesError,
    TryLaterError,
)
from ..settings.settings import Settings
from ..timeline.deadline import Deadline
from ..timeline.windows import Window, halves
from .failures import missing_data
from .mimir import Mimir
from .retry import with_retries

logger = Logger()

T = TypeVar("T")

# So many waits for one metric of one window are told one by one; the rest is in their count.
TOLD_RETRIES = 5


@dataclass(frozen=True)
class Part:
    """An inclusive range of steps (unix seconds), of all clusters or of one."""

    first: int
    last: int
    cluster: str | None = None


@dataclass
class FetchStats:
    """What it took: `parts` answers, `retries` waits, `cuts` refusals for size.

    `query_s` is from a request to the last byte of its answer, split and compressed on the way;
    QUERY_DELAY and the waits between attempts are not in it.
    """

    parts: int = 0
    attempts: int = 0
    cuts: int = 0
    query_s: float = 0.0
    infos: tuple[str, ...] = ()
    told_retries: int = 0
    told_cuts: dict[str, int] = field(default_factory=dict)

    @property
    def retries(self) -> int:
        """Attempts that gave neither an answer nor a cut."""
        return self.attempts - self.parts - self.cuts


class Fetcher:
    """Fills spools from Mimir. Remembers which metrics had to be cut, and begins with that."""

    def __init__(
        self,
        settings: Settings,
        mimir: Mimir,
        deadline: Deadline,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._mimir = mimir
        self._deadline = deadline
        self._sleep = sleep
        self._clock = clock
        self._spans: dict[str, int] = {}  # in steps: windows of an older grid have others
        self._by_cluster: set[str] = set()

    def fetch(self, metric: Metric, window: Window, spool: Spool) -> FetchStats:
        """Put every series of `metric` in `window` into `spool`.

        Raises QueryError when the metric has to be given up for now, StopRunError when the
        endpoint has, OutOfTimeError when the deadline passes. The spool is useless then.
        """
        stats = FetchStats()
        parts = self._first_parts(metric, window, stats)
        while parts:
            part = parts.pop(0)
            try:
                self._ask(metric, window, part, spool, stats)
            except TooLargeError as error:
                smaller = self._cut_in_time(metric, window, part)
                if not smaller and part.cluster is None:
                    # All that is left is of all clusters too, and later than this step.
                    rest = replace(part, last=window.last)
                    smaller = self._cut_by_cluster(metric, window, rest, stats)
                    parts = []
                parts = self._smaller(smaller, window, error, stats) + parts
            except TooManySeriesError as error:
                smaller = self._cut_by_cluster(metric, window, part, stats) or self._cut_in_time(
                    metric, window, part
                )
                parts = self._smaller(smaller, window, error, stats) + parts
        return stats

    def _first_parts(self, metric: Metric, window: Window, stats: FetchStats) -> list[Part]:
        whole = Part(window.start, window.last)
        if metric.name in self._by_cluster:
            return self._cut_by_cluster(metric, window, whole, stats)
        span_s = self._spans.get(metric.name, 0) * window.step_s
        if not span_s:
            return [whole]
        starts = range(window.start, window.last + 1, span_s)
        return [Part(at, min(at + span_s - window.step_s, window.last)) for at in starts]

    def _ask(
        self, metric: Metric, window: Window, part: Part, spool: Spool, stats: FetchStats
    ) -> None:
        def attempt() -> None:
            self._mimir.wait_for_turn()
            stats.attempts += 1
            spool.begin_part()
            started = self._clock()
            try:
                self._stream(metric, window, part, spool, stats)
            except BaseException:
                spool.drop_part()
                raise
            finally:
                stats.query_s += self._clock() - started

        try:
            self._with_retries(attempt, stats)
        except TryLaterError as error:
            # A gateway's time-out that waiting does not cure is a query that takes too long.
            if error.cut_if_persistent and part.first < part.last:
                raise TooLargeError(str(error)) from error
            raise
        stats.parts += 1

    def _with_retries(self, action: Callable[[], T], stats: FetchStats) -> T:
        def tell(error: TryLaterError, attempt: int, wait_s: float) -> None:
            stats.told_retries += 1
            if stats.told_retries <= TOLD_RETRIES:
                logger.warning(
                    "query retried",
                    extra={"attempt": attempt, "wait_s": round(wait_s, 1), "reason": str(error)},
                )

        return with_retries(action, self._deadline, sleep=self._sleep, waiting=tell)

    def _stream(
        self, metric: Metric, window: Window, part: Part, spool: Spool, stats: FetchStats
    ) -> None:
        promql = metric.promql(self._settings.cluster_label, part.cluster)
        label = self._settings.cluster_label if self._settings.split_by_cluster else None
        splitter = Splitter(label, self._settings.cluster_name, spool.add)
        with self._mimir.query_range(promql, part.first, part.last, window.step_s) as blocks:
            try:
                for block in blocks:
                    splitter.feed(block)
                envelope = splitter.finish()
            except AnswerError as error:
                # An answer that was cut off without a length looks just like this.
                text = self._mimir.hide(str(error))
                raise TryLaterError(
                    f"Mimir's answer cannot be read: {text}", cut_if_persistent=True
                ) from None
        self._judge(envelope)
        stats.infos += tuple(map(self._mimir.hide, envelope.infos))

    def _judge(self, envelope: Envelope) -> None:
        if envelope.status != "success":
            text = self._mimir.hide(f"{envelope.error_type}: {envelope.error}")
            raise TryLaterError(f"Mimir answered 200 with the error {text[:300]}.")
        missing = missing_data(envelope.warnings, is_partial=envelope.is_partial)
        if missing is not None:
            raise TryLaterError(
                f"Mimir warns that the answer may be incomplete: {self._mimir.hide(missing)}."
            )

    def _cut_in_time(self, metric: Metric, window: Window, part: Part) -> list[Part]:
        pieces = halves(part.first, part.last, window.step_s)
        if pieces is None:
            return []
        if part.cluster is None:
            first, last = pieces[0]
            steps = (last - first) // window.step_s + 1
            # The smallest: a part that was cut later may have been a longer one.
            self._spans[metric.name] = min(steps, self._spans.get(metric.name, steps))
        return [replace(part, first=first, last=last) for first, last in pieces]

    def _cut_by_cluster(
        self, metric: Metric, window: Window, part: Part, stats: FetchStats
    ) -> list[Part]:
        """One part for each cluster and one for series without the label: together the whole."""
        if part.cluster is not None or not metric.can_cut_by_cluster:
            return []
        # A query looks back, so its first steps may hold a series that ended before the window.
        begin = max(0, window.start - metric.look_back_s)
        values = self._with_retries(
            lambda: self._mimir.label_values(self._settings.cluster_label, begin, window.end),
            stats,
        )
        self._by_cluster.add(metric.name)
        return [replace(part, cluster=value) for value in sorted({"", *values})]

    @staticmethod
    def _smaller(
        parts: list[Part], window: Window, error: QueryError, stats: FetchStats
    ) -> list[Part]:
        """The parts, counted and told; an error where there are none."""
        if not parts:
            raise RejectedError(
                f"Even one step of one cluster is too much: {error} Raise Mimir's limit, or narrow "
                "the query (a query of your own needs $matchers to be cut by cluster)."
            ) from error
        stats.cuts += 1
        way = "in time" if parts[0].first != parts[-1].first else "by cluster"
        span_s = parts[0].last - parts[0].first + window.step_s
        # Each half may be refused in its turn: a size that has been told is not told again.
        if span_s < stats.told_cuts.get(way, span_s + 1):
            stats.told_cuts[way] = span_s
            logger.info(
                "query cut",
                extra={"cut": way, "parts": len(parts), "part_s": span_s, "reason": str(error)},
            )
        return parts
