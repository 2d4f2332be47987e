"""The picture of a month: harmless, with every hour in it, and with what is missing named."""

import json
import re
from collections import Counter
from xml.etree import ElementTree

import pytest

from localcloud.picture import PICTURE
from localcloud.picture import draw as draw_picture
from mimir_exporter import widget as module
from mimir_exporter.checkpoint.adopt import adopt_settings
from mimir_exporter.checkpoint.outcomes import mark_exported, mark_failed
from mimir_exporter.checkpoint.records import GAP_ATTEMPTS
from mimir_exporter.checkpoint.state import Checkpoint
from mimir_exporter.checkpoint.wanted import wanted_windows
from mimir_exporter.coverage.compute import Coverage, compute_coverage
from mimir_exporter.coverage.hours import absences_of, day_and_hours, hours_of
from mimir_exporter.coverage.map import draw_map
from mimir_exporter.coverage.map_style import LOOKS
from mimir_exporter.coverage.states import LOST, MISSING, State
from mimir_exporter.coverage.summary import summarize
from mimir_exporter.settings.load import load_settings
from mimir_exporter.settings.parsers import parse_month
from mimir_exporter.timeline.windows import windows_within
from mimir_exporter.widget import widget_html
from tests.clocks import unix
from tests.some import some
from tests.unit.checkpoints import refused

SVG = "{http://www.w3.org/2000/svg}"
NAMES = ("cpu", "memory", "labels")
OCTOBER = parse_month("month", "2026-10")
ARN = "arn:aws:lambda:eu-central-1:000000000000:function:map"
HOSTILE = "HTTP 500: <script>alert(\"1\")</script> & 'more'"


NOW = unix("2026-10-28T14:20")


def covered(time_frame: str = "1h") -> Coverage:
    """October from the 5th on, with a gap of one metric on the 20th from 03:00 to 06:00."""
    settings = load_settings(
        {
            "S3_BUCKET": "bucket",
            "S3_PREFIX": "k8s",
            "CLUSTER_NAME": "prod",
            "RETENTION_DAYS": "0",
            "INITIAL_BACKFILL_DATE": "2026-10-05T09:00",
            "TIME_FRAME": time_frame,
        }
    )
    checkpoint = Checkpoint()
    adopt_settings(checkpoint, settings, NAMES, NOW)
    gap = list(
        windows_within(checkpoint.schedules, unix("2026-10-20T03:00"), unix("2026-10-20T06:00"))
    )
    for window, lacking in list(wanted_windows(checkpoint, NAMES, settings, NOW)):
        for name in lacking:
            if name != "labels" or window not in gap:
                mark_exported(checkpoint, name, window, empty=False)
    for window in gap:
        for attempt in range(GAP_ATTEMPTS):
            mark_failed(checkpoint, "labels", window, refused(HOSTILE), NOW + attempt)
    return compute_coverage(checkpoint, NAMES, settings, NOW, OCTOBER)


@pytest.fixture(scope="module")
def coverage() -> Coverage:
    return covered()


def draw(coverage: Coverage, width: int = 1200, height: int = 560) -> ElementTree.Element:
    picture = draw_map(coverage, summarize(coverage), width=width, height=height, theme="light")
    return ElementTree.fromstring(picture)  # noqa: S314 - our own


def words_of(picture: ElementTree.Element) -> str:
    return " ".join(text.text or "" for text in picture.iter(f"{SVG}text"))


@pytest.mark.parametrize(("width", "height"), [(1400, 560), (800, 600), (500, 380), (10, 10)])
def test_each_hour_is_a_cell_that_says_what_it_is(
    coverage: Coverage, width: int, height: int
) -> None:
    picture = draw(coverage, width, height)
    titles = [title.text or "" for title in picture.iter(f"{SVG}title")]
    assert len(titles) == 31 * 24
    assert len(set(titles)) == len(titles)
    assert "Tue 20 Oct 03:00 UTC: labels: gap; cpu, memory: exported" in titles
    assert "Thu 01 Oct 00:00 UTC: before the beginning" in titles
    assert "Wed 28 Oct 14:00 UTC: not yet due" in titles
    counted = Counter(cell.attrib["class"] for cell in picture.iterfind(f"{SVG}g/{SVG}rect[@rx]"))
    assert counted["cov-gap"] >= 3
    assert counted["cov-now"] == 1


def test_what_is_missing_is_named_with_its_reason(coverage: Coverage) -> None:
    words = words_of(draw(coverage))
    assert "What is missing" in words
    assert "Tue 20, 03:00 to 06:00: labels" in words
    assert "gap (5 tries): Mimir rejects the query (HTTP 500: <script>" in words
    assert "October 2026 is incomplete as of" in words


def test_nothing_in_it_can_run_or_reach_out(coverage: Coverage) -> None:
    for theme in ("light", "dark", "auto"):
        picture = draw_map(coverage, summarize(coverage), width=900, height=500, theme=theme)
        tags = {element.tag.removeprefix(SVG) for element in ElementTree.fromstring(picture).iter()}  # noqa: S314
        assert tags <= {"svg", "style", "g", "title", "rect", "path", "circle", "text"}
        assert not re.search(r"href|url\(|@import|\son[a-z]+=", picture)


def test_the_documentation_shows_the_map_as_it_is() -> None:
    """After a change of it: python -m localcloud.picture."""
    assert PICTURE.read_text("utf-8") == f"{draw_picture()}\n"


def test_each_state_can_be_told_without_its_colour() -> None:
    assert set(LOOKS) == set(State)
    signs = [LOOKS[state].sign for state in (*MISSING, *LOST, State.ACCEPTED, State.DELETED)]
    assert all(some(signs))
    assert len({look.slug for look in LOOKS.values()}) == len(LOOKS)
    for theme in ("light", "dark"):
        colours = Counter(getattr(look, theme) for look in LOOKS.values())
        assert [colour for colour, count in colours.items() if count > 1] == [
            LOOKS[State.REEXPORT_REQUESTED].light
            if theme == "light"
            else LOOKS[State.REEXPORT_REQUESTED].dark
        ]


@pytest.mark.parametrize("time_frame", ["15m", "90m", "7h", "1d"])
def test_an_hour_shows_the_worst_of_the_windows_that_touch_it(time_frame: str) -> None:
    coverage = covered(time_frame)
    shown = {hour.start: hour.state for hour in hours_of(coverage)}
    assert list(shown) == list(range(*OCTOBER, 3600))
    for line in coverage.groups:
        for span in line.spans:
            if span.state in MISSING:
                for start in range(span.start - span.start % 3600, span.end, 3600):
                    assert shown[start] in MISSING
    missing = {start for start, state in shown.items() if state in MISSING}
    for absence in absences_of(coverage):
        missing -= set(range(absence.start - absence.start % 3600, absence.end, 3600))
    assert missing == set()


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("2026-10-20T03:00", "2026-10-20T06:00", "Tue 20, 03:00 to 06:00"),
        ("2026-10-20T03:00", "2026-10-21T00:00", "Tue 20, 03:00 to 24:00"),
        ("2026-10-20T00:00", "2026-10-21T00:00", "Tue 20"),
        ("2026-10-20T00:00", "2026-10-23T00:00", "Tue 20 to Thu 22"),
        ("2026-10-24T18:00", "2026-10-25T03:00", "Sat 24, 18:00 to Sun 25, 03:00"),
    ],
)
def test_a_range_is_named_by_its_days_and_hours(start: str, end: str, words: str) -> None:
    assert day_and_hours(unix(start), unix(end)) == words


def test_buttons_lead_to_the_months_beside(coverage: Coverage) -> None:
    html = widget_html(coverage, {"width": 900, "height": 500, "theme": "dark"}, ARN)
    actions = re.findall(r'<cwdb-action action="call" [^>]*endpoint="([^"]+)">([^<]+)<', html)
    # October has not ended: nothing is in November.
    assert [(arn, json.loads(text)) for arn, text in actions] == [(ARN, {"month": "2026-09"})]
    assert 'width="900" height="500"' in html
    assert LOOKS[State.EXPORTED].dark in html
    assert LOOKS[State.EXPORTED].light not in html
    over = survey_of_september(coverage)
    months = re.findall(r'\{"month": "([^"]+)"\}', widget_html(over, {}, ARN))
    assert months == ["2026-08", "2026-10"]


def survey_of_september(coverage: Coverage) -> Coverage:
    settings = load_settings({"S3_BUCKET": "bucket", "S3_PREFIX": "k8s", "CLUSTER_NAME": "prod"})
    checkpoint = Checkpoint()
    adopt_settings(checkpoint, settings, NAMES, coverage.now)
    return compute_coverage(
        checkpoint, NAMES, settings, coverage.now, parse_month("month", "2026-09")
    )


def milliseconds(text: str) -> int:
    return unix(text) * 1000


@pytest.mark.parametrize(
    ("asked", "times", "month"),
    [
        ("2025-02", {"end": milliseconds("2026-09-10")}, "2025-02"),
        (None, {"end": milliseconds("2026-09-10")}, "2026-09"),
        (None, {"end": milliseconds("2026-10-01")}, "2026-09"),
        (None, {"end": 0, "zoom": {"end": milliseconds("2026-08-02")}}, "2026-08"),
        (None, {"end": milliseconds("2031-01-01")}, "2026-10"),
        (None, {"end": "soon"}, "2026-10"),
        (None, {}, "2026-10"),
    ],
)  # fmt: skip
def test_the_month_is_the_one_asked_for_or_that_of_the_dashboards_time(
    asked: str | None, times: dict[str, object], month: str
) -> None:
    found = module._month(asked, {"timeRange": times}, NOW)
    assert found == parse_month("month", month)
