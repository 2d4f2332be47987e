"""Where an answer's series wait, compressed, until the whole window is there.

One gzip file for each cluster, all of them by one compressor: at a full flush deflate forgets what
came before and ends on a whole byte, so that it can continue with another cluster's text, and the
pieces of one cluster, side by side, are one stream. So a thousand clusters in any order need no
thousand compressors. A long run goes to the compressor from where it lies; short ones gather until
their cluster has enough of them or all together pin too much of the answer. What is compressed
lies in one place, piece by piece: in memory up to a bound, in a temporary file past it.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Any

from isal import isal_zlib

from .cluster_file import Amount, ClusterFile, FileBody, Piece
from .extent import find_extent, has_first, has_last

Buffer = bytes | memoryview

HEAD = b'{"status":"success","data":{"resultType":"matrix","result":['
TAIL = b"]}}"
LEVEL = 1  # ISA-L's levels 2 and 3 cost much and save little on this text
MEM_LEVEL = 9  # 0.6 MB for the compressor, there once: 1 to 2 % faster than its default
LAST_BLOCK = b"\x03\0"  # of deflate: empty, and the last

# A run of this length is compressed from where it lies; shorter ones are joined first. Below it,
# ISA-L makes half as much of a piece that begins with a call of fewer than 288 bytes, as ours do.
RUN_BYTES = 64 * 1024
GATHER_BYTES = 128 * 1024  # of one cluster's series: a longer piece saves nothing
PINNED_BYTES = 16 * 1024 * 1024  # of the answer, whose blocks stay for the series in them
MEMORY_BYTES = 8 * 1024 * 1024  # of compressed pieces, before the file


@dataclass
class _Cluster:
    pending: list[Buffer] = field(default_factory=list)
    pending_bytes: int = 0
    pieces: list[Piece] = field(default_factory=list)
    series: int = 0
    samples: int = 0
    raw_bytes: int = 0
    text_bytes: int = 0  # that the compressor got, and their checksum: gzip's trailer
    crc: int = 0
    first: float | None = None  # sample, and the last one, as far as they are known
    last: float | None = None
    spans_all: bool = False  # from the first step to the last: nothing can widen it
    finished: bool = False


# Of a cluster at a mark: pieces, series, samples, raw_bytes, text_bytes, crc.
_Mark = tuple[int, int, int, int, int, int]
# And its first and last sample.
_MarkedExtent = tuple[float | None, float | None, bool]


class Spool:
    """Takes series by cluster; gives gzip files that are complete query_range answers.

    A part of a window that fails halfway is undone: `begin_part` sets the mark to which
    `drop_part` goes back.
    """

    def __init__(self, folder: str | None = None, *, steps: tuple[int, int] | None = None) -> None:
        """`steps` are the first and the last step that are asked for, where they are known: with
        them the samples' ends are found with a look at one series of each cluster."""
        self._steps = steps
        self._clusters: dict[str, _Cluster] = {}
        self._history_bits = 0  # known with the first series
        self._compressor: isal_zlib.Compress | None = None
        self._open: _Cluster | None = None  # whose text the compressor has not given back yet
        self._pinned = 0
        # Written to in one go after another, so that nothing is copied when it goes to the file.
        self._store = SpooledTemporaryFile(MEMORY_BYTES, dir=folder)  # noqa: SIM115 - closed on exit
        self._end = 0  # of the store
        self._marks: dict[str, tuple[_Mark, _MarkedExtent]] = {}
        self._end_at_mark = 0

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # what it still holds back may find no room, and is not needed
            self._store.close()

    @property
    def series(self) -> int:
        """Series taken so far; one that was split by time counts once for each part."""
        return sum(file.series for file in self._clusters.values())

    @property
    def samples(self) -> int:
        """Samples taken so far."""
        return sum(file.samples for file in self._clusters.values())

    @property
    def raw_bytes(self) -> int:
        """Bytes of series taken so far, as Mimir sent them."""
        return sum(file.raw_bytes for file in self._clusters.values())

    @property
    def clusters(self) -> tuple[str, ...]:
        """The clusters that have series."""
        return tuple(self._clusters)

    def amounts(self) -> dict[str, Amount]:
        """What each cluster has."""
        return {
            name: Amount(file.series, file.samples, file.first, file.last)
            for name, file in self._clusters.items()
        }

    def begin_part(self) -> None:
        """What is here stays, whatever happens to the part that comes."""
        self._flush_all()
        self._end_piece()
        self._marks = {
            name: (
                (
                    *(len(file.pieces), file.series, file.samples),
                    *(file.raw_bytes, file.text_bytes, file.crc),
                ),
                (file.first, file.last, file.spans_all),
            )
            for name, file in self._clusters.items()
        }
        self._end_at_mark = self._end

    def drop_part(self) -> None:
        """Forget all that came since begin_part."""
        for name, file in list(self._clusters.items()):
            if name not in self._marks:
                del self._clusters[name]
                continue
            (pieces, file.series, file.samples, *sums), extent = self._marks[name]
            file.raw_bytes, file.text_bytes, file.crc = sums
            file.first, file.last, file.spans_all = extent
            del file.pieces[pieces:]
            file.pending.clear()
            file.pending_bytes = 0
        self._compressor = self._open = None  # it still holds some of the part
        self._pinned = 0
        self._end = self._end_at_mark

    def clear(self) -> None:
        """Forget everything."""
        self._clusters.clear()
        self._marks.clear()
        self._compressor = self._open = None
        self._pinned = self._end = self._end_at_mark = 0

    def add(self, cluster: str, run: Buffer, series: int, samples: int) -> None:
        """Take consecutive series of one cluster: JSON elements joined by commas.

        `run` is kept for a while: what it shows must not change.
        """
        file = self._clusters.get(cluster)
        if file is None:
            file = self._clusters[cluster] = _Cluster()
        size = len(run)
        if not self._history_bits:
            self._history_bits = _history_bits(size // series)
        file.series += series
        file.samples += samples
        file.raw_bytes += size
        if not file.spans_all:
            self._widen(file, run, series)
        self._pinned += size
        if size >= RUN_BYTES:
            self._flush(file)
            self._compress(file, b"," if file.text_bytes else HEAD)
            self._compress(file, run)
        else:
            file.pending.append(run)
            file.pending_bytes += size
            if file.pending_bytes >= GATHER_BYTES:
                self._flush(file)
        if self._pinned >= PINNED_BYTES:
            self._flush_all()

    def files(self, clusters: Iterable[str] | None = None) -> Iterator[ClusterFile]:
        """The finished files of `clusters`, by default of all, one at a time and as often as is
        asked; a body is valid until the next one. Nothing can be added to them any more."""
        for name in self.clusters if clusters is None else clusters:
            file = self._clusters[name]
            if not file.finished:
                self._flush(file, TAIL)
                self._end_piece()
                self._store.flush()  # that there is no room left is found here, not by a reader
                file.finished = True
            trailer = LAST_BLOCK + struct.pack("<II", file.crc, file.text_bytes & 0xFFFFFFFF)
            body = FileBody(self._store, file.pieces, trailer)
            yield ClusterFile(
                *(name, file.series, file.samples, file.raw_bytes, body.size),
                *(body, file.first, file.last),
            )
            body.close()

    def state(self) -> list[list[Any]]:
        """All but the store's bytes, as JSON: with these `restore` makes the same spool. To be
        called between two parts, or once nothing is added any more."""
        self._flush_all()
        self._end_piece()
        return [
            [
                *(name, file.pieces, file.series, file.samples, file.raw_bytes, file.text_bytes),
                *(file.crc, file.first, file.last, file.spans_all, file.finished),
            ]
            for name, file in self._clusters.items()
        ]

    def blocks(self, begin: int, size: int) -> Iterator[bytes]:
        """The store's bytes from `begin` on."""
        self._flush_all()
        self._end_piece()
        for at in range(begin, self._end, size):
            self._store.seek(at)
            yield self._store.read(min(size, self._end - at))

    def restore(self, state: Iterable[Sequence[Any]], blocks: Iterable[bytes]) -> None:
        """Become the spool of which these are `state` and `blocks`. Raises ValueError, TypeError
        for what is none."""
        self.clear()
        self._store.seek(0)
        for block in blocks:
            self._store.write(block)
            self._end += len(block)
        # What was found for it is as good: half of the series may be there already.
        self._history_bits = 15
        for name, pieces, *numbers in state:
            series, samples, raw_bytes, text_bytes, crc, first, last, spans_all, finished = numbers
            file = self._clusters[str(name)] = _Cluster(
                pieces=[(int(at), int(length)) for at, length in pieces],
                series=int(series),
                samples=int(samples),
                raw_bytes=int(raw_bytes),
                text_bytes=int(text_bytes),
                crc=int(crc),
                first=first,
                last=last,
                spans_all=bool(spans_all),
                finished=bool(finished),
            )
            if any(at + length > self._end for at, length in file.pieces):
                raise ValueError(name)

    def _widen(self, file: _Cluster, run: Buffer, series: int) -> None:
        """Take in when the samples of a run begin and end."""
        text = b""
        # What is searched is copied, and mostly the first series spans all.
        for part in (run[: 2 * len(run) // series], run) if series > 2 else (run,):
            text = bytes(part)
            if self._steps is not None and self._quickly_spans_all(file, text):
                file.first, file.last = self._steps
                file.spans_all = True
                return
        extent = find_extent(text, series)
        if extent is None:
            return
        file.first = extent[0] if file.first is None else min(file.first, extent[0])
        file.last = extent[1] if file.last is None else max(file.last, extent[1])
        file.spans_all = self._steps == (file.first, file.last)

    def _quickly_spans_all(self, file: _Cluster, text: bytes) -> bool:
        first, last = self._steps or (0, 0)
        return (file.first == first or has_first(text, first)) and (
            file.last == last or has_last(text, last)
        )

    def _flush_all(self) -> None:
        for file in self._clusters.values():
            self._flush(file)
        self._pinned = 0

    def _flush(self, file: _Cluster, tail: bytes = b"") -> None:
        """Compress what a cluster has gathered, and `tail`."""
        if not file.pending and not tail:
            return
        # In one text, which is copied once: ISA-L is slow with a few bytes at a time.
        parts: list[Buffer] = [b","] * (2 * len(file.pending) + 1)
        parts[1::2] = file.pending
        parts[0] = b"," if file.text_bytes else HEAD
        parts[-1] = tail
        file.pending.clear()
        file.pending_bytes = 0
        self._compress(file, b"".join(parts))

    def _compress(self, file: _Cluster, text: Buffer) -> None:
        if self._open is not file:
            self._end_piece()
            self._open = file
        if self._compressor is None:
            self._compressor = isal_zlib.compressobj(
                LEVEL, isal_zlib.DEFLATED, -self._history_bits, MEM_LEVEL
            )
        file.crc = isal_zlib.crc32(text, file.crc)
        file.text_bytes += len(text)
        self._keep(file, self._compressor.compress(text))

    def _end_piece(self) -> None:
        """Have the compressor give back all it has, and be ready for another cluster."""
        if self._open is not None and self._compressor is not None:
            self._keep(self._open, self._compressor.flush(isal_zlib.Z_FULL_FLUSH))
        self._open = None

    def _keep(self, file: _Cluster, compressed: bytes) -> None:
        if not compressed:
            return
        self._store.seek(self._end)
        self._store.write(compressed)
        begin, size = file.pieces[-1] if file.pieces else (0, 0)
        if begin + size == self._end != self._end_at_mark:
            file.pieces[-1] = (begin, size + len(compressed))
        else:
            file.pieces.append((self._end, len(compressed)))
        self._end += len(compressed)


def _history_bits(series_bytes: int) -> int:
    """How far deflate shall look back, as a power of 2, in series of about this length.

    No further than a little past the series before: there the same times and labels are. A
    nearer match takes fewer bits, and the look is quicker: on an hour of usual series 12 bits make
    the output 6 % smaller than the 15 of gzip at most, 12 % faster. Where the series before is out
    of reach, a short history is as good as a long one.
    """
    bits = 12
    if series_bytes < 1 << 15:
        while bits < 15 and series_bytes * 5 // 4 > 1 << bits:
            bits += 1
    return bits
