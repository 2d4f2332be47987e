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


def egress(template: Template) -> list[tuple[str, str, int]]:
    """The made group's rules: where to, protocol and port."""
    (group,) = (
        one["Properties"]
        for one in template.find_resources("AWS::EC2::SecurityGroup").values()
        if "SecurityGroupEgress" in one["Properties"]
    )
    return [
        (one.get("CidrIp") or one["CidrIpv6"], one["IpProtocol"], one["FromPort"])
        for one in group["SecurityGroupEgress"]
    ]


BASE_SETTINGS = {"vpc_id": "vpc-0123456789abcdef0", "subnet_ids": SUBNET}


def test_dns_servers_of_a_company_are_reached(synthesize: Synthesize) -> None:
    """A DHCP option set names them; only the VPC's own resolver needs no rule."""
    found = egress(synthesize(**BASE_SETTINGS, dns_servers="10.0.0.2,10.9.0.0/24"))
    assert [rule for rule in found if rule[2] == 53] == [
        ("10.0.0.2/32", "tcp", 53),
        ("10.0.0.2/32", "udp", 53),
        ("10.9.0.0/24", "tcp", 53),
        ("10.9.0.0/24", "udp", 53),
    ]


def test_mimir_s_own_networks_may_be_named(synthesize: Synthesize) -> None:
    found = egress(synthesize(**BASE_SETTINGS, mimir_cidrs="10.20.0.0/16", port=8080))
    assert found == [("10.20.0.0/16", "tcp", 8080), ("0.0.0.0/0", "tcp", 443)]


def test_ipv6_is_for_the_functions_and_for_mimir(synthesize: Synthesize) -> None:
    template = synthesize(**BASE_SETTINGS, ipv6=True)
    for function in template.find_resources("AWS::Lambda::Function").values():
        assert function["Properties"]["VpcConfig"]["Ipv6AllowedForDualStack"] is True
    assert ("::/0", "tcp", 9090) in egress(template)


def test_an_address_of_ipv6_has_a_rule_of_its_own(synthesize: Synthesize) -> None:
    found = egress(synthesize(**BASE_SETTINGS, ipv6=True, hostname="2001:db8::1"))
    assert ("2001:db8::1/128", "tcp", 9090) in found


def test_endpoints_of_a_made_vpc_are_in_one_zone_unless_asked(synthesize: Synthesize) -> None:
    for zones, settings in ((1, {}), (2, {"vpc_endpoint_zones": 2})):
        template = synthesize(vpc_id="new", vpc_cidr="10.44.0.0/16", **settings)
        template.has_resource_properties("AWS::EC2::VPC", {"CidrBlock": "10.44.0.0/16"})
        for endpoint in template.find_resources("AWS::EC2::VPCEndpoint").values():
            if endpoint["Properties"]["VpcEndpointType"] == "Interface":
                assert len(endpoint["Properties"]["SubnetIds"]) == zones


def test_an_endpoint_lets_through_what_the_functions_do_and_no_more(
    synthesize: Synthesize,
) -> None:
    role = "arn:aws:iam::123456789012:role/writer"
    template = synthesize(vpc_id="new", s3_bucket="elsewhere", role_arn=role)
    allowed = set()
    for endpoint in template.find_resources("AWS::EC2::VPCEndpoint").values():
        for one in endpoint["Properties"]["PolicyDocument"]["Statement"]:
            assert one["Resource"] != "*"
            allowed |= actions(one)
    assert allowed == {
        "s3:ListBucket",
        "s3:GetObject",
        "s3:PutObject",
        "s3:DeleteObject",
        "secretsmanager:GetSecretValue",
        "states:StartExecution",
        "states:DescribeExecution",
        "sts:AssumeRole",
    }
