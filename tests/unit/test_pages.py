"""What the documentation quotes is what the code says, and its links lead somewhere."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PAGES = sorted([PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")])
SOURCE = "".join(
    path.read_text("utf-8")
    for folder in ("lambda/mimir_exporter", "infra", "app.py")
    for path in sorted(
        [PROJECT / folder] if folder.endswith(".py") else (PROJECT / folder).rglob("*.py")
    )
)


# Words of the network and of the CDK; a number in the place of a constant.
FROM_ELSEWHERE = ("timed out", "refused", "resolve", "This stack uses assets", "changed 20 times")

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


def test_errors_that_are_explained_are_errors_of_the_code() -> None:
    page = (PROJECT / "docs" / "troubleshooting.md").read_text("utf-8")
    # Sentences in the first column: they begin with a capital letter or with what is left out.
    quoted = [
        text
        for row in re.findall(r"^\| (.*?) \|", page, re.MULTILINE)
        for text in re.findall(r"`([^`]+)`", row)
        if re.match(r"[A-Z…][^_]* ", text)
    ]
    text = " ".join(re.sub(r'"\s*\n\s*f?"', "", SOURCE).split())
    for sentence in quoted:
        for part in filter(None, (piece.strip(" ()") for piece in sentence.split("…"))):
            assert part in text or part in FROM_ELSEWHERE, sentence
    assert len(quoted) > 20


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
