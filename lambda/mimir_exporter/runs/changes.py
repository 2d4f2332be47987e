"""Tells what changed settings will do to the files that are there, before they do it."""

from .. import log
from ..checkpoint.changes import changes_of, first_kept
from ..checkpoint.state import Checkpoint
from ..errors.runs import LAYOUT_CHANGED, RETENTION_LOWERED
from ..timeline.intervals import intersect
from ..timeline.windows import count_windows, iso
from .context import RunContext


def log_changes(context: RunContext, checkpoint: Checkpoint) -> None:
    """One line for each changed setting that is not in force yet for what is there."""
    for change in changes_of(checkpoint, context.now()):
        kind, until = LAYOUT_CHANGED, checkpoint.partition.since if checkpoint.partition else 0
        if change.setting == "RETENTION_DAYS":
            kind, until = RETENTION_LOWERED, first_kept(context.settings.retention_s, change.at)
        details = kind.details(
            setting=change.setting,
            before=change.before,
            value=change.value,
            at=iso(change.at),
            until=iso(until),
            count=_stored_before(checkpoint, until),
        )
        log.SETTING_CHANGED(error=details)


def _stored_before(checkpoint: Checkpoint, until: int) -> int:
    """How many metric-windows of before `until` have been exported and not deleted."""
    return sum(
        count_windows(checkpoint.schedules, low, high)
        for name in checkpoint.metrics
        for low, high in intersect(checkpoint.stored(name), [(0, until)])
    )
