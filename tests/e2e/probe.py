"""Tries calls to AWS as a role: in a function that has it, with the keys that the role gets."""

import io
import json
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from localcloud.aws import Cloud

CODE = """
import boto3
from botocore.exceptions import ClientError

def handler(event, context):
    session = boto3.Session()
    if event["assume"]:
        keys = session.client("sts").assume_role(RoleSessionName="probe", **event["assume"])
        keys = keys["Credentials"]
        session = boto3.Session(
            keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]
        )
    clients, answers = {}, []
    for service, action, arguments in event["calls"]:
        client = clients.setdefault(service, session.client(service))
        try:
            getattr(client, action)(**arguments)
            answers.append("done")
        except ClientError as error:
            answers.append(error.response["Error"]["Code"])
    return answers
"""
REFUSED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"}


@dataclass(frozen=True)
class Call:
    """One call of boto3. str() names it in a test's message."""

    service: str
    action: str
    arguments: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.service}.{self.action}({json.dumps(self.arguments)[:160]})"


class Probe:
    """A function with this role. With `assume` it first assumes another."""

    def __init__(self, cloud: Cloud, name: str, role_arn: str) -> None:
        self._cloud = cloud
        self._name = f"probe-{name}"
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("probe.py", CODE)
        cloud.lambda_.create_function(
            FunctionName=self._name,
            Runtime=f"python3.{sys.version_info.minor}",  # type: ignore[arg-type]
            Role=role_arn,
            Handler="probe.handler",
            Code={"ZipFile": archive.getvalue()},
            Timeout=60,
        )

    def answers(
        self, calls: Sequence[Call], *, assume: dict[str, str] | None = None
    ) -> dict[str, str]:
        """What each call came to, by its text: "done" or the error's code."""
        event = {
            "assume": assume,
            "calls": [(call.service, call.action, call.arguments) for call in calls],
        }
        answer = self._cloud.lambda_.invoke(
            FunctionName=self._name, Payload=json.dumps(event).encode()
        )
        payload = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise PermissionError(payload["errorMessage"])
        return dict(zip(map(str, calls), payload, strict=True))
