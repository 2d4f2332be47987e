"""The audit: AUDIT_AFTER a window's export the source's samples are counted again.

Late data, answers that lacked a store, and clusters that a list had lost are found by it: where the
source has more than just before the export, the metric-window is pending again. It runs after what
is due, in what remains of the time, a day's windows in one query.
"""

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from .. import log
from ..checkpoint.records import RangeTask
from ..checkpoint.state import Checkpoint
from ..checkpoint.tasks import drop_task
from ..errors import ExportError, OutOfTimeError, QueryError, StopRunError
from ..storage.manifest import Manifest
from ..timeline.deadline import Deadline
from ..timeline.intervals import intersect, subtract
from ..timeline.windows import DAY_S, iso_range, windows_within
from .audit_compare import Findings, Look, Pair, compare_answers, compare_counts, has_changed
from .context import RunContext

# A source that has had more so often is not followed any further.
UNSTABLE_RISES = 3
# Reading a manifest waits for the network: so many at once.
READS = 8


def audit_exported(context: RunContext, checkpoint: Checkpoint) -> Findings:
    """Audit what is due, the oldest day first, while there is time; the checkpoint has the result.

    Ranges that an operator wants audited come first. An error of the source ends it: the next run
    continues.
    """
    found = Findings()
    for task in checkpoint.tasks:
        if task.action == "audit" and found.error is None:
            _audit(context, checkpoint, found, task)
    if context.settings.audit_after_s and found.error is None:
        _audit(context, checkpoint, found, None)
    return found


def audit_task(
    context: RunContext, checkpoint: Checkpoint, task: RangeTask, share: float
) -> Findings:
    """Audit the range of a task, in a share of the time that is left."""
    found = Findings()
    _audit(context, checkpoint, found, task, Deadline(context.deadline.remaining_s() * share))
    return found


def _audit(
    context: RunContext,
    checkpoint: Checkpoint,
    found: Findings,
    task: RangeTask | None,
    deadline: Deadline | None = None,
) -> None:
    """Audit what AUDIT_AFTER says, or a task's range at once."""
    deadline = deadline or context.deadline
    look = Look(context, task is not None, deadline)
    try:
        for due in _due_days(context, checkpoint, task):
            deadline.check()
            day = Findings()
            try:
                _audit_day(look, due, day)
            finally:
                _save(context, day, due)
                found.add_day(day, due)
        found.finished = True
        if task is not None:
            context.store.update(lambda fresh: drop_task(fresh, task))
    except OutOfTimeError:
        pass  # the next run continues
    except StopRunError as error:
        found.error = error
    except ExportError as error:
        log.AUDIT_INTERRUPTED(error=error)


def _due_days(
    context: RunContext, checkpoint: Checkpoint, task: RangeTask | None
) -> Iterator[list[Pair]]:
    """The metric-windows of each day that may be due: not audited, and old enough for it."""
    settings = context.settings
    span = (0, context.now() - settings.settle_time_s - settings.audit_after_s)
    names: Sequence[str] = context.names
    if task is not None:
        span, names = (task.start, task.end), task.metrics
    days: dict[int, list[Pair]] = {}
    for name in names:
        if name not in checkpoint.metrics or name not in context.names:
            continue
        progress = checkpoint.metrics[name]
        exported = intersect(checkpoint.stored(name), [span])
        for low, high in subtract(exported, progress.audited, progress.unauditable):
            for window in windows_within(checkpoint.schedules, low, high):
                days.setdefault(window.start // DAY_S, []).append((window, name))
    for day in sorted(days):
        yield days[day]


def _audit_day(look: Look, pairs: Sequence[Pair], found: Findings) -> None:
    """Audit those of a day whose export is long enough ago."""
    context = look.context
    # A day that was exported just now, as by a backfill, costs two requests and not one for each: a
    # window of a day that was not may have been exported again just now.
    probes = [_read(context, pair) for pair in (min(pairs), random.choice(pairs))]  # noqa: S311
    if not any(isinstance(manifest, QueryError) or _is_due(look, manifest) for manifest in probes):
        return
    with ThreadPoolExecutor(READS) as pool:
        manifests = dict(
            zip(pairs, pool.map(lambda pair: _read(context, pair), pairs), strict=True)
        )
    by_counts: dict[Pair, Manifest] = {}
    by_answers: dict[Pair, Manifest] = {}
    for pair, manifest in manifests.items():
        if isinstance(manifest, QueryError):
            log.MANIFEST_NOT_READ(error=manifest)
            found.unauditable[pair] = str(manifest)
        elif manifest is None or manifest.is_listed:
            found.unauditable[pair] = "It was exported before there were manifests"
        elif not _is_due(look, manifest):
            continue
        elif manifest.rises >= UNSTABLE_RISES:
            found.unstable.add(pair)
            found.unauditable[pair] = (
                f"The source is unstable: it had more samples {manifest.rises} times in a row"
            )
        elif manifest.raw is None or (look.at_once and has_changed(context, pair, manifest)):
            by_answers[pair] = manifest
        else:
            by_counts[pair] = manifest
    compare_counts(look, by_counts, found)
    compare_answers(look, by_answers, found)


def _read(context: RunContext, pair: Pair) -> Manifest | QueryError | None:
    """A manifest, or why it cannot be read: that is of this one alone. Raises StopRunError."""
    window, name = pair
    try:
        stored = context.manifests.read(name, window.start)
    except QueryError as error:
        return error
    return None if stored is None else stored[0]


def _is_due(look: Look, manifest: Manifest | None) -> bool:
    return manifest is None or look.at_once or look.is_over(manifest)


def _save(context: RunContext, found: Findings, due: Sequence[Pair]) -> None:
    """Record a day's result, with a line of it and one for each reason why not."""
    if not found.looked_at:
        return
    if found.decided:
        context.store.update(found.record)
    context.exporter.totals.add_audit(
        len(found.audited), len(found.incomplete), len(found.unauditable)
    )
    span = iso_range(min(window.start for window, _ in due), max(window.end for window, _ in due))
    log.WINDOWS_AUDITED(
        range=span,
        audited=len(found.audited),
        incomplete=len(found.incomplete),
        fewer=len(found.fewer),
        unauditable=len(found.unauditable),
    )
    reasons: dict[str, int] = {}
    for reason in found.unauditable.values():
        reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in reasons.items():
        log.WINDOWS_NOT_AUDITABLE(range=span, unauditable=count, summary=reason)
