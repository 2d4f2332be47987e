"""The map of a month: harmless, with every hour in it, and with what to look at named."""

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
from mimir_exporter.coverage.hours import SILENT, absences_of, day_and_hours, hours_of
from mimir_exporter.coverage.map import LISTED, draw_map
from mimir_exporter.coverage.map_style import LOOKS, SIGNS
from mimir_exporter.coverage.states import LOST, MISSING, State
from mimir_exporter.coverage.summary import summarize
from mimir_exporter.settings.load import load_settings
from mimir_exporter.settings.parsers import parse_month
from mimir_exporter.timeline.intervals import Interval
from mimir_exporter.timeline.windows import windows_within
from mimir_exporter.widget import widget_html
from tests.clocks import unix
from tests.some import some
from tests.unit.checkpoints import refused

SVG = "{http://www.w3.org/2000/svg}"
# What CloudWatch's console takes of HTML, and of SVG in it; scripts, links and frames it removes.
TAGS = {"div", "style", "span", "strong", "b", "i", "p", "br", f"{SVG}svg", f"{SVG}path"}
NAMES = ("cpu", "memory", "labels")
OCTOBER = parse_month("month", "2026-10")
ARN = "arn:aws:lambda:eu-central-1:000000000000:function:map"
HOSTILE = "HTTP 500: <script>alert(\"1\")</script> & 'more'"


NOW = unix("2026-10-28T14:20")


def covered(
    time_frame: str = "1h",
    *,
    empty: Interval = (0, 0),
    names: tuple[str, ...] = NAMES,
    every: int = 1,
) -> Coverage:
    """October from the 5th on, with a gap of one metric on the 20th from 03:00 to 06:00. In the
    range `empty` the metrics `names` had no series. Only each `every`th hour is exported."""
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
        for name in lacking if window.start // 3600 % every == 0 else ():
            if name != "labels" or window not in gap:
                is_empty = name in names and empty[0] <= window.start < empty[1]
                mark_exported(checkpoint, name, window, empty=is_empty)
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
    return " ".join(text.strip() for text in picture.itertext() if not text.startswith(".cov"))


def cells_of(picture: ElementTree.Element) -> dict[str, str]:
    """The looks of the hours, by what they say."""
    cells = [cell for cell in picture.iter("i") if "title" in cell.attrib]
    found = {cell.attrib["title"]: cell.attrib["class"] for cell in cells}
    assert len(found) == len(cells)
    return found


@pytest.mark.parametrize(("width", "height"), [(1400, 560), (800, 600), (500, 380), (10, 10)])
def test_each_hour_is_a_cell_that_says_what_it_is(
    coverage: Coverage, width: int, height: int
) -> None:
    cells = cells_of(draw(coverage, width, height))
    assert len(cells) == 31 * 24
    assert cells["Tue 20 Oct 03:00 UTC: labels: gap; cpu, memory: exported"] == "cov-gap"
    assert cells["Thu 01 Oct 00:00 UTC: before the beginning"] == "cov-before"
    assert cells["Wed 28 Oct 14:00 UTC: not yet due"] == "cov-notdue cov-now"
    looks = Counter(cells.values())
    assert looks["cov-gap"] == 3
    assert looks["cov-notdue cov-now"] == 1


def test_what_is_missing_is_named_with_its_reason(coverage: Coverage) -> None:
    words = words_of(draw(coverage))
    assert "What to look at" in words
    assert "Tue 20, 03:00 to 06:00: labels" in words
    assert "gap (5 tries): Mimir rejects the query (HTTP 500: <script>" in words
    assert "October 2026 is incomplete as of" in words


def test_nothing_in_it_can_run_or_reach_out(coverage: Coverage) -> None:
    for theme in ("light", "dark", "auto"):
        picture = draw_map(coverage, summarize(coverage), width=900, height=500, theme=theme)
        assert {element.tag for element in ElementTree.fromstring(picture).iter()} <= TAGS  # noqa: S314
        assert not re.search(r"href|url\(|@import|\son[a-z]+=", picture)


def test_a_long_list_ends_with_how_much_more_there_is() -> None:
    coverage = covered(every=2)
    more = len(absences_of(coverage)) - LISTED
    assert more > 100
    picture = draw(coverage)
    assert f"and {more} more; ask for the status" in words_of(picture)
    (shown,) = (box for box in picture.iter("div") if box.attrib["class"] == "cov-list")
    assert len(list(shown.iter("b"))) == LISTED


OUTAGE = (unix("2026-10-14T02:00"), unix("2026-10-14T05:00"))


def test_a_source_that_had_nothing_looks_worse_than_what_is_still_to_come() -> None:
    """An outage of the source counts as exported, and as nothing to be calm about."""
    coverage = covered(empty=OUTAGE)
    picture = draw(coverage)
    looks = {title: look for title, look in cells_of(picture).items() if "Wed 14 Oct 0" in title}
    assert looks["Wed 14 Oct 02:00 UTC: no metric has series"] == f"cov-{LOOKS[SILENT].slug}"
    assert list(looks.values()).count("cov-silent") == 3
    assert "Wed 14, 02:00 to 05:00: all 3 metrics" in words_of(picture)
    assert "no metric has series 9" in words_of(picture)
    assert "without series" not in words_of(picture)
    assert [absence.shown for absence in absences_of(coverage)] == [State.GAP, SILENT]


def test_metrics_without_series_beside_others_are_nothing_to_look_at() -> None:
    """As those of GPUs, where there are none."""
    picture = draw(covered(empty=OUTAGE, names=NAMES[:2]))
    assert "cov-silent" not in cells_of(picture).values()
    assert "without series 6" in words_of(picture)


def test_the_documentation_shows_the_map_as_it_is() -> None:
    """After a change of it: python -m localcloud.picture."""
    assert PICTURE.read_text("utf-8") == f"{draw_picture()}\n"


def test_each_state_can_be_recognized_without_its_colour() -> None:
    assert set(LOOKS) == {*State, SILENT}
    signs = [
        LOOKS[shown].sign for shown in (*MISSING, *LOST, State.ACCEPTED, State.DELETED, SILENT)
    ]
    assert set(some(signs)) <= set(SIGNS)
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
    shown = {hour.start: hour.shown for hour in hours_of(coverage)}
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
    assert "width:900px;height:500px" in html
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
