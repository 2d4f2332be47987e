"""Windows from which clusters have vanished: how they are recorded and what ends the doubt."""

import pytest

from mimir_exporter.checkpoint.compact import _steps
from mimir_exporter.checkpoint.document import dump
from mimir_exporter.checkpoint.doubts import doubt_of
from mimir_exporter.checkpoint.loading import load
from mimir_exporter.checkpoint.outcomes import (
    mark_audited,
    mark_deleted,
    mark_exported,
    mark_vanished,
)
from mimir_exporter.checkpoint.records import Doubt
from mimir_exporter.checkpoint.state import Checkpoint
from mimir_exporter.checkpoint.wanted import due_windows, wanted_windows
from mimir_exporter.timeline.windows import DAY_S, Window
from tests.unit.checkpoints import HOUR, NAMES, NOW, begun, configure, export_all, hour

WINDOW = hour("2026-10-31T09:00")
ALL = [f"cluster-{number}" for number in range(7)]


def doubtful() -> Checkpoint:
    checkpoint = begun()
    export_all(checkpoint, configure(), NAMES, NOW)
    mark_exported(checkpoint, "cpu", WINDOW, empty=False, vanished=ALL)
    return checkpoint


def due(checkpoint: Checkpoint, now: int = NOW) -> dict[Window, tuple[str, ...]]:
    return dict(due_windows(checkpoint, NAMES, configure(), now))


def test_it_is_due_once_more_and_not_pending() -> None:
    checkpoint = doubtful()
    assert due(checkpoint) == {WINDOW: ("cpu",)}
    assert list(wanted_windows(checkpoint, NAMES, configure(), NOW)) == []
    mark_exported(checkpoint, "cpu", WINDOW, empty=False, vanished=ALL)
    assert due(checkpoint) == {}
    found = doubt_of(checkpoint.metrics["cpu"], WINDOW)
    assert found == Doubt(WINDOW.start, WINDOW.end, tuple(ALL[:5]), looked=True)


def test_what_is_due_stays_newest_first() -> None:
    checkpoint = doubtful()
    later = NOW + 2 * HOUR
    starts = [window.start for window in due(checkpoint, later)]
    assert starts == sorted(starts, reverse=True)
    assert (len(starts), starts[-1]) == (3, WINDOW.start)


@pytest.mark.parametrize("way", ["exported", "audited", "deleted"])
def test_what_ends_it(way: str) -> None:
    checkpoint = doubtful()
    if way == "exported":
        mark_exported(checkpoint, "cpu", WINDOW, empty=False)
    elif way == "audited":
        mark_audited(checkpoint, "cpu", WINDOW)
    else:
        mark_deleted(checkpoint, WINDOW.end)
    assert checkpoint.metrics["cpu"].doubts == ()


def test_a_neighbour_that_comes_later_does_not_doubt_what_was_looked_at() -> None:
    checkpoint = doubtful()
    mark_vanished(checkpoint, "cpu", WINDOW, ["x"])
    assert due(checkpoint) == {WINDOW: ("cpu",)}
    mark_audited(checkpoint, "cpu", WINDOW)
    mark_vanished(checkpoint, "cpu", WINDOW, ["x"])
    assert checkpoint.metrics["cpu"].doubts == ()
    mark_vanished(checkpoint, "memory", WINDOW, ["x"])
    assert due(checkpoint) == {WINDOW: ("memory",)}


def test_it_comes_back_from_the_document_even_where_names_had_no_room() -> None:
    checkpoint = doubtful()
    following = Window(WINDOW.end, WINDOW.end + HOUR, 60)
    mark_exported(checkpoint, "cpu", following, empty=False, vanished=["other"])
    assert load(dump(checkpoint, NOW), "there") == checkpoint
    for step in _steps(NOW):
        step(checkpoint)
    assert load(dump(checkpoint, NOW), "there") == checkpoint
    assert checkpoint.metrics["cpu"].doubts == (Doubt(WINDOW.start, following.end),)
    assert set(due(checkpoint)) == {WINDOW, following}
    mark_audited(checkpoint, "cpu", following)
    assert checkpoint.metrics["cpu"].doubts == (Doubt(WINDOW.start, WINDOW.end),)


def test_what_retention_deletes_is_not_asked_for_again() -> None:
    checkpoint = doubtful()
    assert WINDOW not in due(checkpoint, NOW + 40 * DAY_S)
