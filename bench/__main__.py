"""Measure everything, print the table of goals, write docs/performance.md, .json and docs/cost.md.

With a section's name (`make bench ARGS=memory`) only that is measured, and nothing is written,
but for those of REPLACED_ALONE, whose figures replace those of before on the pages.
"""

import dataclasses
import os
import sys
import time
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from bench import cost, results
from bench.answers import Shape, make_blocks
from bench.backfill import measure_backfills
from bench.bookkeeping import measure_bookkeeping
from bench.compress import CASES, measure_case
from bench.measure import in_process
from bench.memory import measure_memory
from bench.profile import OtherProfiles, measure_profile
from bench.query_cost import measure_queries
from bench.report import goal_table, write_report
from bench.results import MIXED, SORTED
from bench.runtime import VERSION, measure_runtime
from bench.stack import count_watching
from bench.start import measure_start
from bench.way import measure_way, measure_wire, running_server
from bench.widths import measure_widths
from bench.windows import measure_fleet, measure_throttled, measure_windows
from infra.package import build_package
from localcloud.aws import running_cloud
from localcloud.processes import leave_on_sigterm

# These have their own date on the page.
REPLACED_ALONE = (
    *("other_profiles", "start", "widths", "windows", "throttled", "fleet"),
    *("queries", "bookkeeping", "backfills"),
)
PROJECT = Path(__file__).resolve().parents[1]


def measure_searches() -> results.Searches:
    """The two primitives, each over the same 18 MB, with what they are given by the splitter."""
    text = b"".join(make_blocks(Shape("usual", 8000, 20)))
    needle = b'{"metric":{"cluster":"prod-0000",'
    count = min(in_process(lambda: text.count(needle))().cpu_s for _ in range(9))

    def find_all() -> None:
        at = 0
        while at >= 0:
            at = text.find(b"}", at + 1)

    find = min(in_process(find_all)().cpu_s for _ in range(9))
    return results.Searches(len(text) / 1e6 / count, len(text) / 1e6 / find)


def measure_package() -> results.Package:
    """The code that a deployment ships, built as it does."""
    folder = build_package(architecture="arm64", python_version=VERSION).path
    files = [path for path in folder.rglob("*") if path.is_file()]
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.relative_to(folder))
    size = sum(path.stat().st_size for path in files)
    return results.Package(size / 1e6, len(packed.getvalue()) / 1e6)


def measure_other_profiles(machine: Mapping[str, Any]) -> OtherProfiles:
    """Where the CPU goes in the cases that are furthest from raw."""
    where = {name: machine[name] for name in ("date", "machine", "python")}
    return OtherProfiles(**where, profiles=[measure_profile(name) for name in results.OTHERS])


def main() -> None:
    leave_on_sigterm()
    only = sys.argv[1:]
    machine = results.describe_run()
    found: dict[str, Any] = {}

    def section(name: str, measure: Callable[[], Any]) -> None:
        if only and name not in only:
            return
        began = time.monotonic()
        found[name] = measure()
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
        if only:
            print(found[name], flush=True)

    os.chdir(PROJECT)
    section("cases", lambda: [measure_case(name) for name in CASES])
    section("searches", measure_searches)
    section("profiles", lambda: [measure_profile(name) for name in (SORTED, MIXED)])
    section("other_profiles", lambda: measure_other_profiles(machine))
    section("runtime", measure_runtime)
    with running_server() as server:
        section("start", lambda: measure_start(server))
        section("memory", lambda: measure_memory(server))
        section("widths", lambda: measure_widths(server))
        with running_cloud() as cloud:
            section("ways", lambda: measure_way(server, cloud))
            section("windows", lambda: measure_windows(server, cloud))
            section("throttled", lambda: measure_throttled(server, cloud))
            section("fleet", lambda: measure_fleet(server, cloud))
            section("bookkeeping", lambda: measure_bookkeeping(cloud))
            section("backfills", lambda: measure_backfills(cloud))
    section("queries", measure_queries)
    section("wire", measure_wire)
    section("package", measure_package)
    before = results.load()
    if len(only) == 1 and only[0] in REPLACED_ALONE:
        everything = dataclasses.replace(before, **found)
    elif only:
        return
    else:
        everything = results.Results(**machine, **found)
    for sentence in results.find_regressions(everything, before):
        print(sentence)
    results.save(everything)
    print(goal_table(results.find_goals(everything)))
    (PROJECT / "docs" / "performance.md").write_text(write_report(everything), "utf-8")
    (PROJECT / "docs" / "cost.md").write_text(
        cost.write_page(everything, count_watching()), "utf-8"
    )


main()
