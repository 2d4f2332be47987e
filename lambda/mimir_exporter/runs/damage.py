"""Holds the bucket against the manifests of a range: what is missing, or is not as they say.

A metric-window is broken where a file that its manifest lists is missing or another one by size or
ETag, where a file lies that its manifest says is to be deleted, and where the checkpoint counts it
as exported and there is no manifest. Broken ones are requested again, as a reexport does.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from .. import log
from ..checkpoint.records import RangeTask, ReexportRequest
from ..checkpoint.reexports import open_request, request_reexport
from ..checkpoint.state import Checkpoint
from ..errors import ExportError, OutOfTimeError, QueryError, StopRunError
from ..storage.layout import source_name
from ..storage.manifest import Manifest
from ..storage.objects import StoredKey
from ..timeline.deadline import Deadline
from ..timeline.intervals import intersect, union
from ..timeline.windows import Window, iso, windows_within
from .by_day import DayReport, Reports, walk
from .context import RunContext

# What can be wrong, as a look counts it, and its noun.
FAULTS = {
    "missing": "missing file",
    "changed": "changed file",
    "left_over": "leftover file",
    "without_manifest": "missing manifest",
    "unreadable": "unreadable manifest",
}


@dataclass
class _Look:
    """One metric of a day: which windows are broken, and why."""

    task: RangeTask
    metric: str
    metric_windows: int = 0
    broken: list[Window] = field(default_factory=list)
    found: dict[str, int] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)

    def count(self, what: str, key: str = "") -> None:
        """One more of these; `key` where it is not as it should be."""
        self.found[what] = self.found.get(what, 0) + 1
        if key:
            self.keys.append(key)

    def record(self, checkpoint: Checkpoint) -> None:
        """Request the broken windows again."""
        ranges = union((window.start, window.end) for window in self.broken)
        if not ranges:
            return
        number = open_request(checkpoint, self.task.requester)
        for start, end in ranges:
            request = ReexportRequest(
                *(start, end, (self.metric,)),
                asked=self.task.asked,
                number=number,
                requested_at=self.task.requested_at,
                requester=self.task.requester,
            )
            request_reexport(checkpoint, request)


def look_for_damage(
    context: RunContext,
    checkpoint: Checkpoint,
    task: RangeTask,
    share: float,
    *,
    dry_run: bool = False,
) -> Reports:
    """Look at the files of the task's range, in a share of the time that is left; what is broken is
    requested again. Raises StopRunError."""
    source = source_name(context.settings.cluster_name)

    def look_at(
        pool: ThreadPoolExecutor, part: RangeTask, metric: str, etags: Mapping[int, str]
    ) -> _Look:
        look = _Look(part, metric)
        exported = intersect(checkpoint.stored(metric), [(part.start, part.day_end)])
        windows = [
            window
            for low, high in exported
            for window in windows_within(checkpoint.schedules, low, high)
        ]
        look.metric_windows = len(windows)
        noted = [window for window in windows if window.start in etags]
        read = pool.map(lambda window: _read(context, metric, window, look), noted)
        manifests = [manifest for manifest in read if manifest is not None]
        stored = _list(context, pool, manifests)
        for manifest in manifests:
            if _is_broken(context, source, manifest, stored, look):
                look.broken.append(manifest.window)
        for window in windows:
            if window.start not in etags:
                look.count("without_manifest", context.manifests.key(metric, window.start))
                look.broken.append(window)
        if look.broken:
            look.found["broken"] = len(look.broken)
        return look

    deadline = Deadline(context.deadline.remaining_s() * share)
    return walk(context, task, deadline, look_at, dry_run=dry_run, finish_day=_log_day)


def _read(context: RunContext, metric: str, window: Window, look: _Look) -> Manifest | None:
    try:
        found = context.manifests.read(metric, window.start)
    except QueryError:
        look.count("unreadable", context.manifests.key(metric, window.start))
        return None
    return None if found is None else found[0]


def _list(
    context: RunContext, pool: ThreadPoolExecutor, manifests: Iterable[Manifest]
) -> dict[str, StoredKey]:
    """What lies in the folders of the manifests' files."""
    folders = {
        key.rpartition("/")[0] + "/"
        for manifest in manifests
        for key in (*manifest.etags, *manifest.superseded)
    }
    stored: dict[str, StoredKey] = {}
    for folder in pool.map(context.bucket.list, sorted(folders)):
        stored |= folder.keys
    return stored


def _is_broken(
    context: RunContext,
    source: str,
    manifest: Manifest,
    stored: Mapping[str, StoredKey],
    look: _Look,
) -> bool:
    broken = False
    for file in manifest.files:
        look.count("files")
        found = stored.get(file.key)
        if found is None:
            look.count("missing", file.key)
        elif found.size != file.size or found.etag != file.etag:
            look.count("changed", file.key)
        else:
            continue
        broken = True
    for key in manifest.superseded.keys() - manifest.etags.keys():
        if key in stored and _is_left_over(context, source, manifest, key):
            look.count("left_over", key)
            broken = True
    return broken


def _is_left_over(context: RunContext, source: str, manifest: Manifest, key: str) -> bool:
    """Whether a file is there that a write replaced, or began, and did not delete."""
    found = context.bucket.head(key)
    if found is None or found.metadata.get("source") != source:
        return False
    return manifest.superseded[key] in ("", found.etag)


def _log_day(report: DayReport) -> None:
    found = report.found
    log.FILES_COMPARED(
        range=iso(report.day)[:10],
        metric_windows=report.metric_windows,
        objects=found.get("files", 0),
        missing_files=found.get("missing", 0),
        changed_files=found.get("changed", 0),
        broken=found.get("broken", 0),
    )


def continue_repairs(context: RunContext, checkpoint: Checkpoint) -> StopRunError | None:
    """Continue the repairs that were requested and are not finished, in half of the time that is
    left; the error of the bucket that stopped it, if there was one."""
    try:
        for task in checkpoint.tasks:
            if task.action == "repair":
                look_for_damage(context, checkpoint, task, 0.5)
    except OutOfTimeError:
        pass  # the next run continues
    except StopRunError as error:
        return error
    except ExportError as error:
        log.REPAIR_INTERRUPTED(error=error)
    return None
