"""What the settings change in the template."""

import json
import re
from typing import Any

import pytest
from aws_cdk import App
from aws_cdk.assertions import Match, Template

from infra.errors import DeploymentError
from tests.infra.base_settings import flags
from tests.infra.conftest import MakeStack, Synthesize

SUBNETS = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:mimir-AbCdEf"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/1234"


@pytest.fixture(scope="module")
def on_the_internet(synthesize: Synthesize) -> Template:
    """No VPC, no credentials, and every number other than by default."""
    return synthesize(
        vpc_id="none",
        auth_secret_arn="none",
        s3_bucket="my-bucket",
        s3_prefix="metrics/mimir",
        timeout_s=120,
        memory_mb=2048,
        architecture="x86_64",
        python_version="3.12",
        schedule_minutes=60,
        backfill_concurrency=4,
        log_retention_days=7,
    )


@pytest.fixture(scope="module")
def in_a_company(synthesize: Synthesize) -> Template:
    """Everything exists already: VPC, subnets, security group, secret, key, bucket and its role."""
    return synthesize(
        vpc_id="vpc-0123456789abcdef0",
        subnet_ids=",".join(SUBNETS),
        security_group_id="sg-0123456789abcdef0",
        auth_secret_arn=SECRET,
        auth_secret_kms_key_arn=KEY,
        s3_bucket="elsewhere",
        role_arn="arn:aws:iam::123456789012:role/writer",
        role_external_id="abc",
    )


def test_a_bucket_s_own_key_is_used_through_s3_alone(synthesize: Synthesize) -> None:
    resources = synthesize(
        s3_bucket="elsewhere",
        s3_kms_key_arn=KEY,
        reader_principal_arn="123456789012",
        reader_external_id="abc",
    ).to_json()["Resources"]
    found = {
        name: statement
        for name, resource in resources.items()
        if resource["Type"] == "AWS::IAM::Policy"
        for statement in resource["Properties"]["PolicyDocument"]["Statement"]
        if "kms:Decrypt" in statement["Action"]
    }
    # Both name it with each write: the bucket's policy may demand that.
    named = [
        name[:6]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Lambda::Function"
        and resource["Properties"]["Environment"]["Variables"].get("S3_KMS_KEY_ARN") == KEY
    ]
    assert {"Export", "Backfi"} <= set(named)
    for statement in found.values():
        assert statement["Resource"] == KEY
        assert list(statement["Condition"]["StringEquals"]) == ["kms:ViaService"]
    writing = ["kms:Decrypt", "kms:GenerateDataKey"]
    actions = {name[:6]: statement["Action"] for name, statement in found.items()}
    assert actions == {
        "Export": writing,
        "Backfi": writing,
        "Covera": "kms:Decrypt",
        "Reader": "kms:Decrypt",
    }


def test_without_a_vpc_there_is_nothing_of_a_network(on_the_internet: Template) -> None:
    kinds = {one["Type"] for one in on_the_internet.to_json()["Resources"].values()}
    assert not [kind for kind in kinds if kind.startswith("AWS::EC2::")]
    text = json.dumps(on_the_internet.to_json())
    assert "VpcConfig" not in text
    assert "ec2:" not in text


def test_without_credentials_nothing_may_read_a_secret(on_the_internet: Template) -> None:
    text = json.dumps(on_the_internet.to_json())
    assert "secretsmanager" not in text
    assert "AUTH_SECRET_ARN" not in text
    assert "SecretCommand" not in text


def test_numbers_reach_function_task_schedule_and_logs(on_the_internet: Template) -> None:
    on_the_internet.all_resources_properties(
        "AWS::Lambda::Function",
        {
            "Runtime": "python3.12",
            "Architectures": ["x86_64"],
        },
    )
    # The map's function does other work, and has figures of its own.
    on_the_internet.resource_properties_count_is(
        "AWS::Lambda::Function", {"Timeout": 120, "MemorySize": 2048}, 2
    )
    on_the_internet.has_resource_properties(
        "AWS::Scheduler::Schedule", {"ScheduleExpression": "rate(1 hour)"}
    )
    on_the_internet.all_resources_properties("AWS::Logs::LogGroup", {"RetentionInDays": 7})
    machine = json.dumps(on_the_internet.find_resources("AWS::StepFunctions::StateMachine"))
    assert re.search(r"MaxConcurrency\W+4\b", machine)
    assert re.search(r"TimeoutSeconds\W+120\b", machine)


def test_an_existing_bucket_gets_the_same_policy_under_its_prefix(
    on_the_internet: Template,
) -> None:
    arn = ["arn:", {"Ref": "AWS::Partition"}, ":s3:::my-bucket"]
    for role in ("Export", "Backfill"):
        statements = policy_of(on_the_internet, role)
        assert statements["FinoutBucketPermissions"]["Resource"] == {"Fn::Join": ["", arn]}
        condition = statements["FinoutBucketPermissions"]["Condition"]
        assert condition["StringLike"] == {"s3:prefix": "metrics/mimir*"}
        files = statements["FinoutMetricFilesPermissions"]["Resource"]["Fn::Join"][1]
        assert files == [*arn[:-1], ":s3:::my-bucket/metrics/mimir/*"]
    on_the_internet.resource_count_is("AWS::S3::Bucket", 0)


def test_a_bucket_elsewhere_is_reached_through_its_role_alone(in_a_company: Template) -> None:
    assert "s3:" not in json.dumps(in_a_company.find_resources("AWS::IAM::Policy"))
    for role in ("Export", "Backfill"):
        assert policy_of(in_a_company, role)["AssumeBucketRole"] == {
            "Sid": "AssumeBucketRole",
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Resource": "arn:aws:iam::123456789012:role/writer",
        }
    in_a_company.all_resources_properties(
        "AWS::Lambda::Function",
        {
            "Environment": {
                "Variables": Match.object_like(
                    {
                        "S3_BUCKET": "elsewhere",
                        "ROLE_ARN": "arn:aws:iam::123456789012:role/writer",
                        "ROLE_EXTERNAL_ID": "abc",
                    }
                )
            }
        },
    )


def test_an_existing_secret_is_read_and_decrypted_with_its_key(in_a_company: Template) -> None:
    in_a_company.resource_count_is("AWS::SecretsManager::Secret", 0)
    for role in ("Export", "Backfill"):
        statements = policy_of(in_a_company, role)
        assert statements["ReadLogin"]["Resource"] == SECRET
        assert statements["DecryptLogin"]["Action"] == "kms:Decrypt"
        assert statements["DecryptLogin"]["Resource"] == KEY
        assert "kms:ViaService" in statements["DecryptLogin"]["Condition"]["StringEquals"]
    assert "SecretCommand" not in in_a_company.to_json()["Outputs"]


def test_a_vpc_given_outright_needs_no_lookup(in_a_company: Template) -> None:
    in_a_company.all_resources_properties(
        "AWS::Lambda::Function",
        {"VpcConfig": {"SubnetIds": SUBNETS, "SecurityGroupIds": ["sg-0123456789abcdef0"]}},
    )
    kinds = {one["Type"] for one in in_a_company.to_json()["Resources"].values()}
    assert not [kind for kind in kinds if kind.startswith("AWS::EC2::")]


def test_a_role_in_a_made_vpc_needs_the_way_to_sts(synthesize: Synthesize) -> None:
    """And Mimir by address on 443 is let through on its own rule, beside the one for AWS."""
    template = synthesize(
        hostname="10.1.2.3",
        port=443,
        s3_bucket="elsewhere",
        role_arn="arn:aws:iam::123456789012:role/writer",
    )
    endpoints = template.find_resources("AWS::EC2::VPCEndpoint")
    assert ".sts" in json.dumps(endpoints)
    template.has_resource_properties(
        "AWS::EC2::SecurityGroup",
        {
            "SecurityGroupEgress": [
                Match.object_like({"CidrIp": "10.1.2.3/32", "FromPort": 443}),
                Match.object_like({"CidrIp": "0.0.0.0/0", "FromPort": 443}),
            ]
        },
    )


def lookup_result(subnet_type: str) -> dict[str, Any]:
    """What the CDK keeps in its context once it has looked a VPC up."""
    vpc = {
        "vpcId": "vpc-0123456789abcdef0",
        "vpcCidrBlock": "10.0.0.0/16",
        "ownerAccountId": "123456789012",
        "availabilityZones": [],
        "subnetGroups": [
            {
                "name": subnet_type,
                "type": subnet_type,
                "subnets": [
                    {
                        "subnetId": SUBNETS[0],
                        "cidr": "10.0.0.0/24",
                        "availabilityZone": "eu-central-1a",
                        "routeTableId": "rtb-0123456789abcdef0",
                    }
                ],
            }
        ],
    }
    key = (
        "vpc-provider:account=123456789012:filter.vpc-id=vpc-0123456789abcdef0:"
        "region=eu-central-1:returnAsymmetricSubnets=true"
    )
    return {key: vpc}


LOOKED_UP = {"vpc_id": "vpc-0123456789abcdef0", "account": "123456789012", "region": "eu-central-1"}


def test_a_looked_up_vpc_gives_its_private_subnets(make_stack: MakeStack) -> None:
    app = App(context=flags() | lookup_result("Private"))
    template = Template.from_stack(make_stack(app, **LOOKED_UP))
    template.all_resources_properties(
        "AWS::Lambda::Function", {"VpcConfig": Match.object_like({"SubnetIds": [SUBNETS[0]]})}
    )
    template.resource_count_is("AWS::EC2::VPCEndpoint", 0)


def test_a_vpc_without_private_subnets_is_one_sentence(make_stack: MakeStack) -> None:
    app = App(context=flags() | lookup_result("Public"))
    with pytest.raises(DeploymentError, match=r"no private subnet was found; give subnet_ids"):
        make_stack(app, **LOOKED_UP)


def policy_of(template: Template, role: str) -> dict[str, dict[str, Any]]:
    """The statements of a function's role that have an id, by it."""
    return {
        statement["Sid"]: statement
        for policy in template.find_resources("AWS::IAM::Policy").values()
        if policy["Properties"]["PolicyName"].startswith(f"{role}Role")
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if "Sid" in statement
    }


@pytest.mark.parametrize(
    ("stack_name", "pattern"),
    [
        ("MimirExporter", "MimirExporter-*"),
        ("a-team-s-own-mimir-exporter", "a-team-s-own-mimir-expor*"),
    ],
)
def test_the_role_of_a_bucket_elsewhere_can_trust_a_stack_that_is_made_anew(
    synthesize: Synthesize, stack_name: str, pattern: str
) -> None:
    """By account and name: the roles' ARNs change, and a policy that has one is void then."""
    template = synthesize(
        stack_name=stack_name,
        s3_bucket="elsewhere",
        role_arn="arn:aws:iam::123456789012:role/writer",
    )
    output = template.to_json()["Outputs"]["BucketRoleTrust"]["Value"]["Fn::Join"][1]
    account = "arn:aws:iam::111111111111"
    filled = [
        part if isinstance(part, str) else {"AWS::Partition": "aws"}.get(part["Ref"], "1" * 12)
        for part in output
    ]
    (statement,) = json.loads("".join(filled))["Statement"]
    assert statement["Principal"] == {"AWS": f"{account}:root"}
    assert statement["Condition"] == {
        "StringEquals": {"sts:ExternalId": "<role_external_id>"},
        "ArnLike": {"aws:PrincipalArn": f"{account}:role/{pattern}"},
    }
