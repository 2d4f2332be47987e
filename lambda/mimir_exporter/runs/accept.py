"""Accepting gaps as missing, by hand: who does it, and why, is recorded."""

from .. import log
from ..checkpoint.accepted import accept_missing
from ..checkpoint.records import Acceptance
from ..checkpoint.state import Checkpoint
from ..errors.settings import NOTHING_TO_ACCEPT
from ..events import AcceptEvent, AcceptResult
from ..timeline.intervals import Intervals, intersect, total_s, union
from ..timeline.windows import iso_range, window_at
from .context import RunContext
from .event_range import check_range, known_metrics
from .receipts import update_receipts

# Of the time that is left, what the receipts of the days may take; the next run does the rest.
RECEIPTS_SHARE = 0.8


def accept_gaps(context: RunContext, event: AcceptEvent) -> AcceptResult:
    """Accept the gaps of a range, which is widened to whole windows.

    They count as missing no more, raise no alarm and are not retried, and the receipts say so; a
    later reexport exports them where the source has them after all. Raises SettingsError for an
    event that cannot be done.
    """
    metrics = known_metrics(context, event.metrics)
    check_range(event.start, event.end)

    def record(fresh: Checkpoint) -> dict[Intervals, list[str]]:
        span = iso_range(event.start, event.end)
        if not fresh.schedules:
            raise NOTHING_TO_ACCEPT(range=span)
        low = window_at(fresh.schedules, event.start).start
        high = window_at(fresh.schedules, event.end - 1).end
        gaps: dict[Intervals, list[str]] = {}
        for name in metrics:
            if ranges := _gaps_within(fresh, name, low, high):
                gaps.setdefault(ranges, []).append(name)
        if not gaps:
            raise NOTHING_TO_ACCEPT(range=span)
        for ranges, names in gaps.items():
            accept_missing(
                fresh, Acceptance(ranges, tuple(names), event.by, event.reason, context.now())
            )
        return gaps

    checkpoint, gaps = context.store.update(record)
    accepted: list[dict[str, object]] = [
        {"metrics": names, "ranges": [iso_range(*interval) for interval in ranges]}
        for ranges, names in gaps.items()
    ]
    for ranges, names in gaps.items():
        log.GAP_ACCEPTED(
            metrics=list(names),
            ranges=[iso_range(*interval) for interval in ranges],
            by=event.by,
            reason=event.reason,
        )
    update_receipts(context, RECEIPTS_SHARE, checkpoint)
    hours = sum(total_s(ranges) * len(names) for ranges, names in gaps.items()) / 3600
    return {
        "outcome": "accepted",
        "message": f"{hours:,.1f} metric-hours that are missing are accepted by {event.by}: "
        f"{event.reason}",
        "accepted": accepted,
        "gaps": len(checkpoint.gaps()),
    }


def _gaps_within(checkpoint: Checkpoint, name: str, low: int, high: int) -> Intervals:
    failures = checkpoint.failures[checkpoint.failures_of(name)]
    gaps = union((failure.start, failure.end) for failure in failures if failure.is_gap)
    # What no audit can confirm any more is complete by an operator's word only.
    progress = checkpoint.metrics[name]
    doubts = intersect(
        ((doubt.start, doubt.end) for doubt in progress.doubts), progress.unauditable
    )
    return intersect(union(gaps, doubts), [(low, high)])
