"""Answers "is October complete?" from the checkpoint and the bucket.

The result is for the console: every list in it is cut to what a person reads, and says how much
there is more, so that a year's stays below 100 KB.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from ..checkpoint.changes import Change, changes_of, expired_before
from ..checkpoint.records import Acceptance, Doubt, Failure, PartialExport, ReexportRequest
from ..checkpoint.state import Checkpoint
from ..checkpoint.wanted import lag_s
from ..errors import settings as errors
from ..events import StatusEvent, StatusResult
from ..runs.context import RunContext
from ..storage.manifest import ManifestStore
from ..timeline.deadline import Deadline
from ..timeline.intervals import Interval, Intervals, intersect, union
from ..timeline.windows import DAY_S, iso, iso_range, window_at
from ..words import counted
from .states import EXPORTED_STATES, IN_SCOPE_STATES, LOST, MISSING, Coverage, Line, State, survey
from .stored_files import Files, count_files
from .verdict import Verdict, judge, range_name

T = TypeVar("T")

# The checkpoint answers at once; a person at the console does not wait for a thousand listings.
COUNT_S = 20.0
SHOWN = 30  # entries of one list
GROUPS_SHOWN = 20  # groups of metrics that stand alike: mostly there is one
CLUSTERS_SHOWN = 200
# A range further ahead than this is a slip of the keyboard.
AHEAD_S = 10 * 366 * DAY_S


def report_status(context: RunContext, event: StatusEvent) -> StatusResult:
    """What is exported, pending and missing in a range, by default in all that is wanted.

    The range is widened to whole windows. `files` counts what the bucket has of the range, for
    COUNT_S at most, or for as long as the invocation may last where the event has `files`;
    `counted_whole` says whether it did, and then `missing` names the files that the checkpoint
    promises and the bucket does not have; `unknown` counts those of which it has forgotten whether
    it promises them. Raises SettingsError for a range that cannot be.
    """
    checkpoint = context.store.read()
    now = context.now()
    if not checkpoint.metrics:
        return {
            "outcome": "nothing_yet",
            "message": "There is no checkpoint: nothing has been exported yet; invoke the "
            "function with {} or wait for the schedule.",
        }
    # Only in memory: what the next run will take in counts already.
    context.adopt(checkpoint, read_only=True)
    span = _range(context, checkpoint, event, now)
    coverage = survey(checkpoint, context.names, context.settings, now, span)
    patience = context.deadline
    if not event.files:
        patience = Deadline(min(COUNT_S, context.deadline.remaining_s()))
    settings = context.settings
    manifests = ManifestStore(context.bucket, settings.prefix, settings.cluster_name)
    files = count_files(context.bucket, settings.prefix, coverage, patience, manifests)
    name = range_name(coverage.start, coverage.end)
    verdict = _with_files(judge(coverage), name, files)
    counts = coverage.counts()
    missing = coverage.ranges_where(any_of=MISSING | LOST)
    reasons = sorted(coverage.reasons, key=lambda one: not one.is_gap)
    return {
        "outcome": verdict.outcome,
        "message": verdict.message,
        "range": iso_range(coverage.start, coverage.end),
        "covered": _ranges(
            coverage.ranges_where(any_of=EXPORTED_STATES, all_of=EXPORTED_STATES | {State.BEFORE})
        ),
        "lag_s": lag_s(checkpoint, context.names, now),
        "pending_windows": sum(coverage.windows(*one) for one in missing),
        "metric_windows": {
            state.value: counts[state]
            for state in State
            if counts[state] and state in IN_SCOPE_STATES
        },
        "coverage": _cut([_line(line) for line in coverage.lines], _more, GROUPS_SHOWN),
        "audited_until": iso(coverage.audited_until)
        if coverage.audited_until > coverage.start
        else None,
        "reexports": _cut(
            [_reexport(one) for one in checkpoint.reexports if _touches(one, coverage)], _more
        ),
        "accepted": _cut(
            [_acceptance(one) for one in checkpoint.accepted if _accepted_in(one, coverage)], _more
        ),
        "changes": [_change(one) for one in changes_of(checkpoint, now)],
        "in_part": _cut(
            [_partial(name, one) for name, parts in coverage.in_part.items() for one in parts],
            _more,
        ),
        "unconfirmed": _cut(
            [_doubt(name, one) for name, found in coverage.doubts.items() for one in found], _more
        ),
        "failures": _cut([_failure(one) for one in reasons], _more),
        "executions": _cut(
            [
                {
                    "name": name,
                    "status": _execution_status(context, name),
                    "ranges": _ranges(ranges),
                }
                for name, ranges in list(coverage.executions.items())[:SHOWN]
            ],
            _more,
        ),
        "files": _files(files),
    }


def _range(context: RunContext, checkpoint: Checkpoint, event: StatusEvent, now: int) -> Interval:
    if event.month is not None:
        if event.start is not None or event.end is not None:
            raise errors.CONFLICTING_EVENT(keys="month and start or end")
        return event.month
    newest = window_at(checkpoint.schedules, now - context.settings.settle_time_s).start
    # What was asked for by hand is wanted too, and may lie before the beginning.
    begins = [one.start for one in checkpoint.reexports]
    begins += [checkpoint.metrics[name].since for name in context.names]
    oldest = min(begins, default=newest)
    start, end = max(oldest, expired_before(checkpoint, context.settings, now)), newest
    start = start if event.start is None else event.start
    end = end if event.end is None else event.end
    if start >= end:
        raise errors.INVALID_RANGE(
            range=f"{iso(start)}/{iso(end)}",
            problem="it is empty",
            change=f"give a start before the end; windows are due up to {iso(newest)} now",
        )
    if start < 0 or end > now + AHEAD_S:
        raise errors.INVALID_RANGE(
            range=f"{iso(start)}/{iso(end)}",
            problem="it is before 1970 or more than ten years ahead",
            change="give another range",
        )
    return start, end


def _with_files(verdict: Verdict, name: str, files: Files) -> Verdict:
    """The bucket has the last word: a file that is promised and not there is missing."""
    if files.unknown:
        note = (
            f"{counted(files.unknown, 'file')} may be missing: whether there were any series to "
            "write is not known any more, because the checkpoint had no room for it; exporting "
            "the range again writes what Mimir has."
        )
        verdict = replace(verdict, notes=(*verdict.notes, note))
    faults = [
        f"{counted(count, 'recorded file')} {'is' if count == 1 else 'are'} {what}"
        for count, what in (
            (files.lost, "missing from the bucket"),
            (files.changed, "not as exported"),
        )
        if count
    ]
    if not faults:
        return verdict
    return Verdict(
        "incomplete",
        f"{name} is not complete",
        f"{' and '.join(faults)}; reexport that range",
        (f"The checkpoint alone says: {verdict.message}",),
    )


def _line(line: Line) -> dict[str, object]:
    """Ranges by what became of them; `exported` has those without series too."""

    def ranges(*states: State) -> Intervals:
        return union((span.start, span.end) for span in line.spans if span.state in states)

    told: dict[str, object] = {
        "metrics": list(line.metrics),
        "exported": _ranges(ranges(*EXPORTED_STATES)),
        "without_series": _ranges(ranges(State.EMPTY)),
        "missing": _ranges(ranges(*MISSING, *LOST)),
    }
    others = {
        "audited": State.AUDITED,
        "unauditable": State.UNAUDITABLE,
        "source_unstable": State.UNSTABLE,
        "reexport_requested": State.AGAIN,
        "in_part": State.IN_PART,
        "unconfirmed": State.UNCONFIRMED,
        "gaps": State.GAP,
        "nothing_left": State.NOTHING_LEFT,
        "accepted": State.ACCEPTED,
        "missed_past_retention": State.MISSED_PAST_RETENTION,
        "deleted_by_retention": State.DELETED,
        "before_the_beginning": State.BEFORE,
        "not_yet_due": State.NOT_DUE,
    }
    return told | {key: _ranges(found) for key, state in others.items() if (found := ranges(state))}


def _reexport(one: ReexportRequest) -> dict[str, object]:
    """What is not done yet of a request."""
    return {
        "range": iso_range(one.start, one.end),
        "metrics": list(one.metrics),
        "force": one.force,
        "requested": iso(one.requested_at),
    }


def _touches(one: ReexportRequest, coverage: Coverage) -> bool:
    return one.start < coverage.end and coverage.start < one.end


def _acceptance(one: Acceptance) -> dict[str, object]:
    return {
        "ranges": _ranges(one.ranges),
        "metrics": list(one.metrics),
        "by": one.by,
        "reason": one.reason,
        "at": iso(one.at),
    }


def _accepted_in(one: Acceptance, coverage: Coverage) -> bool:
    return bool(intersect(one.ranges, [(coverage.start, coverage.end)]))


def _change(one: Change) -> dict[str, object]:
    """A setting that is not in force yet for what is there."""
    return {
        "setting": one.setting,
        "before": one.before,
        "value": one.value,
        "first_seen": iso(one.since),
        "in_force": iso(one.at),
    }


def _partial(name: str, one: PartialExport) -> dict[str, object]:
    """What the files lack: all before `from`, or, without it, what the source had more."""
    begins = {"from": iso(one.begins)} if one.begins else {}
    return {"metric": name, "range": iso_range(one.start, one.end), **begins}


def _doubt(name: str, one: Doubt) -> dict[str, object]:
    return {
        "metric": name,
        "range": iso_range(one.start, one.end),
        "vanished_clusters": list(one.clusters),
        "asked_again": one.looked,
    }


def _failure(one: Failure) -> dict[str, object]:
    return {
        "metric": one.metric,
        "range": iso_range(one.start, one.end),
        "attempts": one.attempts,
        "gap": one.is_gap,
        "nothing_left": one.nothing_left,
        "last_tried": iso(one.at),
        **one.error.as_dict(),
    }


def _files(files: Files) -> dict[str, object]:
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


def _more(more: int) -> dict[str, object]:
    return {"more": more}


def _execution_status(context: RunContext, name: str) -> str:
    if context.machine is None:
        return "unknown"
    ending = context.machine.ending(name)
    return "never_started" if ending is None else ending or "running"


def _ranges(intervals: Intervals) -> list[str]:
    return _cut([iso_range(*one) for one in intervals], lambda more: f"and {more} more")


def _cut(entries: list[T], last: Callable[[int], T], most: int = SHOWN) -> list[T]:
    """The first entries, and one that says how many there are beside."""
    if len(entries) <= most:
        return entries
    return [*entries[:most], last(len(entries) - most)]
