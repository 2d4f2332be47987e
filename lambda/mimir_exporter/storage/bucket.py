"""S3 by boto3, within the bucket policy of the integration that this one replaces.

That policy allows Put, Get and Delete under the prefix, and ListBucket only with the delimiter
`/`: so everything is listed folder by folder, and a missing object answers 403 where a plain
ListBucket grant would make it 404.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from ..errors import ExportError, StopRunError
from .objects import ConditionFailedError, Folder, ListedKey, StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# 409 is a race between conditional writes, 412 a condition that does not hold.
_CONDITION_CODES = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_MISSING_CODES = ("NoSuchKey", "NotFound", "404")
_DENIED_CODES = ("AccessDenied", "Forbidden", "403")
_BUSY_CODES = ("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "503", "500")


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
                f"S3 refused to {verb} {where} ({_told(error)}); check that {who} has the "
                "exporter's bucket policy for this bucket and prefix, and that the bucket's own "
                "policy and its KMS key allow it."
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
            f"S3 did not {verb} {where} ({_told(error)}); see the code's meaning in S3's "
            "documentation."
        )


def _told(error: ClientError) -> str:
    """S3's code, and its message as far as it goes beyond it: which policy denied, for one."""
    said = error.response.get("Error", {})
    code = str(said.get("Code", ""))
    message = " ".join(str(said.get("Message", "")).split()).rstrip(".")
    is_more = message and message.replace(" ", "").lower() != code.lower()
    return f"{code}: {message[:400]}" if is_more else code


class _MissingError(StopRunError):
    pass


class _DeniedError(StopRunError):
    pass
