"""The event `audit`: counts a range again at the source, and exports what it has more of."""

from ..checkpoint.outcomes import forget_audit
from ..checkpoint.records import RangeTask
from ..checkpoint.state import Checkpoint
from ..checkpoint.tasks import add_task
from ..errors import StopRunError
from ..events import AuditEvent
from ..timeline.windows import iso_range
from ..words import counted
from .audit import audit_task
from .audit_compare import Findings
from .by_day import Reports
from .context import RunContext
from .event_range import check_range, known_metrics, whole_windows
from .plan import ExportScope
from .regular import run_regular
from .summary import Summary

# Of the time that is left, what counting may take: the rest is for exporting what was found.
SHARE = 0.7


def audit_range(context: RunContext, event: AuditEvent) -> Summary:
    """Audit whole windows of a range now, however often they have been and whatever AUDIT_AFTER
    is; the next runs do what the time does not suffice for.

    Raises SettingsError for an event that cannot be done.
    """
    metrics = known_metrics(context, event.metrics)
    check_range(event.start, event.end)

    def record(fresh: Checkpoint) -> RangeTask:
        context.adopt(fresh)
        span = whole_windows(context, fresh, event.start, event.end)
        task = RangeTask("audit", *span, metrics, context.now(), context.run_id, span)
        add_task(fresh, task)
        for name in metrics:
            forget_audit(fresh, name, *span)
        return task

    _, task = context.store.update(record)
    found = Findings()

    def audit() -> StopRunError | None:
        nonlocal found
        found = audit_task(context, context.store.read(), task, SHARE)
        return found.error

    summary = run_regular(context, ExportScope(*task.asked, metrics), before_plan=audit)
    if summary.outcome == "skipped":
        summary.message = (
            f"Queued {iso_range(*task.asked)}: another run holds the lease; the next run audits it."
        )
        return summary
    summary.message = f"{_sentence(task, found)}; {summary.message}"
    if not found.finished and summary.outcome == "complete":
        summary.outcome = "unfinished"
    summary.days = Reports(found.days).as_list()
    return summary


def _sentence(task: RangeTask, found: Findings) -> str:
    """What was found, and how far it was looked."""
    reports = Reports(found.days)
    parts = [f"{counted(reports.total('audited'), 'metric-window')} audited"]
    for name, what in (
        ("incomplete", "had more samples at the source"),
        ("fewer", "have fewer there now"),
        ("unauditable", "cannot be audited"),
    ):
        if count := reports.total(name):
            parts.append(f"{count:,} {what}")
    rest = "" if found.finished else "; the next run continues"
    return f"{', '.join(parts)} in {iso_range(*task.asked)}{rest}"
