"""What the documentation quotes is what the code says, and its links lead somewhere."""

import re
from pathlib import Path

import pytest

from release import sections

PROJECT = Path(__file__).resolve().parents[2]
PAGES = sorted([PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")])
# By programs, which know nothing of other pages.
MADE = ("cost", "performance", "shipped")


def anchor(heading: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if target.startswith("https://"):
            continue
        path, _, fragment = target.partition("#")
        where = (page.parent / path).resolve() if path else page
        assert where.exists(), target
        if fragment:
            headings = re.findall(r"^#+ (.*)$", where.read_text("utf-8"), re.MULTILINE)
            assert fragment in map(anchor, headings), target


@pytest.mark.parametrize("name", sections.PAGES)
def test_what_is_made_from_the_code_is_up_to_date(name: str) -> None:
    page = (PROJECT / "docs" / name).read_text("utf-8")
    assert sections.PAGES[name](page) == page, "run `make docs`"


def test_the_architecture_names_every_module() -> None:
    page = (PROJECT / "docs" / "architecture.md").read_text("utf-8")
    tree = page.partition("## Where things stand in the code")[2].partition("## What grows how")[0]
    package = PROJECT / "lambda" / "mimir_exporter"
    modules = {path.stem for path in package.rglob("*.py") if path.parent.name != "check"}
    columns = re.findall(r"^ {4,}(\w[\w, ]*?) {2,}", tree, re.MULTILINE)
    named = {name for column in columns for name in column.split(", ")}
    assert modules - {"__init__"} - named == set()


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.stem not in MADE], ids=lambda page: page.name
)
def test_a_page_leads_on_to_another(page: Path) -> None:
    assert re.search(r"\]\((?:\.\./|docs/)?\w+\.md", page.read_text("utf-8"))
