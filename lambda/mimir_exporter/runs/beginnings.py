"""Whether an answer begins where it was asked to begin.

A server that limits how far back one may ask, and one whose retention has passed the window's
start, move the start of the range and answer with 200 and what is left. At a moment that is no
step of the window that is certain. At a step it may be honest: what is measured can have begun
there. Then the source is asked whether it still has what is older.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from ..answer.cluster_file import Amount
from ..catalog.metrics import Metric
from ..checkpoint.doubts import with_series
from ..checkpoint.in_part import forgotten_until, partial_of, partial_ranges
from ..checkpoint.records import PartialExport
from ..checkpoint.state import Checkpoint
from ..errors import ErrorDetails
from ..errors.source import (
    ANSWER_OUT_OF_RANGE,
    BEGINS_LATE,
    EXPORTED_IN_PART,
    FILES_NOT_EMPTIED,
    MORE_AT_SOURCE,
)
from ..source.look import SeriesLook
from ..storage.write import WriteStats
from ..timeline.intervals import Intervals, intersect, union
from ..timeline.windows import Window, is_off_grid, iso, window_at

# A border that moves on has moved by several steps after this.
SECOND_LOOK_S = 900
# Prometheus, Thanos and their kin forget whole blocks, which begin at multiples of this: such a
# border does not move for days. Series show up within NEAR_S of it.
BLOCK_S = 7200
NEAR_S = 600
ACCEPT = '{"action": "accept"}'


class Beginnings:
    """Judges the answers of one run, and remembers how far back the source reached in it."""

    def __init__(
        self, catalog: Iterable[Metric], look: SeriesLook, clock: Callable[[], float]
    ) -> None:
        self._catalog = {metric.name: metric for metric in catalog}
        self._look = look
        self._clock = clock
        self._reach_s = -1.0  # the source has what is as old
        self._border = 0  # where the source last began what was asked for from an earlier moment on
        self._asked: dict[Window, bool | None] = {}

    def find_moved(
        self,
        checkpoint: Checkpoint,
        metric: Metric,
        window: Window,
        amounts: Mapping[str, Amount],
    ) -> PartialExport | None:
        """From when on an answer, with these amounts by cluster, is what was asked for, where it
        does not begin with the window; None where it is whole.

        Raises QueryError for samples outside of the window, and as Fetcher.fetch does.
        """
        firsts = [amount.first for amount in amounts.values() if amount.first is not None]
        lasts = [amount.last for amount in amounts.values() if amount.last is not None]
        if not firsts or not lasts:
            return None
        begins = min(firsts)
        if begins < window.start or max(lasts) > window.last:
            raise ANSWER_OUT_OF_RANGE(first=iso(begins), last=iso(max(lasts)), window=window)
        part = PartialExport(window.start, window.end, int(begins))
        if not is_off_grid(window, *firsts, *lasts):
            if begins == window.start:
                self._note_reach(begins)
                return None
            reaches = self._reaches(checkpoint, metric, window)
            if reaches or (reaches is None and self._stands_still(checkpoint, metric.name, part)):
                return None
            part = replace(part, certain=reaches is False)
        if part.certain:
            self._border = max(self._border, part.begins)
        return part

    def is_forgotten(self, checkpoint: Checkpoint, window: Window) -> bool:
        """Whether a window without series lies where the source has moved the start of a range,
        and has nothing at all. Raises as Fetcher.fetch does."""
        border = max(self._border, forgotten_until(checkpoint))
        return window.end <= border and not self._has_any(window.last)

    def require_any(self, window: Window) -> None:
        """Raises FILES_NOT_EMPTIED where the source has nothing at all at either end of the window,
        and as Fetcher.fetch does."""
        if not (self._has_any(window.last) or self._has_any(window.start)):
            raise FILES_NOT_EMPTIED()

    def _reaches(self, checkpoint: Checkpoint, metric: Metric, window: Window) -> bool | None:
        """Whether the source still has what is older than the window's data; None where nothing
        is known that it should have."""
        if self._clock() - window.start <= self._reach_s:
            return True
        if window not in self._asked:
            self._asked[window] = self._ask(checkpoint, metric, window)
        return self._asked[window]

    def _ask(self, checkpoint: Checkpoint, metric: Metric, window: Window) -> bool | None:
        if self._has_any(window.start):
            return True
        known = self._newest_before(checkpoint, metric.name, window)
        if known is None:
            return None
        name, older = known
        return self._has_any(older.last) or self._look.has_series(self._catalog[name], older)

    def _has_any(self, moment: int) -> bool:
        if not self._look.has_any(self._catalog.values(), moment):
            return False
        self._note_reach(moment)
        return True

    def _note_reach(self, moment: float) -> None:
        # A border moves with the time, and no faster: it is an age.
        self._reach_s = max(self._reach_s, self._clock() - moment)

    def _newest_before(
        self, checkpoint: Checkpoint, name: str, window: Window
    ) -> tuple[str, Window] | None:
        """The newest older window of which there are files, of this metric before any other."""
        for names in (
            (name,),
            [metric for metric in self._catalog if metric in checkpoint.metrics],
        ):
            found = [
                (ranges[-1][1], metric)
                for metric in names
                if (ranges := intersect(_with_files(checkpoint, metric), [(0, window.start)]))
            ]
            if found:
                end, newest = max(found)
                return newest, window_at(checkpoint.schedules, end - 1)
        return None

    def _stands_still(self, checkpoint: Checkpoint, name: str, part: PartialExport) -> bool:
        """Whether the answer begins where it began some time ago, which no border does that moves:
        what is measured has begun there."""
        window = Window(part.start, part.end, 1)
        before = partial_of(checkpoint.metrics[name], window)
        failure = checkpoint.failure_of(name, window)
        if before is None or failure is None or before.begins != part.begins:
            return False
        border = part.begins - part.begins % BLOCK_S
        if part.start < border and part.begins - border < NEAR_S:
            return False
        return self._clock() - failure.at >= SECOND_LOOK_S


def _with_files(checkpoint: Checkpoint, name: str) -> Intervals:
    return union(with_series(checkpoint, name), partial_ranges(checkpoint.metrics[name]))


def find_partial(
    checkpoint: Checkpoint,
    name: str,
    window: Window,
    moved: PartialExport | None,
    written: WriteStats,
) -> PartialExport | None:
    """What a metric-window's files lack after they were written, as far as that is known.

    Files that were kept lack what they had lacked before.
    """
    before = partial_of(checkpoint.metrics[name], window)
    if written.begins is not None:
        known = moved if moved and moved.begins == written.begins else before
        certain = known.certain if known else True
        return PartialExport(window.start, window.end, written.begins, certain)
    return before if written.kept else None


def why_partial(part: PartialExport) -> ErrorDetails:
    """The error of a metric-window that is exported in part."""
    if not part.begins:
        return MORE_AT_SOURCE.details(event=ACCEPT)
    begins = iso(part.begins)
    if not part.certain:
        return BEGINS_LATE.details(begins=begins)
    return EXPORTED_IN_PART.details(begins=begins, event=ACCEPT)
