"""S3 by boto3, within the bucket policy of the integration that this one replaces.

That policy allows Put, Get and Delete under the prefix, and ListBucket only with the delimiter
`/`: so everything is listed folder by folder, and a missing object answers 403 where a plain
ListBucket grant would make it 404.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from ..errors import ErrorKind, ExportError, StopRunError
from ..errors import storage as errors
from .objects import Folder, ListedKey, StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# 409 is a race between conditional writes, 412 a condition that does not hold; stores have codes of
# their own for both.
_CONDITION_STATUS = (409, 412)
_MISSING_CODES = ("NoSuchKey", "NotFound", "404")
_DENIED_CODES = ("AccessDenied", "Forbidden", "403")
_KINDS = {
    "RequestTimeTooSkewed": errors.CLOCK_REFUSED,
    "RequestExpired": errors.CLOCK_REFUSED,
    "ExpiredToken": errors.S3_CREDENTIALS_EXPIRED,
    "ExpiredTokenException": errors.S3_CREDENTIALS_EXPIRED,
    "TokenRefreshRequired": errors.S3_CREDENTIALS_EXPIRED,
    "InvalidToken": errors.S3_CREDENTIALS_REFUSED,
    "InvalidAccessKeyId": errors.S3_CREDENTIALS_REFUSED,
    "SignatureDoesNotMatch": errors.S3_CREDENTIALS_REFUSED,
    "QuotaExceeded": errors.S3_QUOTA_EXCEEDED,
    "ServiceQuotaExceededException": errors.S3_QUOTA_EXCEEDED,
    "XMinioAdminBucketQuotaExceeded": errors.S3_QUOTA_EXCEEDED,
    "InsufficientCapacity": errors.S3_QUOTA_EXCEEDED,
    "XMinioStorageFull": errors.S3_QUOTA_EXCEEDED,
}
# By what a denial says, in this order: one of a key may name a policy too.
_DENIED_BY = (
    (("kms:", "key policy", "ciphertext refers to a customer master key"), errors.S3_KEY_DENIED),
    (("vpc endpoint policy",), errors.S3_DENIED_BY_ENDPOINT_POLICY),
    (
        ("service control policy", "resource control policy", "permissions boundary"),
        errors.S3_DENIED_BY_ORGANIZATION,
    ),
    (
        ("explicit deny in a resource-based policy", "explicit deny in a bucket policy"),
        errors.S3_DENIED_BY_BUCKET_POLICY,
    ),
    (("request has expired",), errors.CLOCK_REFUSED),
)
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
            raise errors.OBJECT_CHANGED(where=self.where(key)) from error
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

    def delete(self, key: str, *, if_match: str | None = None) -> bool:
        """Remove an object; one that does not exist is no error. Whether a version of it is kept.

        Raises ConditionFailedError where its ETag is not `if_match`, which S3 compares only for
        who may also read the object.
        """
        condition: dict[str, Any] = {"IfMatch": if_match} if if_match else {}
        # A delete with a condition answers 404 where nothing is left.
        with suppress(_MissingError), self._explained("delete", key):
            answer = self._client.delete_object(Bucket=self._name, Key=key, **condition)
            # Of the marker that hides the older versions; a bucket without versions has none.
            return "VersionId" in answer
        return False

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
                raise StopRunError(error.details) from error

    @contextmanager
    def _explained(self, verb: str, key: str) -> Iterator[None]:
        where = self.where(key)
        try:
            yield
        except ClientError as error:
            raise self._explain(error, verb, where) from error
        except ReadTimeoutError as error:
            raise errors.S3_TIMED_OUT(verb=verb, where=where, cause=type(error).__name__) from error
        except BotoCoreError as error:
            lost = not isinstance(error, EndpointConnectionError | ConnectTimeoutError)
            kind = errors.S3_CONNECTION_LOST if lost else errors.S3_UNREACHABLE
            raise kind(verb=verb, where=where, cause=type(error).__name__) from error
        except (HTTPError, ResponseParserError) as error:  # which botocore lets through
            raise errors.S3_INVALID_ANSWER(
                verb=verb, where=where, cause=type(error).__name__
            ) from error

    def _explain(self, error: ClientError, verb: str, where: str) -> ExportError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if status in _CONDITION_STATUS and verb in ("write", "delete"):
            return errors.OBJECT_CHANGED(where=where, cause=code)
        if code in _MISSING_CODES:
            return _MissingError(errors.OBJECT_NOT_FOUND.details(where=where))
        told = _told(error)
        if code in _DENIED_CODES:
            who = f"the role {self._role_arn}" if self._role_arn else "the function's role"
            kind = denied_by(told)
            fields = {"verb": verb, "where": where, "who": who}
            return _DeniedError(
                kind.details(
                    cause=told, **{name: fields[name] for name in fields if name in kind.fields}
                )
            )
        if code in _KINDS:
            return _KINDS[code](verb=verb, where=where, cause=told)
        if code.startswith("KMS."):
            return errors.S3_KEY_UNUSABLE(verb=verb, where=where, cause=told)
        if code == "NoSuchBucket":
            return errors.BUCKET_NOT_FOUND(bucket=self._name)
        if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "301"):
            return errors.BUCKET_IN_OTHER_REGION(bucket=self._name)
        if code in _BUSY_CODES:
            return errors.S3_BUSY(verb=verb, where=where, cause=code)
        return errors.S3_ERROR(verb=verb, where=where, cause=told)


def denied_by(told: str) -> ErrorKind[StopRunError]:
    """Which policy it was, as far as S3 says so: the words are those of IAM's access denied errors
    (https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html)."""
    text = told.lower()
    return next(
        (kind for words, kind in _DENIED_BY if any(word in text for word in words)),
        (errors.S3_ACCESS_DENIED),
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
