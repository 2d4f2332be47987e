"""What a folder of this machine must see to, and S3 need not."""

import os
import re
import time
from pathlib import Path

import pytest

from mimir_exporter.errors import storage as errors
from mimir_exporter.storage.folder import STATE, LocalFolder
from tests.raised import raises

KEY = "k8s/prod/end=20250401/day=1/metric=node_info/1740826800_node_info.json.gz"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "exports"


@pytest.fixture
def folder(root: Path) -> LocalFolder:
    return LocalFolder(root)


def metadata_of(folder: LocalFolder) -> dict[str, str]:
    stored = folder.head(KEY)
    assert stored is not None
    return dict(stored.metadata)


def files_of(root: Path) -> list[Path]:
    """All but what the exporter keeps for itself."""
    found = (path.relative_to(root) for path in sorted(root.rglob("*")) if path.is_file())
    return [path for path in found if path.parts[0] != STATE]


def test_a_metric_s_folder_holds_data_files_alone(folder: LocalFolder, root: Path) -> None:
    folder.put(KEY, b"data", metadata={"samples": "60"})
    assert files_of(root) == [Path(KEY)]
    assert folder.list("").folders == ("k8s/",)


def test_a_write_that_dies_before_its_last_step_changes_nothing(
    folder: LocalFolder, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file before keeps its metadata, and nothing is left to be taken for data."""
    folder.put(KEY, b"before", metadata={"samples": "60"})
    replace = Path.replace

    def die(self: Path, target: Path) -> Path:
        if target == root / KEY:
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            folder.put(KEY, b"after", metadata={"samples": "61"})
    again = LocalFolder(root)
    assert again.get(KEY) is not None
    assert (root / KEY).read_bytes() == b"before"
    assert metadata_of(again) == {"samples": "60"}
    assert not list((root / STATE / "unfinished").iterdir())
    again.put(KEY, b"after", metadata={"samples": "61"})
    assert metadata_of(again) == {"samples": "61"}


def test_a_file_of_another_program_has_no_metadata(folder: LocalFolder, root: Path) -> None:
    folder.put(KEY, b"ours", metadata={"samples": "60"})
    (root / KEY).write_bytes(b"theirs")
    assert metadata_of(folder) == {}


def test_a_folder_can_be_copied_and_moved(folder: LocalFolder, root: Path, tmp_path: Path) -> None:
    folder.put(KEY, b"data", metadata={"samples": "60"})
    os.utime(root / KEY, (0, 0))
    moved = root.rename(tmp_path / "moved")
    assert metadata_of(LocalFolder(moved)) == {"samples": "60"}


def test_the_last_object_takes_its_folders_along(folder: LocalFolder, root: Path) -> None:
    other = KEY.replace("day=1", "day=2")
    folder.put(KEY, b"data", metadata={"samples": "60"})
    folder.put(other, b"data")
    folder.delete(KEY)
    assert files_of(root) == [Path(other)]
    assert not (root / KEY).parent.parent.exists()
    folder.delete(other)
    assert [path.name for path in root.iterdir()] == [STATE]


def test_what_killed_processes_left_is_removed_a_day_later(root: Path) -> None:
    LocalFolder(root)
    left, running = (root / STATE / "unfinished" / name for name in ("left", "running"))
    for path in (left, running):
        path.touch()
    os.utime(left, (time.time() - 90_000,) * 2)
    LocalFolder(root)
    assert not left.exists()
    assert running.exists()


@pytest.mark.parametrize(
    "key", ["../x", "a/../../x", "a//x", "/x", "a/./x", f"{STATE}/lock", "a\0"]
)
def test_no_key_leaves_its_place(key: str, folder: LocalFolder) -> None:
    with raises(errors.INVALID_FOLDER_PATH):
        folder.put(key, b"")


def test_keys_that_the_file_system_takes_for_one_are_refused(
    folder: LocalFolder, root: Path
) -> None:
    """A file system that knows no case shows one folder under both names, as links do here."""
    folder.put(KEY, b"data")
    for above in (root / "k8s", root / STATE / "metadata" / "k8s"):
        (above / "Prod").symlink_to(above / "prod")
    with raises(errors.CASE_INSENSITIVE_FOLDER) as caught:
        folder.put(KEY.replace("/prod/", "/Prod/"), b"other data")
    assert re.search("/prod/.* and .*/Prod/", caught.value.details.summary)
    assert (root / KEY).read_bytes() == b"data"


def test_a_folder_that_cannot_be_used_is_one_sentence(folder: LocalFolder, root: Path) -> None:
    with raises(errors.FOLDER_ERROR) as caught:
        folder.put(f"k8s/{'x' * 300}/file", b"data")
    assert caught.value.details.cause == "File name too long"
    folder.put("k8s", b"a file where a folder should be")
    with raises(errors.FOLDER_ERROR) as caught:
        folder.put(KEY, b"data")
    assert caught.value.details.cause == "Not a directory"
    assert caught.value.details.summary.startswith("Cannot write ")
    with raises(errors.FOLDER_ERROR) as caught:
        LocalFolder(root / "k8s")
    assert caught.value.details.summary.startswith("Cannot use ")


def test_files_have_the_rights_that_new_files_have(folder: LocalFolder, root: Path) -> None:
    folder.put(KEY, b"data")
    beside = root.parent / "beside"
    beside.touch()
    assert (root / KEY).stat().st_mode == beside.stat().st_mode
