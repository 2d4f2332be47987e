"""The cycle: for each window, for each metric, from Mimir's bytes to the bucket."""

import heapq
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from aws_lambda_powertools import Logger

from ..answer.spool import Spool
from ..catalog.metrics import Metric
from ..checkpoint.outcomes import mark_exported, mark_failed
from ..checkpoint.records import GAP_ATTEMPTS
from ..checkpoint.reexports import request_for
from ..checkpoint.state import Checkpoint
from ..checkpoint.store import CheckpointStore
from ..errors import QueryError, RejectedError, StopRunError, TryLaterError
from ..source.fetch import Fetcher, FetchStats
from ..storage.write import Writer, WriteStats
from ..timeline.deadline import Deadline
from ..timeline.intervals import covers
from ..timeline.windows import Window

logger = Logger()

# So many metrics in a row that only waiting could cure are no longer their own fault.
BUSY_STREAK = 3
# A window that takes long keeps what it has done at least this often.
SAVE_EVERY_S = 60.0
# So many clusters, the largest, are named with their bytes in a metric's log line.
TOP_CLUSTERS = 5


@dataclass(frozen=True)
class MetricFailure:
    """One metric of one window that was given up for now, and why.

    `forced`: a repetition with `force` was tried.
    """

    metric: str
    window: Window
    reason: str
    forced: bool = False


@dataclass(frozen=True)
class _Done:
    """One metric of one window whose objects are written, and that is to be recorded."""

    metric: str
    window: Window
    empty: bool
    forced: bool


@dataclass
class Totals:
    """What a run did. `bytes` are compressed, as written; `raw_bytes` are as Mimir sent them.

    `query_s` is as in FetchStats.
    """

    windows: int = 0
    metrics: int = 0
    objects: int = 0
    kept: int = 0
    series: int = 0
    samples: int = 0
    bytes: int = 0
    raw_bytes: int = 0
    retries: int = 0
    cuts: int = 0
    query_s: float = 0.0
    failures: list[MetricFailure] = field(default_factory=list)
    empty_windows: list[Window] = field(default_factory=list)


class Exporter:
    """Exports windows and records each in the checkpoint once all its objects are written."""

    def __init__(
        self,
        catalog: Iterable[Metric],
        fetcher: Fetcher,
        writer: Writer,
        store: CheckpointStore,
        deadline: Deadline,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._catalog: Mapping[str, Metric] = {metric.name: metric for metric in catalog}
        self._fetcher = fetcher
        self._writer = writer
        self._store = store
        self._deadline = deadline
        self._clock = clock
        self._done: list[_Done] = []
        self._failed: list[MetricFailure] = []
        self._busy: list[MetricFailure] = []
        self._saved_at = clock()
        self.rejected: set[str] = set()
        self.at_work: tuple[Window, str] | None = None
        self.totals = Totals()

    def export_window(self, checkpoint: Checkpoint, window: Window, names: Iterable[str]) -> bool:
        """Export these metrics of one window; whether each of them was.

        `checkpoint` says what was asked for again and where older files may lie. A metric that
        Mimir rejected is not asked for again in this run. Raises StopRunError and
        OutOfTimeError; what was done until then is saved.
        """
        with logger.append_context_keys(window=str(window)):
            return self._export_metrics(checkpoint, window, tuple(names))

    def _export_metrics(
        self, checkpoint: Checkpoint, window: Window, asked: tuple[str, ...]
    ) -> bool:
        started, before, done = time.monotonic(), replace(self.totals), list[str]()
        failures = len(self.totals.failures)
        try:
            for name in asked:
                if name in self.rejected:
                    continue
                self._deadline.check()
                self.at_work = (window, name)
                with logger.append_context_keys(metric=name):
                    if self._export_metric(checkpoint, window, self._catalog[name]):
                        done.append(name)
                if self._clock() - self._saved_at > SAVE_EVERY_S:
                    self._save()
        finally:
            self._save()
            failed = [one.metric for one in self.totals.failures[failures:]]
            self._tell_window(asked, done, failed, before, time.monotonic() - started)
        if len(done) == len(self._catalog) and before.samples == self.totals.samples:
            self.totals.empty_windows.append(window)
            logger.warning("window empty", extra={"metrics": len(done)})
        complete = done == list(asked)
        self.totals.windows += complete and bool(asked)
        return complete

    def _tell_window(
        self,
        asked: tuple[str, ...],
        done: list[str],
        failed: list[str],
        before: Totals,
        seconds: float,
    ) -> None:
        """One line of how the window stands; `before` are the totals without it."""
        totals = self.totals
        fields = {
            "metrics": len(done),
            "objects": totals.objects - before.objects,
            "series": totals.series - before.series,
            "samples": totals.samples - before.samples,
            "bytes": totals.bytes - before.bytes,
            "seconds": round(seconds, 3),
        }
        if done == list(asked):
            if done:
                logger.info("window exported", extra=fields)
            return
        left = [name for name in asked if name not in {*done, *failed}]
        logger.info("window incomplete", extra={**fields, "failed": failed, "left": left})

    def _export_metric(self, checkpoint: Checkpoint, window: Window, metric: Metric) -> bool:
        """Whether it was exported, and not given up for now."""
        started = time.monotonic()
        forced = _is_forced(checkpoint, metric.name, window)
        labelling = checkpoint.partition
        try:
            with Spool() as spool:
                fetched = self._fetcher.fetch(metric, window, spool)
                written = self._writer.write(
                    metric,
                    window,
                    spool,
                    force=forced,
                    sweep=labelling is not None and window.start < labelling.since,
                )
        except QueryError as error:
            self._give_up(checkpoint, metric, window, error)
            return False
        self._settle_busy()
        self._done.append(_Done(metric.name, window, spool.samples == 0, forced))
        self._count(spool, fetched, written)
        _tell_metric(spool, fetched, written, time.monotonic() - started)
        return True

    def _count(self, spool: Spool, fetched: FetchStats, written: WriteStats) -> None:
        totals = self.totals
        totals.metrics += 1
        totals.objects += written.objects
        totals.kept += written.kept
        totals.series += spool.series
        totals.samples += spool.samples
        totals.bytes += written.bytes
        totals.raw_bytes += spool.raw_bytes
        totals.retries += fetched.retries
        totals.cuts += fetched.cuts
        totals.query_s += fetched.query_s

    def _give_up(
        self, checkpoint: Checkpoint, metric: Metric, window: Window, error: QueryError
    ) -> None:
        forced = _is_forced(checkpoint, metric.name, window)
        failure = MetricFailure(metric.name, window, str(error), forced)
        _tell_failure(checkpoint, failure, for_good=isinstance(error, RejectedError))
        self.totals.failures.append(failure)
        if isinstance(error, TryLaterError):
            self._busy.append(failure)
            if len(self._busy) >= BUSY_STREAK:
                # Not these metrics' fault: they keep their attempts for when they have one.
                self._busy.clear()
                raise StopRunError(
                    f"{BUSY_STREAK} metrics in a row got no answer; the last reason: {error} "
                    "Nothing is lost, the next run goes on."
                ) from error
            return
        self._settle_busy()
        self._failed.append(failure)
        if isinstance(error, RejectedError):
            self.rejected.add(metric.name)

    def finish(self) -> None:
        """Save what is not saved yet; the run is over."""
        self._settle_busy()
        self._save()

    def _settle_busy(self) -> None:
        self._failed += self._busy
        self._busy.clear()

    def fail_slow(self, checkpoint: Checkpoint) -> bool:
        """Record that a metric needs more than a whole invocation, if one does.

        To be called when the time ran out: without a single metric done, asking for the same one
        again would not end. After one that failed it had not the whole of it, and is asked for
        first the next time.
        """
        if self.totals.metrics or self.totals.failures or self.at_work is None:
            return False
        window, name = self.at_work
        reason = (
            "One metric of one window takes longer than the function may run; set a smaller "
            "TIME_FRAME, a longer timeout_s or more memory_mb."
        )
        failure = MetricFailure(name, window, reason, _is_forced(checkpoint, name, window))
        with logger.append_context_keys(window=str(window), metric=name):
            _tell_failure(checkpoint, failure, for_good=True)
        self.totals.failures.append(failure)
        self._failed.append(failure)
        self._save()
        return True

    def _save(self) -> None:
        self._saved_at = self._clock()
        done, failed = self._done, self._failed
        if not done and not failed:
            return
        now = int(self._clock())

        def record(checkpoint: Checkpoint) -> None:
            for one in done:
                mark_exported(
                    checkpoint, one.metric, one.window, empty=one.empty, forced=one.forced
                )
            for failure in failed:
                mark_failed(
                    checkpoint,
                    failure.metric,
                    failure.window,
                    failure.reason,
                    now,
                    forced=failure.forced,
                )

        self._store.update(record)
        self._done, self._failed = [], []


def _is_forced(checkpoint: Checkpoint, name: str, window: Window) -> bool:
    """Whether a repetition allows files to become less."""
    repeat = request_for(checkpoint, name, window)
    return repeat is not None and repeat.force


def _tell_metric(spool: Spool, fetched: FetchStats, written: WriteStats, seconds: float) -> None:
    largest = heapq.nlargest(
        TOP_CLUSTERS, written.by_cluster.items(), key=lambda item: (item[1], item[0])
    )
    fields = {
        "clusters": len(spool.clusters),
        "series": spool.series,
        "samples": spool.samples,
        "bytes": written.bytes,
        "raw_bytes": spool.raw_bytes,
        "objects": written.objects,
        "query_s": round(fetched.query_s, 3),
        "total_s": round(seconds, 3),
        "parts": fetched.parts,
        "retries": fetched.retries,
        "cuts": fetched.cuts,
        # A list, because Logs Insights groups by a value and not by a field's name.
        "top_clusters": [{"cluster": name, "bytes": size} for name, size in largest],
    }
    if fetched.infos:
        fields["infos"] = sorted(set(fetched.infos))[:5]
    logger.info("metric exported", extra=fields)
    if written.kept:
        logger.warning(
            "files kept",
            extra={
                "kept": written.kept,
                "reason": "The bucket has more samples than Mimir has now, as it does past "
                'Mimir\'s retention; {"action": "export", "force": true} with the window\'s start '
                "and end would replace them.",
            },
        )


def _tell_failure(checkpoint: Checkpoint, failure: MetricFailure, *, for_good: bool) -> None:
    """The line of a metric that was given up; `for_good` where waiting alone does not cure it."""
    name, window = failure.metric, failure.window
    before = checkpoint.failure_of(name, window)
    attempt = min((before.attempts if before else 0) + 1, GAP_ATTEMPTS)
    is_again = covers(checkpoint.stored(name), window.start, window.end)
    fields = {
        "attempt": attempt,
        "gap": not is_again and attempt == GAP_ATTEMPTS,
        "reason": failure.reason,
    }
    if is_again:
        fields["next"] = "its files from before stay; ask for the export again"
    elif fields["gap"]:
        fields["next"] = "once a day; export the window by hand once the cause is mended"
    else:
        fields["next"] = "the next run tries again"
    if for_good or fields["gap"]:
        logger.error("metric failed", extra=fields)
    else:
        logger.warning("metric failed", extra=fields)
