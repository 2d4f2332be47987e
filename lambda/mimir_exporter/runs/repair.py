"""The event `repair`: exports again what the bucket lacks of what the manifests list."""

from ..checkpoint.records import RangeTask
from ..checkpoint.state import Checkpoint
from ..checkpoint.tasks import add_task
from ..events import DryRunResult, RepairEvent
from ..timeline.windows import iso_range
from ..words import counted
from .by_day import Reports
from .context import RunContext
from .damage import FAULTS, look_for_damage
from .event_range import check_range, known_metrics, whole_windows
from .plan import ExportScope
from .regular import run_regular
from .summary import Summary

# Of the invocation's time, what looking may take: the rest is for exporting what was found.
SHARE = 0.6


def repair(context: RunContext, event: RepairEvent) -> Summary | DryRunResult:
    """Repair whole windows of a range, as far as the time suffices; the next runs do the rest.

    Raises SettingsError for an event that cannot be done.
    """
    metrics = known_metrics(context, event.metrics)
    check_range(event.start, event.end)

    def record(fresh: Checkpoint) -> RangeTask:
        context.adopt(fresh, read_only=event.dry_run)
        span = whole_windows(context, fresh, event.start, event.end)
        task = RangeTask("repair", *span, metrics, context.now(), context.run_id, span)
        add_task(fresh, task)
        return task

    if event.dry_run:
        checkpoint = context.store.read()
        return _dry_run(context, checkpoint, record(checkpoint))
    checkpoint, task = context.store.update(record)
    scope = ExportScope(*task.asked, metrics)
    reports = look_for_damage(context, checkpoint, task, SHARE)
    summary = Summary("complete", f"{_sentence(task, reports)}.")
    if reports.total("broken") or not reports.finished:
        summary = run_regular(context, scope)
        summary.message = f"{_sentence(task, reports)}; {summary.message}"
        if not reports.finished and summary.outcome == "complete":
            summary.outcome = "unfinished"
    summary.days = reports.as_list()
    return summary


def _dry_run(context: RunContext, checkpoint: Checkpoint, task: RangeTask) -> DryRunResult:
    """What a repair would find: all of the time is for looking."""
    reports = look_for_damage(context, checkpoint, task, 1.0, dry_run=True)
    return {
        "outcome": "dry_run",
        "message": f"{_sentence(task, reports)}. Nothing was written.",
        "range": iso_range(*task.asked),
        "counts": {name: reports.total(name) for name in ("files", *FAULTS, "broken")},
        "first": reports.keys,
        "days": reports.as_list(),
        "counted_whole": reports.finished,
    }


def _sentence(task: RangeTask, reports: Reports) -> str:
    """What was found, and how far it was looked."""
    span = iso_range(*task.asked)
    if not reports.finished:
        span = f"{len(reports.days)} days of {span}; the next run continues"
    faults = [
        counted(reports.total(name), noun) for name, noun in FAULTS.items() if reports.total(name)
    ]
    files = counted(reports.total("files"), "file")
    if not faults:
        return f"All {files} are as their manifests say in {span}"
    broken = counted(reports.total("broken"), "metric-window")
    return f"{', '.join(faults)} among {files}, in {broken} of {span}"
