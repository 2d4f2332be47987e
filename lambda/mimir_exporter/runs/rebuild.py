"""The event `rebuild`: a lost checkpoint from the manifests, by the day.

What manifests cannot know is said: gaps are pending again, and what operators accepted or asked for
is to be sent once more. While it is not finished no run exports anything. Where a window was just
being replaced when the checkpoint was lost its files may be others than its manifest says: a repair
of the whole range is queued for that.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from .. import log
from ..checkpoint.rebuilt import note_exported, note_layout
from ..checkpoint.records import PartitionConfig, RangeTask
from ..checkpoint.state import Checkpoint
from ..checkpoint.tasks import add_task, rebuild_of
from ..checkpoint.wanted import keep_from
from ..errors import QueryError
from ..errors.runs import CHECKPOINT_EXISTS, NO_MANIFESTS
from ..events import RebuildEvent, RebuildResult
from ..storage.manifest import Manifest
from ..timeline.deadline import Deadline
from ..timeline.intervals import subtract
from ..timeline.windows import DAY_S, count_windows, iso_range
from ..words import counted
from .by_day import Reports, walk
from .context import RunContext

# Of the time that is left; the rest is for saying what came of it.
SHARE = 0.9
NOT_REBUILT = (
    "how often a window failed, and why: what has no manifest is pending again, gaps included",
    "gaps that were accepted: send `accept` again",
    "ranges that were requested again and not done: send `reexport` again",
    "what was audited: it is audited again",
    "executions at work: what they have may be exported twice, to the same files",
    "windows from before there were manifests: they are exported again where Mimir has them",
    "which days retention deleted",
)


@dataclass
class _Look:
    """One metric of a day."""

    metric: str
    manifests: list[Manifest] = field(default_factory=list)
    found: dict[str, int] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)

    @property
    def metric_windows(self) -> int:
        return len(self.manifests)

    def record(self, checkpoint: Checkpoint) -> None:
        """Take the windows in, oldest first."""
        for manifest in self.manifests:
            taken = note_exported(
                *(checkpoint, manifest.metric, manifest.window),
                empty=not manifest.files,
                exported=manifest.exported,
            )
            if taken and manifest.layout is not None:
                layout = manifest.layout
                partition = PartitionConfig(
                    layout.cluster_label, layout.cluster_name, layout.split_by_cluster
                )
                note_layout(checkpoint, partition, manifest.exported)


def rebuild(context: RunContext, event: RebuildEvent) -> RebuildResult:
    """Rebuild the checkpoint, as far as the time suffices; the next run continues.

    Raises SettingsError where there is a checkpoint and the event does not say `merge`, or where
    there are no manifests.
    """
    days = context.manifests.days()
    if not days:
        raise NO_MANIFESTS(where=context.bucket.where(context.manifests.folder))
    span = (days[0], days[-1] + DAY_S)

    def record(fresh: Checkpoint) -> RangeTask:
        begun = rebuild_of(fresh)
        if begun is not None:
            return begun
        if fresh.metrics and not event.merge:
            raise CHECKPOINT_EXISTS(event='{"action": "rebuild", "merge": true}')
        now = context.now()
        task = RangeTask("rebuild", *span, (), now, context.run_id, span)
        add_task(fresh, task)
        low = max(span[0], keep_from(context.settings, now))
        if low < span[1]:
            files = RangeTask(
                *("repair", low, span[1], context.names, now, context.run_id),
                asked=(low, span[1]),
            )
            add_task(fresh, files)
        return task

    _, task = context.store.update(record)
    reports = continue_rebuild(context, task, SHARE)
    missing: dict[str, int] = {}
    if reports.finished:
        checkpoint, _ = context.store.update(context.adopt)
        missing = _missing(context, checkpoint, span[1])
    return {
        "outcome": "complete" if reports.finished else "unfinished",
        "message": _sentence(task, reports, missing),
        "range": iso_range(*task.asked),
        "metric_windows": reports.metric_windows,
        "days": reports.as_list(),
        "missing": missing,
        "not_rebuilt": list(NOT_REBUILT),
    }


def continue_rebuild(context: RunContext, task: RangeTask, share: float) -> Reports:
    """Continue a rebuild, in a share of the time that is left. Raises StopRunError."""

    def look_at(
        pool: ThreadPoolExecutor, part: RangeTask, metric: str, etags: Mapping[int, str]
    ) -> _Look:
        del part
        look = _Look(metric)

        def read(start: int) -> Manifest | None:
            try:
                found = context.manifests.read(metric, start)
            except QueryError as error:
                log.MANIFEST_NOT_READ(error=error)
                look.keys.append(context.manifests.key(metric, start))
                return None
            return None if found is None else found[0]

        for manifest in pool.map(read, sorted(etags)):
            # What is known not to be the whole is pending, as it was.
            if manifest is not None and manifest.begins is None:
                look.manifests.append(manifest)
        if look.keys:
            look.found["unreadable"] = len(look.keys)
        return look

    deadline = Deadline(context.deadline.remaining_s() * share)
    reports = walk(context, task, deadline, look_at)
    log.CHECKPOINT_REBUILT(
        range=iso_range(*task.asked),
        metric_windows=reports.metric_windows,
        unfinished=not reports.finished,
    )
    return reports


def finish_rebuild(context: RunContext, checkpoint: Checkpoint) -> Checkpoint | None:
    """The checkpoint of a run, rebuilt as a whole where that was begun; None where the time did not
    suffice. Raises StopRunError."""
    task = rebuild_of(checkpoint)
    if task is None:
        return checkpoint
    if not continue_rebuild(context, task, SHARE).finished:
        return None
    return context.store.update(context.adopt)[0]


def _missing(context: RunContext, checkpoint: Checkpoint, end: int) -> dict[str, int]:
    """How many windows of each metric have no manifest, up to the newest that has one."""
    counts: dict[str, int] = {}
    kept_since = keep_from(context.settings, context.now())
    for name in context.names:
        progress = checkpoint.metrics[name]
        newest = max((high for _, high in progress.exported), default=end)
        holes = subtract([(max(progress.since, kept_since), newest)], progress.exported)
        if lacking := sum(count_windows(checkpoint.schedules, *hole) for hole in holes):
            counts[name] = lacking
    return counts


def _sentence(task: RangeTask, reports: Reports, missing: Mapping[str, int]) -> str:
    windows = counted(reports.metric_windows, "metric-window")
    if not reports.finished:
        return (
            f"{windows} of {len(reports.days)} days taken in; the next run continues, and exports "
            "nothing before it has finished."
        )
    lacking = sum(missing.values())
    hole = f"{counted(lacking, 'metric-window')} between them pending again" if lacking else ""
    unreadable = reports.total("unreadable")
    parts = [
        f"The checkpoint is rebuilt: {windows} of {iso_range(*task.asked)} are exported",
        hole,
        f"{counted(unreadable, 'manifest')} cannot be read" if unreadable else "",
        "a repair of the range is queued",
    ]
    return f"{'; '.join(part for part in parts if part)}."
