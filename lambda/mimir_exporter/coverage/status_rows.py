"""The rows of a status: dicts for a person at the console, no longer than what one reads.

Times are UTC, ranges `start/end` of two moments.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from ..checkpoint.changes import Change
from ..checkpoint.records import Acceptance, Doubt, Failure, PartialExport, ReexportRequest
from ..timeline.intervals import Intervals, union
from ..timeline.windows import iso, iso_range
from .compute import CoverageGroup
from .states import EXPORTED_STATES, LOST, MISSING, State
from .stored_files import Files

T = TypeVar("T")

SHOWN = 30  # rows of one list
CLUSTERS_SHOWN = 200


def group_row(group: CoverageGroup) -> dict[str, object]:
    """Metrics of one coverage, and their ranges by state; `exported` has empty ones too."""

    def ranges(*states: State) -> Intervals:
        return union((span.start, span.end) for span in group.spans if span.state in states)

    row: dict[str, object] = {
        "metrics": list(group.metrics),
        "exported": ranges_row(ranges(*EXPORTED_STATES)),
        "without_series": ranges_row(ranges(State.EMPTY)),
        "missing": ranges_row(ranges(*MISSING, *LOST)),
    }
    others = {
        "audited": State.AUDITED,
        "unauditable": State.UNAUDITABLE,
        "source_unstable": State.SOURCE_UNSTABLE,
        "reexport_requested": State.REEXPORT_REQUESTED,
        "in_part": State.IN_PART,
        "unconfirmed": State.UNCONFIRMED,
        "gaps": State.GAP,
        "nothing_left": State.NOTHING_LEFT,
        "accepted": State.ACCEPTED,
        "missed_past_retention": State.MISSED_PAST_RETENTION,
        "deleted_by_retention": State.DELETED,
        "before_the_beginning": State.BEFORE_BEGINNING,
        "not_yet_due": State.NOT_DUE,
    }
    return row | {
        key: ranges_row(found) for key, state in others.items() if (found := ranges(state))
    }


def reexport_row(request: ReexportRequest) -> dict[str, object]:
    """What is not done yet of a request."""
    return {
        "range": iso_range(request.start, request.end),
        "metrics": list(request.metrics),
        "force": request.force,
        "requested": iso(request.requested_at),
    }


def acceptance_row(acceptance: Acceptance) -> dict[str, object]:
    return {
        "ranges": ranges_row(acceptance.ranges),
        "metrics": list(acceptance.metrics),
        "by": acceptance.by,
        "reason": acceptance.reason,
        "at": iso(acceptance.at),
    }


def change_row(change: Change) -> dict[str, object]:
    """A setting that is not in force yet for what is there."""
    return {
        "setting": change.setting,
        "before": change.before,
        "value": change.value,
        "first_seen": iso(change.since),
        "in_force": iso(change.at),
    }


def partial_row(name: str, part: PartialExport) -> dict[str, object]:
    """What the files lack: all before `from`, or, without it, what the source had more."""
    begins = {"from": iso(part.begins)} if part.begins else {}
    return {"metric": name, "range": iso_range(part.start, part.end), **begins}


def unconfirmed_row(name: str, doubt: Doubt) -> dict[str, object]:
    return {
        "metric": name,
        "range": iso_range(doubt.start, doubt.end),
        "vanished_clusters": list(doubt.clusters),
        "asked_again": doubt.looked,
    }


def failure_row(failure: Failure) -> dict[str, object]:
    return {
        "metric": failure.metric,
        "range": iso_range(failure.start, failure.end),
        "attempts": failure.attempts,
        "gap": failure.is_gap,
        "nothing_left": failure.nothing_left,
        "last_tried": iso(failure.at),
        **failure.error.as_dict(),
    }


def files_row(files: Files) -> dict[str, object]:
    largest = sorted(files.clusters.items(), key=lambda cluster: -cluster[1]["bytes"])
    left = dict(largest[CLUSTERS_SHOWN:])
    clusters = {name: count for name, count in files.clusters.items() if name not in left}
    if left:
        clusters[f"{len(left)} more"] = _sum(left)
    return {
        "clusters": clusters,
        **_sum(files.clusters),
        "counted_whole": files.counted_whole,
        **({"unknown": files.unknown} if files.unknown else {}),
        "missing": _named(files.lost_keys, files.lost),
        **({"changed": _named(files.changed_keys, files.changed)} if files.changed else {}),
    }


def _named(keys: list[str], count: int) -> list[str]:
    """The first keys, and how many more there are."""
    return [*keys, *([f"and {more} more"] if (more := count - len(keys)) else [])]


def _sum(clusters: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    return {key: sum(counts[key] for counts in clusters.values()) for key in ("objects", "bytes")}


def ranges_row(intervals: Intervals) -> list[str]:
    more = len(intervals) - SHOWN
    first = [iso_range(*interval) for interval in intervals[:SHOWN]]
    return [*first, f"and {more} more"] if more > 0 else first


def rows_of(
    entries: Iterable[T], row: Callable[[T], dict[str, object]], most: int = SHOWN
) -> list[dict[str, object]]:
    """Rows of the first entries, and one that says how many there are beside."""
    found = list(entries)
    rows = [row(entry) for entry in found[:most]]
    return [*rows, {"more": len(found) - most}] if len(found) > most else rows
