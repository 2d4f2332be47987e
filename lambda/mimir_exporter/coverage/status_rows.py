"""The rows of a status: dicts for a person at the console, no longer than what one reads.

Times are UTC, ranges `start/end` of two moments.
"""

from collections.abc import Callable, Mapping
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


def reexport_row(one: ReexportRequest) -> dict[str, object]:
    """What is not done yet of a request."""
    return {
        "range": iso_range(one.start, one.end),
        "metrics": list(one.metrics),
        "force": one.force,
        "requested": iso(one.requested_at),
    }


def acceptance_row(one: Acceptance) -> dict[str, object]:
    return {
        "ranges": ranges_row(one.ranges),
        "metrics": list(one.metrics),
        "by": one.by,
        "reason": one.reason,
        "at": iso(one.at),
    }


def change_row(one: Change) -> dict[str, object]:
    """A setting that is not in force yet for what is there."""
    return {
        "setting": one.setting,
        "before": one.before,
        "value": one.value,
        "first_seen": iso(one.since),
        "in_force": iso(one.at),
    }


def partial_row(name: str, one: PartialExport) -> dict[str, object]:
    """What the files lack: all before `from`, or, without it, what the source had more."""
    begins = {"from": iso(one.begins)} if one.begins else {}
    return {"metric": name, "range": iso_range(one.start, one.end), **begins}


def unconfirmed_row(name: str, one: Doubt) -> dict[str, object]:
    return {
        "metric": name,
        "range": iso_range(one.start, one.end),
        "vanished_clusters": list(one.clusters),
        "asked_again": one.looked,
    }


def failure_row(one: Failure) -> dict[str, object]:
    return {
        "metric": one.metric,
        "range": iso_range(one.start, one.end),
        "attempts": one.attempts,
        "gap": one.is_gap,
        "nothing_left": one.nothing_left,
        "last_tried": iso(one.at),
        **one.error.as_dict(),
    }


def files_row(files: Files) -> dict[str, object]:
    largest = sorted(files.clusters.items(), key=lambda one: -one[1]["bytes"])
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
    return {key: sum(one[key] for one in clusters.values()) for key in ("objects", "bytes")}


def more_row(more: int) -> dict[str, object]:
    return {"more": more}


def ranges_row(intervals: Intervals) -> list[str]:
    return first_rows([iso_range(*one) for one in intervals], lambda more: f"and {more} more")


def first_rows(entries: list[T], last: Callable[[int], T], most: int = SHOWN) -> list[T]:
    """The first entries, and one that says how many there are beside."""
    if len(entries) <= most:
        return entries
    return [*entries[:most], last(len(entries) - most)]
