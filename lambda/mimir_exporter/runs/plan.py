"""What a run is to do: windows with the metrics that each lacks."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from .. import log
from ..checkpoint.state import Checkpoint
from ..checkpoint.wanted import due_windows
from ..timeline.windows import Window, iso_range
from .context import RunContext

Plan = Sequence[tuple[Window, tuple[str, ...]]]


@dataclass(frozen=True)
class ExportScope:
    """What a run is limited to: whole windows of [start, end), and these metrics."""

    start: int
    end: int
    metrics: tuple[str, ...]

    def __str__(self) -> str:
        return iso_range(self.start, self.end)

    def select(self, window: Window, names: Sequence[str]) -> tuple[str, ...]:
        """The metrics of this window that are in the scope."""
        if not (self.start <= window.start and window.end <= self.end):
            return ()
        return tuple(name for name in names if name in self.metrics)


def plan_run(
    context: RunContext,
    checkpoint: Checkpoint,
    scope: ExportScope | None,
    cured: Collection[tuple[str, str]] = (),
) -> Plan:
    """What is due and not with an execution, within `scope`: newest first, and what has failed
    last. A window of which a part has failed is there twice. `cured` as in due_windows."""
    plan = due_windows(checkpoint, context.names, context.settings, context.now(), cured=cured)
    return _failed_last(checkpoint, plan if scope is None else limit_plan(scope, plan))


def _failed_last(
    checkpoint: Checkpoint, plan: Iterable[tuple[Window, tuple[str, ...]]]
) -> list[tuple[Window, tuple[str, ...]]]:
    """What always fails then holds back nothing that works; what failed least comes first."""
    fresh: list[tuple[Window, tuple[str, ...]]] = []
    failed: list[tuple[int, Window, tuple[str, ...]]] = []
    for window, names in plan:
        attempts = {
            name: failure.attempts
            for name in names
            if (failure := checkpoint.failure_of(name, window))
        }
        if len(attempts) < len(names):
            fresh.append((window, tuple(name for name in names if name not in attempts)))
        if attempts:
            failed.append((min(attempts.values()), window, tuple(attempts)))
    return fresh + [
        (window, names) for _, window, names in sorted(failed, key=lambda entry: entry[0])
    ]


def limit_plan(
    scope: ExportScope, plan: Iterable[tuple[Window, tuple[str, ...]]]
) -> Iterator[tuple[Window, tuple[str, ...]]]:
    """What of a plan is within `scope`."""
    for window, names in plan:
        if selected := scope.select(window, names):
            yield window, selected


def log_plan(plan: Plan) -> None:
    """How much is due."""
    fields: log.Fields = {
        "windows": len({window for window, _ in plan}),
        "metric_windows": sum(len(names) for _, names in plan),
    }
    if plan:
        windows = [window for window, _ in plan]
        fields["range"] = iso_range(min(windows).start, max(windows).end)
    log.RUN_PLANNED(**fields)
