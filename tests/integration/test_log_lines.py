"""What the function logs is what log.py says that it may.

What all tests of this folder made it log is compared at the session's end (conftest.py).
"""

import json
from collections.abc import Sequence
from typing import Any, get_origin, get_type_hints

from mimir_exporter import log
from tests.integration.deployment import HOUR_S, LAST_END, Function
from tests.integration.sandbox import SAID
from tests.logs import COMMON, MESSAGES, allowed_fields

HINTS = get_type_hints(log.Fields)


def has_type(value: object, hint: Any) -> bool:
    """Whether a value of a line has the type that its field has in log.py."""
    kind = get_origin(hint) or hint
    return (
        type(value) is kind
        or (kind is Sequence and type(value) is list)
        or (kind is float and type(value) is int)
    )


def undocumented(said: list[str]) -> list[str]:
    """Log lines that lack what every line has, or differ from log.py in level, fields or types."""
    found = []
    for text in said:
        if not text.startswith('{"level"'):
            continue
        line: dict[str, Any] = json.loads(text)
        message = MESSAGES.get(line["message"])
        if (
            {"message", "run", "level", "timestamp"} - line.keys()
            or message is None
            or line["level"] not in message.levels
            or line.keys() - COMMON - allowed_fields(message)
            or set(message.fields) - line.keys()
            or any(
                not has_type(value, HINTS[name]) for name, value in line.items() if name in HINTS
            )
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
        line.replace('"samples":', '"samples":"x","numbers":'),
        line.replace('"run"', '"invocation"'),
    ):
        assert undocumented([wrong]) == [wrong]
