"""What a run did, in numbers."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..answer.spool import Spool
from ..checkpoint.records import PartialExport
from ..errors import ErrorDetails
from ..source.splitting import FetchStats
from ..storage.write import WriteStats
from ..timeline.windows import Window


@dataclass(frozen=True)
class MetricFailure:
    """A metric-window that failed and is left for a later run.

    `seen` are the reexport requests that it knew. With `part` it is exported, but not all of it.
    `least` is how many attempts it makes at least, where the metric fails everywhere alike; not
    `counted`, it is none.
    """

    metric: str
    window: Window
    error: ErrorDetails
    seen: int = 0
    part: PartialExport | None = None
    least: int = 0
    counted: bool = True


@dataclass
class Totals:
    """Sums over a run. `bytes` are compressed, as written; `raw_bytes` are as Mimir sent them.

    `metrics` counts exported metric-windows, `windows` those exported whole; `query_s` is as in
    FetchStats; `audited`, `incomplete` and `unauditable` count what the metric-windows of an audit
    came to.
    """

    windows: int = 0
    metrics: int = 0
    objects: int = 0
    kept: int = 0
    series: int = 0
    samples: int = 0
    bytes: int = 0
    raw_bytes: int = 0
    retries: int = 0
    cuts: int = 0
    query_s: float = 0.0
    audited: int = 0
    incomplete: int = 0
    unauditable: int = 0
    failures: list[MetricFailure] = field(default_factory=list)
    empty_windows: list[Window] = field(default_factory=list)
    remaining: dict[Window, set[str]] = field(default_factory=dict)  # metrics, of what is planned
    metrics_of: Counter[Window] = field(default_factory=Counter)
    samples_of: Counter[Window] = field(default_factory=Counter)

    def plan(self, plan: Iterable[tuple[Window, Iterable[str]]]) -> None:
        """What is to be exported; a window may be there several times."""
        for window, names in plan:
            self.remaining.setdefault(window, set()).update(names)

    @property
    def failed_windows(self) -> int:
        """How many windows have a failed metric."""
        return len({failure.window for failure in self.failures})

    def add_metric(
        self,
        name: str,
        window: Window,
        spool: Spool,
        fetched: FetchStats,
        written: WriteStats,
        *,
        is_whole: bool = True,
    ) -> None:
        """Count one exported metric-window; its window counts once all of it `is_whole`."""
        self.metrics += 1
        self.metrics_of[window] += 1
        self.samples_of[window] += spool.samples
        if is_whole:
            remaining = self.remaining.get(window, {name})
            remaining.discard(name)
            self.windows += not remaining
        self.objects += written.objects
        self.kept += written.kept
        self.series += spool.series
        self.samples += spool.samples
        self.bytes += written.bytes
        self.raw_bytes += spool.raw_bytes
        self.retries += fetched.retries
        self.cuts += fetched.cuts
        self.query_s += fetched.query_s

    def add_audit(self, audited: int, incomplete: int, unauditable: int) -> None:
        """Count audited metric-windows."""
        self.audited += audited
        self.incomplete += incomplete
        self.unauditable += unauditable
