"""Catalogue files: TOML with pieces of queries, and the metrics that are made of them.

A file may extend a set that ships with the exporter: it takes over that set's pieces and metrics,
replaces what it names anew, and leaves out what it lists in `without`.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

# The sets that ship, by the value of CATALOG.
SETS = {
    "default": "catalog.toml",
    "finout": "finout.toml",
    "opentelemetry": "opentelemetry.toml",
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_SECTIONS = {"extends", "without", "words", "functions", "shapes", "metric"}


@dataclass(frozen=True)
class Tables:
    """A catalogue as it is in files: pieces by name, and metrics by name in their order."""

    words: Mapping[str, str] = field(default_factory=dict)
    functions: Mapping[str, str] = field(default_factory=dict)
    shapes: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_set(name: str) -> str:
    """The text of a set of SETS."""
    return files(__package__).joinpath(SETS[name]).read_text(encoding="utf-8")


def read_tables(text: str) -> Tables:
    """The tables of a file, with those of the set that it extends.

    Raises ValueError, one clause that says what is wrong.
    """
    given = tomllib.loads(text)
    for section in given.keys() - _SECTIONS:
        raise ValueError(f"unknown section {section!r}")
    base = Tables()
    if "extends" in given:
        if given["extends"] not in SETS:
            raise ValueError(f"extends {given['extends']!r}, which is none of {', '.join(SETS)}")
        base = read_tables(read_set(given["extends"]))
    metrics = {**base.metrics}
    for name in given.get("without", []):
        if name not in metrics:
            raise ValueError(f"without {name!r}, which it does not extend")
        del metrics[name]
    own = [_checked(table) for table in _tables_of(given.get("metric", []))]
    for table in own:
        if sum(table["name"] == other["name"] for other in own) > 1:
            raise ValueError(f"duplicate metric {table['name']!r}")
        metrics[table["name"]] = table
    return Tables(
        {**base.words, **_texts(given, "words")},
        {**base.functions, **_texts(given, "functions")},
        {**base.shapes, **_texts(given, "shapes")},
        {name: _resolved(table, metrics) for name, table in metrics.items()},
    )


def _tables_of(given: object) -> list[dict[str, Any]]:
    if not isinstance(given, list) or not all(isinstance(table, dict) for table in given):
        raise ValueError("metric is no array of tables: write [[metric]] above each")
    return given


def _texts(given: Mapping[str, Any], section: str) -> dict[str, str]:
    found = given.get(section, {})
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise ValueError(f"{section} is no table of strings")
    return found


def _checked(table: dict[str, Any]) -> dict[str, Any]:
    name = table.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"metric name {name!r}, expected letters, digits and _, no digit first, 100 characters "
            "at most"
        )
    for other, value in table.items():
        if other == "key":
            if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
                raise ValueError(f"{other} of {name!r} is no array of strings")
        elif not isinstance(value, str):
            raise ValueError(f"{other} of {name!r} is no string")
    if not table.keys() & {"query", "shape", "same_as"}:
        raise ValueError(f"metric {name!r} has neither query nor shape nor same_as")
    return table


def _resolved(
    table: Mapping[str, Any], metrics: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any]:
    """A metric that is the same as another one has that one's fields, and its own description."""
    if "same_as" not in table:
        return table
    other = metrics.get(table["same_as"])
    if other is None or "same_as" in other:
        raise ValueError(
            f"metric {table['name']!r} is the same as {table['same_as']!r}, which has no query of "
            "its own"
        )
    return {**other, **table}
