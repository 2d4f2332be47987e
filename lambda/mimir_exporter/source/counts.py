"""How many raw samples the source has for a metric-window: what an audit compares.

Counting the answers of a query again costs the server as much as the query itself, and late samples
can leave their number as it is while values differ. Raw counts see both, at a small part of the
cost: docs/cost.md. They are taken for each selector of the query over all that it may look at.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from .. import log
from ..catalog.metrics import INSTANT_S, Metric, label_in_promql
from ..errors import (
    ExportError,
    OutOfTimeError,
    RejectedError,
    TooLargeError,
    TooManySeriesError,
)
from ..timeline.windows import Window
from .api import Mimir

T = TypeVar("T")

# Says which of several selectors of one query a count is of; no cluster label of any fleet.
_WHICH = "mimir_exporter_selector"
# An instant selector looks back so far, unless the server is configured otherwise.
LOOK_BACK_S = 300
# Of the selectors of one query: nginx takes 8 kB in a request's first line.
QUERY_BYTES = 4_000

# Raw samples by the value of the cluster label ("" is: no label).
Counts = dict[str, int]
# By selector.
SelectorCounts = dict[str, Counts]


@dataclass(frozen=True)
class _Count:
    """A selector, and how many seconds up to the moment of evaluation it is counted over."""

    selector: str
    range_s: int


class RawCounter:
    """Counts raw samples by cluster. In one query as long as the server does that; what it refuses
    is asked for in halves: of the selectors, then of the windows."""

    def __init__(self, mimir: Mimir, cluster_label: str) -> None:
        self._mimir = mimir
        self._label = cluster_label
        self._most = 100  # selectors in one query; fewer once the server has refused so many

    def count_window(self, metric: Metric, window: Window) -> SelectorCounts | None:
        """The raw samples of each selector of a metric-window, just before its query; None where
        the query has no selectors that can be found, or they cannot be counted.

        It takes the turn of the query that follows. Without counts a window is exported all the
        same, so nothing is retried. Raises OutOfTimeError.
        """
        if not metric.selectors(self._label):
            return None
        self._mimir.wait_for_turn()
        try:
            found = self._count(self._wanted([metric], window), [window.last], self._ask_now)
        except OutOfTimeError:
            raise
        except ExportError as error:
            log.SAMPLES_NOT_COUNTED(error=error)
            return None
        return self._of(metric, window, found)

    def count_windows(
        self, metrics: Sequence[Metric], windows: Sequence[Window]
    ) -> Iterator[tuple[Window, dict[str, SelectorCounts]]]:
        """The raw samples of windows, for each of the metrics by its name; one is missing where the
        server refuses to count it. Raises QueryError, StopRunError, OutOfTimeError.
        """
        for run in _evenly_spaced(windows):
            counts = self._wanted(metrics, run[0])
            found = self._count(counts, [window.last for window in run], self._ask_over)
            for window in run:
                by_metric = {metric.name: self._of(metric, window, found) for metric in metrics}
                yield (
                    window,
                    {
                        name: by_selector
                        for name, by_selector in by_metric.items()
                        if by_selector is not None
                    },
                )

    def count_together(
        self, metric: Metric, windows: Sequence[Window]
    ) -> dict[Window, SelectorCounts] | None:
        """The raw samples of windows of one metric, without splitting what the server refuses: then
        they are better counted one by one. Empty where the query has no selectors that can be
        found, None where the server counts them at other moments.

        Raises QueryError, StopRunError, OutOfTimeError.
        """
        if not metric.selectors(self._label):
            return {}
        found: _Found = {}
        for run in _evenly_spaced(windows):
            moments = [window.last for window in run]
            for part in _packed(self._wanted([metric], run[0]), self._most):
                try:
                    found |= self._ask_over(part, moments)
                except _MovedError:
                    return None
        counts = {window: self._of(metric, window, found) for window in windows}
        return {window: count for window, count in counts.items() if count is not None}

    def count_answers(self, promql: str, window: Window) -> Counts:
        """The samples of a query's own answer by cluster: as costly as the query itself. For what
        has no raw counts. Raises QueryError, StopRunError, OutOfTimeError."""
        self._mimir.wait_for_turn()
        label = label_in_promql(self._label)
        counts: Counts = {}
        for series in self._mimir.query_points(
            f"count by ({label})({promql})", window.start, window.last, window.step_s
        ):
            cluster = series["metric"].get(self._label, "")
            counts[cluster] = sum(int(float(value)) for _, value in series["values"])
        return counts

    def _wanted(self, metrics: Iterable[Metric], window: Window) -> list[_Count]:
        """Each once: several metrics share some."""
        return list(
            dict.fromkeys(
                _Count(selector, range_of(metric, window))
                for metric in metrics
                for selector in metric.selectors(self._label)
            )
        )

    def _of(self, metric: Metric, window: Window, found: "_Found") -> SelectorCounts | None:
        """What was counted for a metric-window; None where a part of it was not."""
        counts: SelectorCounts = {}
        for selector in metric.selectors(self._label):
            key = (_Count(selector, range_of(metric, window)), window.last)
            if key not in found:
                return None
            counts[selector] = found[key]
        return counts or None

    def _count(self, counts: Sequence[_Count], moments: Sequence[int], ask: "_Ask") -> "_Found":
        found: _Found = {}
        waiting = [(part, list(moments)) for part in _packed(counts, self._most)]
        while waiting:
            part, when = waiting.pop(0)
            try:
                found |= ask(part, when)
            except _MovedError:
                # A server that limits the lookback: what it still has it has at a moment alone.
                if len(when) > 1:
                    waiting = [(part, half) for half in _halves(when)] + waiting
            except (TooLargeError, TooManySeriesError, RejectedError) as error:
                if len(part) > 1:
                    self._most = max(1, len(part) // 2)
                    waiting = [(half, when) for half in _halves(part)] + waiting
                elif len(when) > 1:
                    waiting = [(part, half) for half in _halves(when)] + waiting
                else:
                    log.SAMPLES_NOT_COUNTED(error=error)
        return found

    def _ask_now(self, counts: Sequence[_Count], moments: Sequence[int]) -> "_Found":
        (moment,) = moments
        found: _Found = {(count, moment): {} for count in counts}
        for series in self._mimir.query(self._promql(counts), moment):
            self._take(found, counts, series["metric"], [series["value"]])
        return found

    def _ask_over(self, counts: Sequence[_Count], moments: Sequence[int]) -> "_Found":
        self._mimir.wait_for_turn()
        step_s = moments[1] - moments[0] if len(moments) > 1 else 60
        found: _Found = {(count, moment): {} for count in counts for moment in moments}
        promql = self._promql(counts)
        for series in self._mimir.query_points(promql, moments[0], moments[-1], step_s):
            self._take(found, counts, series["metric"], series["values"])
        return found

    def _promql(self, counts: Sequence[_Count]) -> str:
        label = label_in_promql(self._label)
        sums = [
            f"sum by ({label})(count_over_time({count.selector}[{count.range_s}s]))"
            for count in counts
        ]
        if len(sums) == 1:
            return sums[0]
        return " or ".join(
            f'label_replace({each_sum}, "{_WHICH}", "{number}", "", "")'
            for number, each_sum in enumerate(sums)
        )

    def _take(
        self,
        found: "_Found",
        counts: Sequence[_Count],
        labels: dict[str, str],
        points: Iterable[Sequence[Any]],
    ) -> None:
        count = counts[int(labels.get(_WHICH, 0))]
        for moment, samples in points:
            if (count, moment) not in found:
                raise _MovedError
            found[count, int(moment)][labels.get(self._label, "")] = int(float(samples))


class _MovedError(Exception):
    """The answer is of other moments than were asked for."""


_Found = dict[tuple[_Count, int], Counts]
_Ask = Callable[[Sequence[_Count], Sequence[int]], _Found]


def range_of(metric: Metric, window: Window) -> int:
    """How many seconds up to the window's last step its query looks at."""
    return window.last - window.start + LOOK_BACK_S + metric.look_back_s - INSTANT_S


def _packed(counts: Sequence[_Count], most: int) -> Iterator[list[_Count]]:
    """As many to a query as it has room for."""
    part: list[_Count] = []
    size = 0
    for count in counts:
        if part and (len(part) >= most or size + len(count.selector) > QUERY_BYTES):
            yield part
            part, size = [], 0
        part.append(count)
        size += len(count.selector) + 100
    if part:
        yield part


def _halves(whole: Sequence[T]) -> list[list[T]]:
    middle = len(whole) // 2
    return [list(whole[:middle]), list(whole[middle:])]


def _evenly_spaced(windows: Iterable[Window]) -> Iterator[list[Window]]:
    """Runs of windows of one length, each as far from the one before as all others of the run."""
    run: list[Window] = []
    for window in sorted(windows):
        alike = not run or (
            window.last - window.start == run[0].last - run[0].start
            and all(
                later.start - earlier.start == window.start - run[-1].start
                for earlier, later in pairwise(run[-2:])
            )
        )
        if not alike:
            yield run
            run = []
        run.append(window)
    if run:
        yield run
