"""Runs, items, retention, repetitions and new settings in any order, beside a bucket that is real.

The checkpoint decides and the bucket has the files: no two files of a metric ever share a moment,
what counts as exported has its file, and what counts as missing is done in the end.
"""

import random

import pytest

from mimir_exporter.checkpoint import compact
from mimir_exporter.checkpoint.adopt import adopt_settings
from mimir_exporter.checkpoint.loading import load
from mimir_exporter.checkpoint.outcomes import (
    mark_deleted,
    mark_exported,
    mark_failed,
    record_execution_end,
    record_handover,
)
from mimir_exporter.checkpoint.records import Handover, ReexportRequest
from mimir_exporter.checkpoint.reexports import request_reexport
from mimir_exporter.checkpoint.state import Checkpoint
from mimir_exporter.checkpoint.wanted import due_metrics, due_windows, keep_from, wanted_windows
from mimir_exporter.coverage.compute import compute_coverage
from mimir_exporter.coverage.states import MISSING, State
from mimir_exporter.settings.settings import Settings
from mimir_exporter.timeline.intervals import intersect, subtract, union
from mimir_exporter.timeline.windows import DAY_S, Window, window_at, windows_within
from tests.clocks import unix
from tests.unit.checkpoints import HOUR, NAMES, configure, refused

BEGIN = unix("2026-10-01")
# What a person may change at any time.
CHANGES = {
    "TIME_FRAME": ("30m", "1h", "90m", "2h", "5h", "6h", "1d"),
    "RETENTION_DAYS": ("0", "1", "2", "4", "10"),
    "BACKFILL_DAYS": ("1", "2", "5"),
}


class World:
    """An exporter, its bucket (start and end of each metric's files), and the executions that
    have been, any of which may come back."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = BEGIN + self.rng.randrange(DAY_S)
        self.env = {"TIME_FRAME": "1h", "RETENTION_DAYS": "4", "BACKFILL_DAYS": "2"}
        self.checkpoint = Checkpoint()
        self.bucket: dict[str, dict[int, int]] = {name: {} for name in NAMES}
        self.executions: list[list[Window]] = []

    @property
    def settings(self) -> Settings:
        return configure(**self.env)

    def go_on(self) -> str:
        """Some time passes, and something happens: what."""
        self.now += self.rng.choice((0, 60, 1800, HOUR, 5 * HOUR, 20 * HOUR, -600))
        for name, values in CHANGES.items():
            if self.rng.random() < 0.1:
                self.env[name] = self.rng.choice(values)
        ways = (self.run, self.run, self.run, self.retain, self.hand_over, self.do_item)
        way = self.rng.choice((*ways, self.settle, self.ask_again))
        if way != self.do_item:
            adopt_settings(self.checkpoint, self.settings, NAMES, self.now)
        way()
        body = compact.shrink_to_limit(self.checkpoint, self.now)
        self.checkpoint = load(body, "x")
        return way.__name__

    def run(self) -> None:
        """Of some windows; it may be killed between a file and its being noted."""
        plan = list(due_windows(self.checkpoint, NAMES, self.settings, self.now))
        for window, names in plan[: self.rng.randrange(8)]:
            for name in names:
                if not self.export(name, window):
                    return

    def export(self, name: str, window: Window) -> bool:
        luck = self.rng.random()
        if luck < 0.15:
            least, counted = self.rng.randrange(6), self.rng.random() < 0.7
            mark_failed(
                *(self.checkpoint, name, window, refused(), self.now),
                least=least,
                counted=counted,
            )
            return True
        empty = luck < 0.3
        if not empty:
            self.bucket[name][window.start] = window.end
        if luck > 0.97:
            return False
        mark_exported(self.checkpoint, name, window, empty=empty)
        return True

    def retain(self) -> None:
        if self.settings.retention_s:
            kept = keep_from(self.settings, self.now)
            mark_deleted(self.checkpoint, kept)
            for files in self.bucket.values():
                for start in [start for start in files if start < kept]:
                    del files[start]

    def hand_over(self) -> None:
        plan = due_windows(self.checkpoint, NAMES, self.settings, self.now)
        windows = [window for window, _ in plan][: self.rng.randrange(1, 20)]
        if windows:
            name = f"backfill-{len(self.executions)}"
            ranges = union((window.start, window.end) for window in windows)
            record_handover(self.checkpoint, Handover(name, ranges, self.now))
            self.executions.append(windows)

    def do_item(self) -> None:
        """Of any execution: one that is long over may be started again."""
        if not self.executions:
            return
        item = self.rng.choice(self.rng.choice(self.executions))
        for window in windows_within(self.checkpoint.schedules, item.start, item.end):
            for name in due_metrics(self.checkpoint, NAMES, window, self.now):
                self.export(name, window)

    def settle(self) -> None:
        if self.checkpoint.handovers:
            one = self.rng.choice(self.checkpoint.handovers)
            record_execution_end(self.checkpoint, one, NAMES, self.settings, self.now, "ABORTED")

    def ask_again(self) -> None:
        schedules, newest = self.checkpoint.schedules, self.now - self.settings.settle_time_s
        start = self.now - self.rng.randrange(HOUR, 8 * DAY_S)
        low = window_at(schedules, start).start
        high = window_at(schedules, min(start + self.rng.randrange(60, DAY_S), newest) - 1).start
        if keep_from(self.settings, self.now) <= low < high:
            names = self.rng.choice((NAMES, NAMES[:1]))
            request_reexport(
                self.checkpoint, ReexportRequest(low, high, names, self.rng.random() < 0.5)
            )

    def check(self) -> None:
        for spans in self.bucket.values():
            ends = [BEGIN - 99 * DAY_S, *(end for _, end in sorted(spans.items()))]
            for end, start in zip(ends, sorted(spans), strict=False):
                assert end <= start
        seen = load(compact.shrink_to_limit(self.checkpoint, self.now), "x")
        adopt_settings(seen, self.settings, NAMES, self.now)
        span = (BEGIN - 12 * DAY_S, self.now)
        coverage = compute_coverage(seen, NAMES, self.settings, self.now, span)
        wanted = list(wanted_windows(seen, NAMES, self.settings, self.now))
        kept = keep_from(self.settings, self.now)
        for line in coverage.groups:
            for name in line.metrics:
                own = union((one.start, one.end) for one, lacking in wanted if name in lacking)
                files = union(self.bucket[name].items())
                for one in line.spans:
                    if one.state is State.EXPORTED:
                        known = max(one.start, coverage.empty_known_from[name])
                        assert subtract([(known, one.end)], files) == ()
                    if one.state is State.DELETED:
                        assert intersect([(max(one.start, kept), one.end)], files) == ()
                    if one.state in MISSING:
                        assert subtract([(one.start, one.end)], own) == ()


# The smaller one is far below what a checkpoint may take, so that detail is dropped.
@pytest.mark.parametrize("most_bytes", [compact.MOST_BYTES, 1800])
@pytest.mark.parametrize("seed", range(8))
def test_the_bucket_is_what_the_checkpoint_says(
    seed: int, most_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compact, "MOST_BYTES", most_bytes)
    world = World(seed)
    for _ in range(50):
        what = world.go_on()
        try:
            world.check()
        except AssertionError as error:
            error.add_note(f"after {what} at {world.now}")
            raise
