"""Shareable test events, where the console looks for them."""

import json
from typing import Any

import pytest
from aws_cdk.assertions import Template

from infra import ROOT
from infra.testevents import read_events
from mimir_exporter.settings.parsers import parse_time
from tests.infra.conftest import Synthesize


@pytest.fixture(scope="module")
def with_events(synthesize: Synthesize) -> Template:
    return synthesize(test_events=True)


@pytest.fixture(scope="module")
def schema(with_events: Template) -> dict[str, Any]:
    ((_, found),) = with_events.find_resources("AWS::EventSchemas::Schema").items()
    return dict(found)


def test_the_schema_is_the_export_function_s(schema: dict[str, Any], with_events: Template) -> None:
    properties = schema["Properties"]
    assert properties["RegistryName"] == "lambda-testevent-schemas"
    _, (before, reference, after) = properties["SchemaName"]["Fn::Join"]
    assert (before, after) == ("_", "-schema")
    function = with_events.to_json()["Resources"][reference["Ref"]]["Properties"]
    assert function["Handler"] == "mimir_exporter.handler.export"


def test_every_file_of_events_is_an_example(schema: dict[str, Any]) -> None:
    content = json.loads(schema["Properties"]["Content"])
    examples = content["components"]["examples"]
    files = (ROOT / "events").glob("*.json")
    assert {name: one["value"] for name, one in examples.items()} == {
        path.stem: json.loads(path.read_text("utf-8")) for path in files
    }
    assert {"run", "check", "status", "export", "reexport"} <= set(examples)
    assert content["openapi"] == "3.0.0"
    assert content["components"]["schemas"]["Event"]["type"] == "object"


def test_every_key_of_an_example_is_in_the_schema(schema: dict[str, Any]) -> None:
    content = json.loads(schema["Properties"]["Content"])
    properties = content["components"]["schemas"]["Event"]["properties"]
    kinds = {"string": str, "array": list, "boolean": bool, "number": int}
    for event in read_events().values():
        for name, value in event.items():
            assert isinstance(value, kinds[properties[name]["type"]])


def test_a_registry_that_exists_is_no_error_and_stays(
    schema: dict[str, Any], with_events: Template
) -> None:
    """A second exporter, or the console itself, may have made it."""
    ((name, registry),) = with_events.find_resources("Custom::AWS").items()
    assert name in schema["DependsOn"]
    create = json.loads(registry["Properties"]["Create"])
    assert (create["service"], create["action"]) == ("schemas", "CreateRegistry")
    assert create["parameters"] == {"RegistryName": "lambda-testevent-schemas"}
    assert create["ignoreErrorCodesMatching"] == "ConflictException"
    assert "Delete" not in registry["Properties"]


def test_the_call_may_do_nothing_else(with_events: Template) -> None:
    (policy,) = (
        one["Properties"]["PolicyDocument"]["Statement"]
        for one in with_events.find_resources("AWS::IAM::Policy").values()
        if "schemas:CreateRegistry" in str(one)
    )
    allowed = {str(statement["Action"]): statement["Resource"] for statement in policy}
    assert allowed["schemas:CreateRegistry"]["Fn::Join"][1][-1] == (
        ":registry/lambda-testevent-schemas"
    )


def test_ranges_of_the_examples_can_be_read() -> None:
    for event in read_events().values():
        for key in ("start", "end"):
            if key in event:
                parse_time(key, event[key])


def test_they_can_be_left_out(template: Template) -> None:
    assert "EventSchemas" not in str(template.to_json())
    assert "Custom::AWS" not in str(template.to_json())
