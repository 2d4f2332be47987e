"""How many series the endpoint has of each metric, by cluster."""

import time
from dataclasses import dataclass, field

from ..catalog.metrics import Metric
from ..errors import OutOfTimeError, QueryError, RejectedError, StopRunError
from ..events import MetricCount, NotCounted
from ..runs.context import RunContext
from .findings import Findings
from .probe import Probe

TOP_CLUSTERS = 20


@dataclass
class Count:
    """One metric's series by cluster, "" for those without the label; `error` where not known."""

    by_cluster: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    no_label: str = ""

    @property
    def series(self) -> int:
        """Of all clusters."""
        return sum(self.by_cluster.values())

    @property
    def clusters(self) -> set[str]:
        """Those with a name."""
        return {name for name in self.by_cluster if name}

    @property
    def largest(self) -> dict[str, int]:
        """The series of the largest clusters; those without the label by its place."""
        top = sorted(self.by_cluster.items(), key=lambda item: (-item[1], item[0]))[:TOP_CLUSTERS]
        return {name or self.no_label: count for name, count in top}

    def as_dict(self) -> MetricCount | NotCounted:
        """For the result: the largest clusters only."""
        if self.error:
            return {"error": self.error}
        return {
            "series": self.series,
            "clusters": len(self.clusters),
            "by_cluster": self.largest,
            "seconds": round(self.seconds, 3),
        }


def count_series(context: RunContext, probe: Probe, metric: Metric, findings: Findings) -> Count:
    label = context.settings.cluster_label
    what = f"metric:{metric.name}"
    started = time.monotonic()
    count = Count(no_label=f"(no {label} label)")
    try:
        count.by_cluster = probe.count(metric.promql(label))
    except (StopRunError, RejectedError) as error:
        findings.add_error("query_api" if isinstance(error, StopRunError) else what, error)
        count.error = error.details.found
    except OutOfTimeError as error:
        findings.add_warning(what, "not counted", error, "give the function a longer timeout_s")
        count.error = error.details.found
    except QueryError as error:
        # A run waits longer, retries and splits: this alone is no error.
        findings.add_warning(
            what,
            "its series could not be counted",
            error,
            "run the check again; a run retries, and splits the query",
        )
        count.error = error.details.found
    count.seconds = time.monotonic() - started
    return count
