"""docs/reliability.md has the figures of the last long run, and names every part of it."""

from tests.torture.figures import PAGE, PROJECT, block_of_page, load_run
from tests.torture.shares import SHARES


def test_the_page_has_the_figures_that_were_written_down() -> None:
    assert block_of_page() == load_run().as_markdown()


def test_every_part_has_a_share_and_is_named_on_the_page() -> None:
    files = {path.stem for path in (PROJECT / "tests" / "torture").glob("test_*.py")}
    assert files <= SHARES.keys()
    page = PAGE.read_text("utf-8")
    for name in files:
        assert f"- **{SHARES[name].title}" in page
