"""What one invocation works with. Made in `compose.py` only."""

from collections.abc import Callable
from dataclasses import dataclass

from ..catalog.metrics import Metric
from ..checkpoint.store import CheckpointStore
from ..settings.settings import Settings
from ..source.auth import CredentialSource
from ..source.counts import RawCounter
from ..source.mimir import Mimir
from ..storage.manifest import ManifestStore
from ..storage.objects import ObjectStore
from ..timeline.deadline import Deadline
from .cycle import Exporter
from .machine import StateMachine


@dataclass(frozen=True)
class RunContext:
    """The settings, the parts that were made from them, and the time that is left.

    `run_id` is the invocation's own; `machine` is None without a state machine; `clock` gives unix
    seconds; `jitter` gives the factor, 0 to 1, by which a wait before a retry is shortened.
    """

    settings: Settings
    catalog: tuple[Metric, ...]
    bucket: ObjectStore
    store: CheckpointStore
    credentials: CredentialSource
    mimir: Mimir
    counter: RawCounter
    manifests: ManifestStore
    exporter: Exporter
    deadline: Deadline
    machine: StateMachine | None
    run_id: str
    clock: Callable[[], float]
    jitter: Callable[[], float]

    @property
    def names(self) -> tuple[str, ...]:
        """The catalogue's metric names."""
        return tuple(metric.name for metric in self.catalog)

    def now(self) -> int:
        """Unix seconds."""
        return int(self.clock())
