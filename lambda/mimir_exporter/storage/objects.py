"""What the exporter needs of the place where its objects are: S3, or a folder of this machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, Protocol


@dataclass(frozen=True)
class StoredObject:
    """An object that is there: its ETag and its metadata, names in lower case."""

    etag: str
    metadata: Mapping[str, str]
    size: int


class StoredKey(Protocol):
    """What a listing knows of an object. Both are as `head` gives them."""

    @property
    def size(self) -> int: ...

    @property
    def etag(self) -> str: ...


@dataclass(frozen=True)
class ListedKey:
    """A StoredKey whose values were in the listing."""

    size: int
    etag: str


@dataclass(frozen=True)
class Folder:
    """What is directly in a folder: sub-folders with their last slash, and objects by key."""

    folders: tuple[str, ...]
    keys: Mapping[str, StoredKey]


class ObjectStore(Protocol):
    """Objects by key, with conditional writes as S3 has them. Every error says what to change."""

    def where(self, key: str) -> str:
        """The object's whole name, for people."""

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
        """Write an object as a whole; its ETag. Raises ConditionFailedError, StopRunError.

        `if_none_match` is `*`: only if there is none. `if_match` is an ETag: only if it is that.
        """

    def get(self, key: str) -> tuple[bytes, str] | None:
        """An object's bytes and ETag, or None where it does not exist."""

    def head(self, key: str) -> StoredObject | None:
        """What is known of an object, or None where it does not exist."""

    def delete(self, key: str, *, if_match: str | None = None) -> bool:
        """Remove an object; one that does not exist is no error. Whether the store keeps what was
        there as an older version.

        `if_match` is an ETag: only if the object is still that one, so that nothing is deleted
        that was not looked at. Raises ConditionFailedError where it is another.
        """

    def list(self, prefix: str) -> Folder:
        """What begins with `prefix`, as far as the next slash, all of it."""
