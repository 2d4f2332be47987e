"""What the bucket has of a range, and what of it the checkpoint promises in vain."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

from .coverage import Coverage, State
from .deadline import Deadline
from .errors import OutOfTimeError
from .layout import day_folder, object_key_in, parse_key
from .objects import ObjectStore
from .windows import DAY_S, windows_within

# A listing waits for the network: so many at once.
LISTINGS = 8
# Files of these windows are there as long as nobody but retention deletes any. A window without
# series has none, and the exporter does not count how many clusters one with series has.
_PROMISED = frozenset({State.EXPORTED, State.AGAIN})


@dataclass(frozen=True)
class Files:
    """`clusters` has objects and bytes by cluster's folder; `counted_whole` is False where the
    time did not suffice. `lost` are windows that should have a file of some cluster and have
    none, as keys with `*` for the cluster; empty where not all was counted."""

    clusters: dict[str, dict[str, int]]
    counted_whole: bool
    lost: tuple[str, ...]


def count_files(bucket: ObjectStore, prefix: str, coverage: Coverage, deadline: Deadline) -> Files:
    """List the days of the range, folder by folder, one cluster after the other.

    Files of other exporters under the prefix count too: a key does not say whose it is.
    """
    clusters: dict[str, dict[str, int]] = {}
    found: set[tuple[str, int]] = set()
    days = _day_folders(coverage)
    months = {day[: day.index("/") + 1] for day in days}

    def folders_in(folder: str) -> tuple[str, ...]:
        deadline.check()
        return bucket.list(folder).folders

    def files_of_day(folder: str) -> list[tuple[str, int]]:
        files: list[tuple[str, int]] = []
        for metric in folders_in(folder):
            deadline.check()
            files += bucket.list(metric).keys.items()
        return files

    try:
        with ThreadPoolExecutor(LISTINGS) as pool:
            for cluster in folders_in(f"{prefix}/"):
                mine = [
                    day
                    for month in folders_in(cluster)
                    if month.removeprefix(cluster) in months
                    for day in folders_in(month)
                    if day.removeprefix(cluster) in days
                ]
                for key, size in chain.from_iterable(pool.map(files_of_day, mine)):
                    name = parse_key(prefix, key)
                    if name and coverage.start <= name.start < coverage.end:
                        count = clusters.setdefault(name.folder, {"objects": 0, "bytes": 0})
                        count["objects"] += 1
                        count["bytes"] += size
                        found.add((name.metric, name.start))
    except OutOfTimeError:
        return Files(clusters, counted_whole=False, lost=())
    lost = tuple(
        object_key_in(f"{prefix}/*/", metric, start)
        for metric, start in _promised(coverage)
        if (metric, start) not in found
    )
    return Files(clusters, counted_whole=True, lost=lost)


def _day_folders(coverage: Coverage) -> frozenset[str]:
    """The folders of the range's days up to now, below a cluster's."""
    first = coverage.start - coverage.start % DAY_S
    return frozenset(
        day_folder("", datetime.fromtimestamp(moment, UTC))
        for moment in range(first, min(coverage.end, coverage.now), DAY_S)
    )


def _promised(coverage: Coverage) -> Iterator[tuple[str, int]]:
    """Metric and window start of everything that was exported with series."""
    for line in coverage.lines:
        for span in line.spans:
            if span.state in _PROMISED:
                for window in windows_within(coverage.grids, span.start, span.end):
                    for metric in line.metrics:
                        yield metric, window.start
