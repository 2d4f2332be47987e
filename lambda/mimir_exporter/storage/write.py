"""Putting a metric-window's files into the bucket, so that nothing there is ever made less.

New files come first, then those that grow, then those that shrink, then the manifest, and last the
deletion of what the manifest before had and this one has not. Whatever dies in between leaves the
old manifest, and files that have at least what it says, or a window that the checkpoint does not
count as exported any more.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from ..answer.cluster_file import Amount
from ..answer.spool import Spool
from ..errors import ConditionFailedError
from ..errors.storage import FILE_CONFLICTS
from ..timeline.deadline import Deadline
from .adopt import REQUESTS, file_of, find_files
from .covering import has_risen, removed_by_query, uncovered
from .layout import source_name
from .manifest import Layout, Manifest, ManifestFile, ManifestStore
from .objects import ObjectStore
from .upload import RACES, Export, Uploader


@dataclass
class WriteStats:
    """`kept` files stayed as they were, because the answer does not cover them: `lost` names their
    clusters.

    `by_cluster` has the bytes of the files that were written. `empty`: the window has no files.
    `changed`: it had files, and has others now. `files` are all that it has. With
    `begins` they are only what is from there on.
    """

    objects: int = 0
    kept: int = 0
    removed: int = 0
    bytes: int = 0
    by_cluster: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    empty: bool = True
    changed: bool = False
    revision: int = 0
    begins: int | None = None
    files: tuple[ManifestFile, ...] = ()


class _ChangedError(Exception):
    """Something of the window is not as it was when it was looked at: look again."""


@dataclass
class _Attempt:
    """What was found out on the way: files as they are, which the manifest does not say so."""

    may_exist: bool
    seen: dict[str, ManifestFile | None] = field(default_factory=dict)  # None: is not there

    def correct(self, files: Iterable[ManifestFile]) -> dict[str, ManifestFile]:
        """The files as they are, by key."""
        known = {file.key: file for file in files} | self.seen
        return {key: file for key, file in known.items() if file is not None}


@dataclass(frozen=True)
class _Before:
    """What the window has: its manifest, of revision 0 and without an ETag where there is none yet,
    and its files by key as they are by now, which can be others than the manifest's."""

    manifest: Manifest
    etag: str | None
    files: dict[str, ManifestFile]
    by_cluster: bool  # split by the label of today


class Writer:
    """Writes the files of one exporter: its CLUSTER_NAME, and the label that it splits by."""

    def __init__(
        self,
        bucket: ObjectStore,
        prefix: str,
        layout: Layout,
        deadline: Deadline,
        *,
        pause_s: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`pause_s` is how long the next metric's query waits anyway."""
        self._bucket = bucket
        self.manifests = ManifestStore(bucket, prefix, layout.cluster_name)
        self._prefix = prefix
        self._layout = layout
        self._source = source_name(layout.cluster_name)
        self._clock = clock
        self._uploader = Uploader(bucket, prefix, layout, deadline, pause_s=pause_s)

    def write(self, export: Export, spool: Spool) -> WriteStats:
        """Write one object for each cluster in `spool`, and the manifest.

        Files that the answer does not cover stay, all of the window: series may have moved from one
        cluster to another. Raises OutOfTimeError between two objects, StopRunError, and
        QueryError for a manifest that cannot be read.
        """
        attempt = _Attempt(export.may_exist)
        for _ in range(RACES):
            try:
                return self._write(export, spool, attempt)
            except _ChangedError:
                continue
        key = self.manifests.key(export.metric.name, export.window.start)
        raise FILE_CONFLICTS(count=RACES, key=key)

    def _write(self, export: Export, spool: Spool, attempt: _Attempt) -> WriteStats:
        before = self._look(export, attempt)
        old = before.manifest
        keys = {self._uploader.key(export, cluster): cluster for cluster in spool.clusters}
        by_cluster = spool.amounts()
        amounts = {key: by_cluster[cluster] for key, cluster in keys.items()}
        kept: dict[str, ManifestFile] = {}
        if not export.force:
            more = self._uncovered(export, before, amounts)
            if more and not (old.is_listed and before.by_cluster):
                return self._keep(export, before, more)
            # What was listed may never have been whole: what it lacks comes to it.
            kept = {file.key: file for file in more}
        before = replace(before, etag=self._begin(before, keys.keys()))
        shrinking = {
            key
            for key in before.files.keys() & keys.keys() - kept.keys()
            if amounts[key].samples < before.files[key].samples
        }
        gone = {
            file.key: file.etag for file in before.files.values() if file.key not in {*keys, *kept}
        }
        if shrinking or gone:
            export.unmark()
        groups = (
            [key for key in keys if key not in before.files],
            [key for key in keys if key in before.files and key not in {*shrinking, *kept}],
            [key for key in keys if key in shrinking],
        )
        written = [
            file
            for group in groups
            for file in self._upload(
                export, spool, {keys[key]: key for key in group}, before, attempt
            )
        ]
        files = sorted([*written, *kept.values()], key=lambda file: file.key)
        manifest = self._conclude(export, before, files, gone)
        return WriteStats(
            objects=len(written),
            kept=len(kept),
            removed=self._delete(gone, manifest),
            bytes=sum(file.size for file in written),
            by_cluster={file.cluster: file.size for file in written},
            lost=[file.cluster for file in kept.values()],
            empty=not files,
            changed=0 < old.revision < manifest.revision,
            revision=manifest.revision,
            begins=manifest.begins,
            files=tuple(files),
        )

    def _uncovered(
        self, export: Export, before: _Before, amounts: Mapping[str, Amount]
    ) -> list[ManifestFile]:
        """The files that the answer, with its amounts by key, does not cover."""
        old = before.manifest
        # Where files are split otherwise, what this export wrote of them counts twice.
        had = list(before.files.values() if before.by_cluster else old.files)
        is_whole = old.begins is None and not old.is_listed
        if export.begins is not None and is_whole:
            return had  # a part never takes the place of the whole
        return uncovered(
            had,
            amounts,
            by_cluster=before.by_cluster,
            excused=removed_by_query(
                old, export.raw, export.metric.promql(self._layout.cluster_label)
            ),
            window=old.window if export.begins is None else None,
        )

    def _look(self, export: Export, attempt: _Attempt) -> _Before:
        """What the window has: as its manifest says, or where it has none, as a listing does."""
        metric, window, ours = export.metric, export.window, self._layout.split_by
        found = self.manifests.read(metric.name, window.start)
        if found is None:
            return self._list(export, attempt)
        old, etag = found
        same = not old.files or (old.layout is not None and old.layout.split_by == ours)
        return _Before(old, etag, attempt.correct(old.files), same)

    def _list(self, export: Export, attempt: _Attempt) -> _Before:
        metric, window = export.metric, export.window
        files: list[ManifestFile] = []
        layout: Layout | None = self._layout
        if attempt.may_exist:
            listed = find_files(self._bucket, self._prefix, self._source, metric.name, window)
            files = [file for file, _ in listed.values()]
            if any(split_by != self._layout.split_by for _, split_by in listed.values()):
                layout = None
        manifest = Manifest(
            *(metric.name, window.start, window.end, window.step_s),
            revision=1 if files else 0,
            exported=int(self._clock()),
            query="",
            layout=layout,
            files=tuple(files),
        )
        return _Before(manifest, None, attempt.correct(files), layout is not None)

    def _keep(self, export: Export, before: _Before, more: Sequence[ManifestFile]) -> WriteStats:
        """Leave the files alone; their manifest is written where there is none, and notes that the
        source has risen where it has."""
        old = before.manifest
        risen = has_risen(old.raw, export.raw)
        if before.etag is None or risen:
            old = replace(old, rises=old.rises + risen, exported=int(self._clock()))
            self._swap(old, before.etag)
        return WriteStats(
            kept=len(before.files),
            lost=[file.cluster for file in more],
            empty=not before.files,
            revision=old.revision,
            begins=old.begins,
            files=tuple(before.files.values()),
        )

    def _begin(self, before: _Before, keys: Collection[str]) -> str | None:
        """Delete what an earlier write left behind, and note which new keys this one begins to
        write: should it die, the next one knows of them. The manifest's ETag after that.

        Files that were found by listing get their manifest here. Nothing is noted of a window that
        has no files yet: should that write die, a listing finds what it left.
        """
        old = before.manifest
        if not old.revision:
            return before.etag
        left_over = {key: etag for key, etag in old.superseded.items() if key not in keys}
        self._delete(left_over, old)
        fresh = [key for key in keys if key not in before.files and old.superseded.get(key) != ""]
        if not fresh and before.etag is not None:
            return before.etag
        noted = {key: etag for key, etag in old.superseded.items() if key in keys}
        return self._swap(replace(old, superseded=noted | dict.fromkeys(fresh, "")), before.etag)

    def _upload(
        self,
        export: Export,
        spool: Spool,
        keys: Mapping[str, str],
        before: _Before,
        attempt: _Attempt,
    ) -> list[ManifestFile]:
        """Write the files of the clusters in `keys`. Raises _ChangedError after all of them where
        some were not as they should have been."""
        known = {key: file.etag for key, file in before.files.items()}
        written = self._uploader.upload(
            export, spool.files(keys), keys, known, before.manifest.superseded.keys()
        )
        found = dict(written)
        attempt.seen |= {key: file for key, file in found.items() if file is not None}
        changed = [key for key, file in found.items() if file is None]
        for key in changed:
            self._learn(key, attempt)
        if changed:
            raise _ChangedError
        return [file for file in found.values() if file is not None]

    def _learn(self, key: str, attempt: _Attempt) -> None:
        """See what is at a key where something else was expected."""
        stored = self._bucket.head(key)
        attempt.seen[key] = None if stored is None else file_of(self._prefix, key, stored)
        if stored is not None:
            # Files without a manifest: of before there were any, or of a write that was broken off.
            attempt.may_exist |= stored.metadata.get("source") == self._source

    def _conclude(
        self,
        export: Export,
        before: _Before,
        files: Sequence[ManifestFile],
        gone: dict[str, str],
    ) -> Manifest:
        """Write the manifest: from now on the window is what it says."""
        old = before.manifest
        # Files of before there were manifests, none of which the answer covers: nothing is new.
        is_old = old.is_listed and export.may_exist and {*files} <= {*before.files.values()}
        manifest = Manifest(
            *(old.metric, old.start, old.end, export.window.step_s),
            revision=old.revision + (not old.revision or set(old.files) != set(files)),
            exported=int(self._clock()),
            query=export.metric.promql(self._layout.cluster_label),
            layout=self._layout,
            files=tuple(files),
            raw=export.raw,
            superseded=gone,
            rises=old.rises + has_risen(old.raw, export.raw),
            begins=None if is_old else export.begins,
        )
        try:
            self.manifests.write(manifest, before.etag)
        except ConditionFailedError as error:
            # Another export of the window; where it came to the same, all is done.
            found = self.manifests.read(manifest.metric, manifest.start)
            if found is None or set(found[0].files) != set(files):
                raise _ChangedError from error
            return found[0]
        return manifest

    def _swap(self, manifest: Manifest, etag: str | None) -> str:
        try:
            return self.manifests.write(manifest, etag)
        except ConditionFailedError as error:
            raise _ChangedError from error

    def _delete(self, etags: dict[str, str], current: Manifest) -> int:
        """Delete files as they were seen; how many. One that was written since stays: it belongs to
        whoever wrote it; unless `current` is the manifest still, for then its writer was broken off
        before the manifest that it had begun from was replaced."""

        def delete(key: str, etag: str) -> bool:
            if not etag:
                stored = self._bucket.head(key)
                if stored is None or stored.metadata.get("source") != self._source:
                    return False
                etag = stored.etag
            try:
                self._bucket.delete(key, if_match=etag)
            except ConditionFailedError:
                return self._delete_left_over(key, current)
            return True

        with ThreadPoolExecutor(REQUESTS) as pool:
            return sum(pool.map(delete, etags.keys(), etags.values()))

    def _delete_left_over(self, key: str, current: Manifest) -> bool:
        """Delete a file of ours that an export replaced and did not live to list.

        Who writes one again notes it in the manifest first: so the file is looked at first.
        """
        stored = self._bucket.head(key)
        if stored is None or stored.metadata.get("source") != self._source:
            return False
        found = self.manifests.read(current.metric, current.start)
        if found is None or _version(found[0]) != _version(current):
            return False
        try:
            self._bucket.delete(key, if_match=stored.etag)
        except ConditionFailedError:
            return False
        return True


def _version(manifest: Manifest) -> tuple[object, ...]:
    """What an export that begins or ends changes of it."""
    return manifest.revision, manifest.exported, {*manifest.files}, dict(manifest.superseded)
