"""Putting a window's files into the bucket, so that nothing there is ever made less."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO
from urllib.parse import quote

from .. import __version__
from ..answer.spool import ClusterFile, Spool
from ..catalog.metrics import Metric
from ..errors import CheckpointError
from ..timeline.deadline import Deadline
from ..timeline.windows import Window
from .layout import object_key, object_key_in
from .objects import ConditionFailedError, ObjectStore
from .parallel import send_files

# Each lost race means that another export of the same window got further.
RACES = 20

# Key, cluster, and bytes written: 0 where the file was kept as it was.
Upload = tuple[str, str, int]


@dataclass
class WriteStats:
    """`kept` files stayed as they were, because the bucket had more samples than Mimir.

    `by_cluster` has the bytes of the files that were written.
    """

    objects: int = 0
    kept: int = 0
    removed: int = 0
    bytes: int = 0
    by_cluster: dict[str, int] = field(default_factory=dict)


class Writer:
    """Writes the files of one exporter: its CLUSTER_NAME, and the label that it splits by."""

    def __init__(
        self, bucket: ObjectStore, prefix: str, cluster_name: str, split_by: str, deadline: Deadline
    ) -> None:
        self._bucket = bucket
        self._deadline = deadline
        self._prefix = prefix
        self._source = quote(cluster_name, safe="")
        self._split_by = split_by or "-"  # no label has that name, and no header is empty

    def write(
        self, metric: Metric, window: Window, spool: Spool, *, force: bool, sweep: bool
    ) -> WriteStats:
        """Write one object for each cluster in `spool`.

        An object with more samples than the new one stays (Mimir answers ranges past its
        retention with less, or nothing), unless `force`. `sweep` says that the window may have
        files that were split by another label: those go once the new ones are there, and if
        they hold more samples in all than Mimir has now, everything stays as it is.
        Raises OutOfTimeError between two objects, StopRunError.
        """
        stats = WriteStats()
        older = self._split_otherwise(metric, window) if sweep else {}
        if sum(older.values()) > spool.samples and not force:
            stats.kept = len(older)
            return stats
        written: set[str] = set()

        def upload(file: ClusterFile, body: bytes | BinaryIO) -> Upload:
            # What is written stays, and counts for nothing until all of it is.
            self._deadline.check()
            key = object_key(self._prefix, file.cluster, metric.name, window.start)
            done = self._write_one(key, file, body, window, force=force or key in older)
            return key, file.cluster, file.size if done else 0

        def place(file: ClusterFile) -> str:
            return self._bucket.where(
                object_key(self._prefix, file.cluster, metric.name, window.start)
            )

        for key, cluster, size in send_files(upload, spool.files(), self._deadline, place):
            written.add(key)
            if size:
                stats.by_cluster[cluster] = size
            stats.objects += size > 0
            stats.kept += size == 0
            stats.bytes += size
        for key in set(older) - written:
            self._bucket.delete(key)
            stats.removed += 1
        return stats

    def _write_one(
        self, key: str, file: ClusterFile, body: bytes | BinaryIO, window: Window, *, force: bool
    ) -> bool:
        """Whether it was written, and not kept as it was."""
        metadata = {
            "window": str(window),
            "step": str(window.step_s),
            "series": str(file.series),
            "samples": str(file.samples),
            "split-by": self._split_by,
            "exporter": f"mimir-exporter/{__version__}",
            "source": self._source,
        }
        etag: str | None = None
        for _ in range(RACES):
            if not isinstance(body, bytes):
                body.seek(0)
            try:
                self._bucket.put(
                    key,
                    body,
                    metadata=metadata,
                    content_type="application/gzip",
                    if_match=etag,
                    if_none_match=None if etag else "*",
                )
            except ConditionFailedError:
                stored = self._bucket.head(key)
                etag = stored.etag if stored else None
                if stored and not force and _samples(stored.metadata) > file.samples:
                    return False
                continue
            return True
        raise CheckpointError(
            f"{key} changed {RACES} times while it was being written; check that no other "
            "exporter writes the same clusters under the same S3_PREFIX."
        )

    def _split_otherwise(self, metric: Metric, window: Window) -> dict[str, int]:
        """Our files of this metric and window that were split by another label: their samples."""
        found: dict[str, int] = {}
        for folder in self._bucket.list(f"{self._prefix}/").folders:
            key = object_key_in(folder, metric.name, window.start)
            stored = self._bucket.head(key)
            if (
                stored
                and stored.metadata.get("source") == self._source
                and stored.metadata.get("split-by") != self._split_by
            ):
                found[key] = _samples(stored.metadata)
        return found


def _samples(metadata: Mapping[str, str]) -> int:
    """The number in the metadata; 0 for a file of the exporter before this one, which has none."""
    value = metadata.get("samples", "")
    return int(value) if value.isdecimal() else 0
