"""What is exported and what is pending: the exporter's whole memory.

This is the state with its look-ups. `records.py` has what it consists of; `adopt.py`,
`outcomes.py` and `reexports.py` change it, and `wanted.py` derives from it what is to be done.
`document.py` is its form in S3, `compact.py` bounds that, and `store.py` reads and writes it.
Times are unix seconds.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace

from ..errors.runs import CHECKPOINT_DELETED
from ..timeline.intervals import Intervals, subtract, union
from ..timeline.windows import DAY_S, Window, WindowSchedule
from .records import (
    Acceptance,
    Failure,
    Handover,
    MetricProgress,
    PartitionConfig,
    RangeTask,
    ReexportRequest,
    RetentionInForce,
    sort_key,
)


@dataclass
class Checkpoint:
    """What the document holds. Every change can be applied twice and then means the same."""

    schedules: tuple[WindowSchedule, ...] = ()
    partition: PartitionConfig | None = None
    retention: RetentionInForce | None = None
    metrics: dict[str, MetricProgress] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)  # by metric and start, none overlap
    handovers: list[Handover] = field(default_factory=list)
    reexports: list[ReexportRequest] = field(default_factory=list)
    requests_made: int = 0  # so far: the number of the newest request
    accepted: list[Acceptance] = field(default_factory=list)
    tasks: list[RangeTask] = field(default_factory=list)
    receipts_due: Intervals = ()  # whole days of which something has changed since their receipt
    receipts_begun: Intervals = ()  # the same, and a run has begun to write it
    handed_over: int = 0  # executions so far: makes the name of the next one new
    machine: str = ""  # ARN of the state machine whose executions `handovers` names
    lease_owner: str = ""
    lease_until: int = 0
    retention_done: str = ""  # the last day on which retention finished
    deleted_until: int = 0  # retention has deleted the files before this, but for `restored`
    last_complete: int = 0  # when a run last left nothing pending

    def change(self, start: int, end: int) -> None:
        """Something of [start, end) has changed: the receipts of its days are due."""
        days = (start - start % DAY_S, end + -end % DAY_S)
        self.receipts_due = union(self.receipts_due, [days])

    def progress_of(self, name: str) -> MetricProgress:
        """The progress of a metric that a run works on. Raises CheckpointError without one."""
        if name not in self.metrics:
            raise CHECKPOINT_DELETED()
        return self.metrics[name]

    def stored(self, name: str) -> Intervals:
        """What is exported of a metric and not deleted by retention."""
        progress = self.metrics[name]
        kept = subtract(progress.exported, [(0, self.deleted_until)])
        return union(kept, progress.restored)

    def gaps(self) -> list[Failure]:
        """Failures with a daily try only, and those whose source has nothing left to export; one
        for windows of a metric that touch and failed alike, whenever they were tried."""
        found: list[Failure] = []
        for failure in self.failures:
            last = found[-1] if found else None
            if not failure.is_gap:
                continue
            if (
                last
                and (last.metric, last.end) == (failure.metric, failure.start)
                and _alike(last, failure)
            ):
                found[-1] = replace(failure, start=last.start)
            else:
                found.append(failure)
        return found

    def accepted_of(self, name: str) -> Intervals:
        """What of a metric is missing and accepted as missing."""
        return union(
            *(acceptance.ranges for acceptance in self.accepted if name in acceptance.metrics)
        )

    def failure_of(self, name: str, window: Window) -> Failure | None:
        """The record of a failed metric-window."""
        place = bisect_right(self.failures, (name, window.start), key=sort_key) - 1
        found = self.failures[place] if place >= 0 else None
        return found if found and found.metric == name and window.start < found.end else None

    def failures_of(self, name: str) -> slice:
        """Where the records of a metric are in `failures`."""
        return slice(
            bisect_left(self.failures, name, key=_metric_of),
            bisect_right(self.failures, name, key=_metric_of),
        )

    def forget_failures(self, name: str, start: int, end: int) -> None:
        """Take [start, end) out of the records of a metric."""
        low = bisect_right(self.failures, (name, start), key=sort_key)
        if low and self.failures[low - 1].metric == name and self.failures[low - 1].end > start:
            low -= 1
        high = bisect_left(self.failures, (name, end), key=sort_key)
        self.failures[low:high] = [
            replace(failure, start=begin, end=until)
            for failure in self.failures[low:high]
            for begin, until in subtract([(failure.start, failure.end)], [(start, end)])
        ]


def _alike(failure: Failure, other: Failure) -> bool:
    return (failure.error.code, failure.nothing_left) == (other.error.code, other.nothing_left)


def _metric_of(failure: Failure) -> str:
    return failure.metric
