"""What a run came to, in numbers and in a sentence."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..errors import StopRunError
from ..events import DayResult, FailureResult, RunOutcome, RunResult
from ..timeline.windows import iso
from ..words import counted
from .plan import ExportScope
from .totals import Totals

# So that a result stays readable.
SHOWN_FAILURES = 20


@dataclass
class Summary:
    """A run's result. `pending` counts windows that still lack a metric, `in_part` the
    metric-windows that are exported in part."""

    outcome: RunOutcome
    message: str
    totals: Totals = field(default_factory=Totals)
    planned: int = 0
    handed_over: int = 0
    pending: int = 0
    gaps: int = 0
    in_part: int = 0
    lag_s: int = 0
    held_until: int = 0  # unix seconds: until then files stay in the layout of before; 0: none do
    covered_until: int = 0  # unix seconds; 0: not known
    execution: str | None = None
    deleted: int = 0
    seconds: float = 0.0
    error: StopRunError | None = None
    days: list[DayResult] = field(default_factory=list)

    def failures(self) -> list[FailureResult]:
        """The first metric-windows that failed, each with the parts of its error."""
        return [
            {
                "metric": failure.metric,
                "window": str(failure.window),
                "code": failure.error.code,
                "summary": failure.error.summary,
                "cause": failure.error.cause,
                "remedy": failure.error.remedy,
            }
            for failure in self.totals.failures[:SHOWN_FAILURES]
        ]

    def as_dict(self) -> RunResult:
        """What the function returns."""
        totals = self.totals
        result: RunResult = {
            "outcome": self.outcome,
            "message": self.message,
            "windows": {
                "planned": self.planned,
                "exported": totals.windows,
                "failed": totals.failed_windows,
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
            "execution": self.execution,
            "deleted": self.deleted,
            "seconds": round(self.seconds, 1),
            "query_s": round(totals.query_s, 1),
            "failures": self.failures(),
        }
        if self.days:
            result["days"] = self.days
        return result

    def stop(self, scope: ExportScope | None, error: StopRunError) -> None:
        """The error that ended the run before its end."""
        self.outcome, self.error = "stopped", error
        self.message = describe(self, scope)


def describe(summary: Summary, scope: ExportScope | None) -> str:
    """The sentence; `scope` is what the run was limited to."""
    return "; ".join([*_done(summary), *_state(summary, scope)]) + "."


def _done(summary: Summary) -> Iterator[str]:
    """What the run did, and what stopped it."""
    totals = summary.totals
    if summary.planned:
        yield f"{totals.windows}/{counted(summary.planned, 'window')} exported"
    else:
        yield "Nothing was due"
    if summary.error is not None:
        yield str(summary.error)
    if summary.handed_over:
        yield f"{counted(summary.handed_over, 'window')} handed over to Step Functions"
    if totals.failures:
        metrics = sorted({failure.metric for failure in totals.failures})
        yield f"failed: {', '.join(metrics[:5])} ({totals.failures[0].error.found})"
    if totals.empty_windows:
        empty = counted(len(totals.empty_windows), "window")
        yield f"no series for any metric in {empty}: check tenant and source, then reexport"


def _state(summary: Summary, scope: ExportScope | None) -> Iterator[str]:
    """What is missing after the run."""
    if summary.gaps:
        yield f"{counted(summary.gaps, 'gap')}: see the status"
    if summary.held_until:
        yield f"files in the layout of before stay as they are until {iso(summary.held_until)}"
    if scope is not None and summary.outcome == "complete":
        yield f"{scope} is exported"
        if summary.pending:
            yield f"{counted(summary.pending, 'window')} outside of this range pending"
    elif summary.pending:
        yield f"{counted(summary.pending, 'window')} pending"
    elif summary.covered_until:
        yield f"everything up to {iso(summary.covered_until)} is exported"
