"""A metric-window that takes several invocations: each continues where the one before ended."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .. import __version__, log
from ..answer.spool import Spool
from ..catalog.metrics import Metric
from ..checkpoint.reexports import request_for
from ..checkpoint.state import Checkpoint
from ..errors import ConditionFailedError, ExportError, OutOfTimeError, TryLaterError
from ..source.counts import RawCounter
from ..source.fetch import Fetcher
from ..source.parts import dump_parts, load_parts
from ..source.splitting import FetchStats, Remaining
from ..storage.manifest import Layout
from ..storage.started import Started, StartedStore
from ..timeline.windows import Window
from .ahead import Ahead


@dataclass
class Work:
    """A metric-window at work."""

    metric: Metric
    window: Window
    started: Started
    remaining: Remaining
    fetched: FetchStats | None = None  # what it took, where nothing remains


class PartsKeeper:
    """Fetches metric-windows, and keeps what is done of one when the time runs out."""

    def __init__(
        self,
        fetcher: Fetcher,
        store: StartedStore,
        layout: Layout,
        counter: RawCounter | None,
        ahead: Ahead,
        clock: Callable[[], float],
    ) -> None:
        self._fetcher = fetcher
        self._store = store
        self._layout = layout
        self._counter = counter
        self._ahead = ahead
        self._clock = clock
        self.kept = 0  # metric-windows of which more is done than before

    def plan(self, plan: Iterable[tuple[Window, Sequence[Metric]]]) -> None:
        """These metric-windows come next, in place of any planned before."""
        self._ahead.plan(plan)

    def begin(self, checkpoint: Checkpoint, metric: Metric, window: Window, spool: Spool) -> Work:
        """What was done of it before is in the spool. Raises as `fetch` does."""
        identity = self._identity(metric, window)
        request = request_for(checkpoint, metric.name, window)
        seen = request.number if request else 0
        started = self._store.load(metric.name, window.start, identity, seen=seen, spool=spool)
        if started is not None and started.parts is not None:
            log.PARTS_RESUMED(parts=len(started.parts))
            return Work(metric, window, started, Remaining(load_parts(started.parts)))
        began, known = int(self._clock()), checkpoint.requests_made
        ahead = self._ahead.fetch(metric, window, spool)
        if ahead is not None:
            whole = Started(identity, began, known, ahead.raw)
            return Work(metric, window, whole, Remaining(parts=[]), ahead.stats)
        # Before the query: what arrives between the two makes an audit look again.
        raw = self._counter.count_window(metric, window) if self._counter else None
        fresh = Started(identity, began, known, raw)
        return Work(metric, window, fresh, Remaining())

    def fetch(self, work: Work, spool: Spool) -> FetchStats:
        """All of it, into the spool. Raises as Fetcher.fetch does; when the time is up, or the
        source unavailable, what is done is kept."""
        if work.fetched is not None:
            return work.fetched
        try:
            fetched = self._fetcher.fetch(work.metric, work.window, spool, work.remaining)
        except (OutOfTimeError, TryLaterError):
            self.keep(work, spool)
            raise
        self._ahead.note_size(work.metric, work.window, spool)
        return fetched

    def keep(self, work: Work, spool: Spool) -> None:
        """Keep what is done of it for the next invocation, if anything is that has not been."""
        parts, answered = work.remaining.parts, work.remaining.answered
        if parts is None or not answered or not (parts or answered > 1):
            return
        work.started.parts = dump_parts(parts)
        try:
            self._store.save(work.metric.name, work.window.start, work.started, spool)
        except ConditionFailedError:
            return  # another invocation is at it, and keeps its own
        except ExportError as error:
            log.PARTS_NOT_KEPT(error=error)
            return
        self.kept += 1

    def finish(self, work: Work) -> None:
        """It is exported. Raises StopRunError, OutOfTimeError."""
        self._store.delete(work.metric.name, work.window.start)

    def _identity(self, metric: Metric, window: Window) -> dict[str, object]:
        """All that the series depend on, and how they lie in the spool."""
        return {
            "exporter": __version__,
            "metric": metric.name,
            "query": metric.promql(self._layout.cluster_label),
            "window": [window.start, window.end, window.step_s],
            "cluster_label": self._layout.cluster_label,
            "cluster_name": self._layout.cluster_name,
            "split_by_cluster": self._layout.split_by_cluster,
        }
