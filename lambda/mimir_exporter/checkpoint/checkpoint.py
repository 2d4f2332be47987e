"""What is exported and what is pending: the exporter's whole memory.

The rules, which are pure. `records.py` has what it is made of, `document.py` its form in S3, and
`store.py` reads and writes that. Times are unix seconds.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ..errors import CheckpointError, SettingsError
from ..settings.settings import Settings
from ..timeline.clock import CLOCK_OFF_S
from ..timeline.intervals import Interval, Intervals, covers, intersect, subtract, union
from ..timeline.windows import DAY_S, Grid, Window, adopt_grid, iso, window_at, windows_within
from .records import (
    GAP_ATTEMPTS,
    Failure,
    Handover,
    Labelling,
    MetricProgress,
    Repeat,
    as_json,
    join_repeats,
    merge_failures,
    place_of,
    shorten,
    take_away,
)

# A gap is tried again after this.
GAP_RETRY_S = DAY_S
# Progress of so many metrics that have left the catalogue is kept for the day they come back.
GONE_METRICS = 20
# Executions at work at once: with all items that each may have, a month of windows of a minute.
HANDOVERS = 50
FOREVER = 1 << 40
# TIME_FRAME and QUERY_STEP may change so often within what RETENTION_DAYS keeps.
GRIDS = 32
# What all ranges that wait to be exported again may take in the document, as they were asked for.
REPEATS_BYTES = 10_000


@dataclass
class Checkpoint:
    """What the document holds. Methods change it in place; every change can be applied twice.

    What has no bound in itself has one of those above; `compact.py` sees to the rest.
    """

    grids: tuple[Grid, ...] = ()
    labelling: Labelling | None = None
    metrics: dict[str, MetricProgress] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)  # by metric and start, none overlap
    handovers: list[Handover] = field(default_factory=list)
    repeats: list[Repeat] = field(default_factory=list)
    handed_over: int = 0  # executions so far: makes the name of the next one new
    machine: str = ""  # ARN of the state machine whose executions `handovers` names
    lease_owner: str = ""
    lease_until: int = 0
    retention_done: str = ""  # the last day on which retention finished
    deleted_until: int = 0  # retention has deleted the files before this, but for `restored`
    last_complete: int = 0  # when a run last left nothing pending

    # What is wanted

    def adopt(self, settings: Settings, names: Iterable[str], now: int) -> None:
        """Take in the settings of today: grid, labelling, new metrics, a longer backfill.

        What nothing can cure any more is forgotten: failures and repetitions of metrics that are
        gone, and of days that retention deletes.
        """
        names = tuple(names)
        self._adopt_grid(settings, now)
        self._forget_the_future(now)
        self.adopt_labelling(settings, now)
        for name in names:
            progress = self.metrics.setdefault(name, MetricProgress(since=now, added=now))
            # BACKFILL_DAYS counts from the day the metric came, so that raising it later
            # reaches further back, and lowering it takes nothing away.
            begin = progress.added - settings.backfill_s
            if settings.initial_backfill is not None:
                begin = int(settings.initial_backfill.timestamp())
            begin = max(0, min(begin, progress.added))
            progress.since = min(progress.since, window_at(self.grids, begin).start)
        self._forget_gone(names)
        kept_since = keep_from(settings, now)
        self.failures = [one for one in self.failures if one.metric in names]
        for name in {name for one in self.repeats for name in one.metrics} - {*names}:
            self._forget_repeat(name, 0, FOREVER)
        for name in names:
            self._cut_failures(name, 0, kept_since)
            self._forget_repeat(name, 0, kept_since)

    def adopt_labelling(self, settings: Settings, now: int) -> None:
        """Take in what decides the folder of a series today."""
        labelling = Labelling(
            settings.cluster_label, settings.cluster_name, settings.split_by_cluster
        )
        if self.labelling is None:
            self.labelling = labelling
        elif replace(self.labelling, since=0) != labelling:
            self.labelling = replace(labelling, since=now)

    def _adopt_grid(self, settings: Settings, now: int) -> None:
        """Where there are too many grids, those behind retention are forgotten: no window on them
        is exported again, unless RETENTION_DAYS is raised."""
        # A clock that was set back a little does not take back a grid that has windows.
        newest = max(
            (one.exported[-1][1] for one in self.metrics.values() if one.exported), default=0
        )
        seen = max(now, min(newest, now + CLOCK_OFF_S))
        grids = adopt_grid(self.grids, settings.time_frame_s, settings.query_step_s, seen)
        restored = [one.restored[0][0] for one in self.metrics.values() if one.restored]
        behind = min(self.deleted_until, *restored, FOREVER)
        while len(grids) > GRIDS and grids[1].since <= behind:
            grids = (replace(grids[1], since=0), *grids[2:])
        if len(grids) > GRIDS:
            raise SettingsError(
                f"TIME_FRAME or QUERY_STEP changed {GRIDS} times since {iso(grids[1].since)}, and "
                "windows keep the ones they had; set both back to what they were, "
                f"{grids[-2].width_s} and {grids[-2].step_s}, and check that no other exporter has "
                "the same S3_PREFIX and CLUSTER_NAME."
            )
        self.grids = grids

    def _forget_the_future(self, now: int) -> None:
        """What a clock noted that was far ahead: no window of the future is exported yet."""
        # Whole windows: half of one would be no state that anything knows.
        begin = window_at(self.grids, now + CLOCK_OFF_S).start
        midnight = now - now % DAY_S
        # Only such a clock finds the files of today too old, and they went.
        gone_from = midnight if self.deleted_until > midnight else FOREVER
        self.deleted_until = min(self.deleted_until, midnight)
        for name, progress in self.metrics.items():
            progress.added = min(progress.added, now)
            doubtful = (min(gone_from, self._doubtful_from(progress, begin)), FOREVER)
            progress.exported = subtract(progress.exported, [doubtful])
            progress.empty = subtract(progress.empty, [doubtful])
            progress.restored = subtract(progress.restored, [doubtful])
            progress.empty_known_from = min(progress.empty_known_from, begin)
            self._cut_failures(name, begin, FOREVER)
        if self.labelling is not None:
            self.labelling = replace(self.labelling, since=min(self.labelling.since, now))
        self.last_complete = min(self.last_complete, now)

    def _doubtful_from(self, progress: MetricProgress, begin: int) -> int:
        """From when on it is not known what was exported, where a part of it lies after `begin`,
        in the future.

        What was still to come then was without series, and is over by now; and the window before
        may have been exported when it was half over.
        """
        if not progress.exported or progress.exported[-1][1] <= begin:
            return begin
        for low, high in progress.empty:
            if low <= begin <= high:
                begin = low
                break
        return window_at(self.grids, max(0, begin - 1)).start

    def _forget_gone(self, names: Iterable[str]) -> None:
        """Forget the metrics that are out of the catalogue longest: should one of them come back,
        it begins as a new one does, and writes the same files again."""
        gone = [name for name in self.metrics if name not in set(names)]
        gone.sort(key=lambda name: max((end for _, end in self.metrics[name].exported), default=0))
        for name in gone[: max(0, len(gone) - GONE_METRICS)]:
            del self.metrics[name]

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

    def lacking(self, names: Iterable[str], window: Window, now: int) -> tuple[str, ...]:
        """The metrics that this window lacks, those that failed least first; no gaps that were
        tried within a day."""
        lacking = [
            name
            for name in names
            if name in self.metrics
            and (self._is_wanted(name, window) or self.repeat_of(name, window))
            and self._is_due(name, window, now)
        ]
        return self._least_failed_first(lacking, window)

    def _is_wanted(self, name: str, window: Window) -> bool:
        """Whether it is one that a run does by itself: what came with another metric's repetition
        may lie before this one's beginning."""
        progress = self.metrics[name]
        return window.start >= progress.since and not covers(
            progress.exported, window.start, window.end
        )

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

    def there(self, name: str) -> Intervals:
        """What is exported of a metric and not deleted."""
        progress = self.metrics[name]
        kept = subtract(progress.exported, [(0, self.deleted_until)])
        return union(kept, progress.restored)

    def gaps(self) -> list[Failure]:
        """What failed so often that it was given up but for a daily try."""
        return [failure for failure in self.failures if failure.is_gap]

    def _is_due(self, name: str, window: Window, now: int) -> bool:
        failure = self.failure_of(name, window)
        # Either way: a try of the future was noted by a clock that was wrong.
        return failure is None or not failure.is_gap or abs(now - failure.at) >= GAP_RETRY_S

    def failure_of(self, name: str, window: Window) -> Failure | None:
        """The record of a failed metric and window."""
        place = bisect_right(self.failures, (name, window.start), key=place_of) - 1
        found = self.failures[place] if place >= 0 else None
        return found if found and found.metric == name and window.start < found.end else None

    # What has happened

    def mark_exported(self, name: str, window: Window, *, empty: bool, forced: bool = True) -> None:
        """All objects of this metric and window are written. Raises CheckpointError.

        Not `forced` is what began before somebody asked for `force`: that stays to be done.
        """
        progress = self._progress(name)
        here = [(window.start, window.end)]
        had_series = subtract(intersect(here, self.there(name)), progress.empty)
        progress.exported = union(progress.exported, here)
        if window.start < self.deleted_until:
            progress.restored = union(progress.restored, here)
        progress.empty = subtract(progress.empty, here)
        if empty and not had_series:  # past Mimir's retention the files of before are all there is
            progress.empty = union(progress.empty, here)
        self._cut_failures(name, window.start, window.end)
        self._forget_repeat(name, window.start, window.end, forced=forced)

    def mark_failed(
        self, name: str, window: Window, reason: str, now: int, *, forced: bool = True
    ) -> None:
        """This metric and window failed once more. Said twice of one moment, it failed once.

        `forced` as in mark_exported.
        """
        self._mark_failed(name, [window], reason, now, forced=forced)

    def _mark_failed(
        self,
        name: str,
        windows: Sequence[Window],
        reason: str,
        now: int,
        *,
        forced: bool = True,
        tried: bool = True,
    ) -> None:
        """`tried` is False where all that is known is that an execution ended before it."""
        self._progress(name)
        there = self.there(name)
        failed: list[Failure] = []
        for window in windows:
            before = self.failure_of(name, window)
            attempts = before.attempts if before else 0
            if before is None or before.at != now:
                attempts = min(attempts + 1, GAP_ATTEMPTS)
            self._cut_failures(name, window.start, window.end)
            has_files = covers(there, window.start, window.end)
            if has_files and (tried or attempts >= GAP_ATTEMPTS):
                # It has its files from before, so that a repetition is tried once.
                self._forget_repeat(name, window.start, window.end, forced=forced)
            else:
                # Before `since`, and of what was deleted, nothing but the repetition says that it
                # is wanted.
                failed.append(
                    Failure(name, window.start, window.end, attempts, now, shorten(reason))
                )
        low, high = self._records(name)
        self.failures[low:high] = merge_failures([*self.failures[low:high], *failed], now)

    def _records(self, name: str) -> tuple[int, int]:
        """Where the failures of a metric stand: `failures[low:high]`."""
        metric = lambda failure: failure.metric  # noqa: E731
        return (
            bisect_left(self.failures, name, key=metric),
            bisect_right(self.failures, name, key=metric),
        )

    def expire(self, until: int) -> None:
        """Retention is about to delete the files of all windows before `until`."""
        self.deleted_until = max(self.deleted_until, until)
        for progress in self.metrics.values():
            progress.restored = subtract(progress.restored, [(0, until)])
            progress.empty = subtract(progress.empty, [(0, until)])
            if progress.empty_known_from <= until:
                progress.empty_known_from = 0

    def ask_again(self, repeat: Repeat) -> None:
        """A range is wanted again, by hand; its failures are forgotten.

        Raises SettingsError while so many others wait that the document might grow too large.
        """
        if repeat not in self.repeats:
            waiting: dict[tuple[Interval, bool], set[str]] = {}
            for one in (*self.repeats, repeat):
                waiting.setdefault((one.asked, one.force), set()).update(one.metrics)
            if len(as_json([[ask, *names] for ask, names in waiting.items()])) > REPEATS_BYTES:
                raise SettingsError(
                    f"{len(waiting) - 1} ranges wait to be exported again already; nothing was "
                    "recorded. Ask again once the status shows fewer, or for one longer range."
                )
            self.repeats.append(repeat)
        for name in repeat.metrics:
            self._cut_failures(name, repeat.start, repeat.end)

    def hand_over(self, handover: Handover) -> None:
        """An execution is about to have these ranges."""
        if all(one.name != handover.name for one in self.handovers):
            self.handovers.append(handover)
            self.handed_over += 1

    def settle(
        self, handover: Handover, names: Iterable[str], settings: Settings, now: int, ended: str
    ) -> list[Repeat]:
        """An execution is over: what it did not export counts as failed once, if it did not say
        why itself.

        A repetition that it did not come to stays; those are returned that GAP_ATTEMPTS
        executions did not come to, and that are forgotten with that.
        """
        if handover not in self.handovers:
            return []
        self.handovers.remove(handover)
        before = list(self.repeats)
        left: dict[str, list[Window]] = {}
        for window, lacking in self.wanted(names, settings, now):
            if not covers(handover.ranges, window.start, window.end):
                continue
            for name in lacking:
                known = self.failure_of(name, window)
                if known is None or known.at < handover.started:
                    left.setdefault(name, []).append(window)
        for name, windows in left.items():
            reason = f"Execution {handover.name} ended as {ended} before it."
            self._mark_failed(name, windows, reason, now, tried=False)
        return take_away(before, self.repeats)

    def _progress(self, name: str) -> MetricProgress:
        """What a run has taken up is in the checkpoint, unless somebody deleted that."""
        if name not in self.metrics:
            raise CheckpointError(
                "The checkpoint was deleted while a run was at work; nothing is lost: the next "
                "run begins as a first run does, and writes the same files again."
            )
        return self.metrics[name]

    def _cut_failures(self, name: str, start: int, end: int) -> None:
        low = bisect_right(self.failures, (name, start), key=place_of)
        if low and self.failures[low - 1].metric == name and self.failures[low - 1].end > start:
            low -= 1
        high = bisect_left(self.failures, (name, end), key=place_of)
        self.failures[low:high] = [
            replace(failure, start=begin, end=until)
            for failure in self.failures[low:high]
            for begin, until in subtract([(failure.start, failure.end)], [(start, end)])
        ]

    def _forget_repeat(self, name: str, start: int, end: int, *, forced: bool = True) -> None:
        pieces: list[Repeat] = []
        for repeat in self.repeats:
            left = subtract([(repeat.start, repeat.end)], [(start, end)])
            stays = name not in repeat.metrics or left == ((repeat.start, repeat.end),)
            if stays or (repeat.force and not forced):
                pieces.append(repeat)
                continue
            others = tuple(other for other in repeat.metrics if other != name)
            pieces.append(replace(repeat, metrics=others))
            pieces += [replace(repeat, start=low, end=high, metrics=(name,)) for low, high in left]
        self.repeats = join_repeats(pieces)


def keep_from(settings: Settings, now: int) -> int:
    """The first midnight whose day retention keeps: a day goes once its end is too old."""
    if not settings.retention_s:
        return 0
    horizon = now - settings.retention_s
    return horizon - horizon % DAY_S
