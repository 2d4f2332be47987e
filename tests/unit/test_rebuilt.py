"""A checkpoint from manifests: the windows' schedules, what is exported, and nothing guessed."""

from hypothesis import given
from hypothesis import strategies as st

from mimir_exporter.checkpoint.document import dump
from mimir_exporter.checkpoint.loading import load
from mimir_exporter.checkpoint.rebuilt import fit_schedule, note_exported, note_layout
from mimir_exporter.checkpoint.records import PartitionConfig
from mimir_exporter.checkpoint.state import Checkpoint
from mimir_exporter.timeline.windows import (
    DAY_S,
    Window,
    WindowSchedule,
    adopt_schedule,
    window_at,
    windows_within,
)
from tests.clocks import unix
from tests.unit.checkpoints import HOUR, NOW

MIDNIGHT = unix("2026-10-31")
WIDTHS = st.sampled_from([900, 1800, 3600, 3 * HOUR, 7 * HOUR, DAY_S, 5 * 900])


@given(
    st.lists(st.tuples(WIDTHS, st.sampled_from([60, 300]), st.integers(1, 2 * DAY_S)), max_size=4),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_windows_of_any_history_of_settings_get_their_schedules_back(
    changes: list[tuple[int, int, int]], random: object, holes: bool
) -> None:
    """By the day, metric by metric; with windows missing where one metric has a hole."""
    schedules = adopt_schedule((), 3600, 60, MIDNIGHT)
    now = MIDNIGHT
    for width_s, step_s, after in changes:
        now += after
        schedules = adopt_schedule(schedules, width_s, step_s, now)
    windows = list(windows_within(schedules, MIDNIGHT, now + DAY_S))
    days: dict[int, list[Window]] = {}
    for window in windows:
        days.setdefault(window.start // DAY_S, []).append(window)
    checkpoint = Checkpoint()
    taken = []
    for day in sorted(days):
        for name in ("a", "b"):
            for window in days[day]:
                lacks = holes and random.random() < 0.3  # type: ignore[attr-defined]
                if not lacks:
                    taken.append(
                        (window, note_exported(checkpoint, name, window, empty=False, exported=NOW))
                    )
    # With holes, a shorter last window of a day can be taken for a schedule of its own; what does
    # not fit beside it then is left out, and pending.
    assert holes or all(whole for _, whole in taken)
    assert load(dump(checkpoint, NOW), "x") == checkpoint
    for window, whole in taken:
        assert not whole or window_at(checkpoint.schedules, window.start) == window


def test_a_window_that_no_schedule_can_have_is_not_taken_in() -> None:
    checkpoint = Checkpoint()
    assert note_exported(
        checkpoint, "a", Window(MIDNIGHT, MIDNIGHT + HOUR, 60), empty=False, exported=NOW
    )
    odd = Window(MIDNIGHT + HOUR + 7, MIDNIGHT + 2 * HOUR, 60)
    assert not note_exported(checkpoint, "a", odd, empty=False, exported=NOW)
    assert checkpoint.metrics["a"].exported == ((MIDNIGHT, MIDNIGHT + HOUR),)


def test_the_last_window_of_a_day_may_be_shorter() -> None:
    seven = WindowSchedule(0, 7 * HOUR, 60)
    last = Window(MIDNIGHT + 21 * HOUR, MIDNIGHT + DAY_S, 60)
    assert fit_schedule([seven], last) == (seven,)


def test_empty_windows_are_known_as_such() -> None:
    checkpoint = Checkpoint()
    note_exported(checkpoint, "a", Window(MIDNIGHT, MIDNIGHT + HOUR, 60), empty=True, exported=NOW)
    assert checkpoint.metrics["a"].empty == ((MIDNIGHT, MIDNIGHT + HOUR),)


def test_the_layout_is_the_newest_and_says_since_when() -> None:
    checkpoint = Checkpoint()
    note_layout(checkpoint, PartitionConfig("cluster", "prod", True), NOW)
    assert checkpoint.partition == PartitionConfig("cluster", "prod", True)
    note_layout(checkpoint, PartitionConfig("cluster", "prod", False), NOW + 60)
    note_layout(checkpoint, PartitionConfig("cluster", "prod", False), NOW + 90)
    assert checkpoint.partition == PartitionConfig("cluster", "prod", False, NOW + 60)
