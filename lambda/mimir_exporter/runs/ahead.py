"""Several windows of a small metric in one query, where QUERY_WINDOWS allows it.

A backfill of small clusters is nearly all QUERY_DELAY. What one query has of windows whose turn
comes later in the run waits, compressed, until then. Nothing depends on it: where the answer would
be large, is refused, or cannot be split by window, and where the run ends before, each window is
queried by itself.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from .. import log
from ..answer.slices import SliceError
from ..answer.spool import Spool
from ..catalog.metrics import Metric
from ..errors import QueryError, RefusedError
from ..errors.source import NOT_SPLIT_BY_WINDOW
from ..source.counts import RawCounter, SelectorCounts
from ..source.fetch import Fetcher
from ..source.splitting import FetchStats
from ..timeline.windows import Window

# Of one answer, as large as the window before makes one expect: its series lie in memory until it
# is whole. An answer twice as large is abandoned.
ANSWER_BYTES = 8_000_000
# Compressed, of all answers that wait for their turn.
WAITING_BYTES = 16_000_000
# Points of a series that Prometheus gives; others give more.
MOST_STEPS = 11_000
BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class AheadAnswer:
    """The source's samples just before the query, and what it took: nothing, where it was made for
    an earlier turn."""

    raw: SelectorCounts | None
    stats: FetchStats


@dataclass(frozen=True)
class _Waiting:
    """A spool's state and bytes, and the source's samples."""

    state: list[list[Any]]
    blocks: list[bytes]
    raw: SelectorCounts | None

    @property
    def size(self) -> int:
        return sum(map(len, self.blocks))


@dataclass
class _Planned:
    """Windows of one query that come later, by their start and by their end."""

    by_start: dict[int, Window] = field(default_factory=dict)
    by_end: dict[int, Window] = field(default_factory=dict)

    def add(self, window: Window) -> None:
        self.by_start[window.start] = self.by_end[window.end] = window

    def before(self, window: Window) -> Window | None:
        """The one that ends where `window` begins, if it has the same step."""
        found = self.by_end.get(window.start)
        return found if found and found.step_s == window.step_s else None

    def after(self, window: Window) -> Window | None:
        """The one that begins where `window` ends, if it has the same step."""
        found = self.by_start.get(window.end)
        return found if found and found.step_s == window.step_s else None

    def drop(self, window: Window) -> None:
        self.by_start.pop(window.start, None)
        self.by_end.pop(window.end, None)


class Ahead:
    """Queries up to `most` windows of one metric at once, and keeps what is not asked for yet."""

    def __init__(self, fetcher: Fetcher, counter: RawCounter | None, most: int) -> None:
        """Without a `counter` the source's samples are not counted."""
        self._fetcher = fetcher
        self._counter = counter
        self._most = most
        # By query, as several metrics may have one; what waits also by the window's start.
        self._planned: defaultdict[str, _Planned] = defaultdict(_Planned)
        self._waiting: dict[tuple[str, int], _Waiting] = {}
        self._step_bytes: dict[str, float] = {}
        self._alone: set[str] = set()

    def plan(self, plan: Iterable[tuple[Window, Sequence[Metric]]]) -> None:
        """These metric-windows come next, in place of any planned before."""
        self._planned.clear()
        self._waiting.clear()
        if self._most < 2:
            return
        for window, metrics in plan:
            for metric in metrics:
                if metric.is_by_step:
                    self._planned[metric.query].add(window)

    def fetch(self, metric: Metric, window: Window, spool: Spool) -> AheadAnswer | None:
        """Put the series of a metric-window into `spool`; None where it is to be queried by itself.

        Raises StopRunError, OutOfTimeError.
        """
        query = metric.query
        planned = self._planned[query]
        planned.drop(window)
        waiting = self._waiting.pop((query, window.start), None)
        if waiting is not None:
            spool.restore(waiting.state, waiting.blocks)
            return AheadAnswer(waiting.raw, FetchStats())
        windows = self._choose(query, window, planned)
        if len(windows) < 2 or self._fetcher.has_split(metric):
            return None
        try:
            return self._fetch_together(metric, window, windows, spool)
        except SliceError as error:
            log.WINDOWS_QUERIED_ALONE(error=NOT_SPLIT_BY_WINDOW.details(cause=str(error)))
        except (QueryError, RefusedError) as error:
            log.WINDOWS_QUERIED_ALONE(error=error)
        spool.clear()
        self._alone.add(query)
        return None

    def note_size(self, metric: Metric, window: Window, spool: Spool) -> None:
        """Learn from an answer how large others will be."""
        self._step_bytes[metric.query] = spool.raw_bytes / _steps([window])

    def _choose(self, query: str, window: Window, planned: _Planned) -> list[Window]:
        """The window and those that touch it on either side, oldest first, as many as one query
        may have."""
        step_bytes = self._step_bytes.get(query)
        if step_bytes is None or query in self._alone or self._waiting_bytes() >= WAITING_BYTES:
            return [window]
        chosen = [window]
        while (older := planned.before(chosen[0])) and self._fits([older, *chosen], step_bytes):
            chosen.insert(0, older)
        while (newer := planned.after(chosen[-1])) and self._fits([*chosen, newer], step_bytes):
            chosen.append(newer)
        return chosen

    def _fits(self, windows: Sequence[Window], step_bytes: float) -> bool:
        """Whether one query may have them, with so many bytes for a step."""
        steps = _steps(windows)
        large = steps > MOST_STEPS or steps * step_bytes > ANSWER_BYTES
        return len(windows) <= self._most and not large

    def _waiting_bytes(self) -> int:
        return sum(waiting.size for waiting in self._waiting.values())

    def _fetch_together(
        self, metric: Metric, window: Window, windows: Sequence[Window], spool: Spool
    ) -> AheadAnswer:
        raw = self._count(metric, windows)
        with ExitStack() as stack:
            spools = [
                spool
                if each == window
                else stack.enter_context(Spool(steps=(each.start, each.last)))
                for each in windows
            ]
            stats = self._fetcher.fetch_together(metric, windows, spools, 2 * ANSWER_BYTES)
            size = sum(each.raw_bytes for each in spools)
            self._step_bytes[metric.query] = size / _steps(windows)
            for each, filled in zip(windows, spools, strict=True):
                if each != window:
                    self._planned[metric.query].drop(each)
                    for _ in filled.files():  # whole, as they are when nothing waits
                        pass
                    blocks = list(filled.blocks(0, BLOCK_BYTES))
                    self._waiting[metric.query, each.start] = _Waiting(
                        filled.state(), blocks, raw.get(each)
                    )
        return AheadAnswer(raw.get(window), stats)

    def _count(self, metric: Metric, windows: Sequence[Window]) -> dict[Window, SelectorCounts]:
        """Before the query: what arrives between the two makes an audit look again."""
        if self._counter is None:
            return {}
        found = self._counter.count_together(metric, windows)
        if found is None:
            raise SliceError("its samples could not be counted by window")
        return found


def _steps(windows: Sequence[Window]) -> int:
    """How many steps there are from the first one's to the last one's."""
    return (windows[-1].last - windows[0].start) // windows[0].step_s + 1
