"""Answers "is October complete?" from the checkpoint and the bucket.

The result is for the console: every list in it is cut to what a person reads, and says how much
there is more, so that a year's stays below 100 KB.
"""

from dataclasses import replace

from ..checkpoint.changes import changes_of, expired_before
from ..checkpoint.records import Acceptance, ReexportRequest
from ..checkpoint.state import Checkpoint
from ..checkpoint.wanted import lag_s
from ..errors import settings as errors
from ..events import StatusEvent, StatusResult
from ..runs.context import RunContext
from ..storage.manifest import ManifestStore
from ..timeline.deadline import Deadline
from ..timeline.intervals import Interval, intersect
from ..timeline.windows import DAY_S, iso, iso_range, window_at
from ..words import counted
from .compute import Coverage, compute_coverage
from .states import EXPORTED_STATES, IN_SCOPE_STATES, LOST, MISSING, State
from .status_rows import (
    SHOWN,
    acceptance_row,
    change_row,
    failure_row,
    files_row,
    first_rows,
    group_row,
    more_row,
    partial_row,
    ranges_row,
    reexport_row,
    unconfirmed_row,
)
from .stored_files import Files, count_files
from .summary import CoverageSummary, range_name, summarize

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
    settings = context.settings
    manifests = ManifestStore(context.bucket, settings.prefix, settings.cluster_name)
    files = count_files(context.bucket, settings.prefix, coverage, patience, manifests)
    name = range_name(coverage.start, coverage.end)
    summary = _with_files(summarize(coverage), name, files)
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
        "coverage": first_rows(
            [group_row(group) for group in coverage.groups], more_row, GROUPS_SHOWN
        ),
        "audited_until": iso(coverage.audited_until)
        if coverage.audited_until > coverage.start
        else None,
        "reexports": first_rows(
            [
                reexport_row(request)
                for request in checkpoint.reexports
                if _touches(request, coverage)
            ],
            more_row,
        ),
        "accepted": first_rows(
            [
                acceptance_row(acceptance)
                for acceptance in checkpoint.accepted
                if _accepted_in(acceptance, coverage)
            ],
            more_row,
        ),
        "changes": [change_row(change) for change in changes_of(checkpoint, now)],
        "in_part": first_rows(
            [partial_row(name, part) for name, parts in coverage.in_part.items() for part in parts],
            more_row,
        ),
        "unconfirmed": first_rows(
            [
                unconfirmed_row(name, doubt)
                for name, found in coverage.doubts.items()
                for doubt in found
            ],
            more_row,
        ),
        "failures": first_rows([failure_row(failure) for failure in reasons], more_row),
        "executions": first_rows(
            [
                {
                    "name": name,
                    "status": _execution_status(context, name),
                    "ranges": ranges_row(ranges),
                }
                for name, ranges in list(coverage.executions.items())[:SHOWN]
            ],
            more_row,
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


def _execution_status(context: RunContext, name: str) -> str:
    if context.machine is None:
        return "unknown"
    ending = context.machine.ending(name)
    return "never_started" if ending is None else ending or "running"
