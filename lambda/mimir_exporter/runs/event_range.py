"""The metrics and the whole windows that an event names."""

from collections.abc import Iterable

from ..checkpoint.state import Checkpoint
from ..checkpoint.wanted import keep_from
from ..errors.settings import (
    INVALID_RANGE,
    NO_COMPLETE_WINDOW,
    RANGE_PAST_RETENTION,
    UNKNOWN_METRIC,
)
from ..timeline.intervals import Interval
from ..timeline.windows import iso, iso_range, window_at
from .context import RunContext


def known_metrics(context: RunContext, names: Iterable[str] | None) -> tuple[str, ...]:
    """The metrics of an event, by default the catalogue's. Raises SettingsError."""
    if names is None:
        return context.names
    for name in names:
        if name not in context.names:
            raise UNKNOWN_METRIC(name=name, known=", ".join(context.names))
    return tuple(names)


def check_range(start: int, end: int) -> None:
    """Raises SettingsError for a range that is none."""
    if start >= end:
        raise INVALID_RANGE(
            range=iso_range(start, end),
            problem="its start is not before its end",
            change="swap start and end, or widen the range",
        )


def whole_windows(context: RunContext, checkpoint: Checkpoint, start: int, end: int) -> Interval:
    """The range widened to whole windows, as far as they are due. Raises SettingsError."""
    newest = context.now() - context.settings.settle_time_s
    low = window_at(checkpoint.schedules, start).start
    high = window_at(checkpoint.schedules, min(end, newest) - 1).end
    if high > newest:
        high = window_at(checkpoint.schedules, newest).start
    if low >= high:
        raise NO_COMPLETE_WINDOW(
            seconds=context.settings.settle_time_s, range=iso_range(start, end)
        )
    if low < (kept := keep_from(context.settings, context.now())):
        raise RANGE_PAST_RETENTION(range=iso_range(low, high), kept=iso(kept))
    return low, high
