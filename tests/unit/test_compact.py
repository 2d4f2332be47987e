"""The document has a bound that holds for any history, and what it drops is detail."""

import copy
import itertools
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from mimir_exporter.catalog.metrics import METRICS
from mimir_exporter.checkpoint import compact
from mimir_exporter.checkpoint.adopt import GONE_METRICS, MAX_SCHEDULES, adopt_settings
from mimir_exporter.checkpoint.compact import ERRORS, MOST_BYTES, shrink_to_limit
from mimir_exporter.checkpoint.document import dump
from mimir_exporter.checkpoint.loading import load
from mimir_exporter.checkpoint.outcomes import (
    mark_all_failed,
    mark_exported,
    mark_failed,
    record_handover,
)
from mimir_exporter.checkpoint.records import (
    GAP_ATTEMPTS,
    Failure,
    Handover,
    MetricProgress,
    PartitionConfig,
    ReexportRequest,
    merge_failures,
    shorten,
)
from mimir_exporter.checkpoint.reexports import request_reexport, settle_requests
from mimir_exporter.checkpoint.state import Checkpoint
from mimir_exporter.checkpoint.wanted import due_windows, keep_from, wanted_windows
from mimir_exporter.errors import ErrorDetails, SettingsError
from mimir_exporter.errors.runs import ERROR_NOT_KEPT
from mimir_exporter.timeline.intervals import Intervals, intersect, subtract, union
from mimir_exporter.timeline.windows import DAY_S, Window, WindowSchedule
from tests.unit.checkpoints import HOUR, NOW, begun, configure, refused

TWENTY = tuple(f"metric_number_{number}" for number in range(20))
PAGE = "http://mimir:8080/prometheus/api/v1/query_range answered 422: " + "too large " * 40


def failed(checkpoint: Checkpoint, name: str) -> Intervals:
    return union((one.start, one.end) for one in checkpoint.failures if one.metric == name)


def assert_only_detail_is_lost(before: Checkpoint, after: Checkpoint) -> None:
    """What is missing stays missing, what failed stays listed, what was asked for stays asked."""
    assert after.metrics.keys() == before.metrics.keys()
    for name, progress in before.metrics.items():
        kept = after.metrics[name]
        assert (kept.since, kept.added) == (progress.since, progress.added)
        assert subtract(kept.exported, progress.exported) == ()
        assert kept.exported[-1:] == progress.exported[-1:] or not progress.exported
        assert subtract(kept.empty, progress.empty) == subtract(kept.empty, kept.exported) == ()
        # Which windows had no series is known, or known not to be.
        forgotten = intersect(subtract(progress.empty, kept.empty), kept.exported)
        assert subtract(forgotten, [(0, kept.empty_known_from)]) == ()
        assert subtract(kept.restored, progress.restored) == ()
        assert subtract(kept.restored, kept.exported) == ()
        assert subtract(kept.audited, progress.audited) == ()
        assert subtract(kept.audited, kept.exported) == ()
        assert subtract(failed(before, name), failed(after, name)) == ()
    for one in before.failures:
        # It is not tried more often for it, and a gap is one still.
        (record,) = (
            kept
            for kept in after.failures
            if kept.metric == one.metric and kept.start <= one.start < kept.end
        )
        assert record.attempts >= one.attempts
        assert record.at >= one.at
    places = [(one.metric, one.start, one.end) for one in after.failures]
    assert places == sorted(places)
    for name in {one.metric for one in after.failures}:
        own = [(one.start, one.end) for one in after.failures if one.metric == name]
        for first, second in itertools.pairwise(own):
            assert first[1] <= second[0]
    # Above all, nothing is forced that no operator forced.
    assert (after.handovers, after.reexports) == (before.handovers, before.reexports)
    same = ("schedules", "partition", "handed_over", "lease_owner", "lease_until", "retention_done")
    for field in (*same, "deleted_until", "last_complete"):
        assert getattr(after, field) == getattr(before, field)


def checked_fit(checkpoint: Checkpoint, now: int) -> bytes:
    before = copy.deepcopy(checkpoint)
    body = shrink_to_limit(checkpoint, now)
    assert load(body, "x") == checkpoint
    assert_only_detail_is_lost(before, checkpoint)
    return body


# What fits as it is


def test_a_month_in_which_every_second_window_of_every_metric_failed_loses_nothing() -> None:
    """720 windows of 20 metrics, each with a pattern of its own: 7,200 gaps that lie apart."""
    settings = configure(BACKFILL_DAYS="30", RETENTION_DAYS="60")
    checkpoint = begun(settings, TWENTY)
    windows = [window for window, _ in due_windows(checkpoint, TWENTY, settings, NOW)]
    for number, name in enumerate(TWENTY):
        odd = [window for at, window in enumerate(windows) if (at + number % 2) % 2]
        for window in windows if number < 2 else windows[number:]:
            if window not in odd:
                checkpoint.metrics[name].exported = union(
                    checkpoint.metrics[name].exported, [(window.start, window.end)]
                )
        for attempt in range(GAP_ATTEMPTS):
            mark_all_failed(
                checkpoint, name, odd, refused(f"{number}: {PAGE}"), NOW - HOUR + attempt
            )
    before = copy.deepcopy(checkpoint)
    body = shrink_to_limit(checkpoint, NOW)
    assert checkpoint == load(body, "x") == before
    assert len(checkpoint.gaps()) > 7000
    assert len(body) < MOST_BYTES


def test_ten_years_with_a_gap_a_week_lose_nothing() -> None:
    """Without retention: of each metric another window a week is missing for ever."""
    checkpoint = begun(configure(), TWENTY)
    weeks, end = 10 * 52, NOW // HOUR * HOUR
    for number, name in enumerate(TWENTY):
        hours = [end - week * 7 * DAY_S - number * HOUR for week in range(weeks)]
        checkpoint.metrics[name].exported = subtract(
            [(end - weeks * 7 * DAY_S, end)], [(at - HOUR, at) for at in hours]
        )
    before = copy.deepcopy(checkpoint)
    shrink_to_limit(checkpoint, NOW)
    assert checkpoint == before


# The bound


def scattered(rng: random.Random, count: int, unit_s: int, end: int = NOW) -> Intervals:
    """Up to `count` ranges of one unit or more, none touching, the last one ending at `end`."""
    ranges: list[tuple[int, int]] = []
    at = end
    for _ in range(count):
        low = at - unit_s * rng.choice((1, 1, 1, 2, 9))
        ranges.append((low, at))
        at = low - unit_s * rng.choice((1, 1, 1, 3, 40))
    return union(ranges)


def heap_of_trouble(seed: int, counts: int, odd: str = "é") -> Checkpoint:
    """Everything at its own bound, and all of it in as many pieces as `counts`."""
    rng = random.Random(seed)
    unit_s = rng.choice((60, HOUR))
    names = [f"m{number:03}_".ljust(100, "x") for number in range(METRICS + GONE_METRICS)]
    checkpoint = Checkpoint(
        schedules=tuple(
            WindowSchedule(NOW // HOUR * HOUR - at * DAY_S, 3600, 60)
            for at in range(MAX_SCHEDULES, 0, -1)
        ),
        partition=PartitionConfig("l" * 2000, "é" * 100, split=True, since=NOW),
        deleted_until=NOW - rng.randrange(60) * DAY_S,
        lease_owner="x" * 36,
    )
    for number, name in enumerate(names):
        exported = scattered(rng, rng.randrange(counts + 1), unit_s)
        empty = tuple(one for one in exported if rng.random() < 0.3)
        restored = tuple(one for one in exported if rng.random() < 0.3)
        checkpoint.metrics[name] = MetricProgress(
            number, NOW + number, exported, empty, NOW - number, restored
        )
        if number < METRICS:
            begin, end = exported[0][0] - unit_s if exported else NOW - unit_s, NOW
            for low, high in subtract([(begin, end)], exported):
                if rng.random() < 0.9:
                    texts = (odd * rng.randrange(400) + str(rng.random()) for _ in range(3))
                    error = shorten(ErrorDetails("query_rejected", *texts))
                    at = NOW - rng.randrange(3 * DAY_S)
                    one = Failure(name, low, high, rng.randrange(1, GAP_ATTEMPTS + 1), at, error)
                    checkpoint.failures.append(one)
    checkpoint.failures = merge_failures(checkpoint.failures, NOW)
    for number in range(50):  # as many as an earlier version had
        ranges = scattered(rng, 1 + rng.randrange(counts + 1), unit_s, NOW - number)
        checkpoint.handovers.append(Handover(f"backfill-{number}".ljust(80, "x"), ranges, NOW))
    for number in range(10_000):
        pieces = scattered(rng, 1 + rng.randrange(counts + 1), unit_s, NOW - number)
        asked = (pieces[0][0] - rng.randrange(DAY_S), NOW)
        own = tuple(rng.sample(names[:METRICS], rng.choice((1, 2, 40))))
        try:
            request_reexport(checkpoint, ReexportRequest(*asked, own, force=rng.random() < 0.5))
        except SettingsError:
            break
        done = subtract([asked], pieces)
        for name in own:
            for low, high in done if rng.random() < 0.5 else done[:1]:
                settle_requests(checkpoint, name, low, high)
    return checkpoint


@pytest.mark.parametrize(
    ("counts", "odd"), [(0, "é"), (1, '"'), (5, "\x00"), (20, "\ud800"), (60, "漢")]
)
def test_everything_at_its_worst_fits(counts: int, odd: str) -> None:
    assert len(checked_fit(heap_of_trouble(counts, counts, odd), NOW)) <= MOST_BYTES


@effort(max_examples=8)
@given(st.integers(0, 10**9), st.integers(0, 30))
def test_any_heap_of_trouble_fits(seed: int, counts: int) -> None:
    assert len(checked_fit(heap_of_trouble(seed, counts), NOW)) <= MOST_BYTES


def test_errors_are_the_first_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are kept; nothing else has changed."""
    monkeypatch.setattr(compact, "MOST_BYTES", 96_000)
    checkpoint = begun(configure(), TWENTY)
    for number in range(2 * 24 * 20):
        name = TWENTY[number % 20]
        start = NOW // HOUR * HOUR - (1 + number // 20) * HOUR
        reason = f"{number} {PAGE}"
        mark_failed(
            checkpoint, name, Window(start, start + HOUR, 60), refused(reason), NOW - number
        )
    before = copy.deepcopy(checkpoint)
    checked_fit(checkpoint, NOW)
    errors = {one.error for one in checkpoint.failures}
    assert len(errors) == ERRORS
    assert ERROR_NOT_KEPT.details() in errors
    assert any(one.error.cause.startswith("0 ") for one in checkpoint.failures)
    for name in TWENTY:
        assert failed(checkpoint, name) == failed(before, name)


# Any long history


class World:
    """What really happened, beside what the checkpoint remembers of it."""

    def __init__(self, seed: int, width_s: int, names: tuple[str, ...]) -> None:
        self.rng = random.Random(seed)
        self.settings = configure(
            TIME_FRAME=str(width_s), BACKFILL_DAYS="1", RETENTION_DAYS=self.rng.choice(["0", "4"])
        )
        self.names = names
        self.at_once = 100  # windows in a run
        self.now = NOW
        self.checkpoint = begun(self.settings, names)
        self.exported: dict[str, Intervals] = dict.fromkeys(names, ())
        self.most = 0

    def run(self) -> None:
        """Half an hour later: another run, in which each metric has its own way to fail."""
        rng = self.rng
        self.now += rng.choice((1800, 1800, 5 * HOUR, DAY_S))
        adopt_settings(self.checkpoint, self.settings, self.names, self.now)
        plan = list(due_windows(self.checkpoint, self.names, self.settings, self.now))[
            : self.at_once
        ]
        for window, lacking in plan:
            for name in lacking:
                # Two of five windows of a metric fail however often they are tried.
                if zlib.crc32(f"{name} {window}".encode()) % 5 < 2:
                    reason = f"{rng.randrange(10**6)} {PAGE}"
                    mark_failed(self.checkpoint, name, window, refused(reason), self.now)
                else:
                    mark_exported(self.checkpoint, name, window, empty=rng.random() < 0.3)
                    here = [(window.start, window.end)]
                    self.exported[name] = union(self.exported[name], here)
        if rng.random() < 0.2:
            low = self.now - rng.randrange(1, 30) * HOUR
            low -= low % DAY_S % self.settings.time_frame_s
            repeat = ReexportRequest(
                low, low + self.settings.time_frame_s, self.names, rng.random() < 0.5
            )
            request_reexport(self.checkpoint, repeat)

    def check(self) -> None:
        body = checked_fit(self.checkpoint, self.now)
        self.most = max(self.most, len(body))
        self.checkpoint = load(body, "x")
        wanted = list(wanted_windows(self.checkpoint, self.names, self.settings, self.now))
        for name in self.names:
            exported = self.checkpoint.metrics[name].exported
            assert subtract(exported, self.exported[name]) == ()
            # What was never exported is wanted, but for what retention reached.
            own = union((window.start, window.end) for window, lacking in wanted if name in lacking)
            newest = max((window.end for window, _ in wanted), default=0)
            since = max(self.checkpoint.metrics[name].since, keep_from(self.settings, self.now))
            assert subtract([(since, newest)], exported, own) == ()


@pytest.mark.parametrize("width_s", [60, 3600])
def test_whatever_happens_for_long_nothing_wanted_is_forgotten(
    width_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With far less room than there is, so that all detail that can go does."""
    monkeypatch.setattr(compact, "MOST_BYTES", 4_000)
    world = World(width_s, width_s, TWENTY[:3])
    for _ in range(12):
        world.run()
        world.check()
    assert world.checkpoint.failures
    assert world.most > 4_000


def test_days_with_all_kinds_of_trouble_at_once_take_a_fiftieth_of_the_bound() -> None:
    """Thirty metrics, hourly windows, a run an hour for eight days after a backfill of three.

    One metric is always refused and one for three days; one fails every third time; six are too
    large through the working hours of three days, which begin and end differently for each, with
    a page of HTML as the reason; one has no series at night; the endpoint is away for five hours
    twice; two executions have windows here and there, a range is asked for again, and TIME_FRAME
    changes every day.
    """
    names = tuple(f"metric_number_{number}" for number in range(30))
    begin, most = NOW - 8 * DAY_S, 0
    checkpoint = begun(configure(), names, begin)
    page = "http://mimir:8080/prometheus/api/v1/query_range answered 422: " + "too large " * 40
    cuts = [configure(TIME_FRAME="3600"), configure(TIME_FRAME="1800")]
    for now in range(begin, NOW, HOUR):
        days, hours = divmod((now - begin) // HOUR, 24)
        settings = cuts[days % 2]
        adopt_settings(checkpoint, settings, names, now)
        plan = list(due_windows(checkpoint, names, settings, now))
        for window, lacking in plan if days not in (2, 5) or hours >= 5 else ():
            for name in lacking:
                number = names.index(name)
                always = number == 0 or (number == 1 and 3 <= days < 6)
                flaky = number == 2 and hours % 3 == 0
                large = number >= 24 and days in (1, 4, 6) and number - 18 <= hours < number - 14
                if always or flaky or large:
                    mark_failed(checkpoint, name, window, refused(page), now)
                else:
                    empty = number == 3 and not 6 <= hours < 22
                    mark_exported(checkpoint, name, window, empty=empty)
        if (days, hours) == (1, 6):
            request_reexport(checkpoint, ReexportRequest(begin, now - DAY_S, names[:5], force=True))
            for number in range(2):
                scattered = [(at, at + HOUR) for at in range(begin, NOW, (5 + number) * HOUR)]
                record_handover(checkpoint, Handover(f"backfill-{number}", union(scattered), now))
        if hours % 3 == 2:
            most = max(most, len(dump(checkpoint, now)))
    assert load(dump(checkpoint, NOW), "x") == checkpoint
    assert checkpoint.gaps()
    assert 5_000 < most < 20_000
