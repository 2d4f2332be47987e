"""A bucket and a folder of this machine keep the same promises to the exporter."""

import io
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from localcloud.aws import Cloud
from mimir_exporter.errors import ConditionFailedError
from mimir_exporter.storage.bucket import Bucket
from mimir_exporter.storage.connection import S3Connection
from mimir_exporter.storage.fast_bucket import FastBucket
from mimir_exporter.storage.folder import LocalFolder
from mimir_exporter.storage.objects import ObjectStore

KEY = "k8s/prometheus/prod-eu/end=20250401/day=1/metric=node_info/1740826800_node_info.json.gz"
_numbers = itertools.count(1)
Connect = Callable[[], ObjectStore]


@pytest.fixture(params=["bucket", "boto3", "folder"])
def connect(request: pytest.FixtureRequest, tmp_path: Path) -> Connect:
    """Makes a client of one and the same empty place, as another process would."""
    if request.param == "folder":
        return lambda: LocalFolder(tmp_path / "exports")
    cloud: Cloud = request.getfixturevalue("cloud")
    name = f"objects-{next(_numbers)}"
    cloud.create_bucket(name)
    if request.param == "boto3":
        return lambda: Bucket(cloud.s3, name)
    patch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    patch.setenv("AWS_ENDPOINT_URL", cloud.endpoint)
    connection = S3Connection(name)
    return lambda: FastBucket(connection, name)


@pytest.fixture
def place(connect: Connect) -> ObjectStore:
    return connect()


@pytest.mark.parametrize("make", [bytes, io.BytesIO])
@pytest.mark.parametrize("expected", [b"some bytes", b""])
def test_an_object_is_what_was_put(
    make: Callable[[bytes], bytes | BinaryIO], expected: bytes, place: ObjectStore
) -> None:
    etag = place.put(KEY, make(expected), metadata={"samples": "60", "source": "caf%C3%A9"})
    assert place.get(KEY) == (expected, etag)
    stored = place.head(KEY)
    assert stored is not None
    assert (stored.etag, stored.size) == (etag, len(expected))
    assert dict(stored.metadata) == {"samples": "60", "source": "caf%C3%A9"}


def test_an_object_is_replaced_with_its_metadata(place: ObjectStore) -> None:
    before = place.put(KEY, b"one", metadata={"samples": "1"})
    after = place.put(KEY, b"two")
    assert before != after
    stored = place.head(KEY)
    assert stored is not None
    assert (stored.etag, dict(stored.metadata)) == (after, {})


def test_a_first_write_is_the_first(place: ObjectStore) -> None:
    place.put(KEY, b"one", metadata={"samples": "1"}, if_none_match="*")
    with pytest.raises(ConditionFailedError):
        place.put(KEY, b"two", if_none_match="*")
    body, _ = place.get(KEY) or (b"", "")
    stored = place.head(KEY)
    assert stored is not None
    assert (body, dict(stored.metadata)) == (b"one", {"samples": "1"})


def test_a_later_write_is_of_what_was_read(place: ObjectStore) -> None:
    with pytest.raises(ConditionFailedError):
        place.put(KEY, b"nothing there", if_match='"0123"')
    first = place.put(KEY, b"one")
    second = place.put(KEY, b"two", if_match=first)
    with pytest.raises(ConditionFailedError):
        place.put(KEY, b"three", if_match=first)
    assert place.get(KEY) == (b"two", second)


def test_one_of_many_first_writers_wins(connect: Connect) -> None:
    def write(number: int) -> bool:
        try:
            connect().put(KEY, b"%d" % number, metadata={"n": str(number)}, if_none_match="*")
        except ConditionFailedError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        (winner,) = (n for n, won in enumerate(pool.map(write, range(12))) if won)
    place = connect()
    stored = place.head(KEY)
    assert stored is not None
    assert (place.get(KEY) or (b"", ""))[0] == b"%d" % winner
    assert dict(stored.metadata) == {"n": str(winner)}


def test_no_change_of_many_is_lost(connect: Connect) -> None:
    connect().put(KEY, b"0")

    def count(place: ObjectStore) -> None:
        for _ in range(5):
            while True:
                body, etag = place.get(KEY) or (b"", "")
                try:
                    place.put(KEY, b"%d" % (int(body) + 1), if_match=etag)
                    break
                except ConditionFailedError:
                    continue

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, [connect() for _ in range(4)]))
    assert (connect().get(KEY) or (b"", ""))[0] == b"20"


def test_what_is_not_there_is_none(place: ObjectStore) -> None:
    assert place.get(KEY) is None
    assert place.head(KEY) is None
    place.delete(KEY)
    place.put(KEY, b"one", metadata={"samples": "1"})
    place.delete(KEY)
    assert place.get(KEY) is None
    assert place.head(KEY) is None
    assert place.list("k8s/") == place.list("other/")
    place.put(KEY, b"one")
    stored = place.head(KEY)
    assert stored is not None
    assert not stored.metadata


def test_only_what_was_looked_at_is_deleted(place: ObjectStore) -> None:
    before = place.put(KEY, b"one", metadata={"samples": "1"})
    after = place.put(KEY, b"two")
    with pytest.raises(ConditionFailedError):
        place.delete(KEY, if_match=before)
    assert place.get(KEY) == (b"two", after)
    place.delete(KEY, if_match=after)
    assert place.get(KEY) is None
    place.delete(KEY, if_match=after)


def test_a_folder_is_listed_by_itself(place: ObjectStore) -> None:
    for key in ("a/c/1", "a/c-d/2", "a/c%2Fd/3", "a/C/4", "a/x.json", "a/x", "b/1"):
        place.put(key, key.encode())
    found = place.list("a/")
    assert found.folders == ("a/C/", "a/c%2Fd/", "a/c-d/", "a/c/")
    assert {key: stored.size for key, stored in found.keys.items()} == {"a/x": 3, "a/x.json": 8}
    assert {key: stored.etag for key, stored in found.keys.items()} == {
        key: stored.etag for key in found.keys if (stored := place.head(key))
    }
    assert list(found.keys) == ["a/x", "a/x.json"]
    assert place.list("a/c-").folders == ("a/c-d/",)
    assert list(place.list("a/x.").keys) == ["a/x.json"]
    assert place.list("nothing/here/").folders == ()


def test_an_object_has_a_name_for_people(place: ObjectStore) -> None:
    assert place.where(KEY).endswith(f"/{KEY}")
    assert place.where("k8s/prometheus/").endswith("/k8s/prometheus/")
