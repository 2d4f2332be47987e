"""What a spool gives: a cluster's finished gzip file, read from the pieces of the spool's store."""

import io
from bisect import bisect_right
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import BinaryIO

GZIP_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # RFC 1952: deflate, no name, no time, any system

# A piece of a cluster's file: where in the store it begins, and its length.
Piece = tuple[int, int]


@dataclass(frozen=True)
class ClusterFile:
    """One cluster's finished gzip file. `size` is compressed bytes.

    `first` and `last` are its first and last sample, unix seconds; None where its text is no JSON
    that says so.
    """

    cluster: str
    series: int
    samples: int
    raw_bytes: int
    size: int
    body: BinaryIO
    first: float | None = None
    last: float | None = None


@dataclass(frozen=True)
class Amount:
    """What a cluster has so far; as in ClusterFile."""

    series: int
    samples: int
    first: float | None
    last: float | None


class FileBody(io.RawIOBase, BinaryIO):
    """Reads a cluster's file from the store; seekable, so that an upload can be resent."""

    def __init__(
        self, store: "SpooledTemporaryFile[bytes]", pieces: list[Piece], end: bytes
    ) -> None:
        super().__init__()
        self._store = store
        self._pieces = pieces
        self._end = end
        self._starts = [len(GZIP_HEAD)]
        for _, size in pieces:
            self._starts.append(self._starts[-1] + size)
        self.size = self._starts[-1] + len(end)
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
        found: list[bytes] = []
        while want > 0 and (part := self._part(want)):
            found.append(part)
            self._position += len(part)
            want -= len(part)
        return b"".join(found)

    def _part(self, want: int) -> bytes:
        """Up to `want` bytes at the position, of one piece, or of what is around the pieces."""
        # An upload reads 16 KiB at a time: looking through all pieces each time would add up.
        at = bisect_right(self._starts, self._position) - 1
        if at < 0:
            return GZIP_HEAD[self._position :][:want]
        skip = self._position - self._starts[at]
        if at == len(self._pieces):
            return self._end[skip:][:want]
        begin, size = self._pieces[at]
        self._store.seek(begin + skip)
        return self._store.read(min(want, size - skip))
