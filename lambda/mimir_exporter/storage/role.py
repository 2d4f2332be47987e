"""Sessions of boto3 with the process's own credentials, or with those of ROLE_ARN."""

from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.credentials import CredentialProvider, CredentialResolver, RefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session

from ..errors import storage as errors
from .client_config import ClientConfig
from .clock import check_clock

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sts.type_defs import AssumeRoleRequestTypeDef


def open_session(role_arn: str, external_id: str, config: ClientConfig) -> boto3.Session:
    """A session whose clients of S3 look at the clock with each answer."""
    if role_arn:
        core = get_session()
        role = _AssumedRole(role_arn, external_id, config)
        core.register_component("credential_provider", CredentialResolver([role]))
        session = boto3.Session(botocore_session=core)
    else:
        session = boto3.Session()
    session.events.register("after-call.s3", _check_clock)
    return session


def _check_clock(http_response: Any, **_: object) -> None:
    check_clock(http_response.headers.get("date"))


def find_url(client: "S3Client", bucket: str) -> str | None:
    """Where botocore sends a request for an object: one that it signs and that stays here.

    It signs URLs for another host than requests. None where it cannot sign at all. `client` sends
    nothing any more.
    """
    urls: list[str] = []

    def keep(request: AWSPreparedRequest, **_: object) -> Any:
        urls.append(request.url)
        return AWSResponse(request.url, 200, HTTPHeaders(), BytesIO())

    client.meta.events.register("before-send.s3", keep)
    with suppress(BotoCoreError):  # at the first real request it says best itself what is missing
        client.get_object(Bucket=bucket, Key="k")
    return urls[0] if urls else None


class _AssumedRole(CredentialProvider):
    """Keys of ROLE_ARN. They last an hour, which a run outside of Lambda may outlast, and are
    renewed before that."""

    METHOD = "assume-role"

    def __init__(self, arn: str, external_id: str, config: ClientConfig) -> None:
        super().__init__()
        self._arn = arn
        self._external_id = external_id
        self._config = config

    def load(self) -> RefreshableCredentials:
        return RefreshableCredentials.create_from_metadata(
            self._assume(), refresh_using=self._assume, method=self.METHOD
        )

    def _assume(self) -> dict[str, str]:
        request: AssumeRoleRequestTypeDef = {
            "RoleArn": self._arn,
            "RoleSessionName": "mimir-exporter",
        }
        if self._external_id:
            request["ExternalId"] = self._external_id
        try:
            answer = boto3.client("sts", config=self._config.of_boto3).assume_role(**request)
        except (ClientError, BotoCoreError) as error:
            raise errors.ROLE_NOT_ASSUMED(
                arn=self._arn, cause=f"{type(error).__name__}: {str(error).splitlines()[0]}"
            ) from error
        keys = answer["Credentials"]
        return {
            "access_key": keys["AccessKeyId"],
            "secret_key": keys["SecretAccessKey"],
            "token": keys["SessionToken"],
            "expiry_time": keys["Expiration"].isoformat(),
        }
