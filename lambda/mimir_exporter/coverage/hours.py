"""A coverage as a person looks at it: an hour a cell, and what to look at as a list. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from ..timeline.intervals import covers, overlaps
from ..timeline.windows import DAY_S
from .compute import Coverage
from .states import LOST, MISSING, SEVERITY, WORDS, State

HOUR_S = 3600
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
NAMES_SHOWN = 4

# An hour in which no metric has series. It counts as exported, and looks worse than a window that
# is still to come: the source was down, probably, and its data may be lost.
SILENT = "silent"
SHOWN_WORDS = {str(state): words for state, words in WORDS.items()} | {
    SILENT: "no metric has series"
}
_RANK = {str(state): float(rank) for state, rank in SEVERITY.items()} | {
    SILENT: SEVERITY[State.PENDING] + 0.5
}

ByState = Mapping[State, tuple[str, ...]]


@dataclass(frozen=True)
class Hour:
    """One hour: what to show for all of its windows and metrics, a State or SILENT, and those in
    words."""

    start: int
    shown: str
    words: str


@dataclass(frozen=True)
class Absence:
    """A piece of time in which `metrics` are missing for one reason; `shown` as in Hour."""

    start: int
    end: int
    shown: str
    metrics: str
    reason: str


def hours_of(coverage: Coverage) -> Iterator[Hour]:
    """Each hour of the range, oldest first."""
    pieces = list(coverage.side_by_side())
    silent = coverage.silent_ranges()
    first = 0
    for start in range(coverage.start - coverage.start % HOUR_S, coverage.end, HOUR_S):
        end = start + HOUR_S
        while pieces[first][0][1] <= start:
            first += 1
        last = first
        while last + 1 < len(pieces) and pieces[last + 1][0][0] < end:
            last += 1
        states = _joined(states for _, states in pieces[first : last + 1])
        worst: str = max(states, key=SEVERITY.__getitem__)
        words = _in_words(states, len(coverage.metrics))
        if overlaps(silent, start, end):
            worst = max(worst, SILENT, key=_RANK.__getitem__)
            words = SHOWN_WORDS[SILENT] + ("" if len(states) == 1 else f"; {words}")
        yield Hour(start, worst, words)


def counts_of(coverage: Coverage) -> Counter[str]:
    """Metric-windows by what is shown of them: those without series where no metric has any
    count as SILENT alone."""
    counts: Counter[str] = Counter(coverage.counts())
    silent = coverage.silent_ranges()
    for (start, end), states in coverage.side_by_side():
        if covers(silent, start, end):
            count = coverage.windows(start, end) * len(states[State.EMPTY])
            counts[State.EMPTY] -= count
            counts[SILENT] += count
    return counts


def absences_of(coverage: Coverage) -> list[Absence]:
    """What is missing, and where no metric has series: the worst first, then the newest."""
    found: list[Absence] = []
    pieces = [
        (start, end, state, names)
        for (start, end), states in coverage.side_by_side()
        for state, names in states.items()
        if state in MISSING | LOST
    ]
    pieces.sort(key=lambda span: (span[2], span[3], span[0]))
    for (state, names), alike in groupby(pieces, key=lambda span: (span[2], span[3])):
        spans: list[tuple[int, int]] = []
        for start, end, *_ in alike:
            if spans and spans[-1][1] == start:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((start, end))
        metrics = _named(names, len(coverage.metrics))
        for start, end in spans:
            reason = _reason(coverage, start, end, state, names)
            found.append(Absence(start, end, state, metrics, reason))
    everything = _named(coverage.metrics, len(coverage.metrics))
    found += [
        Absence(start, end, SILENT, everything, "(check whether the source was down)")
        for start, end in coverage.silent_ranges()
    ]
    found.sort(key=lambda absence: (-_RANK[absence.shown], -absence.start))
    return found


def day_and_hours(start: int, end: int) -> str:
    """`Tue 20, 03:00 to 06:00`; with the second day where it ends in another. UTC."""
    first, last = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
    begin = f"{WEEKDAYS[first.weekday()]} {first.day}"
    if start % DAY_S == 0 and end == start + DAY_S:
        return begin
    if start % DAY_S == 0 and end % DAY_S == 0:
        until = datetime.fromtimestamp(end - DAY_S, UTC)
        return f"{begin} to {WEEKDAYS[until.weekday()]} {until.day}"
    if start // DAY_S == (end - 1) // DAY_S:
        return f"{begin}, {first:%H:%M} to {'24:00' if end % DAY_S == 0 else f'{last:%H:%M}'}"
    return f"{begin}, {first:%H:%M} to {WEEKDAYS[last.weekday()]} {last.day}, {last:%H:%M}"


def _joined(several: Iterable[ByState]) -> ByState:
    joined: dict[State, tuple[str, ...]] = {}
    for states in several:
        for state, names in states.items():
            joined[state] = tuple(dict.fromkeys((*joined.get(state, ()), *names)))
    return joined


def _in_words(states: ByState, of: int) -> str:
    """`pod_labels: gap; 19 metrics: exported`, the worst first."""
    worst_first = sorted(states, key=SEVERITY.__getitem__, reverse=True)
    if len(worst_first) == 1:
        return WORDS[worst_first[0]]
    return "; ".join(f"{_named(states[state], of)}: {WORDS[state]}" for state in worst_first)


def _named(names: tuple[str, ...], of: int) -> str:
    if len(names) == of and of > 1:
        return f"all {of} metrics"
    if len(names) > NAMES_SHOWN:
        return f"{len(names)} metrics"
    return ", ".join(names)


def _reason(coverage: Coverage, start: int, end: int, state: State, names: tuple[str, ...]) -> str:
    """Why: the last failure of one of the metrics, or the execution that has it."""
    if state is State.IN_EXECUTION:
        return ", ".join(
            name for name, ranges in coverage.executions.items() if overlaps(ranges, start, end)
        )
    if state is State.UNCONFIRMED:
        found = (
            doubt.clusters
            for name in names
            for doubt in coverage.doubts.get(name, ())
            if doubt.start < end and start < doubt.end
        )
        clusters = dict.fromkeys(cluster for some in found for cluster in some)
        return f"vanished: {', '.join(list(clusters)[:NAMES_SHOWN])}" if clusters else ""
    failures = [
        failure
        for failure in coverage.reasons
        if failure.metric in names and failure.start < end and start < failure.end
    ]
    if not failures:
        return ""
    last = max(failures, key=lambda failure: failure.at)
    tries = "1 try" if last.attempts == 1 else f"{last.attempts} tries"
    return f"({tries}): {last.error.found}"
