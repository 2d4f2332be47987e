"""docs/logs.md as data: the messages that the function can write, and their fields."""

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "logs.md"
# Of every line; the last ones are Powertools'.
COMMON = frozenset(
    (
        "message",
        "run",
        "level",
        "location",
        "timestamp",
        "service",
        "cold_start",
        "function_name",
        "function_arn",
        "function_memory_size",
        "function_request_id",
        "xray_trace_id",
    )
)


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    levels: frozenset[str]
    when: str
    fields: frozenset[str]
    what_to_do: str


def _read(page: str) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for line in page.partition("## Messages")[2].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| `"):
            continue
        message, levels, when, fields, what_to_do = cells
        same = re.fullmatch(r"as `(.+)`", fields)
        rows[message.strip("`")] = Row(
            frozenset(levels.split()),
            when,
            rows[same[1]].fields if same else frozenset(re.findall(r"`(\w+)`", fields)),
            what_to_do,
        )
    return rows


MESSAGES = _read(PAGE.read_text("utf-8"))
