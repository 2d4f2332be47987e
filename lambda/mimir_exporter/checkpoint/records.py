"""What the checkpoint consists of: progress, failures, executions, reexport requests. Pure.

Times are unix seconds. `outcomes.py` and `reexports.py` have the rules by which they change.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from ..errors import ErrorDetails
from ..timeline.intervals import Interval, Intervals, union
from ..timeline.windows import DAY_S

# A window that failed this often is a gap: still listed, alarmed on, and tried once a day.
GAP_ATTEMPTS = 5
# Failures share a record only if they happened in the same quarter of a day: with the newest time
# for all of them, a metric that keeps failing would keep its old gaps from ever being due.
TOGETHER_S = DAY_S // 4
TEXT_CHARACTERS = 300
# A text in another script, or one that is full of quotes, takes more bytes than characters.
TEXT_BYTES = 400

TaskAction = Literal["audit", "rebuild", "repair"]
TASK_ACTIONS: tuple[TaskAction, ...] = ("audit", "rebuild", "repair")


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
    unstable: Intervals = ()  # of `unauditable`: the source had more each time that it was asked
    in_part: "tuple[PartialExport, ...]" = ()  # not of `exported`: files are there, and not all
    doubts: "tuple[Doubt, ...]" = ()  # in order, none overlap


@dataclass(frozen=True, order=True)
class PartialExport:
    """A metric-window whose files lack something, and which is pending therefore.

    `begins`: the source had moved the start of the range, and the files hold what is from there on;
    0: the source had more than they do. Without `certain` it may have begun there honestly: the
    next look decides.
    """

    start: int
    end: int
    begins: int = 0
    certain: bool = True


@dataclass(frozen=True, order=True)
class Doubt:
    """A range of one metric from which clusters have vanished that it had before: it is asked for
    once more, and is not complete before an audit has confirmed it.

    `clusters` are the first of them; none where there was no room for their names. `looked`: it was
    asked for again, and they were not there either.
    """

    start: int
    end: int
    clusters: tuple[str, ...] = ()
    looked: bool = False


@dataclass(frozen=True, order=True)
class Failure:
    """A range of one metric that failed `attempts` times, the last time at `at`.

    Whether a window is missing is for `exported` to say: a long history fits in few records,
    whose ranges may then hold windows that were exported.
    """

    metric: str
    start: int
    end: int
    attempts: int
    at: int
    error: ErrorDetails
    nothing_left: bool = False  # the source has forgotten it: missing for good, and not retried

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
    Only work that began with a checkpoint that has the request settles it: `number` orders them, as
    clocks of two machines cannot. `requester` is the invocation that recorded it.
    """

    start: int
    end: int
    metrics: tuple[str, ...]
    force: bool = False
    asked: Interval = (0, 0)
    number: int = 0
    requested_at: int = 0
    requester: str = ""

    def __post_init__(self) -> None:
        if self.asked == (0, 0):
            object.__setattr__(self, "asked", (self.start, self.end))

    @property
    def identity(self) -> tuple[int, Interval, bool, int, str]:
        """What all pieces of one request have in common."""
        return (self.number, self.asked, self.force, self.requested_at, self.requester)


@dataclass(frozen=True)
class RangeTask:
    """What is not done yet of a range; `asked` is all of it.

    `done` are the metrics of its first day that are done already; `requester` is the invocation
    that recorded it."""

    action: TaskAction
    start: int
    end: int
    metrics: tuple[str, ...]
    requested_at: int
    requester: str
    asked: Interval
    done: tuple[str, ...] = ()

    @property
    def identity(self) -> tuple[TaskAction, str, int]:
        """What stays as it is while it is worked on."""
        return self.action, self.requester, self.requested_at

    @property
    def day_end(self) -> int:
        """Where its first day ends."""
        return min(self.end, self.start - self.start % DAY_S + DAY_S)


@dataclass(frozen=True)
class Acceptance:
    """Missing ranges that an operator accepted as missing: they are no gaps any more."""

    ranges: Intervals
    metrics: tuple[str, ...]
    by: str
    reason: str
    at: int


@dataclass(frozen=True)
class PartitionConfig:
    """What decides the folder of a series; files of windows before `since` may lie elsewhere."""

    cluster_label: str
    cluster_name: str
    split: bool
    since: int = 0
    relabel_from: int = 0  # until then files of `before` stay as they are
    before: "tuple[str, str, bool] | None" = None

    @property
    def layout(self) -> tuple[str, str, bool]:
        """What it is without its history."""
        return self.cluster_label, self.cluster_name, self.split


@dataclass(frozen=True)
class RetentionInForce:
    """How many seconds files are kept (0: for ever); and what that was lowered to, which is in
    force a day after it was first seen (`since`)."""

    kept_s: int
    lowered_to_s: int | None = None
    since: int = 0


def sort_key(failure: Failure) -> tuple[str, int]:
    """The order of the failures: by metric and start."""
    return failure.metric, failure.start


def shorten(error: ErrorDetails) -> ErrorDetails:
    """The error, each text of at most TEXT_CHARACTERS, and of TEXT_BYTES in the document."""
    return ErrorDetails(
        error.code, *(_shorten(text) for text in (error.summary, error.cause, error.remedy))
    )


def _shorten(text: str) -> str:
    text = text[:TEXT_CHARACTERS]
    while len(as_json(text)) > TEXT_BYTES:
        text = text[: len(text) * 9 // 10]
    return text


def as_json(value: object) -> bytes:
    """On one line. Half a surrogate pair, which JSON can bring here, stays the escape it was."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")


def merge_failures(failures: Iterable[Failure], now: int) -> list[Failure]:
    """Records in order; those of one metric that failed alike share a time, and touching ones are
    one.

    What failed `now` and what failed before stay apart, so that a change that is applied twice
    still knows what it has recorded.
    """

    def merge_key(failure: Failure) -> tuple[object, ...]:
        together = (failure.at // TOGETHER_S, failure.at == now)
        return (failure.metric, failure.attempts, failure.error, failure.nothing_left, *together)

    in_order = sorted(failures, key=sort_key)
    latest: dict[tuple[object, ...], int] = {}
    for failure in in_order:
        latest[merge_key(failure)] = max(failure.at, latest.get(merge_key(failure), 0))
    merged: list[Failure] = []
    for failure in in_order:
        merging = replace(failure, at=latest[merge_key(failure)])
        last = merged[-1] if merged else None
        if last and last.end == merging.start and merge_key(last) == merge_key(merging):
            merged[-1] = replace(last, end=merging.end)
        else:
            merged.append(merging)
    return merged


def join_requests(pieces: Iterable[ReexportRequest]) -> list[ReexportRequest]:
    """The same requests in order: pieces of one request that touch are one, and metrics with the
    same piece share an entry."""
    ranges: dict[tuple[ReexportRequest, str], list[Interval]] = {}
    for piece in pieces:
        whole = replace(piece, start=piece.asked[0], end=piece.asked[1], metrics=())
        for name in piece.metrics:
            ranges.setdefault((whole, name), []).append((piece.start, piece.end))
    metrics: dict[tuple[ReexportRequest, Interval], list[str]] = {}
    for (whole, name), intervals in ranges.items():
        for interval in union(intervals):
            metrics.setdefault((whole, interval), []).append(name)
    joined = [
        replace(whole, start=start, end=end, metrics=tuple(names))
        for (whole, (start, end)), names in metrics.items()
    ]
    return sorted(joined, key=lambda request: (request.identity, request.metrics, request.start))
