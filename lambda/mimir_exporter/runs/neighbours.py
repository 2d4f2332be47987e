"""Which clusters a metric-window lacks, held against the manifests of its neighbours."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import gt

from .. import log
from ..catalog.metrics import Metric
from ..checkpoint.doubts import CLUSTERS, doubt_of
from ..checkpoint.state import Checkpoint
from ..errors import OutOfTimeError, QueryError, StopRunError
from ..storage.manifest import ManifestFile, ManifestStore
from ..timeline.intervals import covers
from ..timeline.windows import Window, window_at

# Metric-windows of which a run remembers the clusters: those of a thousand clusters take 10 MB.
REMEMBERED = 100


# A cluster's files, and whether each begins with its window: what lasts for less comes and goes.
Clusters = Mapping[str, bool]


@dataclass(frozen=True)
class Vanished:
    """Clusters that the window before has and this one (`here`) lacks; and those that this one has
    and the exported window `after` it lacks."""

    here: tuple[str, ...] = ()
    after: tuple[Window, tuple[str, ...]] | None = None


class Neighbours:
    """Compares what a run exports with what lies before and after it."""

    def __init__(self, manifests: ManifestStore, *, is_audited: bool) -> None:
        """Without an audit a doubt ends once the window was asked for again."""
        self._manifests = manifests
        self._is_audited = is_audited
        self._known: dict[tuple[str, int], Clusters | None] = {}
        self._logged: set[tuple[str, int]] = set()

    def compare(
        self, checkpoint: Checkpoint, metric: Metric, window: Window, files: Iterable[ManifestFile]
    ) -> Vanished:
        """What a metric-window with these files says; logged where it is news.

        A cluster is missed that was there from the first step of the window before, or that the
        windows on both sides have. Raises StopRunError.
        """
        if metric.fleeting:
            return Vanished()
        name, here = metric.name, _clusters(window.start, files)
        self._remember(name, window.start, here)
        before = window_at(checkpoint.schedules, window.start - 1)
        after = window_at(checkpoint.schedules, window.end)
        had = self._clusters_of(checkpoint, name, before)
        has = self._clusters_of(checkpoint, name, after)
        vanished = () if had is None else _vanished(had, here, has)
        known = doubt_of(checkpoint.metrics[name], window)
        if known is None and had is not None and (name, window.start) not in self._logged:
            self._logged.add((name, window.start))
            _log(vanished, sorted(here.keys() - had.keys()))
        if known is not None and not self._is_audited:
            vanished = ()
        if has is None:
            return Vanished(vanished)
        later = self._clusters_of(checkpoint, name, window_at(checkpoint.schedules, after.end))
        gone = _vanished(here, has, later)
        return Vanished(vanished, (after, gone) if gone else None)

    def compare_later(
        self, checkpoint: Checkpoint, metric: Metric, window: Window, files: Iterable[ManifestFile]
    ) -> Callable[[Checkpoint], Vanished]:
        """The same, for the checkpoint as it is when the window is recorded: where windows are
        exported side by side, the second to be recorded sees the first. Raises as compare does."""
        found, files = self.compare(checkpoint, metric, window, files), tuple(files)
        sides = [
            window_at(checkpoint.schedules, moment) for moment in (window.start - 1, window.end)
        ]

        def exported(at: Checkpoint) -> list[bool]:
            if metric.name not in at.metrics:  # the checkpoint was deleted: recording says so
                return [False, False]
            return [covers(at.stored(metric.name), side.start, side.end) for side in sides]

        known = exported(checkpoint)

        def compare(fresh: Checkpoint) -> Vanished:
            if metric.fleeting or not any(map(gt, exported(fresh), known)):
                return found
            try:
                return self.compare(fresh, metric, window, files)
            except (StopRunError, OutOfTimeError):  # what is exported is recorded all the same
                return found

        return compare

    def _clusters_of(self, checkpoint: Checkpoint, name: str, window: Window) -> Clusters | None:
        """Of an exported metric-window; None where it is not, or its manifest does not say."""
        key = (name, window.start)
        if key not in self._known:
            if not covers(checkpoint.stored(name), window.start, window.end):
                return None
            self._remember(*key, self._read(checkpoint, name, window))
        return self._known[key]

    def _read(self, checkpoint: Checkpoint, name: str, window: Window) -> Clusters | None:
        try:
            found = self._manifests.read(name, window.start)
        except QueryError:  # the audit names it
            return None
        partition = checkpoint.partition
        if found is None or partition is None:
            return None
        manifest, _ = found
        ours = (partition.cluster_label, partition.split)
        layout = manifest.layout
        if layout is None or (layout.cluster_label, layout.split_by_cluster) != ours:
            return None  # other names than today's
        return _clusters(window.start, manifest.files)

    def _remember(self, name: str, start: int, clusters: Clusters | None) -> None:
        self._known.pop((name, start), None)
        while len(self._known) >= REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[name, start] = clusters


def _clusters(start: int, files: Iterable[ManifestFile]) -> Clusters:
    return {file.cluster: file.first is None or file.first <= start for file in files}


def _vanished(before: Clusters, here: Clusters, after: Clusters | None) -> tuple[str, ...]:
    found = (
        name
        for name, from_first_step in before.items()
        if name not in here and (from_first_step or name in (after or ()))
    )
    return tuple(sorted(found))


def _log(vanished: Iterable[str], new: Iterable[str]) -> None:
    if gone := [*vanished]:
        log.CLUSTERS_VANISHED(clusters=len(gone), cluster_names=gone[:CLUSTERS])
    if came := [*new]:
        log.CLUSTERS_NEW(clusters=len(came), cluster_names=came[:CLUSTERS])
