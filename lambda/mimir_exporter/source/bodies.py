"""The body of an answer as the server meant it: gzip undone, in blocks. Pure."""

from collections.abc import Iterator

from isal import igzip_lib

from ..errors.source import (
    GZIP_INVALID,
    GZIP_TRAILING_DATA,
    GZIP_TRUNCATED,
    UNKNOWN_CONTENT_CODING,
)

BLOCK_BYTES = 256 * 1024
_MAGIC = b"\x1f\x8b"


def decode_blocks(blocks: Iterator[bytes], coding: str) -> Iterator[bytes]:
    """The blocks of a body without its Content-Encoding.

    gzip may come in several members, which follow each other (RFC 1952), as proxies make it that
    join or flush compressed pieces. Raises TryLaterError where the body is not whole, has other
    bytes behind its last member, or a coding that was not asked for.
    """
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return blocks
    if coding not in ("gzip", "x-gzip"):
        raise UNKNOWN_CONTENT_CODING(coding=coding[:40])
    return _inflate(blocks)


def _inflate(blocks: Iterator[bytes]) -> Iterator[bytes]:
    stream = _GzipStream()
    try:
        for block in blocks:
            yield from stream.feed(block)
    except igzip_lib.error as error:  # type: ignore[misc]  # its stub has it as a value
        raise GZIP_INVALID(cause=error) from error
    stream.finish()


class _GzipStream:
    def __init__(self) -> None:
        self._member: igzip_lib.IgzipDecompressor | None = None
        self._members = 0
        self._waiting = b""  # of a member's first bytes

    def feed(self, block: bytes) -> Iterator[bytes]:
        data, self._waiting = self._waiting + block, b""
        while data:
            if self._member is None and not self._begin(data):
                self._waiting = data
                return
            assert self._member is not None  # noqa: S101 - just begun
            out = self._member.decompress(data, BLOCK_BYTES)
            while out:
                yield out
                out = self._member.decompress(b"", BLOCK_BYTES) if not self._member.eof else b""
            data = b""
            if self._member.eof:
                data, self._member = self._member.unused_data, None
                self._members += 1

    def _begin(self, data: bytes) -> bool:
        """Begin a member; False where only the next block says whether one begins here."""
        if self._members and len(data) < len(_MAGIC):
            return False
        if self._members and not data.startswith(_MAGIC):
            raise GZIP_TRAILING_DATA()
        self._member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        return True

    def finish(self) -> None:
        if self._waiting:
            raise GZIP_TRAILING_DATA()
        if self._member is not None or not self._members:
            raise GZIP_TRUNCATED()
