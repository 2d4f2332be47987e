"""What is exported and what is pending: nothing forgotten, nothing done twice, nothing guessed."""

import copy
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from mimir_exporter.checkpoint.accepted import accept_missing
from mimir_exporter.checkpoint.adopt import adopt_settings
from mimir_exporter.checkpoint.document import dump
from mimir_exporter.checkpoint.doubts import EmptyDoubt, doubt_empty
from mimir_exporter.checkpoint.loading import load
from mimir_exporter.checkpoint.outcomes import (
    mark_audited,
    mark_deleted,
    mark_exported,
    mark_failed,
    mark_nothing_left,
    record_execution_end,
    record_handover,
)
from mimir_exporter.checkpoint.records import (
    GAP_ATTEMPTS,
    TEXT_CHARACTERS,
    Acceptance,
    Handover,
    PartitionConfig,
    ReexportRequest,
)
from mimir_exporter.checkpoint.reexports import open_request, request_for, request_reexport
from mimir_exporter.checkpoint.state import Checkpoint
from mimir_exporter.checkpoint.wanted import (
    due_metrics,
    due_windows,
    keep_from,
    lag_s,
    wanted_windows,
)
from mimir_exporter.coverage.compute import compute_coverage
from mimir_exporter.coverage.states import State
from mimir_exporter.errors import CheckpointError, ErrorDetails
from mimir_exporter.errors.runs import EXECUTION_ENDED
from mimir_exporter.settings.settings import Settings
from mimir_exporter.timeline.clock import CLOCK_OFF_S
from mimir_exporter.timeline.intervals import covers, subtract, union
from mimir_exporter.timeline.windows import DAY_S, Window, window_at
from tests.clocks import unix
from tests.some import some
from tests.unit.checkpoints import (
    HOUR,
    NAMES,
    NOW,
    begun,
    configure,
    export_all,
    handed,
    hour,
    make_gap,
    refused,
    starts,
)

# What is wanted


def test_the_first_run_plans_three_days_of_whole_settled_windows_newest_first() -> None:
    plan = list(due_windows(begun(), NAMES, configure(), NOW))
    newest, oldest = unix("2026-10-31T11:00"), unix("2026-10-28T12:00")
    assert starts(plan) == list(range(newest, oldest - 1, -HOUR))
    assert all(lacking == NAMES for _, lacking in some(plan))
    assert plan[0][0] == Window(newest, newest + HOUR, 60)


@pytest.mark.parametrize(
    ("at", "newest"),
    [("12:09:59", "10:00"), ("12:10:00", "11:00"), ("13:09:59", "11:00"), ("13:10:00", "12:00")],
)
def test_a_window_is_due_once_it_is_as_old_as_the_settle_time(at: str, newest: str) -> None:
    now = unix(f"2026-10-31T{at}")
    assert starts(due_windows(begun(now=now), NAMES, configure(), now))[0] == unix(
        f"2026-10-31T{newest}"
    )


def test_days_that_retention_would_delete_are_not_exported() -> None:
    settings = configure(BACKFILL_DAYS="60", RETENTION_DAYS="2")
    planned = starts(due_windows(begun(settings), NAMES, settings, NOW))
    assert planned[-1] == keep_from(settings, NOW) == unix("2026-10-29")
    unlimited = configure(BACKFILL_DAYS="60", RETENTION_DAYS="0")
    planned = starts(due_windows(begun(unlimited), NAMES, unlimited, NOW))
    assert planned[-1] == unix("2026-09-01T12:00")


def test_a_day_is_kept_until_all_of_it_is_too_old() -> None:
    settings = configure(RETENTION_DAYS="2")
    midnight = unix("2026-10-31")
    assert keep_from(settings, midnight + DAY_S - 1) == midnight - 2 * DAY_S
    assert keep_from(settings, midnight + DAY_S) == midnight - DAY_S
    assert keep_from(configure(RETENTION_DAYS="0"), midnight) == 0


def test_what_is_exported_is_not_wanted_again() -> None:
    checkpoint, settings = begun(), configure()
    mark_exported(checkpoint, "cpu", hour("2026-10-31T11:00"), empty=False)
    plan = dict(due_windows(checkpoint, NAMES, settings, NOW))
    assert plan[hour("2026-10-31T11:00")] == ("memory",)
    export_all(checkpoint, settings, NAMES, NOW)
    assert list(wanted_windows(checkpoint, NAMES, settings, NOW)) == []
    later = NOW + HOUR
    assert starts(wanted_windows(checkpoint, NAMES, settings, later)) == [unix("2026-10-31T12:00")]


def test_a_longer_backfill_reaches_further_back_from_the_first_day() -> None:
    checkpoint = begun()
    export_all(checkpoint, configure(), NAMES, NOW)
    later, longer = NOW + 2 * DAY_S, configure(BACKFILL_DAYS="4")
    adopt_settings(checkpoint, longer, NAMES, later)
    planned = starts(due_windows(checkpoint, NAMES, longer, later))
    first = unix("2026-10-28T12:00")
    assert [start for start in planned if start < first] == list(
        range(first - HOUR, first - DAY_S - 1, -HOUR)
    )
    # And no window that was exported before.
    assert not [start for start in planned if first <= start < unix("2026-10-31T12:00")]


def test_a_shorter_backfill_takes_nothing_away() -> None:
    checkpoint, settings = begun(), configure(BACKFILL_DAYS="0")
    before = starts(due_windows(checkpoint, NAMES, configure(), NOW))
    adopt_settings(checkpoint, settings, NAMES, NOW)
    assert starts(due_windows(checkpoint, NAMES, settings, NOW)) == before


@pytest.mark.parametrize(
    ("date", "first"),
    [
        ("2026-10-30", "2026-10-30T00:00"),
        ("2026-10-20T05:59:59", "2026-10-20T05:00"),
        ("2026-10-31T10:00:00+01:00", "2026-10-31T09:00"),
    ],
)
def test_a_date_to_begin_from_goes_before_the_days(date: str, first: str) -> None:
    settings = configure(INITIAL_BACKFILL_DATE=date, BACKFILL_DAYS="3")
    assert starts(due_windows(begun(settings), NAMES, settings, NOW))[-1] == unix(first)


def test_a_metric_that_comes_later_has_a_backfill_of_its_own() -> None:
    settings = configure(BACKFILL_DAYS="1")
    checkpoint = begun(settings)
    export_all(checkpoint, settings, NAMES, NOW)
    later, names = NOW + 5 * DAY_S, (*NAMES, "mine")
    adopt_settings(checkpoint, settings, names, later)
    export_all(checkpoint, settings, NAMES, later)
    plan = list(due_windows(checkpoint, names, settings, later))
    assert {lacking for _, lacking in plan} == {("mine",)}
    assert starts(plan)[-1] == unix("2026-11-04T12:00")


def test_a_metric_that_is_gone_is_not_asked_for() -> None:
    checkpoint, settings = begun(names=(*NAMES, "mine")), configure()
    assert all(
        "mine" not in lacking for _, lacking in some(due_windows(checkpoint, NAMES, settings, NOW))
    )
    assert list(due_windows(checkpoint, ("unknown",), settings, NOW)) == []


def test_another_time_frame_moves_no_window_that_was_due() -> None:
    checkpoint = begun()
    before = list(due_windows(checkpoint, NAMES, configure(), NOW))
    halved = configure(TIME_FRAME="1800", QUERY_STEP="30")
    adopt_settings(checkpoint, halved, NAMES, NOW)
    assert list(due_windows(checkpoint, NAMES, halved, NOW)) == before
    planned = list(due_windows(checkpoint, NAMES, halved, NOW + 2 * HOUR))[:3]
    assert [(window.end - window.start, window.step_s) for window, _ in planned] == [
        (1800, 30),
        (1800, 30),
        (HOUR, 60),
    ]


def test_what_decides_the_folder_is_noted_when_it_changes_and_only_then() -> None:
    checkpoint = begun()
    assert checkpoint.partition == PartitionConfig("cluster", "prod", split=True, since=0)
    adopt_settings(checkpoint, configure(), NAMES, NOW + HOUR)
    assert checkpoint.partition == PartitionConfig("cluster", "prod", split=True, since=0)
    changed = configure(CLUSTER_LABEL_NAME="k8s_cluster")
    for wait_s in (HOUR, 2 * HOUR):
        adopt_settings(checkpoint, changed, NAMES, NOW + wait_s)
        assert checkpoint.partition == PartitionConfig(
            *("k8s_cluster", "prod", True, NOW + HOUR),
            relabel_from=NOW + HOUR + DAY_S,
            before=("cluster", "prod", True),
        )


# A clock that was wrong


def test_what_a_clock_recorded_that_was_a_year_ahead_stops_the_run() -> None:
    """Windows that are still to come, and exported, would never be exported: none is guessed at."""
    settings, ahead = configure(RETENTION_DAYS="0"), NOW + 365 * DAY_S
    checkpoint = begun(settings, ["cpu"])
    export_all(checkpoint, settings, ["cpu"], NOW)
    deleted = copy.deepcopy(checkpoint)
    adopt_settings(checkpoint, settings, NAMES, ahead)
    export_all(checkpoint, settings, NAMES, ahead)
    with pytest.raises(CheckpointError, match="windows up to 2027-10-31T12:00:00Z, and the clock"):
        adopt_settings(checkpoint, settings, NAMES, NOW + HOUR)
    mark_deleted(deleted, ahead // DAY_S * DAY_S)
    with pytest.raises(CheckpointError, match="up to 2027-10-31T00:00:00Z, and the clock"):
        adopt_settings(deleted, settings, NAMES, NOW + HOUR)


def test_a_clock_that_is_a_little_behind_is_none_that_is_wrong() -> None:
    settings = configure(SETTLE_TIME="0")
    checkpoint, later = begun(settings), unix("2026-10-31T13:00")
    export_all(checkpoint, settings, NAMES, later)
    adopt_settings(checkpoint, settings, NAMES, later - CLOCK_OFF_S)
    with pytest.raises(CheckpointError):
        adopt_settings(checkpoint, settings, NAMES, later - CLOCK_OFF_S - 1)


def test_a_gap_that_was_tried_in_the_future_is_due() -> None:
    checkpoint, settings, window = begun(), configure(), hour("2026-10-31T11:00")
    make_gap(checkpoint, "cpu", window, NOW + 30 * DAY_S)
    assert window in dict(due_windows(checkpoint, ["cpu"], settings, NOW))


def test_a_clock_that_is_set_back_a_little_takes_back_no_grid_that_has_windows() -> None:
    checkpoint, halved = begun(), configure(TIME_FRAME="60", SETTLE_TIME="0")
    adopt_settings(checkpoint, halved, NAMES, NOW)
    now = unix("2026-10-31T13:02")
    adopt_settings(checkpoint, halved, NAMES, now)
    mark_exported(checkpoint, "cpu", Window(now - 60, now, 60), empty=False)
    schedules = checkpoint.schedules
    adopt_settings(checkpoint, halved, NAMES, now - 180)
    assert checkpoint.schedules == schedules


# Failures and gaps


def test_a_failure_holds_back_neither_other_metrics_nor_other_windows() -> None:
    checkpoint, settings = begun(), configure()
    before = list(due_windows(checkpoint, NAMES, settings, NOW))
    mark_failed(checkpoint, "cpu", before[0][0], refused(), NOW)
    # What failed is asked for last, so that it cannot use up the time of the others.
    failed = (before[0][0], ("memory", "cpu"))
    assert list(due_windows(checkpoint, NAMES, settings, NOW)) == [failed, *before[1:]]
    make_gap(checkpoint, "cpu", before[0][0], NOW)
    after = list(due_windows(checkpoint, NAMES, settings, NOW))
    assert after == [(before[0][0], ("memory",)), *before[1:]]


def test_after_five_attempts_a_window_is_tried_once_a_day() -> None:
    checkpoint, settings, window = begun(), configure(), hour("2026-10-31T11:00")
    for attempt in range(1, GAP_ATTEMPTS + 1):
        assert window in dict(due_windows(checkpoint, ["cpu"], settings, NOW + attempt))
        assert checkpoint.gaps() == []
        mark_failed(checkpoint, "cpu", window, refused(), NOW + attempt)
    (gap,) = checkpoint.gaps()
    assert (gap.metric, gap.start, gap.end, gap.attempts) == ("cpu", window.start, window.end, 5)
    last = NOW + GAP_ATTEMPTS
    assert window not in dict(due_windows(checkpoint, ["cpu"], settings, last + DAY_S - 1))
    assert window in dict(due_windows(checkpoint, ["cpu"], settings, last + DAY_S))
    assert window in dict(wanted_windows(checkpoint, ["cpu"], settings, last))
    mark_failed(checkpoint, "cpu", window, refused(), last + DAY_S)
    assert window not in dict(due_windows(checkpoint, ["cpu"], settings, last + 2 * DAY_S - 1))
    assert window in dict(due_windows(checkpoint, ["cpu"], settings, last + 2 * DAY_S))
    mark_exported(checkpoint, "cpu", window, empty=False)
    assert checkpoint.failures == []


def test_a_gap_keeps_its_daily_try_while_newer_windows_keep_failing() -> None:
    """One record for all of them must not make the old gap as young as the newest failure."""
    settings = configure(BACKFILL_DAYS="0")
    checkpoint = begun(settings, ["cpu"])
    oldest, tries = window_at(checkpoint.schedules, NOW), []
    for now in range(NOW + HOUR, NOW + 4 * DAY_S, 1800):
        for window, _ in list(due_windows(checkpoint, ["cpu"], settings, now)):
            mark_failed(checkpoint, "cpu", window, refused(), now)
            if window == oldest:
                tries.append(now)
        checkpoint = load(dump(checkpoint, now), "x")
    waits = [later - now for now, later in itertools.pairwise(tries)]
    assert waits[: GAP_ATTEMPTS - 1] == [1800] * (GAP_ATTEMPTS - 1)
    daily = waits[GAP_ATTEMPTS - 1 :]
    assert len(daily) >= 2
    # A day, and as much later as failures of one quarter of a day share a record.
    assert all(DAY_S <= wait <= DAY_S * 5 // 4 + 1800 for wait in some(daily))


def test_a_gap_that_retention_has_overtaken_fires_no_alarm() -> None:
    settings = configure(RETENTION_DAYS="2")
    checkpoint, window = begun(settings), hour("2026-10-31T11:00")
    make_gap(checkpoint, "cpu", window, NOW)
    mark_failed(checkpoint, "memory", hour("2026-11-02T23:00"), refused(), NOW + 3 * DAY_S)
    adopt_settings(checkpoint, settings, NAMES, unix("2026-11-02T23:59"))
    assert len(checkpoint.gaps()) == 1
    adopt_settings(checkpoint, settings, NAMES, unix("2026-11-03"))
    assert checkpoint.gaps() == []
    assert [failure.metric for failure in checkpoint.failures] == ["memory"]


def test_a_gap_of_a_metric_that_was_taken_out_fires_no_alarm() -> None:
    checkpoint = begun(names=(*NAMES, "mine"))
    make_gap(checkpoint, "mine", hour("2026-10-31T11:00"), NOW)
    make_gap(checkpoint, "cpu", hour("2026-10-31T11:00"), NOW)
    adopt_settings(checkpoint, configure(), NAMES, NOW)
    assert [gap.metric for gap in checkpoint.gaps()] == ["cpu"]


def test_neighbours_that_failed_alike_share_a_record_and_part_again() -> None:
    checkpoint = begun()
    for hours in (9, 11, 10):
        mark_failed(checkpoint, "cpu", hour(f"2026-10-31T{hours:02}:00"), refused(), NOW)
    (failure,) = checkpoint.failures
    assert (failure.start, failure.end) == (unix("2026-10-31T09:00"), unix("2026-10-31T12:00"))
    mark_failed(checkpoint, "memory", hour("2026-10-31T12:00"), refused(), NOW)
    assert len(checkpoint.failures) == 2
    mark_exported(checkpoint, "cpu", hour("2026-10-31T10:00"), empty=False)
    left = [(one.start, one.end) for one in checkpoint.failures if one.metric == "cpu"]
    assert left == [
        (unix("2026-10-31T09:00"), unix("2026-10-31T10:00")),
        (unix("2026-10-31T11:00"), unix("2026-10-31T12:00")),
    ]
    mark_failed(checkpoint, "cpu", hour("2026-10-31T11:00"), refused(), NOW + 1)
    found = checkpoint.failure_of("cpu", hour("2026-10-31T11:00"))
    assert found is not None
    assert found.attempts == 2
    found = checkpoint.failure_of("cpu", hour("2026-10-31T09:00"))
    assert found is not None
    assert found.attempts == 1


def test_a_failure_counts_for_its_own_window_though_its_neighbour_joins_it() -> None:
    """Both fail in one run: the record that they share says nothing of the older one yet."""
    checkpoint = begun()
    old, new = hour("2026-10-31T10:00"), hour("2026-10-31T11:00")
    mark_failed(checkpoint, "cpu", old, refused(), NOW - 100)
    for _ in range(2):  # the change as a whole, applied twice
        mark_failed(checkpoint, "cpu", new, refused(), NOW)
        mark_failed(checkpoint, "cpu", old, refused(), NOW)
        found = [checkpoint.failure_of("cpu", window) for window in (old, new)]
        assert [one.attempts for one in found if one] == [2, 1]


def test_what_was_deleted_under_a_run_is_not_begun_anew_by_it() -> None:
    checkpoint, window = Checkpoint(), hour("2026-10-31T11:00")
    with pytest.raises(CheckpointError, match="was deleted while a run was at work"):
        mark_exported(checkpoint, "cpu", window, empty=False)
    with pytest.raises(CheckpointError, match="was deleted while a run was at work"):
        mark_failed(checkpoint, "cpu", window, refused(), NOW)
    assert checkpoint == Checkpoint()


def test_a_long_error_is_cut() -> None:
    checkpoint = begun()
    mark_failed(checkpoint, "cpu", hour("2026-10-31T11:00"), refused("x" * 5000), NOW)
    assert len(checkpoint.failures[0].error.cause) == TEXT_CHARACTERS


def test_what_failed_least_is_asked_for_first() -> None:
    names = ("a", "b", "c", "d")
    checkpoint, window = begun(names=names), hour("2026-10-31T11:00")
    mark_exported(checkpoint, "b", window, empty=False)
    make_gap(checkpoint, "a", window, NOW)
    mark_failed(checkpoint, "c", window, refused(), NOW)
    assert due_metrics(checkpoint, names, window, NOW) == ("d", "c")  # a is a gap until tomorrow
    tomorrow = NOW + DAY_S
    assert due_metrics(checkpoint, names, window, tomorrow) == ("d", "c", "a")
    request_reexport(checkpoint, ReexportRequest(window.start, window.end, ("b",)))
    assert due_metrics(checkpoint, (*names, "unknown"), window, tomorrow) == ("b", "d", "c", "a")


# Executions


def test_what_an_execution_has_is_not_planned_but_still_wanted() -> None:
    checkpoint, settings = begun(), configure()
    plan = list(due_windows(checkpoint, NAMES, settings, NOW))
    handed(checkpoint, [window for window, _ in plan[10:]])
    assert list(due_windows(checkpoint, NAMES, settings, NOW)) == plan[:10]
    assert list(wanted_windows(checkpoint, NAMES, settings, NOW)) == plan


def test_an_execution_that_is_over_counts_a_failure_once_for_all_that_it_left() -> None:
    checkpoint, settings = begun(), configure()
    windows = [window for window, _ in due_windows(checkpoint, NAMES, settings, NOW)][:4]
    handover = handed(checkpoint, windows)
    mark_exported(checkpoint, "cpu", windows[0], empty=False)
    mark_exported(checkpoint, "memory", windows[0], empty=True)
    mark_exported(checkpoint, "cpu", windows[1], empty=False)
    # It said itself why this one failed.
    mark_failed(checkpoint, "memory", windows[1], refused("said"), NOW + 5)
    # And this is from before it began.
    mark_failed(checkpoint, "cpu", windows[2], refused("before"), NOW - 5)
    for _ in range(2):
        record_execution_end(checkpoint, handover, NAMES, settings, NOW + 60, "FAILED")
        counted = {
            (name, window): (one.attempts, one.error)
            for window in windows
            for name in NAMES
            if (one := checkpoint.failure_of(name, window))
        }
        ended = EXECUTION_ENDED.details(name="backfill-1", status="FAILED")
        assert counted == {
            ("memory", windows[1]): (1, refused("said")),
            ("cpu", windows[2]): (2, ended),
            ("memory", windows[2]): (1, ended),
            ("cpu", windows[3]): (1, ended),
            ("memory", windows[3]): (1, ended),
        }
    assert checkpoint.handovers == []
    left = [window for window, _ in due_windows(checkpoint, NAMES, settings, NOW)]
    assert left[:3] == windows[1:]


def test_settling_touches_nothing_outside_of_the_execution() -> None:
    checkpoint, settings = begun(), configure()
    windows = [window for window, _ in due_windows(checkpoint, NAMES, settings, NOW)]
    handover = handed(checkpoint, windows[5:7])
    record_execution_end(checkpoint, handover, NAMES, settings, NOW, "ABORTED")
    failed = {window for window in windows if checkpoint.failure_of("cpu", window)}
    assert failed == set(windows[5:7])


def test_handing_over_twice_is_handing_over_once() -> None:
    checkpoint, window = begun(), hour("2026-10-31T11:00")
    handed(checkpoint, [window])
    handed(checkpoint, [window])
    assert (len(checkpoint.handovers), checkpoint.handed_over) == (1, 1)


# What is asked for again


def test_a_range_that_is_asked_for_again_is_planned_until_it_is_exported() -> None:
    checkpoint, settings = begun(), configure()
    export_all(checkpoint, settings, NAMES, NOW)
    windows = [hour("2026-10-31T10:00"), hour("2026-10-31T09:00")]
    repeat = ReexportRequest(windows[1].start, windows[0].end, ("cpu",), True, requester="run-1")
    request_reexport(checkpoint, repeat)
    request_reexport(checkpoint, repeat)
    assert list(due_windows(checkpoint, NAMES, settings, NOW)) == [
        (one, ("cpu",)) for one in windows
    ]
    assert request_for(checkpoint, "cpu", windows[0]) == replace(repeat, number=1)
    assert request_for(checkpoint, "memory", windows[0]) is None
    assert request_for(checkpoint, "cpu", hour("2026-10-31T11:00")) is None
    mark_exported(checkpoint, "cpu", windows[0], empty=False)
    assert list(due_windows(checkpoint, NAMES, settings, NOW)) == [(windows[1], ("cpu",))]
    mark_exported(checkpoint, "cpu", windows[1], empty=False)
    assert checkpoint.reexports == []


def test_each_metric_of_a_repetition_is_done_for_itself() -> None:
    checkpoint, settings = begun(), configure()
    export_all(checkpoint, settings, NAMES, NOW)
    windows = [hour(f"2026-10-31T{hours:02}:00") for hours in (10, 9, 8)]
    request_reexport(
        checkpoint, ReexportRequest(windows[-1].start, windows[0].end, NAMES, force=True)
    )
    mark_exported(checkpoint, "cpu", windows[1], empty=False)
    assert dict(due_windows(checkpoint, NAMES, settings, NOW)) == {
        windows[0]: NAMES,
        windows[1]: ("memory",),
        windows[2]: NAMES,
    }
    assert all(repeat.force for repeat in some(checkpoint.reexports))


def test_force_is_not_lost_to_an_earlier_wish_without_it() -> None:
    checkpoint, window = begun(), hour("2026-10-31T10:00")
    plain = ReexportRequest(window.start, window.end, NAMES)
    request_reexport(checkpoint, plain)
    request_reexport(checkpoint, replace(plain, force=True))
    found = request_for(checkpoint, "cpu", window)
    assert found is not None
    assert found.force


def test_only_work_that_began_after_a_request_settles_it() -> None:
    """An older fetch of the same window was on its way; the clock may not move, either."""
    checkpoint, settings, window = begun(), configure(), hour("2026-10-31T10:00")
    export_all(checkpoint, settings, NAMES, NOW)
    before = checkpoint.requests_made
    request_reexport(checkpoint, ReexportRequest(window.start, window.end, NAMES, force=True))
    mark_exported(checkpoint, "cpu", window, empty=False, seen=before)
    mark_failed(checkpoint, "memory", window, refused(), NOW, seen=before)
    (request,) = checkpoint.reexports
    assert (request.metrics, checkpoint.failures) == (NAMES, [])
    mark_exported(checkpoint, "cpu", window, empty=False, seen=request.number)
    assert [one.metrics for one in checkpoint.reexports] == [("memory",)]
    # The same range, asked for by another invocation while the first request is at work.
    request_reexport(checkpoint, ReexportRequest(window.start, window.end, ("memory",), force=True))
    mark_exported(checkpoint, "memory", window, empty=False, seen=request.number)
    assert [one.number for one in checkpoint.reexports] == [request.number + 1]


def test_a_request_that_is_recorded_twice_by_one_invocation_is_one() -> None:
    """Its write was done, and the answer was lost."""
    checkpoint, window = begun(), hour("2026-10-31T10:00")
    for _ in range(2):
        number = open_request(checkpoint, "run-1")
        request_reexport(
            checkpoint,
            ReexportRequest(window.start, window.end, NAMES, number=number, requester="run-1"),
        )
    assert [(one.number, one.metrics) for one in checkpoint.reexports] == [(1, NAMES)]


def test_an_item_exports_no_other_metric_than_was_asked_for_before_the_beginning() -> None:
    checkpoint, window = begun(), hour("2026-10-20T10:00")
    request_reexport(checkpoint, ReexportRequest(window.start, window.end, ("cpu",)))
    assert due_metrics(checkpoint, NAMES, window, NOW) == ("cpu",)
    first = hour("2026-10-28T12:00")
    assert first.start == checkpoint.metrics["cpu"].since
    assert due_metrics(checkpoint, NAMES, first, NOW) == NAMES


def test_a_reexport_that_fails_stays_requested_and_becomes_a_gap_like_any_other() -> None:
    checkpoint, settings, window = begun(), configure(), hour("2026-10-31T10:00")
    export_all(checkpoint, settings, NAMES, NOW)
    exported = copy.deepcopy(checkpoint.metrics)
    request_reexport(checkpoint, ReexportRequest(window.start, window.end, ("cpu",)))
    for attempt in range(1, GAP_ATTEMPTS + 1):
        assert list(due_windows(checkpoint, NAMES, settings, NOW)) == [(window, ("cpu",))]
        for _ in range(2):
            mark_failed(checkpoint, "cpu", window, refused(), NOW + attempt)
        (failure,) = checkpoint.failures
        assert (failure.attempts, checkpoint.metrics) == (attempt, exported)
    last = NOW + GAP_ATTEMPTS
    assert list(due_windows(checkpoint, NAMES, settings, last)) == []
    assert list(due_windows(checkpoint, NAMES, settings, last + DAY_S))[-1] == (window, ("cpu",))
    assert states_of(checkpoint, "cpu", window) == {State.GAP: 1}
    mark_exported(checkpoint, "cpu", window, empty=False)
    assert (checkpoint.failures, checkpoint.reexports) == ([], [])


def test_what_another_run_exported_meanwhile_has_not_failed() -> None:
    checkpoint, window = begun(), hour("2026-10-31T10:00")
    mark_exported(checkpoint, "cpu", window, empty=False)
    mark_failed(checkpoint, "cpu", window, refused(), NOW)
    assert checkpoint.failures == []


def test_a_reexport_that_an_execution_did_not_reach_failed_once() -> None:
    checkpoint, settings = begun(), configure()
    export_all(checkpoint, settings, NAMES, NOW)
    windows = [hour("2026-10-31T10:00"), hour("2026-10-31T09:00")]
    request = ReexportRequest(
        windows[1].start, windows[0].end, NAMES, force=True, requested_at=NOW - 60
    )
    request_reexport(checkpoint, request)
    handover = handed(checkpoint, windows, NOW)
    mark_failed(checkpoint, "memory", windows[0], refused("said"), NOW + 30)
    # Requested while the execution was at work: it cannot have reached it.
    late = hour("2026-10-31T08:00")
    checkpoint.handovers = [replace(handover, ranges=((late.start, windows[0].end),))]
    request_reexport(
        checkpoint, ReexportRequest(late.start, late.end, NAMES, requested_at=NOW + 30)
    )
    record_execution_end(checkpoint, checkpoint.handovers[0], NAMES, settings, NOW + 60, "ABORTED")
    assert dict(due_windows(checkpoint, NAMES, settings, NOW)) == {
        windows[0]: NAMES,
        windows[1]: NAMES,
        late: NAMES,
    }
    attempts = {
        (name, window.start): one.attempts
        for name in NAMES
        for window in (*windows, late)
        if (one := checkpoint.failure_of(name, window))
    }
    assert attempts == {(name, window.start): 1 for name in NAMES for window in windows}


def test_a_repetition_of_a_metric_that_was_taken_out_holds_no_place() -> None:
    """It can never be done, and only so many ranges may wait."""
    checkpoint, settings, window = begun(), configure(), hour("2026-10-31T10:00")
    request_reexport(checkpoint, ReexportRequest(window.start, window.end, NAMES))
    adopt_settings(checkpoint, settings, NAMES[:1], NOW)
    assert [one.metrics for one in checkpoint.reexports] == [NAMES[:1]]


def test_a_window_before_the_beginning_is_wanted_until_it_is_exported() -> None:
    """Nothing but the wish says so: it must not go with the first answer that Mimir owes."""
    checkpoint, settings, window = begun(), configure(), hour("2026-10-20T10:00")
    export_all(checkpoint, settings, NAMES, NOW)
    request_reexport(checkpoint, ReexportRequest(window.start, window.end, ("cpu",)))
    mark_failed(checkpoint, "cpu", window, refused(), NOW)
    assert list(due_windows(checkpoint, NAMES, settings, NOW)) == [(window, ("cpu",))]
    make_gap(checkpoint, "cpu", window, NOW + HOUR)
    assert list(wanted_windows(checkpoint, NAMES, settings, NOW)) == [(window, ("cpu",))]
    assert [gap.metric for gap in checkpoint.gaps()] == ["cpu"]
    assert compute_coverage(
        checkpoint, ("cpu",), settings, NOW, (window.start, window.end)
    ).counts() == Counter({State.GAP: 1})
    mark_exported(checkpoint, "cpu", window, empty=False)
    assert list(wanted_windows(checkpoint, NAMES, settings, NOW)) == []


def test_asking_again_for_a_gap_gives_it_its_attempts_back() -> None:
    checkpoint, settings, window = begun(), configure(), hour("2026-10-31T10:00")
    make_gap(checkpoint, "cpu", window, NOW)
    make_gap(checkpoint, "memory", window, NOW)
    request_reexport(checkpoint, ReexportRequest(window.start, window.end, ("cpu",)))
    assert [gap.metric for gap in checkpoint.gaps()] == ["memory"]
    assert dict(due_windows(checkpoint, NAMES, settings, NOW))[window] == ("cpu",)


def test_a_window_without_series_is_remembered_until_it_has_some() -> None:
    checkpoint, window = begun(), hour("2026-10-31T10:00")
    mark_exported(checkpoint, "cpu", window, empty=True)
    assert checkpoint.metrics["cpu"].empty == ((window.start, window.end),)
    mark_exported(checkpoint, "cpu", window, empty=False)
    assert not checkpoint.metrics["cpu"].empty
    assert checkpoint.metrics["cpu"].exported == ((window.start, window.end),)


def test_nothing_past_mimirs_retention_does_not_make_a_window_empty() -> None:
    """It has its files from before, and Mimir has no series any more."""
    checkpoint, window = begun(), hour("2026-10-31T10:00")
    mark_exported(checkpoint, "cpu", window, empty=False)
    mark_exported(checkpoint, "cpu", window, empty=True)
    assert not checkpoint.metrics["cpu"].empty


# What the source has forgotten


def test_a_gap_whose_source_has_forgotten_it_is_missing_until_it_is_accepted() -> None:
    """It had answered with 200 and nothing: the gap closed itself."""
    checkpoint, settings, window = begun(), configure(), hour("2026-10-31T10:00")
    make_gap(checkpoint, "cpu", window, NOW)
    mark_nothing_left(checkpoint, "cpu", window, refused("nothing"), NOW + DAY_S)
    later = NOW + 3 * DAY_S
    adopt_settings(checkpoint, settings, NAMES, later)
    for now in (NOW + DAY_S, later, later + DAY_S):
        assert all(
            "cpu" not in lacking
            for one, lacking in some(wanted_windows(checkpoint, NAMES, settings, now))
            if one == window
        )
        assert due_metrics(checkpoint, NAMES, window, now) == ("memory",)
    assert [(one.metric, one.nothing_left) for one in checkpoint.gaps()] == [("cpu", True)]
    assert states_of(checkpoint, "cpu", window) == {State.NOTHING_LEFT: 1}
    assert load(dump(checkpoint, NOW), "x") == checkpoint
    acceptance = Acceptance(((window.start, window.end),), ("cpu",), "Ada", "source was down", NOW)
    for _ in range(2):
        accept_missing(checkpoint, acceptance)
    assert (checkpoint.gaps(), checkpoint.accepted) == ([], [acceptance])
    assert states_of(checkpoint, "cpu", window) == {State.ACCEPTED: 1}
    assert due_metrics(checkpoint, NAMES, window, NOW) == ("memory",)
    assert load(dump(checkpoint, NOW), "x") == checkpoint
    # Exported after all, as an operator requested it again.
    request_reexport(checkpoint, ReexportRequest(window.start, window.end, ("cpu",)))
    assert due_metrics(checkpoint, NAMES, window, NOW) == ("cpu", "memory")
    mark_exported(checkpoint, "cpu", window, empty=False)
    assert checkpoint.accepted == []
    assert states_of(checkpoint, "cpu", window) == {State.EXPORTED: 1}


def test_what_is_exported_is_not_forgotten_by_a_late_answer_without_series() -> None:
    checkpoint, window = begun(), hour("2026-10-31T10:00")
    mark_exported(checkpoint, "cpu", window, empty=False)
    mark_nothing_left(checkpoint, "cpu", window, refused("nothing"), NOW)
    assert checkpoint.failures == []


def test_an_answer_without_series_is_doubted_where_there_were_some_before() -> None:
    checkpoint = begun()
    first, gap, newest = (hour(f"2026-10-31T{at}:00") for at in ("05", "08", "10"))
    assert doubt_empty(checkpoint, "cpu", gap) is None  # nothing is known of it
    mark_exported(checkpoint, "cpu", newest, empty=False)
    assert doubt_empty(checkpoint, "cpu", gap) is None  # it may begin after that
    make_gap(checkpoint, "cpu", gap, NOW)
    assert doubt_empty(checkpoint, "cpu", gap) == EmptyDoubt("", None, was_gap=True)
    request_reexport(checkpoint, ReexportRequest(gap.start, gap.end, ("cpu",)))
    assert checkpoint.gaps() == []
    assert doubt_empty(checkpoint, "cpu", gap) == EmptyDoubt("", None, was_gap=True)
    mark_exported(checkpoint, "memory", gap, empty=False)
    assert doubt_empty(checkpoint, "cpu", gap) == EmptyDoubt("memory", gap, was_gap=True)
    mark_exported(checkpoint, "cpu", first, empty=False)
    assert doubt_empty(checkpoint, "cpu", gap) == EmptyDoubt("cpu", first, was_gap=True)
    next_one = hour("2026-10-31T11:00")
    assert doubt_empty(checkpoint, "cpu", next_one) == EmptyDoubt("cpu", newest, was_gap=False)
    mark_exported(checkpoint, "cpu", hour("2026-10-31T06:00"), empty=True)
    assert doubt_empty(checkpoint, "cpu", gap) is None
    mark_exported(checkpoint, "cpu", gap, empty=False)
    assert doubt_empty(checkpoint, "cpu", gap) is None


def test_a_metric_that_never_had_series_is_not_doubted() -> None:
    checkpoint, gap = begun(), hour("2026-10-31T08:00")
    mark_exported(checkpoint, "cpu", hour("2026-10-31T10:00"), empty=True)
    make_gap(checkpoint, "cpu", gap, NOW)
    assert doubt_empty(checkpoint, "cpu", gap) is None


def test_a_gap_that_is_requested_again_keeps_that_it_was_forgotten() -> None:
    checkpoint, window = begun(), hour("2026-10-31T10:00")
    mark_nothing_left(checkpoint, "cpu", window, refused("nothing"), NOW)
    request_reexport(checkpoint, ReexportRequest(window.start, window.end, ("cpu",)))
    assert due_metrics(checkpoint, ("cpu",), window, NOW) == ("cpu",)
    assert [one.nothing_left for one in checkpoint.gaps()] == [True]


# What is audited


def test_what_is_exported_again_is_to_be_audited_again() -> None:
    checkpoint, window = begun(), hour("2026-10-31T10:00")
    mark_audited(checkpoint, "cpu", window)
    assert checkpoint.metrics["cpu"].audited == ()
    mark_exported(checkpoint, "cpu", window, empty=False)
    mark_audited(checkpoint, "cpu", window)
    assert states_of(checkpoint, "cpu", window) == {State.AUDITED: 1}
    assert load(dump(checkpoint, NOW), "x") == checkpoint
    mark_exported(checkpoint, "cpu", window, empty=False)
    assert states_of(checkpoint, "cpu", window) == {State.EXPORTED: 1}


# What retention has deleted

SHORT, LONG = configure(RETENTION_DAYS="1"), configure(RETENTION_DAYS="30")


def deleted_before_today() -> Checkpoint:
    """Three days are exported, of which retention has left today."""
    checkpoint = begun(LONG)
    export_all(checkpoint, LONG, NAMES, NOW)
    mark_exported(checkpoint, "cpu", hour("2026-10-29T09:00"), empty=False)
    mark_deleted(checkpoint, unix("2026-10-31"))
    adopt_settings(checkpoint, LONG, NAMES, NOW)
    return checkpoint


def states_of(checkpoint: Checkpoint, name: str, window: Window) -> Counter[State]:
    return compute_coverage(checkpoint, (name,), LONG, NOW, (window.start, window.end)).counts()


def test_what_was_deleted_is_not_wanted_when_retention_is_longer_and_counts_as_deleted() -> None:
    checkpoint = deleted_before_today()
    assert list(wanted_windows(checkpoint, NAMES, LONG, NOW)) == []
    assert states_of(checkpoint, "cpu", hour("2026-10-29T10:00")) == {State.DELETED: 1}
    assert states_of(checkpoint, "cpu", hour("2026-10-31T10:00")) == {State.EXPORTED: 1}


def test_a_deleted_window_that_is_exported_again_is_there() -> None:
    checkpoint, window = deleted_before_today(), hour("2026-10-29T10:00")
    request_reexport(checkpoint, ReexportRequest(window.start, window.end, ("cpu",)))
    assert states_of(checkpoint, "cpu", window) == {State.PENDING: 1}
    mark_exported(checkpoint, "cpu", window, empty=False)
    assert states_of(checkpoint, "cpu", window) == {State.EXPORTED: 1}
    assert states_of(checkpoint, "memory", window) == {State.DELETED: 1}
    assert load(dump(checkpoint, NOW), "x") == checkpoint
    # Until retention reaches it once more, though it had gone further before.
    mark_deleted(checkpoint, unix("2026-10-29"))
    assert states_of(checkpoint, "cpu", window) == {State.EXPORTED: 1}
    mark_deleted(checkpoint, unix("2026-10-30"))
    assert states_of(checkpoint, "cpu", window) == {State.DELETED: 1}
    assert states_of(checkpoint, "cpu", hour("2026-10-30T10:00")) == {State.DELETED: 1}


def test_a_deleted_window_of_which_mimir_has_nothing_any_more_is_without_series() -> None:
    """It had some, but these files are gone: no check may look for them."""
    checkpoint, window = deleted_before_today(), hour("2026-10-29T10:00")
    mark_exported(checkpoint, "cpu", window, empty=True)
    assert states_of(checkpoint, "cpu", window) == {State.EMPTY: 1}


def test_a_window_past_retention_that_is_wanted_since_retention_is_longer_is_there() -> None:
    checkpoint = begun(SHORT)
    export_all(checkpoint, SHORT, NAMES, NOW)
    mark_deleted(checkpoint, keep_from(SHORT, NOW))
    adopt_settings(checkpoint, LONG, NAMES, NOW)
    export_all(checkpoint, LONG, NAMES, NOW)
    assert states_of(checkpoint, "cpu", hour("2026-10-29T10:00")) == {State.EXPORTED: 1}


def test_a_deleted_window_that_was_asked_for_and_fails_is_tried_again() -> None:
    """It has no files from before."""
    checkpoint, window = deleted_before_today(), hour("2026-10-29T10:00")
    request_reexport(checkpoint, ReexportRequest(window.start, window.end, ("cpu",)))
    mark_failed(checkpoint, "cpu", window, refused(), NOW)
    assert list(due_windows(checkpoint, NAMES, LONG, NOW)) == [(window, ("cpu",))]
    assert states_of(checkpoint, "cpu", window) == {State.FAILED: 1}


def test_windows_without_series_are_known_until_they_are_deleted() -> None:
    """RETENTION_DAYS was short for a moment, and nothing was deleted meanwhile."""
    checkpoint, window = begun(LONG), hour("2026-10-29T10:00")
    mark_exported(checkpoint, "cpu", window, empty=True)
    adopt_settings(checkpoint, SHORT, NAMES, NOW)
    adopt_settings(checkpoint, LONG, NAMES, NOW)
    assert states_of(checkpoint, "cpu", window) == {State.EMPTY: 1}
    mark_deleted(checkpoint, unix("2026-10-30"))
    assert checkpoint.metrics["cpu"].empty == ()


# Lag


def test_the_lag_is_that_of_the_metric_furthest_behind() -> None:
    checkpoint, settings = begun(), configure()
    assert lag_s(checkpoint, NAMES, NOW) == NOW - unix("2026-10-28T12:00")
    export_all(checkpoint, settings, NAMES, NOW)
    assert lag_s(checkpoint, NAMES, NOW) == NOW - unix("2026-10-31T12:00")
    mark_exported(checkpoint, "cpu", hour("2026-10-31T12:00"), empty=False)
    assert lag_s(checkpoint, NAMES, NOW + HOUR) == NOW + HOUR - unix("2026-10-31T12:00")
    assert lag_s(checkpoint, ("unknown",), NOW) == 0


# Any history


def twice(change: Callable[[Checkpoint], object], checkpoint: Checkpoint) -> None:
    """Apply a change, and again: a write that was done but not answered is done once more."""
    change(checkpoint)
    once = dump(checkpoint, 0)
    change(checkpoint)
    assert dump(checkpoint, 0) == once


SETTINGS = [
    configure(TIME_FRAME="6h", RETENTION_DAYS="4", BACKFILL_DAYS="1"),
    configure(TIME_FRAME="5h", RETENTION_DAYS="3", BACKFILL_DAYS="2"),
    configure(TIME_FRAME="6h", RETENTION_DAYS="0", BACKFILL_DAYS="12h", SETTLE_TIME="0"),
    configure(TIME_FRAME="1d", RETENTION_DAYS="4", INITIAL_BACKFILL_DATE="2026-10-29T13:00"),
]


def check_plan(checkpoint: Checkpoint, settings: Settings, now: int) -> None:
    """What must hold of a plan at any time."""
    wanted = list(wanted_windows(checkpoint, NAMES, settings, now))
    assert starts(wanted) == sorted({window.start for window, _ in wanted}, reverse=True)
    for window, lacking in wanted:
        assert window_at(checkpoint.schedules, window.start) == window
        assert window.end <= now - settings.settle_time_s
        assert window.end > keep_from(settings, now) or checkpoint.reexports
        assert lacking == tuple(name for name in NAMES if name in lacking) != ()
    held = union(*(one.ranges for one in checkpoint.handovers))
    due = {
        window: {
            name
            for name in lacking
            if not ((one := checkpoint.failure_of(name, window)) and one.is_gap)
            or abs(now - one.at) >= DAY_S
        }
        for window, lacking in wanted
        if not covers(held, window.start, window.end)
    }
    plan = list(due_windows(checkpoint, NAMES, settings, now))
    assert [(window, set(names)) for window, names in plan] == [
        (window, names) for window, names in due.items() if names
    ]
    for window, names in plan:
        failed = [checkpoint.failure_of(name, window) for name in names]
        attempts = [one.attempts if one else 0 for one in failed]
        assert attempts == sorted(attempts)
    for name in NAMES:
        progress = checkpoint.metrics[name]
        own = union((w.start, w.end) for w, lacking in wanted if name in lacking)
        asked = union((one.start, one.end) for one in checkpoint.reexports if name in one.metrics)
        # Exported windows are wanted again only if asked for; all others are, but for the one
        # that is not over.
        assert subtract(own, subtract(own, progress.exported), asked) == ()
        begin = max(progress.since, keep_from(settings, now))
        open_from = window_at(checkpoint.schedules, now - settings.settle_time_s).start
        assert subtract([(begin, open_from)], progress.exported, own) == ()
        assert subtract(progress.empty, progress.exported) == ()


@effort(max_examples=60)
@given(st.data())
def test_whatever_happens_every_window_is_exported_or_wanted(data: st.DataObject) -> None:
    """Runs, failures, executions, repetitions and new settings in any order, at any times."""
    now, settings = NOW, SETTINGS[0]
    checkpoint = begun(settings)
    for number in range(data.draw(st.integers(1, 12))):
        now += data.draw(st.sampled_from([0, 60, HOUR, 7 * HOUR, 26 * HOUR]))
        if data.draw(st.integers(0, 4)) == 0:
            settings = data.draw(st.sampled_from(SETTINGS))
        twice(lambda one: adopt_settings(one, settings, NAMES, now), checkpoint)  # noqa: B023
        plan = list(due_windows(checkpoint, NAMES, settings, now))
        some = plan[: data.draw(st.integers(0, 5))]
        what = data.draw(st.sampled_from(["run", "hand over", "settle", "again"]))
        if what == "run":
            outcome = [
                (name, window, data.draw(st.sampled_from(["done", "empty", "failed"])))
                for window, names in some
                for name in names
            ]
            twice(lambda one: record(one, outcome, now), checkpoint)  # noqa: B023
        elif what == "hand over" and some:
            ranges = union((window.start, window.end) for window, _ in some)
            handover = Handover(f"backfill-{number}", ranges, now)
            twice(lambda one: record_handover(one, handover), checkpoint)  # noqa: B023
        elif what == "settle" and checkpoint.handovers:
            ended = checkpoint.handovers[0]
            twice(
                lambda one: record_execution_end(one, ended, NAMES, settings, now, "FAILED"),  # noqa: B023
                checkpoint,
            )
            assert ended not in checkpoint.handovers
        elif what == "again":
            low = window_at(
                checkpoint.schedules, now - data.draw(st.integers(DAY_S, 3 * DAY_S))
            ).start
            high = window_at(checkpoint.schedules, low + data.draw(st.integers(0, DAY_S))).end
            names = data.draw(st.sampled_from([NAMES, NAMES[:1]]))
            repeat = ReexportRequest(
                low, min(high, now), names, data.draw(st.booleans()), requester=f"run-{number}"
            )
            twice(lambda one: request_reexport(one, repeat), checkpoint)  # noqa: B023
        check_plan(checkpoint, settings, now)
        assert load(dump(checkpoint, now), "x") == checkpoint


def record(checkpoint: Checkpoint, outcome: list[tuple[str, Window, str]], now: int) -> None:
    for name, window, result in outcome:
        if result == "failed":
            mark_failed(checkpoint, name, window, refused(), now)
        else:
            mark_exported(checkpoint, name, window, empty=result == "empty")


def test_a_failure_that_does_not_count_is_one_all_the_same() -> None:
    """It comes after what has not failed, and is no attempt, however often it is recorded."""
    checkpoint, settings = begun(), configure()
    window = hour("2026-10-31T11:00")
    for at in (NOW, NOW, NOW + 1):
        mark_failed(checkpoint, "cpu", window, refused(), at, counted=False)
        assert [one.attempts for one in checkpoint.failures] == [0]
    assert next(iter(due_windows(checkpoint, NAMES, settings, NOW)))[1] == ("memory", "cpu")
    make_gap(checkpoint, "cpu", window, NOW + 9000)
    mark_failed(checkpoint, "cpu", window, refused(), NOW + 9001, counted=False)
    assert [one.attempts for one in checkpoint.failures] == [GAP_ATTEMPTS]


def test_what_fails_everywhere_begins_with_the_attempts_that_it_has_elsewhere() -> None:
    checkpoint = begun()
    for number in (11, 10, 9):
        window = hour(f"2026-10-31T{number:02}:00")
        for _ in range(2):  # the change may be applied twice
            mark_failed(checkpoint, "cpu", window, refused(), NOW + number, least=15 - number)
    assert [one.attempts for one in checkpoint.failures] == [5, 5, 4]
    # And windows that touch are one gap, whenever each was tried.
    (gap,) = checkpoint.gaps()
    assert (gap.start, gap.end) == (hour("2026-10-31T09:00").start, hour("2026-10-31T10:00").end)
    mark_failed(checkpoint, "cpu", hour("2026-10-31T08:00"), refused(), NOW, least=5)
    mark_failed(checkpoint, "memory", hour("2026-10-31T08:00"), refused(), NOW, least=5)
    other = ErrorDetails("query_too_large", "too large")
    mark_failed(checkpoint, "cpu", hour("2026-10-31T07:00"), other, NOW, least=5)
    assert [(one.metric, one.error.code) for one in checkpoint.gaps()] == [
        ("cpu", "query_too_large"),
        ("cpu", "query_rejected"),
        ("memory", "query_rejected"),
    ]


def test_a_gap_whose_error_is_over_does_not_wait_for_its_day() -> None:
    checkpoint, settings = begun(), configure()
    make_gap(checkpoint, "cpu", hour("2026-10-31T11:00"), NOW)
    newest = hour("2026-10-31T11:00")
    due = dict(due_windows(checkpoint, NAMES, settings, NOW + 60))
    assert due[newest] == ("memory",)
    for cured, names in (
        ({("cpu", "query_rejected")}, ("memory", "cpu")),
        ({("cpu", "access_denied"), ("memory", "query_rejected")}, ("memory",)),
    ):
        due = dict(due_windows(checkpoint, NAMES, settings, NOW + 60, cured=cured))
        assert due[newest] == names
