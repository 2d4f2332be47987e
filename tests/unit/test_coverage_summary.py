"""Is October complete? What is said of every kind of month, in one sentence."""

from pathlib import Path

import pytest

from mimir_exporter.checkpoint.accepted import accept_missing
from mimir_exporter.checkpoint.adopt import adopt_settings
from mimir_exporter.checkpoint.outcomes import (
    mark_audited,
    mark_deleted,
    mark_exported,
    mark_failed,
    mark_nothing_left,
    mark_pending,
    mark_unauditable,
    record_handover,
)
from mimir_exporter.checkpoint.records import GAP_ATTEMPTS, Acceptance, Handover, ReexportRequest
from mimir_exporter.checkpoint.reexports import request_reexport
from mimir_exporter.checkpoint.state import Checkpoint
from mimir_exporter.checkpoint.wanted import wanted_windows
from mimir_exporter.coverage.compute import compute_coverage
from mimir_exporter.coverage.states import WORDS, State
from mimir_exporter.coverage.summary import CoverageSummary, range_name, spoken, summarize
from mimir_exporter.settings.load import load_settings
from mimir_exporter.settings.parsers import parse_month
from mimir_exporter.settings.settings import Settings
from mimir_exporter.timeline.intervals import subtract
from mimir_exporter.timeline.windows import DAY_S, Window, windows_within
from tests.clocks import unix
from tests.unit.checkpoints import refused

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "coverage.md").read_text("utf-8")
NAMES = tuple(f"metric_{number}" for number in range(25))
OCTOBER = parse_month("month", "2026-10")
HOUR_S = 3600


NOVEMBER_5 = unix("2026-11-05T12:34")


def configure(**variables: str) -> Settings:
    required = {
        "S3_BUCKET": "bucket",
        "S3_PREFIX": "k8s",
        "CLUSTER_NAME": "prod",
        "RETENTION_DAYS": "0",
        "INITIAL_BACKFILL_DATE": "2026-09-15",
    }
    return load_settings({**required, **variables})


def exported(settings: Settings, until: int = NOVEMBER_5, *, empty: bool = False) -> Checkpoint:
    """All is exported that was due `until` then."""
    checkpoint = Checkpoint()
    adopt_settings(checkpoint, settings, NAMES, until)
    for window, lacking in list(wanted_windows(checkpoint, NAMES, settings, until)):
        for name in lacking:
            mark_exported(checkpoint, name, window, empty=empty)
    return checkpoint


def ask(
    checkpoint: Checkpoint,
    settings: Settings,
    span: tuple[int, int] = OCTOBER,
    now: int = NOVEMBER_5,
    names: tuple[str, ...] = NAMES,
) -> CoverageSummary:
    adopt_settings(checkpoint, settings, names, now)
    return summarize(compute_coverage(checkpoint, names, settings, now, span))


UNAUDITED = "None of it is audited."


def said(found: CoverageSummary) -> str:
    """Without the note on the audit, which has tests of its own."""
    return f"{found.outcome}. {found.message}".removesuffix(f" {UNAUDITED}")


def on_the_page(found: CoverageSummary) -> bool:
    """Whether docs/coverage.md has this answer as its example."""
    return f"| `{found.outcome}` | {found.answer} |" in PAGE


def test_the_page_explains_each_state() -> None:
    for state in State:
        assert f"| `{state}` | {WORDS[state]} |" in PAGE


def test_the_page_s_examples_are_what_is_said() -> None:
    settings = configure()
    begun = configure(INITIAL_BACKFILL_DATE="2026-10-10T12:00")
    gone = configure(RETENTION_DAYS="30")
    early = unix("2026-10-15T10:20")
    november = parse_month("month", "2026-11")
    assert on_the_page(ask(exported(settings), settings))
    assert on_the_page(ask(exported(settings, early), settings, now=early))
    assert on_the_page(ask(exported(begun), begun))
    assert on_the_page(ask(exported(settings, empty=True), settings))
    assert on_the_page(ask(exported(settings), gone, now=unix("2026-12-10")))
    assert on_the_page(ask(exported(begun), begun, parse_month("month", "2026-09")))
    assert on_the_page(ask(exported(settings, early), settings, november, now=early))


def forget(checkpoint: Checkpoint, name: str, start: str, hours: int) -> list[Window]:
    """As if these windows had never been exported."""
    low = unix(start)
    cut = ((low, low + hours * HOUR_S),)
    progress = checkpoint.metrics[name]
    progress.exported = subtract(progress.exported, cut)
    return list(windows_within(checkpoint.schedules, *cut[0]))


def test_a_complete_month() -> None:
    settings = configure()
    found = ask(exported(settings), settings)
    assert said(found) == (
        "complete. October 2026 is complete: 744/744 windows (18,600/18,600 metric-windows)."
    )
    assert found.message == f"{found.answer} {UNAUDITED}"


def test_a_month_with_gaps_and_what_else_can_be_missing() -> None:
    settings = configure()
    checkpoint = exported(settings)
    for window in forget(checkpoint, "metric_3", "2026-10-20T03:00", 3):
        for attempt in range(GAP_ATTEMPTS):
            mark_failed(checkpoint, "metric_3", window, refused("too large"), NOVEMBER_5 + attempt)
    (failed,) = forget(checkpoint, "metric_4", "2026-10-20T04:00", 1)
    mark_failed(checkpoint, "metric_4", failed, refused("timeout"), NOVEMBER_5)
    forget(checkpoint, "metric_5", "2026-10-21T00:00", 2)
    (held,) = forget(checkpoint, "metric_6", "2026-10-22T00:00", 1)
    record_handover(checkpoint, Handover("backfill-1", ((held.start, held.end),), NOVEMBER_5))
    assert on_the_page(ask(checkpoint, settings))
    assert said(ask(checkpoint, settings)) == (
        "incomplete. "
        "October 2026 is incomplete: 738/744 windows (18,593/18,600 metric-windows); "
        "3 are gaps, 1 failed and will be tried again, 2 are pending, 1 is in Step Functions."
    )


def test_a_month_in_which_the_export_began() -> None:
    settings = configure(INITIAL_BACKFILL_DATE="2026-10-10T12:00")
    found = ask(exported(settings), settings)
    assert said(found) == (
        "partial. "
        "October 2026 is complete only from 10 October 2026, 12:00 UTC on: 516/516 windows "
        "(12,900/12,900 metric-windows); the export begins on 10 October 2026, "
        "12:00 UTC."
    )
    before = ask(exported(settings), settings, parse_month("month", "2026-09"))
    assert before.outcome == "not_wanted"
    assert "September 2026 is not exported: it lies before the beginning" in before.answer


def test_a_month_that_is_not_over() -> None:
    settings = configure()
    now = unix("2026-10-15T10:20")
    checkpoint = exported(settings, now)
    found = ask(checkpoint, settings, now=now)
    assert said(found) == (
        "complete_so_far. "
        "October 2026 is complete as of 15 October 2026, 10:00 UTC: 346/346 windows (8,650/8,650 "
        "metric-windows)."
    )
    forget(checkpoint, "metric_0", "2026-10-15T09:00", 1)
    found = ask(checkpoint, settings, now=now)
    assert found.outcome == "incomplete"
    assert found.answer.startswith(
        "October 2026 is incomplete as of 15 October 2026, 10:00 UTC: 345/346"
    )
    later = ask(checkpoint, settings, parse_month("month", "2026-11"), now=now)
    assert said(later) == ("not_due. November 2026 is still to come.")
    today = ask(checkpoint, settings, (now, now + 60), now=now)
    assert today.outcome == "not_due"
    assert "nothing of it is due yet" in today.answer


def test_a_month_that_began_and_is_not_over() -> None:
    settings = configure(INITIAL_BACKFILL_DATE="2026-10-10")
    now = unix("2026-10-15T10:20")
    assert ask(exported(settings, now), settings, now=now).answer == (
        "October 2026 is complete only from 10 October 2026 on and up to 15 October 2026, 10:00 "
        "UTC: 130/130 windows (3,250/3,250 metric-windows); the export "
        "begins on 10 October "
        "2026."
    )


def test_a_month_that_retention_deletes() -> None:
    settings = configure()
    checkpoint = exported(settings)
    gone = configure(RETENTION_DAYS="30")
    assert said(ask(checkpoint, gone, now=unix("2026-12-10"))) == (
        "deleted. "
        "October 2026 was deleted by retention: RETENTION_DAYS has deleted its files; 18,600 of "
        "18,600 "
        "metric-windows had been exported."
    )
    half = ask(checkpoint, gone, now=unix("2026-11-15T01:00"))
    assert said(half) == (
        "partial. "
        "October 2026 is complete only from 16 October 2026 on: 384/384 windows (9,600/9,600 "
        "metric-windows); the files before 16 October 2026 were deleted by "
        "RETENTION_DAYS."
    )


def test_what_was_deleted_is_not_back_when_retention_is_raised() -> None:
    settings = configure()
    checkpoint = exported(settings)
    mark_deleted(checkpoint, unix("2026-10-16"))
    assert ask(checkpoint, settings).outcome == "partial"
    assert ask(checkpoint, settings, (OCTOBER[0], OCTOBER[0] + HOUR_S)).outcome == "deleted"


@pytest.mark.parametrize(
    ("names", "answer"),
    [
        (
            NAMES,
            (
                "from 5 October 2026 to 6 October 2026, from 16 October 2026 on: 408/408 windows "
                "(10,200/10,200 metric-windows); what lies from 1 October "
                "2026 to 5 October 2026, from 6 October 2026 to 16 October 2026 was never in "
                "scope, or was deleted by RETENTION_DAYS."
            ),
        ),
        (
            NAMES[:1],
            (
                "from 16 October 2026 on: 408/408 windows (9,624/9,624 metric-windows); what lies "
                "from 1 October 2026 to 16 October 2026 was out of scope for some metrics, or was "
                "deleted by RETENTION_DAYS."
            ),
        ),
    ],
)
def test_a_deleted_day_exported_by_hand_is_there_again(names: tuple[str, ...], answer: str) -> None:
    settings = configure()
    checkpoint = exported(settings)
    mark_deleted(checkpoint, unix("2026-10-16"))
    export_by_hand(checkpoint, "2026-10-05", names)
    assert said(ask(checkpoint, settings)) == f"partial. October 2026 is complete only {answer}"


def test_a_month_is_not_complete_by_a_single_metric_that_was_exported_again() -> None:
    settings = configure()
    checkpoint = exported(settings)
    mark_deleted(checkpoint, unix("2026-11-01"))
    for day in range(1, 32):
        export_by_hand(checkpoint, f"2026-10-{day:02}", NAMES[:1])
    assert said(ask(checkpoint, settings)) == (
        "partial. October 2026 is complete only in part: 744/744 windows (744/744 metric-windows); "
        "what lies from 1 October 2026 to 1 November 2026 was out of scope for some metrics, or "
        "was deleted by RETENTION_DAYS."
    )


def test_what_was_missed_until_retention_came_is_not_forgotten() -> None:
    settings = configure()
    checkpoint = exported(settings)
    forget(checkpoint, "metric_1", "2026-10-20T00:00", 2)
    gone = configure(RETENTION_DAYS="30")
    found = ask(checkpoint, gone, now=unix("2026-11-25T01:00"))
    assert found.outcome == "incomplete"
    assert "2 were never exported and are past retention" in found.answer
    assert "18,598 of 18,600" in ask(checkpoint, gone, now=unix("2026-12-10")).answer


def test_a_metric_that_came_later_takes_nothing_from_the_month() -> None:
    settings = configure(INITIAL_BACKFILL_DATE="", BACKFILL_DAYS="50")
    checkpoint = exported(settings)
    later = configure(INITIAL_BACKFILL_DATE="", BACKFILL_DAYS="1")
    found = ask(checkpoint, later, names=(*NAMES, "mine"))
    assert said(found) == (
        "complete. October 2026 is complete: 744/744 windows (18,600/18,600 metric-windows). "
        "Excluded until they were added to the catalogue: mine."
    )


@pytest.mark.parametrize(
    ("by_hand", "answer"),
    [
        (
            "2026-10-01",
            (
                "from 1 October 2026 to 2 October 2026, from 10 October 2026, 12:00 UTC on: "
                "540/540 windows (13,500/13,500 metric-windows); what lies "
                "from 2 October 2026 "
                "to 10 October 2026, 12:00 UTC was never in scope, or was deleted by "
                "RETENTION_DAYS."
            ),
        ),
        (
            "2026-10-05",
            (
                "from 5 October 2026 to 6 October 2026, from 10 October 2026, 12:00 UTC on: "
                "540/540 windows (13,500/13,500 metric-windows); what lies "
                "from 1 October 2026 "
                "to 5 October 2026, from 6 October 2026 to 10 October 2026, 12:00 UTC was never in "
                "scope, or was deleted by RETENTION_DAYS."
            ),
        ),
    ],
)
def test_a_day_exported_by_hand_before_the_beginning_makes_no_month_complete(
    by_hand: str, answer: str
) -> None:
    settings = configure(INITIAL_BACKFILL_DATE="2026-10-10T12:00")
    checkpoint = exported(settings)
    export_by_hand(checkpoint, by_hand)
    assert said(ask(checkpoint, settings)) == f"partial. October 2026 is complete only {answer}"


def test_nor_does_it_a_month_that_lies_before_the_beginning_as_a_whole() -> None:
    settings = configure(INITIAL_BACKFILL_DATE="2026-11-01")
    checkpoint = exported(settings)
    export_by_hand(checkpoint, "2026-10-05")
    assert said(ask(checkpoint, settings)) == (
        "partial. October 2026 is complete only from 5 October 2026 to 6 October 2026: 24/24 "
        "windows (600/600 metric-windows); what lies from 1 October 2026 to 5 "
        "October 2026, from "
        "6 October 2026 to 1 November 2026 was never in scope, or was deleted by RETENTION_DAYS."
    )


def export_by_hand(checkpoint: Checkpoint, day: str, names: tuple[str, ...] = NAMES) -> None:
    for window in windows_within(checkpoint.schedules, unix(day), unix(day) + DAY_S):
        for name in names:
            mark_exported(checkpoint, name, window, empty=False)


def test_a_month_without_any_series_is_no_success() -> None:
    settings = configure()
    found = ask(exported(settings, empty=True), settings)
    assert found.outcome == "empty"
    assert found.answer == (
        "October 2026 is exported but empty: Mimir had no series of any metric in 744/744 windows "
        "(18,600/18,600 metric-windows); check the tenant and the data "
        "source, then "
        "reexport it."
    )


def test_hours_in_which_no_metric_had_a_series_are_named() -> None:
    settings = configure()
    checkpoint = exported(settings)
    for name in NAMES:
        checkpoint.metrics[name].empty = ((unix("2026-10-20T03:00"), unix("2026-10-20T05:00")),)
    # A metric without series by itself is nothing to look at: most clusters have no GPU.
    checkpoint.metrics["metric_7"].empty = (OCTOBER,)
    found = ask(checkpoint, settings)
    assert found.outcome == "complete"
    note, _ = found.notes
    assert note == (
        "No metric had any series in 2 windows (from 20 October 2026, 03:00 UTC to 20 October "
        "2026, 05:00 UTC): check whether the source was down."
    )


def test_what_the_source_has_forgotten_is_missing_until_it_is_accepted() -> None:
    settings = configure()
    checkpoint = exported(settings)
    for window in forget(checkpoint, "metric_3", "2026-10-20T03:00", 2):
        mark_nothing_left(checkpoint, "metric_3", window, refused("nothing"), NOVEMBER_5)
    assert said(ask(checkpoint, settings)) == (
        "incomplete. October 2026 is incomplete: 742/744 windows (18,598/18,600 metric-windows); 2 "
        "are missing for good: the source has nothing left of them."
    )
    start = unix("2026-10-20T03:00")
    ranges = ((start, start + 2 * HOUR_S),)
    accept_missing(checkpoint, Acceptance(ranges, ("metric_3",), "Ada", "was down", NOVEMBER_5))
    assert said(ask(checkpoint, settings)) == (
        "complete. October 2026 is complete: 742/744 windows (18,598/18,600 metric-windows). 2 "
        "metric-windows are missing, and accepted."
    )


def test_the_answer_says_up_to_when_it_is_audited() -> None:
    settings = configure()
    checkpoint = exported(settings)
    none = (UNAUDITED,)
    assert ask(checkpoint, settings).notes == none
    for progress in checkpoint.metrics.values():
        progress.audited = ((OCTOBER[0], unix("2026-10-12T03:00")),)
    assert ask(checkpoint, settings).notes == ("Audited up to 12 October 2026, 03:00 UTC.",)
    checkpoint.metrics["metric_1"].audited = ((unix("2026-10-05"), OCTOBER[1]),)
    assert ask(checkpoint, settings).notes == none
    for progress in checkpoint.metrics.values():
        progress.audited = (OCTOBER,)
    assert ask(checkpoint, settings).notes == ("Audited up to 1 November 2026.",)


def test_the_answer_names_what_cannot_be_audited() -> None:
    """And what could be is audited all the same."""
    settings = configure()
    checkpoint = exported(settings)
    for progress in checkpoint.metrics.values():
        progress.audited = (OCTOBER,)
    gone = Window(unix("2026-10-03T04:00"), unix("2026-10-03T05:00"), 60)
    for name in ("metric_1", "metric_2"):
        mark_pending(checkpoint, name, gone)
        mark_exported(checkpoint, name, gone, empty=False)
    assert ask(checkpoint, settings).notes == ("Audited up to 3 October 2026, 04:00 UTC.",)
    mark_unauditable(checkpoint, "metric_1", gone)
    mark_unauditable(checkpoint, "metric_2", gone, unstable=True)
    found = ask(checkpoint, settings)
    where = "from 3 October 2026, 04:00 UTC to 3 October 2026, 05:00 UTC"
    assert (found.outcome, found.notes) == (
        "complete",
        (
            "Audited up to 1 November 2026.",
            f"1 metric-window cannot be audited ({where}).",
            f"The source is unstable for 1 metric-window ({where}).",
        ),
    )
    coverage = compute_coverage(checkpoint, NAMES, settings, NOVEMBER_5, OCTOBER)
    assert coverage.counts()[State.UNAUDITABLE] == coverage.counts()[State.SOURCE_UNSTABLE] == 1
    mark_exported(checkpoint, "metric_2", gone, empty=False)
    mark_audited(checkpoint, "metric_2", gone)
    assert len(ask(checkpoint, settings).notes) == 2
    assert checkpoint.metrics["metric_2"].unstable == ()


def test_what_was_asked_for_again_is_there_meanwhile() -> None:
    settings = configure()
    checkpoint = exported(settings)
    request_reexport(checkpoint, ReexportRequest(*OCTOBER, NAMES[:2]))
    found = ask(checkpoint, settings)
    assert found.outcome == "complete"
    assert found.notes == ("A reexport of 1,488 metric-windows is requested.", UNAUDITED)


@pytest.mark.parametrize(
    ("start", "end", "name"),
    [
        ("2026-10-01", "2026-11-01", "October 2026"),
        ("2026-12-01", "2027-01-01", "December 2026"),
        ("2024-02-01", "2024-03-01", "February 2024"),
        ("2026-01-01", "2027-01-01", "2026"),
        ("2026-10-31", "2026-11-01", "31 October 2026"),
        ("2026-10-01", "2026-10-31", "1 October 2026 to 31 October 2026"),
        ("2026-10-01", "2026-12-01", "1 October 2026 to 1 December 2026"),
        ("2026-10-01T06:00", "2026-10-02", "1 October 2026, 06:00 UTC to 2 October 2026"),
        ("2026-10-01", "2026-10-01T01:00", "1 October 2026 to 1 October 2026, 01:00 UTC"),
    ],
)
def test_a_range_is_called_as_people_call_it(start: str, end: str, name: str) -> None:
    assert range_name(unix(start), unix(end)) == name


def test_a_moment_is_said_with_its_zone() -> None:
    assert spoken(unix("2026-10-05")) == "5 October 2026"
    assert spoken(unix("2026-10-05T09:30")) == "5 October 2026, 09:30 UTC"
