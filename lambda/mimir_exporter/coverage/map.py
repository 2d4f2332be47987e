"""The coverage map: a month of hours by days as HTML. Pure.

Made for a CloudWatch custom widget, which takes HTML, CSS and SVG, and removes scripts,
`foreignObject` and `use`. The browser lays it out: text takes the room that it needs in whatever
font there is, and the hours share what is left. It is well-formed XML, so that an SVG picture can
embed the same map.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape

from ..timeline.windows import DAY_S
from .compute import Coverage
from .hours import (
    HOUR_S,
    SHOWN_WORDS,
    WEEKDAYS,
    Absence,
    Hour,
    absences_of,
    counts_of,
    day_and_hours,
    hours_of,
)
from .map_style import LOOKS, SIGNS, style_sheet
from .states import State
from .summary import CoverageSummary

# Below this a map cannot be read.
LEAST_WIDTH, LEAST_HEIGHT = 360, 240
LISTED = 40  # of what to look at; the status has the rest

_GOOD = ("complete", "complete_so_far", "partial")
_BAD = ("incomplete", "empty")


def draw_map(
    coverage: Coverage,
    summary: CoverageSummary,
    *,
    width: int,
    height: int,
    theme: str,
    spare: int = 0,
) -> str:
    """The map of a range of whole days, a month as a rule, in a box of so many pixels: `theme` is
    light, dark or auto. `spare` pixels of the first line stay free at the right, for buttons."""
    size = f"width:{max(width, LEAST_WIDTH)}px;height:{max(height, LEAST_HEIGHT)}px"
    return (
        f'<div class="cov" style="{size}"><style>{style_sheet(theme)}</style>'
        f"{_head(summary, spare)}"
        f'<div class="cov-body">{_grid(coverage)}{_absences(absences_of(coverage))}</div>'
        f"{_legend(coverage)}</div>"
    )


def _head(summary: CoverageSummary, spare: int) -> str:
    """The summary and its notes."""
    detail = f"{summary.detail[:1].upper()}{summary.detail[1:]}." if summary.detail else ""
    return (
        f'<div class="cov-head"><span class="cov-spare" style="width:{spare}px"></span>'
        f"{_badge(summary.outcome)}<strong>{escape(summary.headline)}</strong>"
        f"<p>{escape(detail)}</p>"
        f'<p class="cov-muted">{escape(" ".join(summary.notes))}</p></div>'
    )


def _badge(outcome: str) -> str:
    """A tick, a cross, or a dash, on a disc."""
    look, sign = State.DELETED, "dash"
    if outcome in _GOOD:
        look, sign = State.EXPORTED, "tick"
    elif outcome in _BAD:
        look, sign = State.GAP, "cross"
    return f'<i class="cov-badge cov-{LOOKS[look].slug}">{_sign(sign)}</i>'


def _grid(coverage: Coverage) -> str:
    """Rows of days, columns of hours."""
    hours = list(hours_of(coverage))
    days = [hours[first : first + 24] for first in range(0, len(hours), 24)]
    today = coverage.now - coverage.now % DAY_S
    rows, parts = ["auto"], list(_hour_axis())
    for number, day in enumerate(days):
        start = day[0].start
        is_monday = _weekday(start) == 0
        if number and is_monday:
            rows.append("3px")  # between two weeks
            parts.append('<i class="cov-week"></i>')
        rows.append("minmax(2px,1fr)")
        is_landmark = number == 0 or is_monday
        parts.append(_day_label(start, is_today=start == today, is_landmark=is_landmark))
        parts += [_cell(hour, is_now=0 <= coverage.now - hour.start < HOUR_S) for hour in day]
    return (
        f'<div class="cov-room"><div class="cov-grid" style="grid-template-rows:{" ".join(rows)}">'
        f"{''.join(parts)}</div></div>"
    )


def _hour_axis() -> Iterator[str]:
    yield '<span class="cov-day cov-muted">UTC</span>'
    for hour in range(24):
        # Where there is little room, every third or sixth is shown.
        step = 6 if hour % 6 == 0 else 3 if hour % 3 == 0 else 1
        yield f'<span class="cov-hour cov-every{step} cov-muted">{hour:02}</span>'


def _day_label(start: int, *, is_today: bool, is_landmark: bool) -> str:
    day = datetime.fromtimestamp(start, UTC)
    look = "cov-day"
    if is_today:
        look += " cov-today"
    elif day.weekday() >= 5:
        look += " cov-muted"
    if not is_landmark:
        look += " cov-between"
    return f'<span class="{look}">{WEEKDAYS[day.weekday()]} {day.day}</span>'


def _cell(hour: Hour, *, is_now: bool) -> str:
    look = LOOKS[hour.shown]
    when = datetime.fromtimestamp(hour.start, UTC)
    title = f"{WEEKDAYS[when.weekday()]} {when:%d %b %H:%M} UTC: {hour.words}"
    now = " cov-now" if is_now else ""
    return f'<i class="cov-{look.slug}{now}" title="{escape(title)}">{_sign(look.sign)}</i>'


def _sign(name: str) -> str:
    """A shape in the middle of a cell, so that colour is not all that tells."""
    if not name:
        return ""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10">'
        f'<path d="{SIGNS[name]}"/></svg>'
    )


def _key(shown: str) -> str:
    """A small cell beside words."""
    look = LOOKS[shown]
    return f'<i class="cov-key cov-{look.slug}">{_sign(look.sign)}</i>'


def _legend(coverage: Coverage) -> str:
    """What the map shows, with how many metric-windows of each."""
    counts = counts_of(coverage)
    parts = [
        f"<span>{_key(shown)}{SHOWN_WORDS[shown]}"
        f"{'' if shown == State.NOT_DUE else f' {counts[shown]:,}'}</span>"
        for shown in LOOKS
        if counts[shown]
    ]
    return f'<div class="cov-legend cov-muted">{"".join(parts)}</div>'


def _absences(absences: Sequence[Absence]) -> str:
    """What is missing, and where no metric has series; then how much more there is."""
    if not absences:
        return ""
    parts = [_absence(absence) for absence in absences[:LISTED]]
    if len(absences) > LISTED:
        more = len(absences) - LISTED
        parts.append(f'<p class="cov-muted">and {more} more; ask for the status</p>')
    return f'<div class="cov-list"><strong>What to look at</strong>{"".join(parts)}</div>'


def _absence(absence: Absence) -> str:
    what = f"{day_and_hours(absence.start, absence.end)}: {absence.metrics}"
    why = f"{SHOWN_WORDS[absence.shown]} {absence.reason}".strip()
    return (
        f"<p>{_key(absence.shown)}<b>{escape(what)}</b><br/>"
        f'<span class="cov-muted">{escape(why)}</span></p>'
    )


def _weekday(moment: int) -> int:
    return datetime.fromtimestamp(moment, UTC).weekday()
