"""The dashboard: it shows the metrics that there are, and fits the page."""

import json
from itertools import combinations
from typing import Any

import pytest
from aws_cdk.assertions import Template

from tests.infra.conftest import Synthesize

REFERENCE = "reference"


@pytest.fixture(scope="module")
def widgets(template: Template) -> list[dict[str, Any]]:
    ((_, dashboard),) = template.find_resources("AWS::CloudWatch::Dashboard").items()
    return widgets_of(dashboard["Properties"]["DashboardBody"])


def widgets_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The widgets of a dashboard's body, references in it shortened to their text."""
    _, parts = body["Fn::Join"]
    text = "".join(part if isinstance(part, str) else REFERENCE for part in parts)
    found: list[dict[str, Any]] = json.loads(text)["widgets"]
    return found


def test_no_widget_covers_another_or_leaves_the_page(widgets: list[dict[str, Any]]) -> None:
    for one, other in combinations(widgets, 2):
        beside = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
        below = one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]
        assert beside or below, (one, other)
    assert {one["x"] + one["width"] <= 24 for one in widgets} == {True}


def test_it_shows_what_an_operator_asks_for(widgets: list[dict[str, Any]]) -> None:
    text = json.dumps(widgets)
    for metric in (
        *("LagSeconds", "WindowsExported", "SamplesExported", "BytesWritten", "ObjectsWritten"),
        *("MetricsFailed", "QueryRetries", "PendingWindows", "Gaps", "Errors", "Throttles"),
        *("ExecutionsFailed", "ExecutionsSucceeded", "Duration"),
    ):
        assert f'"{metric}"' in text
    assert {one["type"] for one in widgets} == {"metric", "text", "alarm", "log", "custom"}


def test_every_alarm_is_on_it(widgets: list[dict[str, Any]], template: Template) -> None:
    (shown,) = (one["properties"]["alarms"] for one in widgets if one["type"] == "alarm")
    assert len(shown) == len(template.find_resources("AWS::CloudWatch::Alarm"))


def test_the_exporter_s_metrics_are_this_stack_s(widgets: list[dict[str, Any]]) -> None:
    own = [
        metric
        for one in widgets
        for metric in one["properties"].get("metrics", ())
        if metric[0] == "MimirExporter"
    ]
    assert len(own) > 10
    assert {tuple(metric[2:4]) for metric in own} == {("service", "MimirExporter")}


def test_it_can_be_left_out(synthesize: Synthesize) -> None:
    template = synthesize(dashboard=False)
    template.resource_count_is("AWS::CloudWatch::Dashboard", 0)
    assert "DashboardConsole" not in template.to_json()["Outputs"]
