"""The linter of the pages finds each kind of word that the project does not use.

Pages made from the code have its messages, so that these are looked at too.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from infra import ROOT
from tests.prose.extract import prose_of, write_pages

BANNED = (ROOT / "tests" / "prose" / "banned.txt").read_text("utf-8").splitlines()
FINE = (
    "The query timed out; the run continues, and the window is retried.",
    "Not a Prometheus API response (a login page?).",
    "Usage is told apart by node.",
    "It is retried up to 5 times; 1 window is pending, and 12 windows are exported.",
    "During the outage a string was sent; its bearing is unchanged.",
)


def lint(text: str, folder: Path) -> set[int]:
    """The lines in which the linter finds something."""
    page = folder / "page.md"
    page.write_text(text, "utf-8")
    npx = shutil.which("npx", path=str(ROOT / ".venv" / "bin")) or "npx"
    done = subprocess.run(  # noqa: S603 - the linter of node_modules, on a file of this test
        [npx, "--no-install", "textlint", "-f", "unix", str(page)],
        cwd=ROOT,
        env={"PATH": f"{ROOT / '.venv' / 'bin'}:/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return {int(line) for line in re.findall(r"page\.md:(\d+):", done.stdout)}


def test_every_banned_kind_is_found(tmp_path: Path) -> None:
    found = lint("\n\n".join(BANNED), tmp_path)
    assert [one for number, one in enumerate(BANNED) if 2 * number + 1 not in found] == []


def test_the_right_words_pass(tmp_path: Path) -> None:
    assert lint("\n\n".join(FINE), tmp_path) == set()


@pytest.mark.parametrize(
    "rule",
    re.findall(
        r'pattern: "/(.+?)/i?"', (ROOT / "tests" / "prose" / "words.yml").read_text("utf-8")
    ),
)
def test_every_rule_has_an_example(rule: str) -> None:
    pattern = re.compile(rule.replace("\\\\", "\\"), re.IGNORECASE)
    assert any(pattern.search(one) for one in BANNED)


SOURCE = '''"""What it is.

It goes on here.
"""

NAME = "the login of a value is code"  # nobody reads it  # noqa: S105


def work() -> str:
    """Stands alone."""
    # Two lines
    # of a comment.
    return """login"""
'''


def test_what_the_code_says_to_people_keeps_its_lines() -> None:
    lines = prose_of(SOURCE).split("\n")
    said = {number: line for number, line in enumerate(lines, 1) if line}
    assert said == {
        1: "What it is.",
        3: "It goes on here.",
        6: "nobody reads it",
        10: "Stands alone.",
        11: "Two lines",
        12: "of a comment.",
    }


def test_the_code_is_looked_at(tmp_path: Path) -> None:
    """As `make check` does, whose linter reads these pages."""
    write_pages(tmp_path)
    pages = {page.relative_to(tmp_path).as_posix() for page in tmp_path.rglob("*.md")}
    assert {"app.py.md", "lambda/mimir_exporter/handler.py.md", "infra/stack.py.md"} <= pages
    found = lint(prose_of(SOURCE), tmp_path)
    assert {3, 6, 10} <= found
    assert not found & {1, 11, 12}
