"""docs/operations.md tells what to do for every alarm, and for none that is not there."""

import re
from typing import Any

from infra import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")


PARTS = ["Impact", "Cause", "Do", "Over"]


def test_every_alarm_has_its_section_and_each_says_all_four(resources: dict[str, Any]) -> None:
    alarms = {
        str(one["Properties"]["AlarmName"]).removeprefix("MimirExporter-")
        for one in resources.values()
        if one["Type"] == "AWS::CloudWatch::Alarm"
    }
    section = PAGE.partition("## Alarms")[2].partition("\n## ")[0]
    parts = re.split(r"^### (.*)$", section, flags=re.MULTILINE)[1:]
    told = dict(zip(parts[::2], parts[1::2], strict=True))
    assert {name for title in told for name in title.split(" and ")} == alarms
    for text in told.values():
        assert re.findall(r"^- \*\*(\w+):\*\* \S", text, re.MULTILINE) == PARTS
