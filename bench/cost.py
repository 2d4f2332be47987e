"""What a month costs, from what the bench measured: `python -m bench.cost` writes docs/cost.md.

Prices are AWS's public list prices for us-east-1 as remembered on PRICES_DATE, without free tier.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bench.bookkeeping import Bookkeeping
from bench.report import table
from bench.results import PROJECT, Results, load
from bench.stack import Watching, count_watching
from bench.widths import DELAY_S
from bench.windows import SHARE, Throttled
from mimir_exporter.catalog.metrics import load_catalog
from mimir_exporter.storage.parallel import Width

PRICES_DATE = "2026-11-23"
COMPUTE_GB_S = 0.0000133334  # Lambda, arm64
REQUEST = 0.20 / 1e6  # Lambda
PUT = 0.005 / 1000  # S3; LIST too
GET = 0.0004 / 1000  # S3; HEAD too
TRANSITION = 0.025 / 1000  # Step Functions, standard
ENDPOINT_H = 0.01  # an interface endpoint, in one zone
CROSS_ZONE_GB = 0.01  # each way
SECRET_MONTH = 0.40  # Secrets Manager
METRIC_MONTH, ALARM_MONTH, DASHBOARD_MONTH, LOG_GB = 0.30, 0.10, 3.00, 0.50  # CloudWatch
FARGATE_VCPU_H, FARGATE_GB_H = 0.04048, 0.004445  # what a pod's reservation is worth

DEFAULT_MB = 256
MEMORY_SIZES_MB = (128, 256, 512, 1024, 1769)
FULL_CPU_MB = 1769  # Lambda gives one whole CPU at this, less in proportion
SPARE_MB = 30  # of the runtime itself, and room
BOTO3_MB = 30  # of a run that hands over, or meets a fault of S3: it imports boto3 with a client

HOURS = 730  # a month's, and its windows'
RUNS = 2 * HOURS  # every 30 minutes; every second one has a window to export
METRICS = len(load_catalog())
UPLOAD_WAIT_S = 0.04  # for S3
RUN_S = 2.0  # readiness, checkpoint, and the answers' first bytes
RETENTION_LISTS = 2 * 365 / 12  # of each cluster's folders, once a day
LINES_A_WINDOW, LINE_BYTES = METRICS + 8, 900  # of the log
POD_VCPU, POD_GB = 0.25, 0.5  # what the CronJob's pod reserves while it runs


@dataclass(frozen=True)
class Fleet:
    """`series` is of all metrics together, in one window."""

    name: str
    clusters: int
    series: int


# The parts of the bucket beside the files, whose requests were counted.
KEPT = ("manifests", "receipts", "checkpoint")

FLEETS = (
    Fleet("one cluster", 1, 2_000),
    Fleet("twenty clusters", 20, 40_000),
    Fleet("a thousand clusters", 1_000, 10_000_000),
)


@dataclass(frozen=True)
class Month:
    """One fleet at one memory size. Dollars; seconds are of one window."""

    memory_mb: int
    window_s: float
    invocations: int
    fits: bool
    keeps_up: bool
    compute: float
    requests: float
    s3: float
    steps: float
    traffic: float
    endpoints: float
    watching: float

    @property
    def parts(self) -> tuple[float, ...]:
        """In the order of the table."""
        return (
            self.compute + self.requests,
            self.s3,
            self.steps,
            self.traffic,
            self.endpoints,
            self.watching,
        )

    @property
    def total(self) -> float:
        return sum(self.parts)


def month_of(fleet: Fleet, memory_mb: int, results: Results, watching: Watching) -> Month:
    """`keeps_up`: a window takes less than its hour, and no metric of it 14 minutes."""
    speed = min(1.0, memory_mb / FULL_CPU_MB)
    mb_cpu_s, object_cpu_s, window_cpu_s = results.window_cpu_s
    raw_mb = fleet.series * results.series_mb
    cpu_s = raw_mb * mb_cpu_s + window_cpu_s
    objects = METRICS * fleet.clusters
    query_s = max(raw_mb / results.server_mb_s, cpu_s / speed)
    # A metric's files are written in the pause before the next query.
    wait_s = fleet.clusters * UPLOAD_WAIT_S / _at_once(fleet.clusters)
    write_s = max(wait_s, fleet.clusters * object_cpu_s / speed)
    work_s = query_s + METRICS * write_s
    paused_s = (METRICS - 1) * max(DELAY_S - write_s, 0)
    window_s = RUN_S + work_s + paused_s + results.start_cpu_s / speed
    idle_s = RUN_S + results.start_cpu_s / speed
    invocations = RUNS + round(HOURS * max(0.0, window_s // 870))
    gb = memory_mb / 1024
    wire_mb = raw_mb * results.wire.size_mb[1] / results.wire.size_mb[0]
    needed_mb = results.window_peak_mb(fleet.clusters, fleet.series) + BOTO3_MB + SPARE_MB
    fits = needed_mb <= memory_mb * 1.048576
    return Month(
        memory_mb,
        window_s,
        invocations,
        fits,
        keeps_up=window_s < 3600 and work_s / METRICS < 840,
        compute=(HOURS * window_s + (RUNS - HOURS) * idle_s) * gb * COMPUTE_GB_S,
        requests=invocations * REQUEST,
        s3=HOURS * objects * PUT
        + fleet.clusters * RETENTION_LISTS * PUT
        + sum(kept_dollars(results.bookkeeping, kind) for kind in KEPT),
        # What does not fit into 15 minutes goes through the machine: 6 transitions an item.
        steps=0.0 if window_s < 870 else HOURS * (6 + 2 * (window_s // 870)) * TRANSITION,
        traffic=HOURS * wire_mb / 1000 * 2 * CROSS_ZONE_GB,
        endpoints=HOURS * ENDPOINT_H * 2,
        watching=SECRET_MONTH
        + watching.metrics * METRIC_MONTH
        + watching.alarms * ALARM_MONTH
        + DASHBOARD_MONTH
        + HOURS * LINES_A_WINDOW * LINE_BYTES / 1e9 * LOG_GB,
    )


def _at_once(files: int) -> int:
    """As many uploads as the exporter has waiting."""
    width = Width(DELAY_S)
    width.note(UPLOAD_WAIT_S)
    return width.of(files, math.inf)


def kept_dollars(day: Bookkeeping, kind: str) -> float:
    """A month of requests for a part of the bucket, as on the day that was measured: as many for
    each metric and window, whatever their clusters. Deletions are free."""
    share = METRICS / day.metrics * HOURS / day.windows
    return share * (day.count(kind, "PUT", "LIST") * PUT + day.count(kind, "GET", "HEAD") * GET)


def write_page(results: Results, watching: Watching) -> str:
    """The whole page."""
    months = {
        fleet: [month_of(fleet, size, results, watching) for size in MEMORY_SIZES_MB]
        for fleet in FLEETS
    }
    lines = [
        "# Cost",
        "",
        "For whoever pays for the exporter, or sizes it.",
        "",
        (
            "Written by `python -m bench.cost` from [performance.json](performance.json), "
            "measured on "
            f"{results.date}."
        ),
        "",
        (
            "Prices are AWS's public list prices for us-east-1 in USD as remembered on "
            f"{PRICES_DATE}, without free tier; check them before you rely on them: Lambda arm64 "
            f"{COMPUTE_GB_S:.10f} a GB-second and {REQUEST * 1e6:.2f} a million requests, S3 "
            f"{PUT * 1000:g} a thousand PUT and {GET * 1000:g} a thousand GET, Step Functions "
            f"{TRANSITION * 1000:g} a thousand transitions, an interface endpoint "
            f"{ENDPOINT_H:g} an "
            f"hour and zone, {CROSS_ZONE_GB:g} a GB each way between zones, a secret "
            f"{SECRET_MONTH:.2f} a month, CloudWatch {METRIC_MONTH:.2f} a metric, "
            f"{ALARM_MONTH:.2f} an alarm and {DASHBOARD_MONTH:.2f} a dashboard a month and "
            f"{LOG_GB:.2f} a GB of log. Storage is left out: it is the same whoever writes the "
            "files."
        ),
        "",
        (
            f"Measured: {results.series_mb * 1e6:,.0f} bytes of answer for a series of an hour, "
            f"{results.server_mb_s:.1f} MB of answer a second from Prometheus with gzip, "
            f"{results.window_cpu_s[0] * 1000:.1f} ms of CPU a MB, "
            f"{results.window_cpu_s[1] * 1000:.2f} ms of CPU for each object, "
            f"{results.window_cpu_s[2]:.2f} s for what else a window takes and "
            f"{results.start_cpu_s:.2f} s for a start, all four of whole windows through the "
            f"handler, measured on {results.windows[-1].date} on a machine with other work."
            + _throttled(results.throttled)
        ),
        "",
        (
            f"Assumed: {HOURS} windows of an hour a month, {METRICS} metrics, {DELAY_S:g} s "
            "between queries, in which a metric's files are written, "
            f"{UPLOAD_WAIT_S * 1000:g} ms of waiting for S3 for each of them, CPU in proportion to "
            f"memory up to {FULL_CPU_MB} MB, an arm64 CPU as "
            "fast as the measured one, two interface endpoints in one zone, and all traffic "
            "between zones.\n\n*Watching* is the secret, the log, "
            f"{watching.metrics} metrics, {watching.alarms} alarms and the dashboard. An "
            "account's first ten metrics, ten alarms and three dashboards are free; "
            "`-c dashboard=false` goes without that one. A VPC with a NAT, or with "
            "endpoints of its own, needs none of these *endpoints*."
        ),
        "",
    ]
    for fleet, by_size in months.items():
        lines += [
            f"## {fleet.name.capitalize()}, {fleet.series:,} series",
            "",
            (
                f"{fleet.series * results.series_mb:,.0f} MB of answers for each window, "
                f"{METRICS * fleet.clusters:,} objects."
            ),
            "",
            _fleet_table(by_size),
            "",
            _judge(by_size),
            "",
        ]
    lines += [_choose(months), "", _kept(results.bookkeeping), "", _pods(results, watching), ""]
    return "\n".join(lines)


def _throttled(throttled: list[Throttled]) -> str:
    """Whether the clock of a small function is what its share of a CPU makes one expect."""
    if not throttled:
        return ""
    windows = ", ".join(
        f"{one.wall_s:.1f} s at {one.clusters:,} clusters ({one.cpu_s / SHARE:.1f})"
        for one in throttled
    )
    return (
        f" With {SHARE:g} of a CPU, which is what a function of {DEFAULT_MB} MB has, and without "
        "the pauses, whole windows took these seconds of clock; in brackets their CPU over that "
        f"share, as these tables reckon: {windows}."
    )


def _fleet_table(months: list[Month]) -> str:
    head = ("MB", "s a window", "keeps up", "memory suffices", "Lambda", "S3", "Step Functions",
            "traffic", "endpoints", "watching", "month")  # fmt: skip
    rows = [
        (str(one.memory_mb), f"{one.window_s:,.0f}", _yes(one.keeps_up), _yes(one.fits),
         *(f"{part:,.2f}" for part in (*one.parts, one.total)))
        for one in months
    ]  # fmt: skip
    return table(head, rows)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _judge(months: list[Month]) -> str:
    fit = [one for one in months if one.keeps_up and one.fits]
    if not fit:
        return "None keeps up with one window after another: use `backfill_concurrency`, or split."
    best = min(fit, key=lambda one: one.total)
    return f"The cheapest that keeps up: {best.memory_mb} MB, {best.total:,.2f} USD a month."


def _choose(months: Mapping[Fleet, list[Month]]) -> str:
    """Why the default is the default."""
    small, large = next(iter(months.values())), list(months.values())[-1]
    least, default = small[0], next(one for one in small if one.memory_mb == DEFAULT_MB)
    words = (
        f"`memory_mb` is {DEFAULT_MB} by default: the least that suffices for every fleet here, "
        "and leaves room for `query_windows` and for a fleet that grows."
    )
    if least.fits and least.keeps_up:
        words += (
            f" {least.memory_mb} suffice for a small one, save "
            f"{default.total - least.total:.2f} USD a month, and make a backfill's CPU take twice "
            "as long."
        )
    assert next(one for one in large if one.fits and one.keeps_up).memory_mb == DEFAULT_MB
    return f"## Memory\n\n{words}"


def _kept(day: Bookkeeping) -> str:
    methods = ("PUT", "GET", "HEAD", "LIST", "DELETE")
    rows = [
        (kind, *(f"{day.count(kind, method):,}" for method in methods),
         "" if kind == "files" else f"{kept_dollars(day, kind):.2f}")
        for kind in ("files", *KEPT)
    ]  # fmt: skip
    export_s = day.seconds["export"]
    asked = [
        (purpose, f"{day.queries[purpose]:,}", f"{day.seconds[purpose]:.1f}",
         f"{day.seconds[purpose] / export_s:.3f}")
        for purpose in ("export", "counts at export", "audit")
    ]  # fmt: skip
    reads = day.count("manifests", "GET", "HEAD") / day.metric_windows
    return (
        "## What manifests, receipts and the audit take\n\n"
        f"Measured by `make bench ARGS=bookkeeping` on {day.date}: one day of {day.runs} runs, "
        f"{day.windows} windows, {day.metrics} metrics and {day.clusters} clusters, against "
        "MiniStack and Prometheus, while the windows of the day before are audited. Requests:\n\n"
        + table(("what", *methods, "USD a month"), rows)
        + "\n\nNone of them depends on how many clusters there are, and they are in the tables "
        f"above. A metric-window has one manifest, and {reads:.1f} reads of it. Each read or write "
        f"is waited for, some {UPLOAD_WAIT_S * 1000:g} ms, many at once.\n\n"
        "Queries, and the seconds from each to the end of its answer:\n\n"
        + table(("what for", "queries", "seconds", "to the export's"), asked)
        + "\n\nThe counts at export take the turn of the query that follows, without a pause of "
        "their own; the audit counts a day's windows at once. `AUDIT_AFTER=0` goes without both."
    )


def _pods(results: Results, watching: Watching) -> str:
    rows = []
    for fleet in FLEETS:
        month = month_of(fleet, DEFAULT_MB, results, watching)
        while_running = month.window_s * HOURS / 3600
        price = FARGATE_VCPU_H * POD_VCPU + FARGATE_GB_H * POD_GB
        rows.append((fleet.name, f"{while_running * price:,.2f}", f"{HOURS * price:,.2f}"))
    return (
        "## Beside a CronJob's pod\n\n"
        f"A pod that reserves {POD_VCPU:g} CPU and {POD_GB:g} GB, at Fargate's prices "
        f"({FARGATE_VCPU_H:g} a vCPU-hour, {FARGATE_GB_H:g} a GB-hour), for as long as the "
        "function runs, and around the clock, as a node kept for it is paid. S3 and traffic come "
        "to it as above; endpoints do not, where its VPC has a way out.\n\n"
        + table(("fleet", "while it runs", "around the clock"), rows)
    )


if __name__ == "__main__":
    (PROJECT / "docs" / "cost.md").write_text(write_page(load(), count_watching()), "utf-8")
