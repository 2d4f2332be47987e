"""Every line of the log is written through log.py, with the fields that it says."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_type_hints

import pytest

from mimir_exporter import log
from tests.logs import MESSAGES, allowed_fields

PACKAGE = Path(log.__file__).parent
NAMES = {name: value for name, value in vars(log).items() if isinstance(value, log.Message)}
WRITES = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Each call of an attribute of something, with its place."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                yield f"{path.name}:{node.lineno}", node


def logged() -> Iterator[tuple[str, log.Message, ast.Call]]:
    """Each use of a message."""
    for place, call in calls():
        assert isinstance(call.func, ast.Attribute)
        of = call.func.value
        if isinstance(of, ast.Name) and of.id == "log" and call.func.attr in NAMES:
            yield place, NAMES[call.func.attr], call


def test_nothing_is_logged_beside_log_py() -> None:
    direct = [
        place
        for place, call in calls()
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in WRITES
        and ast.unparse(call.func.value).endswith("logger")
    ]
    assert direct == []


def test_every_message_is_used_and_named_for_its_text() -> None:
    assert {message.text for _, message, _ in logged()} == set(MESSAGES)
    assert len(MESSAGES) == len(NAMES) > 25
    assert {name: one.text for name, one in NAMES.items()} == {
        name: name.lower().replace("_", " ") for name in NAMES
    }


def test_each_use_gives_the_fields_of_its_message() -> None:
    for place, message, call in logged():
        given = {keyword.arg for keyword in call.keywords if keyword.arg}
        if "error" in given:
            given |= set(log.ERROR_PARTS)
        given -= {"error", "level"}
        assert given <= allowed_fields(message), place
        # Fields that are in a dict of `log.Fields` are looked at where the line is written.
        if all(keyword.arg for keyword in call.keywords):
            assert given >= set(message.fields), place


@pytest.mark.parametrize("message", MESSAGES.values(), ids=lambda message: message.text)
def test_a_message_says_when_and_what_to_do_and_has_known_fields(message: log.Message) -> None:
    powertools = {"exception", "exception_name", "stack_trace"}
    assert allowed_fields(message) <= get_type_hints(log.Fields).keys() | powertools
    assert message.when
    assert message.levels == ("INFO",) or message.action
    assert set(message.levels) <= {"INFO", "WARNING", "ERROR"}
