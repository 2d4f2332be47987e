"""One metric-window: queried whole, and in parts where the server refuses it whole.

`splitting.py` says in which. All parts land in the same files. Several small ones may be one query.
"""

import random
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from .. import log
from ..answer.slices import SliceError, Slicer, TooMuchError
from ..answer.split import AnswerError, Envelope, Splitter
from ..answer.spool import Spool
from ..catalog.metrics import Metric
from ..errors import (
    ErrorDetails,
    QueryError,
    TooLargeError,
    TooManySeriesError,
    TryLaterError,
    UnclearRefusalError,
)
from ..errors import source as errors
from ..settings.settings import Settings
from ..timeline.deadline import Deadline
from ..timeline.windows import Window
from .api import Mimir
from .clusters import ClusterNames
from .parts import EVERYTHING, Part
from .refusals import missing_data
from .retry import with_retries
from .splitting import FetchStats, Job, Known, PartSplitter, Remaining

T = TypeVar("T")

# Waits of one metric-window that are logged one by one; the rest is in their count.
LOGGED_RETRIES = 5


class _ForeignClusterError(Exception):
    """An answer has a cluster that its matchers do not select."""

    def __init__(self, details: ErrorDetails) -> None:
        super().__init__(str(details))
        self.details = details


class Fetcher:
    """Fills spools from the server. Remembers how metrics had to be split, and begins with that."""

    def __init__(
        self,
        settings: Settings,
        mimir: Mimir,
        deadline: Deadline,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._mimir = mimir
        self._deadline = deadline
        self._sleep = sleep
        self._clock = clock
        self._jitter = jitter
        self._splitter = PartSplitter(
            settings.cluster_label, ClusterNames(settings, mimir), self._with_retries
        )
        self._known: dict[str, Known] = {}
        self.answers = 0  # of queries that read series, so far

    def fetch(
        self, metric: Metric, window: Window, spool: Spool, remaining: Remaining | None = None
    ) -> FetchStats:
        """Put every series of `metric` in `window` into `spool`, or of the parts that remain.

        Raises QueryError when the metric has to be left for now, StopRunError when the
        endpoint has: the spool is useless then. Raises OutOfTimeError when the deadline passes:
        the spool has all but what then remains.
        """
        remaining = remaining or Remaining()
        job = Job(metric, window, spool, self._known.setdefault(metric.name, Known()), remaining)
        job.is_size = remaining.parts is not None
        try:
            self._fetch(job)
        except _ForeignClusterError as error:
            job.known.in_time_only = True
            job.stats.cuts += 1
            log.METRIC_NOT_SPLIT(error=error.details)
            spool.clear()
            remaining.parts = None
            self._fetch(job)
        return job.stats

    def fetch_together(
        self,
        metric: Metric,
        windows: Sequence[Window],
        spools: Sequence[Spool],
        most_bytes: int,
    ) -> FetchStats:
        """Put each of these windows, which touch and are of one step, into its own spool, by one
        query that is not split.

        Raises as `fetch` does, and SliceError where the answer cannot be split by window, or has
        more than `most_bytes` of series: the spools are useless then.
        """
        settings, stats = self._settings, FetchStats()
        label = settings.cluster_label if settings.split_by_cluster else None

        def attempt() -> None:
            self._mimir.wait_for_turn()
            stats.attempts += 1
            for spool in spools:
                spool.clear()
            sinks = [spool.add for spool in spools]
            borders = [*(window.start for window in windows), windows[-1].end]
            slicer = Slicer(borders, sinks, most_bytes)
            splitter = Splitter(label, settings.cluster_name, slicer.add)
            promql, started = metric.promql(settings.cluster_label), self._clock()
            try:
                first, last = windows[0].start, windows[-1].last
                self._read(promql, first, last, windows[0].step_s, splitter, stats)
            finally:
                stats.query_s += self._clock() - started

        self._with_retries(attempt, stats)
        stats.parts += 1
        self.answers += 1
        return stats

    def has_split(self, metric: Metric) -> bool:
        """Whether the server has refused a window of it whole."""
        known = self._known.get(metric.name)
        return known is not None and (known.steps > 0 or known.by_cluster)

    def hide(self, text: str) -> str:
        """The text without the credentials."""
        return self._mimir.hide(text)

    def _fetch(self, job: Job) -> None:
        remaining = job.remaining
        if remaining.parts is None:
            remaining.parts = self._splitter.first_parts(job)
        while remaining.parts:
            part, *others = remaining.parts
            error = self._try(job, part)
            if error is None:
                remaining.parts = others
                remaining.answered += 1
                continue
            smaller = self._splitter.smaller(job, part, error)
            if part.clusters == EVERYTHING and smaller and smaller[0].clusters != EVERYTHING:
                others = []  # all that remained was of all clusters, and is in these
            self._count_split(job, part, smaller, error)
            remaining.parts = smaller + others

    def _try(self, job: Job, part: Part) -> QueryError | None:
        """Fetch a part into the spool; the error where a smaller part may succeed."""

        def attempt() -> None:
            self._mimir.wait_for_turn()
            job.stats.attempts += 1
            job.spool.begin_part()
            started = self._clock()
            try:
                self._stream(job, part)
            except BaseException:
                job.spool.drop_part()
                raise
            finally:
                job.stats.query_s += self._clock() - started

        try:
            self._with_retries(attempt, job.stats)
        except (TooLargeError, TooManySeriesError, UnclearRefusalError) as error:
            return error
        except TryLaterError as error:
            # A gateway's time-out that waiting does not fix is a query that takes too long.
            if error.cut_if_persistent and part.first < part.last:
                return error
            raise
        job.stats.parts += 1
        self.answers += 1
        job.is_size = job.is_size or job.unclear > 0
        return None

    def _with_retries(self, action: Callable[[], T], stats: FetchStats) -> T:
        def log_wait(error: TryLaterError, attempt: int, wait_s: float) -> None:
            stats.logged_retries += 1
            if stats.logged_retries <= LOGGED_RETRIES:
                log.QUERY_RETRIED(attempt=attempt, wait_s=round(wait_s, 1), error=error)

        return with_retries(
            action, self._deadline, sleep=self._sleep, jitter=self._jitter, waiting=log_wait
        )

    def _stream(self, job: Job, part: Part) -> None:
        settings = self._settings
        promql = job.metric.promql(
            settings.cluster_label, part.clusters.matchers(settings.cluster_label)
        )
        by_cluster = part.clusters != EVERYTHING
        label = settings.cluster_label if settings.split_by_cluster or by_cluster else None

        def add_own(cluster: str, run: memoryview, series: int, samples: int) -> None:
            if cluster not in part.clusters:
                raise _ForeignClusterError(
                    errors.NOT_SPLIT_BY_CLUSTER.details(
                        cluster=cluster or "none", label=settings.cluster_label
                    )
                )
            cluster = cluster if settings.split_by_cluster else ""
            job.spool.add(cluster or settings.cluster_name, run, series, samples)

        sink = add_own if by_cluster else job.spool.add
        splitter = Splitter(label, "" if by_cluster else settings.cluster_name, sink)
        self._read(promql, part.first, part.last, job.window.step_s, splitter, job.stats)

    def _read(
        self,
        promql: str,
        first: int,
        last: int,
        step_s: int,
        splitter: Splitter,
        stats: FetchStats,
    ) -> None:
        """Put the answer to a range query through `splitter`. Raises where it is not whole."""
        with self._mimir.query_range(promql, first, last, step_s) as blocks:
            try:
                for block in blocks:
                    splitter.feed(block)
                envelope = splitter.finish()
            except AnswerError as error:
                # An answer that was cut off without a length looks just like this.
                kind = errors.ANSWER_IS_PAGE if error.is_page else errors.ANSWER_UNREADABLE
                raise kind(cause=self._mimir.hide(str(error))) from None
            except TooMuchError:
                raise
            except SliceError:
                for _ in blocks:  # what was damaged on its way shows at its end, and is retried
                    pass
                raise
        self._judge(envelope)
        stats.infos += tuple(map(self._mimir.hide, envelope.infos))

    def _judge(self, envelope: Envelope) -> None:
        if envelope.status != "success":
            text = self._mimir.hide(f"{envelope.error_type}: {envelope.error}")
            raise errors.ANSWER_IS_ERROR(cause=text)
        missing = missing_data(envelope.warnings, is_partial=envelope.is_partial)
        if missing is not None:
            raise errors.PARTIAL_ANSWER(cause=self._mimir.hide(missing))

    @staticmethod
    def _count_split(job: Job, part: Part, parts: list[Part], error: QueryError) -> None:
        """Count a split, and log it where its parts are smaller than any before."""
        stats = job.stats
        stats.cuts += 1
        way = "by_time" if parts[0].clusters == part.clusters else "by_cluster"
        span_s = parts[0].last - parts[0].first + job.window.step_s
        # Each half may be refused in its turn: a size that was logged is not logged again.
        if span_s < stats.logged_cuts.get(way, span_s + 1):
            stats.logged_cuts[way] = span_s
            log.QUERY_SPLIT(split=way, parts=len(parts), part_s=span_s, error=error)
