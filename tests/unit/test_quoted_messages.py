"""What the pages quote of messages is what the code says today."""

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from infra import ROOT
from tests.some import some
from tests.unit import test_pages

# Of programs that are not ours.
FOREIGN = ("This stack uses assets",)
PAGES = {page.name: page.read_text("utf-8") for page in test_pages.PAGES}
# Of the command's output.
SHOWN = re.compile(r"^    (Interrupted: .*|\d+/\d+ windows? exported; .*)$", re.MULTILINE)


def quotes_of(text: str) -> Iterator[str]:
    """Block quotes, the symptoms of a table that are messages, and what a command prints."""
    for quote in re.findall(r"(?:^> .*\n)+", text, re.MULTILINE):
        yield " ".join(line.removeprefix("> ") for line in quote.splitlines())
    for cell in re.findall(r"^\| ([^|]*`[^|]*) \|", text, re.MULTILINE):
        for code in re.findall(r"`([^`]+)`", cell):
            if re.match(r"[A-Z…][^:]* ", code) and not code.startswith(FOREIGN):
                yield code
    yield from SHOWN.findall(text)


@cache
def clauses_of_the_code() -> dict[str, re.Pattern[str]]:
    """Every text of the code, cut at its semicolons, with {} for each value; and as a pattern."""
    found = set[str]()
    for top in ("app.py", "infra", "lambda"):
        folder = ROOT / top
        for path in sorted(folder.rglob("*.py")) if folder.is_dir() else [folder]:
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                text = ""
                if isinstance(node, ast.JoinedStr):
                    values = (part.value if isinstance(part, ast.Constant) else "{}"
                              for part in node.values)  # fmt: skip
                    text = "".join(map(str, values))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    text = re.sub(r"\{[^{}]*\}", "{}", node.value)
                found.update(clause.strip(" .") for clause in text.split("; "))
    return {
        text: re.compile(".{1,80}?".join(map(re.escape, text.split("{}"))))
        for text in found
        if len(text.replace("{}", "")) >= 8
    }


def is_said(clause: str) -> bool:
    """Whether the code has a text that says it, whatever its values, or begins so."""
    return any(
        clause in text or pattern.fullmatch(clause)
        for text, pattern in clauses_of_the_code().items()
    )


def clauses_of(quote: str) -> list[str]:
    """A message joins its summary, its remedy and others by semicolons."""
    return [clause.strip(" .") for clause in quote.split("; ") if clause.strip(" .")]


@pytest.mark.parametrize(
    ("page", "quote"),
    [(page, quote) for page, text in PAGES.items() for quote in quotes_of(text)],
)
def test_a_quoted_message_is_one_of_the_code(page: str, quote: str) -> None:
    assert [clause for clause in some(clauses_of(quote)) if not is_said(clause)] == [], page


@pytest.mark.parametrize(
    "stale",
    [
        "hostname is not set",
        "The checkpoint … is of version 4, and this exporter knows up to 3",
        "24 of 24 windows exported",
    ],
)
def test_a_message_of_yesterday_would_be_found(stale: str) -> None:
    assert not all(is_said(clause) for clause in some(clauses_of(stale)))


def test_messages_are_quoted() -> None:
    quotes = [quote for text in PAGES.values() for quote in quotes_of(text)]
    assert len(quotes) >= 7
    assert any(quote.startswith("Interrupted: ") for quote in quotes)
