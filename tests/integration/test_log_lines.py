"""What the function logs is what docs/logs.md says that it may.

What all tests of this folder made it log is compared at the session's end (conftest.py).
"""

import json
from typing import Any

from tests.integration.deployment import HOUR_S, LAST_END, Function
from tests.integration.sandbox import SAID
from tests.logs import COMMON, MESSAGES


def undocumented(said: list[str]) -> list[str]:
    """Log lines that lack what every line has, or that are not in the table with their fields."""
    found = []
    for text in said:
        if not text.startswith('{"level"'):
            continue
        line: dict[str, Any] = json.loads(text)
        row = MESSAGES.get(line["message"])
        if (
            {"message", "run", "level", "timestamp"} - line.keys()
            or row is None
            or line["level"] not in row.levels
            or line.keys() - COMMON - row.fields
        ):
            found.append(text)
    return found


def test_a_run_s_lines_and_an_item_s_are_in_the_table(small: Function) -> None:
    before = len(SAID)
    small.export(request_id="this-run")
    small.backfill({"start": LAST_END - HOUR_S, "end": LAST_END, "execution": "backfill-7"})
    lines = [text for text in SAID[before:] if text.startswith('{"level"')]
    assert len(lines) > 5
    assert undocumented(lines) == []


def test_a_line_that_is_not_in_the_table_would_be_found(small: Function) -> None:
    small.export()
    line = next(text for text in SAID if text.startswith('{"level"') and "metric exported" in text)
    assert undocumented([line]) == []
    for wrong in (
        line.replace("metric exported", "metric sent"),
        line.replace('"INFO"', '"ERROR"'),
        line.replace('"samples"', '"numbers"'),
        line.replace('"run"', '"invocation"'),
    ):
        assert undocumented([wrong]) == [wrong]
