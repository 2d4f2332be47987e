"""Uploads side by side: as many as the pause and memory make worth it, in order, and none after an
error."""

import io
import threading
import time
from collections.abc import Iterator
from typing import BinaryIO

import pytest

from mimir_exporter.answer.cluster_file import ClusterFile
from mimir_exporter.errors import OutOfTimeError
from mimir_exporter.storage import parallel
from mimir_exporter.storage.parallel import FIRST, LEAST, Width, send_files
from mimir_exporter.timeline.deadline import Deadline
from mimir_exporter.timeline.workers import WORKERS

# No pause that they could take.
AT_ONCE = Width(0)


def files(sizes: list[int]) -> Iterator[ClusterFile]:
    for number, size in enumerate(sizes):
        yield ClusterFile(str(number), 1, 1, size, size, io.BytesIO(bytes(size)))


class Network:
    """Takes a while for each upload, and counts how much is on its way."""

    def __init__(self, latency_s: float = 0.02) -> None:
        self.lock = threading.Lock()
        self.latency_s = latency_s
        self.now = self.held = self.most = self.most_held = self.begun = 0

    def send(self, file: ClusterFile, body: bytes | BinaryIO) -> str:
        size = file.size if isinstance(body, bytes) else 0
        with self.lock:
            self.begun += 1
            self.now += 1
            self.held += size
            self.most = max(self.most, self.now)
            self.most_held = max(self.most_held, self.held)
        time.sleep(self.latency_s)
        with self.lock:
            self.now -= 1
            self.held -= size
        if file.cluster == "bad":
            raise ValueError("bad")
        return file.cluster


def place(file: ClusterFile) -> str:
    return f"s3://bucket/{file.cluster}"


def test_small_files_wait_for_the_network_all_at_once() -> None:
    network = Network()
    found = list(send_files(network.send, files([10] * 200), 200, AT_ONCE, Deadline(60), place))
    assert found == [str(number) for number in range(200)]
    assert network.most > 20


def test_with_a_pause_no_more_wait_at_once_than_it_takes() -> None:
    """200 files of 20 ms are 4 s of one thread: in half of a second that is 8."""
    network, width = Network(), Width(1)
    send = network.send
    list(send_files(send, files([10] * 200), 200, width, Deadline(60), place))
    network.most = 0
    found = list(send_files(send, files([10] * 200), 200, width, Deadline(60), place))
    assert found == [str(number) for number in range(200)]
    assert LEAST < network.most < WORKERS / 2


@pytest.mark.parametrize(
    ("pause_s", "upload_s", "count", "left_s", "expected"),
    [
        (5, 0.025, 300, 600, LEAST),
        (5, 0.025, 1000, 600, 10),
        (5, 0.15, 300, 600, 18),
        (5, 0.15, 20_000, 600, WORKERS),
        (60, 0.15, 300, 600, LEAST),
        (60, 0.15, 300, 8, 23),
        (5, 0.025, 300, 0, WORKERS),
        (0, 0.001, 10, 600, WORKERS),
    ],
)
def test_how_many_at_once_follows_from_how_long_one_takes(
    pause_s: float, upload_s: float, count: int, left_s: float, expected: int
) -> None:
    width = Width(pause_s)
    assert width.of(count, left_s) == (FIRST if pause_s and left_s else WORKERS)
    for seconds in (upload_s, 10 * upload_s, upload_s, upload_s / 10, upload_s):
        width.note(seconds)
    assert width.of(count, left_s) == expected


def test_what_is_held_at_once_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "HELD_BYTES", 1000)
    monkeypatch.setattr(parallel, "SMALL_BYTES", 1000)
    network = Network()
    sizes = [300, 900, 10, 2000, 400, 400, 400, 1000, 1]
    found = list(send_files(network.send, files(sizes), 9, AT_ONCE, Deadline(60), place))
    assert found == [str(number) for number in range(9)]
    assert network.most_held <= 1000
    assert network.most > 1


@pytest.mark.parametrize("pause_s", [0, 60], ids=["few files a thread", "many"])
def test_after_an_error_nothing_more_is_begun(pause_s: float) -> None:
    network = Network()

    def some() -> Iterator[ClusterFile]:
        yield from files([1] * 5)
        yield ClusterFile("bad", 1, 1, 1, 1, io.BytesIO(b"x"))
        yield from files([1] * 1000)

    with pytest.raises(ValueError, match="bad"):
        list(send_files(network.send, some(), 1006, Width(pause_s), Deadline(60), place))
    assert network.now == 0
    assert network.begun < 500


def test_an_upload_that_hangs_is_left_behind() -> None:
    release = threading.Event()

    def hang(_file: ClusterFile, _body: bytes | BinaryIO) -> None:
        release.wait(60)

    with pytest.raises(OutOfTimeError):
        list(send_files(hang, files([1] * 100), 100, AT_ONCE, Deadline(0.1), place))
    release.set()
