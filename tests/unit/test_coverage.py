"""Every window of a range has one state, and it is the one that the checkpoint's own rules say."""

from collections import Counter

from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from mimir_exporter.checkpoint.adopt import adopt_settings
from mimir_exporter.checkpoint.outcomes import (
    mark_deleted,
    mark_exported,
    mark_failed,
    record_handover,
)
from mimir_exporter.checkpoint.records import GAP_ATTEMPTS, Handover, ReexportRequest
from mimir_exporter.checkpoint.reexports import request_reexport
from mimir_exporter.checkpoint.state import Checkpoint
from mimir_exporter.checkpoint.wanted import due_windows, keep_from, wanted_windows
from mimir_exporter.coverage.compute import Coverage, compute_coverage
from mimir_exporter.coverage.states import EXPORTED_STATES, IN_SCOPE_STATES, MISSING, State
from mimir_exporter.settings.settings import Settings
from mimir_exporter.timeline.intervals import Intervals, covers, subtract, union
from mimir_exporter.timeline.windows import (
    DAY_S,
    Window,
    window_at,
    windows_within,
)
from tests.clocks import unix
from tests.some import some
from tests.unit.checkpoints import NOW, configure, refused

NAMES = ("cpu", "memory", "labels")


def state_of(coverage: Coverage, name: str, window: Window) -> State:
    """The state of a window, which must lie in one span as a whole."""
    (line,) = (line for line in coverage.groups if name in line.metrics)
    (span,) = (span for span in line.spans if span.start <= window.start < span.end)
    assert window.end <= span.end
    return span.state


@st.composite
def histories(  # noqa: C901 - a case for each kind of event
    draw: st.DrawFn,
) -> tuple[Checkpoint, Settings, dict[str, Intervals]]:
    """A checkpoint after some days of any luck, the settings of its last run, and what is
    exported of each metric and not deleted."""
    first = {
        "TIME_FRAME": draw(st.sampled_from(["1h", "90m", "7h", "1d"])),
        "BACKFILL_DAYS": draw(st.sampled_from(["0", "1", "3"])),
        "RETENTION_DAYS": draw(st.sampled_from(["0", "1", "2", "30"])),
        "SETTLE_TIME": draw(st.sampled_from(["0", "10m", "5h"])),
    }
    checkpoint = Checkpoint()
    begun = NOW - draw(st.integers(0, 4)) * DAY_S
    adopt_settings(checkpoint, configure(**first), NAMES[:2], begun)
    last = first | {"TIME_FRAME": draw(st.sampled_from([first["TIME_FRAME"], "1h", "5h"]))}
    settings = configure(**last)
    changed = draw(st.integers(begun, NOW))
    adopt_settings(checkpoint, settings, NAMES, changed)
    windows = st.integers(NOW - 6 * DAY_S, NOW).map(lambda at: window_at(checkpoint.schedules, at))
    files: dict[str, Intervals] = dict.fromkeys(NAMES, ())
    for number in range(draw(st.integers(0, 12))):
        low = draw(windows)
        high = window_at(checkpoint.schedules, low.start + draw(st.integers(0, 20)) * 3600)
        names = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
        # By a right clock: what a wrong one noted of the future is forgotten by the next run.
        touched = list(windows_within(checkpoint.schedules, low.start, min(high.end, NOW)))
        if not touched:
            continue
        kinds = ["exported", "empty", "failed", "gap", "handed", "again"]
        # How time was cut in days that are deleted is forgotten.
        if last == first:
            kinds.append("deleted")
        match draw(st.sampled_from(kinds)):
            case "deleted":
                mark_deleted(checkpoint, low.start - low.start % DAY_S)
                deleted = [(0, low.start - low.start % DAY_S)]
                files = {name: subtract(has, deleted) for name, has in files.items()}
            case "exported" | "empty" as what:
                for window in touched:
                    for name in names:
                        mark_exported(checkpoint, name, window, empty=what == "empty")
                        files[name] = union(files[name], [(window.start, window.end)])
            case "failed" | "gap" as what:
                times = GAP_ATTEMPTS if what == "gap" else 1
                at = changed - draw(st.integers(0, 2)) * DAY_S
                for attempt in range(times):
                    mark_failed(
                        checkpoint, names[0], touched[0], refused("too large"), at + attempt
                    )
            case "handed":
                record_handover(
                    checkpoint, Handover(f"run-{number}", ((low.start, high.end),), changed)
                )
            case "again":
                request_reexport(checkpoint, ReexportRequest(low.start, high.end, tuple(names)))
    adopt_settings(checkpoint, settings, NAMES, NOW)
    return checkpoint, settings, files


RANGES = st.tuples(st.integers(NOW - 9 * DAY_S, NOW + 2 * DAY_S), st.integers(60, 9 * DAY_S)).map(
    lambda pair: (pair[0], pair[0] + pair[1])
)


@effort(max_examples=150)
@given(histories(), RANGES)
def test_the_states_are_those_of_the_checkpoint_s_own_rules(
    history: tuple[Checkpoint, Settings, dict[str, Intervals]], span: tuple[int, int]
) -> None:
    checkpoint, settings, files = history
    coverage = compute_coverage(checkpoint, NAMES, settings, NOW, span)
    assert coverage.start <= span[0]
    assert span[1] <= coverage.end
    for line in coverage.groups:
        edges = [span.start for span in line.spans] + [line.spans[-1].end]
        assert (edges[0], edges[-1]) == (coverage.start, coverage.end)
        assert edges == sorted(set(edges))
        assert all(one.end == edge for one, edge in some(zip(line.spans, edges[1:], strict=True)))
    assert sorted(coverage.metrics) == sorted(NAMES)

    wanted = {
        (name, window)
        for window, lacking in wanted_windows(checkpoint, NAMES, settings, NOW)
        for name in lacking
    }
    planned = {
        (name, window)
        for window, due in due_windows(checkpoint, NAMES, settings, NOW)
        for name in due
    }
    kept_from = keep_from(settings, NOW)
    held = union(*(one.ranges for one in checkpoint.handovers))
    counted: Counter[State] = Counter()
    for window in windows_within(coverage.schedules, coverage.start, coverage.end):
        for name in NAMES:
            state = state_of(coverage, name, window)
            counted[state] += 1
            one = (name, window)
            assert (state in MISSING | {State.REEXPORT_REQUESTED}) == (one in wanted)
            if state in (State.PENDING, State.FAILED):
                assert one in planned
            if one in planned:
                assert state in (State.PENDING, State.FAILED, State.GAP, State.REEXPORT_REQUESTED)
            assert (state is State.IN_EXECUTION) <= covers(held, window.start, window.end)
            failure = checkpoint.failure_of(name, window)
            if state in (State.GAP, State.FAILED):
                assert failure is not None
                assert failure.is_gap == (state is State.GAP)
            exported = covers(checkpoint.metrics[name].exported, window.start, window.end)
            kept = covers(files[name], window.start, window.end) and window.start >= kept_from
            assert (state in EXPORTED_STATES) == kept
            assert not kept or (state is State.EMPTY) <= covers(
                checkpoint.metrics[name].empty, window.start, window.end
            )
            if state is State.DELETED:
                assert exported
            if state is State.BEFORE_BEGINNING:
                assert window.start < checkpoint.metrics[name].since
            if state is State.NOT_DUE:
                assert window.end > NOW - settings.settle_time_s
    assert coverage.counts() == +counted


@effort(max_examples=60)
@given(histories(), RANGES)
def test_side_by_side_each_metric_is_there_once_at_every_moment(
    history: tuple[Checkpoint, Settings, dict[str, Intervals]], span: tuple[int, int]
) -> None:
    checkpoint, settings, _ = history
    coverage = compute_coverage(checkpoint, NAMES, settings, NOW, span)
    pieces = list(coverage.side_by_side())
    assert union(piece for piece, _ in pieces) == ((coverage.start, coverage.end),)
    counted: Counter[State] = Counter()
    for (start, end), states in pieces:
        assert sorted(name for names in states.values() for name in names) == sorted(NAMES)
        for state, names in states.items():
            counted[state] += coverage.windows(start, end) * len(names)
    assert counted == coverage.counts()
    due = coverage.ranges_where(any_of=IN_SCOPE_STATES)
    for (start, end), states in pieces:
        assert covers(due, start, end) == bool(states.keys() & IN_SCOPE_STATES)


def test_a_year_is_no_more_work_than_a_day() -> None:
    """States change where the checkpoint has an edge, and nowhere else."""
    settings = configure(RETENTION_DAYS="0", TIME_FRAME="1m", INITIAL_BACKFILL_DATE="2025-10-01")
    checkpoint = Checkpoint()
    adopt_settings(checkpoint, settings, NAMES, NOW)
    for progress in checkpoint.metrics.values():
        progress.exported = ((unix("2025-10-01"), unix("2026-10-31")),)
    year = (unix("2025-10-01"), unix("2026-11-01"))
    coverage = compute_coverage(checkpoint, NAMES, settings, NOW, year)
    assert [len(line.spans) for line in coverage.groups] == [3]
    counts = coverage.counts()
    assert counts[State.EXPORTED] == 395 * 1440 * len(NAMES)
    assert sum(counts.values()) == 396 * 1440 * len(NAMES)


def test_what_is_requested_again_and_not_due_stays_as_it_is() -> None:
    """SETTLE_TIME was raised: what a run does not plan is not announced."""
    settings = configure(BACKFILL_DAYS="3h")
    checkpoint = Checkpoint()
    adopt_settings(checkpoint, settings, NAMES, NOW)
    for window, lacking in list(wanted_windows(checkpoint, NAMES, settings, NOW)):
        for name in lacking:
            mark_exported(checkpoint, name, window, empty=False)
    span = (unix("2026-10-31T09:00"), unix("2026-10-31T12:00"))
    request_reexport(checkpoint, ReexportRequest(*span, NAMES))
    later = configure(BACKFILL_DAYS="3h", SETTLE_TIME="2h")
    assert compute_coverage(checkpoint, NAMES, later, NOW, span).counts() == {
        State.REEXPORT_REQUESTED: 3,
        State.EXPORTED: 6,
    }
