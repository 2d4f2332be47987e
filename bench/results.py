"""What one run of the bench found, and the goals that it is held against."""

import dataclasses
import json
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.backfill import Backfills, load_backfills
from bench.bookkeeping import Bookkeeping
from bench.compress import CASES, Case
from bench.measure import cpus, processor
from bench.memory import Memory
from bench.profile import OtherProfiles, Profile
from bench.query_cost import QueryCost, QueryCosts
from bench.runtime import Runtime
from bench.start import Start
from bench.way import Way, Wire
from bench.widths import AtOnce
from bench.windows import Throttled, WholeWindow

PROJECT = Path(__file__).resolve().parents[1]
FIGURES = PROJECT / "docs" / "performance.json"

# A whole window of so many clusters may take this much more than its floor.
WINDOW_CLUSTERS, WINDOW_TO_FLOOR = 300, 2.0
# A ratio that is worse by more than this is said.
REGRESSION = 1.10
# A query may cost the server this much more than the plain one of before.
QUERY_TO_PLAIN = 2.5

SORTED, MIXED = "sorted, 20 clusters", "interleaved, 20 clusters"
# Their profiles show what keeps them from more.
OTHERS = (
    *("wide label sets (`pod_labels`)", "native histograms", "short digits (requests, info)"),
    "interleaved, 1,000 clusters",
)


@dataclass(frozen=True)
class Package:
    """The function's code for arm64: MB as a folder and as the zip that ships."""

    folder_mb: float
    zip_mb: float


@dataclass(frozen=True)
class Searches:
    """MB/s at which bytes are only looked at: what any proof in Python rests on."""

    count: float
    find: float


@dataclass(frozen=True)
class Results:
    """All sections of one run."""

    date: str
    machine: str
    cpus: int
    python: str
    load_1m: float
    cases: list[Case]
    searches: Searches
    profiles: list[Profile]
    other_profiles: OtherProfiles | None
    runtime: Runtime | None
    ways: list[Way]
    wire: Wire
    memory: list[Memory]
    start: Start
    package: Package
    windows: list[WholeWindow]
    widths: list[AtOnce]
    throttled: list[Throttled]
    fleet: WholeWindow | None
    queries: QueryCosts | None
    bookkeeping: Bookkeeping
    backfills: Backfills | None

    def case(self, name: str) -> Case:
        return next(one for one in self.cases if one.name == name)

    def profile(self, name: str) -> Profile:
        return next(one for one in self.profiles if one.case == name)

    def peak_mb(self, size_mb: float, clusters: int) -> float:
        """Of the answer whose size is nearest."""
        return self._memory(size_mb, clusters).peak_mb

    def window_peak_mb(self, clusters: int, series: int) -> float:
        """Of the smallest whole window that has as many clusters and series; of the largest where
        none has."""
        windows = [*self.windows, *([self.fleet] if self.fleet else [])]
        enough = (
            one.peak_mb for one in windows if one.clusters >= clusters and one.series >= series
        )
        return next(enough, max(one.peak_mb for one in windows))

    @property
    def start_cpu_s(self) -> float:
        """CPU of a start: imports, as the whole windows began."""
        return min(one.parts["start"] for one in self.windows)

    @property
    def window_cpu_s(self) -> tuple[float, float, float]:
        """CPU of a MB of answer, of an object, and of a window beside these and its start: by the
        smallest and the largest whole window, and the fleet, which has as many objects as that."""
        assert self.fleet is not None  # a whole run measures it
        small, large, fleet = self.windows[0], self.windows[-1], self.fleet
        by_mb = (_work_s(fleet) - _work_s(large)) / (fleet.size_mb - large.size_mb)
        rest_large, rest_small = (_work_s(one) - by_mb * one.size_mb for one in (large, small))
        by_object = (rest_large - rest_small) / (large.objects - small.objects)
        return by_mb, by_object, rest_small - by_object * small.objects

    @property
    def series_mb(self) -> float:
        """Answer for each series of an hour."""
        return self.case(SORTED).size_mb / CASES[SORTED].series

    @property
    def server_mb_s(self) -> float:
        """MB of answer a second that Prometheus gave with gzip."""
        return self.wire.size_mb[0] / self.wire.wall_s[1]

    def _memory(self, size_mb: float, clusters: int) -> Memory:
        found = [one for one in self.memory if one.clusters == clusters]
        return min(found, key=lambda one: abs(one.size_mb - size_mb))


@dataclass(frozen=True)
class Goal:
    """`found` against `bound`; `why` says what keeps it from more."""

    what: str
    bound: float
    found: float | None
    at_least: bool
    unit: str = ""
    why: str = ""

    @property
    def met(self) -> bool:
        if self.found is None:
            return False
        return self.found >= self.bound if self.at_least else self.found <= self.bound


def find_goals(results: Results) -> list[Goal]:
    """The goals, in the order of the report."""
    lines, mixed = results.case(SORTED), results.case(MIXED)
    growth = max(
        results.peak_mb(1000, clusters) - results.peak_mb(10, clusters)
        for clusters in {one.clusters for one in results.memory}
    )
    gzip_way, plain_way = results.ways
    return [
        Goal("split + gzip, sorted, speed to raw ISA-L level 1", 0.80, lines.to_raw, True,
             why=_why_not_faster(results.profile(SORTED), 0.80)),
        Goal("the same, fully interleaved", 0.60, mixed.to_raw, True,
             why=_why_not_faster(results.profile(MIXED), 0.60)),
        Goal("speed to json + gzip", 40, lines.to_json, True,
             why=_why_not_parse(lines, "json + gzip", 40, lines.json)),
        Goal("speed to orjson + zlib 6", 12, lines.to_orjson, True,
             why=_why_not_parse(lines, "orjson + zlib 6", 12, lines.orjson)),
        Goal("size to zlib level 6, sorted", 1.12, lines.size_to_zlib6, False),
        Goal("size to zlib level 6, interleaved", 1.12, mixed.size_to_zlib6, False),
        Goal("growth of peak memory, 10 MB to 1 GB, the worst of 1, 100, 1,000 clusters", 32,
             growth, False, " MB",
             why="the spool's bounds: series that wait for their cluster's next member and "
                 "members that wait for the file"),
        Goal("peak memory of the process, 1,000 interleaved clusters, 1 GB", 160,
             results.peak_mb(1000, 1000), False, " MB"),
        Goal("whole way, CPU to `curl --compressed \\| igzip -1`", 2.0, gzip_way.ratio, False,
             why="curl or igzip is missing here" if gzip_way.ratio is None else ""),
        Goal("the same without gzip on the wire", 2.0, plain_way.ratio, False,
             why="curl or igzip is missing here" if plain_way.ratio is None else
                 _why_way(plain_way, lines)),
        *(
            Goal(f"whole window of {one.clusters} clusters, CPU to its floor", WINDOW_TO_FLOOR,
                 one.ratio, False, why=_why_window(one))
            for one in results.windows if one.clusters == WINDOW_CLUSTERS
        ),
        *_query_goal(results.queries),
        Goal("CPU of import and first query to `import boto3` and one client", 0.5,
             results.start.ratio, False, why=_why_start(results.start)),
    ]  # fmt: skip


def _work_s(window: WholeWindow) -> float:
    """CPU without the start's."""
    return window.cpu_s - window.parts["start"]


def _why_start(start: Start) -> str:
    return (
        f"powertools, urllib3 and obstore alone take {start.libraries_s / start.boto3_s:.2f}, and "
        "making the dataclasses of what a regular run needs another eighth"
    )


def _query_goal(queries: QueryCosts | None) -> list[Goal]:
    if queries is None:
        return []
    worst = max(queries.costs, key=lambda one: one.ratio or 0)
    what = "the dearest query of the catalogue, the server's CPU to the plain one's"
    return [Goal(what, QUERY_TO_PLAIN, worst.ratio, False, why=f"{worst.metric}; see the queries")]


def _why_not_faster(profile: Profile, goal: float) -> str:
    allowed = profile.raw / goal
    return (
        f"a MB may take {allowed:.2f} ms and takes {profile.whole:.2f}: {profile.compress:.2f} "
        f"compressing, {profile.count:.2f} counting samples in one pass of `bytes.count`, the rest "
        f"for {profile.calls:.1f} calls a series and for keeping what comes out: see the profile"
    )


def find_regressions(results: Results, before: Results) -> list[str]:
    """A sentence for each ratio that has become worse by a tenth."""
    pairs = [
        *(
            (f"{one.name}, speed to raw ISA-L", other.to_raw / one.to_raw)
            for one in results.cases
            for other in before.cases
            if one.name == other.name
        ),
        *(
            (f"whole window of {one.clusters} clusters, CPU to its floor", one.ratio / other.ratio)
            for one in results.windows
            for other in before.windows
            if one.clusters == other.clusters
        ),
        ("start, CPU to `import boto3` and one client", results.start.ratio / before.start.ratio),
    ]
    return [
        f"Worse by {worse - 1:.0%} than the committed figures: {what}."
        for what, worse in pairs
        if worse > REGRESSION
    ]


def _why_window(window: WholeWindow) -> str:
    return (
        f"{window.cpu_s:.1f} s against {window.floor_compress_s:.1f} of compressing and "
        f"{window.floor_put_s:.1f} of {window.objects:,} PUTs; see the parts"
    )


def _why_way(way: Way, case: Case) -> str:
    compressing, splitting = case.size_mb / case.raw, case.size_mb / case.split_only
    return (
        f"of {way.cpu_s:.2f} s raw ISA-L alone takes {compressing:.2f} and splitting alone "
        f"{splitting:.2f}; the other {way.cpu_s - compressing - splitting:.2f} are the socket, the "
        "spool and the uploads, of which the two programs have only the socket"
    )


def _why_not_parse(case: Case, name: str, goal: float, speed: float | None) -> str:
    assert speed is not None
    return (
        f"{name} ran at {speed:,.1f} MB/s, so that {goal:g} times is {goal * speed:,.0f} MB/s; the "
        f"exporter ran at {case.exporter:,.0f}, raw ISA-L at {case.raw:,.0f}: see the profile"
    )


def describe_run() -> dict[str, Any]:
    """Fields of Results that say where and when."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": processor(),
        "cpus": cpus(),
        "python": platform.python_version(),
        "load_1m": float(Path("/proc/loadavg").read_text("utf-8").split()[0]),
    }


def save(results: Results) -> None:
    FIGURES.write_text(json.dumps(dataclasses.asdict(results), indent=1) + "\n", "utf-8")


def load() -> Results:
    """What `make bench` saved. Raises FileNotFoundError before the first run."""
    raw: dict[str, Any] = json.loads(FIGURES.read_text("utf-8"))
    wire: dict[str, Any] = raw["wire"]
    for name in ("size_mb", "server_cpu_s", "wall_s"):
        wire[name] = tuple(wire[name])
    return Results(
        **{
            **raw,
            "cases": [Case(**one) for one in raw["cases"]],
            "searches": Searches(**raw["searches"]),
            "profiles": [Profile(**one) for one in raw["profiles"]],
            "other_profiles": _load_profiles(raw.get("other_profiles")),
            "runtime": _load_runtime(raw["runtime"]),
            "ways": [Way(**one) for one in raw["ways"]],
            "wire": Wire(**wire),
            "memory": [Memory(**one) for one in raw["memory"]],
            "start": Start(**raw["start"]),
            "package": Package(**raw["package"]),
            "windows": [WholeWindow(**one) for one in raw.get("windows", ())],
            "widths": [AtOnce(**one) for one in raw.get("widths", ())],
            "throttled": [Throttled(**one) for one in raw.get("throttled", ())],
            "fleet": WholeWindow(**raw["fleet"]) if raw.get("fleet") else None,
            "queries": _load_queries(raw.get("queries")),
            "bookkeeping": Bookkeeping(**raw["bookkeeping"]),
            "backfills": load_backfills(raw["backfills"]) if raw.get("backfills") else None,
        }
    )


def _load_profiles(raw: dict[str, Any] | None) -> OtherProfiles | None:
    if raw is None:
        return None
    return OtherProfiles(**{**raw, "profiles": [Profile(**one) for one in raw["profiles"]]})


def _load_runtime(raw: dict[str, Any] | None) -> Runtime | None:
    if raw is None:
        return None
    return Runtime(raw["python"], [Case(**one) for one in raw["cases"]])


def _load_queries(raw: dict[str, Any] | None) -> QueryCosts | None:
    if raw is None:
        return None
    return QueryCosts(**{**raw, "costs": [QueryCost(**one) for one in raw["costs"]]})
