"""The manifest of a metric-window: which files it consists of, and what the source had.

{prefix}/{CLUSTER_NAME}/_manifests/{YYYYMMDD}/{window start}_{metric}.manifest, gzip JSON. It is
written after the window's files, so a reader that follows it never sees half a window; and all
that compares, replaces, deletes, counts or audits files works from it and never from a listing.
Not named `.json.gz`: readers that glob `**/*.json.gz` would take it for data.

Times of samples and windows are unix seconds, as in the names of the files.
"""

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from .. import __version__
from ..errors.storage import MANIFEST_TOO_NEW, MANIFEST_UNREADABLE
from ..timeline.windows import Window, iso
from .layout import manifest_day_folder, manifest_key
from .objects import ObjectStore

SCHEMA_VERSION = 1

# Raw samples at the source by selector and by value of the cluster label ("" is: no label).
RawCounts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Layout:
    """What decides the folder of a series."""

    cluster_label: str
    cluster_name: str
    split_by_cluster: bool

    @property
    def split_by(self) -> str:
        """The label that files are split by; `-` for none, which no label is named."""
        if not self.split_by_cluster:
            return "-"
        # Metadata of S3 is ASCII.
        return "%2D" if self.cluster_label == "-" else quote(self.cluster_label, safe="")


@dataclass(frozen=True)
class ManifestFile:
    """One file. `first` and `last` sample (unix seconds) are None where they are not known: in a
    file that was exported before there were manifests. `size` is compressed bytes."""

    cluster: str
    key: str
    series: int
    samples: int
    first: float | None
    last: float | None
    size: int
    etag: str


@dataclass(frozen=True)
class Manifest:
    """A metric-window. `exported` is unix seconds.

    `revision` grows by one whenever the files change. `query` and `layout` are what it was exported
    with; "" and None where that is not known. `raw` are the source's raw samples just before the
    query; None where they could not be counted. `superseded` are keys, with ETags ("" is: not
    known), that a write replaced or did not finish, and that may not be deleted yet. `rises` counts
    how often an audit found more samples at the source than there were. With `begins` it is
    exported in part: the source had moved the start of the range, and the files hold what is from
    there on.
    """

    metric: str
    start: int
    end: int
    step_s: int
    revision: int
    exported: int
    query: str
    layout: Layout | None
    files: tuple[ManifestFile, ...] = ()
    raw: RawCounts | None = None
    superseded: Mapping[str, str] = field(default_factory=dict)
    rises: int = 0
    begins: int | None = None

    @property
    def window(self) -> Window:
        return Window(self.start, self.end, self.step_s)

    @property
    def is_listed(self) -> bool:
        """Whether it was made by listing, for files without one: these may not be all there were
        to be, as when a first write was broken off."""
        return not self.query

    @property
    def samples(self) -> int:
        return sum(file.samples for file in self.files)

    @property
    def etags(self) -> dict[str, str]:
        """The files' ETags by key."""
        return {file.key: file.etag for file in self.files}


class ManifestStore:
    """Reads and writes the manifests of one exporter."""

    def __init__(self, bucket: ObjectStore, prefix: str, cluster_name: str) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._cluster_name = cluster_name

    @property
    def folder(self) -> str:
        """Where the manifests of all days are."""
        return manifest_day_folder(self._prefix, self._cluster_name)

    def key(self, metric: str, start: int) -> str:
        """Where the manifest of a metric-window is."""
        return manifest_key(self._prefix, self._cluster_name, metric, start)

    def read(self, metric: str, start: int) -> tuple[Manifest, str] | None:
        """A manifest and its ETag, or None where there is none. Raises QueryError."""
        key = self.key(metric, start)
        found = self._bucket.get(key)
        return None if found is None else (load(found[0], self._bucket.where(key)), found[1])

    def write(self, manifest: Manifest, etag: str | None) -> str:
        """Write a manifest over the one of `etag`, or as the first one; its ETag.

        Raises ConditionFailedError where there is another one meanwhile.
        """
        return self._bucket.put(
            self.key(manifest.metric, manifest.start),
            dump(manifest),
            content_type="application/gzip",
            if_match=etag,
            if_none_match=None if etag else "*",
        )

    def delete(self, manifest: Manifest, etag: str) -> None:
        """Remove a manifest. Raises ConditionFailedError where it is another one by now."""
        self._bucket.delete(self.key(manifest.metric, manifest.start), if_match=etag)

    def days(self) -> list[int]:
        """The days (unix seconds of their midnights) that have manifests, oldest first."""
        top = manifest_day_folder(self._prefix, self._cluster_name)
        found = (_midnight(folder[len(top) : -1]) for folder in self._bucket.list(top).folders)
        return sorted(day for day in found if day is not None)

    def of_day(self, midnight: int) -> dict[tuple[int, str], str]:
        """Window start and metric of the manifests of a day, with their ETags."""
        folder = manifest_day_folder(self._prefix, self._cluster_name, midnight)
        found: dict[tuple[int, str], str] = {}
        for key, stored in self._bucket.list(folder).keys.items():
            start, _, metric = key[len(folder) :].removesuffix(".manifest").partition("_")
            if start.isdecimal() and key == self.key(metric, int(start)):
                found[int(start), metric] = stored.etag
        return found


def dump(manifest: Manifest) -> bytes:
    """The document, the same bytes for the same manifest."""
    layout, raw = manifest.layout, manifest.raw
    document = {
        "schema_version": SCHEMA_VERSION,
        "exporter": f"mimir-exporter/{__version__}",
        "metric": manifest.metric,
        "start": manifest.start,
        "end": manifest.end,
        "step": manifest.step_s,
        "revision": manifest.revision,
        "exported": iso(manifest.exported),
        "query": manifest.query,
        "layout": None
        if layout is None
        else {
            "cluster_label": layout.cluster_label,
            "cluster_name": layout.cluster_name,
            "split_by_cluster": layout.split_by_cluster,
        },
        "samples": manifest.samples,
        "files": [
            {
                "cluster": file.cluster,
                "key": file.key,
                "series": file.series,
                "samples": file.samples,
                "first": file.first,
                "last": file.last,
                "bytes": file.size,
                "etag": file.etag,
            }
            for file in manifest.files
        ],
        "source_samples": None
        if raw is None
        else [
            {
                "selector": selector,
                "clusters": [{"cluster": name, "samples": n} for name, n in counts.items()],
            }
            for selector, counts in raw.items()
        ],
        "superseded": [{"key": key, "etag": etag} for key, etag in manifest.superseded.items()],
        "rises": manifest.rises,
        **({} if manifest.begins is None else {"in_part_from": manifest.begins}),
    }
    # Half a surrogate pair, which a label can hold, stays the escape it was.
    return gzip.compress(json.dumps(document).encode(), 6, mtime=0)


def load(body: bytes, where: str) -> Manifest:
    """The manifest in a document at `where`. Raises QueryError, which says what to do."""
    try:
        document = json.loads(gzip.decompress(body))
        version = document["schema_version"]
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise MANIFEST_TOO_NEW(where=where, version=version, known=SCHEMA_VERSION)
        return _from_document(document)
    except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise MANIFEST_UNREADABLE(where=where, cause=type(error).__name__) from error


def _from_document(document: Mapping[str, Any]) -> Manifest:
    layout, raw = document["layout"], document["source_samples"]
    return Manifest(
        metric=str(document["metric"]),
        start=int(document["start"]),
        end=int(document["end"]),
        step_s=int(document["step"]),
        revision=int(document["revision"]),
        exported=int(datetime.fromisoformat(document["exported"]).timestamp()),
        query=str(document["query"]),
        layout=None
        if layout is None
        else Layout(
            str(layout["cluster_label"]),
            str(layout["cluster_name"]),
            bool(layout["split_by_cluster"]),
        ),
        files=tuple(_load_file(entry) for entry in document["files"]),
        raw=None
        if raw is None
        else {
            str(entry["selector"]): {
                str(n["cluster"]): int(n["samples"]) for n in entry["clusters"]
            }
            for entry in raw
        },
        superseded={str(entry["key"]): str(entry["etag"]) for entry in document["superseded"]},
        rises=int(document["rises"]),
        begins=None if (begins := document.get("in_part_from")) is None else int(begins),
    )


def _load_file(entry: Mapping[str, Any]) -> ManifestFile:
    return ManifestFile(
        cluster=str(entry["cluster"]),
        key=str(entry["key"]),
        series=int(entry["series"]),
        samples=int(entry["samples"]),
        first=entry["first"],
        last=entry["last"],
        size=int(entry["bytes"]),
        etag=str(entry["etag"]),
    )


def first_of(files: Iterable[ManifestFile]) -> float | None:
    """The first sample of all files; None where it is not known of one."""
    found = [file.first for file in files]
    return (
        None
        if None in found
        else min((moment for moment in found if moment is not None), default=None)
    )


def last_of(files: Iterable[ManifestFile]) -> float | None:
    """The last sample of all files; None where it is not known of one."""
    found = [file.last for file in files]
    return (
        None
        if None in found
        else max((moment for moment in found if moment is not None), default=None)
    )


def _midnight(day: str) -> int | None:
    try:
        return int(datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None
