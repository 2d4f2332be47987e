"""The audit: AUDIT_AFTER a window's export the source's samples are counted again.

Late data, answers that lacked a store, and clusters that a list had lost are found by it: where the
source has more than just before the export, the metric-window is pending again. It runs after what
is due, in what remains of the time, a day's windows in one query.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from .. import log
from ..checkpoint.outcomes import mark_audited, mark_pending, mark_unauditable
from ..checkpoint.records import RangeTask
from ..checkpoint.state import Checkpoint
from ..checkpoint.tasks import drop_task
from ..errors import ExportError, OutOfTimeError, QueryError, StopRunError
from ..source.counts import Counts
from ..storage.manifest import Manifest, RawCounts
from ..timeline.deadline import Deadline
from ..timeline.intervals import intersect, subtract
from ..timeline.windows import DAY_S, Window, iso_range, windows_within
from .by_day import DayReport
from .context import RunContext

# A source that has had more so often is not followed any further.
UNSTABLE_RISES = 3
# Reading a manifest waits for the network: so many at once.
READS = 8
# Clusters that a log line names.
NAMED = 5

# A metric-window.
Pair = tuple[Window, str]


@dataclass
class Findings:
    """What an audit came to. `incomplete` metric-windows are pending again; `fewer` have less at
    the source now, and count as audited: the files have it. `error` stopped the audit; `finished`:
    all that was due was looked at."""

    audited: list[Pair] = field(default_factory=list)
    incomplete: list[Pair] = field(default_factory=list)
    fewer: list[Pair] = field(default_factory=list)
    unauditable: dict[Pair, str] = field(default_factory=dict)
    unstable: set[Pair] = field(default_factory=set)  # of `unauditable`
    error: StopRunError | None = None
    days: list[DayReport] = field(default_factory=list)
    finished: bool = False

    def add_day(self, day: "Findings", due: Sequence[Pair]) -> None:
        """What a day came to."""
        self.audited += day.audited
        self.incomplete += day.incomplete
        midnight = due[0][0].start - due[0][0].start % DAY_S
        found = {
            "audited": len(day.audited),
            "incomplete": len(day.incomplete),
            "fewer": len(day.fewer),
            "unauditable": len(day.unauditable),
        }
        looked_at = len(day.audited) + len(day.incomplete) + len(day.unauditable)
        if looked_at:
            self.days.append(DayReport(midnight, looked_at, found))

    def record(self, checkpoint: Checkpoint) -> None:
        """Into the checkpoint."""
        for window, name in self.audited:
            mark_audited(checkpoint, name, window)
        for window, name in self.unauditable:
            unstable = (window, name) in self.unstable
            mark_unauditable(checkpoint, name, window, unstable=unstable)
        for window, name in self.incomplete:
            mark_pending(checkpoint, name, window)


def audit_exported(context: RunContext, checkpoint: Checkpoint) -> Findings:
    """Audit what is due, the oldest day first, while there is time; the checkpoint has the result.

    Ranges that an operator wants audited come first. An error of the source ends it: the next run
    goes on.
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
    look = _Look(context, task is not None, deadline)
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
        pass  # the next run goes on
    except StopRunError as error:
        found.error = error
    except ExportError as error:
        log.AUDIT_INTERRUPTED(error=error)


@dataclass(frozen=True)
class _Look:
    """How to audit. `at_once`: an operator wants it, so AUDIT_AFTER is not waited for, and where
    the query has changed since the export its answers are counted."""

    context: RunContext
    at_once: bool
    deadline: Deadline


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


def _audit_day(look: _Look, pairs: Sequence[Pair], found: Findings) -> None:
    """Audit those of a day whose export is long enough ago."""
    context = look.context
    # A day that was exported just now, as by a backfill, costs two requests and not one for each: a
    # window of a day that was not may have been exported again just now.
    probes = [_read(context, pair) for pair in (min(pairs), random.choice(pairs))]  # noqa: S311
    if not any(isinstance(one, QueryError) or _is_due(look, one) for one in probes):
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
        elif manifest.raw is None or (look.at_once and _has_changed(context, pair, manifest)):
            by_answers[pair] = manifest
        else:
            by_counts[pair] = manifest
    _compare_counts(look, by_counts, found)
    _compare_answers(look, by_answers, found)


def _read(context: RunContext, pair: Pair) -> Manifest | QueryError | None:
    """A manifest, or why it cannot be read: that is of this one alone. Raises StopRunError."""
    window, name = pair
    try:
        stored = context.manifests.read(name, window.start)
    except QueryError as error:
        return error
    return None if stored is None else stored[0]


def _is_due(look: _Look, manifest: Manifest | None) -> bool:
    if manifest is None or look.at_once:
        return True
    context = look.context
    return manifest.exported + context.settings.audit_after_s <= context.now()


def _has_changed(context: RunContext, pair: Pair, manifest: Manifest) -> bool:
    """Whether the query is another one than at the export."""
    label = context.settings.cluster_label
    queries = (one.promql(label) for one in context.catalog if one.name == pair[1])
    return manifest.query not in queries


def _compare_counts(look: _Look, manifests: Mapping[Pair, Manifest], found: Findings) -> None:
    """By raw samples, with the query that the window was exported with."""
    context = look.context
    metrics = {metric.name: metric for metric in context.catalog}
    same: dict[Pair, Manifest] = {}
    for pair, manifest in manifests.items():
        if not _has_changed(context, pair, manifest):
            same[pair] = manifest
        else:
            found.unauditable[pair] = (
                "The query has changed since its export; a reexport follows the new one"
            )
    asked = [metrics[name] for name in dict.fromkeys(name for _, name in same)]
    windows = sorted({window for window, _ in same})
    for window, counts in context.counter.count_windows(asked, windows):
        look.deadline.check()
        for metric in asked:
            kept = same.get((window, metric.name))
            if kept is None or kept.raw is None:
                continue
            if metric.name not in counts:
                found.unauditable[window, metric.name] = "The source refuses to count its samples"
                continue
            before, now = _flat(kept.raw), _flat(counts[metric.name])
            _judge((window, metric.name), before, now, found)


def _compare_answers(look: _Look, manifests: Mapping[Pair, Manifest], found: Findings) -> None:
    """By the samples of the query's own answer, where raw ones were not counted."""
    context = look.context
    for pair, manifest in manifests.items():
        look.deadline.check()
        layout = manifest.layout
        before: Counts = {}
        for file in manifest.files:
            before[file.cluster] = before.get(file.cluster, 0) + file.samples
        now: Counts = {}
        for cluster, samples in context.counter.count_answers(manifest.query, pair[0]).items():
            split = layout is not None and layout.split_by_cluster
            name = (cluster if split else "") or context.settings.cluster_name
            now[name] = now.get(name, 0) + samples
        _judge(pair, before, now, found)


def _flat(counts: RawCounts) -> dict[str, int]:
    """By selector and cluster at once."""
    return {
        f"{cluster} of {selector}": samples
        for selector, by_cluster in counts.items()
        for cluster, samples in by_cluster.items()
    }


def _judge(pair: Pair, before: Mapping[str, int], now: Mapping[str, int], found: Findings) -> None:
    """What the counts say of a metric-window; logged where it is not what it should be."""
    more = [name for name, samples in now.items() if samples > before.get(name, 0)]
    fewer = [name for name, samples in before.items() if samples > now.get(name, 0)]
    window, metric = pair
    fields: log.Fields = {
        "window": str(window),
        "metric": metric,
        "samples_before": sum(before.values()),
        "samples_now": sum(now.values()),
    }
    if before and not any(now.values()) and any(before.values()):
        found.unauditable[pair] = "The source has forgotten it"
    elif more:
        found.incomplete.append(pair)
        fields["cluster_names"] = sorted(more)[:NAMED]
        log.MORE_SAMPLES_AT_SOURCE(**fields)
    else:
        found.audited.append(pair)
        if fewer:
            found.fewer.append(pair)
            fields["cluster_names"] = sorted(fewer)[:NAMED]
            log.FEWER_SAMPLES_AT_SOURCE(**fields)


def _save(context: RunContext, found: Findings, due: Sequence[Pair]) -> None:
    """Record a day's result, with a line of it and one for each reason why not."""
    if not found.audited and not found.incomplete and not found.unauditable:
        return
    context.store.update(found.record)
    context.exporter.totals.add_audit(
        len(found.audited), len(found.incomplete), len(found.unauditable)
    )
    span = iso_range(min(one.start for one, _ in due), max(one.end for one, _ in due))
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
