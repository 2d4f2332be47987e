"""The AWS account that the shell has credentials for."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import boto3

from localcloud.aws import Account, Where


@dataclass(frozen=True)
class RealAccount(Account):
    """As boto3 and the CDK CLI find it: profile, variables or a role."""

    scratch: Path

    @property
    def folder(self) -> Path:
        return self.scratch

    @property
    def env(self) -> dict[str, str]:
        return dict(os.environ)

    @cached_property
    def session(self) -> boto3.Session:
        return boto3.Session()

    @property
    def where(self) -> Where:
        return {"endpoint_url": None, "verify": None}
