"""Uploads side by side: as many as the network makes worth it, in bounded memory."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from functools import partial
from threading import Event
from typing import BinaryIO, Generic, TypeVar

from ..answer.cluster_file import ClusterFile
from ..timeline.bounded import result_within
from ..timeline.deadline import Deadline
from ..timeline.workers import SHARED, WORKERS

T = TypeVar("T")
Send = Callable[[ClusterFile, bytes | BinaryIO], T]

# Of bodies that are held at once.
HELD_BYTES = 8 * 1024 * 1024
# Larger bodies go one at a time, from the spool. Those too are one PutObject and not uploads in
# parts: it is there as a whole or not at all, also under If-None-Match, and the bucket policy has
# no s3:AbortMultipartUpload to take back what broke off. S3 takes 5 GB in one, some 15 GB of answer
# for one metric, window and cluster.
SMALL_BYTES = HELD_BYTES
# Uploads at once before it is known how long one takes, and at the least.
FIRST, LEAST = 8, 4
LATELY = 15  # batches, whose median tells how long


class Width:
    """How many uploads wait for the network at once.

    So many that the files of a metric take half of the pause before the next query. Each one more
    is a connection more: S3 closes those that are idle for a few seconds, so that each metric opens
    its own, and the handshake of TLS takes as much CPU as five uploads. Without a pause it is as
    many as there are threads, and towards the end of an invocation as many as its time needs.
    """

    def __init__(self, pause_s: float) -> None:
        self._aim_s = pause_s / 2
        self._lately: deque[float] = deque(maxlen=LATELY)

    def note(self, seconds: float) -> None:
        """An upload took so long."""
        self._lately.append(seconds)

    def of(self, files: int, left_s: float) -> int:
        """For a metric with so many files, and so much time for work."""
        aim_s = min(self._aim_s, left_s / 4)
        if aim_s <= 0:
            return WORKERS
        if not self._lately:
            return FIRST
        usual_s = sorted(self._lately)[len(self._lately) // 2]
        wanted = math.ceil(files * usual_s / aim_s)
        return min(max(wanted, LEAST), WORKERS)


def send_files(
    send: Send[T],
    files: Iterator[ClusterFile],
    count: int,
    width: Width,
    deadline: Deadline,
    place: Callable[[ClusterFile], str],
) -> Iterator[T]:
    """The result of `send` for each of `count` files and its body, in order. `place` names where
    a file goes.

    At the first error nothing more is begun, and what is on its way is waited for.
    Raises what `send` raises, OutOfTimeError, StopRunError.
    """
    batch: _Batch[T] = _Batch()
    running: deque[tuple[Future[None], _Batch[T]]] = deque()
    held = 0
    stop = Event()

    def begin() -> None:
        nonlocal batch
        if batch.files:
            running.append((SHARED.submit(partial(batch.send, send, stop)), batch))
            batch = _Batch()

    def finish() -> list[T]:
        nonlocal held
        future, sent = running.popleft()
        held -= sent.size
        result_within(deadline, future, lambda: f"The request to write {place(sent.at_work)}")
        width.note(sent.seconds / len(sent.files))
        return sent.results

    try:
        for file in files:
            at_once = width.of(count, deadline.remaining_s())
            if batch.is_full(count, at_once) or batch.size + file.size > HELD_BYTES // WORKERS:
                begin()
            if file.size > SMALL_BYTES:
                begin()
                while running:
                    yield from finish()
                yield send(file, file.body)
                continue
            while running and (len(running) >= at_once or held + file.size > HELD_BYTES):
                yield from finish()
            held += file.size
            batch.add(file)
        begin()
        while running:
            yield from finish()
    finally:
        stop.set()
        left = [future for future, _ in running if not future.cancel()]
        wait(left, deadline.remaining_s())


class _Batch(Generic[T]):
    """Small files that one thread sends, one after another: waking a thread, and waiting for it,
    takes a third of the CPU of an upload."""

    def __init__(self) -> None:
        self.files: list[ClusterFile] = []
        self.size = 0
        self.results: list[T] = []
        self.seconds = 0.0
        self._bodies: deque[bytes] = deque()

    def add(self, file: ClusterFile) -> None:
        self.files.append(file)
        self._bodies.append(file.body.read())
        self.size += file.size

    def is_full(self, count: int, at_once: int) -> bool:
        """Whether it has its share of `count` files: more, and another thread would have none."""
        return len(self.files) * at_once >= count

    @property
    def at_work(self) -> ClusterFile:
        """The file that is being sent, or the last."""
        return self.files[min(len(self.results), len(self.files) - 1)]

    def send(self, send: Send[T], stop: Event) -> None:
        """All that can be sent before `stop`."""
        began = time.monotonic()
        for file in self.files:
            if stop.is_set():
                return
            self.results.append(send(file, self._bodies.popleft()))
        self.seconds = time.monotonic() - began
