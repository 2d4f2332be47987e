"""How much there is, how late it comes and how far back it goes; and so, how long it takes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..catalog.metrics import label_in_promql
from ..checkpoint.state import Checkpoint
from ..checkpoint.wanted import wanted_windows
from ..errors import ExportError, TooLargeError, TryLaterError
from ..runs.context import RunContext
from ..timeline.windows import DAY_S, Window, WindowSchedule, iso, window_at, windows_within
from ..words import counted
from .counts import Count
from .findings import Findings, Level, some
from .probe import Probe

# A sample with its share of its series' labels, as measured in docs/performance.md: rather more
# than less, as labels differ.
SAMPLE_BYTES = 37
GZIP_RATIO = 10
# Splitting, compressing and receiving in a function of 256 MB, which has a seventh of a CPU.
BYTES_PER_S = 20e6
# An upload waits some 30 ms for S3, eight at a time.
OBJECT_S = 0.004
# Warn when an export takes more than this part of a window's length: it barely keeps up.
BUSY = 0.8
POINTS = 100
HALF = 0.5


def check_size_and_history(
    context: RunContext,
    probe: Probe,
    counts: Mapping[str, Count],
    checkpoint: Checkpoint,
    findings: Findings,
) -> None:
    """How much there is of what has been counted; what cannot be queried is a warning."""
    full = {name: count for name, count in counts.items() if count.series}
    if not full:
        return
    steps: dict[str, Callable[[], None]] = {
        "late_data": lambda: _check_lateness(context, probe, full, findings),
        # Before the other range query, so that it has no wait for QUERY_DELAY in it.
        "size": lambda: _check_size(context, probe, full, checkpoint, findings),
        "history": lambda: _check_history(context, probe, full, checkpoint, findings),
    }
    for what, step in steps.items():
        try:
            step()
        except ExportError as error:
            findings.add_warning(what, "unknown", error, "run the check again")


def _check_lateness(
    context: RunContext, probe: Probe, counts: Mapping[str, Count], findings: Findings
) -> None:
    """Whether samples are there once a window is exported; and if not, how late they come."""
    settle_s = context.settings.settle_time_s
    label = context.settings.cluster_label
    ages = probe.values(
        f"time() - max by ({label_in_promql(label)})"
        "(max_over_time(timestamp(kube_node_info)[1h:1m]))",
        probe.now,
    )
    late = {cluster: age for cluster, age in ages.items() if age > settle_s}
    # The same metrics an hour earlier: what had series then and has half of them now is late too.
    for metric in context.catalog:
        if metric.name not in ("memory_usage", "node_info") or metric.name not in counts:
            continue
        earlier = probe.count(metric.promql(label), probe.evaluation_time - 3600)
        for cluster, series in earlier.items():
            if counts[metric.name].by_cluster.get(cluster, 0) < series * HALF:
                late.setdefault(cluster, settle_s)
    if not late:
        oldest = ""
        if ages:
            last = max(ages, key=lambda cluster: ages[cluster])
            who = last or f"those without {label}"
            oldest = f"; the oldest newest sample is {ages[last]:.0f} s old, of {who}"
        findings.add("ok", "late_data", f"no late data at {settle_s} s{oldest}")
        return
    worst = max(late, key=lambda cluster: late[cluster])
    names = some(sorted(cluster or f"those without {label}" for cluster in late))
    findings.add(
        "warning",
        "late_data",
        f"{counted(len(late), 'cluster')} with late data at {settle_s} s ({names}): the newest "
        f"sample of {worst or f'those without {label}'} is "
        f"{'more than ' if late[worst] == settle_s else ''}{late[worst]:.0f} s old",
        "fix the scraping or the remote write there; if data is always this late, set SETTLE_TIME "
        f"above {late[worst]:.0f}, and reexport the last windows",
    )


def _check_history(
    context: RunContext,
    probe: Probe,
    counts: Mapping[str, Count],
    checkpoint: Checkpoint,
    findings: Findings,
) -> None:
    """Whether the endpoint still has what the backfill reaches back to, of the smallest metric."""
    begin = _begin(context, checkpoint, _grids(context, checkpoint))
    smallest = min(counts, key=lambda name: counts[name].series)
    (metric,) = (metric for metric in context.catalog if metric.name == smallest)
    step_s = max(300, -(-(probe.evaluation_time - begin) // (POINTS * 300)) * 300)
    first = probe.first_moment(
        f"count({metric.promql(context.settings.cluster_label)})", begin, step_s
    )
    if first is None or first < begin + 2 * step_s:
        findings.add(
            "ok", "history", f"there is data from {iso(begin)} on, where the export begins"
        )
        return
    days = max(0.0, (probe.now - first) / DAY_S)
    findings.add(
        "warning",
        "history",
        f"the export begins at {iso(begin)}, and {smallest} only at about {iso(first)}",
        f"leave it if the clusters are no older; else lower BACKFILL_DAYS to {days:.1f}, or raise "
        "the retention (compactor_blocks_retention_period) and max_query_lookback of Mimir",
    )


def _check_size(
    context: RunContext,
    probe: Probe,
    counts: Mapping[str, Count],
    checkpoint: Checkpoint,
    findings: Findings,
) -> None:
    """What a window takes, from how long Mimir works on the largest metric of a whole one."""
    settings = context.settings
    schedules = _grids(context, checkpoint)
    newest = window_at(schedules, probe.evaluation_time).start - 1
    window = window_at(schedules, newest)
    largest = max(counts, key=lambda name: counts[name].series)
    (metric,) = (metric for metric in context.catalog if metric.name == largest)
    cut, query_s = "", 0.0
    try:
        query_s = probe.work_s(
            f"count({metric.promql(settings.cluster_label)})",
            window.start,
            window.last,
            window.step_s,
        )
    except TooLargeError:
        cut = f"; Mimir finds a whole window of {largest} too large: it is cut, which takes longer"
    except TryLaterError as error:
        findings.add_warning(
            "size",
            f"unknown how long a window of {largest} takes",
            error,
            "no action needed yet: a run waits longer and splits the query; if windows stay "
            "pending, set a smaller TIME_FRAME",
        )
        return
    size = Size.of(counts, window, query_s=query_s, delay_s=settings.query_delay_s)
    level, found, change = size.judge(_pending(context, checkpoint, schedules), probe.budget_s)
    findings.add(level, "size", found + cut, change)


@dataclass(frozen=True)
class Size:
    """What one window comes to: `seconds` of each metric, `window_s` of all with their waits."""

    window: Window
    samples: int
    files: int
    seconds: Mapping[str, float]
    window_s: float

    @classmethod
    def of(
        cls, counts: Mapping[str, Count], window: Window, *, query_s: float, delay_s: float
    ) -> "Size":
        """From the series, and how long the endpoint works on the metric with the most."""
        steps = (window.last - window.start) // window.step_s + 1
        most = max(count.series for count in counts.values())
        seconds = {
            name: query_s * count.series / most
            + count.series * steps * SAMPLE_BYTES / BYTES_PER_S
            + len(count.by_cluster) * OBJECT_S
            for name, count in counts.items()
        }
        return cls(
            window,
            sum(count.series for count in counts.values()) * steps,
            sum(len(count.by_cluster) for count in counts.values()),
            seconds,
            sum(seconds.values()) + delay_s * len(counts),
        )

    def judge(self, due: int, budget_s: float) -> tuple[Level, str, str]:
        """Level, what is found and what to change, where `due` windows wait and a run has
        `budget_s`."""
        length_s = self.window.end - self.window.start
        json_bytes = self.samples * SAMPLE_BYTES
        found = (
            f"a window has about {_short(self.samples)} samples, {_short(json_bytes)}B of JSON, "
            f"{_short(json_bytes / GZIP_RATIO)}B in {self.files} files, and takes about "
            f"{_duration(self.window_s)}"
        )
        if due:
            found += (
                f"; {counted(due, 'pending window')} of {_duration(length_s)} would take "
                f"{_duration(due * self.window_s)} one after another, less with "
                "backfill_concurrency"
            )
        slowest = max(self.seconds, key=lambda name: self.seconds[name])
        if self.seconds[slowest] > budget_s:
            return (
                "warning",
                f"{slowest} alone takes longer than a run may ({_duration(budget_s)}): {found}",
                "set a smaller TIME_FRAME, a longer timeout_s or more memory_mb",
            )
        if self.window_s > BUSY * length_s:
            return (
                "warning",
                f"export barely keeps up with windows of {_duration(length_s)}: {found}",
                "raise memory_mb and backfill_concurrency, or lower QUERY_DELAY",
            )
        return "ok", found, ""


def _grids(context: RunContext, checkpoint: Checkpoint) -> tuple[WindowSchedule, ...]:
    fresh = WindowSchedule(0, context.settings.time_frame_s, context.settings.query_step_s)
    return checkpoint.schedules or (fresh,)


def _begin(
    context: RunContext, checkpoint: Checkpoint, schedules: tuple[WindowSchedule, ...]
) -> int:
    """Where the export begins: as recorded, or as a first run now would have it."""
    known = [
        progress.since for name, progress in checkpoint.metrics.items() if name in context.names
    ]
    if known:
        return min(known)
    begin = context.now() - context.settings.backfill_s
    if context.settings.initial_backfill is not None:
        begin = int(context.settings.initial_backfill.timestamp())
    return window_at(schedules, begin).start


def _pending(
    context: RunContext, checkpoint: Checkpoint, schedules: tuple[WindowSchedule, ...]
) -> int:
    now = context.now()
    if checkpoint.metrics:
        return len(list(wanted_windows(checkpoint, context.names, context.settings, now)))
    begin = _begin(context, checkpoint, schedules)
    windows: list[Window] = list(
        windows_within(schedules, begin, now - context.settings.settle_time_s)
    )
    return len(windows)


def _short(number: float) -> str:
    """1.2 k, 3.4 M: for people."""
    for unit in ("", "k", "M", "G"):
        if number < 1000:
            return f"{number:.0f} {unit}" if not unit else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} T"


def _duration(seconds: float) -> str:
    for unit, length in (("days", DAY_S), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else "a second"
