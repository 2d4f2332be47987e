"""Answers "is October complete?" from the checkpoint and the bucket.

The result is for the console: every list in it is cut to what a person reads, and says how much
there is more, so that a year's stays below 100 KB.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from ..checkpoint.changes import changes_of, expired_before
from ..checkpoint.records import Acceptance, ReexportRequest
from ..checkpoint.state import Checkpoint
from ..checkpoint.wanted import lag_s
from ..errors import settings as errors
from ..events import StatusEvent, StatusResult
from ..runs.context import RunContext
from ..timeline.deadline import Deadline
from ..timeline.intervals import Interval, Intervals, intersect
from ..timeline.windows import DAY_S, iso, iso_range, window_at
from ..words import counted
from .compute import Coverage, compute_coverage
from .states import EXPORTED_STATES, IN_SCOPE_STATES, LOST, MISSING, State
from .status_rows import (
    acceptance_row,
    change_row,
    failure_row,
    files_row,
    group_row,
    partial_row,
    ranges_row,
    reexport_row,
    rows_of,
    unconfirmed_row,
)
from .stored_files import Files, count_files
from .summary import CoverageSummary, range_name, summarize

T = TypeVar("T")

# The checkpoint answers at once; a person at the console does not wait for a thousand listings.
COUNT_S = 20.0
GROUPS_SHOWN = 20  # groups of metrics with equal states: mostly there is one
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
    coverage = compute_coverage(checkpoint, context.names, context.settings, now, span)
    patience = context.deadline
    if not event.files:
        patience = Deadline(min(COUNT_S, context.deadline.remaining_s()))
    files = count_files(
        context.bucket, context.settings.prefix, coverage, patience, context.manifests
    )
    name = range_name(coverage.start, coverage.end)
    summary = _with_files(summarize(coverage), name, files)
    return _result(context, checkpoint, coverage, summary, files)


def _result(
    context: RunContext,
    checkpoint: Checkpoint,
    coverage: Coverage,
    summary: CoverageSummary,
    files: Files,
) -> StatusResult:
    now = context.now()
    counts = coverage.counts()
    missing = coverage.ranges_where(any_of=MISSING | LOST)
    reasons = sorted(coverage.reasons, key=lambda failure: not failure.is_gap)
    return {
        "outcome": summary.outcome,
        "message": summary.message,
        "range": iso_range(coverage.start, coverage.end),
        "covered": ranges_row(
            coverage.ranges_where(
                any_of=EXPORTED_STATES, all_of=EXPORTED_STATES | {State.BEFORE_BEGINNING}
            )
        ),
        "lag_s": lag_s(checkpoint, context.names, now),
        "pending_windows": sum(coverage.windows(*interval) for interval in missing),
        "metric_windows": {
            state.value: counts[state]
            for state in State
            if counts[state] and state in IN_SCOPE_STATES
        },
        "coverage": rows_of(coverage.groups, group_row, GROUPS_SHOWN),
        "audited_until": iso(coverage.audited_until)
        if coverage.audited_until > coverage.start
        else None,
        "reexports": rows_of(
            (request for request in checkpoint.reexports if _touches(request, coverage)),
            reexport_row,
        ),
        "accepted": rows_of(
            (
                acceptance
                for acceptance in checkpoint.accepted
                if _accepted_in(acceptance, coverage)
            ),
            acceptance_row,
        ),
        "changes": rows_of(changes_of(checkpoint, now), change_row),
        "in_part": rows_of(_pairs(coverage.in_part), lambda pair: partial_row(*pair)),
        "unconfirmed": rows_of(_pairs(coverage.doubts), lambda pair: unconfirmed_row(*pair)),
        "failures": rows_of(reasons, failure_row),
        "executions": rows_of(
            coverage.executions.items(), lambda execution: _execution_row(context, *execution)
        ),
        "files": files_row(files),
    }


def _range(context: RunContext, checkpoint: Checkpoint, event: StatusEvent, now: int) -> Interval:
    if event.month is not None:
        if event.start is not None or event.end is not None:
            raise errors.CONFLICTING_EVENT(keys="month and start or end")
        return event.month
    newest = window_at(checkpoint.schedules, now - context.settings.settle_time_s).start
    # What was asked for by hand is wanted too, and may lie before the beginning.
    begins = [request.start for request in checkpoint.reexports]
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


def _with_files(summary: CoverageSummary, name: str, files: Files) -> CoverageSummary:
    """The bucket has the last word: a file that is promised and not there is missing."""
    if files.unknown:
        note = (
            f"{counted(files.unknown, 'file')} may be missing: whether there were any series to "
            "write is not known any more, because the checkpoint had no room for it; exporting "
            "the range again writes what Mimir has."
        )
        summary = replace(summary, notes=(*summary.notes, note))
    faults = [
        f"{counted(count, 'recorded file')} {'is' if count == 1 else 'are'} {what}"
        for count, what in (
            (files.lost, "missing from the bucket"),
            (files.changed, "not as exported"),
        )
        if count
    ]
    if not faults:
        return summary
    return CoverageSummary(
        "incomplete",
        f"{name} is incomplete",
        f"{' and '.join(faults)}; reexport that range",
        (f"The checkpoint alone says: {summary.message}",),
    )


def _touches(request: ReexportRequest, coverage: Coverage) -> bool:
    return request.start < coverage.end and coverage.start < request.end


def _accepted_in(acceptance: Acceptance, coverage: Coverage) -> bool:
    return bool(intersect(acceptance.ranges, [(coverage.start, coverage.end)]))


def _pairs(by_metric: Mapping[str, Iterable[T]]) -> Iterator[tuple[str, T]]:
    return ((name, entry) for name, entries in by_metric.items() for entry in entries)


def _execution_row(context: RunContext, name: str, ranges: Intervals) -> dict[str, object]:
    status = "unknown"
    if context.machine is not None:
        ending = context.machine.ending(name)
        status = "never_started" if ending is None else ending or "running"
    return {"name": name, "status": status, "ranges": ranges_row(ranges)}
