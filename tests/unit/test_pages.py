"""What the documentation quotes is what the code says, and its links lead somewhere."""

import re
from pathlib import Path

import pytest

from mimir_exporter import log
from mimir_exporter.errors import source
from mimir_exporter.source.refusals import classify
from release import sections
from tests.some import some

PROJECT = Path(__file__).resolve().parents[2]
PAGES = sorted([PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")])
# By programs, which know nothing of other pages.
MADE = ("cost", "performance")


def anchor(heading: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        path, _, fragment = target.partition("#")
        where = (page.parent / path).resolve() if path else page
        assert where.exists(), target
        if fragment:
            headings = re.findall(r"^#+ (.*)$", where.read_text("utf-8"), re.MULTILINE)
            assert fragment in map(anchor, headings), target


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem != "README"], ids=str)
def test_a_page_says_first_for_whom_it_is(page: Path) -> None:
    title, _, first, *_ = page.read_text("utf-8").split("\n")
    assert title.startswith("# ")
    assert first.startswith(("For who", "For the ", "For anyone "))


@pytest.mark.parametrize("name", sections.PAGES)
def test_what_is_made_from_the_code_is_up_to_date(name: str) -> None:
    page = (PROJECT / "docs" / name).read_text("utf-8")
    assert sections.PAGES[name](page) == page, "run `make docs`"


def test_the_architecture_names_every_module() -> None:
    page = (PROJECT / "docs" / "architecture.md").read_text("utf-8")
    tree = page.partition("## Where things are in the code")[2].partition("## What grows how")[0]
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


SETTINGS = ("path_prefix", "wire_gzip", "port", "scheme")


def test_the_page_of_sources_has_every_code_of_a_refusal() -> None:
    page = (PROJECT / "docs" / "sources.md").read_text("utf-8")
    table = page.partition("## What fixes a refusal")[2]
    listed = set(re.findall(r"`([a-z0-9_]+)`", table))
    statuses = [200, 300, 302, 400, 401, 403, 404, 405, 406, 407, 408, 410, 413, 422, 429, 495, 499]
    texts = ["", "no org id", "parse error", "rpc error: code = Aborted", "too many samples"]
    texts += ["exceeded series limit", "throttlingexception", "http request to an https server"]
    for status in [*statuses, 500, 501, 502, 503, 504]:
        for text in texts:
            assert classify(status, text, url="http://m").details.code in listed
    for code in listed:
        assert code.upper() in vars(source) or code in SETTINGS


def test_the_runbook_names_messages_of_the_log() -> None:
    page = (PROJECT / "docs" / "operations.md").read_text("utf-8")
    named = set(re.findall(r"`([a-z]+(?: [a-z]+)+)`", page.replace("\n", " ")))
    lines = {name for name in named if name.split()[0] not in ("aws", "make")}
    assert "run failed" in lines
    assert lines - log.messages().keys() == set()


def test_the_metrics_name_findings_of_the_check() -> None:
    check = PROJECT / "lambda" / "mimir_exporter" / "check"
    code = "".join(path.read_text("utf-8") for path in sorted(check.glob("*.py")))
    page = (PROJECT / "docs" / "metrics.md").read_text("utf-8")
    named = {name for text in re.findall(r"`check`: (.*)\.$", page, re.MULTILINE)
             for name in re.findall(r"`([^`]+)`", text)}  # fmt: skip
    assert len(named) >= 5
    sources = {"kubelet"}  # of a constant
    assert {name for name in named - sources if f'"{name}"' not in code} == set()


@pytest.mark.parametrize(
    "picture", sorted((PROJECT / "docs").glob("*.svg")), ids=lambda at: at.name
)
def test_a_picture_is_readable_in_a_page(picture: Path) -> None:
    """In a column of 840 pixels, in which nothing is scaled down, light and dark."""
    text = picture.read_text("utf-8")
    (width,) = some(re.findall(r'^<svg [^>]*viewBox="0 0 (\d+) \d+"', text))
    assert int(width) <= 840
    sizes = [float(size) for size in re.findall(r'font(?:-size)?[:=]"?([0-9.]+)', text)]
    assert min(some(sizes)) >= 11
    assert "prefers-color-scheme:dark" in text
