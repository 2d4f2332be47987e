"""Errors have parts, and every error is a row of a table whose code is its own."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from mimir_exporter import errors
from mimir_exporter.errors import ErrorKind, ExportError, kinds_in, runs, settings, source, storage

PACKAGE = Path(errors.__file__).resolve().parents[1]
TABLES = (settings, source, storage, runs)
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
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                called = node.func
                if isinstance(called, ast.Attribute) and called.attr == "details":
                    called = called.value
                name = called.attr if isinstance(called, ast.Attribute) else ""
                name = called.id if isinstance(called, ast.Name) else name
                if name in names:
                    yield f"{path.name}:{node.lineno}", name, node


def test_each_use_gives_the_fields_of_its_kind() -> None:
    for place, name, call in _calls(set(KINDS)):
        given = {keyword.arg for keyword in call.keywords} - {"cause"}
        assert given == KINDS[name].fields, f"{place} {name}"
        assert not call.args, place
