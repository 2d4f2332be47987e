"""The cycle: for each window, for each metric, from Mimir's bytes to the bucket."""

import errno
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from .. import log
from ..answer.spool import Spool
from ..catalog.metrics import Metric
from ..checkpoint.doubts import doubt_empty
from ..checkpoint.reexports import request_for
from ..checkpoint.state import Checkpoint
from ..checkpoint.store import CheckpointStore
from ..errors import (
    ExportError,
    OutOfTimeError,
    QueryError,
    RefusedError,
    SettingsError,
    StopRunError,
)
from ..errors import runs as errors
from ..errors.source import EMPTY_UNCONFIRMED, NO_TEMPORARY_SPACE, NOTHING_LEFT
from ..source.fetch import Fetcher
from ..source.look import SeriesLook
from ..source.splitting import FetchStats
from ..storage.manifest import RawCounts
from ..storage.upload import Export
from ..storage.write import Writer
from ..timeline.deadline import Deadline
from ..timeline.intervals import covers
from ..timeline.windows import Window
from .beginnings import ACCEPT, Beginnings, find_partial, why_partial
from .cycle_log import log_metric, log_window
from .failures import FailureJudge
from .neighbours import Neighbours
from .parts import PartsKeeper
from .progress import ProgressRecorder
from .totals import MetricFailure, Totals

# What the system says where a file finds no room.
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class _Answer:
    """What a query came to; `started` is of its beginning, on the monotonic clock."""

    spool: Spool
    raw: RawCounts | None
    fetched: FetchStats
    started: float


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
        look: SeriesLook,
        parts: PartsKeeper,
        neighbours: Neighbours,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._catalog: Mapping[str, Metric] = {metric.name: metric for metric in catalog}
        self._fetcher = fetcher
        self._writer = writer
        self._progress = ProgressRecorder(store, clock=clock)
        self._parts = parts
        self._look = look
        self._beginnings = Beginnings(self._catalog.values(), look, clock)
        self._neighbours = neighbours
        self._deadline = deadline
        self.current: tuple[Window, str] | None = None
        self.totals = Totals()
        self.cured: set[tuple[str, str]] = set()  # metrics with the code of an error before
        self._judge = FailureJudge(self._catalog, look, self._progress, self.totals)

    def export_plan(
        self,
        checkpoint: Checkpoint,
        plan: Sequence[tuple[Window, tuple[str, ...]]],
        *,
        before_window: Callable[[], None] = lambda: None,
    ) -> None:
        """Export what is planned, in order; what fails on the way is put off to the end.

        `checkpoint` is the one that the plan was made of: it says which reexports there are and
        where older files may lie. A metric that fails in one window after the other is skipped for
        the rest of the run. Raises StopRunError and OutOfTimeError; what was exported until then is
        recorded.
        """
        self.totals.plan(plan)
        self._judge.plan(plan)
        self._parts.plan(self._working(checkpoint, plan))
        waiting = deque((window, names, False) for window, names in plan)
        while waiting:
            window, names, last = waiting.popleft()
            before_window()
            with log.about(window=str(window)):
                put_off = self._export_window(checkpoint, window, names, last=last)
            if put_off:
                waiting.append((window, put_off, True))

    def _working(
        self, checkpoint: Checkpoint, plan: Iterable[tuple[Window, Sequence[str]]]
    ) -> Iterator[tuple[Window, list[Metric]]]:
        """What of a plan has not failed before: the rest is queried by itself, and so holds back no
        other window."""
        for window, names in plan:
            yield (
                window,
                [
                    self._catalog[name]
                    for name in names
                    if checkpoint.failure_of(name, window) is None
                ],
            )

    @property
    def has_progressed(self) -> bool:
        """Whether another invocation would begin with less to do."""
        return bool(self.totals.metrics or self._parts.kept)

    def is_given_up(self, name: str) -> bool:
        """Whether this metric is skipped for the rest of the run."""
        return self._judge.is_given_up(name)

    def _export_window(
        self, checkpoint: Checkpoint, window: Window, names: Sequence[str], *, last: bool
    ) -> tuple[str, ...]:
        """The metrics that are put off: those that have failed in this run, unless it is their
        `last` turn, and what remains of the window after several failures in a row."""
        put_off = [] if last else [name for name in names if self._judge.has_failed(name)]
        turn = [name for name in names if name not in put_off and not self._judge.is_given_up(name)]
        started, before, done = time.monotonic(), replace(self.totals), list[str]()
        failures = len(self.totals.failures)
        try:
            while turn:
                query = self._catalog[turn[0]].query
                same = [name for name in turn if self._catalog[name].query == query]
                turn = [name for name in turn if name not in same]
                self._deadline.check()
                self.current = (window, same[0])
                metrics = [self._catalog[name] for name in same]
                with log.about(metric=same[0]), self._recording(checkpoint, window, metrics):
                    self._export_answer(checkpoint, window, metrics, done)
                self._progress.save_if_due()
                if self._judge.is_row:
                    self._judge.settle(checkpoint)
                    put_off, turn = [*turn, *put_off], []
        finally:
            self._progress.save_in_time()
            failed = [failure.metric for failure in self.totals.failures[failures:]]
            log_window(
                self._catalog, self.totals, window, done, failed, before, time.monotonic() - started
            )
        if len(done) == len(self._catalog) and before.samples == self.totals.samples:
            self.totals.empty_windows.append(window)
            log.WINDOW_EMPTY(metric_windows=len(done))
        return tuple(put_off)

    def _export_answer(
        self, checkpoint: Checkpoint, window: Window, metrics: Sequence[Metric], done: list[str]
    ) -> None:
        """Query once and write the answer under each name that it has; those that were exported
        come to `done`. Raises the errors of the query."""
        started = time.monotonic()
        with Spool(steps=(window.start, window.last)) as spool:
            work = self._parts.begin(checkpoint, metrics[0], window, spool)
            fetched = self._parts.fetch(work, spool)
            answer = _Answer(spool, work.started.raw, fetched, started)
            try:
                for metric in metrics:
                    recording = self._recording(checkpoint, window, [metric])
                    with log.about(metric=metric.name), recording:
                        if self._write_metric(checkpoint, window, metric, answer):
                            done.append(metric.name)
                    # The next name has the same answer, and cost no query.
                    answer = replace(answer, fetched=FetchStats(), started=time.monotonic())
            except OutOfTimeError:
                if not done:
                    self._parts.keep(work, spool)
                raise
        self._parts.finish(work)

    @contextmanager
    def _recording(
        self, checkpoint: Checkpoint, window: Window, metrics: Sequence[Metric]
    ) -> Iterator[None]:
        """An error of these metrics in this window ends the block, and is recorded."""
        try:
            yield
            return
        except (QueryError, RefusedError) as error:  # a refusal is a StopRunError, and comes first
            failure: QueryError | RefusedError = error
        except (StopRunError, OutOfTimeError, SettingsError):
            raise
        except Exception as error:  # noqa: BLE001 - of this metric-window alone
            failure = self._explain(error)
        for metric in metrics:
            with log.about(metric=metric.name):
                self._judge.add_failure(checkpoint, metric.name, window, failure)

    def _write_metric(
        self, checkpoint: Checkpoint, window: Window, metric: Metric, answer: "_Answer"
    ) -> bool:
        """Whether it was exported whole. Raises QueryError, RefusedError."""
        spool = answer.spool
        if not spool.samples and self._is_forgotten(checkpoint, metric, window):
            return False
        moved = self._beginnings.find_moved(checkpoint, metric, window, spool.amounts())
        written = self._writer.write(
            Export(
                metric,
                window,
                answer.raw,
                force=_is_forced(checkpoint, metric.name, window),
                may_exist=_may_have_files(checkpoint, metric.name, window),
                unmark=lambda: self._progress.set_pending(metric.name, window),
                begins=moved.begins if moved else None,
            ),
            spool,
        )
        self._judge.add_success(metric.name, window)
        part = find_partial(checkpoint, metric.name, window, moved, written)
        if part is None:
            if before := checkpoint.failure_of(metric.name, window):
                self.cured.add((metric.name, before.error.code))
            self._progress.add_exported(
                *(metric.name, window),
                empty=written.empty,
                seen=checkpoint.requests_made,
                compare=self._neighbours.compare_later(checkpoint, metric, window, written.files),
            )
        self.totals.add_metric(
            *(metric.name, window, spool, answer.fetched, written), is_whole=part is None
        )
        log_metric(spool, answer.fetched, written, time.monotonic() - answer.started)
        if part is not None:
            self._judge.add_partial(checkpoint, metric.name, window, why_partial(part), part)
        return part is None

    def _explain(self, error: Exception) -> QueryError:
        """What was not raised on purpose."""
        cause = self._fetcher.hide(str(error))
        # FileNotFoundError: no folder that a temporary file can be made in.
        if isinstance(error, FileNotFoundError) or getattr(error, "errno", None) in NO_SPACE:
            return NO_TEMPORARY_SPACE(folder=os.environ.get("TMPDIR", "/tmp"), cause=cause)  # noqa: S108
        log.INTERNAL_ERROR()
        return QueryError(errors.INTERNAL_ERROR.details(kind=type(error).__name__, cause=cause))

    def _is_forgotten(self, checkpoint: Checkpoint, metric: Metric, window: Window) -> bool:
        """Whether an answer without series is one of a source that has forgotten that time, which
        is recorded. Raises as Fetcher.fetch does, and QueryError where it is not known."""
        progress = checkpoint.metrics[metric.name]
        if covers(progress.exported, window.start, window.end):
            # It has its files from before, or retention has deleted them. Force may empty a window
            # whose series are gone, and none that the source does not have any more.
            had = not covers(progress.empty, window.start, window.end)
            if had and _is_forced(checkpoint, metric.name, window):
                self._beginnings.require_any(window)
            return False
        if not self._beginnings.is_forgotten(checkpoint, window):
            doubt = doubt_empty(checkpoint, metric.name, window)
            if doubt is None:
                return False
            known = self._catalog.get(doubt.metric)
            if known and doubt.window and self._look.has_series(known, doubt.window):
                return False
            if not doubt.was_gap:
                raise EMPTY_UNCONFIRMED(older=doubt.window)
        details = NOTHING_LEFT.details(event=ACCEPT)
        log.NOTHING_LEFT_TO_EXPORT(error=details)
        self._judge.add_success(metric.name, window)
        self._progress.add_nothing_left(
            MetricFailure(metric.name, window, details, checkpoint.requests_made)
        )
        return True

    def finish(self, checkpoint: Checkpoint, stopped: ExportError | None) -> None:
        """Save the remaining records: the run is over, because of `stopped` if not all was done.
        Raises StopRunError."""
        try:
            self._judge.finish(checkpoint, stopped)
        finally:
            self._progress.save()

    def fail_slow(self, checkpoint: Checkpoint) -> None:
        """Record that a metric-window needs more than a whole invocation, if one does.

        To be called when the time ran out. Without a single metric exported, the next invocation
        would begin with the same one and not end either. It is an attempt only if a part of it was
        answered: otherwise it may be the endpoint that hangs. After a metric that failed it had
        only a part of the time, and is queried first the next time.
        """
        if self.has_progressed or self.totals.failures or self.current is None:
            return
        window, name = self.current
        self._judge.add_slow(checkpoint, name, window, counted=self._fetcher.answers > 0)
        self._progress.save()


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
