"""Facts of the checkpoint that a change must not lose, each of which a random change of the code
once removed without a test noticing."""

import pytest

from mimir_exporter.checkpoint.accepted import accept_missing
from mimir_exporter.checkpoint.adopt import MAX_SCHEDULES, adopt_settings, join_checkpoint
from mimir_exporter.checkpoint.changes import adopt_retention
from mimir_exporter.checkpoint.doubts import note_vanished
from mimir_exporter.checkpoint.outcomes import mark_exported
from mimir_exporter.checkpoint.ranges import MANY_RANGES, dump_ranges
from mimir_exporter.checkpoint.rebuilt import fit_schedule, note_exported
from mimir_exporter.checkpoint.records import Acceptance, ReexportRequest, RetentionInForce
from mimir_exporter.checkpoint.reexports import request_reexport
from mimir_exporter.checkpoint.state import Checkpoint
from mimir_exporter.errors import SettingsError
from mimir_exporter.timeline.windows import DAY_S, Window, WindowSchedule
from tests.clocks import unix
from tests.unit.checkpoints import HOUR, NAMES, NOW, begun, configure, hour, make_gap

MIDNIGHT = unix("2026-10-31")
OLD = hour("2026-10-31T09:00")
FIRST = Window(MIDNIGHT, MIDNIGHT + HOUR, 60)


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        (MIDNIGHT, MIDNIGHT + DAY_S, [(MIDNIGHT, MIDNIGHT + DAY_S)]),
        (MIDNIGHT + 1, MIDNIGHT + 2, [(MIDNIGHT, MIDNIGHT + DAY_S)]),
        (MIDNIGHT - 1, MIDNIGHT + 1, [(MIDNIGHT - DAY_S, MIDNIGHT + DAY_S)]),
    ],
)
def test_the_receipts_of_the_days_of_a_change_are_due(
    start: int, end: int, days: list[tuple[int, int]]
) -> None:
    checkpoint = Checkpoint()
    checkpoint.change(start, end)
    assert list(checkpoint.receipts_due) == days


def test_a_rebuilt_day_gets_its_receipt() -> None:
    checkpoint = Checkpoint()
    note_exported(checkpoint, "a", FIRST, empty=False, exported=NOW)
    assert checkpoint.receipts_due == ((MIDNIGHT, MIDNIGHT + DAY_S),)


def test_a_rebuilt_metric_came_when_its_oldest_export_was_made() -> None:
    checkpoint = Checkpoint()
    second = Window(FIRST.end, FIRST.end + HOUR, 60)
    note_exported(checkpoint, "a", FIRST, empty=False, exported=NOW)
    note_exported(checkpoint, "a", second, empty=False, exported=NOW - 60)
    assert checkpoint.metrics["a"].added == NOW - 60


def test_a_rebuilt_schedule_replaces_the_one_that_would_begin_with_it() -> None:
    """Of windows of two lengths from the same moment on only one schedule can be there."""
    quarter = Window(MIDNIGHT, MIDNIGHT + 900, 60)
    schedules = fit_schedule(
        [WindowSchedule(0, HOUR, 60), WindowSchedule(MIDNIGHT, 1800, 60)], quarter
    )
    assert schedules == (WindowSchedule(0, HOUR, 60), WindowSchedule(MIDNIGHT, 900, 60))


def test_a_retention_lowered_less_than_first_seen_keeps_its_time_and_takes_the_new_value() -> None:
    checkpoint = begun()
    checkpoint.retention = RetentionInForce(90 * DAY_S, 10 * DAY_S, NOW)
    adopt_retention(checkpoint, configure(RETENTION_DAYS="20"), NOW + 100)
    assert checkpoint.retention == RetentionInForce(90 * DAY_S, 20 * DAY_S, NOW)


def test_what_is_accepted_is_not_doubted_any_more() -> None:
    checkpoint = begun()
    mark_exported(checkpoint, "cpu", OLD, empty=False)
    note_vanished(checkpoint.metrics["cpu"], OLD, ["prod"])
    accept_missing(checkpoint, Acceptance(((OLD.start, OLD.end),), ("cpu",), "Ada", "gone", NOW))
    assert checkpoint.metrics["cpu"].doubts == ()


@pytest.mark.parametrize(
    ("start", "end"), [(OLD.start - HOUR, OLD.start), (OLD.end, OLD.end + HOUR)]
)
def test_a_request_leaves_the_gap_beside_its_range_alone(start: int, end: int) -> None:
    checkpoint = begun()
    make_gap(checkpoint, "cpu", OLD, NOW)
    request_reexport(checkpoint, ReexportRequest(start, end, ("cpu",)))
    (failure,) = checkpoint.failures
    assert failure.is_gap


@pytest.mark.parametrize(("count", "kind"), [(MANY_RANGES, list), (MANY_RANGES + 1, dict)])
def test_many_ranges_are_lengths_and_few_are_times(count: int, kind: type) -> None:
    ranges = [(at * DAY_S, at * DAY_S + HOUR) for at in range(1, count + 1)]
    assert type(dump_ranges(ranges)) is kind


def test_a_command_takes_in_new_metrics_and_nothing_else() -> None:
    checkpoint = begun()
    before = checkpoint.metrics["cpu"], checkpoint.schedules, checkpoint.retention
    other = configure(TIME_FRAME="900", RETENTION_DAYS="1", INITIAL_BACKFILL_DATE="2020-01-01")
    join_checkpoint(checkpoint, other, [*NAMES, "disk"], NOW)
    assert (checkpoint.metrics["cpu"], checkpoint.schedules, checkpoint.retention) == before
    assert checkpoint.metrics["disk"].added == NOW


def changed_often(checkpoint: Checkpoint, times: int) -> None:
    """TIME_FRAME is changed day by day."""
    for day in range(times):
        settings = configure(TIME_FRAME="1800" if day % 2 else "3600")
        adopt_settings(checkpoint, settings, NAMES, NOW + day * DAY_S)


def test_a_schedule_too_many_is_refused_while_its_files_are_kept() -> None:
    checkpoint = Checkpoint()
    changed_often(checkpoint, MAX_SCHEDULES)
    assert len(checkpoint.schedules) == MAX_SCHEDULES
    with pytest.raises(SettingsError, match="TIME_FRAME"):
        adopt_settings(checkpoint, configure(TIME_FRAME="900"), NAMES, NOW + MAX_SCHEDULES * DAY_S)


def test_schedules_behind_retention_make_room_but_not_those_of_restored_windows() -> None:
    checkpoint = Checkpoint()
    changed_often(checkpoint, MAX_SCHEDULES)
    checkpoint.deleted_until = checkpoint.schedules[2].since
    now = NOW + MAX_SCHEDULES * DAY_S
    restored = checkpoint.schedules[1].since - DAY_S
    checkpoint.metrics["cpu"].restored = ((restored, restored + HOUR),)
    with pytest.raises(SettingsError):
        adopt_settings(checkpoint, configure(TIME_FRAME="900"), NAMES, now)
    checkpoint.metrics["cpu"].restored = ()
    adopt_settings(checkpoint, configure(TIME_FRAME="900"), NAMES, now)
    assert len(checkpoint.schedules) == MAX_SCHEDULES
    assert checkpoint.schedules[0].since == 0
