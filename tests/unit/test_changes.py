"""A changed setting that deletes or renames what is there waits a day; set back, it is nothing."""

import pytest

from mimir_exporter.checkpoint.adopt import adopt_settings
from mimir_exporter.checkpoint.changes import (
    WAIT_S,
    adopt_partition,
    adopt_retention,
    changes_of,
    expired_before,
    is_held,
)
from mimir_exporter.checkpoint.document import dump
from mimir_exporter.checkpoint.loading import load
from mimir_exporter.checkpoint.outcomes import mark_exported, mark_pending
from mimir_exporter.checkpoint.records import ReexportRequest
from mimir_exporter.checkpoint.reexports import request_reexport
from mimir_exporter.checkpoint.state import Checkpoint
from mimir_exporter.checkpoint.wanted import due_metrics, due_windows, keep_from
from mimir_exporter.timeline.windows import DAY_S
from tests.unit.checkpoints import NAMES, NOW, begun, configure, hour

OLD = hour("2026-10-31T09:00")


def seen(checkpoint: Checkpoint, days: str, after_s: int = 0) -> int:
    """How many days are kept once these RETENTION_DAYS were seen."""
    settings, now = configure(RETENTION_DAYS=days), NOW + after_s
    adopt_retention(checkpoint, settings, now)
    assert load(dump(checkpoint, now), "there").retention == checkpoint.retention
    found = checkpoint.retention
    assert found is not None
    return found.kept_s // DAY_S


def test_a_longer_retention_is_in_force_at_once_and_a_shorter_one_after_a_day() -> None:
    checkpoint = begun()
    assert [seen(checkpoint, days) for days in ("30", "90", "0")] == [30, 90, 0]
    assert changes_of(checkpoint, NOW) == []
    assert seen(checkpoint, "30") == 0
    (change,) = changes_of(checkpoint, NOW)
    assert (change.setting, change.before, change.value) == ("RETENTION_DAYS", "0", "30")
    assert (change.since, change.at) == (NOW, NOW + WAIT_S)
    assert seen(checkpoint, "30", WAIT_S - 1) == 0
    assert seen(checkpoint, "30", WAIT_S) == 30
    assert changes_of(checkpoint, NOW + WAIT_S) == []


@pytest.mark.parametrize("back", ["90", "120", "0"])
def test_set_back_it_is_cancelled(back: str) -> None:
    checkpoint = begun()
    seen(checkpoint, "90")
    seen(checkpoint, "30", 10)
    assert seen(checkpoint, back, 20) == int(back)
    assert changes_of(checkpoint, NOW + 20) == []
    assert seen(checkpoint, "30", WAIT_S + 10) == int(back)  # seen anew


def test_still_shorter_waits_anew_and_less_short_does_not() -> None:
    checkpoint = begun()
    seen(checkpoint, "90")
    seen(checkpoint, "30")
    seen(checkpoint, "10", 100)
    assert seen(checkpoint, "10", WAIT_S) == 90
    seen(checkpoint, "20", WAIT_S + 1)
    assert seen(checkpoint, "20", WAIT_S + 100) == 20


def test_until_then_nothing_is_deleted_and_nothing_old_is_exported() -> None:
    checkpoint = begun()
    seen(checkpoint, "90")
    seen(checkpoint, "30")
    shorter = configure(RETENTION_DAYS="30", INITIAL_BACKFILL_DATE="2026-09-01")
    adopt_settings(checkpoint, shorter, NAMES, NOW)
    assert expired_before(checkpoint, shorter, NOW) == keep_from(
        configure(RETENTION_DAYS="90"), NOW
    )
    oldest = min(window.start for window, _ in due_windows(checkpoint, NAMES, shorter, NOW))
    assert oldest == keep_from(shorter, NOW)


@pytest.mark.parametrize("env", [{"CLUSTER_LABEL_NAME": "k8s"}, {"SPLIT_BY_CLUSTER": "false"}])
def test_files_of_before_are_renamed_a_day_after_the_layout_changed(env: dict[str, str]) -> None:
    checkpoint = begun()
    mark_exported(checkpoint, "cpu", OLD, empty=False)
    changed = configure(**env)
    adopt_partition(checkpoint, changed, NOW)
    assert load(dump(checkpoint, NOW), "there") == checkpoint
    (change,) = changes_of(checkpoint, NOW)
    assert (change.setting, change.value) == next(iter(env.items()))
    # What has no files follows at once.
    assert due_metrics(checkpoint, NAMES, OLD, NOW) == ("memory",)
    mark_pending(checkpoint, "cpu", OLD)  # by an audit
    assert is_held(checkpoint, "cpu", OLD, NOW)
    assert due_metrics(checkpoint, NAMES, OLD, NOW + WAIT_S - 1) == ("memory",)
    assert due_metrics(checkpoint, NAMES, OLD, NOW + WAIT_S) == ("cpu", "memory")
    adopt_partition(checkpoint, changed, NOW + WAIT_S)
    assert changes_of(checkpoint, NOW + WAIT_S) == []
    assert checkpoint.partition is not None
    assert (checkpoint.partition.since, checkpoint.partition.before) == (NOW, None)


@pytest.mark.parametrize("force", [True, False])
def test_only_force_renames_them_before(force: bool) -> None:
    checkpoint = begun()
    mark_exported(checkpoint, "cpu", OLD, empty=False)
    adopt_partition(checkpoint, configure(CLUSTER_LABEL_NAME="k8s"), NOW)
    request_reexport(checkpoint, ReexportRequest(OLD.start, OLD.end, ("cpu",), force=force))
    assert ("cpu" in due_metrics(checkpoint, NAMES, OLD, NOW)) == force


def test_a_layout_that_is_set_back_holds_nothing() -> None:
    checkpoint = begun()
    mark_exported(checkpoint, "cpu", OLD, empty=False)
    adopt_partition(checkpoint, configure(CLUSTER_LABEL_NAME="k8s"), NOW)
    adopt_partition(checkpoint, configure(CLUSTER_LABEL_NAME="other"), NOW + 10)
    assert [one.before for one in changes_of(checkpoint, NOW + 10)] == ["cluster"]
    adopt_partition(checkpoint, configure(), NOW + 20)
    assert changes_of(checkpoint, NOW + 20) == []
    assert not is_held(checkpoint, "cpu", OLD, NOW + 20)
