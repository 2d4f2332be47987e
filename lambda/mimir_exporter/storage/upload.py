"""Uploading the files of a metric-window, each over just the object that is expected there."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from .. import __version__
from ..answer.cluster_file import ClusterFile
from ..catalog.metrics import Metric
from ..errors import ConditionFailedError
from ..timeline.deadline import Deadline
from ..timeline.windows import Window
from .layout import object_key, source_name
from .manifest import Layout, ManifestFile, RawCounts
from .objects import ObjectStore
from .parallel import Width, send_files

# Retry limit for conflicting writes: after each, another export of the window is a step ahead.
RACES = 20

# Key, and the file that was written; None where another object was there than expected.
Upload = tuple[str, ManifestFile | None]


@dataclass(frozen=True)
class Export:
    """One metric-window on its way into the bucket.

    `raw` are the source's raw samples just before the query. `force` lets files become less.
    `may_exist` says that there may be files without a manifest. `unmark` is called before the
    first write that takes something away: from then on the window does not count as exported.
    `begins`: the answer is known to hold only what is from that moment on.
    """

    metric: Metric
    window: Window
    raw: RawCounts | None = None
    force: bool = False
    may_exist: bool = False
    unmark: Callable[[], None] = lambda: None
    begins: int | None = None


class Uploader:
    """Writes files of one exporter."""

    def __init__(
        self,
        bucket: ObjectStore,
        prefix: str,
        layout: Layout,
        deadline: Deadline,
        *,
        pause_s: float,
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._layout = layout
        self._deadline = deadline
        self._width = Width(pause_s)

    def key(self, export: Export, cluster: str) -> str:
        """The key of a cluster's file."""
        return object_key(self._prefix, cluster, export.metric.name, export.window.start)

    def upload(
        self,
        export: Export,
        files: Iterator[ClusterFile],
        keys: Mapping[str, str],
        etags: Mapping[str, str],
        unfinished: Collection[str],
    ) -> Iterator[Upload]:
        """Write the files of the clusters in `keys`, each over the object that has its ETag in
        `etags`, or as a new one; in order.

        At an `unfinished` key anything may lie: what an earlier write had begun.
        Raises OutOfTimeError between two files, StopRunError.
        """

        common = self._metadata(export.window)

        def send(file: ClusterFile, body: bytes | BinaryIO) -> Upload:
            # What is written stays, and counts for nothing until all of it is.
            self._deadline.check()
            key = keys[file.cluster]
            metadata = {**common, "series": str(file.series), "samples": str(file.samples)}
            etag = self._put(key, body, metadata, etags.get(key), overwrite=key in unfinished)
            if etag is None:
                return key, None
            return key, ManifestFile(
                *(file.cluster, key, file.series, file.samples),
                *(file.first, file.last, file.size, etag),
            )

        def place(file: ClusterFile) -> str:
            return self._bucket.where(keys[file.cluster])

        return send_files(send, files, len(keys), self._width, self._deadline, place)

    def _metadata(self, window: Window) -> dict[str, str]:
        """What is the same for all files of a metric-window."""
        return {
            "window": str(window),
            "step": str(window.step_s),
            "split-by": self._layout.split_by,
            "exporter": f"mimir-exporter/{__version__}",
            "source": source_name(self._layout.cluster_name),
        }

    def _put(
        self,
        key: str,
        body: bytes | BinaryIO,
        metadata: Mapping[str, str],
        etag: str | None,
        *,
        overwrite: bool,
    ) -> str | None:
        """The ETag of what was written; None where something else than `etag` was there, and not
        to be overwritten."""
        for _ in range(RACES):
            if not isinstance(body, bytes):
                body.seek(0)
            try:
                return self._bucket.put(
                    key,
                    body,
                    metadata=metadata,
                    content_type="application/gzip",
                    if_match=etag,
                    if_none_match=None if etag else "*",
                )
            except ConditionFailedError:
                stored = self._bucket.head(key) if overwrite else None
                if stored is None or stored.etag == etag:
                    return None
                etag = stored.etag
        return None
