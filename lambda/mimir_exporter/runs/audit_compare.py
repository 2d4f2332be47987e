"""What the counts of an audit say of each metric-window, held against those of its export."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .. import log
from ..checkpoint.outcomes import mark_audited, mark_pending, mark_unauditable
from ..checkpoint.state import Checkpoint
from ..errors import StopRunError
from ..source.counts import Counts
from ..storage.manifest import Manifest, RawCounts
from ..timeline.deadline import Deadline
from ..timeline.windows import DAY_S, Window
from .by_day import DayReport
from .context import RunContext

# Clusters that a log line names.
NAMED = 5

# A metric-window.
Pair = tuple[Window, str]


@dataclass
class Findings:
    """What an audit came to. `incomplete` metric-windows are pending again; of `fewer` the source
    has less now: the files keep what they have, and count as audited once it is final.
    `error` stopped the audit; `finished`: all that was due was looked at."""

    audited: list[Pair] = field(default_factory=list)
    incomplete: list[Pair] = field(default_factory=list)
    fewer: list[Pair] = field(default_factory=list)
    unauditable: dict[Pair, str] = field(default_factory=dict)
    unstable: set[Pair] = field(default_factory=set)  # of `unauditable`
    error: StopRunError | None = None
    days: list[DayReport] = field(default_factory=list)
    finished: bool = False

    @property
    def decided(self) -> set[Pair]:
        """Metric-windows that need no audit any more, or that of another export."""
        return {*self.audited, *self.incomplete, *self.unauditable}

    @property
    def looked_at(self) -> set[Pair]:
        return self.decided | set(self.fewer)

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
        if day.looked_at:
            self.days.append(DayReport(midnight, len(day.looked_at), found))

    def record(self, checkpoint: Checkpoint) -> None:
        """Into the checkpoint."""
        for window, name in self.audited:
            mark_audited(checkpoint, name, window)
        for window, name in self.unauditable:
            unstable = (window, name) in self.unstable
            mark_unauditable(checkpoint, name, window, unstable=unstable)
        for window, name in self.incomplete:
            mark_pending(checkpoint, name, window)


@dataclass(frozen=True)
class Look:
    """How to audit. `at_once`: an operator wants it, so AUDIT_AFTER is not waited for, and where
    the query has changed since the export its answers are counted."""

    context: RunContext
    at_once: bool
    deadline: Deadline

    def is_over(self, manifest: Manifest, *, periods: int = 1) -> bool:
        """Whether AUDIT_AFTER, so many times, has passed since the export."""
        wait_s = periods * self.context.settings.audit_after_s
        return manifest.exported + wait_s <= self.context.now()


def has_changed(context: RunContext, pair: Pair, manifest: Manifest) -> bool:
    """Whether the query is another one than at the export."""
    label = context.settings.cluster_label
    queries = (metric.promql(label) for metric in context.catalog if metric.name == pair[1])
    return manifest.query not in queries


def compare_counts(look: Look, manifests: Mapping[Pair, Manifest], found: Findings) -> None:
    """By raw samples, with the query that the window was exported with."""
    context = look.context
    metrics = {metric.name: metric for metric in context.catalog}
    same: dict[Pair, Manifest] = {}
    for pair, manifest in manifests.items():
        if not has_changed(context, pair, manifest):
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
            _judge(look, (window, metric.name), kept, before, now, found)


def compare_answers(look: Look, manifests: Mapping[Pair, Manifest], found: Findings) -> None:
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
        _judge(look, pair, manifest, before, now, found)


def _flat(counts: RawCounts) -> dict[str, int]:
    """By selector and cluster at once."""
    return {
        f"{cluster} of {selector}": samples
        for selector, by_cluster in counts.items()
        for cluster, samples in by_cluster.items()
    }


def _judge(
    look: Look,
    pair: Pair,
    manifest: Manifest,
    before: Mapping[str, int],
    now: Mapping[str, int],
    found: Findings,
) -> None:
    """What the counts say of a metric-window; logged where it is not what it should be."""
    more = sorted(name for name, samples in now.items() if samples > before.get(name, 0))
    fewer = sorted(name for name, samples in before.items() if samples > now.get(name, 0))
    window, metric = pair
    fields: log.Fields = {
        "window": str(window),
        "metric": metric,
        "samples_before": sum(before.values()),
        "samples_now": sum(now.values()),
        "cluster_names": (more or fewer)[:NAMED],
    }
    if more:
        found.incomplete.append(pair)
        log.MORE_SAMPLES_AT_SOURCE(**fields)
        return
    if fewer:
        found.fewer.append(pair)
        # A store that is away now hides what it has, late samples too. So the metric-window stays
        # due with each run for as long again as AUDIT_AFTER; what is missing then is gone.
        if not look.is_over(manifest, periods=2):
            return
        if not any(now.values()):
            found.unauditable[pair] = "The source has forgotten it"
            return
        log.FEWER_SAMPLES_AT_SOURCE(**fields)
    found.audited.append(pair)
