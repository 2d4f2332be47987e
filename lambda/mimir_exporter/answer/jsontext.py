"""Reading JSON text in pieces without building it: where a value ends, where `data.result` begins.

Nothing here decides whether text is valid JSON. The positions are right for every valid text, and
the callers have Python's own parser confirm each piece before they rely on it.
"""

import json
import re
from typing import Any, NoReturn

WS = rb"[ \t\n\r]*+"
# A JSON string of any content. `\\.` takes the escaped byte whatever it is, so that a quote behind
# a backslash never ends the string, and a backslash at the end of the bytes leaves it unfinished.
ANY_STRING = rb'"[^"\\]*+(?>(?:\\.[^"\\]*+)*)"'
_FLAT = rb'[^"\[\]{}]*+'

# One step towards the end of a value: strings and arrays without arrays (samples) are taken many
# at a time, which is what makes this path bearable; a bracket that opens or closes is a step alone.
_STEP = re.compile(
    rb"%(f)s(?:((?>(?:(?:%(s)s|\[%(f)s(?>(?:%(s)s%(f)s)*)\])%(f)s)+))|([\[{])|([\]}]))"
    % {b"f": _FLAT, b"s": ANY_STRING},
    re.DOTALL,
)
# One token of the envelope. A number or a word counts only once the byte behind it is there.
_TOKEN = re.compile(
    WS + rb'(?:([{}\[\]:,])|(%s)|[^ \t\n\r{}\[\]:,"]++(?=[ \t\n\r{}\[\]:,"]))' % ANY_STRING,
    re.DOTALL,
)


class AnswerError(ValueError):
    """An answer that cannot be used: not JSON, cut short, or not a matrix.

    Whatever was handed on from the same answer before this was raised must be thrown away.
    `is_page` says that it begins as HTML does.
    """

    def __init__(self, message: str, *, is_page: bool = False) -> None:
        super().__init__(message)
        self.is_page = is_page


def find_end(text: bytes, pos: int, depth: int) -> tuple[int, int]:
    """Continue looking for the end of the object or array that is `depth` brackets open at `pos`.

    Returns (position, depth). A depth of 0 says that the value ends before that position; any
    other, that more bytes are needed, and both numbers are where to continue from.
    """
    step = _STEP.match
    while found := step(text, pos):
        pos = found.end()
        kind = found.lastindex
        if kind == 2:
            depth += 1
        elif kind == 3:
            depth -= 1
            if depth == 0:
                break
    return pos, depth


class Members:
    """A JSON object as its pairs, because a name that occurs twice must not pass unseen."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self._pairs = pairs

    def has(self, name: str) -> bool:
        """Whether the name is there, with any value."""
        return any(key == name for key, _ in self._pairs)

    def get(self, name: str) -> Any:
        """The value of a name, None where it is missing. AnswerError where it occurs twice."""
        values = [value for key, value in self._pairs if key == name]
        if len(values) > 1:
            raise AnswerError(f"The answer has {name!r} twice in one object.")
        return values[0] if values else None


def parse(text: bytes, what: str) -> Any:
    """The value of a whole JSON text (RFC 8259, UTF-8), with each object as Members.

    A lone surrogate in an escape stays one in the str. Raises AnswerError about `what`.
    """
    try:
        return json.loads(
            text.decode("utf-8"), object_pairs_hook=Members, parse_constant=_refuse_constant
        )
    except RecursionError as error:
        raise AnswerError(f"{what} is nested too deeply to be read.") from error
    except ValueError as error:
        raise AnswerError(f"{what} is not valid JSON: {_reason(error)}.") from error


def decode_string(token: bytes, what: str) -> str:
    """The value of one JSON string, given with its quotes. Raises AnswerError about `what`."""
    if b"\\" in token:
        return str(parse(token, what))
    try:
        return token[1:-1].decode("utf-8")
    except UnicodeDecodeError as error:
        raise AnswerError(f"{what} is not valid UTF-8.") from error


class ResultFinder:
    """Finds the opening bracket of `data.result` in an answer that arrives in pieces.

    Keys count by what they say, not by how they are spelled, and only at their own place: a
    `result` in a trace or in a string is none. `result_type` is `data.resultType` where that stood
    before the result, else None.
    """

    def __init__(self) -> None:
        self.result_type: str | None = None
        self._pos = 0
        self._stack: list[bytes] = []
        self._keys: list[str | None] = []
        self._key_next = False

    def find(self, text: bytes | bytearray) -> int | None:
        """The position behind the bracket, or None as long as it is not in `text`.

        `text` is the answer from its first byte; each call gets what the last one got, and more.
        """
        while found := _TOKEN.match(text, self._pos):
            self._pos = found.end()
            mark, string = found.groups()
            if string is not None:
                self._read_string(string)
            elif mark is not None and self._read_mark(mark):
                return self._pos
        return None

    def _read_mark(self, mark: bytes) -> bool:
        """Follow one structural character; True where it opens the result."""
        if mark in b"{[":
            if mark == b"[" and self._keys == ["data", "result"]:
                return True
            self._stack.append(mark)
            self._keys.append(None)
            self._key_next = mark == b"{"
        elif mark in b"}]":
            if self._stack:
                self._stack.pop()
                self._keys.pop()
            self._key_next = False
        elif mark == b",":
            self._key_next = bool(self._stack) and self._stack[-1] == b"{"
        return False

    def _read_string(self, token: bytes) -> None:
        """Note a key, or the value of `data.resultType`. Deeper ones are of no interest."""
        if len(self._stack) <= 2:
            text = decode_string(token, "A name in the answer")
            if self._key_next:
                self._keys[-1] = text
            elif self._keys == ["data", "resultType"]:
                self.result_type = text
        self._key_next = False


def _refuse_constant(name: str) -> NoReturn:
    # Python reads NaN and Infinity outside strings; JSON has no such numbers.
    raise ValueError(f"{name} is no JSON number")


def _reason(error: ValueError) -> str:
    """What the parser found, without any of the text, which may be long or private."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    if isinstance(error, UnicodeDecodeError):
        return f"invalid UTF-8 at byte {error.start}"
    return str(error)
