"""The cycle: for each window, for each metric, from Mimir's bytes to the bucket."""

import heapq
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from .. import log
from ..answer.spool import Spool
from ..catalog.metrics import Metric
from ..checkpoint.doubts import doubt_empty
from ..checkpoint.records import GAP_ATTEMPTS, PartialExport
from ..checkpoint.reexports import request_for
from ..checkpoint.state import Checkpoint
from ..checkpoint.store import CheckpointStore
from ..errors import QueryError, RejectedError, TryLaterError
from ..errors import runs as errors
from ..errors.source import EMPTY_UNCONFIRMED, NOTHING_LEFT
from ..source.counts import RawCounter
from ..source.fetch import Fetcher, FetchStats
from ..storage.upload import Export
from ..storage.write import Writer, WriteStats
from ..timeline.deadline import Deadline
from ..timeline.intervals import covers
from ..timeline.windows import Window
from .beginnings import ACCEPT, Beginnings, find_partial, why_partial
from .progress import ProgressRecorder
from .totals import MetricFailure, Totals

# Abort after this many consecutive retryable failures: the endpoint is down.
BUSY_STREAK = 3
# The largest clusters, which a metric's log line names with their bytes.
TOP_CLUSTERS = 5


class Exporter:
    """Exports windows and records each in the checkpoint once all its objects are written.

    `counter` counts the source's samples for the manifest; without one no window can be audited.
    """

    def __init__(
        self,
        catalog: Iterable[Metric],
        fetcher: Fetcher,
        writer: Writer,
        store: CheckpointStore,
        deadline: Deadline,
        *,
        counter: RawCounter | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._catalog: Mapping[str, Metric] = {metric.name: metric for metric in catalog}
        self._fetcher = fetcher
        self._writer = writer
        self._progress = ProgressRecorder(store, clock=clock)
        self._counter = counter
        self._beginnings = Beginnings(self._catalog.values(), fetcher, clock)
        self._deadline = deadline
        self.rejected: set[str] = set()
        self.current: tuple[Window, str] | None = None
        self.totals = Totals()

    def export_window(self, checkpoint: Checkpoint, window: Window, names: Iterable[str]) -> bool:
        """Export these metrics of one window; whether each of them was.

        `checkpoint` is the one that the plan was made of: it says which reexports there are and
        where older files may lie. A metric that Mimir rejected is skipped for the rest of the run.
        Raises StopRunError and OutOfTimeError; what was exported until then is recorded.
        """
        with log.about(window=str(window)):
            return self._export_metrics(checkpoint, window, tuple(names))

    def _export_metrics(
        self, checkpoint: Checkpoint, window: Window, names: tuple[str, ...]
    ) -> bool:
        started, before, done = time.monotonic(), replace(self.totals), list[str]()
        failures = len(self.totals.failures)
        try:
            for name in names:
                if name in self.rejected:
                    continue
                self._deadline.check()
                self.current = (window, name)
                with log.about(metric=name):
                    if self._export_metric(checkpoint, window, self._catalog[name]):
                        done.append(name)
                self._progress.save_if_due()
        finally:
            self._progress.save_in_time()
            failed = [failure.metric for failure in self.totals.failures[failures:]]
            self._log_window(names, done, failed, before, time.monotonic() - started)
        if len(done) == len(self._catalog) and before.samples == self.totals.samples:
            self.totals.empty_windows.append(window)
            log.WINDOW_EMPTY(metric_windows=len(done))
        complete = done == list(names)
        self.totals.windows += complete and bool(names)
        return complete

    def _log_window(
        self,
        names: tuple[str, ...],
        done: list[str],
        failed: list[str],
        before: Totals,
        seconds: float,
    ) -> None:
        """One line of how the window stands; `before` are the totals without it."""
        totals = self.totals
        fields: log.Fields = {
            "metric_windows": len(done),
            "objects": totals.objects - before.objects,
            "series": totals.series - before.series,
            "samples": totals.samples - before.samples,
            "bytes": totals.bytes - before.bytes,
            "seconds": round(seconds, 3),
        }
        if done == list(names):
            if done:
                log.WINDOW_EXPORTED(**fields)
            return
        remaining = [name for name in names if name not in {*done, *failed}]
        fields |= {"failed_metrics": failed, "remaining_metrics": remaining}
        log.WINDOW_INCOMPLETE(**fields)

    def _export_metric(self, checkpoint: Checkpoint, window: Window, metric: Metric) -> bool:
        """Whether it was exported; if not, its failure is recorded."""
        started = time.monotonic()
        forced = _is_forced(checkpoint, metric.name, window)
        try:
            # Before the query: what arrives between the two makes an audit look again.
            raw = self._counter.count_window(metric, window) if self._counter else None
            with Spool(steps=(window.start, window.last)) as spool:
                fetched = self._fetcher.fetch(metric, window, spool)
                if not spool.samples and self._is_forgotten(checkpoint, metric, window):
                    return False
                moved = self._beginnings.find_moved(checkpoint, metric, window, spool.amounts())
                written = self._writer.write(
                    Export(
                        metric,
                        window,
                        raw,
                        force=forced,
                        may_exist=_may_have_files(checkpoint, metric.name, window),
                        unmark=lambda: self._progress.set_pending(metric.name, window),
                        begins=moved.begins if moved else None,
                    ),
                    spool,
                )
        except QueryError as error:
            self._handle_failure(checkpoint, metric, window, error)
            return False
        part = find_partial(checkpoint, metric.name, window, moved, written)
        if part is None:
            self._progress.add_exported(
                *(metric.name, window),
                empty=written.empty,
                seen=checkpoint.requests_made,
            )
        self.totals.add_metric(spool, fetched, written)
        _log_metric(spool, fetched, written, time.monotonic() - started)
        if part is not None:
            self._record_partial(checkpoint, metric, window, part)
        return part is None

    def _record_partial(
        self, checkpoint: Checkpoint, metric: Metric, window: Window, part: PartialExport
    ) -> None:
        details = why_partial(part)
        failure = MetricFailure(metric.name, window, details, checkpoint.requests_made, part)
        _log_failure(checkpoint, failure, for_good=False)
        self.totals.failures.append(failure)
        self._progress.add_failure(failure)

    def _is_forgotten(self, checkpoint: Checkpoint, metric: Metric, window: Window) -> bool:
        """Whether an answer without series is one of a source that has forgotten that time, which
        is recorded. Raises as Fetcher.fetch does, and QueryError where it is not known."""
        exported = checkpoint.metrics[metric.name].exported
        if covers(exported, window.start, window.end):
            return False  # it has its files from before, or retention has deleted them
        if not self._beginnings.is_forgotten(checkpoint, window):
            doubt = doubt_empty(checkpoint, metric.name, window)
            if doubt is None:
                return False
            known = self._catalog.get(doubt.metric)
            if known and doubt.window and self._fetcher.has_series(known, doubt.window):
                return False
            if not doubt.was_gap:
                raise EMPTY_UNCONFIRMED(older=doubt.window)
        details = NOTHING_LEFT.details(event=ACCEPT)
        log.NOTHING_LEFT_TO_EXPORT(error=details)
        self._progress.add_nothing_left(
            MetricFailure(metric.name, window, details, checkpoint.requests_made)
        )
        return True

    def _handle_failure(
        self, checkpoint: Checkpoint, metric: Metric, window: Window, error: QueryError
    ) -> None:
        failure = MetricFailure(metric.name, window, error.details, checkpoint.requests_made)
        _log_failure(checkpoint, failure, for_good=isinstance(error, RejectedError))
        self.totals.failures.append(failure)
        if isinstance(error, TryLaterError):
            if self._progress.defer_failure(failure) >= BUSY_STREAK:
                self._progress.drop_deferred_failures()
                raise errors.CONSECUTIVE_FAILURES(
                    count=BUSY_STREAK, cause=error.details.found, remedy=error.details.remedy
                ) from error
            return
        self._progress.add_failure(failure)
        if isinstance(error, RejectedError):
            self.rejected.add(metric.name)

    def finish(self) -> None:
        """Save the remaining records: the run is over. Raises CheckpointError."""
        self._progress.record_deferred_failures()
        self._progress.save()

    def fail_slow(self, checkpoint: Checkpoint) -> bool:
        """Record that a metric-window needs more than a whole invocation, if one does.

        To be called when the time ran out. Without a single metric exported, the next invocation
        would begin with the same one and not end either. After a metric that failed it had only a
        part of the time, and is queried first the next time.
        """
        if self.totals.metrics or self.totals.failures or self.current is None:
            return False
        window, name = self.current
        details = errors.METRIC_WINDOW_TOO_SLOW.details()
        failure = MetricFailure(name, window, details, checkpoint.requests_made)
        with log.about(window=str(window), metric=name):
            _log_failure(checkpoint, failure, for_good=True)
        self.totals.failures.append(failure)
        self._progress.add_failure(failure)
        self._progress.save()
        return True


def _may_have_files(checkpoint: Checkpoint, name: str, window: Window) -> bool:
    """Whether there may be files of before there were manifests: it was exported, or may have been
    when another label split the files."""
    partition = checkpoint.partition
    return covers(checkpoint.stored(name), window.start, window.end) or (
        partition is not None and window.start < partition.since
    )


def _is_forced(checkpoint: Checkpoint, name: str, window: Window) -> bool:
    """Whether a reexport lets files get fewer samples."""
    repeat = request_for(checkpoint, name, window)
    return repeat is not None and repeat.force


def _log_metric(spool: Spool, fetched: FetchStats, written: WriteStats, seconds: float) -> None:
    largest = heapq.nlargest(
        TOP_CLUSTERS, written.by_cluster.items(), key=lambda item: (item[1], item[0])
    )
    fields: log.Fields = {
        "clusters": len(spool.clusters),
        "series": spool.series,
        "samples": spool.samples,
        "bytes": written.bytes,
        "raw_bytes": spool.raw_bytes,
        "objects": written.objects,
        "query_s": round(fetched.query_s, 3),
        "seconds": round(seconds, 3),
        "parts": fetched.parts,
        "retries": fetched.retries,
        "splits": fetched.cuts,
        # A list, because Logs Insights groups by a value and not by a field's name.
        "top_clusters": [{"cluster": name, "bytes": size} for name, size in largest],
    }
    if fetched.infos:
        fields["annotations"] = sorted(set(fetched.infos))[:5]
    log.METRIC_EXPORTED(**fields)
    if written.kept:
        event = json.dumps({"action": "reexport", "force": True, "start": "…", "end": "…"})
        log.FILES_KEPT(
            objects=written.kept,
            cluster_names=list(written.lost[:TOP_CLUSTERS]),
            error=errors.FEWER_SAMPLES.details(event=event),
        )
    if written.changed:
        log.WINDOW_REPLACED(revision=written.revision, deleted=written.removed)


def _log_failure(checkpoint: Checkpoint, failure: MetricFailure, *, for_good: bool) -> None:
    """`for_good`: waiting alone does not fix it."""
    name, window = failure.metric, failure.window
    before = checkpoint.failure_of(name, window)
    attempt = min((before.attempts if before else 0) + 1, GAP_ATTEMPTS)
    gap = attempt == GAP_ATTEMPTS
    log.METRIC_FAILED(
        level="ERROR" if for_good or gap else "WARNING",
        attempt=attempt,
        gap=gap,
        retry="daily" if gap else "next_run",
        error=failure.error,
    )
