"""One metric-window: queried whole, and split where the server refuses it whole.

Refused for its size, a query is split in time, down to one step, and then by cluster; refused for
its number of series, it is split by cluster at once. All parts land in the same files.

By cluster the parts are sets of clusters, halved until they fit, and the complement of all of
them. So a list of clusters that lacks some costs a larger last part, and no data.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar
from urllib.parse import quote_plus

from .. import log
from ..answer.split import AnswerError, Envelope, Splitter
from ..answer.spool import Spool
from ..catalog.metrics import MATCHERS, Metric
from ..errors import (
    ErrorDetails,
    QueryError,
    RejectedError,
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
from .parts import EVERYTHING, ClusterSet, Part, complements, matcher_bytes
from .refusals import missing_data
from .retry import with_retries

T = TypeVar("T")

# Waits of one metric-window that are logged one by one; the rest is in their count.
LOGGED_RETRIES = 5
# A refusal that does not say whether it is about size is tried in halves so often, and then at
# once in the smallest part: what refuses that too is not about size.
UNCLEAR_HALVES = 2


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
    logged_retries: int = 0
    logged_cuts: dict[str, int] = field(default_factory=dict)

    @property
    def retries(self) -> int:
        """Attempts that gave neither an answer nor a smaller part."""
        return self.attempts - self.parts - self.cuts


@dataclass
class _Known:
    """What worked for a metric so far in this run; 0 where nothing had to be split.

    In steps, as windows of an older grid have others.
    """

    steps: int = 0  # of all clusters
    by_cluster: bool = False
    clusters: int = 0  # in a set, over a whole window
    cluster_steps: int = 0  # of one cluster
    in_time_only: bool = False

    def note_steps(self, part: Part, step_s: int) -> None:
        steps = (part.last - part.first) // step_s + 1
        # The smallest: a part that was split later may have been a longer one.
        if part.clusters == EVERYTHING:
            self.steps = min(steps, self.steps or steps)
        else:
            self.cluster_steps = min(steps, self.cluster_steps or steps)


class _ForeignClusterError(Exception):
    """An answer has a cluster that its matchers do not select."""

    def __init__(self, details: ErrorDetails) -> None:
        super().__init__(str(details))
        self.details = details


@dataclass
class Remaining:
    """What of a metric-window is not in its spool yet: all of it while `parts` is None. `answered`
    counts the parts that came into it."""

    parts: list[Part] | None = None
    answered: int = 0


@dataclass
class _Job:
    """One metric-window at work."""

    metric: Metric
    window: Window
    spool: Spool
    known: _Known
    remaining: Remaining
    stats: FetchStats = field(default_factory=FetchStats)
    unclear: int = 0  # refusals that may or may not be about size
    is_size: bool = False  # a smaller part was answered after one

    @property
    def may_split_by_cluster(self) -> bool:
        return self.metric.can_cut_by_cluster and not self.known.in_time_only

    def span_s(self, steps: int) -> int:
        return steps * self.window.step_s


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
        self._clusters = ClusterNames(settings, mimir)
        self._known: dict[str, _Known] = {}
        self.answers = 0  # of queries that read series, so far
        self._not_size: set[str] = set()  # refusals that the smallest part got too

    def fetch(
        self, metric: Metric, window: Window, spool: Spool, remaining: Remaining | None = None
    ) -> FetchStats:
        """Put every series of `metric` in `window` into `spool`, or of the parts that remain.

        Raises QueryError when the metric has to be given up for now, StopRunError when the
        endpoint has: the spool is useless then. Raises OutOfTimeError when the deadline passes:
        the spool has all but what then remains.
        """
        remaining = remaining or Remaining()
        job = _Job(metric, window, spool, self._known.setdefault(metric.name, _Known()), remaining)
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

    def hide(self, text: str) -> str:
        """The text without the credentials."""
        return self._mimir.hide(text)

    def _fetch(self, job: _Job) -> None:
        remaining = job.remaining
        if remaining.parts is None:
            remaining.parts = self._first_parts(job)
        while remaining.parts:
            part, *others = remaining.parts
            error = self._try(job, part)
            if error is None:
                remaining.parts = others
                remaining.answered += 1
                continue
            smaller = self._smaller(job, part, error)
            if part.clusters == EVERYTHING and smaller and smaller[0].clusters != EVERYTHING:
                others = []  # all that remained was of all clusters, and is in these
            self._count_split(job, part, smaller, error)
            remaining.parts = smaller + others

    def _first_parts(self, job: _Job) -> list[Part]:
        whole = Part(job.window.start, job.window.last)
        if job.may_split_by_cluster and job.known.by_cluster:
            return self._cluster_parts(job, whole)
        return whole.pieces(job.span_s(job.known.steps), job.window.step_s)

    def _smaller(self, job: _Job, part: Part, error: QueryError) -> list[Part]:
        """Parts that make up this one, or from its first step on all that remains by cluster.

        Raises RejectedError where there are none.
        """
        if isinstance(error, UnclearRefusalError) and not job.is_size:
            job.unclear += 1
            if error.signature in self._not_size:
                raise RejectedError(error.details) from error
        smaller: list[Part] = []
        by_cluster = job.may_split_by_cluster
        if by_cluster and (isinstance(error, TooManySeriesError) or part.clusters != EVERYTHING):
            smaller = self._by_cluster(job, part)
        smaller = smaller or self._in_time(job, part)
        if not smaller and by_cluster and part.clusters == EVERYTHING:
            smaller = self._by_cluster(job, part)
        if smaller:
            return smaller
        if isinstance(error, UnclearRefusalError) and not job.is_size:
            self._not_size.add(error.signature)
            raise RejectedError(error.details) from error
        raise errors.QUERY_EXCEEDS_LIMITS(cause=error.details.found) from error

    def _in_time(self, job: _Job, part: Part) -> list[Part]:
        """Halves, or after several unclear refusals the first step and the rest."""
        step_s = job.window.step_s
        if job.unclear > UNCLEAR_HALVES and not job.is_size and part.first < part.last:
            return [replace(part, last=part.first), replace(part, first=part.first + step_s)]
        halves = part.in_time(step_s)
        if halves:
            job.known.note_steps(halves[0], step_s)
        return list(halves)

    def _by_cluster(self, job: _Job, part: Part) -> list[Part]:
        """Sets of clusters, and as the last one their complement; none where none are known."""
        if part.clusters == EVERYTHING:
            return self._cluster_parts(job, replace(part, last=job.window.last))
        halves = part.clusters.halves()
        if halves:
            job.known.clusters = len(halves[0].names)
            return [replace(part, clusters=half) for half in halves]
        return self._refine(job, part) if part.clusters.is_complement else []

    def _cluster_parts(self, job: _Job, rest: Part) -> list[Part]:
        """What remains of a window by cluster; none where no cluster is known."""
        known, label = job.known, self._settings.cluster_label
        retry = partial(self._with_retries, stats=job.stats)
        names = self._clusters.of_window(job.metric, job.window, rest, retry)
        found = complements(names, label, self._matcher_bytes(job))
        most = max(len(one.names) for one in found)
        if not most:
            return []
        known.by_cluster = True
        known.clusters = known.clusters or (most if len(found) > 1 else (most + 1) // 2)
        sets = [chunk for one in found for chunk in one.chunks(known.clusters)]
        if job.unclear and not job.is_size:
            return self._probe(job, rest, sets) + [replace(rest, clusters=one) for one in found]
        span_s = job.span_s(known.cluster_steps) if known.clusters == 1 else 0
        return [
            piece
            for one in (*sets, *found)
            for piece in replace(rest, clusters=one).pieces(
                0 if one.is_complement else span_s, job.window.step_s
            )
        ]

    def _probe(self, job: _Job, rest: Part, sets: list[ClusterSet]) -> list[Part]:
        """The sets, but of the first one the smallest part that there is."""
        first, *others = sets
        one, more = ClusterSet(first.names[:1]), ClusterSet(first.names[1:])
        after = rest.first + job.window.step_s
        parts = [replace(rest, last=rest.first, clusters=one)]
        if after <= rest.last:
            parts.append(replace(rest, first=after, clusters=one))
        return parts + [replace(rest, clusters=one) for one in (more, *others) if one.names]

    def _refine(self, job: _Job, part: Part) -> list[Part]:
        """Sets of clusters that the list had lacked, and what then remains of a complement."""
        begins = part.first in (job.window.start, part.last)
        if not begins:
            return []
        limit, label = self._matcher_bytes(job), self._settings.cluster_label
        retry = partial(self._with_retries, stats=job.stats)
        new = self._clusters.discover(job.metric, job.window, part, retry)
        rest, fitting = part.clusters.without(new, label, limit)
        if not fitting.names:
            return []
        half = (len(fitting.names) + 1) // 2
        sets = fitting.chunks(min(job.known.clusters or half, half))
        return [replace(part, clusters=one) for one in (*sets, rest)]

    def _matcher_bytes(self, job: _Job) -> int:
        query = job.metric.promql(self._settings.cluster_label)
        return matcher_bytes(len(quote_plus(query)), job.metric.query.count(MATCHERS))

    def _try(self, job: _Job, part: Part) -> QueryError | None:
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
            # A gateway's time-out that waiting does not cure is a query that takes too long.
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

    def _stream(self, job: _Job, part: Part) -> None:
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
        with self._mimir.query_range(promql, part.first, part.last, job.window.step_s) as blocks:
            try:
                for block in blocks:
                    splitter.feed(block)
                envelope = splitter.finish()
            except AnswerError as error:
                # An answer that was cut off without a length looks just like this.
                kind = errors.ANSWER_IS_PAGE if error.is_page else errors.ANSWER_UNREADABLE
                raise kind(cause=self._mimir.hide(str(error))) from None
        self._judge(envelope)
        job.stats.infos += tuple(map(self._mimir.hide, envelope.infos))

    def _judge(self, envelope: Envelope) -> None:
        if envelope.status != "success":
            text = self._mimir.hide(f"{envelope.error_type}: {envelope.error}")
            raise errors.ANSWER_IS_ERROR(cause=text)
        missing = missing_data(envelope.warnings, is_partial=envelope.is_partial)
        if missing is not None:
            raise errors.PARTIAL_ANSWER(cause=self._mimir.hide(missing))

    @staticmethod
    def _count_split(job: _Job, part: Part, parts: list[Part], error: QueryError) -> None:
        """Count a split, and log it where its parts are smaller than any before."""
        stats = job.stats
        stats.cuts += 1
        way = "by_time" if parts[0].clusters == part.clusters else "by_cluster"
        span_s = parts[0].last - parts[0].first + job.window.step_s
        # Each half may be refused in its turn: a size that was logged is not logged again.
        if span_s < stats.logged_cuts.get(way, span_s + 1):
            stats.logged_cuts[way] = span_s
            log.QUERY_SPLIT(split=way, parts=len(parts), part_s=span_s, error=error)
