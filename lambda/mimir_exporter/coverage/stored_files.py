"""What the bucket has of a range, and what of it the checkpoint promises in vain."""

from collections.abc import Callable, Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain

from ..errors import OutOfTimeError
from ..storage.layout import day_folder, object_key_in, parse_key
from ..storage.objects import ObjectStore, StoredKey
from ..timeline.deadline import Deadline
from ..timeline.windows import DAY_S, windows_within
from .states import Coverage, State

# A listing waits for the network: so many at once.
LISTINGS = 8
# Files of these windows are there as long as nobody but retention deletes any. A window without
# series has none, one that is asked for again may have been such a window, and the exporter does
# not count how many clusters one with series has.
_PROMISED = frozenset({State.EXPORTED, State.AUDITED})


# Keys of lost files that are kept; beside them they are only counted.
LOST_SHOWN = 30


@dataclass
class Files:
    """`clusters` has objects and bytes by cluster's folder; `counted_whole` is False where the
    time did not suffice. `lost` counts windows of metrics that should have a file of some cluster
    and have none, and `lost_keys` are the first of them, with `*` for the cluster; `unknown` counts
    those that have none and may never have had one. All of the days that were counted."""

    clusters: dict[str, dict[str, int]] = field(default_factory=dict)
    counted_whole: bool = False
    lost: int = 0
    unknown: int = 0
    lost_keys: list[str] = field(default_factory=list)


def count_files(bucket: ObjectStore, prefix: str, coverage: Coverage, deadline: Deadline) -> Files:
    """List the days of the range, folder by folder; what is held at once is one day.

    Files of other exporters under the prefix count too: a key does not say whose it is.
    """
    files = Files()

    def folders_in(folder: str) -> tuple[str, ...]:
        deadline.check()
        return bucket.list(folder).folders

    def keys_in(folder: str) -> Mapping[str, StoredKey]:
        deadline.check()
        return bucket.list(folder).keys

    try:
        with ThreadPoolExecutor(LISTINGS) as pool:
            days = _day_folders(coverage)
            there = _days_there(folders_in, f"{prefix}/", days.keys())
            for day, start in days.items():
                metrics = chain.from_iterable(pool.map(folders_in, there.get(day, ())))
                found: set[tuple[str, int]] = set()
                for keys in pool.map(keys_in, metrics):
                    found |= _count(files, prefix, coverage, keys)
                for metric, lost in _promised(coverage, start, start + DAY_S):
                    if (metric, lost) in found:
                        continue
                    if lost < coverage.empty_known_from[metric]:
                        files.unknown += 1
                    else:
                        files.lost += 1
                        if files.lost <= LOST_SHOWN:
                            files.lost_keys.append(object_key_in(f"{prefix}/*/", metric, lost))
    except OutOfTimeError:
        return files
    files.counted_whole = True
    return files


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
    for line in coverage.lines:
        for span in line.spans:
            low, high = max(span.start, start), min(span.end, end)
            if span.state in _PROMISED and low < high:
                for window in windows_within(coverage.schedules, low, high):
                    for metric in line.metrics:
                        yield metric, window.start
