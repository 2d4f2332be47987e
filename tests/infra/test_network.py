"""The functions' network interfaces: Lambda can remove them, and the functions' code cannot."""

from typing import Any

import pytest
from aws_cdk.assertions import Template

from tests.infra.conftest import Synthesize
from tests.infra.test_stack import VPC_ACTIONS, Resources, actions, of_type

SUBNET = "subnet-0123456789abcdef0"


@pytest.fixture(scope="module")
def in_a_given_vpc(synthesize: Synthesize) -> Template:
    return synthesize(vpc_id="vpc-0123456789abcdef0", subnet_ids=SUBNET)


def policies(resources: Resources) -> Resources:
    """The policies with rights on network interfaces, by logical id."""
    return {
        name: policy
        for name, policy in of_type(resources, "AWS::IAM::Policy").items()
        if any(actions(one) & VPC_ACTIONS for one in policy["PolicyDocument"]["Statement"])
    }


@pytest.mark.parametrize("variant", ["template", "in_a_given_vpc"])
def test_the_rights_outlive_all_that_waits_for_the_interfaces(
    request: pytest.FixtureRequest, variant: str
) -> None:
    """CloudFormation deletes what depends on a policy before the policy (aws/aws-cdk#34400)."""
    template: Template = request.getfixturevalue(variant)
    resources: dict[str, Any] = template.to_json()["Resources"]
    found = policies(resources)
    assert len(found) == 3
    functions = {
        name: one for name, one in resources.items() if one["Type"] == "AWS::Lambda::Function"
    }
    for function in functions.values():
        role = function["Properties"]["Role"]["Fn::GetAtt"][0]
        (own,) = (name for name, one in found.items() if one["Roles"] == [{"Ref": role}])
        assert own in function["DependsOn"]
    waiting = [
        one
        for one in resources.values()
        if one["Type"] in ("AWS::EC2::SecurityGroup", "AWS::EC2::Subnet")
    ]
    assert waiting
    for one in waiting:
        assert set(found) <= set(one["DependsOn"])


def test_the_code_of_a_function_cannot_use_them(resources: Resources) -> None:
    for policy in policies(resources).values():
        allow, deny = policy["PolicyDocument"]["Statement"]
        assert (allow["Effect"], actions(allow)) == ("Allow", VPC_ACTIONS)
        assert (deny["Effect"], actions(deny)) == ("Deny", VPC_ACTIONS)
        assert deny["Resource"] == "*"
        assert deny["Condition"] == {"Null": {"lambda:SourceFunctionArn": "false"}}
