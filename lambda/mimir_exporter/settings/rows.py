"""What a row of the settings table says, and how a table of them is read.

A table is a frozen dataclass whose fields are made by `setting`. One row gives the typed value,
its parser, its default, cdk.json's entry and the line on docs/settings.md; nothing about a setting
is anywhere else.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, TypeVar, cast

from ..errors.settings import SETTING_REQUIRED
from .parsers import Parser, parse

T = TypeVar("T")


class Place(Enum):
    """Where the value of a setting is given."""

    ENVIRONMENT = "the function's variable, and the deployment setting of the same name"
    DEPLOYMENT = "a deployment setting only"
    MADE = "the function's variable; the deployment has a row of its own under the same name"
    SECRET = "the function's variable, or a key of the secret: never a deployment setting"  # noqa: S105
    STACK = "the function's variable, set by the stack"


@dataclass(frozen=True)
class Row:
    """One setting.

    `default` is None where a value is required, and "" where there is none without one; so is
    `deployed`, which is the default of a deployment. `unit` is what a bare number means. `meaning`
    and `change` are Markdown, parts of one table: what it is, and what a new value does to what
    was exported or deployed before ("" for nothing: it is safe at any time).
    """

    name: str
    parser: Parser[Any]
    group: str
    default: str | None
    deployed: str | None
    meaning: str
    unit: str
    change: str
    place: Place
    absent: object

    @property
    def key(self) -> str:
        """The deployment setting's name."""
        return self.name.lower()

    @property
    def spelling(self) -> str:
        """The name for a message: both spellings where there are two."""
        if self.place is Place.DEPLOYMENT:
            return self.key
        if self.place in (Place.SECRET, Place.STACK):
            return self.name
        return f"{self.name} (cdk.json: {self.key})"


def setting(
    name: str,
    parser: Parser[T],
    *,
    group: str,
    default: str | None,
    meaning: str,
    unit: str = "",
    change: str = "",
    place: Place = Place.ENVIRONMENT,
    deployed: str | None = None,
    required_to_deploy: bool = False,
    absent: object = "",
) -> T:
    """A field of a table: one row.

    `deployed` is the default in cdk.json where that is not the function's own. `absent` is the
    typed value where no text is given and the default is "".
    """
    shown = None if required_to_deploy else (default if deployed is None else deployed)
    row = Row(name, parser, group, default, shown, meaning, unit, change, place, absent)
    return cast("T", field(metadata={"row": row}))


def rows_of(table: type[Any]) -> dict[str, Row]:
    """The rows of a table by name, in its order."""
    rows = (declared.metadata["row"] for declared in fields(table) if "row" in declared.metadata)
    return {row.name: row for row in rows}


def read_table(table: type[T], text_of: Callable[[Row], str], *, deployment: bool = False) -> T:
    """Read every row; `text_of` gives a row's text, "" where it is not given.

    Raises SettingsError, one sentence that names the setting, the value and what is expected.
    """
    values: dict[str, object] = {}
    for declared in fields(cast("Any", table)):
        row = cast("Row", declared.metadata["row"])
        text = text_of(row) or (row.deployed if deployment else row.default)
        if text is None:
            raise SETTING_REQUIRED(name=row.spelling, meaning=row.meaning)
        values[declared.name] = parse(row.spelling, row.parser, text) if text else row.absent
    return table(**values)
