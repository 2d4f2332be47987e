"""docs/operations.md tells what to do for every alarm, and for none that is not there."""

import re
from typing import Any

from infra import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")


def test_every_alarm_has_its_row(resources: dict[str, Any]) -> None:
    alarms = {
        str(one["Properties"]["AlarmName"]).removeprefix("MimirExporter-")
        for one in resources.values()
        if one["Type"] == "AWS::CloudWatch::Alarm"
    }
    section = PAGE.partition("## When an alarm rings")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == alarms
