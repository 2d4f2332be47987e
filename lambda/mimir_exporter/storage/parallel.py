"""Uploads side by side: as many as the network lets wait, in bounded memory."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from typing import BinaryIO, TypeVar

from ..answer.cluster_file import ClusterFile
from ..timeline.bounded import result_within
from ..timeline.deadline import Deadline
from ..timeline.workers import SHARED, WORKERS

T = TypeVar("T")

# Of bodies that are held at once. What reads and submits them takes CPU for each, so that a fast
# network has few in flight and a slow one many: as many as begin while one is on its way.
HELD_BYTES = 8 * 1024 * 1024
# Larger bodies go one at a time, from the spool. Those too are one PutObject and not uploads in
# parts: it is there as a whole or not at all, also under If-None-Match, and the bucket policy has
# no s3:AbortMultipartUpload to take back what broke off. S3 takes 5 GB in one, some 15 GB of answer
# for one metric, window and cluster.
SMALL_BYTES = HELD_BYTES


def send_files(
    send: Callable[[ClusterFile, bytes | BinaryIO], T],
    files: Iterator[ClusterFile],
    deadline: Deadline,
    place: Callable[[ClusterFile], str],
) -> Iterator[T]:
    """The result of `send` for each file and its body, in order. `place` names where it goes.

    At the first error nothing more is begun, and what is on its way is waited for.
    Raises what `send` raises, OutOfTimeError, StopRunError.
    """
    running: deque[tuple[Future[T], ClusterFile]] = deque()
    held = 0

    def finish() -> T:
        nonlocal held
        future, file = running.popleft()
        held -= file.size
        return result_within(deadline, future, lambda: f"The request to write {place(file)}")

    try:
        for file in files:
            if file.size > SMALL_BYTES:
                yield send(file, file.body)
                continue
            while running and (len(running) >= WORKERS or held + file.size > HELD_BYTES):
                yield finish()
            body = file.body.read()
            held += file.size
            running.append((SHARED.submit(_sending(send, file, body)), file))
        while running:
            yield finish()
    finally:
        left = [future for future, _ in running if not future.cancel()]
        wait(left, deadline.remaining_s())


def _sending(
    send: Callable[[ClusterFile, bytes | BinaryIO], T], file: ClusterFile, body: bytes
) -> Callable[[], T]:
    return lambda: send(file, body)
