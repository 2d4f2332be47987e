"""Text of the coverage map, cut and broken by what its characters take at most. Pure."""

from html import escape

# Characters are no wider than this part of their size on average, in any font that may be there.
CHARACTER = 0.58
BOLD_CHARACTER = 0.64


def text(
    x: float,
    y: float,
    words: str,
    size: int,
    *,
    bold: bool = False,
    muted: bool = False,
    end: bool = False,
) -> str:
    look = ' font-weight="600"' if bold else ""
    look += ' text-anchor="end"' if end else ""
    kind = ' class="cov-muted"' if muted else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}" font-size="{size}"{look}>{escape(words)}</text>'


def text_width(words: str, size: int, *, bold: bool = False) -> float:
    return len(words) * size * (BOLD_CHARACTER if bold else CHARACTER)


def _cut(words: str, width: float, size: int, *, bold: bool = False) -> str:
    most = int(width / (size * (BOLD_CHARACTER if bold else CHARACTER)))
    return words if len(words) <= most else words[: max(most - 1, 0)].rstrip() + "…"


def wrapped(text: str, width: float, size: int, *, most: int, bold: bool = False) -> list[str]:
    """Lines of words; what does not fit into `most` of them ends in an ellipsis."""
    lines: list[str] = []
    longest = max(int(width / (size * (BOLD_CHARACTER if bold else CHARACTER))), 1)
    rest = [
        word[first : first + longest]
        for word in text.split()
        for first in range(0, len(word), longest)
    ]
    while rest and len(lines) < most:
        line = rest.pop(0)
        while rest and text_width(f"{line} {rest[0]}", size, bold=bold) <= width:
            line += f" {rest.pop(0)}"
        lines.append(line)
    if rest:
        lines[-1] = " ".join((lines[-1], *rest))
    return [_cut(line, width, size, bold=bold) for line in lines]
