"""AWS on this machine: MiniStack on a free loopback port, empty at its start, nothing kept."""

import contextlib
import os
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

import boto3
import botocore.session
from botocore.config import Config

from localcloud.processes import Process, Program, run, serve


class Where(TypedDict):
    """Arguments of boto3's `client`."""

    endpoint_url: str | None
    verify: str | None


if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_sts import STSClient

REGION: Final = "eu-central-1"
ACCOUNT = "000000000000"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}

# Ask once, and wait longer than a function may run.
PATIENT = Config(read_timeout=960, retries={"total_max_attempts": 1, "mode": "standard"})
# Whatever proxy the environment names.
DIRECT = Config(proxies={})


class Account(ABC):
    """Clients for an AWS account, or for what replaces one."""

    @property
    @abstractmethod
    def folder(self) -> Path:
        """For what programs write."""

    @property
    @abstractmethod
    def env(self) -> dict[str, str]:
        """The environment for a program that is to use this account and no other."""

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return True

    @property
    @abstractmethod
    def session(self) -> boto3.Session: ...

    @property
    @abstractmethod
    def where(self) -> Where:
        """What any client of `session` needs besides its service's name."""

    def list_resources(self, stack: str) -> list[tuple[str, str]]:
        """Type and physical id of everything in a stack. Raises ClientError where there is none."""
        pages = self.cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
        return [
            (summary["ResourceType"], summary.get("PhysicalResourceId", ""))
            for page in pages
            for summary in page["StackResourceSummaries"]
            if summary["ResourceStatus"] != "DELETE_COMPLETE"
        ]

    def list_stacks(self) -> list[str]:
        """The names of all stacks that there are."""
        pages = self.cloudformation.get_paginator("describe_stacks").paginate()
        return [
            stack["StackName"]
            for page in pages
            for stack in page["Stacks"]
            if stack["StackStatus"] != "DELETE_COMPLETE"
        ]

    @cached_property
    def s3(self) -> "S3Client":
        return self.session.client("s3", **self.where)

    @cached_property
    def lambda_(self) -> "LambdaClient":
        return self.session.client("lambda", **self.where, config=PATIENT)

    @cached_property
    def stepfunctions(self) -> "SFNClient":
        return self.session.client("stepfunctions", **self.where)

    @cached_property
    def logs(self) -> "CloudWatchLogsClient":
        return self.session.client("logs", **self.where)

    @cached_property
    def secretsmanager(self) -> "SecretsManagerClient":
        return self.session.client("secretsmanager", **self.where)

    @cached_property
    def cloudformation(self) -> "CloudFormationClient":
        return self.session.client("cloudformation", **self.where)

    @cached_property
    def sts(self) -> "STSClient":
        return self.session.client("sts", **self.where)


@dataclass(frozen=True)
class Cloud(Account):
    """A running MiniStack and clients for it. `certificate` is set if it speaks TLS."""

    endpoint: str
    server: Process
    certificate: Path | None = None

    @property
    def alive(self) -> bool:
        return self.server.alive

    def create_bucket(self, name: str) -> None:
        """An empty bucket in REGION."""
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})

    @property
    def folder(self) -> Path:
        """Goes with the cloud, also where no process is left to remove it."""
        return self.server.program.log.parent

    @property
    def env(self) -> dict[str, str]:
        """The environment for a program that is to use this cloud and no other."""
        return clean_environment() | {
            **KEYS,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            **_trust(self.certificate),
        }

    @cached_property
    def session(self) -> boto3.Session:
        """Independent of the caller's profile, files, proxy and AWS_ variables, but for the
        endpoint."""
        core = botocore.session.Session(
            session_vars={
                "profile": (None, None, None, None),
                "config_file": (None, None, os.devnull, None),
                "credentials_file": (None, None, os.devnull, None),
            }
        )
        core.set_default_client_config(DIRECT)
        return boto3.Session(
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
            botocore_session=core,
        )

    @property
    def where(self) -> Where:
        """What any other client of `session` needs besides its service's name."""
        verify = None if self.certificate is None else str(self.certificate)
        return {"endpoint_url": self.endpoint, "verify": verify}


@contextlib.contextmanager
def running_cloud(*, enforce_iam: bool = False) -> Iterator[Cloud]:
    """Run MiniStack until the block ends; all its state is in memory and in a temporary folder.

    With `enforce_iam` roles and policies count, conditions included, and the endpoint speaks TLS,
    without which a bucket that refuses plain HTTP would refuse everybody. The keys of `Cloud` are
    the account's root. Raises StartError.
    """
    with tempfile.TemporaryDirectory(prefix="ministack-", ignore_cleanup_errors=True) as folder:
        certificate = _make_certificate(Path(folder)) if enforce_iam else None
        scheme = "https" if certificate else "http"

        def make(port: int) -> Program:
            endpoint = f"{scheme}://127.0.0.1:{port}"
            return Program(
                name="MiniStack",
                argv=[sys.executable, "-m", "ministack"],
                env=clean_environment()
                | _ministack_environment(port, folder)
                # Functions inherit these two, as they do everything else.
                | {"AWS_ENDPOINT_URL": endpoint, **_trust(certificate)}
                | (_enforcing(certificate) if certificate else {}),
                ready_url=f"{endpoint}/_ministack/health",
                ready_certificate=certificate,
                log=Path(folder, "ministack.log"),
                scratch=Path(folder),
            )

        with serve(make) as (server, port):
            yield Cloud(f"{scheme}://127.0.0.1:{port}", server, certificate)


@contextlib.contextmanager
def running_moto() -> Iterator[Cloud]:
    """Run moto's server until the block ends: S3 and Secrets Manager by another implementation.

    Raises StartError.
    """
    with tempfile.TemporaryDirectory(prefix="moto-", ignore_cleanup_errors=True) as folder:

        def make(port: int) -> Program:
            endpoint = f"http://127.0.0.1:{port}"
            return Program(
                name="moto",
                argv=[sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
                env=clean_environment() | KEYS | {"MOTO_ACCOUNT_ID": ACCOUNT, "TMPDIR": folder},
                ready_url=f"{endpoint}/moto-api/data.json",
                log=Path(folder, "moto.log"),
                scratch=Path(folder),
            )

        with serve(make) as (server, port):
            yield Cloud(f"http://127.0.0.1:{port}", server)


def _enforcing(certificate: Path) -> dict[str, str]:
    key = certificate.with_suffix(".key")
    tls = {"MINISTACK_SSL_CERT": str(certificate), "MINISTACK_SSL_KEY": str(key)}
    return {"AUTH": "true", "USE_SSL": "1", **tls}


def _make_certificate(folder: Path) -> Path:
    """A certificate for this address, its key beside it, valid for a day."""
    certificate = folder / "localhost.crt"
    run(
        Program(
            name="openssl (the package `openssl` of Debian and Ubuntu)",
            argv=[
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
                *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
                # Not an authority's: rustls takes no such certificate of a server.
                *("-addext", "basicConstraints=critical,CA:FALSE"),
                *("-keyout", str(certificate.with_suffix(".key")), "-out", str(certificate)),
            ],
            env=clean_environment(),
            log=folder / "openssl.log",
        )
    )
    return certificate


def _trust(certificate: Path | None) -> dict[str, str]:
    """Python and Node.js programs that trust the certificate, and through it this cloud alone."""
    if certificate is None:
        return {}
    return {"AWS_CA_BUNDLE": str(certificate), "NODE_EXTRA_CA_CERTS": str(certificate)}


def _ministack_environment(port: int, folder: str) -> dict[str, str]:
    return {
        **KEYS,
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        # Function code is unpacked into temporary folders, and functions inherit TMPDIR.
        "TMPDIR": folder,
        "STATE_DIR": f"{folder}/state",
        "S3_DATA_DIR": f"{folder}/s3",
        "PERSIST_STATE": "0",
        "S3_PERSIST": "0",
        # Functions run in processes of this Python, and nothing looks for a Docker daemon.
        "LAMBDA_EXECUTOR": "local",
        "DOCKER_HOST": f"unix://{folder}/no-docker.sock",
        # Listeners on fixed ports that nothing here needs.
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        # What it writes for its workers, and what they say, is UTF-8 in every locale.
        "PYTHONUTF8": "1",
        # What functions inherit: no instance metadata, no files of the person who runs this.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "LOG_LEVEL": "INFO",
    }


def clean_environment() -> dict[str, str]:
    """This process's environment without anything of another cloud, and no proxy for loopback."""
    foreign = ("AWS_", "CDK_", "MINISTACK_", "LOCALSTACK_", "LAMBDA_", "POWERTOOLS_", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    direct = ",".join(filter(None, [kept.get("NO_PROXY"), "127.0.0.1", "localhost"]))
    return kept | {"NO_PROXY": direct, "no_proxy": direct}
