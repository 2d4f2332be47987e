"""The construct as another app uses it: given things or none, twice in a stack, beside others."""

import json
from collections import Counter
from typing import Any

import pytest
from aws_cdk import App, CfnParameter, Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from aws_cdk.assertions import Annotations, Match, Template

from infra.errors import DeploymentError
from infra.exporter import MimirExporter
from tests.infra.test_stack import actions, of_type

WHERE: dict[str, Any] = {"hostname": "mimir.example.com", "cluster_name": "central"}


@pytest.fixture
def code() -> lambda_.Code:
    """By bucket and key: an asset belongs to one stack."""
    return lambda_.Code.from_bucket_v2(
        s3.Bucket.from_bucket_name(stack_of(), "Code", "code"), "zip"
    )


def resources_of(stack: Stack) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = Template.from_stack(stack).to_json()["Resources"]
    return found


def stack_of(context: dict[str, Any] | None = None) -> Stack:
    return Stack(App(context=context), "Theirs")


@pytest.fixture
def two(code: lambda_.Code) -> dict[str, dict[str, Any]]:
    """Resources of a stack with two exporters, beside a VPC and a queue's worth of others."""
    stack = stack_of()
    vpc = ec2.Vpc(stack, "Vpc", max_azs=2, restrict_default_security_group=False)
    MimirExporter(stack, "Prod", code=code, vpc=vpc, **WHERE)
    MimirExporter(stack, "Staging", code=code, vpc=vpc, hostname="b.example", cluster_name="b")
    return resources_of(stack)


def test_two_in_one_stack_share_no_name(two: dict[str, dict[str, Any]]) -> None:
    given = Counter(
        json.dumps([one["Type"], one["Properties"][key]])
        for one in two.values()
        for key in ("AlarmName", "DashboardName", "LogGroupName", "Name")
        if one["Type"] != "AWS::EC2::VPC" and key in one.get("Properties", {})
    )
    assert given
    assert [name for name, count in given.items() if count > 1] == []


def test_each_has_its_own_of_everything(two: dict[str, dict[str, Any]]) -> None:
    kinds = Counter(one["Type"] for one in two.values())
    for kind, count in {
        "AWS::Lambda::Function": 6,
        "AWS::StepFunctions::StateMachine": 2,
        "AWS::Scheduler::Schedule": 2,
        "AWS::S3::Bucket": 2,
        "AWS::SecretsManager::Secret": 2,
        "AWS::SNS::Topic": 2,
        "AWS::CloudWatch::Dashboard": 2,
    }.items():
        assert kinds[kind] == count, kind
    services = {
        one["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
        for one in of_type(two, "AWS::Lambda::Function").values()
    }
    assert len(services) == 2


def test_given_nothing_it_is_in_no_vpc(code: lambda_.Code) -> None:
    stack = stack_of()
    made = MimirExporter(stack, "Exporter", code=code, **WHERE)
    assert not [one for one in resources_of(stack).values() if one["Type"].startswith("AWS::EC2")]
    assert made.network is None
    assert made.connections.security_groups == []


def test_given_everything_it_makes_none_of_it(code: lambda_.Code) -> None:
    stack, elsewhere = stack_of(), "arn:aws:sns:eu-central-1:123456789012:oncall"
    vpc = ec2.Vpc(stack, "Vpc", max_azs=1, restrict_default_security_group=False)
    group = ec2.SecurityGroup(stack, "Group", vpc=vpc)
    bucket = s3.Bucket(stack, "Bucket", encryption_key=kms.Key(stack, "Key"))
    secret = secretsmanager.Secret(stack, "Login", encryption_key=kms.Key(stack, "SecretKey"))
    made = MimirExporter(
        stack,
        "Exporter",
        code=code,
        vpc=vpc,
        vpc_subnets=ec2.SubnetSelection(subnets=vpc.private_subnets),
        security_groups=[group],
        bucket=bucket,
        secret=secret,
        alarm_topic=sns.Topic.from_topic_arn(stack, "Topic", elsewhere),
        **WHERE,
    )
    found = resources_of(stack)
    for kind in ("AWS::EC2::SecurityGroup", "AWS::S3::Bucket", "AWS::SecretsManager::Secret"):
        assert len(of_type(found, kind)) == 1, kind
    assert not of_type(found, "AWS::SNS::Topic")
    assert (made.bucket, made.secret) == (bucket, secret)
    allowed = {
        (action, json.dumps(one["Resource"]))
        for policy in of_type(found, "AWS::IAM::Policy").values()
        for one in policy["PolicyDocument"]["Statement"]
        for action in actions(one)
    }
    keys = {json.dumps({"Fn::GetAtt": [name, "Arn"]}) for name in of_type(found, "AWS::KMS::Key")}
    assert {resource for action, resource in allowed if action == "kms:Decrypt"} == keys


def test_a_secret_that_is_known_by_name_can_be_read(code: lambda_.Code) -> None:
    stack = stack_of()
    secret = secretsmanager.Secret.from_secret_name_v2(stack, "Login", "mimir")
    MimirExporter(stack, "Exporter", code=code, secret=secret, **WHERE)
    Template.from_stack(stack).has_resource_properties(
        "AWS::IAM::Policy",
        {
            "PolicyDocument": {
                "Statement": Match.array_with(
                    [
                        Match.object_like(
                            {
                                "Sid": "ReadLogin",
                                "Resource": {
                                    "Fn::Join": [
                                        "",
                                        Match.array_with([":secret:mimir-??????"]),
                                    ]
                                },
                            }
                        )
                    ]
                )
            }
        },
    )


def test_it_reads_neither_context_nor_environment(
    code: lambda_.Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = stack_of()
    MimirExporter(plain, "Exporter", code=code, **WHERE)
    monkeypatch.setenv("HOSTNAME", "elsewhere")
    monkeypatch.setenv("TIME_FRAME", "none")
    other = stack_of({"hostname": "elsewhere", "memory_mb": "much", "time_frame": 1})
    MimirExporter(other, "Exporter", code=code, **WHERE)
    assert resources_of(plain) == resources_of(other)


def test_any_other_setting_goes_by_its_name(code: lambda_.Code) -> None:
    stack = stack_of()
    MimirExporter(
        stack,
        "Exporter",
        code=code,
        port=443,
        scheme="https",
        settings={"time_frame": 1800, "split_by_cluster": False},
        **WHERE,
    )
    variables = {"TIME_FRAME": "1800", "SPLIT_BY_CLUSTER": "false", "PORT": "443"}
    Template.from_stack(stack).all_resources_properties(
        "AWS::Lambda::Function", {"Environment": {"Variables": Match.object_like(variables)}}
    )
    for wrong in ({"time_fame": 1}, {"time_frame": 3601}):
        with pytest.raises(DeploymentError, match=r"(?i)time_f"):
            MimirExporter(stack_of(), "Exporter", code=code, settings=wrong, **WHERE)


def test_parameters_of_a_template_are_settings_too(code: lambda_.Code) -> None:
    """What CloudFormation knows only when it deploys is passed on, and is in the policies."""
    stack = stack_of()
    text = {
        name: CfnParameter(stack, name).value_as_string for name in ("Host", "Cluster", "Prefix")
    }
    MimirExporter(
        stack,
        "Exporter",
        code=code,
        hostname=text["Host"],
        cluster_name=text["Cluster"],
        s3_prefix=text["Prefix"],
        port=CfnParameter(stack, "Port", type="Number", default=9090).value_as_number,
    )
    template = Template.from_stack(stack)
    template.has_resource_properties(
        "AWS::Lambda::Function",
        {
            "Environment": {
                "Variables": Match.object_like(
                    {
                        "HOSTNAME": {"Ref": "Host"},
                        "CLUSTER_NAME": {"Ref": "Cluster"},
                        "S3_PREFIX": {"Ref": "Prefix"},
                        "PORT": {"Ref": "Port"},
                    }
                )
            }
        },
    )
    checkpoint = [{"Ref": "Prefix"}, "/", {"Ref": "Cluster"}, "/checkpoint.json"]
    assert json.dumps(checkpoint)[1:-1] in json.dumps(template.to_json())


def test_others_may_be_let_in(code: lambda_.Code) -> None:
    stack = stack_of()
    made = MimirExporter(stack, "Exporter", code=code, **WHERE)
    role = iam.Role(stack, "Role", assumed_by=iam.AccountRootPrincipal())
    assert made.grant_read_files(role).success
    assert made.grant_invoke(role).success
    (policy,) = (
        one
        for one in of_type(resources_of(stack), "AWS::IAM::Policy").values()
        if one["PolicyName"].startswith("RoleDefaultPolicy")
    )
    granted = {action for one in policy["PolicyDocument"]["Statement"] for action in actions(one)}
    assert granted == {
        "s3:GetObject",
        "s3:ListBucket",
        "s3:GetBucketLocation",
        "lambda:InvokeFunction",
    }


def test_its_metrics_are_of_its_own_dimension(code: lambda_.Code) -> None:
    stack = stack_of()
    made = MimirExporter(stack, "Exporter", code=code, schedule=Duration.hours(1), **WHERE)
    for metric in (
        made.metric_lag(),
        made.metric_gaps(),
        made.metric_runs_succeeded(),
        made.metric_runs_failed(),
        made.metric_pending_windows(),
        made.metric_bytes_written(),
    ):
        assert metric.namespace == "MimirExporter"
        assert metric.dimensions == {"service": made.name}
        assert metric.period.to_minutes() == 60


@pytest.mark.parametrize(
    ("given", "warned"),
    [
        ({}, True),
        ({"scheme": "https"}, False),
        ({"credentials": False}, False),
    ],
)
def test_credentials_over_plain_http_are_warned_of(
    code: lambda_.Code, given: dict[str, Any], warned: bool
) -> None:
    stack = stack_of()
    MimirExporter(stack, "Exporter", code=code, **given, **WHERE)
    found = Annotations.from_stack(stack).find_warning(
        "*", Match.string_like_regexp("credentials .* unencrypted")
    )
    assert bool(found) is warned
