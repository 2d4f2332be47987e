"""A store whose every call is waited for only as long as this invocation has time."""

from collections.abc import Callable, Mapping
from typing import BinaryIO, TypeVar

from ..timeline.bounded import call_within
from ..timeline.deadline import Deadline
from .objects import Folder, ObjectStore, StoredObject

T = TypeVar("T")


class BoundedStore:
    """An ObjectStore through which each call is bounded."""

    def __init__(self, store: ObjectStore, deadline: Deadline) -> None:
        self._store = store
        self._deadline = deadline

    def where(self, key: str) -> str:
        """As the store says it."""
        return self._store.where(key)

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
        """See ObjectStore."""
        return self._call(
            lambda: self._store.put(
                key,
                body,
                metadata=metadata,
                content_type=content_type,
                if_none_match=if_none_match,
                if_match=if_match,
            ),
            "write",
            key,
        )

    def get(self, key: str) -> tuple[bytes, str] | None:
        """See ObjectStore."""
        return self._call(lambda: self._store.get(key), "read", key)

    def head(self, key: str) -> StoredObject | None:
        """See ObjectStore."""
        return self._call(lambda: self._store.head(key), "read", key)

    def delete(self, key: str, *, if_match: str | None = None) -> bool:
        """See ObjectStore."""
        return self._call(lambda: self._store.delete(key, if_match=if_match), "delete", key)

    def list(self, prefix: str) -> Folder:
        """See ObjectStore."""
        return self._call(lambda: self._store.list(prefix), "list", prefix)

    def _call(self, action: Callable[[], T], verb: str, key: str) -> T:
        return call_within(self._deadline, action, f"The request to {verb} {self.where(key)}")
