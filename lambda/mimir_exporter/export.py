"""The cycle: for each window, for each metric, from Mimir's bytes to the bucket."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from aws_lambda_powertools import Logger

from .catalog import Metric
from .checkpoint import Checkpoint
from .deadline import Deadline
from .errors import QueryError, RejectedError, StopRunError, TryLaterError
from .fetch import Fetcher
from .spool import Spool
from .store import CheckpointStore
from .windows import Window
from .write import Writer

logger = Logger()

# So many metrics in a row that only waiting could cure are no longer their own fault.
BUSY_STREAK = 3
# A window that takes long keeps what it has done at least this often.
SAVE_EVERY_S = 60.0


@dataclass(frozen=True)
class MetricFailure:
    """One metric of one window that was given up for now, and why."""

    metric: str
    window: Window
    reason: str


@dataclass
class Totals:
    """What a run did. `bytes` are compressed, as written."""

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
        self._done: list[tuple[str, Window, bool]] = []
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
        asked = tuple(names)
        names = [name for name in asked if name not in self.rejected]
        failures = len(self.totals.failures)
        samples = self.totals.samples
        try:
            for name in names:
                self._deadline.check()
                self.at_work = (window, name)
                self._export_metric(checkpoint, window, self._catalog[name])
                if self._clock() - self._saved_at > SAVE_EVERY_S:
                    self._save()
        finally:
            self._save()
        if len(names) == len(self._catalog) and samples == self.totals.samples:
            self.totals.empty_windows.append(window)
        complete = failures == len(self.totals.failures) and len(names) == len(asked)
        self.totals.windows += complete and bool(names)
        return complete

    def _export_metric(self, checkpoint: Checkpoint, window: Window, metric: Metric) -> None:
        started = time.monotonic()
        repeat = checkpoint.repeat_of(metric.name, window)
        labelling = checkpoint.labelling
        try:
            with Spool() as spool:
                fetched = self._fetcher.fetch(metric, window, spool)
                written = self._writer.write(
                    metric,
                    window,
                    spool,
                    force=repeat is not None and repeat.force,
                    sweep=labelling is not None and window.start < labelling.since,
                )
                series, samples, clusters = spool.series, spool.samples, len(spool.clusters)
                raw_bytes = spool.raw_bytes
        except QueryError as error:
            self._give_up(metric, window, error)
            return
        self._settle_busy()
        self._done.append((metric.name, window, samples == 0))
        totals = self.totals
        totals.metrics += 1
        totals.objects += written.objects
        totals.kept += written.kept
        totals.series += series
        totals.samples += samples
        totals.bytes += written.bytes
        totals.raw_bytes += raw_bytes
        totals.retries += fetched.retries
        totals.cuts += fetched.cuts
        totals.query_s += fetched.query_s
        fields = {
            "window": str(window),
            "metric": metric.name,
            "clusters": clusters,
            "series": series,
            "samples": samples,
            "bytes": written.bytes,
            "raw_bytes": raw_bytes,
            "objects": written.objects,
            "query_s": round(fetched.query_s, 3),
            "total_s": round(time.monotonic() - started, 3),
            "parts": fetched.parts,
            "retries": fetched.retries,
        }
        if fetched.infos:
            fields["infos"] = sorted(set(fetched.infos))[:5]
        logger.info("metric exported", extra=fields)
        if written.kept:
            logger.warning(
                "files kept: the bucket has more samples than Mimir has now",
                extra={"window": str(window), "metric": metric.name, "kept": written.kept},
            )

    def _give_up(self, metric: Metric, window: Window, error: QueryError) -> None:
        failure = MetricFailure(metric.name, window, str(error))
        logger.error(
            "metric failed",
            extra={"window": str(window), "metric": metric.name, "reason": failure.reason},
        )
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

    def fail_slow(self) -> bool:
        """Record that a metric needs more than a whole invocation, if one does.

        To be called when the time ran out: without a single metric done, asking for the same one
        again would not end.
        """
        if self.totals.metrics or self.at_work is None:
            return False
        window, name = self.at_work
        reason = (
            "One metric of one window takes longer than the function may run; set a smaller "
            "TIME_FRAME, a longer timeout_s or more memory_mb."
        )
        self.totals.failures.append(MetricFailure(name, window, reason))
        self._failed.append(self.totals.failures[-1])
        self._save()
        return True

    def _save(self) -> None:
        self._saved_at = self._clock()
        done, failed = self._done, self._failed
        if not done and not failed:
            return
        now = int(self._clock())

        def record(checkpoint: Checkpoint) -> None:
            for name, window, empty in done:
                checkpoint.mark_exported(name, window, empty=empty)
            for failure in failed:
                checkpoint.mark_failed(failure.metric, failure.window, failure.reason, now)

        self._store.update(record)
        self._done, self._failed = [], []
