"""An answer's bytes -> whole series by cluster. Streaming, without input or output.

Series pass through as the bytes that the server sent. Memory is bounded by a block and the longest
series. What proves where a series ends and whose it is: matrix.py.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .jsontext import WS, AnswerError, Members, ResultFinder, find_end, parse
from .matrix import START, Run, SeriesReader

__all__ = ["AnswerError", "Envelope", "Splitter"]

Sink = Callable[[str, memoryview, int, int], None]  # see Splitter

ENVELOPE_BYTES = 1024 * 1024  # of an answer's text around the list of series
ITEM_BYTES = 64 * 1024 * 1024

_SPACE = re.compile(WS)
_NO_RUN: Run = ("", -9, -9, 0, 0)  # is beside no other


@dataclass(frozen=True)
class Envelope:
    """What an answer says around its series, and how many of these and of their samples it had.

    `status` is "success" or "error"; the texts are empty where the answer has none. `is_partial`
    is VictoriaMetrics' word for an answer that lacks data.
    """

    status: str
    result_type: str
    error_type: str
    error: str
    warnings: tuple[str, ...]
    infos: tuple[str, ...]
    is_partial: bool
    series: int
    samples: int


class Splitter:
    """Splits one answer to `query_range`: feed() all its blocks in order, then finish().

    `label` is the name of the label that says the cluster; None puts everything under `default`,
    where series without the label, or with an empty one, go in any case. The cluster is the
    label's decoded value; half a surrogate pair, which JSON can spell, stays a lone surrogate in
    the str (encode it with "surrogatepass").

    `sink(cluster, run, series, samples)` gets runs of consecutive series of one cluster: the bytes
    as they came, joined by commas. `run` must not be kept after the call.

    An AnswerError from feed() or finish() means that the answer is not whole or not a matrix:
    everything that the sink got from it must be thrown away. An exception of the sink passes
    through. After either the splitter can only be dropped.

    `max_item_bytes` bounds what is kept of a series that does not end in the bytes at hand.
    `plain` takes no quick way: for comparison.
    """

    def __init__(
        self,
        label: str | None,
        default: str,
        sink: Sink,
        *,
        max_item_bytes: int = ITEM_BYTES,
        plain: bool = False,
    ) -> None:
        self._sink = sink
        self._max_item_bytes = max_item_bytes
        self._plain = plain
        self._reader = SeriesReader(label, default)
        self._finder = ResultFinder()
        self._series = 0
        self._samples = 0
        self._broken = False
        # The answer without its series: all up to the list's bracket, then from the closing one.
        self._envelope = bytearray()
        self._place = "before"  # the list of series; then: first, next, comma (in it); after
        # Bytes of a series that is not whole yet, and how far find_end came in them.
        self._rest = b""
        self._seen = (0, 0)

    def feed(self, block: bytes | bytearray | memoryview) -> None:
        """Take the next bytes, however they were cut. `bytes` are read in place, others copied."""
        if self._broken:
            raise AnswerError("The answer was found to be unusable before.")
        self._broken = True
        self._take(block if isinstance(block, bytes) else bytes(block))
        self._broken = False

    def finish(self) -> Envelope:
        """Say that the answer ends here. Raises AnswerError if it is not whole, or no matrix."""
        if self._broken:
            raise AnswerError("The answer was found to be unusable before.")
        self._broken = True
        if self._rest:
            text, self._rest = self._rest, b""
            self._keep(text, self._read(text, 0, len(text)))
        if self._place not in ("before", "after"):
            raise AnswerError("The answer ends within the list of series: it was cut short.")
        return self._judge()

    def _take(self, block: bytes) -> None:
        pos = 0
        if self._place == "before":
            pos = self._find_list(block)
        elif self._rest:
            pos = self._read_joined(block)
        if pos < len(block):
            self._keep(block, self._read(block, pos, pos))

    def _find_list(self, block: bytes) -> int:
        """Look for the list of series; where it begins in the block, if it does."""
        before = len(self._envelope)
        self._envelope += block
        begin = bytes(self._envelope.lstrip(b" \t\n\r")[:1])
        if begin not in (b"", b"{"):
            raise AnswerError(
                f"The answer is no JSON object: it begins with {begin!r}.", is_page=begin == b"<"
            )
        found = self._finder.find(self._envelope)
        if found is not None:
            if self._finder.result_type not in (None, "", "matrix"):
                raise AnswerError(f"The answer is a {self._finder.result_type}, not a matrix.")
            del self._envelope[found:]
            self._place = "first"
        self._check_envelope()
        return len(block) if found is None else found - before

    def _read_joined(self, block: bytes) -> int:
        """Finish the series that began in an earlier block; where to continue in this one.

        Only the piece up to the next series is copied, unless that does not look as expected.
        """
        rest, self._rest = self._rest, b""
        cut = block.find(START)
        if cut >= 0:
            text = rest + block[: cut + len(START)]
            done = self._read(text, 0, len(rest))
            if done >= len(rest):
                return done - len(rest)
            rest = rest[done:]
        text = rest + block
        self._keep(text, self._read(text, 0, len(rest)))
        return len(block)

    def _read(self, text: bytes, pos: int, fresh: int) -> int:
        """Pass on the series from `pos`; returns where what is left begins.

        A series that starts at `fresh` or behind, and of which the quick ways find no end, waits
        for more bytes first. One that has waited is looked at more closely.
        """
        reader = self._reader
        reader.open(text)
        while self._place != "after":
            pos = _skip_space(text, pos)
            if pos == len(text):
                break
            if not self._at_series(text[pos : pos + 1]):
                pos += self._place == "comma"
                continue
            end = pos
            if not self._plain and not self._seen[1]:
                pos, short = reader.scan(text, pos)
                if short and pos >= fresh:
                    break
                end = reader.match_whole(text, pos)
            if end == pos:
                end = self._read_any(text, pos)
                if end == pos:
                    break
            pos = end
            self._place = "next"
        self._hand_on(text)
        return pos

    def _at_series(self, byte: bytes) -> bool:
        """True if a series starts with this byte; otherwise follow the comma or the list's end."""
        if self._place == "next":
            if byte not in (b",", b"]"):
                raise AnswerError("The list of series is not valid JSON: a comma is missing.")
            self._place = "comma" if byte == b"," else "after"
            return False
        if byte == b"]" and self._place == "first":
            self._place = "after"
            return False
        if byte != b"{":
            raise AnswerError("The list of series holds something that is no object.")
        return True

    def _read_any(self, text: bytes, pos: int) -> int:
        """Pass on the series at `pos` in any JSON: the position behind it, or `pos` if cut off."""
        offset, depth = self._seen if self._seen[1] else (1, 1)
        end, depth = find_end(text, pos + offset, depth)
        if depth:
            self._seen = (end - pos, depth)
            return pos
        self._seen = (0, 0)
        if offset == 1 or self._plain or self._reader.match_whole(text, pos) == pos:
            self._reader.parse_series(text, pos, end)
        return end

    def _keep(self, text: bytes, pos: int) -> None:
        """Keep what is left of `text`: of a series until the next block, of the rest for good."""
        if self._place == "after":
            self._envelope += text[pos:]
            self._check_envelope()
        else:
            self._rest = text[pos:]
            if len(self._rest) > self._max_item_bytes:
                raise AnswerError(f"A series has more than {self._max_item_bytes} bytes.")

    def _hand_on(self, text: bytes) -> None:
        """Give the sink what was found in `text`; runs of one cluster side by side are one."""
        view, sink, runs = memoryview(text), self._sink, self._reader.runs
        cluster, start, last, series, samples = _NO_RUN
        runs.append(_NO_RUN)
        for name, begin, end, count, total in runs:
            if name == cluster and begin == last + 1:
                last = end
                series += count
                samples += total
                continue
            if series:
                sink(cluster, view[start:last], series, samples)
                self._series += series
                self._samples += samples
            cluster, start, last, series, samples = name, begin, end, count, total
        runs.clear()

    def _check_envelope(self) -> None:
        if len(self._envelope) > ENVELOPE_BYTES:
            raise AnswerError(f"The answer has more than {ENVELOPE_BYTES} bytes around its series.")

    def _judge(self) -> Envelope:
        if not self._envelope.strip():
            raise AnswerError("The answer is empty.")
        top = parse(bytes(self._envelope), "The answer")
        if not isinstance(top, Members):
            raise AnswerError("The answer is no JSON object.")
        status, data = top.get("status"), top.get("data")
        kind = data.get("resultType") if isinstance(data, Members) else None
        result = data.get("result") if isinstance(data, Members) else None
        if status not in ("success", "error"):
            raise AnswerError("The answer has no status that says success or error.")
        if status == "success":
            if not isinstance(data, Members) or not data.has("result"):
                raise AnswerError("The answer says success but has no list of series.")
            self._check_kind(kind, result)
            # Go encodes an empty list as null, where the list was never made.
            result = [] if result is None else result
            if not isinstance(result, list):
                raise AnswerError("The result of the answer is not a list of series.")
        return Envelope(
            status=str(status),
            result_type=str(kind or ""),
            error_type=str(top.get("errorType") or ""),
            error=str(top.get("error") or ""),
            warnings=_texts(top.get("warnings")),
            infos=_texts(top.get("infos")),
            is_partial=top.get("isPartial") is True,
            series=self._series,
            samples=self._samples,
        )

    def _check_kind(self, kind: object, result: object) -> None:
        """A matrix, or nothing in no type."""
        is_untyped = kind == "" or (kind is None and result is None)
        if kind != "matrix" and (result or self._series or not is_untyped):
            raise AnswerError(f"The answer is a {kind}, not a matrix.")


def _skip_space(text: bytes, pos: int) -> int:
    found = _SPACE.match(text, pos)
    return found.end() if found else pos


def _texts(value: Any) -> tuple[str, ...]:
    """A list of texts as servers send it; no warning is lost for being of another type."""
    if value is None:
        return ()
    return tuple(str(text) for text in value) if isinstance(value, list) else (str(value),)
