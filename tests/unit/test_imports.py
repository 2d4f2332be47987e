"""Imports run one way: from the entry points down to the contracts, without a circle anywhere."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PACKAGE = PROJECT / "lambda" / "mimir_exporter"
# Folders of the package and the files beside them, from the bottom up: each imports only what
# is before it here.
ORDER = (
    "__init__",  # the version
    "words",
    "errors",
    "log",
    "timeline",
    "settings",
    "events",
    "catalog",
    "answer",
    "source",
    "storage",
    "checkpoint",
    "runs",
    "coverage",
    "check",
    "actions",
    "compose",
    "console",
    "handler",
    "widget",
    "__main__",
)
INFRA_ORDER = (
    "checkout",
    "__init__",
    "errors",
    "package",
    "deployment",
    "parts",
    "monitoring",
    "interface",
    "exporter",
    "outputs",
    "stack",
)
ORDERS = {"mimir_exporter": ORDER, "infra": INFRA_ORDER}
ENTRY_POINTS = {"handler", "widget", "__main__"}
ROOTS = {
    "mimir_exporter": PACKAGE,
    "infra": PROJECT / "infra",
    "release": PROJECT / "release",
    "localcloud": PROJECT / "localcloud",
}


def modules(root: str) -> dict[str, Path]:
    """Files of a package by dotted name, a folder's `__init__` by the folder's."""
    found = {}
    for path in sorted(ROOTS[root].rglob("*.py")):
        parts = path.relative_to(ROOTS[root]).with_suffix("").parts
        name = ".".join((root, *(part for part in parts if part != "__init__")))
        found[name] = path
    return found


def imported(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """The modules of the same package that a file imports, anywhere in it, also just for types."""

    def targets(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                # A folder's own `__init__` means the folder: one step fewer.
                steps = node.level - (path.name == "__init__.py")
                above = name.split(".")[: len(name.split(".")) - steps]
                base = ".".join((*above, *filter(None, [node.module])))
            for alias in node.names:
                below = f"{base}.{alias.name}"
                yield below if below in known else base

    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {target for node in ast.walk(tree) for target in targets(node)} & known.keys() - {name}


def graph(root: str) -> dict[str, set[str]]:
    known = modules(root)
    return {name: imported(name, path, known) for name, path in known.items()}


def room(name: str) -> str:
    """The folder, or the file beside the folders, that a module belongs to."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def rooms(root: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, targets in graph(root).items():
        here = found.setdefault(room(name), set())
        here |= {room(target) for target in targets} - {room(name)}
    return found


def circle(edges: dict[str, set[str]]) -> list[str]:
    """One circle, or none."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


@pytest.mark.parametrize("root", ROOTS)
def test_no_file_imports_itself_by_way_of_others(root: str) -> None:
    assert circle(graph(root)) == []


@pytest.mark.parametrize("root", sorted(ROOTS.keys() - {"infra"}))
def test_no_folder_imports_itself_by_way_of_others(root: str) -> None:
    assert circle(rooms(root)) == []


@pytest.mark.parametrize("root", ORDERS)
def test_the_order_names_every_folder_and_every_file_beside_them(root: str) -> None:
    assert sorted(ORDERS[root]) == sorted(rooms(root))


@pytest.mark.parametrize("root", ORDERS)
def test_imports_go_down(root: str) -> None:
    order = ORDERS[root]
    upward = [
        f"{name} imports {target}"
        for name, targets in graph(root).items()
        for target in sorted(targets)
        if room(target) != room(name) and order.index(room(target)) > order.index(room(name))
    ]
    # Only for types and on demand: the package's own name for its construct.
    assert upward == (["infra imports infra.exporter"] if root == "infra" else [])


def test_only_entry_points_import_the_composition() -> None:
    assert {name for name, targets in rooms("mimir_exporter").items() if "compose" in targets} == (
        ENTRY_POINTS
    )


def test_a_circle_would_be_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) != []
    assert "runs" in rooms("mimir_exporter")["handler"]
    assert "mimir_exporter.checkpoint.store" in graph("mimir_exporter")["mimir_exporter.compose"]
