"""Uploads side by side: as many as memory lets be held, in order, and none after an error."""

import io
import threading
import time
from collections.abc import Iterator
from typing import BinaryIO

import pytest

from mimir_exporter.answer.cluster_file import ClusterFile
from mimir_exporter.errors import OutOfTimeError
from mimir_exporter.storage import parallel
from mimir_exporter.storage.parallel import send_files
from mimir_exporter.timeline.deadline import Deadline


def files(sizes: list[int]) -> Iterator[ClusterFile]:
    for number, size in enumerate(sizes):
        yield ClusterFile(str(number), 1, 1, size, size, io.BytesIO(bytes(size)))


class Network:
    """Takes a while for each upload, and counts how much is on its way."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = self.held = self.most = self.most_held = self.begun = 0

    def send(self, file: ClusterFile, body: bytes | BinaryIO) -> str:
        size = file.size if isinstance(body, bytes) else 0
        with self.lock:
            self.begun += 1
            self.now += 1
            self.held += size
            self.most = max(self.most, self.now)
            self.most_held = max(self.most_held, self.held)
        time.sleep(0.02)
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
    found = list(send_files(network.send, files([10] * 200), Deadline(60), place))
    assert found == [str(number) for number in range(200)]
    assert network.most > 20


def test_what_is_held_at_once_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "HELD_BYTES", 1000)
    monkeypatch.setattr(parallel, "SMALL_BYTES", 1000)
    network = Network()
    sizes = [300, 900, 10, 2000, 400, 400, 400, 1000, 1]
    assert len(list(send_files(network.send, files(sizes), Deadline(60), place))) == len(sizes)
    assert network.most_held <= 1000
    assert network.most > 1


def test_after_an_error_nothing_more_is_begun() -> None:
    network = Network()

    def some() -> Iterator[ClusterFile]:
        yield from files([1] * 5)
        yield ClusterFile("bad", 1, 1, 1, 1, io.BytesIO(b"x"))
        yield from files([1] * 1000)

    with pytest.raises(ValueError, match="bad"):
        list(send_files(network.send, some(), Deadline(60), place))
    assert network.now == 0
    assert network.begun < 500


def test_an_upload_that_hangs_is_left_behind() -> None:
    release = threading.Event()

    def hang(_file: ClusterFile, _body: bytes | BinaryIO) -> None:
        release.wait(60)

    with pytest.raises(OutOfTimeError):
        list(send_files(hang, files([1] * 100), Deadline(0.1), place))
    release.set()
