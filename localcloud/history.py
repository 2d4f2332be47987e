"""Days of Kubernetes metrics of several clusters, made from a seed and pushed into Prometheus."""

from collections.abc import Iterator
from dataclasses import dataclass

from localcloud.exposition import Exposition
from localcloud.remote_write import RemoteWriter
from localcloud.scrapes import Grid, Run
from localcloud.workloads import Cluster

CLUSTERS = (
    Cluster("prod-eu", nodes=4, replicas=2, gpu=True),
    Cluster("prod-us", nodes=3, replicas=2),
    Cluster("staging", nodes=2, replicas=1, ha_pair=True),
    Cluster(None, nodes=1, replicas=1, persistent=False),
)
SCRAPES_A_REQUEST = 120  # two hours of everything: a few MB, and Prometheus gets it in order


@dataclass(frozen=True)
class History:
    """What to make: [end - days, end), one scrape every `interval_s`, unix seconds."""

    end_s: int
    days: float = 3.0
    interval_s: int = 60
    seed: int = 20251005
    clusters: tuple[Cluster, ...] = CLUSTERS
    cluster_label: str = "cluster"

    @property
    def grid(self) -> Grid:
        length = round(self.days * 86400 / self.interval_s)
        return Grid(self.end_s - length * self.interval_s, length, self.interval_s)


@dataclass(frozen=True)
class Outage:
    """The agent of `cluster` is cut off in [start_s, end_s), and keeps what it could not send."""

    cluster: str
    start_s: int
    end_s: int

    def of(self, run: Run, history: History) -> bool:
        """Whether a run is of the cluster."""
        return run.labels.get(history.cluster_label) == self.cluster

    def ticks(self, grid: Grid) -> tuple[int, int]:
        """The scrapes in it, as [first, last)."""
        first, last = (
            -(-(moment - grid.start_s) // grid.interval_s) for moment in (self.start_s, self.end_s)
        )
        return max(first, 0), min(last, grid.length)


def load_history(history: History, writer: RemoteWriter) -> int:
    """Push the whole history, oldest first, and return the number of samples."""
    return sum(load_steps(history, writer))


def load_steps(
    history: History, writer: RemoteWriter, outage: Outage | None = None
) -> Iterator[int]:
    """Push the history a step at a time, without what `outage` holds back: the number of samples of
    each step, for a progress bar."""
    runs = list(make_history(history))
    for first in range(0, history.grid.length, SCRAPES_A_REQUEST):
        last = first + SCRAPES_A_REQUEST
        yield writer.send(
            part
            for run in runs
            for begin, end in _sent(run, history, outage, first, last)
            if (part := run.between(begin, end)) is not None
        )


def send_late(history: History, writer: RemoteWriter, outage: Outage) -> int:
    """Push what the outage held back, as an agent does once it is connected; how many samples."""
    first, last = outage.ticks(history.grid)
    runs = (run for run in make_history(history) if outage.of(run, history))
    parts = (run.between(first, last) for run in runs)
    return writer.send(part for part in parts if part is not None)


def _sent(
    run: Run, history: History, outage: Outage | None, first: int, last: int
) -> Iterator[tuple[int, int]]:
    """What of the scrapes [first, last) comes in time."""
    if outage is None or not outage.of(run, history):
        yield first, last
        return
    begin, end = outage.ticks(history.grid)
    yield first, min(last, begin)
    yield max(first, end), last


def make_history(history: History) -> Iterator[Run]:
    """Every run of samples of every series, in no particular order in time."""
    for cluster in history.clusters:
        yield from Exposition(history.grid, cluster, history.cluster_label, history.seed).runs()
