"""Where an answer's series wait, compressed, until the whole window is there.

One gzip file for each cluster, made of members, so that a thousand clusters in any order need no
thousand compressors held open: series gather uncompressed, and become a member when a cluster has
enough of them or all together have too many. What is compressed stays in memory up to a bound and
goes to a temporary file past it.
"""

import io
import tempfile
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import BinaryIO

from isal import isal_zlib

Buffer = bytes | bytearray | memoryview

HEAD = b'{"status":"success","data":{"resultType":"matrix","result":['
TAIL = b"]}}"
LEVEL = 1  # ISA-L's levels 2 and 3 cost much and save little on this text
GZIP_WBITS = 31

MEMBER_BYTES = 512 * 1024  # of one cluster's series: past this a larger member saves nothing
PENDING_BYTES = 16 * 1024 * 1024  # of all clusters' series
MEMORY_BYTES = 8 * 1024 * 1024  # of compressed members, before the temporary file

# A member: its bytes, or where it lies in the temporary file.
Segment = bytes | tuple[int, int]


@dataclass
class _Cluster:
    pending: bytearray = field(default_factory=bytearray)
    segments: list[Segment] = field(default_factory=list)
    series: int = 0
    samples: int = 0
    raw_bytes: int = 0


@dataclass(frozen=True)
class ClusterFile:
    """One cluster's finished gzip file. `size` is compressed bytes."""

    cluster: str
    series: int
    samples: int
    raw_bytes: int
    size: int
    body: BinaryIO


class Spool:
    """Takes series by cluster; gives gzip files that are complete query_range answers.

    A part of a window that fails halfway is undone: `begin_part` sets the mark to which
    `drop_part` goes back.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder
        self._clusters: dict[str, _Cluster] = {}
        self._pending = 0
        self._in_memory = 0
        self._file: BinaryIO | None = None
        self._file_end = 0
        self._marks: dict[str, tuple[int, int, int, int]] = {}

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def series(self) -> int:
        """Series taken so far; one that was cut in time counts once for each part."""
        return sum(one.series for one in self._clusters.values())

    @property
    def samples(self) -> int:
        """Samples taken so far."""
        return sum(one.samples for one in self._clusters.values())

    @property
    def raw_bytes(self) -> int:
        """Bytes of series taken so far, as Mimir sent them."""
        return sum(one.raw_bytes for one in self._clusters.values())

    @property
    def clusters(self) -> tuple[str, ...]:
        """The clusters that have series."""
        return tuple(self._clusters)

    def begin_part(self) -> None:
        """What is here stays, whatever happens to the part that comes."""
        self._flush_all()
        self._marks = {
            name: (len(one.segments), one.series, one.samples, one.raw_bytes)
            for name, one in self._clusters.items()
        }

    def drop_part(self) -> None:
        """Forget all that came since begin_part."""
        for name, one in list(self._clusters.items()):
            if name not in self._marks:
                del self._clusters[name]
                continue
            segments, one.series, one.samples, one.raw_bytes = self._marks[name]
            del one.segments[segments:]
            one.pending.clear()
        self._pending = 0
        self._in_memory = sum(
            len(segment)
            for one in self._clusters.values()
            for segment in one.segments
            if isinstance(segment, bytes)
        )

    def add(self, cluster: str, run: Buffer, series: int, samples: int) -> None:
        """Take consecutive series of one cluster: JSON elements joined by commas."""
        one = self._clusters.get(cluster)
        if one is None:
            one = self._clusters[cluster] = _Cluster()
        before = len(one.pending)
        one.pending += b"," if one.series else HEAD
        one.pending += run
        one.series += series
        one.samples += samples
        one.raw_bytes += len(run)
        self._pending += len(one.pending) - before
        if len(one.pending) >= MEMBER_BYTES:
            self._flush(one)
        elif self._pending >= PENDING_BYTES:
            self._flush_all()

    def files(self) -> Iterator[ClusterFile]:
        """The finished files, one at a time; a body is valid until the next one."""
        for name, one in self._clusters.items():
            before = len(one.pending)
            one.pending += TAIL
            self._pending += len(one.pending) - before
            self._flush(one)
            body = _SegmentReader(one.segments, self._file)
            yield ClusterFile(name, one.series, one.samples, one.raw_bytes, body.size, body)
            body.close()

    def _flush_all(self) -> None:
        for one in self._clusters.values():
            self._flush(one)

    def _flush(self, one: _Cluster) -> None:
        if not one.pending:
            return
        member = isal_zlib.compress(one.pending, LEVEL, GZIP_WBITS)
        self._pending -= len(one.pending)
        # A new one, not clear(): a bytearray keeps its memory for the next answer otherwise.
        one.pending = bytearray()
        one.segments.append(member)
        self._in_memory += len(member)
        if self._in_memory > MEMORY_BYTES:
            self._spill()

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed on exit
        self._file.seek(self._file_end)
        for one in self._clusters.values():
            kept: list[Segment] = []
            for segment in one.segments:
                if isinstance(segment, bytes):
                    self._file.write(segment)
                    kept.append((self._file_end, len(segment)))
                    self._file_end += len(segment)
                else:
                    kept.append(segment)
            one.segments = kept
        self._in_memory = 0


class _SegmentReader(io.RawIOBase, BinaryIO):
    """Reads a cluster's members one after another; seekable, so that an upload can be resent."""

    def __init__(self, segments: list[Segment], file: BinaryIO | None) -> None:
        super().__init__()
        self._segments = segments
        self._file = file
        self._starts: list[int] = []
        self.size = 0
        for segment in segments:
            self._starts.append(self.size)
            self.size += len(segment) if isinstance(segment, bytes) else segment[1]
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        want = self.size - self._position if size is None or size < 0 else size
        pieces: list[bytes] = []
        # An upload reads 16 KiB at a time: looking through all members each time would add up.
        at = max(0, bisect_right(self._starts, self._position) - 1)
        while want > 0 and at < len(self._segments):
            segment = self._segments[at]
            length = len(segment) if isinstance(segment, bytes) else segment[1]
            skip = self._position - self._starts[at]
            at += 1
            if skip >= length:
                continue
            count = min(want, length - skip)
            pieces.append(self._piece(segment, skip, count))
            self._position += count
            want -= count
        return b"".join(pieces)

    def _piece(self, segment: Segment, skip: int, count: int) -> bytes:
        if isinstance(segment, bytes):
            return segment[skip : skip + count]
        assert self._file is not None  # noqa: S101 - a tuple is made only when spilling
        self._file.seek(segment[0] + skip)
        return self._file.read(count)
