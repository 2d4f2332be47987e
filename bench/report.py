"""A run's results as docs/performance.md."""

from collections.abc import Iterable, Sequence

from bench.backfill import DAYS, Backfills
from bench.compress import ROUNDS, SLOW_PART
from bench.profile import OtherProfiles, Profile
from bench.query_cost import ROUNDS as QUERY_ROUNDS
from bench.query_cost import QueryCosts
from bench.results import MIXED, SORTED, Goal, Results, find_goals
from bench.runtime import VERSION, is_function_s
from bench.widths import DELAY_S, AtOnce
from bench.windows import PAUSE_S, SHARE, Throttled
from bench.windows import ROUNDS as WINDOW_ROUNDS


def write_report(results: Results) -> str:
    """The whole page."""
    return "\n".join(
        [
            "# Performance",
            "",
            "For whoever doubts that it is fast, or changes what is hot.",
            "",
            "Written by `make bench`; the figures are in [performance.json](performance.json).",
            (
                f"{results.date}, {results.machine}, {results.cpus} CPUs, Python {results.python}"
                f"{_as_the_function(results)}, load {results.load_1m:.1f} when it began."
            ),
            "",
            (
                "Ratios are of things measured in turns in the same run on the same bytes: "
                "medians of "
                "several rounds, CPU seconds where nothing else is said. MB are 1,000,000 bytes."
            ),
            "",
            "## Goals",
            "",
            goal_table(find_goals(results)),
            "",
            "## Splitting and compressing",
            "",
            (
                "MB of answer for each second of CPU. *Raw* is one ISA-L compressor of level 1 fed "
                "with the answer as it is; *exporter* is the real splitter and spool. Medians of "
                f"{ROUNDS} rounds. orjson + zlib 6 and json + gzip (its default, level 9) got a "
                f"{SLOW_PART}th of the series."
            ),
            "",
            _cases(results),
            "",
            (
                "Text that repeats much (labels, equal samples) is where level 1 stays furthest "
                "behind "
                "zlib 6. Those files are small all the same. Behind raw it stays where compressing "
                "is nearly free, so that finding and counting is most of the work."
            ),
            "",
            "## Profile",
            "",
            (
                "Milliseconds of CPU for a MB of answer: each part alone on the same bytes, in "
                f"turns with the whole, medians of {ROUNDS} rounds. What is left over is what the "
                "parts cost each other in the processor's cache."
            ),
            "",
            _profiles(results.profiles),
            "",
            _profile_words(results),
            "",
            *_other_profiles(results.other_profiles),
            *_runtime(results),
            "## The whole way",
            "",
            (
                "From a server process that sends a kept answer of 88 MB in chunks of 32 KiB to 20 "
                "objects in MiniStack, by the exporter's own classes, beside `curl | igzip -1` "
                "into "
                "one file. CPU seconds of the client alone, all threads; without Python's start "
                "and "
                "imports, which have their own section."
            ),
            "",
            _ways(results),
            "",
            "## A whole window",
            "",
            *_windows(results),
            "",
            "## What the queries cost the server",
            "",
            *_queries(results.queries),
            *_backfills(results.backfills),
            "## gzip on the wire",
            "",
            _wire(results),
            "",
            "## Memory",
            "",
            (
                "Highest resident memory of a process with all modules of the function, from the "
                "query "
                "to the last upload (to a server that throws away); interleaved clusters, the "
                "answer "
                "made by the server while it is sent. MB."
            ),
            "",
            _memory(results),
            "",
            "## Start",
            "",
            _start(results),
            "",
            "## Package",
            "",
            (
                f"The function's code for arm64 takes {results.package.folder_mb:.1f} MB as a "
                "folder, "
                f"{results.package.zip_mb:.1f} MB as a zip."
            ),
            "",
        ]
    )


def goal_table(goals: Iterable[Goal]) -> str:
    """The table that the bench prints too."""
    rows = []
    for goal in goals:
        bound = f"{'at least' if goal.at_least else 'at most'} {goal.bound:g}{goal.unit}"
        found = "not measured" if goal.found is None else f"{goal.found:.2f}{goal.unit}"
        met = "yes" if goal.met else f"no: {goal.why}" if goal.why else "no"
        rows.append((goal.what, bound, found, met))
    return table(("what", "goal", "found", "reached"), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cases(results: Results) -> str:
    def times(ratio: float | None) -> str:
        return "" if ratio is None else f"{ratio:.1f} x"

    head = ("answer", "MB", "raw", "exporter", "to raw", "splitting alone", "size to zlib 6",
            "to orjson + zlib 6", "to json + gzip")  # fmt: skip
    rows = [
        (one.name, f"{one.size_mb:.0f}", f"{one.raw:,.0f}", f"{one.exporter:,.0f}",
         f"{one.to_raw:.2f}", f"{one.split_only:,.0f}", f"{one.size_to_zlib6:.2f}",
         times(one.to_orjson), times(one.to_json))
        for one in results.cases
    ]  # fmt: skip
    return table(head, rows)


def _other_profiles(others: OtherProfiles | None) -> list[str]:
    if others is None:
        return []
    return [
        (
            f"The same of the cases that are furthest from raw (on {others.date}, "
            f"{others.machine}, Python {others.python}):"
        ),
        "",
        _profiles(others.profiles),
        "",
        _other_words(others.profiles),
        "",
    ]


def _other_words(profiles: Sequence[Profile]) -> str:
    """What is left for everything but compressing, at 0.75 of raw."""
    room = ", ".join(
        f"{one.raw / 0.75 - one.compress:.2f} of {one.whole - one.compress:.2f} ({one.case})"
        for one in profiles
    )
    return (
        "0.75 of raw would leave, for all but compressing, these milliseconds of those that it "
        f"takes: {room}. Where text repeats much, compressing is nearly free, and finding where "
        "each series ends takes as long as it does anywhere. Native histograms are proven to be "
        "whole by a second pass, without letters and digits; no metric of the catalogues has any. "
        "With a thousand interleaved clusters each has a few series at most before its turn, so "
        "that compressing begins anew every few kilobytes, of text that has left the processor's "
        "cache meanwhile."
    )


def _profiles(profiles: Sequence[Profile]) -> str:
    def row(part: str, figures: Sequence[float]) -> tuple[str, ...]:
        wholes = [one.whole for one in profiles]
        cells = (
            (f"{one:.2f}", f"{one / whole:.0%}") for one, whole in zip(figures, wholes, strict=True)
        )
        return (part, *(cell for pair in cells for cell in pair))

    def left(one: Profile) -> float:
        return one.whole - one.spool - one.split

    head = ("part", *(cell for one in profiles for cell in (one.case, "share")))
    return table(
        head,
        [
            row("compressing, with the exporter's settings", [one.compress for one in profiles]),
            row("the spool without it: joining, checksum, keeping, the file",
                [one.spool - one.compress for one in profiles]),
            row("counting samples: one pass of `bytes.count`", [one.count for one in profiles]),
            row("splitting without it: searches and Python's calls",
                [one.split - one.count for one in profiles]),
            row("left over", [left(one) for one in profiles]),
            row("the whole", [one.whole for one in profiles]),
            row("raw ISA-L level 1, for comparison", [one.raw for one in profiles]),
        ],
    )  # fmt: skip


def _profile_words(results: Results) -> str:
    lines, mixed = results.profile(SORTED), results.profile(MIXED)
    return (
        f"Splitting calls functions written in C {lines.calls:.1f} times a series where clusters "
        f"are sorted, {mixed.calls:.1f} times where they are interleaved. Up to Python 3.13 "
        "`bytes.count` looks at one byte at a time, from 3.14 on at several (CPython gh-120397), "
        "which is why the function runs on 3.14. Nothing else in the standard library counts "
        "quicker; a package that does would ship in the function for this alone. For comparison, "
        f"a long text is counted at {results.searches.count:,.0f} MB/s, and single bytes are found "
        f"at {results.searches.find:,.0f}."
    )


def _as_the_function(results: Results) -> str:
    return " as in the function" if is_function_s(results.python) else ""


def _runtime(results: Results) -> list[str]:
    """The section on the function's Python, where the rest was measured on another."""
    if is_function_s(results.python):
        return []
    heading = f"## On Python {VERSION}"
    if results.runtime is None:
        return [
            heading,
            "",
            (
                f"Not measured: no Python {VERSION}, which the function runs on, was found on this "
                "machine."
            ),
            "",
        ]
    head = ("answer", "raw", "exporter", "to raw", "splitting alone", "to orjson + zlib 6",
            "to json + gzip")  # fmt: skip
    rows = [
        (one.name, f"{one.raw:,.0f}", f"{one.exporter:,.0f}", f"{one.to_raw:.2f}",
         f"{one.split_only:,.0f}", f"{one.to_orjson or 0:.1f} x", f"{one.to_json or 0:.1f} x")
        for one in results.runtime.cases
    ]  # fmt: skip
    return [
        heading,
        "",
        (
            "The cases with goals on the version that the function runs on, "
            f"{results.runtime.python} here, in the same run:"
        ),
        "",
        table(head, rows),
        "",
    ]


def _ways(results: Results) -> str:
    head = ("wire", "exporter, CPU s", "clock s", "`curl \\| igzip`, CPU s", "ratio")
    rows = [
        (
            "gzip" if one.gzip else "plain",
            f"{one.cpu_s:.2f}",
            f"{one.wall_s:.2f}",
            "left out: curl or igzip (Debian's package isal) is missing"
            if one.programs_cpu_s is None
            else f"{one.programs_cpu_s:.2f}",
            "" if one.ratio is None else f"{one.ratio:.2f}",
        )
        for one in results.ways
    ]
    return table(head, rows)


def _windows(results: Results) -> list[str]:
    windows = results.windows + ([results.fleet] if results.fleet else [])
    head = ("clusters", "series", "MB", "files", "CPU s", "floor, CPU s", "ratio", "clock s",
            "peak MB", "load")  # fmt: skip
    rows = [
        (f"{one.clusters:,}", f"{one.series:,}", f"{one.size_mb:,.0f}", f"{one.objects:,}",
         f"{one.cpu_s:.2f}", f"{one.floor_compress_s + one.floor_put_s:.2f}", f"{one.ratio:.2f}",
         f"{one.wall_s:.1f}", f"{one.peak_mb:.0f}", f"{one.load_1m:.0f}")
        for one in windows
    ]  # fmt: skip
    names = list(dict.fromkeys(name for one in windows for name in one.parts))
    parts = [(name, *(f"{one.parts.get(name, 0.0):.2f}" for one in windows)) for name in names]
    return [
        (
            "One window of the whole catalogue through the function's handler, from the start of "
            "the process to the last write of the checkpoint, into MiniStack, with pauses of "
            f"{PAUSE_S:g} s between queries, which are taken off the clock; measured on "
            f"{windows[0].date} on {windows[0].machine}. The *floor* is raw ISA-L of level 1 on "
            "the same answers, and as many PUTs by obstore of files of the same size, right after "
            f"it: of {WINDOW_ROUNDS} such pairs the one of the median "
            "ratio. *Load* is how many processes wanted the machine's CPUs besides: the "
            "higher it is, the less the clock says, and the more a switch of threads costs."
            + (
                f" The last one, one pair measured on {results.fleet.date} on "
                f"{results.fleet.machine}, is the largest fleet of [cost.md](cost.md)."
                if results.fleet
                else ""
            )
        ),
        "",
        table(head, rows),
        "",
        (
            "Where it goes, in seconds of CPU, counted in a run of its own (*put* is what Python's "
            "threads take; sending and signing is done by obstore's own, in the last line):"
        ),
        "",
        table(
            ("part", *(f"{one.clusters:,} clusters, {one.size_mb:,.0f} MB" for one in windows)),
            parts,
        ),
        "",
        *_throttled(results.throttled),
        *_widths(results.widths),
        (
            "Also measured, in pairs of the window of 300 clusters: one thread for obstore's "
            "runtime instead of one for each CPU saves 0.3 of 4.5 s, and several files for a "
            "thread at a time 0.2 s, since waking a thread and waiting for it takes a third of an "
            "upload's CPU."
        ),
        "",
        (
            "Tried, and no help: asyncio in the place of threads (obstore's coroutines took 0.18 "
            "to 0.34 ms of CPU a PUT, its calls in threads 0.10 to 0.23); within the noise of 5 %: "
            "one or two arenas for malloc and later trimming, no garbage collection, and blocks of "
            "64 KiB to 1 MiB in undoing gzip, which runs at 0.8 GB/s by any function of ISA-L "
            "(0.42 s of the window of 300 clusters, and no part of the floor). ISA-L's levels 0 "
            "and 2 are as quick as 1, and 0 makes half as much again of it."
        ),
    ]


def _widths(widths: Sequence[AtOnce]) -> list[str]:
    if not widths:
        return []
    rows = [
        (
            "as many as necessary" if one.at_once is None else f"{one.at_once}",
            f"{one.cpu_s:.2f}",
            f"{one.peak_mb:.0f}",
        )
        for one in widths
    ]
    return [
        (
            "How many files go up at once follows from how long one takes: so many that a metric's "
            f"take half of the pause before the next query. With {DELAY_S} s of it each "
            "metric opens its connections anew, as S3 closes what is idle for a few seconds. The "
            f"window of 300 clusters with such pauses and TLS, measured on {widths[0].date} on "
            f"{widths[0].machine}:"
        ),
        "",
        table(("uploads at once", "CPU s", "peak MB"), rows),
        "",
    ]


def _throttled(throttled: Sequence[Throttled]) -> list[str]:
    if not throttled:
        return []
    rows = [
        (
            f"{one.clusters:,}",
            f"{one.size_mb:,.0f}",
            f"{one.objects:,}",
            f"{one.cpu_s:.2f}",
            f"{one.full_wall_s:.1f}",
            f"{one.wall_s:.1f}",
            f"{one.cpu_s / SHARE:.1f}",
            f"{one.longest_write_s:.1f}",
            f"{one.peak_mb:.0f}",
        )
        for one in throttled
    ]
    head = (
        *("clusters", "MB", "files", "CPU s", "clock s of a whole machine", "clock s"),
        *("CPU s / share", "longest write, s", "peak MB"),
    )
    return [
        (
            f"The same with {SHARE:g} of a CPU by a cgroup's quota, which is what Lambda gives a "
            f"function of 256 MB; measured on {throttled[0].date} on {throttled[0].machine}. "
            "*CPU s / share* is what the clock would be if all CPU were spent one after the other; "
            "the process begins with the import of its modules, which the clock leaves out:"
        ),
        "",
        table(head, rows),
        "",
        (
            f"QUERY_DELAY is counted from the end of a query, and {DELAY_S} s are longer "
            "than the longest write: so the files of one metric are written in the pause before "
            "the next query, and an overlap of the two would save nothing."
            if max(one.longest_write_s for one in throttled) < DELAY_S
            else "The files of one metric are written in the pause before the next query, as far "
            f"as the {DELAY_S} s of QUERY_DELAY go, which is counted from its end."
        ),
        "",
    ]


def _queries(queries: QueryCosts | None) -> list[str]:
    if queries is None:
        return ["Not measured.", ""]
    rows = [
        (
            f"`{one.metric}`" + ("" if one.catalog == "default" else f", {one.catalog}"),
            f"{one.series:,}",
            f"{one.cpu_s * 1000:,.0f}",
            "" if one.before_cpu_s is None else f"{one.before_cpu_s * 1000:,.0f}",
            "" if one.ratio is None else f"{one.ratio:.2f}",
        )
        for one in queries.costs
    ]
    return [
        (
            f"Prometheus {queries.version} with {queries.series:,} series of four clusters, a "
            f"window of an hour in steps of a minute; measured on {queries.date}. *Plain* is the "
            "query of [queries.toml](../bench/queries.toml), which counts twice what is scraped "
            "twice; a metric without one came later. Of the set opentelemetry, the queries that "
            "differ. Milliseconds of the server's CPU for one "
            f"query, its garbage collection included: medians of {QUERY_ROUNDS} rounds, the two "
            "in turns."
        ),
        "",
        table(("metric", "series", "CPU, ms", "plain, ms", "ratio"), rows),
        "",
    ]


def _backfills(backfills: Backfills | None) -> list[str]:
    if backfills is None:
        return []
    rows = [
        (
            str(run.together),
            f"{run.range_queries:,}",
            f"{run.other_queries:,}",
            f"{run.sent_mb:.1f}",
            f"{run.source_cpu_s:.0f}",
            f"{run.peak_mb:.0f}",
            f"{run.seconds:.0f}",
            f"{(run.seconds + DELAY_S * run.range_queries) / 60:.0f}",
        )
        for run in backfills.runs
    ]
    head = (
        *("windows in a query", "range queries", "of a moment", "MB sent", "source's CPU s"),
        *("peak MB", "clock s without pauses", "minutes with them"),
    )
    return [
        "## A backfill",
        "",
        (
            f"{DAYS} days of {backfills.clusters} small clusters ({backfills.series:,} series an "
            f"hour), {backfills.windows} windows of {backfills.metrics} metrics, in one run "
            "against a real Prometheus, with other `QUERY_WINDOWS`; measured on "
            f"{backfills.date}. Each range query is followed by the {DELAY_S} s of "
            "QUERY_DELAY, which are added in the last column; those of one moment count a window's "
            "samples just before its query. Queries, bytes (gzip) and CPU are what the server "
            "reports of itself. A longer answer compresses less: a series of a day is about as "
            "long as gzip looks back, so that the next one's times are written out again. A "
            "regular run has one or two windows and asks as before."
        ),
        "",
        table(head, rows),
        "",
    ]


def _wire(results: Results) -> str:
    wire = results.wire
    extra_s = wire.wall_s[1] - wire.wall_s[0]
    saved_mb = wire.size_mb[0] - wire.size_mb[1]
    # Prices are those of bench/cost.py.
    from bench.cost import COMPUTE_GB_S, CROSS_ZONE_GB, DEFAULT_MB  # noqa: PLC0415

    traffic = saved_mb / 1000 * 2 * CROSS_ZONE_GB
    waiting = extra_s * DEFAULT_MB / 1024 * COMPUTE_GB_S
    rows = [
        (name, *(f"{figure[n]:.2f}" for figure in (wire.size_mb, wire.server_cpu_s, wire.wall_s)))
        for n, name in enumerate(("plain", "gzip"))
    ]
    return (
        f"A real Prometheus {wire.version} asked for one answer both ways:\n\n"
        + table(("wire", "MB sent", "server's CPU s", "clock s"), rows)
        + f"\n\ngzip makes this answer wait {extra_s:.2f} s longer, which costs a function of "
        f"{DEFAULT_MB} MB {waiting * 1e6:.1f} millionths of a dollar, and saves {saved_mb:.1f} MB, "
        f"which between two zones cost {traffic * 1e6:.0f}. So `WIRE_GZIP` is true by default. "
        "Where Mimir is in the function's own zone, or its queriers are short of CPU, false is "
        "the better setting."
    )


def _memory(results: Results) -> str:
    rows = [
        (f"{one.size_mb:,.0f}", f"{one.clusters:,}", f"{one.before_mb:.0f}", f"{one.peak_mb:.0f}")
        for one in results.memory
    ]
    return table(("answer", "clusters", "before the query", "peak"), rows)


def _start(results: Results) -> str:
    start = results.start
    rows = [
        ("`import boto3` and one client", f"{start.boto3_s:.2f}", f"{start.boto3_wall_s:.2f}"),
        ("powertools, urllib3 and obstore imported", f"{start.libraries_s:.2f}", ""),
        ("the handler's module imported", f"{start.import_s:.2f}", ""),
        ("imported, first query answered", f"{start.function_s:.2f}",
         f"{start.function_wall_s:.2f}"),
    ]  # fmt: skip
    # Prices are those of bench/cost.py.
    from bench.cost import COMPUTE_GB_S, DEFAULT_MB, RUNS  # noqa: PLC0415

    saved = start.compile_s * DEFAULT_MB / 1024 * COMPUTE_GB_S * RUNS
    return f"Measured on {start.date} on {start.machine}.\n\n" + (
        table(("whole process", "CPU s", "clock s"), rows)
        + "\n\nA regular run imports neither `check` nor `status`, which takes 16 of 235 ms of CPU "
        "off the import, and a sixth of what there is to compile (2026-11-27, Python 3.14.8). "
        "Half of the rest that is ours makes dataclasses, 0.4 ms each; tuples with names would "
        "take a fifth of that, and no more be what they say. The goal is out of reach with these "
        "packages: with all code of dataclasses from a cache, no garbage collection in the import, "
        "and no module of which a run calls nothing, 0.58 remain (2026-11-28, Python 3.14.8)."
        f"\n\nThe package ships no bytecode, so a cold start compiles for {start.compile_s:.2f} s "
        f"more. If every run of a month were one, that would be {saved:.3f} USD. Bytecode fits "
        "only the Python that wrote it: machines with another than the function's could not "
        "build it, and the same source would no longer give the same package everywhere, for "
        "twice the size."
    )
