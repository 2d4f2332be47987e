"""The template as cdk.json has it: what would hurt if it were otherwise."""

import json
from typing import Any

import pytest
from aws_cdk.assertions import Match, Template

Resources = dict[str, dict[str, Any]]
# With the stack it stays; a first deployment that is rolled back takes it away again.
KEPT = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}
VPC_ACTIONS = {
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
}


def of_type(resources: Resources, kind: str) -> Resources:
    """Properties of the resources of one type, by logical id."""
    return {
        name: resource.get("Properties", {})
        for name, resource in resources.items()
        if resource["Type"] == kind
    }


def function(resources: Resources, entry_point: str, module: str = "handler") -> dict[str, Any]:
    """Properties of the function with this entry point."""
    handler = f"mimir_exporter.{module}.{entry_point}"
    (found,) = (
        properties
        for properties in of_type(resources, "AWS::Lambda::Function").values()
        if properties["Handler"] == handler
    )
    return found


def statements(resources: Resources, role: str) -> list[dict[str, Any]]:
    """Every statement of the policies of one role, which has no managed one."""
    assert "ManagedPolicyArns" not in resources[role]["Properties"]
    return [
        statement
        for policy in of_type(resources, "AWS::IAM::Policy").values()
        if {"Ref": role} in policy["Roles"]
        for statement in policy["PolicyDocument"]["Statement"]
    ]


def role_of(resources: Resources, entry_point: str, module: str = "handler") -> str:
    role: str = function(resources, entry_point, module)["Role"]["Fn::GetAtt"][0]
    return role


def as_text(statement: dict[str, Any]) -> str:
    return json.dumps(statement, sort_keys=True)


def actions(statement: dict[str, Any]) -> set[str]:
    action = statement["Action"]
    return {action} if isinstance(action, str) else set(action)


def definition(template: Template) -> dict[str, Any]:
    """The state machine's definition; references in it are shortened to their text."""
    (machine,) = template.find_resources("AWS::StepFunctions::StateMachine").values()
    _, parts = machine["Properties"]["DefinitionString"]["Fn::Join"]
    text = "".join(part if isinstance(part, str) else "reference" for part in parts)
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def test_a_run_starts_every_half_hour_and_an_undelivered_one_is_kept(resources: Resources) -> None:
    ((_, schedule),) = of_type(resources, "AWS::Scheduler::Schedule").items()
    ((queue, _),) = of_type(resources, "AWS::SQS::Queue").items()
    assert schedule["ScheduleExpression"] == "rate(30 minutes)"
    assert schedule["State"] == "ENABLED"
    target = schedule["Target"]
    assert resources[target["Arn"]["Fn::GetAtt"][0]]["Properties"]["Handler"].endswith(".export")
    assert json.loads(target["Input"]) == {}
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": [queue, "Arn"]}}
    assert target["RetryPolicy"]["MaximumEventAgeInSeconds"] == 60


def test_a_failed_run_is_not_repeated(resources: Resources) -> None:
    """Nor kept in the queue, whose alarm would fire beside that of the function's errors."""
    ((_, asynchronous),) = of_type(resources, "AWS::Lambda::EventInvokeConfig").items()
    name = asynchronous["FunctionName"]["Ref"]
    assert resources[name]["Properties"]["Handler"].endswith(".export")
    assert asynchronous["Qualifier"] == "$LATEST"
    assert asynchronous["MaximumRetryAttempts"] == 0
    assert asynchronous["MaximumEventAgeInSeconds"] == 60
    assert "DestinationConfig" not in asynchronous


def test_the_dead_letter_queue_is_encrypted_and_takes_tls_only(template: Template) -> None:
    template.has_resource_properties(
        "AWS::SQS::Queue", {"SqsManagedSseEnabled": True, "MessageRetentionPeriod": 1_209_600}
    )
    template.has_resource_properties("AWS::SQS::QueuePolicy", denies_plain_http())


def denies_plain_http() -> dict[str, Any]:
    statement = {"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    return {
        "PolicyDocument": {"Statement": Match.array_with([Match.object_like(statement)])},
    }


@pytest.mark.parametrize("entry_point", ["export", "backfill"])
def test_both_functions_run_the_same_code_as_set(resources: Resources, entry_point: str) -> None:
    made = function(resources, entry_point)
    assert made["Runtime"] == "python3.14"
    assert made["Architectures"] == ["arm64"]
    assert made["MemorySize"] == 256
    assert made["EphemeralStorage"] == {"Size": 512}
    assert made["Timeout"] == 900
    assert made["Code"] == function(resources, "export")["Code"]
    environment = made["Environment"]["Variables"]
    assert environment["CLUSTER_NAME"] == "prod"
    assert environment["HOSTNAME"] == "mimir.example.com"
    assert environment["S3_PREFIX"] == "k8s/prometheus"
    assert environment["POWERTOOLS_METRICS_NAMESPACE"] == "MimirExporter"
    assert environment["LOG_LEVEL"] == "INFO"
    (bucket,) = of_type(resources, "AWS::S3::Bucket")
    (secret,) = of_type(resources, "AWS::SecretsManager::Secret")
    assert environment["S3_BUCKET"] == {"Ref": bucket}
    assert environment["AUTH_SECRET_ARN"] == {"Fn::GetAtt": [secret, "Id"]}


def test_only_the_export_function_has_the_state_machine(resources: Resources) -> None:
    (machine,) = of_type(resources, "AWS::StepFunctions::StateMachine")
    variable = "BACKFILL_STATE_MACHINE_ARN"
    assert function(resources, "export")["Environment"]["Variables"][variable] == {"Ref": machine}
    assert variable not in function(resources, "backfill")["Environment"]["Variables"]


@pytest.mark.parametrize("entry_point", ["export", "backfill"])
def test_a_function_s_role_may_do_this_and_nothing_else(
    resources: Resources, entry_point: str
) -> None:
    """The bucket's two statements are word for word those that the CronJob's documentation has."""
    made = function(resources, entry_point)
    (bucket,) = of_type(resources, "AWS::S3::Bucket")
    (secret,) = of_type(resources, "AWS::SecretsManager::Secret")
    (machine,) = of_type(resources, "AWS::StepFunctions::StateMachine")
    bucket_arn = {"Fn::GetAtt": [bucket, "Arn"]}
    expected: list[dict[str, Any]] = [
        {
            "Sid": "FinoutBucketPermissions",
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": bucket_arn,
            "Condition": {
                "StringEquals": {"s3:delimiter": "/"},
                "StringLike": {"s3:prefix": "k8s/prometheus*"},
            },
        },
        {
            "Sid": "FinoutMetricFilesPermissions",
            "Effect": "Allow",
            "Action": ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"],  # the CDK sorts them
            "Resource": {"Fn::Join": ["", [bucket_arn, "/k8s/prometheus/*"]]},
        },
        {
            "Sid": "ReadLogin",
            "Effect": "Allow",
            "Action": "secretsmanager:GetSecretValue",
            "Resource": {"Fn::GetAtt": [secret, "Id"]},
        },
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": {"Fn::GetAtt": [made["LoggingConfig"]["LogGroup"]["Ref"], "Arn"]},
        },
    ]
    given = statements(resources, role_of(resources, entry_point))
    in_vpc = [statement for statement in given if statement["Resource"] == "*"]
    assert [(one["Effect"], actions(one)) for one in in_vpc] == [
        ("Allow", VPC_ACTIONS),
        ("Deny", VPC_ACTIONS),
    ]
    rest = [statement for statement in given if statement["Resource"] != "*"]
    if entry_point == "export":
        expected += [
            {"Effect": "Allow", "Action": "states:StartExecution", "Resource": {"Ref": machine}},
        ]
        (describe,) = (one for one in rest if "states:DescribeExecution" in actions(one))
        assert actions(describe) == {"states:DescribeExecution"}
        assert describe["Resource"]["Fn::Join"][1][-3:] == [
            ":execution:",
            {"Fn::Select": [6, {"Fn::Split": [":", {"Ref": machine}]}]},
            ":*",
        ]
        rest.remove(describe)
    assert sorted(map(as_text, rest)) == sorted(map(as_text, expected))


def test_no_policy_allows_a_wildcard_of_actions(resources: Resources) -> None:
    for policy in of_type(resources, "AWS::IAM::Policy").values():
        for statement in policy["PolicyDocument"]["Statement"]:
            assert not [action for action in actions(statement) if "*" in action]


def test_the_made_bucket_is_private_encrypted_and_outlives_the_stack(template: Template) -> None:
    template.has_resource(
        "AWS::S3::Bucket",
        {
            **KEPT,
            "Properties": {
                "PublicAccessBlockConfiguration": dict.fromkeys(
                    (
                        "BlockPublicAcls",
                        "BlockPublicPolicy",
                        "IgnorePublicAcls",
                        "RestrictPublicBuckets",
                    ),
                    True,
                ),
                "BucketEncryption": Match.any_value(),
                "LifecycleConfiguration": {
                    "Rules": [
                        Match.object_like(
                            {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}
                        )
                    ]
                },
            },
        },
    )
    template.has_resource(
        "AWS::S3::BucketPolicy", {**KEPT, "Properties": Match.object_like(denies_plain_http())}
    )


def test_the_made_secret_is_an_empty_object(template: Template) -> None:
    template.has_resource_properties("AWS::SecretsManager::Secret", {"SecretString": "{}"})


def test_every_log_group_forgets_and_goes_with_the_stack(resources: Resources) -> None:
    groups = {name: one for name, one in resources.items() if one["Type"] == "AWS::Logs::LogGroup"}
    assert len(groups) == 4
    for group in groups.values():
        assert group["Properties"]["RetentionInDays"] == 90
        assert group["DeletionPolicy"] == "Delete"


def test_the_map_is_bounded_and_its_task_ends_when_the_function_does(
    template: Template, resources: Resources
) -> None:
    machine = definition(template)
    each = machine["States"]["EachWindow"]
    assert each["ItemsPath"] == "$.windows"
    assert each["MaxConcurrency"] == 2
    assert each["ToleratedFailurePercentage"] == 100
    processor = each["ItemProcessor"]
    assert processor["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    task = processor["States"][processor["StartAt"]]
    assert task["TimeoutSeconds"] == function(resources, "backfill")["Timeout"]
    assert machine["TimeoutSeconds"] == 7 * 86_400


def test_the_state_machine_logs_its_errors(template: Template) -> None:
    logging = {"Level": "ERROR", "IncludeExecutionData": True}
    template.has_resource_properties(
        "AWS::StepFunctions::StateMachine", {"LoggingConfiguration": logging}
    )


def test_the_made_vpc_has_no_way_out_but_endpoints(template: Template) -> None:
    template.resource_count_is("AWS::EC2::NatGateway", 0)
    template.resource_count_is("AWS::EC2::InternetGateway", 0)
    template.resource_count_is("AWS::EC2::Subnet", 2)
    endpoints = template.find_resources("AWS::EC2::VPCEndpoint").values()
    kinds = sorted(endpoint["Properties"]["VpcEndpointType"] for endpoint in endpoints)
    assert kinds == ["Gateway", "Interface", "Interface"]
    names = json.dumps([endpoint["Properties"]["ServiceName"] for endpoint in endpoints])
    assert all(service in names for service in ("s3", "secretsmanager", "states"))


def test_the_functions_let_nothing_in_and_only_mimir_and_aws_out(resources: Resources) -> None:
    ((group_id,),) = {
        tuple(group["Fn::GetAtt"][0] for group in made["VpcConfig"]["SecurityGroupIds"])
        for made in of_type(resources, "AWS::Lambda::Function").values()
    }
    group = resources[group_id]["Properties"]
    out = [(one["CidrIp"], one["FromPort"], one["ToPort"]) for one in group["SecurityGroupEgress"]]
    assert "SecurityGroupIngress" not in group
    assert out == [("0.0.0.0/0", 9090, 9090), ("0.0.0.0/0", 443, 443)]
    (endpoints,) = (
        one
        for name, one in of_type(resources, "AWS::EC2::SecurityGroup").items()
        if name != group_id
    )
    (rule,) = endpoints["SecurityGroupIngress"]
    assert rule["SourceSecurityGroupId"] == {"Fn::GetAtt": [group_id, "GroupId"]}
    assert (rule["FromPort"], rule["ToPort"]) == (443, 443)


def test_the_outputs_say_what_to_do_next(template: Template) -> None:
    outputs = template.to_json()["Outputs"]
    assert {
        "FunctionName",
        "CheckCommand",
        "InvokeCommand",
        "FunctionConsole",
        "LogConsole",
        "StateMachineConsole",
        "Bucket",
        "SecretCommand",
    } <= set(outputs)
    for name, expected in {
        "CheckCommand": '{"action": "check"}',
        "SecretCommand": "put-secret-value",
    }.items():
        _, parts = outputs[name]["Value"]["Fn::Join"]
        assert expected in "".join(part for part in parts if isinstance(part, str))


def test_the_template_fits_any_account_and_region(template: Template) -> None:
    """Nothing was looked up: the zones, too, are left to CloudFormation."""
    zones = [
        subnet["Properties"]["AvailabilityZone"]
        for subnet in template.find_resources("AWS::EC2::Subnet").values()
    ]
    assert zones == [{"Fn::Select": [number, {"Fn::GetAZs": ""}]} for number in (0, 1)]
