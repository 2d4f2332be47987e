"""The docstrings and comments of the code, and the names of its tests, as pages for the prose
linter, each on its own line.

`python -m tests.prose.extract FOLDER` writes FOLDER/PATH.md for each file.
"""

import io
import shutil
import sys
import tokenize
from pathlib import Path

from infra import ROOT

READ = ("app.py", "lambda", "infra", "release", "smoke", "localcloud", "bench", "tests")
# For programs.
MARKS = ("# noqa", "# type:", "# pragma")


def prose_of(source: str) -> str:
    """What a file says to people, on its lines; all others are empty."""
    lines = [""] * (source.count("\n") + 2)
    previous = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        row = token.start[0] - 1
        if token.type == tokenize.COMMENT:
            text = token.string
            for mark in MARKS:
                text = text.partition(mark)[0]
            lines[row] = text.lstrip("#!").strip()
        elif token.type == tokenize.STRING and previous in (tokenize.NEWLINE, tokenize.INDENT):
            for offset, line in enumerate(token.string.strip("\"'rRbBuU").splitlines()):
                lines[row + offset] = line.strip()
        elif token.string.startswith("test_") and token.line.lstrip().startswith("def "):
            lines[row] = token.string.removeprefix("test_").replace("_", " ")
        if token.type not in (tokenize.NL, tokenize.COMMENT):
            previous = token.type
    return "\n".join(lines).rstrip() + "\n"


def write_pages(folder: Path) -> None:
    """A page for each Python file; those of before are removed."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in READ:
        top = ROOT / name
        for path in sorted(top.rglob("*.py")) if top.is_dir() else [top]:
            page = folder / f"{path.relative_to(ROOT)}.md"
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(prose_of(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
