"""What is exported and what is pending: the exporter's whole memory.

Pure data and its rules; `document.py` has its form in S3, and `store.py` reads and writes that.
Times are unix seconds.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from .errors import CheckpointError
from .intervals import Intervals, covers, subtract, union
from .settings import Settings
from .windows import DAY_S, Grid, Window, adopt_grid, window_at, windows_within

# A window that failed this often is a gap: still listed, alarmed on, and tried once a day.
GAP_ATTEMPTS = 5
GAP_RETRY_S = DAY_S
# Failures share a record only if they happened in the same quarter of a day: with the newest time
# for all of them, a metric that goes on failing would keep its old gaps from ever being due.
TOGETHER_S = DAY_S // 4
REASON_CHARACTERS = 300


@dataclass
class MetricProgress:
    """One metric: wanted from `since` on; `added` is when it came into the catalogue."""

    since: int
    added: int
    exported: Intervals = ()
    empty: Intervals = ()  # of `exported`: there, and without a single series


@dataclass(frozen=True)
class Failure:
    """A range of one metric that failed `attempts` times, the last time at `at`."""

    metric: str
    start: int
    end: int
    attempts: int
    at: int
    reason: str

    @property
    def is_gap(self) -> bool:
        """Whether it failed so often that only a daily try is left."""
        return self.attempts >= GAP_ATTEMPTS


@dataclass(frozen=True)
class Handover:
    """Ranges that a Step Functions execution has. `started` is unix seconds."""

    name: str
    ranges: Intervals
    started: int


@dataclass(frozen=True)
class Repeat:
    """A range that was asked for again by hand."""

    start: int
    end: int
    metrics: tuple[str, ...]
    force: bool = False


@dataclass(frozen=True)
class Labelling:
    """What decides the folder of a series; files of windows before `since` may lie elsewhere."""

    cluster_label: str
    cluster_name: str
    split: bool
    since: int = 0


@dataclass
class Checkpoint:
    """The document. Methods change it in place; every change can be applied twice."""

    grids: tuple[Grid, ...] = ()
    labelling: Labelling | None = None
    metrics: dict[str, MetricProgress] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    handovers: list[Handover] = field(default_factory=list)
    repeats: list[Repeat] = field(default_factory=list)
    handed_over: int = 0  # executions so far: makes the name of the next one new
    lease_owner: str = ""
    lease_until: int = 0
    retention_done: str = ""  # the last day on which retention finished
    last_complete: int = 0  # when a run last left nothing pending

    # What is wanted

    def adopt(self, settings: Settings, names: Iterable[str], now: int) -> None:
        """Take in the settings of today: grid, labelling, new metrics, a longer backfill.

        What nothing can cure any more is forgotten: failures of metrics that are gone, and of
        days that retention has deleted.
        """
        names = tuple(names)
        self.grids = adopt_grid(self.grids, settings.time_frame_s, settings.query_step_s, now)
        labelling = Labelling(
            settings.cluster_label, settings.cluster_name, settings.split_by_cluster
        )
        if self.labelling is None:
            self.labelling = labelling
        elif replace(self.labelling, since=0) != labelling:
            self.labelling = replace(labelling, since=now)
        for name in names:
            progress = self.metrics.setdefault(name, MetricProgress(since=now, added=now))
            # BACKFILL_DAYS counts from the day the metric came, so that raising it later
            # reaches further back, and lowering it takes nothing away.
            begin = progress.added - settings.backfill_s
            if settings.initial_backfill is not None:
                begin = int(settings.initial_backfill.timestamp())
            begin = max(0, min(begin, progress.added))
            progress.since = min(progress.since, window_at(self.grids, begin).start)
        kept_since = keep_from(settings, now)
        self.failures = [one for one in self.failures if one.metric in names]
        for name in names:
            self._cut_failures(name, 0, kept_since)
            self.metrics[name].empty = subtract(self.metrics[name].empty, [(0, kept_since)])

    def wanted(
        self, names: Iterable[str], settings: Settings, now: int
    ) -> Iterator[tuple[Window, tuple[str, ...]]]:
        """Windows with the metrics that each still lacks, newest first.

        Only whole windows older than SETTLE_TIME, and none that retention would delete.
        Includes what an execution has, and gaps whose daily try is not due; see `plan`.
        """
        names = [name for name in names if name in self.metrics]
        if not names:
            return
        newest = now - settings.settle_time_s
        oldest = min(self.metrics[name].since for name in names)
        oldest = max(oldest, keep_from(settings, now))
        repeats = self.repeats
        missing = {
            name: union(
                subtract(
                    [(max(self.metrics[name].since, oldest), newest)], self.metrics[name].exported
                ),
                [(r.start, r.end) for r in repeats if name in r.metrics],
            )
            for name in names
        }
        for low, high in reversed(union(*missing.values())):
            windows = list(windows_within(self.grids, low, min(high, newest)))
            for window in reversed(windows):
                lacking = tuple(
                    name for name in names if covers(missing[name], window.start, window.end)
                )
                if lacking:
                    yield window, lacking

    def plan(
        self, names: Iterable[str], settings: Settings, now: int
    ) -> Iterator[tuple[Window, tuple[str, ...]]]:
        """What this run may do of what is wanted: nothing that an execution has, nor gaps that
        were tried within a day."""
        held = union(*(handover.ranges for handover in self.handovers))
        for window, lacking in self.wanted(names, settings, now):
            if covers(held, window.start, window.end):
                continue
            due = [name for name in lacking if self._is_due(name, window, now)]
            if due:
                yield window, self._least_failed_first(due, window)

    def lacking(self, names: Iterable[str], window: Window) -> tuple[str, ...]:
        """The metrics that this window lacks, those that failed least first."""
        lacking = [
            name
            for name in names
            if name in self.metrics
            and (
                not covers(self.metrics[name].exported, window.start, window.end)
                or self.repeat_of(name, window)
            )
        ]
        return self._least_failed_first(lacking, window)

    def _least_failed_first(self, names: Iterable[str], window: Window) -> tuple[str, ...]:
        """A metric that always uses up the time holds back no other then."""
        failures = {name: self.failure_of(name, window) for name in names}
        return tuple(
            sorted(failures, key=lambda name: one.attempts if (one := failures[name]) else 0)
        )

    def lag_s(self, names: Iterable[str], now: int) -> int:
        """Seconds since the end of the newest window of the metric that is furthest behind."""
        newest = [
            one.exported[-1][1] if one.exported else one.since
            for name in names
            if (one := self.metrics.get(name))
        ]
        return now - min(newest, default=now)

    def repeat_of(self, name: str, window: Window) -> Repeat | None:
        """The repetition that asks for this metric and window, if one does: one with force, if
        several do."""
        asking = [
            repeat
            for repeat in self.repeats
            if name in repeat.metrics
            and covers([(repeat.start, repeat.end)], window.start, window.end)
        ]
        return max(asking, key=lambda repeat: repeat.force, default=None)

    def gaps(self) -> list[Failure]:
        """What failed so often that it was given up but for a daily try."""
        return [failure for failure in self.failures if failure.is_gap]

    def _is_due(self, name: str, window: Window, now: int) -> bool:
        failure = self.failure_of(name, window)
        return failure is None or not failure.is_gap or now - failure.at >= GAP_RETRY_S

    def failure_of(self, name: str, window: Window) -> Failure | None:
        """The record of a failed metric and window."""
        for failure in self.failures:
            if failure.metric == name and failure.start <= window.start < failure.end:
                return failure
        return None

    # What has happened

    def mark_exported(self, name: str, window: Window, *, empty: bool) -> None:
        """All objects of this metric and window are written. Raises CheckpointError."""
        progress = self._progress(name)
        here = [(window.start, window.end)]
        progress.exported = union(progress.exported, here)
        progress.empty = union(progress.empty, here) if empty else subtract(progress.empty, here)
        self._forget_failure(name, window)
        self._forget_repeat(name, window)

    def mark_failed(self, name: str, window: Window, reason: str, now: int) -> None:
        """This metric and window failed once more. Said twice of one moment, it failed once."""
        before = self.failure_of(name, window)
        attempts = before.attempts if before else 0
        if before is None or before.at != now:
            attempts = min(attempts + 1, GAP_ATTEMPTS)
        self._forget_failure(name, window)
        # A repetition has its files from before, so that it is tried once.
        self._forget_repeat(name, window)
        if covers(self._progress(name).exported, window.start, window.end):
            return
        self.failures.append(
            Failure(name, window.start, window.end, attempts, now, reason[:REASON_CHARACTERS])
        )
        self.failures = _merge_failures(self.failures, now)

    def ask_again(self, repeat: Repeat) -> None:
        """A range is wanted again, by hand; its failures are forgotten."""
        for name in repeat.metrics:
            self._cut_failures(name, repeat.start, repeat.end)
        if repeat not in self.repeats:
            self.repeats.append(repeat)

    def hand_over(self, handover: Handover) -> None:
        """An execution is about to have these ranges."""
        if all(one.name != handover.name for one in self.handovers):
            self.handovers.append(handover)
            self.handed_over += 1

    def settle(
        self, handover: Handover, names: Iterable[str], settings: Settings, now: int, ended: str
    ) -> None:
        """An execution is over: what it did not export counts as failed once, if it did not say
        why itself."""
        if handover not in self.handovers:
            return
        self.handovers.remove(handover)
        for window, lacking in list(self.wanted(names, settings, now)):
            if not covers(handover.ranges, window.start, window.end):
                continue
            for name in lacking:
                known = self.failure_of(name, window)
                if known is None or known.at < handover.started:
                    self.mark_failed(
                        name, window, f"Execution {handover.name} ended as {ended} before it.", now
                    )

    def _progress(self, name: str) -> MetricProgress:
        """What a run has taken up is in the checkpoint, unless somebody deleted that."""
        if name not in self.metrics:
            raise CheckpointError(
                "The checkpoint was deleted while a run was at work; nothing is lost: the next "
                "run begins as a first run does, and writes the same files again."
            )
        return self.metrics[name]

    def _forget_failure(self, name: str, window: Window) -> None:
        self._cut_failures(name, window.start, window.end)

    def _cut_failures(self, name: str, start: int, end: int) -> None:
        kept: list[Failure] = []
        for failure in self.failures:
            if failure.metric != name or failure.end <= start or end <= failure.start:
                kept.append(failure)
                continue
            for low, high in subtract([(failure.start, failure.end)], [(start, end)]):
                kept.append(replace(failure, start=low, end=high))
        self.failures = kept

    def _forget_repeat(self, name: str, window: Window) -> None:
        kept: list[Repeat] = []
        for repeat in self.repeats:
            left = subtract([(repeat.start, repeat.end)], [(window.start, window.end)])
            if name not in repeat.metrics or left == ((repeat.start, repeat.end),):
                kept.append(repeat)
                continue
            others = tuple(other for other in repeat.metrics if other != name)
            if others:
                kept.append(replace(repeat, metrics=others))
            kept += [replace(repeat, start=low, end=high, metrics=(name,)) for low, high in left]
        self.repeats = kept


def keep_from(settings: Settings, now: int) -> int:
    """The first midnight whose day retention keeps: a day goes once its end is too old."""
    if not settings.retention_s:
        return 0
    horizon = now - settings.retention_s
    return horizon - horizon % DAY_S


def _merge_failures(failures: Iterable[Failure], now: int) -> list[Failure]:
    """Touching ranges of one metric with one fate become one, so that the document stays small.

    What failed `now` and what failed before stay apart, so that what has been said of now is known.
    """
    merged: list[Failure] = []
    for failure in sorted(failures, key=lambda one: (one.metric, one.start)):
        last = merged[-1] if merged else None
        if (
            last
            and last.end == failure.start
            and (last.metric, last.attempts, last.reason)
            == (failure.metric, failure.attempts, failure.reason)
            and (last.at == now, last.at // TOGETHER_S)
            == (failure.at == now, failure.at // TOGETHER_S)
        ):
            merged[-1] = replace(last, end=failure.end, at=max(last.at, failure.at))
        else:
            merged.append(failure)
    return merged
