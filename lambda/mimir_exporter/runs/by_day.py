"""Work that goes through the manifests of a range by the day, and within a day by the metric.

What a range comes to is recorded with each day, so a run that ends, or is killed, loses one day's
looks at most, and any later run continues with the next metric.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Protocol

from ..checkpoint.records import RangeTask
from ..checkpoint.state import Checkpoint
from ..checkpoint.tasks import advance_task
from ..errors import OutOfTimeError
from ..events import DayResult
from ..timeline.deadline import Deadline
from ..timeline.windows import DAY_S, iso
from .context import RunContext

# Reading and listing wait for the network: so many at once.
REQUESTS = 8
# So that a result stays readable.
KEYS_SHOWN = 10
DAYS_SHOWN = 62


class Look(Protocol):
    """What the look at one metric's day came to."""

    @property
    def metric_windows(self) -> int:
        """How many were looked at."""

    @property
    def found(self) -> Mapping[str, int]:
        """Counts by what they are of."""

    @property
    def keys(self) -> Sequence[str]:
        """Of what is not as it should be."""

    def record(self, checkpoint: Checkpoint) -> None:
        """Into the checkpoint; twice means the same."""


# Looks at one metric of a day: its manifests' ETags by window start.
LookAt = Callable[[ThreadPoolExecutor, RangeTask, str, Mapping[int, str]], Look]


@dataclass
class DayReport:
    """Sums of a day."""

    day: int
    metric_windows: int = 0
    found: dict[str, int] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)

    def add(self, look: Look) -> None:
        """One metric more."""
        self.metric_windows += look.metric_windows
        for name, count in look.found.items():
            self.found[name] = self.found.get(name, 0) + count
        self.keys += look.keys[: KEYS_SHOWN - len(self.keys)]

    def as_dict(self) -> DayResult:
        """For a result."""
        return {
            "day": iso(self.day)[:10],
            "metric_windows": self.metric_windows,
            "found": self.found,
            "keys": self.keys,
        }


@dataclass
class Reports:
    """The days of a range; `finished`: all of them."""

    days: list[DayReport] = field(default_factory=list)
    finished: bool = False

    def total(self, name: str) -> int:
        """The sum of one count."""
        return sum(day.found.get(name, 0) for day in self.days)

    @property
    def metric_windows(self) -> int:
        return sum(day.metric_windows for day in self.days)

    @property
    def keys(self) -> list[str]:
        """The first ones."""
        return [key for day in self.days for key in day.keys][:KEYS_SHOWN]

    def as_list(self) -> list[DayResult]:
        """The days, oldest first, as many as a result shows."""
        return [day.as_dict() for day in self.days[:DAYS_SHOWN]]


def walk(
    context: RunContext,
    task: RangeTask,
    deadline: Deadline,
    look_at: LookAt,
    *,
    dry_run: bool = False,
    finish_day: Callable[[DayReport], None] = lambda _: None,
) -> Reports:
    """Look at the days of `task`, oldest first, until it is done or the time is over.

    Each day is recorded in the checkpoint, with how far the task is, unless `dry_run`; then
    `finish_day` is called. Raises QueryError, StopRunError; what was looked at is recorded.
    """
    reports = Reports()
    with ThreadPoolExecutor(REQUESTS) as pool:
        for part in _days(task):
            report = DayReport(part.start - part.start % DAY_S)
            looks: list[Look] = []
            done = list(part.done)
            whole = False
            try:
                for metric, etags in _by_metric(context, part, deadline):
                    looks.append(look_at(pool, part, metric, etags))
                    done.append(metric)
                whole = True
            except OutOfTimeError:
                return reports
            finally:
                for look in looks:
                    report.add(look)
                if looks or whole:
                    reports.days.append(report)
                    if not dry_run:
                        _record(context, part, looks, None if whole else done)
                    finish_day(report)
    reports.finished = True
    return reports


def _days(task: RangeTask) -> Iterator[RangeTask]:
    """The task from each of its days on."""
    part = task
    while part.start < part.end:
        yield part
        part = replace(part, start=part.day_end, done=())


def _by_metric(
    context: RunContext, part: RangeTask, deadline: Deadline
) -> Iterator[tuple[str, dict[int, str]]]:
    """The metrics of a day that are not done yet, with their manifests' ETags by window start."""
    deadline.check()
    found: dict[str, dict[int, str]] = {name: {} for name in part.metrics}
    for (start, metric), etag in context.manifests.of_day(part.start).items():
        if part.start <= start < part.day_end and (not part.metrics or metric in found):
            found.setdefault(metric, {})[start] = etag
    for metric, etags in found.items():
        if metric not in part.done:
            deadline.check()
            yield metric, etags


def _record(
    context: RunContext, part: RangeTask, looks: Sequence[Look], done: Sequence[str] | None
) -> None:
    def record(fresh: Checkpoint) -> None:
        for look in looks:
            look.record(fresh)
        advance_task(fresh, part, done)

    context.store.update(record)
