"""What each role of the stack must not do is tried with its own keys, and refused.

IAM is enforced; that the roles suffice for all that the exporter does, test_end_to_end shows.
"""

import json
from fnmatch import fnmatch
from typing import Any

import pytest

from localcloud.aws import ACCOUNT, REGION, Cloud
from localcloud.exporter import Exporter
from tests.e2e.deployed import PREFIX, READER_ID, WRITER_ID, Deployed
from tests.e2e.probe import REFUSED, Call, Probe
from tests.policies import as_policy

OTHER_BUCKET = "somebody-elses-bucket"
OTHER = "somebody-elses"


@pytest.fixture(scope="module")
def cloud(deployed: Deployed) -> Cloud:
    """With another team's resources in the same account."""
    cloud = deployed.cloud
    cloud.create_bucket(OTHER_BUCKET)
    for key in ("elsewhere/file", f"{PREFIX}-look-alike/file", f"{PREFIX}/permissions/file"):
        cloud.s3.put_object(Bucket=deployed.exporter.bucket, Key=key, Body=b"{}")
    cloud.secretsmanager.create_secret(Name=OTHER, SecretString="{}")
    iam: Any = cloud.session.client("iam", **cloud.where)
    anybody = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "sts:AssumeRole",
    }
    iam.create_role(RoleName=OTHER, AssumeRolePolicyDocument=as_policy(anybody))
    cloud.stepfunctions.create_state_machine(
        name=OTHER,
        definition=json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}),
        roleArn=role_arn(OTHER),
    )
    sqs: Any = cloud.session.client("sqs", **cloud.where)
    sqs.create_queue(QueueName=OTHER)
    cloud.logs.create_log_group(logGroupName=OTHER)
    return cloud


def role_of(cloud: Cloud, function: str) -> str:
    return cloud.lambda_.get_function_configuration(FunctionName=function)["Role"]


def s3(action: str, bucket: str, key: str = "", **more: object) -> Call:
    where = {"Bucket": bucket} | ({"Key": key} if key else {})
    return Call("s3", action, where | more)


def on_files(bucket: str, folder: str) -> list[Call]:
    """Writing, reading and deleting one file."""
    key = f"{folder}/file"
    return [
        s3("put_object", bucket, key, Body="{}"),
        s3("get_object", bucket, key),
        s3("delete_object", bucket, key),
    ]


def writing(bucket: str) -> list[Call]:
    """What the documented policy allows."""
    return [
        *on_files(bucket, f"{PREFIX}/permissions"),
        s3("list_objects_v2", bucket, Prefix=f"{PREFIX}/", Delimiter="/"),
    ]


def beyond_the_files(bucket: str) -> list[Call]:
    """What the documented policy does not allow."""
    return [
        *on_files(bucket, "elsewhere"),
        *on_files(bucket, f"{PREFIX}-look-alike"),
        *on_files(OTHER_BUCKET, PREFIX),
        s3("list_objects_v2", bucket),
        s3("list_objects_v2", bucket, Delimiter="/"),
        s3("list_objects_v2", bucket, Prefix=f"{PREFIX}/"),
        s3("list_objects_v2", bucket, Prefix=f"{PREFIX}/", Delimiter="-"),
        s3("list_objects_v2", bucket, Prefix="elsewhere/", Delimiter="/"),
        s3("list_objects_v2", OTHER_BUCKET, Prefix=f"{PREFIX}/", Delimiter="/"),
        s3("delete_bucket", bucket),
        s3("get_bucket_policy", bucket),
        s3("delete_bucket_policy", bucket),
        Call("s3", "list_buckets", {}),
    ]


def secrets_and_names(exporter: Exporter) -> list[Call]:
    """What neither function needs, whatever it is for."""
    own = secret_of(exporter)
    function, queue = exporter.function_name, exporter.outputs["DeadLetterQueue"]
    return [
        Call("secretsmanager", "get_secret_value", {"SecretId": OTHER}),
        Call("secretsmanager", "put_secret_value", {"SecretId": own, "SecretString": "{}"}),
        Call("secretsmanager", "list_secrets", {}),
        Call("stepfunctions", "start_execution", {"stateMachineArn": machine_of(OTHER)}),
        Call("stepfunctions", "describe_execution", {"executionArn": execution_of(OTHER)}),
        Call("stepfunctions", "list_state_machines", {}),
        Call("stepfunctions", "delete_state_machine", {"stateMachineArn": exporter.state_machine}),
        Call("lambda", "invoke", {"FunctionName": function, "Payload": "{}"}),
        Call(
            "lambda", "invoke", {"FunctionName": exporter.backfill_function_name, "Payload": "{}"}
        ),
        Call("lambda", "get_function", {"FunctionName": function}),
        # Only the schedule writes into the queue, an event that it could not deliver.
        Call("sqs", "receive_message", {"QueueUrl": queue}),
        Call("sqs", "send_message", {"QueueUrl": queue, "MessageBody": "{}"}),
        Call("sqs", "send_message", {"QueueUrl": other_queue(queue), "MessageBody": "{}"}),
        Call("sns", "list_topics", {}),
        Call("logs", "create_log_stream", {"logGroupName": OTHER, "logStreamName": "probe"}),
        Call("logs", "filter_log_events", {"logGroupName": OTHER}),
        Call("iam", "list_roles", {}),
        Call("sts", "assume_role", {"RoleArn": role_arn(OTHER), "RoleSessionName": "probe"}),
        Call("cloudwatch", "list_metrics", {}),
    ]


def handing_over(exporter: Exporter) -> list[Call]:
    """What the export function does beside the backfill function's work."""
    machine = exporter.state_machine
    known = machine.replace(":stateMachine:", ":execution:") + ":permissions"
    start = {"stateMachineArn": machine, "name": "permissions", "input": '{"windows": []}'}
    return [
        Call("stepfunctions", "start_execution", start),
        Call("stepfunctions", "describe_execution", {"executionArn": known}),
    ]


def test_the_export_function_s_role(deployed: Deployed, cloud: Cloud) -> None:
    exporter = deployed.exporter
    probe = Probe(cloud, "export", role_of(cloud, exporter.function_name))
    own = Call("secretsmanager", "get_secret_value", {"SecretId": secret_of(exporter)})
    all_done(probe.answers([*writing(exporter.bucket), own, *handing_over(exporter)]))
    all_refused(probe.answers(beyond_the_files(exporter.bucket)))
    all_refused(probe.answers(secrets_and_names(exporter)))


def test_the_backfill_function_s_role(deployed: Deployed, cloud: Cloud) -> None:
    exporter = deployed.exporter
    probe = Probe(cloud, "backfill", role_of(cloud, exporter.backfill_function_name))
    own = Call("secretsmanager", "get_secret_value", {"SecretId": secret_of(exporter)})
    all_done(probe.answers([*writing(exporter.bucket), own]))
    all_refused(probe.answers(beyond_the_files(exporter.bucket)))
    all_refused(probe.answers([*secrets_and_names(exporter), *handing_over(exporter)]))


def test_the_map_s_role_reads_the_checkpoint_alone(deployed: Deployed, cloud: Cloud) -> None:
    exporter, bucket = deployed.exporter, deployed.exporter.bucket
    function = exporter.outputs["CoverageFunction"]
    probe = Probe(cloud, "map", role_of(cloud, function))
    exporter.invoke()  # so that there is a checkpoint
    key = f"{PREFIX}/monitoring/checkpoint.json"
    read = s3("get_object", bucket, key)
    look = s3("list_objects_v2", bucket, Prefix=key, Delimiter="/")
    all_done(probe.answers([read, look]))
    own = Call("secretsmanager", "get_secret_value", {"SecretId": secret_of(exporter)})
    change = [s3("put_object", bucket, key, Body="{}"), s3("delete_object", bucket, key)]
    all_refused(probe.answers([*writing(bucket), *change, own, *beyond_the_files(bucket)]))
    all_refused(probe.answers([*secrets_and_names(exporter), *handing_over(exporter)]))


@pytest.mark.parametrize("which", ["export", "backfill"])
def test_with_a_bucket_role_the_function_s_own_may_nothing_but_assume_it(
    second: Deployed, cloud: Cloud, which: str
) -> None:
    exporter, bucket = second.exporter, second.exporter.bucket
    function = exporter.function_name if which == "export" else exporter.backfill_function_name
    probe = Probe(cloud, f"second-{which}", role_of(cloud, function))
    all_refused(probe.answers([*writing(bucket), *beyond_the_files(bucket)]))
    all_refused(probe.answers(secrets_and_names(exporter)))
    writer = second.settings["role_arn"]
    as_writer = {"RoleArn": writer, "ExternalId": WRITER_ID}
    all_done(probe.answers(writing(bucket), assume=as_writer))
    all_refused(probe.answers(beyond_the_files(bucket), assume=as_writer))
    for wrong in ({"RoleArn": writer}, {"RoleArn": writer, "ExternalId": "another"}):
        attempt = Call("sts", "assume_role", {**wrong, "RoleSessionName": "probe"})
        all_refused(probe.answers([attempt]))


def test_the_trust_policy_of_the_outputs_is_for_the_roles_of_the_functions(
    second: Deployed, cloud: Cloud
) -> None:
    """Held against the names alone: this IAM does not know aws:PrincipalArn."""
    exporter = second.exporter
    (trust,) = json.loads(exporter.outputs["BucketRoleTrust"])["Statement"]
    pattern = trust["Condition"]["ArnLike"]["aws:PrincipalArn"]
    assert pattern == f"arn:aws:iam::{ACCOUNT}:role/Second-*"
    functions = exporter.function_name, exporter.backfill_function_name
    for function in (*functions, exporter.outputs["CoverageFunction"]):
        assert fnmatch(role_of(cloud, function), pattern)


def test_nothing_of_the_first_exporter_is_open_to_the_second(
    deployed: Deployed, second: Deployed, cloud: Cloud
) -> None:
    probe = Probe(cloud, "neighbour", role_of(cloud, second.exporter.function_name))
    first = deployed.exporter
    own = Call("secretsmanager", "get_secret_value", {"SecretId": secret_of(first)})
    all_refused(probe.answers([own, *handing_over(first), *secrets_and_names(first)]))


def test_the_platform_s_role_reads_and_no_more(deployed: Deployed, cloud: Cloud) -> None:
    bucket, reader = deployed.exporter.bucket, deployed.exporter.outputs["ReaderRole"]
    platform = Probe(cloud, "platform", platform_role(cloud, reader))
    as_reader = {"RoleArn": reader, "ExternalId": READER_ID}
    key = f"{PREFIX}/permissions/read"
    cloud.s3.put_object(Bucket=bucket, Key=key, Body=b"{}")
    reading = [
        s3("get_object", bucket, key),
        s3("head_object", bucket, key),
        s3("list_objects_v2", bucket, Prefix=f"{PREFIX}/"),
        s3("list_objects_v2", bucket, Prefix=f"{PREFIX}/", Delimiter="/"),
        s3("get_bucket_location", bucket),
    ]
    all_done(platform.answers(reading, assume=as_reader))
    beyond = [
        s3("put_object", bucket, key, Body="{}"),
        s3("delete_object", bucket, key),
        s3("get_object", bucket, "elsewhere/file"),
        s3("get_object", bucket, f"{PREFIX}-look-alike/file"),
        s3("list_objects_v2", bucket),
        s3("list_objects_v2", bucket, Prefix=f"{PREFIX}-look-alike/"),
        s3("get_bucket_policy", bucket),
        *(call for call in on_files(OTHER_BUCKET, PREFIX)),
        Call("secretsmanager", "get_secret_value", {"SecretId": secret_of(deployed.exporter)}),
    ]
    all_refused(platform.answers(beyond, assume=as_reader))
    for wrong in ({"RoleArn": reader}, {"RoleArn": reader, "ExternalId": "another"}):
        attempt = Call("sts", "assume_role", {**wrong, "RoleSessionName": "probe"})
        all_refused(platform.answers([attempt]))


def platform_role(cloud: Cloud, reader: str) -> str:
    """A role of the cost platform's, in whose account it may assume the reader's."""
    iam: Any = cloud.session.client("iam", **cloud.where)
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    may = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": reader}
    role = iam.create_role(RoleName="platform", AssumeRolePolicyDocument=as_policy(trust))["Role"]
    iam.put_role_policy(RoleName="platform", PolicyName="own", PolicyDocument=as_policy(may))
    arn: str = role["Arn"]
    return arn


def all_done(answers: dict[str, str]) -> None:
    assert {call: answer for call, answer in answers.items() if answer != "done"} == {}


def all_refused(answers: dict[str, str]) -> None:
    assert answers
    assert {call: answer for call, answer in answers.items() if answer not in REFUSED} == {}


def secret_of(exporter: Exporter) -> str:
    command = exporter.outputs["SecretCommand"].split()
    return command[command.index("--secret-id") + 1]


def machine_of(name: str) -> str:
    return f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}"


def execution_of(name: str) -> str:
    return f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{name}:any"


def role_arn(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def other_queue(url: str) -> str:
    return f"{url.rpartition('/')[0]}/{OTHER}"
