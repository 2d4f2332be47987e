"""Threads that are kept: for calls that are waited for no longer than there is time.

`concurrent.futures` has a pool too, but joins its threads when the process ends: a call that hangs
would hold a command line that is done.
"""

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Lock, Thread, local
from typing import Any, TypeVar

T = TypeVar("T")

# As many calls can wait for the network at once. Each thread that waits takes some 0.1 MB.
WORKERS = 64

_Job = tuple["Future[Any]", Callable[[], Any]]


class Workers:
    """At most `limit` threads, started as they are needed, one job at a time each."""

    def __init__(self, limit: int = WORKERS) -> None:
        self._limit = limit
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._lock = Lock()
        self._threads = 0
        self._unclaimed = 0  # threads without a job, less the jobs that wait for one
        self._given_up: set[Future[Any]] = set()
        self._of_thread = local()

    def submit(self, action: Callable[[], T]) -> "Future[T]":
        """Have `action` done as soon as a thread is free."""
        future: Future[T] = Future()
        with self._lock:
            is_short = self._unclaimed <= 0 and self._threads < self._limit
            self._threads += is_short
            self._unclaimed += is_short - 1
        self._jobs.put((future, action))
        if is_short:
            Thread(target=self._work, daemon=True, name="worker").start()
        return future

    def give_up(self, future: "Future[Any]") -> None:
        """No caller waits for it any more: it is not begun, or its thread counts no longer."""
        if not future.cancel() and not future.done():
            with self._lock:
                self._threads -= 1
                self._given_up.add(future)

    @property
    def is_current(self) -> bool:
        """Whether this is one of these threads."""
        return getattr(self._of_thread, "is_worker", False)

    def _work(self) -> None:
        self._of_thread.is_worker = True
        while True:
            future, action = self._jobs.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(action())
                except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                    future.set_exception(error)
            with self._lock:
                if future in self._given_up:
                    self._given_up.discard(future)
                    return
                self._unclaimed += 1
            del future, action  # what they hold is not kept until the next job


SHARED = Workers()
