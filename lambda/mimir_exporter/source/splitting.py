"""How a metric-window is split, and what worked for a metric before.

Refused for its size, a query is split in time, down to one step, and then by cluster; refused for
its number of series, it is split by cluster at once.

By cluster the parts are sets of clusters, halved until they fit, and the complement of all of
them. So a list of clusters that lacks some costs a larger last part, and no data.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol, TypeVar
from urllib.parse import quote_plus

from ..answer.spool import Spool
from ..catalog.metrics import MATCHERS, Metric
from ..errors import QueryError, RejectedError, TooManySeriesError, UnclearRefusalError
from ..errors import source as errors
from ..timeline.windows import Window
from .clusters import ClusterNames
from .parts import EVERYTHING, ClusterSet, Part, complements, matcher_bytes

T = TypeVar("T")

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
class Known:
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


@dataclass
class Remaining:
    """What of a metric-window is not in its spool yet: all of it while `parts` is None. `answered`
    counts the parts that came into it."""

    parts: list[Part] | None = None
    answered: int = 0


@dataclass
class Job:
    """One metric-window at work."""

    metric: Metric
    window: Window
    spool: Spool
    known: Known
    remaining: Remaining
    stats: FetchStats = field(default_factory=FetchStats)
    unclear: int = 0  # refusals that may or may not be about size
    is_size: bool = False  # a smaller part was answered after one

    @property
    def may_split_by_cluster(self) -> bool:
        return self.metric.can_cut_by_cluster and not self.known.in_time_only

    def span_s(self, steps: int) -> int:
        return steps * self.window.step_s


class Retry(Protocol):
    """Does a query, again where that may help, and counts it in `stats`."""

    def __call__(self, action: Callable[[], T], stats: FetchStats) -> T: ...


class PartSplitter:
    """Makes the parts of a job: those to begin with, and smaller ones of a refused one."""

    def __init__(self, label: str, clusters: ClusterNames, retry: Retry) -> None:
        self._label = label
        self._clusters = clusters
        self._retry = retry
        self._not_size: set[str] = set()  # refusals that the smallest part got too

    def first_parts(self, job: Job) -> list[Part]:
        whole = Part(job.window.start, job.window.last)
        if job.may_split_by_cluster and job.known.by_cluster:
            return self._cluster_parts(job, whole)
        return whole.pieces(job.span_s(job.known.steps), job.window.step_s)

    def smaller(self, job: Job, part: Part, error: QueryError) -> list[Part]:
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

    def _in_time(self, job: Job, part: Part) -> list[Part]:
        """Halves, or after several unclear refusals the first step and the rest."""
        step_s = job.window.step_s
        if job.unclear > UNCLEAR_HALVES and not job.is_size and part.first < part.last:
            return [replace(part, last=part.first), replace(part, first=part.first + step_s)]
        halves = part.in_time(step_s)
        if halves:
            job.known.note_steps(halves[0], step_s)
        return list(halves)

    def _by_cluster(self, job: Job, part: Part) -> list[Part]:
        """Sets of clusters, and as the last one their complement; none where none are known."""
        if part.clusters == EVERYTHING:
            return self._cluster_parts(job, replace(part, last=job.window.last))
        halves = part.clusters.halves()
        if halves:
            job.known.clusters = len(halves[0].names)
            return [replace(part, clusters=half) for half in halves]
        return self._refine(job, part) if part.clusters.is_complement else []

    def _cluster_parts(self, job: Job, rest: Part) -> list[Part]:
        """What remains of a window by cluster; none where no cluster is known."""
        known, label = job.known, self._label
        retry = partial(self._retry, stats=job.stats)
        names = self._clusters.of_window(job.metric, job.window, rest, retry)
        found = complements(names, label, self._matcher_bytes(job))
        most = max(len(clusters.names) for clusters in found)
        if not most:
            return []
        known.by_cluster = True
        known.clusters = known.clusters or (most if len(found) > 1 else (most + 1) // 2)
        sets = [chunk for clusters in found for chunk in clusters.chunks(known.clusters)]
        if job.unclear and not job.is_size:
            return self._probe(job, rest, sets) + [
                replace(rest, clusters=clusters) for clusters in found
            ]
        span_s = job.span_s(known.cluster_steps) if known.clusters == 1 else 0
        return [
            piece
            for clusters in (*sets, *found)
            for piece in replace(rest, clusters=clusters).pieces(
                0 if clusters.is_complement else span_s, job.window.step_s
            )
        ]

    def _probe(self, job: Job, rest: Part, sets: list[ClusterSet]) -> list[Part]:
        """The sets, but of the first one the smallest part that there is."""
        first, *others = sets
        smallest, more = ClusterSet(first.names[:1]), ClusterSet(first.names[1:])
        after = rest.first + job.window.step_s
        parts = [replace(rest, last=rest.first, clusters=smallest)]
        if after <= rest.last:
            parts.append(replace(rest, first=after, clusters=smallest))
        return parts + [
            replace(rest, clusters=clusters) for clusters in (more, *others) if clusters.names
        ]

    def _refine(self, job: Job, part: Part) -> list[Part]:
        """Sets of clusters that the list had lacked, and what then remains of a complement."""
        begins = part.first in (job.window.start, part.last)
        if not begins:
            return []
        limit, label = self._matcher_bytes(job), self._label
        retry = partial(self._retry, stats=job.stats)
        new = self._clusters.discover(job.metric, job.window, part, retry)
        rest, fitting = part.clusters.without(new, label, limit)
        if not fitting.names:
            return []
        half = (len(fitting.names) + 1) // 2
        sets = fitting.chunks(min(job.known.clusters or half, half))
        return [replace(part, clusters=clusters) for clusters in (*sets, rest)]

    def _matcher_bytes(self, job: Job) -> int:
        query = job.metric.promql(self._label)
        return matcher_bytes(len(quote_plus(query)), job.metric.query.count(MATCHERS))
