"""Which folders are walked, and which files go: those of expired days, and ours alone."""

import itertools
from collections.abc import Iterable
from typing import cast

import pytest

from mimir_exporter.checkpoint.wanted import keep_from
from mimir_exporter.runs.retention import delete_expired_files
from mimir_exporter.settings.load import load_settings
from mimir_exporter.storage.layout import object_key, state_key
from mimir_exporter.storage.objects import Folder, ListedKey, ObjectStore, StoredObject
from mimir_exporter.timeline.deadline import Deadline
from tests.clocks import unix

PREFIX = "k8s/prometheus"
OURS = {"source": "prod%201"}


class Shelf:
    """Objects by key with their metadata; lists folder by folder, as the bucket policy has it."""

    def __init__(self, keys: Iterable[str], metadata: dict[str, str]) -> None:
        self.objects = dict.fromkeys(keys, metadata)
        self.listed: list[str] = []

    def list(self, prefix: str) -> Folder:
        assert prefix.endswith("/")
        self.listed.append(prefix)
        folders: dict[str, None] = {}
        keys: dict[str, ListedKey] = {}
        for key in self.objects:
            name, slash, _ = key.removeprefix(prefix).partition("/")
            if key.startswith(prefix) and slash:
                folders[f"{prefix}{name}/"] = None
            elif key.startswith(prefix):
                keys[key] = ListedKey(1, "etag")
        return Folder(tuple(folders), keys)

    def head(self, key: str) -> StoredObject | None:
        metadata = self.objects.get(key)
        return None if metadata is None else StoredObject("etag", metadata, 1)

    def delete(self, key: str, **_: object) -> None:
        del self.objects[key]


def expire_within(shelf: Shelf, now: str, days: str, deadline: Deadline) -> tuple[int, bool]:
    required = {"S3_BUCKET": "bucket", "S3_PREFIX": PREFIX, "CLUSTER_NAME": "prod 1"}
    settings = load_settings({**required, "RETENTION_DAYS": days})
    keep = keep_from(settings, unix(now))
    return delete_expired_files(cast(ObjectStore, shelf), settings, keep, deadline)


def expire(shelf: Shelf, now: str, days: str = "30") -> int:
    """How many were deleted."""
    deleted, finished = expire_within(shelf, now, days, Deadline(99))
    assert finished
    return deleted


def key(moment: str, cluster: str = "eu") -> str:
    return object_key(PREFIX, cluster, "cpu_usage", unix(moment))


@pytest.mark.parametrize(
    ("now", "newest_deleted", "oldest_kept"),
    [
        ("2026-10-31T00:00", "2026-09-30T23:00", "2026-10-01T00:00"),
        ("2026-10-31T23:59", "2026-09-30T23:00", "2026-10-01T00:00"),
        ("2026-11-01T00:00", "2026-10-01T23:00", "2026-10-02T00:00"),
        ("2027-01-30T12:00", "2026-12-30T23:00", "2026-12-31T00:00"),
        ("2027-01-31T12:00", "2026-12-31T23:00", "2027-01-01T00:00"),
        ("2024-03-30T12:00", "2024-02-28T23:00", "2024-02-29T00:00"),
        ("2024-03-31T12:00", "2024-02-29T23:00", "2024-03-01T00:00"),
    ],
)
def test_a_day_goes_as_a_whole_once_all_of_it_is_too_old(
    now: str, newest_deleted: str, oldest_kept: str
) -> None:
    old = [key(newest_deleted), key("2019-12-31T05:00"), key("2020-01-01T05:00", "us")]
    new = [key(oldest_kept), key(now), key(oldest_kept, "us")]
    shelf = Shelf([*old, *new], OURS)
    assert expire(shelf, now) == 3
    assert sorted(shelf.objects) == sorted(new)
    assert expire(shelf, now) == 0


def test_only_folders_that_are_old_enough_are_walked() -> None:
    shelf = Shelf([key("2026-08-10T05:00"), key("2026-10-05T05:00"), key("2026-10-02T05:00")], OURS)
    expire(shelf, "2026-11-03T12:00")
    eu = f"{PREFIX}/eu/"
    assert shelf.listed == [
        f"{PREFIX}/",
        eu,
        f"{eu}end=20260901/",
        f"{eu}end=20260901/day=10/",
        f"{eu}end=20260901/day=10/metric=cpu_usage/",
        # The month in which it is cut, but not the day that is kept.
        f"{eu}end=20261101/",
        f"{eu}end=20261101/day=2/",
        f"{eu}end=20261101/day=2/metric=cpu_usage/",
    ]
    shelf = Shelf([key("2026-10-05T05:00"), key("2026-11-01T05:00")], OURS)
    expire(shelf, "2026-10-31T12:00")
    assert shelf.listed == [f"{PREFIX}/", eu]


OLD = key("2020-01-01T05:00")


@pytest.mark.parametrize(
    "name",
    [
        state_key(PREFIX, "prod 1", "checkpoint.json"),
        f"{PREFIX}/readme.txt",
        f"{PREFIX}/eu/end=20200201/notes.txt",
        f"{PREFIX}/eu/end=20200201/day=1/notes.txt",
        f"{PREFIX}/eu/end=20200201/day=1/metric=cpu_usage/notes.txt",
        f"{PREFIX}/eu/end=20200201/day=1/metric=cpu_usage/more/1577854800_cpu_usage.json.gz",
        OLD.replace("day=1/", "day=01/"),
        OLD.replace("day=1/", "day=2/"),
        OLD.replace("day=1/", "day=１/"),  # noqa: RUF001 - a digit, but not ASCII
        OLD.replace("day=1/", "day=40/"),
        OLD.replace("day=1/", f"day={'9' * 30}/"),
        OLD.replace("day=1/", "hour=1/"),
        OLD.replace("end=20200201", "end=20200202"),
        OLD.replace("end=20200201", "end=2020021"),
        OLD.replace("end=20200201", "end=20201301"),
        OLD.replace("end=20200201", "end=00010101"),
        OLD.replace("end=20200201", "begin=20200201"),
        OLD.replace("/eu/", "/e u/"),
        OLD.replace("1577854800_", "999999999999_"),
    ],
)
def test_what_the_layout_does_not_make_stays_and_stops_nothing(name: str) -> None:
    shelf = Shelf([name, OLD], OURS)
    assert expire(shelf, "2026-10-31T12:00") == 1
    assert list(shelf.objects) == [name]


@pytest.mark.parametrize("metadata", [{}, {"source": "prod"}, {"source": "prod 1"}])
def test_files_of_other_exporters_stay(metadata: dict[str, str]) -> None:
    shelf = Shelf([OLD], metadata)
    assert expire(shelf, "2026-10-31T12:00") == 0
    assert list(shelf.objects) == [OLD]


def test_a_file_that_went_meanwhile_is_no_error() -> None:
    class Fading(Shelf):
        def head(self, key: str) -> StoredObject | None:
            del self.objects[key]
            return super().head(key)

    assert expire(Fading([OLD], OURS), "2026-10-31T12:00") == 0


@pytest.mark.parametrize("time_s", [0, 1, 3, 5, 6, 8, 9, 10])
def test_when_the_time_runs_out_the_rest_is_for_later(time_s: int) -> None:
    """Each look at the clock, which is one before each request, takes a second here."""
    ticks = itertools.count()
    shelf = Shelf([key(f"2020-01-01T{hour:02}:00") for hour in range(5)], OURS)
    deadline = Deadline(time_s + 1, lambda: next(ticks))
    done, finished = expire_within(shelf, "2026-10-31T12:00", "30", deadline)
    # Five folders, then five files.
    assert len(shelf.listed) == min(time_s, 5)
    assert (done, len(shelf.objects), finished) == (
        max(0, time_s - 5),
        5 - max(0, time_s - 5),
        time_s == 10,
    )
