"""Errors have parts, and every error is a row of a table whose code is its own."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import errors as deployment
from mimir_exporter import errors
from mimir_exporter.errors import ErrorKind, ExportError, kinds_in, runs, settings, source, storage

PACKAGE = Path(errors.__file__).resolve().parents[1]
INFRA = Path(deployment.__file__).parent
TABLES = (deployment, settings, source, storage, runs)
KINDS = {name: kind for table in TABLES for name, kind in kinds_in(vars(table)).items()}


def test_a_code_is_the_name_of_its_constant_and_only_one_kind_has_it() -> None:
    assert len(KINDS) == sum(len(kinds_in(vars(table))) for table in TABLES) > 80
    assert {name: kind.code for name, kind in KINDS.items()} == {
        name: name.lower() for name in KINDS
    }


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.code)
def test_texts_begin_and_end_so_that_they_make_one_sentence(kind: ErrorKind[ExportError]) -> None:
    assert issubclass(kind.error, ExportError)
    assert kind.summary[0] == "{" or kind.summary[0].isupper()
    assert kind.remedy[0] == "{" or kind.remedy[0].islower()
    assert not kind.summary.endswith((".", ";"))
    assert not kind.remedy.endswith((".", ";"))


def test_an_error_is_its_parts_and_one_sentence_that_ends_at_its_code() -> None:
    error = storage.S3_ACCESS_DENIED(
        verb="read", where="s3://b/k", who="the role R", cause="AccessDenied:\n no.  "
    )
    assert error.details.as_dict() == {
        "code": "s3_access_denied",
        "summary": "S3 denied access to read s3://b/k",
        "cause": "AccessDenied: no",
        "remedy": "check that the role R has the exporter's bucket policy for this bucket and "
        "prefix, and that the bucket's own policy and its KMS key allow it",
    }
    assert str(error) == (
        "S3 denied access to read s3://b/k (AccessDenied: no); check that the role R has the "
        "exporter's bucket policy for this bucket and prefix, and that the bucket's own policy "
        "and its KMS key allow it [s3_access_denied]"
    )


def _calls(names: set[str]) -> Iterator[tuple[str, str, ast.Call]]:
    """Each call of a kind, or of its `details`: the place, the kind's name, the call."""
    for path in sorted([*PACKAGE.rglob("*.py"), *INFRA.rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                called = node.func
                if isinstance(called, ast.Attribute) and called.attr == "details":
                    called = called.value
                if ast.unparse(called).startswith("log."):
                    continue  # a message, which may have the same name
                name = called.attr if isinstance(called, ast.Attribute) else ""
                name = called.id if isinstance(called, ast.Name) else name
                if name in names:
                    yield f"{path.name}:{node.lineno}", name, node


def test_each_use_gives_the_fields_of_its_kind() -> None:
    for place, name, call in _calls(set(KINDS)):
        given = {keyword.arg for keyword in call.keywords} - {"cause"}
        if None not in given:
            assert given == KINDS[name].fields, f"{place} {name}"
        assert not call.args, place


def test_every_kind_is_used() -> None:
    used = {name for _, name, _ in _calls(set(KINDS))} | {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for path in PACKAGE.rglob("*.py")
        if path.parent.name != "errors"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute | ast.Name)
    }
    assert set(KINDS) - used == set()


CLASSES = {
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and name.endswith("Error")
}


def test_no_error_is_made_from_a_sentence() -> None:
    """Only from a kind, or from the parts of another error."""
    made = [
        f"{path.name}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        if path.parent.name != "errors"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] in CLASSES
        and not all(".details" in ast.unparse(argument) for argument in node.args)
    ]
    assert made == []


# What takes a text apart, or looks into it.
PARSES = {"partition", "rpartition", "split", "rsplit", "splitlines", "startswith", "endswith"}
PARSES |= {"find", "index", "removeprefix", "removesuffix", "rstrip", "strip"}


def is_sentence(node: ast.AST) -> bool:
    """`str(error)`, or a part of an error that is for reading."""
    text = ast.unparse(node)
    parts = (".summary", ".remedy", ".found", ".details.cause")
    return text in ("str(error)", "str(failure)") or text.endswith(parts)


def parses_sentence(node: ast.AST) -> bool:
    """Whether it looks into a sentence of ours."""
    if isinstance(node, ast.Compare):
        return any(map(is_sentence, (node.left, *node.comparators)))
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in PARSES
        and is_sentence(node.func.value)
    )


# Errors of botocore and of the standard library, whose text has nothing but words.
OF_OTHERS = {"role.py", "sigv4.py", "auth.py"}


def test_nothing_looks_into_a_sentence() -> None:
    parsed = [
        f"{path.name}:{node.lineno} {ast.unparse(node)}"
        for path in PACKAGE.rglob("*.py")
        if path.name not in OF_OTHERS
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Compare | ast.Call) and parses_sentence(node)
    ]
    assert parsed == []


@pytest.mark.parametrize(
    "code", ['"x" in str(error)', 'str(error).partition("; ")', 'last.found.startswith("S3")']
)
def test_a_look_into_a_sentence_would_be_found(code: str) -> None:
    assert any(map(parses_sentence, ast.walk(ast.parse(code))))
