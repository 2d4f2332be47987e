"""Queries made of the catalogue's pieces: words, functions of one argument, and shapes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

ARGUMENT = "$_"
_NAME = re.compile(r"\$([a-z][a-z_]*)(\()?")
# Pieces hold pieces, which hold pieces; one that holds itself would have no end.
DEPTH = 20


@dataclass(frozen=True)
class Pieces:
    """What `$name` and `$name(…)` mean. Names that are none of these stay as they are."""

    words: Mapping[str, str] = field(default_factory=dict)
    functions: Mapping[str, str] = field(default_factory=dict)

    def expand(self, text: str, fields: Mapping[str, str] | None = None) -> str:
        """`text` with every known name replaced; `fields` are words that come first.

        Raises ValueError where a function's bracket does not close, or a piece holds itself.
        """
        words = {**self.words, **(fields or {})}
        for _ in range(DEPTH):
            expanded = self._once(text, words)
            if expanded == text:
                return text
            text = expanded
        raise ValueError(f"a piece holds itself: {text[:80]}")

    def _once(self, text: str, words: Mapping[str, str]) -> str:
        parts: list[str] = []
        at = 0
        while match := _NAME.search(text, at):
            name, bracket = match[1], match[2] or ""
            if bracket and name in self.functions:
                end = _closing(text, match.end())
                parts += [text[at : match.start()]]
                parts += [self.functions[name].replace(ARGUMENT, text[match.end() : end])]
                at = end + 1
                continue
            known = name in words
            parts += [text[at : match.start()], words[name] if known else f"${name}", bracket]
            at = match.end()
        return "".join([*parts, text[at:]])


def _closing(text: str, at: int) -> int:
    """Where the bracket that was opened before `at` closes; brackets in strings do not count."""
    depth = 1
    for match in re.compile(r'"(?:[^"\\]|\\.)*"|[()]', re.DOTALL).finditer(text, at):
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    raise ValueError(f"a bracket does not close: {text[at : at + 80]}")
