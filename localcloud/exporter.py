"""The deployed exporter, used as a person would use it: through the AWS API."""

import json
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict
from urllib.parse import unquote

from localcloud.aws import Account
from localcloud.cdk import Cdk
from localcloud.prometheus import Prometheus


class Platform(TypedDict):
    """Of a function, by the names of the deployment settings."""

    python_version: str
    architecture: str


# MiniStack runs functions with the Python that it runs under itself.
PLATFORM: Platform = {
    "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
    "architecture": "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64",
}


class InvocationError(RuntimeError):
    """The function raised; the text is its message."""


@dataclass(frozen=True)
class Progress:
    """How far a backfill is. `status` is that of the Step Functions execution."""

    status: str
    windows: int
    done: int
    failed: int

    @property
    def running(self) -> bool:
        return self.status == "RUNNING"


@dataclass(frozen=True)
class Exporter:
    """A stack that was deployed. `outputs` are the stack's."""

    cloud: Account
    outputs: Mapping[str, str]
    prefix: str

    @property
    def function_name(self) -> str:
        return self.outputs["FunctionName"]

    @property
    def backfill_function_name(self) -> str:
        """From the definition of the state machine that calls it."""
        machine = self.cloud.stepfunctions.describe_state_machine(
            stateMachineArn=self.state_machine
        )
        each = json.loads(machine["definition"])["States"]["EachWindow"]["ItemProcessor"]
        arn: str = each["States"]["ExportWindow"]["Parameters"]["FunctionName"]
        return arn.rpartition(":")[2]

    @property
    def bucket(self) -> str:
        return self.outputs["Bucket"]

    @property
    def state_machine(self) -> str:
        return self.outputs["StateMachine"]

    def store_login(self, prometheus: Prometheus) -> None:
        """Fill the secret that the stack made with the credentials for this Prometheus, if it needs
        any, as the output SecretCommand tells a person to."""
        if prometheus.login is None:
            return
        self.fill_secret(
            {
                "PROMETHEUS_USERNAME": prometheus.login.username,
                "PROMETHEUS_PASSWORD": prometheus.login.password,
            }
        )

    def fill_secret(self, credentials: Mapping[str, str]) -> None:
        """Put variables into the secret that the stack made."""
        command = self.outputs["SecretCommand"].split()
        self.cloud.secretsmanager.put_secret_value(
            SecretId=command[command.index("--secret-id") + 1], SecretString=json.dumps(credentials)
        )

    def invoke(self, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Invoke the export function and wait for its answer. Raises InvocationError."""
        result: dict[str, Any] = self._call(self.function_name, event or {})
        return result

    def draw_coverage(self, event: Mapping[str, Any]) -> str:
        """Invoke the function of the coverage map as a dashboard does; its HTML."""
        return str(self._call(self.outputs["CoverageFunction"], event))

    def _call(self, function_name: str, event: Mapping[str, Any]) -> Any:
        answer = self.cloud.lambda_.invoke(
            FunctionName=function_name, Payload=json.dumps(event).encode()
        )
        payload = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise InvocationError(payload.get("errorMessage", str(payload)))
        return payload

    def limit_time(self, seconds: int) -> None:
        """Give the export function less time than the deployment settings allow.

        With the usual 5 s between queries a first run exports a tenth of three days and hands over
        the rest. Without them a fast machine would export all of it, and hand over nothing.
        """
        self.cloud.lambda_.update_function_configuration(
            FunctionName=self.function_name, Timeout=seconds
        )

    def progress(self, execution: str) -> Progress:
        """Of the execution with this name, now."""
        sfn = self.cloud.stepfunctions
        arn = self.state_machine.replace(":stateMachine:", ":execution:") + f":{execution}"
        told = sfn.describe_execution(executionArn=arn)
        windows = len(json.loads(told["input"])["windows"])
        done = failed = 0
        for run in sfn.list_map_runs(executionArn=arn)["mapRuns"]:
            counts = sfn.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"]
            failed += counts["failed"] + counts["timedOut"] + counts["aborted"]
            done += counts["succeeded"]
        return Progress(told["status"], windows, done + failed, failed)

    def wait(self, execution: str, timeout_s: float) -> Progress:
        """The state of an execution that has ended. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while (progress := self.progress(execution)).running:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{execution} is at {progress} after {timeout_s:.0f} s")
            time.sleep(0.5)
        return progress

    def list_keys(self) -> list[str]:
        """Every key under the prefix, in the bucket's order."""
        pages = self.cloud.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{self.prefix}/"
        )
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def read(self, key: str) -> bytes:
        """The stored bytes, compressed as they are."""
        return self.cloud.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def describe(self, key: str) -> tuple[str, str, int]:
        """Cluster, metric and number of samples of one file, from its key and its metadata."""
        cluster = key.removeprefix(f"{self.prefix}/").partition("/")[0]
        metric = key.partition("/metric=")[2].partition("/")[0]
        told = self.cloud.s3.head_object(Bucket=self.bucket, Key=key)
        return unquote(cluster), metric, int(told["Metadata"]["samples"])

    def log_events(self, console: str = "LogConsole") -> Iterator[dict[str, Any]]:
        """The JSON lines of a function's log, in their order; metrics are left out.

        `console` is the output with the address of the log, which ends with the group's name.
        """
        return (line for line in self._log_lines(console) if "_aws" not in line)

    def metric_events(self) -> Iterator[dict[str, Any]]:
        """The lines that CloudWatch makes metrics of (embedded metric format), in their order."""
        return (line for line in self._log_lines("LogConsole") if "_aws" in line)

    def _log_lines(self, console: str) -> Iterator[dict[str, Any]]:
        group = self.outputs[console].partition("/log-group/")[2]
        pages = self.cloud.logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        for page in pages:
            for event in page["events"]:
                if event["message"].startswith("{"):
                    yield json.loads(event["message"])


def trial_settings(prometheus: Prometheus) -> dict[str, str]:
    """Deployment settings for this Prometheus that MiniStack can do."""
    return {
        "hostname": "127.0.0.1",
        "port": str(prometheus.port),
        "path_prefix": prometheus.path_prefix,
        "auth_secret_arn": "none" if prometheus.login is None else "new",
        "cluster_name": "monitoring",
        "query_delay": "0",
        "python_version": PLATFORM["python_version"],
        "architecture": PLATFORM["architecture"],
        "vpc_id": "new",
        # MiniStack's CloudFormation does not know their types.
        "saved_queries": "false",
    }


def deploy_exporter(
    cdk: Cdk, cloud: Account, prometheus: Prometheus, settings: Mapping[str, str]
) -> Exporter:
    """Deploy the stack for this Prometheus; `settings` win over the trial's own.

    Raises StartError with what the CDK CLI said.
    """
    wanted = trial_settings(prometheus) | dict(settings)
    exporter = Exporter(cloud, cdk.deploy(wanted), wanted.get("s3_prefix", "k8s/prometheus"))
    exporter.store_login(prometheus)
    return exporter
