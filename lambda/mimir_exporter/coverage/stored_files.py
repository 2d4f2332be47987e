"""What the bucket has of a range, held against the manifests: each file by key, size and ETag.

A metric-window of before there were manifests has only to have a file of some cluster.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain

from ..errors import OutOfTimeError, QueryError
from ..storage.layout import day_folder, object_key_in, parse_key
from ..storage.manifest import Manifest, ManifestStore
from ..storage.objects import ObjectStore, StoredKey
from ..timeline.deadline import Deadline
from ..timeline.windows import DAY_S, windows_within
from .compute import Coverage
from .states import State

# A listing waits for the network: so many at once.
LISTINGS = 8
# Files of these windows are there as long as only retention deletes any. A window without
# series has none, one that is asked for again may have been such a window, and the exporter does
# not count how many clusters one with series has.
_PROMISED = frozenset(
    {
        State.EXPORTED,
        State.AUDITED,
        State.UNAUDITABLE,
        State.SOURCE_UNSTABLE,
        State.IN_PART,
        State.UNCONFIRMED,
    }
)


# Keys of lost files that are kept; beside them they are only counted.
LOST_SHOWN = 30


@dataclass
class Files:
    """`clusters` has objects and bytes by cluster's folder; `counted_whole` is False where the
    time did not suffice. `lost` counts files that a manifest lists and that are not there, and
    metric-windows without a manifest that should have a file of some cluster and have none;
    `lost_keys` are the first of them, the latter with `*` for the cluster. `unknown` counts those
    that have none and may never have had one. `changed` counts files that are not as their
    manifest has them, and manifests that cannot be read. All of the days that were counted."""

    clusters: dict[str, dict[str, int]] = field(default_factory=dict)
    counted_whole: bool = False
    lost: int = 0
    unknown: int = 0
    lost_keys: list[str] = field(default_factory=list)
    changed: int = 0
    changed_keys: list[str] = field(default_factory=list)

    def add_lost(self, key: str) -> None:
        """A file is missing."""
        self.lost += 1
        if self.lost <= LOST_SHOWN:
            self.lost_keys.append(key)

    def add_changed(self, key: str) -> None:
        """A file is another than was written."""
        self.changed += 1
        if self.changed <= LOST_SHOWN:
            self.changed_keys.append(key)


def count_files(
    bucket: ObjectStore,
    prefix: str,
    coverage: Coverage,
    deadline: Deadline,
    manifests: ManifestStore,
) -> Files:
    """List the days of the range, folder by folder; what is held at once is one metric's day.

    Files of other exporters under the prefix count too: a key does not say whose it is.
    """
    count = _Count(bucket, prefix, coverage, deadline, manifests)
    try:
        with ThreadPoolExecutor(LISTINGS) as pool:
            days = _day_folders(coverage)
            there = _days_there(count.folders_in, f"{prefix}/", days.keys())
            for day, start in days.items():
                count.count_day(pool, there.get(day, ()), start)
    except OutOfTimeError:
        return count.files
    count.files.counted_whole = True
    return count.files


class _Count:
    """Counts day by day into `files`."""

    def __init__(
        self,
        bucket: ObjectStore,
        prefix: str,
        coverage: Coverage,
        deadline: Deadline,
        manifests: ManifestStore,
    ) -> None:
        self.files = Files()
        self._bucket = bucket
        self._prefix = prefix
        self._coverage = coverage
        self._deadline = deadline
        self._manifests = manifests
        self._unreadable: list[str] = []

    def folders_in(self, folder: str) -> tuple[str, ...]:
        self._deadline.check()
        return self._bucket.list(folder).folders

    def _keys_in(self, folder: str) -> Mapping[str, StoredKey]:
        self._deadline.check()
        return self._bucket.list(folder).keys

    def _read(self, metric: str, start: int) -> Manifest | None:
        self._deadline.check()
        try:
            found = self._manifests.read(metric, start)
        except QueryError:
            self._unreadable.append(self._manifests.key(metric, start))
            return None
        return None if found is None else found[0]

    def count_day(self, pool: ThreadPoolExecutor, days: Iterable[str], start: int) -> None:
        """One day: its folders in those of the clusters, and what should be in them."""
        self._deadline.check()
        noted = set(self._manifests.of_day(start))
        promised: dict[str, list[int]] = {}
        for metric, moment in sorted(_promised(self._coverage, start, start + DAY_S)):
            promised.setdefault(metric, []).append(moment)
        folders: dict[str, list[str]] = {metric: [] for metric in promised}
        for folder in chain.from_iterable(pool.map(self.folders_in, days)):
            metric = folder.rstrip("/").rpartition("/metric=")[2]
            folders.setdefault(metric, []).append(folder)
        for metric, of_clusters in folders.items():
            stored: dict[str, StoredKey] = {}
            for keys in pool.map(self._keys_in, of_clusters):
                stored |= keys
            found = _count(self.files, self._prefix, self._coverage, stored)
            due = promised.get(metric, [])
            with_manifest = [moment for moment in due if (moment, metric) in noted]
            read = pool.map(self._read, [metric] * len(with_manifest), with_manifest)
            for manifest in read:
                _compare(self.files, manifest, stored)
            for key in sorted(self._unreadable):
                self.files.add_changed(key)
            self._unreadable.clear()
            for moment in due:
                if (moment, metric) not in noted and (metric, moment) not in found:
                    _miss(self.files, self._prefix, self._coverage, metric, moment)


def _compare(files: Files, manifest: Manifest | None, stored: Mapping[str, StoredKey]) -> None:
    """Hold a metric's files of a day against one manifest."""
    for file in () if manifest is None else manifest.files:
        found = stored.get(file.key)
        if found is None:
            files.add_lost(file.key)
        elif found.size != file.size or found.etag != file.etag:
            files.add_changed(file.key)


def _miss(files: Files, prefix: str, coverage: Coverage, metric: str, start: int) -> None:
    """A metric-window without a manifest has no file at all."""
    if start < coverage.empty_known_from[metric]:
        files.unknown += 1
    else:
        files.add_lost(object_key_in(f"{prefix}/*/", metric, start))


def _days_there(
    folders_in: Callable[[str], tuple[str, ...]], prefix: str, days: Set[str]
) -> dict[str, list[str]]:
    """The folders of each day that there are, of all clusters."""
    months = {day[: day.index("/") + 1] for day in days}
    there: dict[str, list[str]] = {}
    for cluster in folders_in(prefix):
        for month in folders_in(cluster):
            if month.removeprefix(cluster) in months:
                for folder in folders_in(month):
                    there.setdefault(folder.removeprefix(cluster), []).append(folder)
    return there


def _count(
    files: Files, prefix: str, coverage: Coverage, keys: Mapping[str, StoredKey]
) -> set[tuple[str, int]]:
    """Add the files of the range among `keys`; their metrics and windows."""
    found = set()
    for key, stored in keys.items():
        name = parse_key(prefix, key)
        if name and coverage.start <= name.start < coverage.end:
            count = files.clusters.setdefault(name.folder, {"objects": 0, "bytes": 0})
            count["objects"] += 1
            count["bytes"] += stored.size
            found.add((name.metric, name.start))
    return found


def _day_folders(coverage: Coverage) -> dict[str, int]:
    """The folders of the range's days up to now, below a cluster's, with their midnights."""
    first = coverage.start - coverage.start % DAY_S
    return {
        day_folder("", datetime.fromtimestamp(moment, UTC)): moment
        for moment in range(first, min(coverage.end, coverage.now), DAY_S)
    }


def _promised(coverage: Coverage, start: int, end: int) -> Iterator[tuple[str, int]]:
    """Metric and window start of all in [start, end) that was exported with series."""
    for group in coverage.groups:
        for span in group.spans:
            low, high = max(span.start, start), min(span.end, end)
            if span.state in _PROMISED and low < high:
                for window in windows_within(coverage.schedules, low, high):
                    for metric in group.metrics:
                        yield metric, window.start
