"""What is exported in part: how it is recorded, what it comes to, and what may replace it."""

import dataclasses

import pytest

from mimir_exporter.answer.cluster_file import Amount
from mimir_exporter.checkpoint.compact import PARTS, _steps
from mimir_exporter.checkpoint.document import dump
from mimir_exporter.checkpoint.in_part import forgotten_until, partial_of
from mimir_exporter.checkpoint.loading import load
from mimir_exporter.checkpoint.outcomes import (
    mark_deleted,
    mark_exported,
    mark_failed,
    mark_in_part,
    mark_nothing_left,
    mark_pending,
)
from mimir_exporter.checkpoint.records import PartialExport, ReexportRequest
from mimir_exporter.checkpoint.reexports import request_reexport
from mimir_exporter.checkpoint.state import Checkpoint
from mimir_exporter.checkpoint.wanted import wanted_windows
from mimir_exporter.coverage.compute import compute_coverage
from mimir_exporter.coverage.states import State
from mimir_exporter.coverage.summary import summarize
from mimir_exporter.storage.covering import uncovered
from mimir_exporter.storage.manifest import ManifestFile
from mimir_exporter.timeline.windows import Window
from tests.unit.checkpoints import HOUR, NAMES, NOW, begun, configure, export_all, hour, refused

WINDOW = hour("2026-10-31T09:00")
BEGINS = WINDOW.start + 1283
PART = PartialExport(WINDOW.start, WINDOW.end, BEGINS)


def in_part(part: PartialExport = PART) -> Checkpoint:
    checkpoint = begun()
    mark_in_part(checkpoint, "cpu", part, WINDOW, refused("moved"), NOW)
    return checkpoint


def state_of(checkpoint: Checkpoint, name: str = "cpu") -> State:
    span = (WINDOW.start, WINDOW.end)
    ((state, _),) = compute_coverage(checkpoint, [name], configure(), NOW, span).counts().items()
    return state


@pytest.mark.parametrize(
    "part",
    [PART, dataclasses.replace(PART, begins=0), dataclasses.replace(PART, certain=False)],
)
def test_it_comes_back_from_the_document(part: PartialExport) -> None:
    checkpoint = in_part(part)
    assert load(dump(checkpoint, NOW), "there") == checkpoint


def test_a_document_of_before_has_none() -> None:
    assert load(dump(begun(), NOW), "there").metrics["cpu"].in_part == ()


def test_it_is_tried_again_and_missing_until_then() -> None:
    checkpoint = in_part()
    wanted = dict(wanted_windows(checkpoint, NAMES, configure(), NOW))
    assert "cpu" in wanted[WINDOW]
    assert state_of(checkpoint) is State.IN_PART
    export_all(checkpoint, configure(), ["memory"], NOW)
    summary = summarize(
        compute_coverage(checkpoint, ["cpu"], configure(), NOW, (WINDOW.start, WINDOW.end))
    )
    assert summary.outcome == "incomplete"
    assert "1 is exported in part: the source had more of it" in summary.answer
    mark_exported(checkpoint, "cpu", WINDOW, empty=False)
    assert state_of(checkpoint) is State.EXPORTED
    assert (checkpoint.metrics["cpu"].in_part, checkpoint.failures) == ((), [])


def test_recorded_twice_it_is_one_attempt() -> None:
    checkpoint = in_part()
    once = dump(checkpoint, NOW)
    mark_in_part(checkpoint, "cpu", PART, WINDOW, refused("moved"), NOW)
    assert dump(checkpoint, NOW) == once


def test_other_failures_leave_it_what_it_is() -> None:
    checkpoint = in_part()
    mark_failed(checkpoint, "cpu", WINDOW, refused("503"), NOW + 1)
    assert state_of(checkpoint) is State.IN_PART
    mark_nothing_left(checkpoint, "cpu", WINDOW, refused("gone"), NOW + 2)
    assert state_of(checkpoint) is State.IN_PART
    assert [one.nothing_left for one in checkpoint.gaps()] == [True]


def test_a_request_is_done_with_it() -> None:
    """Force was asked for once: each later try would let the files get fewer samples."""
    checkpoint = begun()
    mark_exported(checkpoint, "cpu", WINDOW, empty=False)
    request_reexport(checkpoint, ReexportRequest(WINDOW.start, WINDOW.end, ("cpu",), force=True))
    mark_in_part(
        checkpoint, "cpu", PART, WINDOW, refused("moved"), NOW, seen=checkpoint.requests_made
    )
    assert checkpoint.reexports == []
    assert state_of(checkpoint) is State.IN_PART
    assert checkpoint.failures[0].attempts == 1


def test_what_an_audit_sets_pending_has_its_files() -> None:
    checkpoint = begun()
    mark_pending(checkpoint, "cpu", WINDOW)
    assert partial_of(checkpoint.metrics["cpu"], WINDOW) is None  # it never was exported
    mark_exported(checkpoint, "cpu", WINDOW, empty=False)
    for _ in range(2):
        mark_pending(checkpoint, "cpu", WINDOW)
        assert state_of(checkpoint) is State.IN_PART
    mark_nothing_left(checkpoint, "cpu", WINDOW, refused("gone"), NOW)
    assert state_of(checkpoint) is State.IN_PART


def test_retention_takes_it_away() -> None:
    checkpoint = in_part()
    mark_deleted(checkpoint, WINDOW.start + 60)
    assert checkpoint.metrics["cpu"].in_part
    mark_deleted(checkpoint, WINDOW.end)
    assert checkpoint.metrics["cpu"].in_part == ()


def test_only_what_is_certain_says_what_the_source_has_forgotten() -> None:
    assert forgotten_until(begun()) == 0
    assert forgotten_until(in_part(dataclasses.replace(PART, certain=False))) == 0
    assert forgotten_until(in_part()) == BEGINS


def test_a_document_that_grows_too_large_forgets_the_oldest_parts() -> None:
    checkpoint = begun()
    for number in range(PARTS + 5):
        start = WINDOW.start - number * HOUR
        part = PartialExport(start, start + HOUR, start + 60)
        mark_in_part(
            checkpoint, "cpu", part, Window(start, start + HOUR, 60), refused("moved"), NOW
        )
    for step in _steps(NOW):
        step(checkpoint)
    kept = checkpoint.metrics["cpu"].in_part
    assert len(kept) == PARTS
    assert kept[-1].start == WINDOW.start
    assert checkpoint.metrics["cpu"].exported == ()


def file_of(samples: int, first: float, last: float) -> ManifestFile:
    return ManifestFile("a", "key", 2, samples, first, last, 10, "etag")


STEPS = (WINDOW.start, WINDOW.last)
# Off the grid by 23 s: one step more than the grid has of the same time.
OFF = file_of(61, WINDOW.start + 1283, WINDOW.last + 23)


@pytest.mark.parametrize(
    ("file", "answer", "is_covered"),
    [
        (OFF, Amount(2, 120, *STEPS), True),
        (OFF, Amount(2, 59, WINDOW.start + 1320, WINDOW.last), True),
        (OFF, Amount(2, 58, WINDOW.start + 1320, WINDOW.last), False),
        (OFF, Amount(2, 59, WINDOW.start + 1380, WINDOW.last), False),
        (OFF, Amount(2, 59, WINDOW.start + 1320, WINDOW.last - 60), False),
        (file_of(60, *STEPS), Amount(2, 59, *STEPS), False),
        (file_of(60, *STEPS), Amount(2, 60, WINDOW.start, WINDOW.last - 60), False),
    ],
)
def test_off_the_grid_a_file_has_up_to_a_step_more(
    file: ManifestFile, answer: Amount, is_covered: bool
) -> None:
    found = uncovered([file], {"key": answer}, by_cluster=True, window=WINDOW)
    assert found == ([] if is_covered else [file])
    summed = uncovered([file], {"other": answer}, by_cluster=False, window=WINDOW)
    assert summed == found
    if file is OFF and answer.samples < 120:
        assert uncovered([file], {"key": answer}, by_cluster=True) == [file]
