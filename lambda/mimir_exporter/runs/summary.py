"""What a run came to, in numbers and in a sentence."""

from dataclasses import dataclass, field
from typing import Any

from ..errors import StopRunError
from ..timeline.windows import iso
from .export import Totals
from .plan import Asked


@dataclass
class Summary:
    """A run's result. `pending` counts windows that still lack a metric."""

    outcome: str
    message: str
    totals: Totals = field(default_factory=Totals)
    planned: int = 0
    handed_over: int = 0
    pending: int = 0
    gaps: int = 0
    lag_s: int = 0
    covered_until: int = 0  # unix seconds; 0: not known
    executions: list[str] = field(default_factory=list)
    deleted: int = 0
    seconds: float = 0.0
    error: StopRunError | None = None

    def as_dict(self) -> dict[str, Any]:
        """What the function returns: small, and readable in the console."""
        totals = self.totals
        return {
            "outcome": self.outcome,
            "message": self.message,
            "windows": {
                "planned": self.planned,
                "exported": totals.windows,
                "failed": len({failure.window for failure in totals.failures}),
                "handed_over": self.handed_over,
                "pending": self.pending,
            },
            "objects": totals.objects,
            "series": totals.series,
            "samples": totals.samples,
            "bytes": totals.bytes,
            "raw_bytes": totals.raw_bytes,
            "lag_s": self.lag_s,
            "gaps": self.gaps,
            "execution": self.executions[0] if self.executions else None,
            "deleted": self.deleted,
            "seconds": round(self.seconds, 1),
            "query_s": round(totals.query_s, 1),
            "failures": [
                {"metric": one.metric, "window": str(one.window), "reason": one.reason}
                for one in totals.failures[:20]
            ],
        }

    def stop(self, only: Asked | None, error: StopRunError) -> None:
        """It did not come to its end."""
        self.outcome, self.error = "stopped", error
        self.message = describe(self, only)


def describe(summary: Summary, only: Asked | None) -> str:
    """The sentence; `only` is what the run was limited to."""
    totals = summary.totals
    did = f"{totals.windows} of {summary.planned} windows exported"
    if not summary.planned:
        did = "Nothing was due"
    parts = [did]
    if summary.error is not None:
        parts.append(str(summary.error).rstrip("."))
    if summary.handed_over:
        parts.append(f"{summary.handed_over} handed over to Step Functions")
    if totals.failures:
        metrics = sorted({failure.metric for failure in totals.failures})
        parts.append(f"failed: {', '.join(metrics[:5])} ({totals.failures[0].reason.rstrip('.')})")
    if totals.empty_windows:
        parts.append(
            f"{len(totals.empty_windows)} windows had no series of any metric: if that is a "
            "surprise, check the tenant and the data source, then export them again"
        )
    if summary.gaps:
        parts.append(f"{summary.gaps} gaps; ask for the status")
    if only is not None and summary.outcome == "complete":
        parts.append(f"{only} is exported")
        if summary.pending:
            parts.append(f"{summary.pending} windows outside of it are pending")
    elif summary.pending:
        parts.append(f"{summary.pending} windows are pending")
    elif summary.covered_until:
        parts.append(f"everything up to {iso(summary.covered_until)} is exported")
    return "; ".join(parts) + "."
