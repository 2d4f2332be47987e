"""What the demo shows of a bucket and of a log, short enough to read."""

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

FILES_SHOWN = 2


def folder_tree(bucket: str, prefix: str, keys: Sequence[str]) -> Tree:
    """The folders below the prefix, each with its first entries and how many were left out."""
    root: dict[str, Any] = {}
    for key in keys:
        folder = root
        for part in key.removeprefix(f"{prefix}/").split("/")[:-1]:
            folder = folder.setdefault(f"{part}/", {})
        folder[key.rpartition("/")[2]] = None
    tree = Tree(f"[bold]s3://{bucket}/{prefix}/[/bold]", guide_style="dim")
    _grow(tree, root, depth=0)
    return tree


def _grow(tree: Tree, folder: Mapping[str, Any], depth: int) -> None:
    """Every cluster is shown, and below the largest one an example of each level."""
    folders = sorted((name for name in folder if folder[name] is not None), key=_natural)
    files = sorted(name for name in folder if folder[name] is None)
    largest = max(folders, key=lambda name: _count(folder[name]), default=None)
    shown = folders if depth == 0 else folders[:1]
    for name in shown:
        branch = tree.add(Text(name))
        if depth > 0 or name == largest:
            _grow(branch, folder[name], depth + 1)
    if len(folders) > len(shown):
        tree.add(Text(f"... {len(folders) - len(shown)} more", style="dim"))
    for name in files[:FILES_SHOWN]:
        tree.add(Text(name, style="green"))
    if len(files) > FILES_SHOWN:
        tree.add(Text(f"... {len(files) - FILES_SHOWN} more", style="dim"))


def _count(folder: Mapping[str, Any] | None) -> int:
    return 1 if folder is None else sum(map(_count, folder.values()))


def _natural(name: str) -> tuple[str, int]:
    """day=9 before day=10."""
    head, _, number = name.rstrip("/").partition("=")
    return head, int(number) if number.isdigit() else 0


def file_content(body: bytes) -> Syntax:
    """One object, uncompressed and indented, with the first series and samples only."""
    answer = json.loads(gzip.decompress(body))
    series = answer["data"]["result"]
    lines = ['{"status": "success", "data": {"resultType": "matrix", "result": [']
    for one in series[:1]:
        labels = json.dumps(one["metric"], indent=2, ensure_ascii=False).replace("\n", "\n   ")
        values = one["values"]
        lines.append(f'  {{"metric": {labels},')
        lines.append('   "values": [')
        lines += [f"     {json.dumps(value)}," for value in values[:2]]
        lines.append(f"     ... {len(values) - 2} more]}},")
    lines.append(f"  ... {len(series) - 1} more series")
    lines.append("]}}")
    return Syntax("\n".join(lines), "json", background_color="default", word_wrap=True)


def coverage(files: Iterable[tuple[str, str, int]], metrics: Sequence[str]) -> Table:
    """Windows with a file, and samples, by metric and cluster. `files`: (cluster, metric, samples).

    A dash is a metric that the cluster does not have: no series, no file.
    """
    windows: Counter[tuple[str, str]] = Counter()
    samples: dict[tuple[str, str], int] = defaultdict(int)
    for cluster, metric, count in files:
        windows[cluster, metric] += 1
        samples[cluster, metric] += count
    clusters = sorted({cluster for cluster, _ in windows})
    table = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    table.add_column("windows, samples")
    for cluster in clusters:
        table.add_column(cluster, justify="right", no_wrap=True)
    for metric in metrics:
        row = [
            f"{windows[cluster, metric]:>4} {_short(samples[cluster, metric]):>5}"
            if windows[cluster, metric]
            else "-"
            for cluster in clusters
        ]
        table.add_row(metric, *row)
    totals = [sum(samples[cluster, metric] for metric in metrics) for cluster in clusters]
    table.add_section()
    table.add_row("[bold]all samples[/bold]", *(f"[bold]{total:,}[/bold]" for total in totals))
    return table


def _short(count: int) -> str:
    if count >= 1_000_000:
        return f"{count / 1e6:.1f}M"
    return f"{count / 1e3:.0f}k" if count >= 10_000 else str(count)


def log_line(event: Mapping[str, Any]) -> Text:
    """One JSON line of the function's log: level, message, and what it says beside."""
    usual = {
        "level", "location", "message", "timestamp", "service", "cold_start", "function_name",
        "function_memory_size", "function_arn", "function_request_id", "xray_trace_id",
        "correlation_id", "name",
    }  # fmt: skip
    style = {"ERROR": "red", "WARNING": "yellow"}.get(str(event.get("level")), "cyan")
    line = Text.assemble((f"{event.get('level', '')} ", style), str(event.get("message", "")))
    for name, value in event.items():
        if name not in usual:
            shown = value if isinstance(value, str) else json.dumps(value)
            line.append(f" {name}=", style="dim")
            line.append(shown)
    return line
