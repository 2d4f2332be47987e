"""Series of several windows, sliced into each window's own. Pure.

Only the compact form in which Prometheus, Mimir and VictoriaMetrics send plain samples is sliced,
as text, so that numbers and labels stay the bytes that came. For all else there is a SliceError,
and the windows have to be queried one by one.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from .matrix import START, VALUES
from .split import Sink

_END = b"]]}"
_BETWEEN = b"],["  # two samples: no sample holds a bracket


class SliceError(Exception):
    """An answer that cannot be split by window; the text gives the reason."""


class TooMuchError(SliceError):
    """An answer that is not worth reading to its end."""


class Slicer:
    """A sink for a Splitter, in front of a sink for each window.

    The windows touch: `borders` are the start of each and the end of the last, unix seconds.
    """

    def __init__(self, borders: Sequence[int], sinks: Sequence[Sink], most_bytes: int) -> None:
        self._borders = [float(border) for border in borders]
        self._sinks = sinks
        self._room = self._most_bytes = most_bytes

    def add(self, cluster: str, run: memoryview, series: int, samples: int) -> None:
        """Take consecutive series of one cluster; the samples of each are in the order of time, as
        in every answer to a range query. Raises SliceError."""
        text = bytes(run)
        self._room -= len(text)
        if self._room < 0:
            raise TooMuchError(f"it has more than {self._most_bytes} bytes of series")
        slices: list[list[bytes]] = [[] for _ in self._sinks]
        counts = [0] * len(self._sinks)
        at = 0
        for _ in range(series):
            head, points, at = _read_series(text, at)
            samples -= len(points)
            cuts = self._cuts(points)
            for number, (low, high) in enumerate(pairwise(cuts)):
                if low < high:
                    slices[number].append(head + _BETWEEN.join(points[low:high]) + _END)
                    counts[number] += high - low
        if samples or at != len(text) + 1:
            raise SliceError("the samples of a series could not be told apart")
        for sink, pieces, count in zip(self._sinks, slices, counts, strict=True):
            if pieces:
                sink(cluster, memoryview(b",".join(pieces)), len(pieces), count)

    def _cuts(self, points: Sequence[bytes]) -> list[int]:
        """Where each window's points begin, and where the last one's end."""
        cuts, low = list[int](), 0
        for border in self._borders:
            low = bisect_left(points, border, low, key=_moment)
            cuts.append(low)
        if cuts[0] or cuts[-1] < len(points):
            raise SliceError("a sample lies outside of the time that was asked for")
        return cuts


def _read_series(text: bytes, at: int) -> tuple[bytes, list[bytes], int]:
    """The text before its first sample, its samples without brackets, and where the next one
    begins."""
    begin = text.find(VALUES, at + len(START)) + len(VALUES)
    end = text.find(_END, begin)
    if begin < len(VALUES) or end < 0 or not text.startswith(START, at):
        raise SliceError("a series is not in the form of plain samples")
    values = text[begin:end]
    if b":" in values or b"{" in values:
        raise SliceError("a series has native histograms")
    return text[at:begin], values.split(_BETWEEN), end + len(_END) + 1


def _moment(point: bytes) -> float:
    try:
        return float(point[: point.index(b",")])
    except ValueError as error:
        raise SliceError("a sample has no time") from error
