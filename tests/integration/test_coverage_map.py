"""The coverage map of a really exported bucket with a gap, drawn by a real browser."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localcloud.coverage_page import HEIGHT, WIDTH, make_page
from localcloud.prometheus import Prometheus
from mimir_exporter.checkpoint.records import GAP_ATTEMPTS
from tests.conftest import NeedProgram
from tests.integration import faults
from tests.integration.conftest import MakeFunction
from tests.integration.deployment import FEW, HOUR_S, LAST_END, Function
from tests.integration.faults import Proxy

GAP = (LAST_END - 5 * HOUR_S, LAST_END - 3 * HOUR_S)
PAPER = {"light": "#ffffff", "dark": "#0f1b2a"}
SIZES = [(1400, 560), (760, 620), (480, 420)]

# Measures in the page what a person would see: what leaves the box, and every text's contrast.
MEASURE = """
const box = document.getElementById('box').getBoundingClientRect();
const light = rgb => rgb.map(one => one / 255)
  .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
  .reduce((sum, one, place) => sum + one * [0.2126, 0.7152, 0.0722][place], 0);
const rgb = text => text.match(/[0-9.]+/g).slice(0, 3).map(Number);
const paper = light(rgb(getComputedStyle(document.body).backgroundColor));
const contrast = text => {
  const ink = light(rgb(getComputedStyle(text).color));
  return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
};
// The list of what to look at scrolls: what is out of sight in it can be reached.
const outside = [...document.querySelectorAll('#box *')].filter(one => {
  const at = one.getBoundingClientRect();
  return at.width && !one.parentNode.closest('.cov-list') && (at.left < box.left - 0.5 ||
    at.right > box.right + 0.5 || at.top < box.top - 0.5 || at.bottom > box.bottom + 0.5);
}).map(one => one.outerHTML.slice(0, 200));
const seen = one => one.getClientRects().length && getComputedStyle(one).visibility == 'visible';
const texts = [...document.querySelectorAll('#box :is(strong, p, span, b)')].filter(
  one => seen(one) && [...one.childNodes].some(node => node.nodeType == 3 && node.data.trim()));
// Text that is cut off, and labels that lie on others.
const cut = [...document.querySelectorAll('.cov-head, .cov-legend, .cov-list')].filter(
  one => one.scrollWidth > one.clientWidth + 1 ||
    one.scrollHeight > one.clientHeight + 1 && !one.matches('.cov-list')
).map(one => one.className);
const labels = [...document.querySelectorAll('.cov-grid span')].filter(seen).map(one => {
  const range = document.createRange();
  range.selectNodeContents(one);
  const at = range.getBoundingClientRect();
  const edge = at.height * 0.2;
  return [one.textContent, at.left, at.top + edge, at.right, at.bottom - edge];
});
const covered = labels.flatMap((one, place) => labels.slice(place + 1).filter(other =>
  one[1] < other[3] && other[1] < one[3] && one[2] < other[4] && other[2] < one[4]
).map(other => [one[0], other[0]]));
const cells = [...document.querySelectorAll('#box .cov-grid i[title]')].map(cell => ({
  title: cell.title,
  fill: getComputedStyle(cell).backgroundColor,
  area: cell.getBoundingClientRect().width * cell.getBoundingClientRect().height,
}));
document.getElementById('found').textContent = JSON.stringify({
  outside, cells, cut, covered, words: texts.map(one => one.textContent),
  contrast: Math.min(...texts.map(contrast)), shown: document.getElementById('box').innerText,
});
"""


def browse(chromium: Path, page: Path, *options: str) -> str:
    """What headless Chromium prints; it runs nothing but this page, and reaches no server."""
    done = subprocess.run(  # noqa: S603 - the browser of the distribution
        [
            chromium,
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            f"--user-data-dir={page.parent / 'profile'}",
            *options,
            page.as_uri(),
        ],
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=120,
    )
    return done.stdout


def look(chromium: Path, folder: Path, html: str, theme: str, size: tuple[int, int]) -> Any:
    """What the browser makes of the widget's HTML in a box of the widget's size."""
    page = folder / "widget.html"
    page.write_text(
        f"<!doctype html><meta charset=utf-8><body style='margin:20px;background:{PAPER[theme]}'>"
        f"<div id=box style='width:{size[0]}px;height:{size[1]}px'>{html}</div>"
        f"<pre id=found style='display:none'></pre><script>{MEASURE}</script>",
        "utf-8",
    )
    dom = browse(chromium, page, "--dump-dom")
    text = dom.partition('<pre id="found" style="display:none">')[2].partition("</pre>")[0]
    for entity, letter in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(entity, letter)
    return json.loads(text)


@pytest.fixture(scope="module")
def bucket_with_a_gap(module_function: MakeFunction, mimir: Prometheus) -> Function:
    """Half a day of three metrics, two hours of one of which Mimir refuses every time."""
    with Proxy(f"http://127.0.0.1:{mimir.port}").running() as proxy:
        function = replace(module_function(PORT=str(proxy.port), BACKFILL_DAYS="12h"), metrics=FEW)
        proxy.spoil(
            faults.error(422, "the query <processed> too many samples"),
            lambda request: (
                request.is_query
                and "kube_pod_info" in request.fields["query"]
                and GAP[0] <= int(request.fields["start"]) < GAP[1]
            ),
        )
        # A metric that is refused is left alone for the rest of a run: each hour takes five.
        for _ in range(2 * GAP_ATTEMPTS + 1):
            function.export()
            function.clock.advance(60)
    return function


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_map_fits_its_widget_and_names_the_gap(
    bucket_with_a_gap: Function,
    need_program: NeedProgram,
    tmp_path: Path,
    theme: str,
    size: tuple[int, int],
) -> None:
    chromium = need_program("chromium")
    html = bucket_with_a_gap.coverage(
        {"widgetContext": {"theme": theme, "width": size[0], "height": size[1]}}
    )
    seen = look(chromium, tmp_path, html, theme, size)
    assert seen["outside"] == []
    assert seen["contrast"] > 4.5
    words = " ".join(seen["words"])
    assert words.startswith("March 2025 is incomplete as of 1 March 2025, 12:00 UTC")
    assert "Sat 1, 07:00 to 09:00: pod_info" in words
    assert "gap (5 tries): " in words
    assert "The query exceeds Mimir's limits" in words
    assert (seen["cut"], seen["covered"]) == ([], [])
    assert min(cell["area"] for cell in seen["cells"]) > 20
    assert "cwdb-action" not in seen["shown"]
    assert "month" not in seen["shown"].split("Feb 2025")[-1]
    cells = {cell["title"]: cell["fill"] for cell in seen["cells"]}
    assert len(cells) == 31 * 24
    gap = cells["Sat 01 Mar 07:00 UTC: pod_info: gap; cpu_usage, node_info: exported"]
    exported = cells["Sat 01 Mar 06:00 UTC: exported"]
    assert len({gap, exported, cells["Sat 01 Mar 13:00 UTC: not yet due"]}) == 3


@pytest.mark.parametrize(("window", "shown"), [(1300, 1240), (900, 876), (500, 476), (300, 276)])
def test_the_page_shows_the_map_as_wide_as_its_window(
    bucket_with_a_gap: Function, need_program: NeedProgram, tmp_path: Path, window: int, shown: int
) -> None:
    """In a frame, as a browser's own window is never so narrow."""
    drawn = bucket_with_a_gap.coverage({"widgetContext": {"width": WIDTH, "height": HEIGHT}})
    chromium = need_program("chromium")
    (tmp_path / "coverage.html").write_text(make_page(drawn, "map"), "utf-8")
    page = tmp_path / "frame.html"
    page.write_text(
        f"<!doctype html><iframe id=page src=coverage.html style='width:{window}px;height:800px;"
        "border:0'></iframe><script>const page = document.getElementById('page');"
        "page.onload = () => { document.title = JSON.stringify("
        "[...page.contentDocument.querySelectorAll('.cov')].map("
        "one => one.getBoundingClientRect().width)"
        ".concat(page.contentDocument.documentElement.scrollWidth)) }</script>",
        "utf-8",
    )
    dom = browse(chromium, page, "--allow-file-access-from-files", "--dump-dom")
    title = dom.partition("<title>")[2].partition("</title>")[0]
    (width, to_scroll_to) = json.loads(title)
    assert width == shown
    assert to_scroll_to <= window


def test_the_map_and_the_status_agree(bucket_with_a_gap: Function) -> None:
    status = bucket_with_a_gap.export({"action": "status", "month": "2025-03"})
    assert status["outcome"] == "incomplete"
    assert status["metric_windows"]["gap"] == 2
    html = bucket_with_a_gap.coverage({"month": "2025-03"})
    headline = status["message"].partition(":")[0]
    assert headline in html
    assert bucket_with_a_gap.messages("coverage map failed") == []


def test_the_month_before_is_a_click_away(bucket_with_a_gap: Function) -> None:
    assert '{"month": "2025-02"}' in bucket_with_a_gap.coverage()
    before = bucket_with_a_gap.coverage({"month": "2025-02"})
    assert "February 2025 is not exported" in before
    assert '{"month": "2025-03"}' in before


def test_the_widget_describes_itself(small: Function) -> None:
    described = small.coverage({"describe": True})
    assert described.startswith("## Coverage")
    assert "**month**" in described


def test_what_is_wrong_is_said_in_the_widget(small: Function) -> None:
    assert "Nothing has been exported yet" in small.coverage()
    small.put(small.checkpoint_key, b"{not json")
    assert "[invalid_checkpoint]" in small.coverage()
    assert len(small.messages("coverage map failed")) == 1
    assert "Invalid month &#x27;&lt;b&gt;&#x27;" in small.coverage({"month": "<b>"})
