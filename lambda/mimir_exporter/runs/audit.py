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
from ..checkpoint.state import Checkpoint
from ..errors import ExportError, OutOfTimeError, QueryError, StopRunError
from ..source.counts import Counts
from ..storage.manifest import Manifest, RawCounts
from ..timeline.intervals import intersect, subtract
from ..timeline.windows import DAY_S, Window, iso_range, windows_within
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
    the source now, and count as audited: the files have it. `error` stopped the audit."""

    audited: list[Pair] = field(default_factory=list)
    incomplete: list[Pair] = field(default_factory=list)
    fewer: list[Pair] = field(default_factory=list)
    unauditable: dict[Pair, str] = field(default_factory=dict)
    error: StopRunError | None = None

    def record(self, checkpoint: Checkpoint) -> None:
        """Into the checkpoint."""
        for window, name in self.audited:
            mark_audited(checkpoint, name, window)
        for window, name in self.unauditable:
            mark_unauditable(checkpoint, name, window)
        for window, name in self.incomplete:
            mark_pending(checkpoint, name, window)


def audit_exported(context: RunContext, checkpoint: Checkpoint) -> Findings:
    """Audit what is due, the oldest day first, while there is time; the checkpoint has the result.

    An error of the source ends it: the next run goes on.
    """
    found = Findings()
    if not context.settings.audit_after_s:
        return found
    try:
        for due in _due_days(context, checkpoint):
            context.deadline.check()
            day = Findings()
            try:
                _audit_day(context, due, day)
            finally:
                _save(context, day, due)
                found.audited += day.audited
                found.incomplete += day.incomplete
    except OutOfTimeError:
        pass  # the next run goes on
    except StopRunError as error:
        found.error = error
    except ExportError as error:
        log.AUDIT_INTERRUPTED(error=error)
    return found


def _due_days(context: RunContext, checkpoint: Checkpoint) -> Iterator[list[Pair]]:
    """The metric-windows of each day that may be due: not audited, and old enough for it."""
    settings = context.settings
    newest = context.now() - settings.settle_time_s - settings.audit_after_s
    days: dict[int, list[Pair]] = {}
    for name in context.names:
        if name not in checkpoint.metrics:
            continue
        progress = checkpoint.metrics[name]
        exported = intersect(checkpoint.stored(name), [(0, newest)])
        for low, high in subtract(exported, progress.audited, progress.unauditable):
            for window in windows_within(checkpoint.schedules, low, high):
                days.setdefault(window.start // DAY_S, []).append((window, name))
    for day in sorted(days):
        yield days[day]


def _audit_day(context: RunContext, pairs: Sequence[Pair], found: Findings) -> None:
    """Audit those of a day whose export is long enough ago."""
    # A day that was exported just now, as by a backfill, costs one request and not one for each.
    probe = _read(context, random.choice(pairs))  # noqa: S311
    if not isinstance(probe, QueryError) and not _is_due(context, probe):
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
        elif not _is_due(context, manifest):
            continue
        elif manifest.rises >= UNSTABLE_RISES:
            found.unauditable[pair] = (
                f"The source is unstable: it had more samples {manifest.rises} times in a row"
            )
        elif manifest.raw is None:
            by_answers[pair] = manifest
        else:
            by_counts[pair] = manifest
    _compare_counts(context, by_counts, found)
    _compare_answers(context, by_answers, found)


def _read(context: RunContext, pair: Pair) -> Manifest | QueryError | None:
    """A manifest, or why it cannot be read: that is of this one alone. Raises StopRunError."""
    window, name = pair
    try:
        stored = context.manifests.read(name, window.start)
    except QueryError as error:
        return error
    return None if stored is None else stored[0]


def _is_due(context: RunContext, manifest: Manifest | None) -> bool:
    if manifest is None:
        return True
    return manifest.exported + context.settings.audit_after_s <= context.now()


def _compare_counts(
    context: RunContext, manifests: Mapping[Pair, Manifest], found: Findings
) -> None:
    """By raw samples, with the query that the window was exported with."""
    label = context.settings.cluster_label
    metrics = {metric.name: metric for metric in context.catalog}
    same: dict[Pair, Manifest] = {}
    for pair, manifest in manifests.items():
        if manifest.query == metrics[pair[1]].promql(label):
            same[pair] = manifest
        else:
            found.unauditable[pair] = (
                "The query has changed since its export; a reexport follows the new one"
            )
    asked = [metrics[name] for name in dict.fromkeys(name for _, name in same)]
    windows = sorted({window for window, _ in same})
    for window, counts in context.counter.count_windows(asked, windows):
        for metric in asked:
            kept = same.get((window, metric.name))
            if kept is None or kept.raw is None:
                continue
            if metric.name not in counts:
                found.unauditable[window, metric.name] = "The source refuses to count its samples"
                continue
            before, now = _flat(kept.raw), _flat(counts[metric.name])
            _judge((window, metric.name), before, now, found)


def _compare_answers(
    context: RunContext, manifests: Mapping[Pair, Manifest], found: Findings
) -> None:
    """By the samples of the query's own answer, where raw ones were not counted."""
    for pair, manifest in manifests.items():
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
