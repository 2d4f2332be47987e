"""Answers "is October complete?" from the checkpoint and the bucket."""

from datetime import UTC, datetime, timedelta
from typing import Any

from .checkpoint import Checkpoint, keep_from
from .deadline import Deadline
from .errors import OutOfTimeError, SettingsError
from .intervals import Interval, Intervals, intersect, subtract, total_s, union
from .layout import day_folder, parse_key
from .objects import ObjectStore
from .settings import parse_time
from .tools import Tools
from .windows import iso, iso_range, window_at, windows_within

# The checkpoint answers at once; a person at the console does not wait for a thousand listings.
COUNT_S = 20.0


def report_status(tools: Tools, event: dict[str, Any]) -> dict[str, Any]:
    """What is exported, pending and missing in [start, end), by default in all that is wanted.

    `files` counts what the bucket has of the range, for COUNT_S at most, or for as long as the
    invocation may last where the event has `"files": true`; `counted_whole` says whether it did.
    Raises SettingsError for a bad range.
    """
    checkpoint = tools.store.read()
    now = tools.now()
    if not checkpoint.metrics:
        return {
            "outcome": "nothing yet",
            "message": "There is no checkpoint: nothing has been exported yet; invoke the "
            "function with {} or wait for the schedule.",
        }
    span = _range(tools, checkpoint, event, now)
    groups: dict[tuple[Intervals, Intervals, Intervals], list[str]] = {}
    for name in tools.names:
        progress = checkpoint.metrics.get(name)
        exported = intersect([span], progress.exported) if progress else ()
        empty = intersect([span], progress.empty) if progress else ()
        missing = subtract([span], exported)
        groups.setdefault((exported, empty, missing), []).append(name)
    held = union(*(handover.ranges for handover in checkpoint.handovers))
    missing = union(*(key[2] for key in groups))
    pending = len([w for low, high in missing for w in windows_within(checkpoint.grids, low, high)])
    lag_s = checkpoint.lag_s(tools.names, now)
    patience = tools.deadline
    if event.get("files") is not True:
        patience = Deadline(min(COUNT_S, tools.deadline.remaining_s()))
    return {
        "outcome": "incomplete" if missing else "complete",
        "message": _message(span, missing, held, pending, checkpoint),
        "range": _text(span),
        "lag_s": lag_s,
        "pending_windows": pending,
        "coverage": [
            {
                "metrics": names,
                "exported": [_text(one) for one in exported],
                "without_series": [_text(one) for one in empty],
                "missing": [_text(one) for one in lacking],
            }
            for (exported, empty, lacking), names in groups.items()
        ],
        "failures": [
            {
                "metric": one.metric,
                "range": _text((one.start, one.end)),
                "attempts": one.attempts,
                "gap": one.is_gap,
                "reason": one.reason,
            }
            for one in checkpoint.failures
            if one.start < span[1] and span[0] < one.end
        ],
        "executions": [
            {
                "name": one.name,
                "status": _execution_status(tools, one.name),
                "ranges": [_text(interval) for interval in one.ranges],
            }
            for one in checkpoint.handovers
        ],
        "files": _count_files(tools.bucket, tools.settings.prefix, span, patience),
    }


def _range(tools: Tools, checkpoint: Checkpoint, event: dict[str, Any], now: int) -> Interval:
    newest = window_at(checkpoint.grids, now - tools.settings.settle_time_s).start
    known = [one.since for name, one in checkpoint.metrics.items() if name in tools.names]
    start, end = max(min(known, default=newest), keep_from(tools.settings, now)), newest
    if event.get("start") is not None:
        start = window_at(
            checkpoint.grids, int(parse_time("start", event["start"]).timestamp())
        ).start
    if event.get("end") is not None:
        end = min(newest, int(parse_time("end", event["end"]).timestamp()))
    if start >= end:
        raise SettingsError(
            f"The range {iso(start)}/{iso(end)} is empty; start has to be before end, and windows "
            f"are due up to {iso(newest)} now."
        )
    return start, end


def _message(
    span: Interval, missing: Intervals, held: Intervals, pending: int, checkpoint: Checkpoint
) -> str:
    if not missing:
        return f"{_text(span)} is complete: every metric of every window is exported."
    gaps = len(checkpoint.gaps())
    in_work = total_s(intersect(missing, held)) * 100 // total_s(missing)
    return (
        f"{_text(span)} is not complete: {pending} windows lack at least one metric; {in_work} % "
        f"of that time is in the hands of Step Functions, and {gaps} ranges are gaps that failed "
        "too often."
    )


def _execution_status(tools: Tools, name: str) -> str:
    if tools.machine is None:
        return "unknown"
    ending = tools.machine.ending(name)
    return "never started" if ending is None else ending or "running"


def _count_files(
    bucket: ObjectStore, prefix: str, span: Interval, deadline: Deadline
) -> dict[str, Any]:
    """Objects and bytes by cluster's folder, for the days of `span`."""
    clusters: dict[str, dict[str, int]] = {}
    first = datetime.fromtimestamp(span[0], UTC).replace(hour=0, minute=0, second=0)
    days = [first + timedelta(days=day) for day in range((span[1] - span[0]) // 86_400 + 2)]
    counted_whole = True
    try:
        for folder in bucket.list(f"{prefix}/").folders:
            count = {"objects": 0, "bytes": 0}
            for day in days:
                deadline.check()
                for metric in bucket.list(day_folder(folder, day)).folders:
                    deadline.check()
                    for key, size in bucket.list(metric).keys.items():
                        name = parse_key(prefix, key)
                        if name and span[0] <= name.start < span[1]:
                            count["objects"] += 1
                            count["bytes"] += size
            if count["objects"]:
                clusters[folder.removeprefix(f"{prefix}/").rstrip("/")] = count
    except OutOfTimeError:
        counted_whole = False
    return {
        "clusters": clusters,
        "objects": sum(one["objects"] for one in clusters.values()),
        "bytes": sum(one["bytes"] for one in clusters.values()),
        "counted_whole": counted_whole,
    }


def _text(interval: Interval) -> str:
    return iso_range(*interval)
