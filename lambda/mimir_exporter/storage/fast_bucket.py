"""S3 by obstore, which takes a tenth of boto3's CPU for a file.

What obstore does not do, or fails at for whatever reason, boto3 does again from the start: every
request here may be repeated, and boto3 tells S3's own code and message, where obstore has one text
for all. So boto3 is imported only by a run that needs it, and every error is explained once, in
bucket.py.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, GenericError, PreconditionError

from ..errors import storage as errors
from .clock import check_clock
from .connection import S3Connection
from .objects import Folder, ListedKey, ObjectStore, StoredObject

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import S3Store

# A missing object is a FileNotFoundError, a key that obstore does not take a ValueError.
_FAILURES = (BaseError, OSError, ValueError)
# After as many requests in a row without an answer, boto3 does the rest of this process: each costs
# all of obstore's retries first, as where a certificate suits OpenSSL and not rustls.
_UNANSWERED = 3


class FastBucket:
    """One bucket: an ObjectStore. Looks at the clock before its first request, for one run.

    `connection` outlives a run. Bodies that are files go by boto3, which sends
    them as they are read; obstore would hold all of one in memory.
    """

    def __init__(self, connection: S3Connection, name: str, role_arn: str = "") -> None:
        self._connection = connection
        self._name = name
        self._role_arn = role_arn
        self._exact: ObjectStore | None = None
        self._is_clock_checked = False
        self._lock = Lock()

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
        """Write an object; its ETag. Raises ConditionFailedError where a condition fails.

        The request is signed with the SHA-256 of the body: S3 stores what was sent, or refuses it.
        """
        mode: PutMode = "overwrite"
        if if_none_match:
            mode = "create"
        elif if_match:
            mode = {"e_tag": if_match}
        store = self._ready()
        if store is not None and isinstance(body, bytes) and _is_plain(key):
            try:
                with self._answered():
                    result = obstore.put(
                        store,
                        key,
                        body,
                        attributes={"Content-Type": content_type, **(metadata or {})},
                        mode=mode,
                        use_multipart=False,
                    )
                if result["e_tag"]:
                    return result["e_tag"]
            except (AlreadyExistsError, PreconditionError):
                # Of a 412, and of a 409 too, where there may be no object yet: who handles this
                # error looks what is there.
                raise errors.OBJECT_CHANGED(where=self.where(key)) from None
            except _FAILURES:
                pass
        return self._by_boto3().put(
            key,
            body,
            metadata=metadata,
            content_type=content_type,
            if_none_match=if_none_match,
            if_match=if_match,
        )

    def get(self, key: str) -> tuple[bytes, str] | None:
        """An object's bytes and ETag, or None where it does not exist."""
        store = self._ready()
        if store is None:
            return self._by_boto3().get(key)
        try:
            with self._answered():
                result = obstore.get(store, key)
                body, etag = result.bytes().to_bytes(), result.meta["e_tag"]
            if etag:
                return body, etag
        except FileNotFoundError:
            return None
        except _FAILURES:
            pass
        return self._by_boto3().get(key)

    def head(self, key: str) -> StoredObject | None:
        """What is known of an object, or None where it does not exist."""
        store = self._ready()
        if store is None:
            return self._by_boto3().head(key)
        try:
            with self._answered():
                result = obstore.get(store, key, options={"head": True})
                etag, size = result.meta["e_tag"], result.meta["size"]
            if etag:
                # Beside the user's own, which are in lower case, are those of HTTP.
                own = {name: value for name, value in result.attributes.items() if name.islower()}
                return StoredObject(etag, own, size)
        except FileNotFoundError:
            return None
        except _FAILURES:
            pass
        return self._by_boto3().head(key)

    def delete(self, key: str, *, if_match: str | None = None) -> bool:
        """Remove an object; see Bucket. obstore knows no condition for it."""
        self._ready()
        return self._by_boto3().delete(key, if_match=if_match)

    def list(self, prefix: str) -> Folder:
        """The folder `prefix` (or the keys that begin so), all pages of it."""
        store = self._ready()
        if store is None or not prefix.endswith("/"):  # obstore lists whole folders only
            return self._by_boto3().list(prefix)
        try:
            with self._answered():
                found = obstore.list_with_delimiter(store, prefix)
            folders = sorted((f"{name}/" for name in found["common_prefixes"]), key=str.encode)
            keys = {
                # The object that some tools write for the folder itself has lost its slash.
                prefix if stored["path"] + "/" == prefix else stored["path"]: ListedKey(
                    stored["size"], stored["e_tag"] or ""
                )
                for stored in found["objects"]
            }
        except _FAILURES:
            return self._by_boto3().list(prefix)
        return Folder(tuple(folders), keys)

    def _ready(self) -> "S3Store | None":
        with self._lock:
            if not self._is_clock_checked:
                check_clock(self._connection.ask_date())
                self._is_clock_checked = True
        return None if self._connection.unanswered >= _UNANSWERED else self._connection.store

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Count the requests in a row that obstore got no answer to; a refusal is one."""
        try:
            yield
        except GenericError:
            self._connection.unanswered += 1
            raise
        except _FAILURES:
            self._connection.unanswered = 0
            raise
        self._connection.unanswered = 0

    def _by_boto3(self) -> ObjectStore:
        from .bucket import Bucket  # noqa: PLC0415 - imports boto3

        if self._exact is None:
            self._exact = Bucket(lambda: self._connection.client, self._name, self._role_arn)
        return self._exact


def _is_plain(key: str) -> bool:
    """Whether obstore takes the key as it is: it drops slashes at both ends."""
    return not key.startswith("/") and not key.endswith("/")
