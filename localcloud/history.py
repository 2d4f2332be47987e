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


def load_history(history: History, writer: RemoteWriter) -> int:
    """Push the whole history, oldest first, and return the number of samples."""
    return sum(load_steps(history, writer))


def load_steps(history: History, writer: RemoteWriter) -> Iterator[int]:
    """Push the history a step at a time: the number of samples of each step, for a progress bar."""
    runs = list(make_history(history))
    for first in range(0, history.grid.length, SCRAPES_A_REQUEST):
        parts = (run.between(first, first + SCRAPES_A_REQUEST) for run in runs)
        yield writer.send(part for part in parts if part is not None)


def make_history(history: History) -> Iterator[Run]:
    """Every run of samples of every series, in no particular order in time."""
    for cluster in history.clusters:
        yield from Exposition(history.grid, cluster, history.cluster_label, history.seed).runs()
