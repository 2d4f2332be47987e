"""Checkpoints for the tests of their rules, their document and their size."""

from collections.abc import Iterable

from mimir_exporter.checkpoint.adopt import adopt_settings
from mimir_exporter.checkpoint.outcomes import mark_exported, mark_failed, record_handover
from mimir_exporter.checkpoint.records import GAP_ATTEMPTS, Handover
from mimir_exporter.checkpoint.state import Checkpoint
from mimir_exporter.checkpoint.wanted import wanted_windows
from mimir_exporter.errors import ErrorDetails
from mimir_exporter.settings.load import load_settings
from mimir_exporter.settings.settings import Settings
from mimir_exporter.timeline.intervals import union
from mimir_exporter.timeline.windows import Window
from tests.clocks import unix

HOUR = 3600
NAMES = ("cpu", "memory")


NOW = unix("2026-10-31T12:34")


def configure(**variables: str) -> Settings:
    required = {"S3_BUCKET": "bucket", "S3_PREFIX": "k8s", "CLUSTER_NAME": "prod"}
    return load_settings({**required, **variables})


def begun(
    settings: Settings | None = None, names: Iterable[str] = NAMES, now: int = NOW
) -> Checkpoint:
    checkpoint = Checkpoint()
    adopt_settings(checkpoint, settings or configure(), names, now)
    return checkpoint


def hour(text: str) -> Window:
    start = unix(text)
    return Window(start, start + HOUR, 60)


def starts(plan: Iterable[tuple[Window, tuple[str, ...]]]) -> list[int]:
    return [window.start for window, _ in plan]


def export_all(checkpoint: Checkpoint, settings: Settings, names: Iterable[str], now: int) -> None:
    for window, lacking in list(wanted_windows(checkpoint, names, settings, now)):
        for name in lacking:
            mark_exported(checkpoint, name, window, empty=False)


def refused(cause: str = "no") -> ErrorDetails:
    """The parts of an error, as they come from a run."""
    return ErrorDetails("query_rejected", "Mimir rejects the query", cause, "correct the query")


def make_gap(checkpoint: Checkpoint, name: str, window: Window, at: int) -> None:
    """Fail as often as it takes, the last time at `at`."""
    for attempt in range(GAP_ATTEMPTS):
        mark_failed(checkpoint, name, window, refused(), at - (GAP_ATTEMPTS - 1 - attempt) * 1800)


def handed(checkpoint: Checkpoint, windows: Iterable[Window], now: int = NOW) -> Handover:
    ranges = union((window.start, window.end) for window in windows)
    handover = Handover("backfill-1", ranges, now)
    record_handover(checkpoint, handover)
    return handover
