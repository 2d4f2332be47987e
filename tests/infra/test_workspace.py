"""Amazon Managed Service for Prometheus: what the roles get, and by which way they get there."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from aws_cdk.assertions import Match, Template

from infra.deployment.read import read_deployment
from infra.errors import DeploymentError
from tests.infra.base_settings import context
from tests.infra.conftest import Synthesize

WORKSPACE = "ws-12345678-1234-1234-1234-123456789012"
READER = "arn:aws:iam::210987654321:role/reader"
MANAGED = {
    "sigv4_region": "eu-central-1",
    "hostname": "aps-workspaces.eu-central-1.amazonaws.com",
    "port": 443,
    "scheme": "https",
    "path_prefix": f"workspaces/{WORKSPACE}",
    "auth_secret_arn": "none",
}


def statements(template: Template) -> Mapping[str, list[dict[str, Any]]]:
    """Every statement of a policy by its id."""
    found: dict[str, list[dict[str, Any]]] = {}
    for policy in template.find_resources("AWS::IAM::Policy").values():
        for one in policy["Properties"]["PolicyDocument"]["Statement"]:
            found.setdefault(one.get("Sid", ""), []).append(one)
    return found


@pytest.fixture(scope="module")
def managed(synthesize: Synthesize) -> Template:
    return synthesize(**MANAGED)


def test_both_functions_may_query_that_workspace_and_no_other(managed: Template) -> None:
    granted = statements(managed)["QueryWorkspace"]
    assert len(granted) == 2
    for one in granted:
        assert one["Action"] == ["aps:GetLabels", "aps:QueryMetrics"]
        arn = json.dumps(one["Resource"])
        assert f":workspace/{WORKSPACE}" in arn
        assert ":aps:eu-central-1:" in arn
        assert "*" not in arn


def test_a_vpc_of_its_own_leads_to_the_workspace(managed: Template) -> None:
    managed.has_resource_properties(
        "AWS::EC2::VPCEndpoint",
        {"ServiceName": Match.object_like({"Fn::Join": ["", Match.array_with([
            ".aps-workspaces"])]})},
    )  # fmt: skip


def test_the_region_reaches_the_functions(managed: Template) -> None:
    managed.all_resources_properties(
        "AWS::Lambda::Function",
        {"Environment": {"Variables": Match.object_like({"SIGV4_REGION": "eu-central-1"})}},
    )


def test_a_role_of_another_account_is_assumed_instead(synthesize: Synthesize) -> None:
    template = synthesize(**MANAGED, sigv4_role_arn=READER)
    found = statements(template)
    assert "QueryWorkspace" not in found
    assert [one["Resource"] for one in found["AssumeQueryRole"]] == [READER, READER]
    names = json.dumps(template.find_resources("AWS::EC2::VPCEndpoint"))
    assert ".sts" in names


def test_without_it_nothing_is_granted(template: Template) -> None:
    text = json.dumps(template.to_json())
    assert "aps:" not in text
    assert "aps-workspaces" not in text


def test_a_workspace_must_be_named() -> None:
    with pytest.raises(DeploymentError) as caught:
        read_deployment(context(**{**MANAGED, "path_prefix": ""}), {})
    said = str(caught.value)
    assert said.startswith("The path_prefix '' names no workspace")
    assert "sigv4_role_arn" in said
