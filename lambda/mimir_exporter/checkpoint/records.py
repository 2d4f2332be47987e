"""What the checkpoint consists of: progress, failures, executions, reexport requests. Pure.

Times are unix seconds. `outcomes.py` and `reexports.py` have the rules by which they change.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..timeline.intervals import Interval, Intervals, subtract, union
from ..timeline.windows import DAY_S

# A window that failed this often is a gap: still listed, alarmed on, and tried once a day.
GAP_ATTEMPTS = 5
# Failures share a record only if they happened in the same quarter of a day: with the newest time
# for all of them, a metric that goes on failing would keep its old gaps from ever being due.
TOGETHER_S = DAY_S // 4
REASON_CHARACTERS = 300
# A reason in another script, or one that is full of quotes, takes more bytes than characters.
REASON_BYTES = 400


@dataclass
class MetricProgress:
    """One metric: wanted from `since` on; `added` is when it came into the catalogue."""

    since: int
    added: int
    exported: Intervals = ()
    empty: Intervals = ()  # of `exported`: there, and without a single series
    empty_known_from: int = 0  # before this, which windows were empty had no room
    restored: Intervals = ()  # of `exported`: there again, after retention had deleted it
    audited: Intervals = ()  # of `exported`: the source was asked again and had no more
    unauditable: Intervals = ()  # of `exported`: the source cannot say any more whether it is whole


@dataclass(frozen=True, order=True)
class Failure:
    """A range of one metric that failed `attempts` times, the last time at `at`.

    Whether a window is missing is for `exported` to say: a long history is told in few records,
    whose ranges may then hold windows that were exported.
    """

    metric: str
    start: int
    end: int
    attempts: int
    at: int
    reason: str

    @property
    def is_gap(self) -> bool:
        """Whether it failed so often that only a daily try is left."""
        return self.attempts >= GAP_ATTEMPTS


@dataclass(frozen=True)
class Handover:
    """Ranges that a Step Functions execution has. `started` is unix seconds."""

    name: str
    ranges: Intervals
    started: int


@dataclass(frozen=True)
class ReexportRequest:
    """What is not done yet of a range that an operator requested again.

    `asked` is the whole range of the request; nothing outside of it may be exported with `force`.
    """

    start: int
    end: int
    metrics: tuple[str, ...]
    force: bool = False
    asked: Interval = (0, 0)

    def __post_init__(self) -> None:
        if self.asked == (0, 0):
            object.__setattr__(self, "asked", (self.start, self.end))


@dataclass(frozen=True)
class PartitionConfig:
    """What decides the folder of a series; files of windows before `since` may lie elsewhere."""

    cluster_label: str
    cluster_name: str
    split: bool
    since: int = 0


def sort_key(failure: Failure) -> tuple[str, int]:
    """The order of the failures: by metric and start."""
    return failure.metric, failure.start


def shorten(reason: str) -> str:
    """A reason of at most REASON_CHARACTERS, and of REASON_BYTES as it stands in the document."""
    reason = reason[:REASON_CHARACTERS]
    while len(as_json(reason)) > REASON_BYTES:
        reason = reason[: len(reason) * 9 // 10]
    return reason


def as_json(value: object) -> bytes:
    """On one line. Half a surrogate pair, which JSON can bring here, stays the escape it was."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")


def merge_failures(failures: Iterable[Failure], now: int) -> list[Failure]:
    """Records in order; those of one metric that failed alike share a time, and touching ones are
    one.

    What failed `now` and what failed before stay apart, so that a change that is applied twice
    still knows what it has recorded.
    """

    def merge_key(one: Failure) -> tuple[object, ...]:
        together = (one.at // TOGETHER_S, one.at == now)
        return (one.metric, one.attempts, one.reason, *together)

    in_order = sorted(failures, key=sort_key)
    latest: dict[tuple[object, ...], int] = {}
    for failure in in_order:
        latest[merge_key(failure)] = max(failure.at, latest.get(merge_key(failure), 0))
    merged: list[Failure] = []
    for failure in in_order:
        one = replace(failure, at=latest[merge_key(failure)])
        last = merged[-1] if merged else None
        if last and last.end == one.start and merge_key(last) == merge_key(one):
            merged[-1] = replace(last, end=one.end)
        else:
            merged.append(one)
    return merged


def subtract_requests(
    requests: Iterable[ReexportRequest], others: Sequence[ReexportRequest]
) -> list[ReexportRequest]:
    """What of `requests` is in none of `others`."""
    return join_requests(
        replace(one, start=start, end=end, metrics=(name,))
        for one in requests
        for name in one.metrics
        for start, end in subtract(
            [(one.start, one.end)],
            [
                (other.start, other.end)
                for other in others
                if name in other.metrics and (other.asked, other.force) == (one.asked, one.force)
            ],
        )
    )


def join_requests(pieces: Iterable[ReexportRequest]) -> list[ReexportRequest]:
    """The same requests in order: pieces of one request that touch are one, and metrics with the
    same piece share an entry."""
    ranges: dict[tuple[Interval, bool, str], list[Interval]] = {}
    for one in pieces:
        for name in one.metrics:
            ranges.setdefault((one.asked, one.force, name), []).append((one.start, one.end))
    metrics: dict[tuple[Interval, bool, Interval], list[str]] = {}
    for (asked, force, name), intervals in ranges.items():
        for interval in union(intervals):
            metrics.setdefault((asked, force, interval), []).append(name)
    joined = [
        ReexportRequest(*interval, tuple(names), force, asked)
        for (asked, force, interval), names in metrics.items()
    ]
    return sorted(joined, key=lambda one: (one.asked, one.force, one.metrics, one.start))
