"""The events of `events/` behind the console's Test button, for all who see the function."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aws_cdk import Stack, custom_resources
from aws_cdk import aws_eventschemas as schemas
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from . import ROOT
from .parts.function import ExporterFunction
from .parts.nag import accept

EVENTS = ROOT / "events"
# Where the console looks for them: this registry, and in it a schema of the function's name.
REGISTRY = "lambda-testevent-schemas"
# What the CDK calls the one function of a stack that makes calls for its custom resources.
CALLER = "AWS679f53fac002430cb0da5b7982bd2287"


class TestEvents(Construct):
    """One shareable test event for each file of `events/`.

    An account has one registry for them in a region, shared by all functions. The console makes
    it with the first event that anybody saves there, so it may exist or not: it is made by a call
    that takes "it exists" for an answer, and stays when the stack goes.
    """

    __test__ = False  # for pytest, to which the name looks like a test's

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        exporter: ExporterFunction,
        log_group: logs.ILogGroup,
    ) -> None:
        """`log_group` takes what the call to make the registry has to say."""
        super().__init__(scope, construct_id)
        schema = schemas.CfnSchema(
            self,
            "Schema",
            registry_name=REGISTRY,
            schema_name=f"_{exporter.function.function_name}-schema",
            type="OpenApi3",
            description="Test events of the exporter",
            content=json.dumps(as_openapi(read_events())),
        )
        schema.node.add_dependency(self._make_registry(log_group))

    def _make_registry(self, log_group: logs.ILogGroup) -> Construct:
        stack = Stack.of(self)
        arn = stack.format_arn(service="schemas", resource="registry", resource_name=REGISTRY)
        # Its own role: the one that the CDK would make may write every log group of the account.
        role = iam.Role(
            self,
            "Role",
            description="Makes the registry of the Lambda console's test events, where it lacks",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
        )
        log_group.grant_write(role)
        registry = custom_resources.AwsCustomResource(
            self,
            "Registry",
            on_create=custom_resources.AwsSdkCall(
                service="schemas",
                action="CreateRegistry",
                parameters={"RegistryName": REGISTRY},
                physical_resource_id=custom_resources.PhysicalResourceId.of(REGISTRY),
                ignore_error_codes_matching="ConflictException",
            ),
            policy=custom_resources.AwsCustomResourcePolicy.from_statements(
                [iam.PolicyStatement(actions=["schemas:CreateRegistry"], resources=[arn])]
            ),
            role=role,
            log_group=log_group,
            install_latest_aws_sdk=False,
        )
        accept(
            stack.node.find_child(CALLER),
            "AwsSolutions-L1",
            "The CDK chooses the runtime of the function that makes its custom resources' calls.",
        )
        return registry


def read_events(folder: Path = EVENTS) -> dict[str, Any]:
    """The events by the names of their files."""
    return {
        path.stem: json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))
    }


def as_openapi(events: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The document in which the console keeps test events: examples, and what they look like."""
    properties = {
        name: _type_of(value) for event in events.values() for name, value in event.items()
    }
    return {
        "openapi": "3.0.0",
        "info": {"version": "1.0.0", "title": "Event"},
        "paths": {},
        "components": {
            "schemas": {"Event": {"type": "object", "properties": properties}},
            "examples": {name: {"value": event} for name, event in events.items()},
        },
    }


def _type_of(value: object) -> dict[str, Any]:
    match value:
        case bool():
            return {"type": "boolean"}
        case int() | float():
            return {"type": "number"}
        case list():
            return {"type": "array", "items": {"type": "string"}}
    return {"type": "string"}
