"""The files of a metric-window that has no manifest, found by listing: once, for its first one."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from ..timeline.windows import Window
from .layout import cluster_of, object_key_in
from .manifest import ManifestFile
from .objects import ObjectStore, StoredObject

# A request waits for the network: so many at once.
REQUESTS = 8


def find_files(
    bucket: ObjectStore, prefix: str, source: str, metric: str, window: Window
) -> dict[str, tuple[ManifestFile, str]]:
    """By key, the files of a metric-window that `source` wrote (as in their metadata), each with
    the label that it was split by. First and last samples are not known.

    One listing, and one HEAD for each cluster's folder. Files of other exporters are not found.
    """

    def look(folder: str) -> tuple[str, StoredObject | None]:
        key = object_key_in(folder, metric, window.start)
        return key, bucket.head(key)

    with ThreadPoolExecutor(REQUESTS) as pool:
        found = pool.map(look, bucket.list(f"{prefix}/").folders)
        return {
            key: (file_of(prefix, key, stored), stored.metadata.get("split-by", ""))
            for key, stored in found
            if stored is not None and stored.metadata.get("source") == source
        }


def file_of(prefix: str, key: str, stored: StoredObject) -> ManifestFile:
    """What a file says of itself."""
    return ManifestFile(
        cluster=cluster_of(key.removeprefix(f"{prefix}/").partition("/")[0]),
        key=key,
        series=_number(stored.metadata, "series"),
        samples=_number(stored.metadata, "samples"),
        first=None,
        last=None,
        size=stored.size,
        etag=stored.etag,
    )


def _number(metadata: Mapping[str, str], name: str) -> int:
    """The number in the metadata; 0 for a file of the exporter before this one, which has none."""
    value = metadata.get(name, "")
    return int(value) if value.isdecimal() else 0
