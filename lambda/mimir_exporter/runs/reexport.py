"""A range again, by hand: recorded first, then done by the ordinary cycle."""

from typing import Any

from ..checkpoint.adopt import adopt_settings
from ..checkpoint.records import ReexportRequest
from ..checkpoint.reexports import request_reexport
from ..checkpoint.state import Checkpoint
from ..checkpoint.wanted import keep_from
from ..errors import SettingsError
from ..settings.parsers import parse_flag, parse_time
from ..timeline.intervals import Intervals, subtract
from ..timeline.windows import iso, iso_range, window_at
from .context import RunContext
from .plan import ExportScope
from .regular import run_regular
from .summary import Summary


def export_range(context: RunContext, event: dict[str, Any]) -> Summary:
    """Export a range again: `start`, `end`, optional `metrics`, `force` and `again`.

    `again` false leaves alone what is exported already. The range is widened to whole windows. It
    is recorded first, so that it is done in the end whatever happens to this run. Raises
    SettingsError for an event that cannot be done.
    """
    start = int(parse_time("start", event.get("start")).timestamp())
    end = int(parse_time("end", event.get("end")).timestamp())
    metrics = _selected_metrics(context, event.get("metrics"))
    force = parse_flag("force", event.get("force", False))
    again = parse_flag("again", event.get("again", True))
    if start >= end:
        raise SettingsError(
            f"start is {iso(start)} and end is {iso(end)}; start has to be before end."
        )

    def record(fresh: Checkpoint) -> ExportScope:
        adopt_settings(fresh, context.settings, context.names, context.now())
        newest = context.now() - context.settings.settle_time_s
        low = window_at(fresh.schedules, start).start
        high = window_at(fresh.schedules, min(end, newest) - 1).end
        high = high if high <= newest else window_at(fresh.schedules, newest).start
        if low >= high:
            raise SettingsError(
                f"{iso(start)}/{iso(end)} holds no whole window that is "
                f"{context.settings.settle_time_s} s old; nothing was exported."
            )
        if low < (kept := keep_from(context.settings, context.now())):
            raise SettingsError(
                f"{iso_range(low, high)} begins before {iso(kept)}, and RETENTION_DAYS has files "
                "of older days deleted; raise it, or set it to 0 to keep them, and export again."
            )
        lacking: dict[Intervals, list[str]] = {}
        for name in metrics:
            done = () if again else fresh.stored(name)
            lacking.setdefault(subtract([(low, high)], done), []).append(name)
        for ranges, names in lacking.items():
            for one in ranges:
                request_reexport(fresh, ReexportRequest(*one, tuple(names), force, (low, high)))
        return ExportScope(low, high, metrics)

    _, scope = context.store.update(record)
    summary = run_regular(context, scope)
    if summary.outcome == "skipped":
        summary.message = (
            f"{scope} is recorded; another run is at work, and the next "
            "regular run exports it again."
        )
    return summary


def _selected_metrics(context: RunContext, names: object) -> tuple[str, ...]:
    if names is None:
        return context.names
    if not isinstance(names, list) or not names:
        raise SettingsError(f"metrics is {names!r}; a list of metric names is allowed.")
    for name in names:
        if name not in context.names:
            raise SettingsError(
                f"metrics names {name!r}, which the catalogue does not have; it has "
                f"{', '.join(context.names)}."
            )
    return tuple(names)
