"""The steps of a smoke test: each says what it found, or raises StepError."""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from localcloud.aws import Account
from localcloud.cdk import Cdk
from localcloud.exporter import Exporter

# What it may take, and cost: alarms, a dashboard, a secret and, with vpc_id=new, endpoints, all of
# them by the hour, and a few thousand requests.
LIMIT_S = 45 * 60
LIMIT_USD = 0.5
# With six letters behind it CloudFormation cuts it in none of the names that it makes of it: what
# is left can be found by it.
STACK = "mimir-smoke"
# A first run of this many seconds hands over: it exports one window at most.
SHORT_S = 15
# A bucket and a stack of its own, and no run but those of the steps.
OWN = {
    "s3_bucket": "new",
    "schedule_enabled": "false",
    "backfill_days": "4h",
    "dashboard": "true",
    "memory_mb": "256",
}
UPDATED = {"memory_mb": "320"}


class StepError(RuntimeError):
    """A step found something wrong; the text says what, and what to change."""


@dataclass
class Life:
    """One stack, from its deployment to the proof that nothing of it is left.

    `settings` are those of `cdk deploy`, `credentials` the content of the secret. Settings that
    the smoke test makes itself are refused. Raises StepError.
    """

    account: Account
    settings: Mapping[str, str]
    credentials: Mapping[str, str] = field(default_factory=dict)
    limit_s: float = LIMIT_S
    name: str = field(default_factory=lambda: f"{STACK}-{secrets.token_hex(3)}")
    cdk: Cdk = field(init=False)
    exporter: Exporter | None = field(default=None, init=False)
    _timeout_s: int = field(default=900, init=False)
    _groups: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        if given := sorted({*OWN, "stack_name"} & self.settings.keys()):
            raise StepError(f"{', '.join(given)} cannot be given: the smoke test sets its own")
        self.cdk = Cdk(self.account)
        self.end = time.monotonic() + self.limit_s

    def steps(self) -> Sequence[tuple[str, Callable[[], str]]]:
        """In their order, by name."""
        return (
            ("deploy", self.deploy),
            ("fill the secret", self.fill_secret),
            ("check", self.check),
            ("hand over", self.hand_over),
            ("run", self.run),
            ("status", self.status),
            ("update", self.update),
        )

    def ends(self) -> Sequence[tuple[str, Callable[[], str]]]:
        """What removes everything, whatever came before."""
        return (("destroy", self.destroy), ("nothing is left", self.look_for_leftovers))

    @property
    def _all_settings(self) -> dict[str, str]:
        return {**self.settings, **OWN, "stack_name": self.name}

    def _deploy(self, **changes: str) -> Exporter:
        outputs = self.cdk.deploy(self._all_settings | changes)
        prefix = self.settings.get("s3_prefix", "k8s/prometheus")
        return Exporter(self.account, outputs, prefix)

    def _made(self) -> Exporter:
        assert self.exporter is not None  # noqa: S101 - the steps come in their order
        return self.exporter

    def deploy(self) -> str:
        self.exporter = self._deploy()
        return f"stack {self.name}"

    def fill_secret(self) -> str:
        if "SecretCommand" not in self._made().outputs:
            return "there is none: auth_secret_arn names one, or is none"
        if not self.credentials:
            return "left empty: no PROMETHEUS_ variables are set"
        self._made().fill_secret(self.credentials)
        return "filled from the PROMETHEUS_ variables"

    def check(self) -> str:
        result = self._made().invoke({"action": "check"})
        if result["outcome"] != "ready":
            raise StepError("\n".join([result["message"], *result["report"]]))
        return str(result["message"])

    def hand_over(self) -> str:
        exporter = self._made()
        self._timeout_s = self._function()["Timeout"]
        exporter.limit_time(SHORT_S)
        result = exporter.invoke()
        if result["outcome"] != "handed_over":
            raise StepError(f"expected the outcome handed_over: {result['message']}")
        left_s = max(1.0, self.end - time.monotonic())
        progress = exporter.wait(result["execution"], left_s)
        if progress.failed or progress.status != "SUCCEEDED":
            raise StepError(f"the execution {result['execution']} ended as {progress}")
        return f"{progress.done} windows by Step Functions"

    def run(self) -> str:
        exporter = self._made()
        exporter.limit_time(self._timeout_s)
        message = self._run_to_the_end()
        files = [key for key in exporter.list_keys() if key.endswith(".json.gz")]
        if not files:
            raise StepError(f"no files in {exporter.bucket}: {message}")
        return f"{len(files):,} files; {message}"

    def _run_to_the_end(self) -> str:
        result = self._made().invoke()
        if result["outcome"] != "complete":
            raise StepError(result["message"])
        return str(result["message"])

    def _function(self) -> Any:
        """The export function's configuration."""
        return self.account.lambda_.get_function_configuration(
            FunctionName=self._made().function_name
        )

    def status(self) -> str:
        result = self._made().invoke({"action": "status", "files": True})
        if result["failures"] or result["pending_windows"] or result["files"]["missing"]:
            raise StepError(result["message"])
        return str(result["message"])

    def update(self) -> str:
        self.exporter = self._deploy(**UPDATED)
        memory_mb = self._function()["MemorySize"]
        if str(memory_mb) != UPDATED["memory_mb"]:
            raise StepError(f"the function still has {memory_mb} MB")
        return f"{memory_mb} MB, and the next run: {self._run_to_the_end()}"

    def destroy(self) -> str:
        """And the bucket, which the stack keeps; it was made for this."""
        resources = self._resources()
        self.cdk.destroy(self._all_settings)
        buckets = [name for kind, name in resources if kind == "AWS::S3::Bucket"]
        for bucket in buckets:
            self._delete_bucket(bucket)
        self._groups = {name for kind, name in resources if kind == "AWS::Logs::LogGroup"}
        return f"{len(resources)} resources, and {len(buckets)} bucket that the stack keeps"

    def _resources(self) -> list[tuple[str, str]]:
        """Types and names of what the stack has."""
        try:
            return self.account.list_resources(self.name)
        except ClientError:
            return []  # it was never made

    def _delete_bucket(self, bucket: str) -> None:
        s3 = self.account.s3
        with suppress(s3.exceptions.NoSuchBucket):
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for item in page.get("Contents", []):
                    s3.delete_object(Bucket=bucket, Key=item["Key"])
            s3.delete_bucket(Bucket=bucket)

    def look_for_leftovers(self) -> str:
        if left := self._leftovers():
            raise StepError(f"left, and to be deleted by hand: {', '.join(left)}")
        return "no stack, bucket, log group or network interface"

    def _leftovers(self) -> list[str]:
        account = self.account
        left = [f"{kind} {name}" for kind, name in self._resources()]
        names = [bucket["Name"] for bucket in account.s3.list_buckets()["Buckets"]]
        left += [f"bucket {name}" for name in names if name.startswith(self.name)]
        for group in sorted(self._groups):
            found = account.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
            left += [f"log group {item['logGroupName']}" for item in found]
        ec2: Any = account.session.client("ec2", **account.where)
        interfaces = ec2.describe_network_interfaces(
            Filters=[{"Name": "description", "Values": [f"AWS Lambda VPC ENI-{self.name}*"]}]
        )["NetworkInterfaces"]
        return left + [f"network interface {item['NetworkInterfaceId']}" for item in interfaces]
