"""Putting a window's files into the bucket, so that nothing there is ever made less."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from . import __version__
from .bucket import Bucket, ConditionFailedError
from .catalog import Metric
from .errors import CheckpointError
from .layout import object_key, object_key_in
from .spool import ClusterFile, Spool
from .windows import Window

# Each lost race means that another export of the same window got further.
RACES = 20


@dataclass
class WriteStats:
    """`kept` files stayed as they were, because the bucket had more samples than Mimir."""

    objects: int = 0
    kept: int = 0
    removed: int = 0
    bytes: int = 0


class Writer:
    """Writes the files of one exporter; `cluster_name` is its CLUSTER_NAME."""

    def __init__(self, bucket: Bucket, prefix: str, cluster_name: str) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._source = quote(cluster_name, safe="")

    def write(
        self, metric: Metric, window: Window, spool: Spool, *, force: bool, sweep: bool
    ) -> WriteStats:
        """Write one object for each cluster in `spool`.

        An object with more samples than the new one stays (Mimir answers ranges past its
        retention with less, or nothing), unless `force`. `sweep` says that the window may have
        files in folders of an older labelling: those go once the new ones are there, and if
        they hold more samples in all than Mimir has now, everything stays as it is.
        """
        stats = WriteStats()
        stale: list[str] = []
        if sweep:
            older = self._files_of(metric, window)
            if sum(older.values()) > spool.samples and not force:
                stats.kept = len(older)
                return stats
            new = {
                object_key(self._prefix, cluster, metric.name, window.start)
                for cluster in spool.clusters
            }
            stale = [key for key in older if key not in new]
        for file in spool.files():
            key = object_key(self._prefix, file.cluster, metric.name, window.start)
            if self._write_one(key, file, window, force=force or sweep):
                stats.objects += 1
                stats.bytes += file.size
            else:
                stats.kept += 1
        for key in stale:
            self._bucket.delete(key)
            stats.removed += 1
        return stats

    def _write_one(self, key: str, file: ClusterFile, window: Window, *, force: bool) -> bool:
        metadata = {
            "window": str(window),
            "step": str(window.step_s),
            "series": str(file.series),
            "samples": str(file.samples),
            "exporter": f"mimir-exporter/{__version__}",
            "source": self._source,
        }
        etag: str | None = None
        for _ in range(RACES):
            file.body.seek(0)
            # A small file goes as bytes: one copy less to hash and to send again.
            body = file.body.read() if file.size <= 1024 * 1024 else file.body
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

    def _files_of(self, metric: Metric, window: Window) -> dict[str, int]:
        """Our files of this metric and window in every cluster's folder, with their samples."""
        found: dict[str, int] = {}
        for folder in self._bucket.list(f"{self._prefix}/").folders:
            key = object_key_in(folder, metric.name, window.start)
            stored = self._bucket.head(key)
            if stored and stored.metadata.get("source") == self._source:
                found[key] = _samples(stored.metadata)
        return found


def _samples(metadata: Mapping[str, str]) -> int:
    """The number in the metadata; 0 for a file of the exporter before this one, which has none."""
    value = metadata.get("samples", "")
    return int(value) if value.isdecimal() else 0
