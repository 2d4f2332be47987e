"""docs/logs.md names every line that the function can write, and no other."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.logs import MESSAGES

PACKAGE = Path(__file__).resolve().parents[2] / "lambda" / "mimir_exporter"
LEVELS = {
    "debug": "DEBUG",
    "info": "INFO",
    "warning": "WARNING",
    "error": "ERROR",
    "exception": "ERROR",
    "critical": "CRITICAL",
}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Each call of a logger that writes a line, with its place."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {*LEVELS, "log"}
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "logger"
            ):
                yield f"{path.name}:{node.lineno}", node


def test_each_message_is_a_constant() -> None:
    """What differs from line to line is a field, or nobody could search for the message."""
    odd = [
        place
        for place, call in calls()
        if not (call.args and isinstance(call.args[0], ast.Constant))
    ]
    assert odd == []


def test_the_table_has_every_message_with_its_levels() -> None:
    written: dict[str, set[str]] = {}
    for _, call in calls():
        assert isinstance(call.func, ast.Attribute)
        assert isinstance(call.args[0], ast.Constant)
        message = str(call.args[0].value)
        written.setdefault(message, set()).add(LEVELS[call.func.attr])
    assert len(written) > 20
    assert {message: set(row.levels) for message, row in MESSAGES.items()} == written


def test_the_table_says_when_and_with_what() -> None:
    for message, row in MESSAGES.items():
        assert row.when, message
        assert row.levels == {"INFO"} or row.what_to_do, message
