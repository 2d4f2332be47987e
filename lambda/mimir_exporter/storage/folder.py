"""A folder of this machine in the place of a bucket: the same keys, the same conditions.

Under the folder's path a key is a file's path, so that `metric=…` folders hold data files and
nothing else. What S3 keeps beside an object is in `.mimir-exporter`, one small JSON file a key:
the metadata of the bytes whose ETag it names. It is written before the data file and keeps what was
said of the file before, so a process killed between the two leaves a file with its own metadata. A
file that another process put there, or changed, has none.

A lock on one file makes a condition and its write one step, across processes of one machine; the
system drops it with the process. Linux and macOS.
"""

import fcntl
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from ..errors import storage as errors
from .objects import Folder, StoredObject

STATE = ".mimir-exporter"
BLOCK_BYTES = 1024 * 1024
# No write takes that long: what is older was left by a process that was killed.
ABANDONED_S = 24 * 3600


@dataclass(frozen=True)
class _ListedFile:
    """A StoredKey. The ETag is made only where it is asked for: it needs the whole file."""

    size: int
    path: Path

    @property
    def etag(self) -> str:
        """ "" where the file was deleted since it was listed, which no file has."""
        return _etag(self.path) or ""


class LocalFolder:
    """An ObjectStore in the folder `root`, which is made if it is not there."""

    def __init__(self, root: Path) -> None:
        """Raises StopRunError where the folder cannot be used."""
        self._root = root.absolute()
        self._state = self._root / STATE
        self._unfinished = self._state / "unfinished"
        umask = os.umask(0)  # it can only be read by setting it
        os.umask(umask)
        self._mode = 0o666 & ~umask
        with self._explained("use", self._root):
            self._unfinished.mkdir(parents=True, exist_ok=True)
            for left in self._unfinished.iterdir():
                with suppress(FileNotFoundError):
                    if time.time() - left.stat().st_mtime > ABANDONED_S:
                        left.unlink()

    def where(self, key: str) -> str:
        """The file's path, or a folder's with its last slash."""
        return os.path.join(self._root, key)

    def put(
        self,
        key: str,
        body: bytes | BinaryIO,
        *,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/json",  # noqa: ARG002 - a file's name says what it is
        if_none_match: str | None = None,
        if_match: str | None = None,
    ) -> str:
        """Write an object; its ETag. Raises ConditionFailedError where a condition fails."""
        path = self._path(key)
        with self._explained("write", path), self._new_file() as (file, fresh):
            digest = sha256()
            for block in _blocks(body):
                digest.update(block)
                file.write(block)
            file.flush()
            # The checkpoint must not outlive the file that it vouches for.
            os.fsync(file.fileno())
            etag = f'"{digest.hexdigest()}"'
            with self._locked():
                before = _etag(path)
                if if_none_match and before is not None:
                    raise errors.OBJECT_CHANGED(where=path)
                if if_match and before != if_match:
                    raise errors.OBJECT_CHANGED(where=path)
                known = self._known(key)
                kept = {before: known[before]} if before in known else {}
                self._remember(key, {**kept, etag: dict(metadata or {})})
                path.parent.mkdir(parents=True, exist_ok=True)
                fresh.replace(path)
        return etag

    def get(self, key: str) -> tuple[bytes, str] | None:
        """An object's bytes and ETag, or None where it does not exist."""
        path = self._path(key)
        with self._explained("read", path), suppress(FileNotFoundError, NotADirectoryError):
            body = path.read_bytes()
            return body, f'"{sha256(body).hexdigest()}"'
        return None

    def head(self, key: str) -> StoredObject | None:
        """What is known of an object, or None where it does not exist."""
        path = self._path(key)
        with self._explained("read", path), self._locked():
            etag = _etag(path)
            if etag is None:
                return None
            return StoredObject(etag, self._known(key).get(etag, {}), path.stat().st_size)

    def delete(self, key: str, *, if_match: str | None = None) -> bool:
        """Remove an object, and folders that are empty without it; a folder keeps no versions.

        Raises ConditionFailedError where its ETag is not `if_match`.
        """
        path = self._path(key)
        with self._explained("delete", path), self._locked():
            if if_match and _etag(path) not in (None, if_match):
                raise errors.OBJECT_CHANGED(where=path)
            for file, top in ((path, self._root), (self._beside(key), self._state)):
                with suppress(FileNotFoundError, NotADirectoryError):
                    file.unlink()
                    _remove_empty(file.parent, top)
        return False

    def list(self, prefix: str) -> Folder:
        """What begins with `prefix`, as far as the next slash, in S3's order."""
        folder, _, begin = prefix.rpartition("/")
        path = self._path(folder) if folder else self._root
        folders: list[str] = []
        keys: dict[str, _ListedFile] = {}
        above = f"{folder}/" if folder else ""
        with self._explained("list", path), suppress(FileNotFoundError, NotADirectoryError):
            for entry in sorted(os.scandir(path), key=_in_s3_s_order):
                if not entry.name.startswith(begin) or (not folder and entry.name == STATE):
                    continue
                with suppress(FileNotFoundError):  # deleted since
                    if entry.is_dir():
                        folders.append(f"{above}{entry.name}/")
                    else:
                        keys[above + entry.name] = _ListedFile(
                            entry.stat().st_size, Path(entry.path)
                        )
        return Folder(tuple(folders), keys)

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if any(part in ("", ".", "..") or "\0" in part for part in parts) or parts[0] == STATE:
            raise errors.INVALID_FOLDER_PATH(key=key, root=self._root, reserved=STATE)
        return self._root.joinpath(*parts)

    def _beside(self, key: str) -> Path:
        return self._state / "metadata" / f"{key}.json"

    def _known(self, key: str) -> dict[str, dict[str, str]]:
        """Metadata by ETag, of the file as it is or as it was about to be."""
        try:
            document = json.loads(self._beside(key).read_bytes())
            name, metadata = document["key"], dict(document["metadata"])
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return {}
        if name != key:
            raise errors.CASE_INSENSITIVE_FOLDER(root=self._root, name=name, key=key)
        return metadata

    def _remember(self, key: str, metadata: Mapping[str, Mapping[str, str]]) -> None:
        beside = self._beside(key)
        beside.parent.mkdir(parents=True, exist_ok=True)
        with self._new_file() as (file, fresh):
            file.write(json.dumps({"key": key, "metadata": metadata}).encode())
            file.flush()
            fresh.replace(beside)

    @contextmanager
    def _new_file(self) -> Iterator[tuple[BinaryIO, Path]]:
        """A file of no name of ours yet; gone at the end if it was not moved to one."""
        handle, name = tempfile.mkstemp(dir=self._unfinished)
        fresh = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                os.fchmod(handle, self._mode)
                yield file, fresh
        finally:
            fresh.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._state / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _explained(self, verb: str, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise errors.FOLDER_ERROR(
                verb=verb, path=path, cause=error.strerror or error
            ) from error


def _etag(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            digest = sha256()
            for block in _blocks(file):
                digest.update(block)
            return f'"{digest.hexdigest()}"'
    except (FileNotFoundError, NotADirectoryError):
        return None


def _blocks(body: bytes | BinaryIO) -> Iterator[bytes]:
    if isinstance(body, bytes):
        yield body
        return
    while block := body.read(BLOCK_BYTES):
        yield block


def _remove_empty(folder: Path, top: Path) -> None:
    """Remove folders from `folder` up to below `top`, as far as they are empty."""
    with suppress(OSError):
        while folder != top:
            folder.rmdir()
            folder = folder.parent


def _in_s3_s_order(entry: "os.DirEntry[str]") -> bytes:
    """By the bytes of the whole name; a folder's name ends with a slash there."""
    return os.fsencode(entry.name + ("/" if entry.is_dir() else ""))
