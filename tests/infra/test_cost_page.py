"""docs/cost.md is what the bench writes, with the alarms and metrics of today's template."""

from typing import Any

from bench.cost import write_page
from bench.results import load
from bench.stack import count_watching
from infra import ROOT


def test_the_page_is_as_written(resources: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "cost.md").read_text("utf-8")
    assert page == write_page(load(), count_watching(resources))


def test_alarms_and_metrics_are_counted(resources: dict[str, Any]) -> None:
    """Each alarm and each metric costs: one more in the template is one more on the page."""
    counted = count_watching(resources)
    kinds = [one["Type"] for one in resources.values()]
    assert counted.alarms == kinds.count("AWS::CloudWatch::Alarm")
    (alarm,) = (
        one
        for one in resources.values()
        if one["Type"] == "AWS::CloudWatch::Alarm" and one["Properties"]["MetricName"] == "Gaps"
    )
    other = {**alarm, "Properties": {**alarm["Properties"], "MetricName": "Another"}}
    more = count_watching({**resources, "One": other, "Two": other})
    assert (more.alarms, more.metrics) == (counted.alarms + 2, counted.metrics + 1)
