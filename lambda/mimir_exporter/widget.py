"""The Lambda entry point of the coverage map, a custom widget of a CloudWatch dashboard.

A file of its own beside `handler.py`, so that a dashboard's first look waits for nothing that the
map does not need. It reads the checkpoint and nothing else; an error is shown in the widget, where
a person is looking, as one sentence.

The protocol: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/add_custom_widget_dashboard_about.html
"""

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from . import log
from .catalog.metrics import Metric
from .checkpoint.adopt import adopt_settings
from .checkpoint.store import CheckpointStore
from .compose import DEPENDENCIES, Dependencies
from .coverage.compute import Coverage, compute_coverage
from .coverage.map import LEAST_WIDTH, draw_map
from .coverage.map_style import FONT
from .coverage.summary import MONTHS, summarize
from .errors import ExportError
from .settings.load import load_settings
from .settings.parsers import parse_month
from .settings.settings import Settings
from .storage.objects import ObjectStore
from .timeline.intervals import Interval

DOCUMENTATION = """\
## Coverage of the export, hours by days

One month: what is exported, and what is missing, by name. Hover a cell for its metrics. Without
`month` it is the one in which the dashboard's time range ends.

### Widget parameters
Parameter | Description
---|---
**month** | A month such as `2026-10` (UTC)

### Example parameters
```yaml
month: "2026-10"
```
"""
# Where the console does not say how large the widget is.
WIDTH, HEIGHT = 1200, 560
# Buttons with the months' names, and in a narrow widget with arrows alone.
NAMED_FROM, NAMED_PX, ARROWS_PX = 760, 220, 90


@log.logger.inject_lambda_context(clear_state=True)
def coverage(
    event: dict[str, Any], context: LambdaContext, *, dependencies: Dependencies = DEPENDENCIES
) -> str:
    """HTML of the month that the event or the dashboard's time range names; its documentation
    for `{"describe": true}`."""
    if event.get("describe"):
        return DOCUMENTATION
    log.logger.append_keys(run=context.aws_request_id)
    shown = event.get("widgetContext") or {}
    try:
        settings = load_settings(os.environ)
        now = int(dependencies.clock())
        month = _month(event.get("month"), shown, now)
        found = read_coverage(
            dependencies.open_bucket(settings, dependencies.interactive_config),
            settings,
            dependencies.load_catalog(settings),
            month,
            now,
        )
    except ExportError as error:
        log.COVERAGE_MAP_FAILED(error=error)
        return _sentence(str(error))
    if found is None:
        return _sentence("Nothing has been exported yet: the map appears with the first run.")
    return widget_html(found, shown, context.invoked_function_arn)


def read_coverage(
    bucket: ObjectStore,
    settings: Settings,
    catalog: Iterable[Metric],
    span: Interval,
    now: int,
) -> Coverage | None:
    """The states of the metrics in `span`; None before the first run. Raises CheckpointError."""
    checkpoint = CheckpointStore(bucket, settings.prefix, settings.cluster_name).read()
    if not checkpoint.metrics:
        return None
    names = tuple(metric.name for metric in catalog)
    # Only in memory: what the next run will take in counts already.
    adopt_settings(checkpoint, settings, names, now)
    return compute_coverage(checkpoint, names, settings, now, span)


def widget_html(found: Coverage, shown: Mapping[str, Any], function_arn: str) -> str:
    """The map, as large and in the colours that the console asks for, with buttons to the months
    beside it."""
    width, height = _pixels(shown.get("width"), WIDTH), _pixels(shown.get("height"), HEIGHT)
    named = width >= NAMED_FROM
    picture = draw_map(
        found,
        summarize(found),
        width=width,
        height=height,
        theme=str(shown.get("theme", "auto")),
        spare=NAMED_PX if named else ARROWS_PX,
    )
    first = datetime.fromtimestamp(found.start, UTC)
    buttons = _button(first - timedelta(days=1), "← {}" if named else "←", function_arn)
    if found.end <= found.now:
        buttons += _button(first + timedelta(days=32), "{} →" if named else "→", function_arn)
    return (
        f'<div style="position:relative;max-width:{max(width, LEAST_WIDTH)}px">{picture}'
        f'<div style="position:absolute;top:0;right:0">{buttons}</div></div>'
        # The console takes them out; where one does not, their parameters are no text to show.
        "<style>cwdb-action{display:none}</style>"
    )


def _month(asked: object, shown: Mapping[str, Any], now: int) -> Interval:
    if asked is None:
        times = shown.get("timeRange") or {}
        # A zoom into a graph of the dashboard narrows its time range.
        end_ms = (times.get("zoom") or times).get("end")
        moment = end_ms / 1000 - 1 if isinstance(end_ms, int | float) else now
        asked = datetime.fromtimestamp(max(0.0, min(moment, now)), UTC).strftime("%Y-%m")
    return parse_month("month", asked)


def _button(month: datetime, words: str, function_arn: str) -> str:
    """A link that calls this function again, for another month, and shows its answer here."""
    name = f"{MONTHS[month.month - 1][:3]} {month.year}"
    return (
        f'<a class="btn" title="{name}" style="margin-left:6px;padding:2px 9px;font-size:12px">'
        f"{words.format(name)}</a>"
        f'<cwdb-action action="call" display="widget" endpoint="{escape(function_arn)}">'
        f'{{"month": "{month:%Y-%m}"}}</cwdb-action>'
    )


def _sentence(text: str) -> str:
    return f'<p style="font-family:{FONT};font-size:14px;margin:12px">{escape(text)}</p>'


def _pixels(value: object, default: int) -> int:
    return int(value) if isinstance(value, int | float) and 0 < value < 10_000 else default
