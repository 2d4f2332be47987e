"""Calls that are waited for only as long as this invocation has time.

The clients of AWS have time-outs of their own, but a time-out, its retries and a few calls at the
end of a run add up to more than the reserve of a short invocation. So each call runs in a thread
of its own, which is left behind when the time is over. What it may still do then changes nothing:
writes are conditional, and a window that was written without being noted is written again.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from threading import Thread
from typing import BinaryIO, TypeVar

from .deadline import Deadline
from .errors import OutOfTimeError, StopRunError
from .storage.objects import Folder, ObjectStore, StoredObject

T = TypeVar("T")

# Who was waited for so long in vain hangs; before that, only the time was short.
HANGS_S = 10.0


def call_within(deadline: Deadline, action: Callable[[], T], what: str) -> T:
    """The result of `action`.

    While there is time for work it is waited for until that is used up, and from then on as long
    as the reserve lasts. Raises OutOfTimeError where just the time was short, StopRunError where
    nothing answers.
    """
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(action())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            result.set_exception(error)

    at_work = deadline.remaining_s() > 0
    wait_s = deadline.remaining_s() if at_work else deadline.reserve_s()
    Thread(target=run, daemon=True, name=what).start()
    try:
        return result.result(wait_s)
    except TimeoutError as error:
        if result.done():  # its own
            raise
        if at_work and wait_s < HANGS_S:
            raise OutOfTimeError("The time of this invocation is used up.") from error
        raise StopRunError(
            f"{what} had no answer after {wait_s:.0f} s, and the time of this invocation is used "
            "up. Nothing is lost, the next run goes on."
        ) from error


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

    def delete(self, key: str, *, if_match: str | None = None) -> None:
        """See ObjectStore."""
        self._call(lambda: self._store.delete(key, if_match=if_match), "delete", key)

    def list(self, prefix: str) -> Folder:
        """See ObjectStore."""
        return self._call(lambda: self._store.list(prefix), "list", prefix)

    def _call(self, action: Callable[[], T], verb: str, key: str) -> T:
        return call_within(self._deadline, action, f"The request to {verb} {self.where(key)}")
