"""The template's state machine, run by the local cloud with a function of the test's."""

import io
import json
import sys
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from aws_cdk.assertions import Template

from localcloud.aws import Cloud

FUNCTION = "told"
BUCKET = "calls"
THROTTLED = "Lambda.TooManyRequestsException"
# Keeps each call as an object; how it ends follows from the last digit of the window's start.
CODE = """
import json, os, boto3

def handler(event, context):
    s3 = boto3.client("s3")
    calls = s3.list_objects_v2(Bucket="calls", Prefix=f"{event['start']}/")["KeyCount"] + 1
    s3.put_object(Bucket="calls", Key=f"{event['start']}/{calls}", Body=json.dumps(event))
    way = event["start"] % 10
    if way == 1:
        raise RuntimeError("the window could not be exported")
    return {**event, "finished": way != 3 or calls == 3, "failed": way == 2, "message": "x" * 1000}
"""
Run = Callable[[list[int]], dict[str, Any]]


@pytest.fixture(scope="module")
def cloud(make_cloud: Callable[..., Cloud]) -> Cloud:
    return make_cloud()


@pytest.fixture(scope="module")
def run(cloud: Cloud, template: Template) -> Run:
    """Runs the machine over windows that start at these seconds, to its end."""
    cloud.create_bucket(BUCKET)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("told.py", CODE)
    function = cloud.lambda_.create_function(
        FunctionName=FUNCTION,
        Runtime=f"python3.{sys.version_info.minor}",  # type: ignore[arg-type]
        Role="arn:aws:iam::000000000000:role/any",
        Handler="told.handler",
        Code={"ZipFile": archive.getvalue()},
        Timeout=30,
    )
    machine = cloud.stepfunctions.create_state_machine(
        name="backfill",
        definition=definition(template, function["FunctionArn"])
        # The local cloud's name of a throttled call; and a test need not wait for half a minute.
        .replace(THROTTLED, "Lambda.Unknown")
        .replace('"IntervalSeconds":30', '"IntervalSeconds":1'),
        roleArn="arn:aws:iam::000000000000:role/any",
    )

    def run_machine(starts: list[int]) -> dict[str, Any]:
        windows = [{"start": start, "end": start + 3600} for start in starts]
        execution = cloud.stepfunctions.start_execution(
            stateMachineArn=machine["stateMachineArn"], input=json.dumps({"windows": windows})
        )["executionArn"]
        until = time.monotonic() + 60
        while time.monotonic() < until:
            ended = cloud.stepfunctions.describe_execution(executionArn=execution)
            if ended["status"] != "RUNNING":
                listed = cloud.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
                keys = [one["Key"] for one in listed if int(one["Key"].split("/")[0]) in starts]
                return {
                    **ended,
                    "calls": [int(key.split("/")[0]) for key in keys],
                    "events": [
                        json.loads(cloud.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
                        for key in keys
                    ],
                }
            time.sleep(0.2)
        raise TimeoutError(execution)

    return run_machine


def definition(template: Template, function_arn: str) -> str:
    """The template's definition, its two references filled in as CloudFormation would."""
    (machine,) = template.find_resources("AWS::StepFunctions::StateMachine").values()
    separator, parts = machine["Properties"]["DefinitionString"]["Fn::Join"]
    filled = [
        part if isinstance(part, str) else "aws" if "Ref" in part else function_arn
        for part in parts
    ]
    return str(separator).join(filled)


def test_all_windows_exported_is_a_success_with_a_small_output(run: Run) -> None:
    ended = run([110, 120, 130])
    assert ended["status"] == "SUCCEEDED"
    assert json.loads(ended["output"]) == {"windows": 3, "exported": 3}
    assert sorted(ended["calls"]) == [110, 120, 130]


def test_an_item_names_its_window_and_the_execution(run: Run) -> None:
    """The log of a window is found by its own name, and by that of who had it."""
    ended = run([510])
    assert ended["events"] == [{"start": 510, "end": 510 + 3600, "execution": ended["name"]}]


def test_an_unfinished_window_is_called_again_until_it_is_finished(run: Run) -> None:
    ended = run([213, 220])
    assert ended["status"] == "SUCCEEDED"
    assert sorted(ended["calls"]) == [213, 213, 213, 220]


@pytest.mark.parametrize("failing", [311, 412], ids=["raises", "says failed"])
def test_a_failed_window_fails_the_execution_after_the_others(run: Run, failing: int) -> None:
    others = [failing // 10 * 10 + step for step in range(10, 60, 10)]
    ended = run([failing, *others])
    assert ended["status"] == "FAILED"
    assert sorted(ended["calls"]) == sorted([failing, *others])


def test_a_window_that_lambda_throttles_waits_and_is_exported(run: Run, cloud: Cloud) -> None:
    """A function that may not run at all is refused as one is for which no concurrency is left."""
    cloud.lambda_.put_function_concurrency(FunctionName=FUNCTION, ReservedConcurrentExecutions=0)

    def lift() -> None:
        time.sleep(4)
        cloud.lambda_.delete_function_concurrency(FunctionName=FUNCTION)

    with ThreadPoolExecutor(1) as pool:
        lifted = pool.submit(lift)
        ended = run([610, 620, 630])
        assert lifted.done()  # not before
    assert ended["status"] == "SUCCEEDED"
    assert sorted(ended["calls"]) == [610, 620, 630]


def test_a_throttled_window_waits_as_long_as_its_execution_may_last(template: Template) -> None:
    machine = json.loads(definition(template, "arn"))
    (retry,) = [
        one
        for one in machine["States"]["EachWindow"]["ItemProcessor"]["States"]["ExportWindow"][
            "Retry"
        ]
        if THROTTLED in one["ErrorEquals"]
    ]
    # With full jitter a wait is half of the longest on average.
    assert retry["MaxAttempts"] * retry["MaxDelaySeconds"] / 2 >= machine["TimeoutSeconds"]
    # Each has four events at most, of the 25,000 that an execution may have.
    assert retry["MaxAttempts"] * 4 < 25_000


def test_nothing_to_do_is_a_success(run: Run) -> None:
    assert run([])["status"] == "SUCCEEDED"
