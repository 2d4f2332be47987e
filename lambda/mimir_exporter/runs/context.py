"""What one invocation works with. Made in `compose.py` only."""

from collections.abc import Callable
from dataclasses import dataclass

from ..catalog.metrics import Metric
from ..checkpoint.adopt import adopt_settings, join_checkpoint, layout_differences
from ..checkpoint.changes import adopt_retention
from ..checkpoint.state import Checkpoint
from ..checkpoint.store import CheckpointStore
from ..checkpoint.tasks import rebuild_of
from ..errors.runs import REBUILD_UNFINISHED
from ..errors.settings import LAYOUT_DIFFERS
from ..settings.settings import Settings
from ..source.api import Mimir
from ..source.counts import RawCounter
from ..source.secret import CredentialSource
from ..storage.manifest import ManifestStore
from ..storage.objects import ObjectStore
from ..storage.started import StartedStore
from ..timeline.deadline import Deadline
from ..timeline.windows import iso
from .cycle import Exporter
from .machine import StateMachine


@dataclass(frozen=True)
class CommandOptions:
    """Of a run from the command line, which deletes no expired files. `change_layout`: its
    settings may change how files are laid out from now on."""

    change_layout: bool = False


@dataclass(frozen=True)
class RunContext:
    """The settings, the parts that were made from them, and the time that is left.

    `run_id` is the invocation's own; `machine` is None without a state machine; `clock` gives unix
    seconds; `jitter` gives the factor, 0 to 1, by which a wait before a retry is shortened;
    `command` is None in the function.
    """

    settings: Settings
    catalog: tuple[Metric, ...]
    bucket: ObjectStore
    store: CheckpointStore
    credentials: CredentialSource
    mimir: Mimir
    counter: RawCounter
    manifests: ManifestStore
    started: StartedStore
    exporter: Exporter
    deadline: Deadline
    machine: StateMachine | None
    run_id: str
    clock: Callable[[], float]
    jitter: Callable[[], float]
    command: "CommandOptions | None" = None

    @property
    def names(self) -> tuple[str, ...]:
        """The catalogue's metric names."""
        return tuple(metric.name for metric in self.catalog)

    def now(self) -> int:
        """Unix seconds."""
        return int(self.clock())

    def adopt(self, checkpoint: Checkpoint, *, read_only: bool = False) -> None:
        """Take the settings into the checkpoint, as far as they count for it.

        A command's count only where no deployment owns the checkpoint; and neither may it change
        how files are laid out unless it is asked to. Raises SettingsError, also while the
        checkpoint is being rebuilt, and CheckpointError.
        """
        rebuilding = rebuild_of(checkpoint)
        if rebuilding is not None:
            raise REBUILD_UNFINISHED(day=iso(rebuilding.start)[:10])
        if self.command is None:
            adopt_retention(checkpoint, self.settings, self.now())
            adopt_settings(checkpoint, self.settings, self.names, self.now())
            return
        owned = bool(checkpoint.machine)
        differences = layout_differences(checkpoint, self.settings)
        if differences and not read_only and (owned or not self.command.change_layout):
            raise LAYOUT_DIFFERS(
                differences=", ".join(differences),
                otherwise="a deployment owns the checkpoint, so deploy the change instead"
                if owned
                else "or add --change-layout, which begins a new layout with the next window",
            )
        take_in = join_checkpoint if owned or (differences and read_only) else adopt_settings
        take_in(checkpoint, self.settings, self.names, self.now())
