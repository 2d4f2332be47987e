"""The coverage map: a month of hours by days as one SVG picture. Pure.

Made for a CloudWatch custom widget, which shows SVG without scripts, links to outside and `use`;
the same picture is shown by itself in a page or a file. It is laid out for a width and a height in
pixels, and nothing of it goes beyond them: text is cut by what its characters may take at most.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from ..timeline.windows import DAY_S
from .compute import Coverage
from .hours import HOUR_S, WEEKDAYS, Absence, Hour, absences_of, day_and_hours, hours_of
from .map_style import LOOKS, style_sheet
from .map_text import text, text_width, wrapped
from .states import WORDS, State
from .summary import CoverageSummary

# Below this a map cannot be read.
LEAST_WIDTH, LEAST_HEIGHT = 360, 240
# A widget wider than this has what is missing beside the map, a narrower one below it.
SIDE_FROM, SIDE_WIDTH = 820, 330
SHORT_PX = 500  # with less height the words above the map are fewer
LINE_PX = 17
AXIS_PX = 16
LEGEND_PX = 24
LABEL_PX = 64
WEEK_PX = 4  # between Sunday and Monday

_GOOD = ("complete", "complete_so_far", "partial")
_BAD = ("incomplete", "empty")


@dataclass(frozen=True)
class Box:
    """A place in the picture, in pixels."""

    x: float
    y: float
    width: float
    height: float


def draw_map(
    coverage: Coverage,
    summary: CoverageSummary,
    *,
    width: int,
    height: int,
    theme: str,
    paper: bool = False,
    spare: int = 0,
) -> str:
    """The picture of a range of whole days, a month as a rule: `theme` is light, dark or auto.

    `paper` gives it a background of its own, for a picture that is shown by itself. `spare` pixels
    of the first line stay free at the right, for buttons.
    """
    width, height = max(width, LEAST_WIDTH), max(height, LEAST_HEIGHT)
    margin = 16 if paper else 2
    inner = Box(margin, margin, width - 2 * margin, height - 2 * margin)
    absences = absences_of(coverage)
    head, head_px = _head(summary, inner, spare=spare)
    legend, legend_px = _legend(coverage, inner)
    body = Box(inner.x, inner.y + head_px, inner.width, inner.height - head_px - legend_px)
    down = body.y + body.height - inner.y
    parts = [head, f'<g transform="translate(0 {down:.1f})">{legend}</g>']
    if absences and inner.width >= SIDE_FROM:
        side = Box(body.x + body.width - SIDE_WIDTH, body.y, SIDE_WIDTH, body.height)
        body = Box(body.x, body.y, body.width - SIDE_WIDTH - 24, body.height)
        parts.append(_absences(absences, side))
    elif absences:
        below = min((4 + 2 * min(len(absences), 3)) * LINE_PX, body.height * 0.45)
        place = Box(body.x, body.y + body.height - below, body.width, below)
        body = Box(body.x, body.y, body.width, body.height - below - 6)
        parts.append(_absences(absences, place))
    parts.append(_grid(coverage, body))
    ground = f'<rect class="cov-paper" width="{width}" height="{height}"/>' if paper else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="cov" role="img" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}" '
        f'aria-label="{escape(summary.answer)}">'
        f"<style>{style_sheet(theme)}</style>{ground}{''.join(parts)}</svg>"
    )


def _head(summary: CoverageSummary, box: Box, *, spare: float) -> tuple[str, float]:
    """The summary and its notes, and the height that they took; `spare` stays free at the right."""
    parts = [_badge(summary.outcome, box.x + 10, box.y + 13)]
    y = box.y + 19
    for line in wrapped(summary.headline, box.width - 30 - spare, 18, most=3, bold=True):
        parts.append(text(box.x + 30, y, line, 18, bold=True))
        y += 22
    detail = f"{summary.detail[:1].upper()}{summary.detail[1:]}." if summary.detail else ""
    for line in wrapped(detail, box.width - 30, 13, most=3 if box.height > SHORT_PX else 2):
        parts.append(text(box.x + 30, y, line, 13))
        y += LINE_PX
    for line in wrapped(
        " ".join(summary.notes), box.width - 30, 12, most=2 if box.height > SHORT_PX else 1
    ):
        parts.append(text(box.x + 30, y, line, 12, muted=True))
        y += LINE_PX
    return "".join(parts), y - box.y - 4


def _badge(outcome: str, x: float, y: float) -> str:
    """A tick, a cross, or a dash, on a disc."""
    look, path = "deleted", f"M{x - 4} {y}h8"
    if outcome in _GOOD:
        look, path = "exported", f"M{x - 4} {y + 0.5}l3 3l5 -6"
    elif outcome in _BAD:
        look, path = "gap", f"M{x - 3.2} {y - 3.2}l6.4 6.4m0 -6.4l-6.4 6.4"
    return (
        f'<circle class="cov-{look}" cx="{x}" cy="{y}" r="9"/>'
        f'<path class="cov-sign" style="stroke-width:2" d="{path}"/>'
    )


def _grid(coverage: Coverage, box: Box) -> str:
    """Rows of days, columns of hours."""
    hours = list(hours_of(coverage))
    days = [hours[first : first + 24] for first in range(0, len(hours), 24)]
    mondays = sum(1 for number, day in enumerate(days) if number and _weekday(day[0].start) == 0)
    pitch_x = (box.width - LABEL_PX) / 24
    pitch_y = max((box.height - AXIS_PX - mondays * WEEK_PX - 2) / len(days), 2.0)
    gap = min(1.5, pitch_y * 0.16)
    parts = list(_hour_axis(box, pitch_x))
    today = coverage.now - coverage.now % DAY_S
    y = box.y + AXIS_PX
    labelled = -100.0
    for number, day in enumerate(days):
        weekday = _weekday(day[0].start)
        if number and weekday == 0:
            y += WEEK_PX
        is_today = day[0].start == today
        if y - labelled >= 11 and (pitch_y >= 11 or weekday == 0 or number == 0 or is_today):
            parts.append(_day_label(box.x, y + pitch_y / 2 + 3.8, day[0].start, today=is_today))
            labelled = y
        for column, hour in enumerate(day):
            cell = Box(box.x + LABEL_PX + column * pitch_x, y, pitch_x - gap, pitch_y - gap)
            parts.append(_cell(hour, cell, is_now=hour.start <= coverage.now < hour.start + HOUR_S))
        y += pitch_y
    return "".join(parts)


def _hour_axis(box: Box, pitch: float) -> Iterator[str]:
    every = 1 if pitch >= 34 else 3 if pitch >= 11 else 6
    yield text(box.x + LABEL_PX - 8, box.y + 10, "UTC", 11, muted=True, end=True)
    for hour in range(0, 24, every):
        yield text(box.x + LABEL_PX + hour * pitch, box.y + 10, f"{hour:02}", 11, muted=True)


def _day_label(x: float, y: float, start: int, *, today: bool) -> str:
    day = datetime.fromtimestamp(start, UTC)
    words = f"{WEEKDAYS[day.weekday()]} {day.day}"
    weekend = day.weekday() >= 5
    mark = f'<path class="cov-here" d="M{x} {y - 7.5}l5 3.7l-5 3.7z"/>' if today else ""
    label = text(x + LABEL_PX - 8, y, words, 11, bold=today, muted=weekend and not today, end=True)
    return mark + label


def _cell(hour: Hour, box: Box, *, is_now: bool) -> str:
    look = LOOKS[hour.state]
    when = datetime.fromtimestamp(hour.start, UTC)
    title = f"{WEEKDAYS[when.weekday()]} {when:%d %b %H:%M} UTC: {hour.words}"
    inset = 0.5 if hour.state is State.NOT_DUE else 0
    width, height = max(box.width - 2 * inset, 1), max(box.height - 2 * inset, 1)
    return (
        f'<g><title>{escape(title)}</title><rect class="cov-{look.slug}" x="{box.x + inset:.1f}" '
        f'y="{box.y + inset:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2"/>'
        f"{_sign(hour.state, box)}{_now(box) if is_now else ''}</g>"
    )


def _now(box: Box) -> str:
    return (
        f'<rect class="cov-now" x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="2"/>'
    )


def _sign(state: State, box: Box) -> str:
    """A state's shape in the middle of a cell, so that colour is not all that tells."""
    look = LOOKS[state]
    half = min(box.width, box.height) * 0.28
    if not look.sign or half < 1:
        return ""
    x, y = box.x + box.width / 2, box.y + box.height / 2
    kind = f'class="cov-sign cov-on-{look.slug}"'
    if look.sign in ("ring", "dot"):
        radius = half * (0.8 if look.sign == "ring" else 0.35)
        return f'<circle {kind} cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>'
    path = {
        "cross": f"M{x - half:.1f} {y - half:.1f}l{2 * half:.1f} {2 * half:.1f}"
        f"m0 {-2 * half:.1f}l{-2 * half:.1f} {2 * half:.1f}",
        "slash": f"M{x - half:.1f} {y + half:.1f}l{2 * half:.1f} {-2 * half:.1f}",
        "half": f"M{x - half:.1f} {y + half:.1f}h{2 * half:.1f}v{-half:.1f}",
        "dash": f"M{x - half:.1f} {y:.1f}h{2 * half:.1f}",
        "bar": f"M{x:.1f} {y - half:.1f}v{2 * half:.1f}",
    }[look.sign]
    return f'<path {kind} d="{path}"/>'


def _legend(coverage: Coverage, box: Box) -> tuple[str, float]:
    """The states that the range has, with how many windows of metrics have each, and the height
    of it: drawn as if it began at the box's top."""
    counts = coverage.counts()
    parts = []
    x, y = box.x, box.y + LEGEND_PX - 16
    for state in LOOKS:
        if not counts[state]:
            continue
        words = WORDS[state] + ("" if state is State.NOT_DUE else f" {counts[state]:,}")
        needs = 19 + text_width(words, 12)
        if x > box.x and x + needs > box.x + box.width:
            x, y = box.x, y + LINE_PX + 1
        parts.append(
            f'<rect class="cov-{LOOKS[state].slug}" x="{x + 0.5:.1f}" y="{y + 0.5:.1f}" width="12" '
            f'height="11" rx="2"/>{_sign(state, Box(x, y, 13, 12))}'
        )
        parts.append(text(x + 19, y + 10, words, 12, muted=True))
        x += needs + 16
    return "".join(parts), y + 14 - box.y


def _absences(absences: Sequence[Absence], box: Box) -> str:
    """What is missing, named, as far as the place suffices; then how much more there is."""
    parts = [text(box.x, box.y + 11, "What is missing", 13, bold=True)]
    y = box.y + 11 + LINE_PX + 4
    bottom = box.y + box.height
    for number, absence in enumerate(absences):
        what = f"{day_and_hours(absence.start, absence.end)}: {absence.metrics}"
        lines = wrapped(what, box.width - 20, 12, most=2, bold=True)
        left = len(absences) - number
        room = int((bottom - y - (LINE_PX if left > 1 else 0)) / (LINE_PX - 2)) + 1
        if number and room <= len(lines):
            parts.append(
                text(box.x + 20, y, f"and {left} more; ask for the status", 12, muted=True)
            )
            break
        why = f"{WORDS[absence.state]} {absence.reason}".strip()
        reasons = wrapped(why, box.width - 20, 12, most=min(max(room - len(lines), 1), 5))
        look = Box(box.x, y - 10, 12, 12)
        parts.append(
            f'<rect class="cov-{LOOKS[absence.state].slug}" x="{look.x:.1f}" y="{look.y:.1f}" '
            f'width="12" height="12" rx="2"/>{_sign(absence.state, look)}'
        )
        for line in lines:
            parts.append(text(box.x + 20, y, line, 12, bold=True))
            y += LINE_PX - 2
        for line in reasons:
            parts.append(text(box.x + 20, y, line, 12, muted=True))
            y += LINE_PX - 2
        y += 5
    return f'<g class="cov-missing">{"".join(parts)}</g>'


def _weekday(moment: int) -> int:
    return datetime.fromtimestamp(moment, UTC).weekday()
