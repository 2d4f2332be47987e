"""What the tests of this folder made the function say is what docs/logs.md says that it may.

Late by its name, so that what all of them have said can be looked at.
"""

import json
from typing import Any

from tests.integration.deployment import HOUR_S, LAST_END, Function
from tests.integration.sandbox import SAID
from tests.logs import COMMON, MESSAGES


def lines() -> list[dict[str, Any]]:
    return [json.loads(text) for text in SAID if text.startswith('{"level"')]


def test_each_line_has_the_keys_of_every_line(small: Function) -> None:
    small.export(request_id="this-run")
    small.backfill({"start": LAST_END - HOUR_S, "end": LAST_END, "execution": "backfill-7"})
    for line in lines():
        lacking = {"message", "run", "level", "timestamp"} - line.keys()
        assert not lacking, line


def test_each_line_is_in_the_table_with_its_fields(small: Function) -> None:
    small.export()
    for line in lines():
        row = MESSAGES[line["message"]]
        assert line["level"] in row.levels, line
        assert line.keys() - COMMON - row.fields == set(), line
