"""S3, within the bucket policy of the integration that this one replaces.

That policy allows Put, Get and Delete under the prefix, and ListBucket only with the delimiter
`/`: so everything is listed folder by folder, and a missing object answers 403 where a plain
ListBucket grant would make it 404.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, BinaryIO

import boto3
from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver, RefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError
from botocore.parsers import ResponseParserError
from botocore.session import get_session
from urllib3.exceptions import HTTPError

from ..errors import ExportError, StopRunError
from ..timeline.clock import CLOCK_OFF_S
from ..timeline.windows import iso
from .objects import ConditionFailedError, Folder, ListedKey, StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sts.type_defs import AssumeRoleRequestTypeDef

# 409 is a race between conditional writes, 412 a condition that does not hold.
_CONDITION_CODES = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_MISSING_CODES = ("NoSuchKey", "NotFound", "404")
_DENIED_CODES = ("AccessDenied", "Forbidden", "403")
_BUSY_CODES = ("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "503", "500")
# Ours may be ahead by less: by more than SETTLE_TIME, and the newest window would be exported
# before it is over.
CLOCK_AHEAD_S = 5 * 60
# Each write carries the CRC-32 of its body, as botocore does by itself: S3 stores what was sent, or
# refuses it. Over TLS a file's stands behind its body, so that it is read once.
CLIENT_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 5},
    connect_timeout=5,
    read_timeout=20,
    tcp_keepalive=True,
    max_pool_connections=10,
)
# Where a person waits for the answer: whoever gave none twice is said not to give one.
INTERACTIVE_CONFIG = CLIENT_CONFIG.merge(
    Config(retries={"mode": "standard", "total_max_attempts": 2}, read_timeout=10)
)


class Bucket:
    """One bucket through one client: an ObjectStore."""

    def __init__(
        self, client: "S3Client | Callable[[], S3Client]", name: str, role_arn: str = ""
    ) -> None:
        self._made = client
        self._name = name
        self._role_arn = role_arn

    @property
    def _client(self) -> "S3Client":
        # Made at the first use, where a role that cannot be assumed is an error like any other.
        if callable(self._made):
            self._made = self._made()
        return self._made

    def where(self, key: str) -> str:
        """`s3://bucket/key`."""
        return f"s3://{self._name}/{key}"

    def put(
        self,
        key: str,
        body: bytes | BinaryIO,
        *,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        if_none_match: str | None = None,
        if_match: str | None = None,
    ) -> str:
        """Write an object; its ETag. Raises ConditionFailedError where a condition fails."""
        conditions: dict[str, Any] = {}
        if if_none_match:
            conditions["IfNoneMatch"] = if_none_match
        if if_match:
            conditions["IfMatch"] = if_match
        try:
            with self._explained("write", key):
                answer = self._client.put_object(
                    Bucket=self._name,
                    Key=key,
                    Body=body,
                    ContentType=content_type,
                    Metadata=dict(metadata or {}),
                    **conditions,
                )
        except _MissingError as error:
            if not if_match:
                raise
            # So S3 answers If-Match where the object is gone.
            raise ConditionFailedError(f"{self.where(key)} was deleted meanwhile.") from error
        return answer["ETag"]

    def get(self, key: str) -> tuple[bytes, str] | None:
        """An object's bytes and ETag, or None where it does not exist."""
        with self._missing_is_none(key), self._explained("read", key):
            answer = self._client.get_object(Bucket=self._name, Key=key)
            return answer["Body"].read(), answer["ETag"]
        return None

    def head(self, key: str) -> StoredObject | None:
        """What is known of an object, or None where it does not exist."""
        with self._missing_is_none(key), self._explained("read", key):
            answer = self._client.head_object(Bucket=self._name, Key=key)
            return StoredObject(answer["ETag"], answer["Metadata"], answer["ContentLength"])
        return None

    def delete(self, key: str, *, if_match: str | None = None) -> None:
        """Remove an object; one that does not exist is no error.

        Raises ConditionFailedError where its ETag is not `if_match`, which S3 compares only for
        who may also read the object.
        """
        condition: dict[str, Any] = {"IfMatch": if_match} if if_match else {}
        # A delete with a condition answers 404 where nothing is left.
        with suppress(_MissingError), self._explained("delete", key):
            self._client.delete_object(Bucket=self._name, Key=key, **condition)

    def list(self, prefix: str) -> Folder:
        """The folder `prefix` (or the keys that begin so), all pages of it."""
        folders: list[str] = []
        keys: dict[str, ListedKey] = {}
        with self._explained("list", prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._name, Prefix=prefix, Delimiter="/"
            )
            for page in pages:
                folders += [entry["Prefix"] for entry in page.get("CommonPrefixes", ())]
                for entry in page.get("Contents", ()):
                    keys[entry["Key"]] = ListedKey(entry["Size"], entry["ETag"])
        return Folder(tuple(folders), keys)

    @contextmanager
    def _missing_is_none(self, key: str) -> Iterator[None]:
        try:
            yield
        except _MissingError:
            return
        except _DeniedError as error:
            # Without an unconditional ListBucket S3 does not tell "missing" from "denied".
            if key in self.list(key).keys:
                raise StopRunError(str(error)) from error

    @contextmanager
    def _explained(self, verb: str, key: str) -> Iterator[None]:
        where = self.where(key)
        try:
            yield
        except ClientError as error:
            raise self._explain(error, verb, where) from error
        except ReadTimeoutError as error:
            raise StopRunError(
                f"S3 was connected to and did not answer the request to {verb} {where} "
                f"({type(error).__name__}); check what stands between it and the function's "
                "subnets: a proxy, a firewall, or a link that drops large packets."
            ) from error
        except BotoCoreError as error:
            raise StopRunError(
                f"S3 cannot be reached to {verb} {where} ({type(error).__name__}); check that the "
                "function's subnets have a route to S3, such as a gateway endpoint."
            ) from error
        except (HTTPError, ResponseParserError) as error:  # which botocore lets through
            raise StopRunError(
                f"S3's answer to the request to {verb} {where} was cut off or is none "
                f"({type(error).__name__}). Nothing is lost, the next run goes on."
            ) from error

    def _explain(self, error: ClientError, verb: str, where: str) -> ExportError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _CONDITION_CODES:
            return ConditionFailedError(f"{where} was written by somebody else ({code}).")
        if code in _MISSING_CODES:
            return _MissingError(where)
        if code in _DENIED_CODES:
            who = f"the role {self._role_arn}" if self._role_arn else "the function's role"
            return _DeniedError(
                f"S3 refused to {verb} {where} ({code}); check that {who} has the exporter's "
                "bucket policy for this bucket and prefix, and that the bucket's own policy and "
                "its KMS key allow it."
            )
        if code == "RequestTimeTooSkewed":
            return StopRunError(
                f"S3 did not {verb} {where}: the clock is wrong ({code}); set it right. Nothing "
                "more was exported or deleted."
            )
        if code == "NoSuchBucket":
            return StopRunError(
                f"The bucket {self._name} does not exist; check S3_BUCKET, or create the bucket."
            )
        if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "301"):
            return StopRunError(
                f"The bucket {self._name} is in another region; deploy the stack in the bucket's "
                "region."
            )
        if code in _BUSY_CODES:
            return StopRunError(
                f"S3 is busy and did not {verb} {where} ({code}) after several tries; nothing is "
                "lost, the next run goes on."
            )
        return StopRunError(
            f"S3 did not {verb} {where} ({code}); see the code's meaning in S3's documentation."
        )


class _MissingError(StopRunError):
    pass


class _DeniedError(StopRunError):
    pass


def s3_client(
    role_arn: str = "", external_id: str = "", config: Config = CLIENT_CONFIG
) -> "S3Client":
    """A client with the process's own credentials, or with those of a role. StopRunError."""
    if not role_arn:
        return _checking_clock(boto3.client("s3", config=config))
    session = get_session()
    role = _AssumedRole(role_arn, external_id, config)
    session.register_component("credential_provider", CredentialResolver([role]))
    return _checking_clock(boto3.Session(botocore_session=session).client("s3", config=config))


class _AssumedRole(CredentialProvider):
    """Keys of ROLE_ARN. They last an hour, which a run outside of Lambda may outlast, and are
    renewed before that."""

    METHOD = "assume-role"

    def __init__(self, arn: str, external_id: str, config: Config) -> None:
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
            answer = boto3.client("sts", config=self._config).assume_role(**request)
        except (ClientError, BotoCoreError) as error:
            raise StopRunError(
                f"The role {self._arn} could not be assumed ({type(error).__name__}: "
                f"{str(error).splitlines()[0]}); check ROLE_ARN, ROLE_EXTERNAL_ID, the role's "
                "trust policy and that the VPC has an endpoint for STS."
            ) from error
        keys = answer["Credentials"]
        return {
            "access_key": keys["AccessKeyId"],
            "secret_key": keys["SecretAccessKey"],
            "token": keys["SessionToken"],
            "expiry_time": keys["Expiration"].isoformat(),
        }


def _checking_clock(client: "S3Client") -> "S3Client":
    """The client, which looks at the clock with each answer."""
    client.meta.events.register("after-call.s3", check_clock)
    return client


def check_clock(http_response: Any, **_: object) -> None:
    """Compare this machine's clock with S3's. Raises StopRunError where they differ too much.

    A run a year ahead would note a year of windows as exported without a single series, and
    delete every file as too old; what retention deletes cannot be had again, since Mimir forgets
    too. S3 refuses such requests by itself; others that speak its protocol do not look.
    """
    try:
        there = parsedate_to_datetime(http_response.headers.get("date") or "").timestamp()
    except ValueError:
        return  # says no time, or none that can be read
    here = time.time()
    if not -CLOCK_OFF_S <= here - there <= CLOCK_AHEAD_S:
        raise StopRunError(
            f"The clock says {iso(here)}, and S3 says {iso(there)}; set the clock right. Nothing "
            "more was exported or deleted."
        )
