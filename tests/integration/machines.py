"""State machines of one state, and what became of their executions."""

import json
import time
from functools import partial

from localcloud.aws import Cloud

ROLE = "arn:aws:iam::000000000000:role/any"
WAITING = {"Type": "Wait", "Seconds": 600, "End": True}
PASSING = {"Type": "Pass", "End": True}
FAILING = {"Type": "Fail", "Error": "ItemFailed"}


def execution_arn(machine: str, name: str) -> str:
    return f"{machine.replace(':stateMachine:', ':execution:')}:{name}"


def executions(cloud: Cloud, machine: str) -> list[str]:
    found = cloud.stepfunctions.list_executions(stateMachineArn=machine)["executions"]
    return [one["name"] for one in found]


def items_of(cloud: Cloud, machine: str, name: str) -> list[dict[str, int]]:
    told = cloud.stepfunctions.describe_execution(executionArn=execution_arn(machine, name))
    items: list[dict[str, int]] = json.loads(told["input"])["windows"]
    return items


def stop(cloud: Cloud, machine: str) -> None:
    for name in executions(cloud, machine):
        cloud.stepfunctions.stop_execution(executionArn=execution_arn(machine, name))


def wait_for_end(cloud: Cloud, machine: str) -> None:
    """A state that does nothing takes a moment too."""
    running = partial(
        cloud.stepfunctions.list_executions, stateMachineArn=machine, statusFilter="RUNNING"
    )
    deadline = time.monotonic() + 60
    while running()["executions"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
