"""A server process that sends made-up answers, and takes uploads that it throws away.

`python -m bench.server PORT`. The first part of a query's path says what comes:

    /kept-<shape>/api/v1/query_range   made once and kept, gzip too (level 6, as Go's)
    /made-<shape>/api/v1/query_range   made while it is sent, and never held as a whole; no gzip

Bodies go out in chunks of 32 KiB, as those of Go's io.Copy do. The rest of the API answers what an
exporter queries before its first query. Uploads are S3's PutObject, as far as a client sees it.
"""

import hashlib
import sys
import zlib
from collections.abc import Iterable
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bench.answers import Shape, make_blocks

CHUNK_BYTES = 32 * 1024


@lru_cache(maxsize=4)
def _kept(name: str, gzip: bool) -> bytes:
    text = b"".join(make_blocks(Shape.parse(name)))
    return zlib.compress(text, 6, 31) if gzip else text


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = 256 * 1024

    def do_GET(self) -> None:
        if self.path.startswith("/api") or "/api/v1/" in self.path:
            self.do_POST()
        else:
            self._send(b"ready")

    def do_POST(self) -> None:
        self._drop_body()
        where, _, what = self.path.lstrip("/").partition("/api/v1/")
        if what.partition("?")[0] != "query_range":
            self._send(b'{"status":"success","data":{"resultType":"vector","result":[]}}')
            return
        how, _, name = where.partition("-")
        gzip = how == "kept" and "gzip" in self.headers.get("Accept-Encoding", "")
        self._send_chunks(
            [_kept(name, gzip)] if how == "kept" else make_blocks(Shape.parse(name)), gzip
        )

    def handle_expect_100(self) -> bool:
        """Send 100 Continue at once: left in the buffer, it costs each upload a second."""
        go_on = super().handle_expect_100()
        self.wfile.flush()
        return go_on

    def do_PUT(self) -> None:
        digest = self._drop_body()
        self.send_response(200)
        self.send_header("ETag", f'"{digest}"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _drop_body(self) -> str:
        left = int(self.headers.get("Content-Length") or 0)
        digest = hashlib.md5(usedforsecurity=False)
        while left > 0:
            block = self.rfile.read(min(left, CHUNK_BYTES))
            if not block:
                break
            digest.update(block)
            left -= len(block)
        return digest.hexdigest()

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_chunks(self, blocks: Iterable[bytes], gzip: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        if gzip:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        for block in blocks:
            view = memoryview(block)
            for at in range(0, len(view), CHUNK_BYTES):
                chunk = view[at : at + CHUNK_BYTES]
                self.wfile.write(b"%x\r\n" % len(chunk))
                self.wfile.write(chunk)
                self.wfile.write(b"\r\n")
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Nothing: it would only cost time."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
