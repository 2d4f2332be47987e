"""The pages on reading the files: what they run runs, gives what it shows, and that is right.

The numbers are worked out a second time from Prometheus alone, without the files.
"""

import contextlib
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from gzip import compress
from itertools import zip_longest
from pathlib import Path
from typing import Any

import duckdb
import pytest

from localcloud.prometheus import Prometheus
from mimir_exporter.catalog.metrics import load_catalog
from mimir_exporter.compose import Dependencies, create_context
from mimir_exporter.events import ExportEvent
from mimir_exporter.runs.reexport import export_missing
from mimir_exporter.settings.load import load_settings
from mimir_exporter.storage.folder import LocalFolder
from mimir_exporter.timeline.deadline import Deadline
from tests.integration.deployment import CENTRAL, HOUR_S, LAST_END, NOW
from tests.integration.sandbox import Clock
from tests.some import some

DOCS = Path(__file__).parents[2] / "docs"
# The second one needs the macro of the first.
PAGES = (DOCS / "reading.md", DOCS / "metrics.md")
HOURS = 12
START = LAST_END - HOURS * HOUR_S  # a midnight
READ = (
    "cpu_requests", "cpu_usage", "memory_requests", "memory_usage", "bytes_received",
    "bytes_transmitted", "pod_labels", "node_labels", "node_capacity", "pod_owner",
    "replicaset_owner",
)  # fmt: skip
CATALOG = {metric.name: metric.promql("cluster") for metric in load_catalog()}

Row = dict[str, str]
Table = list[list[str]]


@dataclass(frozen=True)
class Block:
    """Code of the page, under its heading, and the table that it shows below it, if one."""

    heading: str
    language: str
    code: str
    shown: str

    @property
    def table(self) -> Table:
        lines = [line for line in self.shown.splitlines() if not re.fullmatch(r"[|\s:-]+", line)]
        return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]


def blocks() -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text("utf-8")
        fence = r"(?ms)^```(\w+)\n(.*?)^```\n\n?((?:\|[^\n]*\n)*)"
        for match in re.finditer(fence, text):
            heading = re.findall(r"^#+ (.*)$", text[: match.start()], re.MULTILINE)[-1]
            found.append(Block(heading, match[1], match[2], match[3]))
    return found


def markdown(names: list[str], rows: list[tuple[Any, ...]]) -> str:
    """As the page shows a result: numbers to the right, whole ones without a point."""
    texts = [[_text(value) for value in row] for row in rows]
    right = [isinstance(value, int | float) for value in rows[0]]
    widths = [max(len(row[n]) for row in [names, *texts]) for n in range(len(names))]

    def line(cells: list[str]) -> str:
        padded = (
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(cells, widths, right, strict=True)
        )
        return f"| {' | '.join(padded)} |\n"

    rule = ["-" * (w - 1) + ":" if r else "-" * w for w, r in zip(widths, right, strict=True)]
    return line(names) + line(rule) + "".join(map(line, texts))


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


@pytest.fixture(scope="module")
def exports(mimir: Prometheus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve hours of the history, in `exports/` of a folder."""
    folder = tmp_path_factory.mktemp("reading")
    settings = load_settings(
        {
            "S3_BUCKET": "unused",
            "S3_PREFIX": "k8s/prometheus",
            "CLUSTER_NAME": CENTRAL,
            "HOSTNAME": "127.0.0.1",
            "PORT": str(mimir.port),
            "PATH_PREFIX": mimir.path_prefix,
            "QUERY_DELAY": "0",
        }
    )
    place = LocalFolder(folder / "exports")
    local = Dependencies(clock=Clock(NOW), open_bucket=lambda *_: place)
    with create_context(settings, Deadline(120), run_id="reading", dependencies=local) as context:
        event = ExportEvent(START, LAST_END, tuple(READ))
        assert export_missing(context, event).outcome == "complete"
    return folder


@pytest.fixture(scope="module")
def results(exports: Path) -> dict[str, tuple[Block, str]]:
    """Every block of SQL, in the page's order in one session; its result by its heading."""
    found: dict[str, tuple[Block, str]] = {}
    with contextlib.chdir(exports), duckdb.connect() as connection:
        for block in blocks():
            if block.language == "sql":
                answer = connection.execute(block.code)
                names = [column[0] for column in answer.description or ()]
                if rows := answer.fetchall():
                    found[block.heading] = (block, markdown(names, rows))
    return found


HEADINGS = [block.heading for block in blocks() if block.language == "sql" and block.shown]


def same(shown: Table, given: Table) -> bool:
    """But for the last digit: sums of floats depend on their order."""
    return len(shown) == len(given) and all(map(_same_cells, shown, given))


def _same_cells(shown: list[str], given: list[str]) -> bool:
    return all(
        left == right
        or (_is_number(left) and float(left) == pytest.approx(float(right), abs=0.011))
        for left, right in zip_longest(shown, given, fillvalue="")
    )


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text))


@pytest.mark.parametrize("heading", HEADINGS)
def test_the_page_shows_what_its_sql_gives(
    heading: str, results: dict[str, tuple[Block, str]]
) -> None:
    block, given = results[heading]
    assert same(block.table, Block("", "", "", given).table), given


def test_every_question_has_an_answer(results: dict[str, tuple[Block, str]]) -> None:
    assert len(HEADINGS) == 9
    assert set(HEADINGS) <= results.keys()


def rows_of(results: Mapping[str, tuple[Block, str]], heading: str) -> list[Row]:
    names, *rows = Block("", "", "", results[heading][1]).table
    return [dict(zip(names, row, strict=True)) for row in rows]


def close(text: str, number: float) -> bool:
    return float(text) == pytest.approx(number, abs=0.006)


@dataclass(frozen=True)
class Source:
    """What Prometheus itself says of those twelve hours."""

    mimir: Prometheus

    def series(self, metric: str) -> Iterator[tuple[dict[str, str], list[tuple[int, float]]]]:
        """Labels and samples. Series without a cluster count as the exporter's own."""
        answer = self.mimir.query_range(CATALOG[metric], START, LAST_END - 60, 60)
        for one in json.loads(answer)["data"]["result"]:
            yield (
                {"cluster": CENTRAL, **one["metric"]},
                [(moment, float(value)) for moment, value in one["values"]],
            )

    def sums(self, metric: str, *by: str) -> dict[tuple[str, ...], float]:
        """The sum of all samples by labels."""
        found: dict[tuple[str, ...], float] = defaultdict(float)
        for labels, samples in self.series(metric):
            found[tuple(labels.get(name, "") for name in by)] += sum(v for _, v in samples)
        return found

    def by_hour(self, metric: str) -> dict[tuple[str, ...], float]:
        """Sums by container and hour."""
        found: dict[tuple[str, ...], float] = defaultdict(float)
        for labels, samples in self.series(metric):
            for moment, value in samples:
                hour = str(moment // HOUR_S)
                where = (labels[name] for name in ("cluster", "namespace", "pod", "container"))
                found[*where, hour] += value
        return found


@pytest.fixture(scope="module")
def source(mimir: Prometheus) -> Source:
    return Source(mimir)


def test_usage_against_requests(results: dict[str, tuple[Block, str]], source: Source) -> None:
    requested = source.sums("cpu_requests", "cluster", "namespace")
    used = source.sums("cpu_usage", "cluster", "namespace")
    by_hour = source.by_hour("cpu_requests"), source.by_hour("cpu_usage")
    charged: dict[tuple[str, ...], float] = defaultdict(float)
    for key in by_hour[0].keys() | by_hour[1].keys():
        charged[key[:2]] += max(hours.get(key, 0.0) for hours in by_hour)
    rows = rows_of(results, "Requests against usage, by namespace")
    largest = sorted(requested, key=lambda key: -requested[key])[: len(rows)]
    assert {(row["cluster"], row["namespace"]) for row in rows} == set(largest)
    for row in rows:
        key = (row["cluster"], row["namespace"])
        assert close(row["requested"], requested[key] / 60)
        assert close(row["used"], used[key] / 60)
        assert close(row["charged"], charged[key] / 60)
        assert int(row["used_percent"]) == round(100 * used[key] / requested[key])


def test_what_the_receipts_list_is_all_that_there_is(
    results: dict[str, tuple[Block, str]], source: Source
) -> None:
    counts: dict[str, int] = defaultdict(int)
    for labels, samples in source.series("cpu_usage"):
        counts[labels["cluster"]] += len(samples)
    rows = rows_of(results, "Receipts")
    assert {row["cluster"]: int(row["samples"]) for row in rows} == counts
    assert all(row["samples"] == row["listed"] for row in some(rows))


def test_athena_is_given_the_files_that_the_receipts_list(
    results: dict[str, tuple[Block, str]], exports: Path
) -> None:
    """Its pseudo-column `$path` has a file's whole address."""
    (row,) = rows_of(results, "Only whole files")
    listed = re.findall(r"'s3://my-cost-bucket/([^']+)'", row["condition"])
    there = (exports / "exports").glob("k8s/prometheus/staging/*/*/metric=cpu_usage/1740826800_*")
    assert listed == [path.relative_to(exports / "exports").as_posix() for path in there]
    assert len(listed) == 1


def test_idle_nodes(results: dict[str, tuple[Block, str]], source: Source) -> None:
    prices = {"m7g.xlarge": 0.1952, "g5.12xlarge": 7.09}
    capacity = source.sums("node_capacity", "cluster", "node", "resource")
    requested = {
        "cpu": source.sums("cpu_requests", "cluster", "node"),
        "memory": source.sums("memory_requests", "cluster", "node"),
    }
    types = {
        (labels["cluster"], labels["node"]): labels["label_node_kubernetes_io_instance_type"]
        for labels, _ in source.series("node_labels")
    }
    idle = {}
    for key, kind in types.items():
        shares = [1 - requested[r].get(key, 0.0) / capacity[*key, r] for r in ("cpu", "memory")]
        idle[key] = shares, HOURS * prices[kind] * sum(max(0.0, one) for one in shares) / 2
    rows = rows_of(results, "Idle cost of a node")
    assert len(rows) == 5
    assert [row["idle_usd"] for row in rows] == [
        f"{cost:.2f}".rstrip("0").rstrip(".")
        for cost in sorted((round(cost, 2) for _, cost in idle.values()), reverse=True)[:5]
    ]
    for row in rows:
        shares, cost = idle[row["cluster"], row["node"]]
        assert close(row["idle_usd"], cost)
        assert float(row["hours"]) == HOURS
        told = [row["cpu_idle_percent"], row["memory_idle_percent"]]
        assert [int(one) for one in told] == [round(100 * max(0.0, share)) for share in shares]


def test_network(results: dict[str, tuple[Block, str]], source: Source) -> None:
    rows = rows_of(results, "Network, by cluster")
    assert {row["cluster"] for row in rows} == {CENTRAL, "prod-eu", "prod-us", "staging"}
    for column, metric in (
        ("received_gb", "bytes_received"),
        ("transmitted_gb", "bytes_transmitted"),
    ):
        total = source.sums(metric, "cluster")
        for row in rows:
            assert close(row[column], total[(row["cluster"],)] * 60 / 1e9)


def test_usage_by_team(results: dict[str, tuple[Block, str]], source: Source) -> None:
    pod = ("cluster", "namespace", "pod")
    teams: dict[tuple[str, ...], tuple[int, str]] = {}
    for labels, samples in source.series("pod_labels"):
        key = tuple(labels[name] for name in pod)
        last = (samples[-1][0], labels.get("label_team", ""))
        teams[key] = max(last, teams.get(key, last))
    expected: dict[str, list[float]] = defaultdict(list)
    for key, value in source.sums("cpu_usage", *pod).items():
        expected[teams[key][1] or "(no team)"].append(value / 60)
    rows = rows_of(results, "Usage by a label of the pods")
    assert {row["team"] for row in rows} == expected.keys()
    assert len(expected) == 4
    for row in rows:
        assert int(row["pods"]) == len(expected[row["team"]])
        assert close(row["core_hours"], sum(expected[row["team"]]))


def test_usage_by_owner(results: dict[str, tuple[Block, str]], source: Source) -> None:
    pod = ("cluster", "namespace", "pod")
    deployments: dict[tuple[str, ...], str] = {
        (labels["cluster"], labels["namespace"], labels["replicaset"]): labels["owner_name"]
        for labels, _ in source.series("replicaset_owner")
    }
    used = source.sums("cpu_usage", *pod)
    expected: dict[tuple[str, ...], list[float]] = defaultdict(list)
    owners = {
        tuple(labels[name] for name in pod): (labels["owner_kind"], labels["owner_name"])
        for labels, _ in source.series("pod_owner")
    }
    for key, (kind, name) in owners.items():
        deployment = deployments.get((*key[:2], name))
        owner = ("Deployment", deployment) if deployment else (kind, re.sub("-[0-9]+$", "", name))
        expected[*key[:2], *owner].append(used.get(key, 0.0) / 60)
    rows = rows_of(results, "Pods and usage by owner")
    most = sorted((sum(values) for values in expected.values()), reverse=True)
    assert [float(row["core_hours"]) for row in rows] == pytest.approx(most[:6], abs=0.006)
    for row in rows:
        values = expected[row["cluster"], row["namespace"], row["kind"], row["name"]]
        assert int(row["pods"]) == len(values)
        assert close(row["core_hours"], sum(values))


def test_odd_files_are_read_as_they_are(tmp_path: Path) -> None:
    """A name in need of encoding, no number, a series in two parts, and histograms."""
    folder = tmp_path / "exports/k8s/prometheus/a%2Fb%20%C3%A9/end=20250401/day=1/metric=own"
    folder.mkdir(parents=True)
    histogram = {"count": "3", "sum": "1.5", "buckets": [[0, "0.5", "1", "3"]]}
    series = [
        {"metric": {"le": "x"}, "values": [[1740787200, "NaN"], [1740787260.5, "+Inf"]]},
        {"metric": {"le": "x"}, "values": [[1740787320, "1e-7"]]},
        {"metric": {}, "histograms": [[1740787200, histogram]]},
    ]
    answer = {"status": "success", "data": {"resultType": "matrix", "result": series}}
    whole = json.dumps(answer).encode()
    # As the exporter writes: gzip members one after another.
    (folder / "1740787200_own.json.gz").write_bytes(compress(whole[:70]) + compress(whole[70:]))
    path = "exports/k8s/prometheus/*/end=*/day=*/metric=own/*.json.gz"
    with contextlib.chdir(tmp_path), duckdb.connect() as connection:
        for block in blocks():
            if "CREATE OR REPLACE MACRO" in block.code:
                connection.execute(block.code)
        rows = connection.execute(
            f"SELECT cluster, metric, labels ->> 'le', time::VARCHAR, value::VARCHAR "  # noqa: S608
            f"FROM samples('{path}') ORDER BY time"
        ).fetchall()
        assert rows == [
            ("a/b é", "own", "x", "2025-03-01 00:00:00", "nan"),
            ("a/b é", "own", "x", "2025-03-01 00:01:00.5", "inf"),
            ("a/b é", "own", "x", "2025-03-01 00:02:00", "1e-07"),
        ]
        (row,) = connection.execute(
            f"SELECT cluster, time::VARCHAR, count, sum, buckets FROM histograms('{path}')"  # noqa: S608
        ).fetchall()
        assert row[:4] == ("a/b é", "2025-03-01 00:00:00", 3.0, 1.5)
        assert json.loads(row[4]) == [[0, "0.5", "1", "3"]]


def test_pandas(exports: Path, source: Source) -> None:
    (block,) = (block for block in blocks() if block.language == "python")
    out = io.StringIO()
    space: dict[str, Any] = {}
    with contextlib.chdir(exports), contextlib.redirect_stdout(out):
        exec(compile(block.code, str(PAGES[0]), "exec"), space)  # noqa: S102 - the page's own code
    printed = PAGES[0].read_text("utf-8").split(block.code)[1].split("## Athena")[0]
    shown = [line.split() for line in printed.splitlines() if line.startswith("    ")]
    given = [line.split() for line in out.getvalue().splitlines()]
    assert same(shown, given), out.getvalue()
    frame = space["core_hours"]
    for metric in ("cpu_requests", "cpu_usage"):
        expected = {
            key: value / 60 for key, value in source.sums(metric, "cluster", "namespace").items()
        }
        assert frame[metric].dropna().to_dict() == pytest.approx(expected)


def test_an_ha_pair_and_a_sidecar_sum_up_right(results: dict[str, tuple[Block, str]]) -> None:
    """In `staging` two Prometheus scrape everything: one replica of each pod where prod-us has two.
    Its checkout has a native sidecar."""
    rows = rows_of(results, "Requests against usage, by namespace")
    shop = {row["cluster"]: row for row in rows if row["namespace"] == "shop"}
    web, checkout, sidecar = 0.1, 0.5, 0.1
    assert close(shop["staging"]["requested"], HOURS * (web + checkout + sidecar))
    used = {name: float(row["used"]) for name, row in shop.items()}
    assert used["staging"] == pytest.approx(used["prod-us"] / 2, rel=0.05)
