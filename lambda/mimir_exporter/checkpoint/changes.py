"""Changed settings that delete or rename what is there: known from when they are first seen, and in
force for it a day later. Pure; times are unix seconds.

New windows follow a change at once. Set back within the day, nothing has happened.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..settings.settings import Settings
from ..timeline.intervals import covers, union
from ..timeline.windows import DAY_S, Window
from .in_part import partial_ranges
from .records import PartitionConfig, RetentionInForce
from .state import Checkpoint

WAIT_S = DAY_S


@dataclass(frozen=True)
class Change:
    """A setting with its value before and now; `since` it was first seen, and from `at` on it is
    in force for what is there."""

    setting: str
    before: str
    value: str
    since: int
    at: int


def adopt_retention(checkpoint: Checkpoint, settings: Settings, now: int) -> None:
    """Take in RETENTION_DAYS: longer at once, shorter a day after it was first seen."""
    known = checkpoint.retention
    wanted_s = settings.retention_s
    if known is None or not _keeps_less(wanted_s, known.kept_s):
        checkpoint.retention = RetentionInForce(wanted_s)
    elif known.lowered_to_s is None or _keeps_less(wanted_s, known.lowered_to_s):
        checkpoint.retention = RetentionInForce(known.kept_s, wanted_s, now)
    elif now - known.since >= WAIT_S:
        checkpoint.retention = RetentionInForce(wanted_s)
    else:
        checkpoint.retention = replace(known, lowered_to_s=wanted_s)


def _keeps_less(one_s: int, other_s: int) -> bool:
    """Of two values of RETENTION_DAYS in seconds; 0 keeps all."""
    return one_s != 0 and (other_s == 0 or one_s < other_s)


def adopt_partition(checkpoint: Checkpoint, settings: Settings, now: int) -> None:
    """Take in what decides the folder of a series today."""
    known = checkpoint.partition
    wanted = PartitionConfig(
        settings.cluster_label, settings.cluster_name, settings.split_by_cluster
    )
    if known is None:
        checkpoint.partition = wanted
    elif known.layout == wanted.layout:
        if known.relabel_from and known.relabel_from <= now:
            checkpoint.partition = replace(known, relabel_from=0, before=None)
    elif known.relabel_from > now and known.before == wanted.layout:
        checkpoint.partition = replace(wanted, since=now)
    else:
        before = known.before if known.relabel_from > now else known.layout
        checkpoint.partition = replace(wanted, since=now, relabel_from=now + WAIT_S, before=before)


def expired_before(checkpoint: Checkpoint, settings: Settings, now: int) -> int:
    """The first midnight whose day is not deleted yet: see wanted.keep_from."""
    known = checkpoint.retention
    return first_kept(settings.retention_s if known is None else known.kept_s, now)


def first_kept(retention_s: int, now: int) -> int:
    """The first midnight whose day a retention keeps: a day goes once its end is too old."""
    if not retention_s:
        return 0
    horizon = now - retention_s
    return horizon - horizon % DAY_S


def is_held(checkpoint: Checkpoint, name: str, window: Window, now: int) -> bool:
    """Whether an export of this metric-window could rename files that are to stay for a day."""
    partition = checkpoint.partition
    if partition is None or partition.relabel_from <= now or window.start >= partition.since:
        return False
    there = union(checkpoint.stored(name), partial_ranges(checkpoint.metrics[name]))
    return covers(there, window.start, window.end)


def held_until(
    checkpoint: Checkpoint, wanted: Iterable[tuple[Window, Iterable[str]]], now: int
) -> int:
    """Until when something of what is wanted waits so; 0 where nothing does."""
    held = any(is_held(checkpoint, name, window, now) for window, names in wanted for name in names)
    return checkpoint.partition.relabel_from if held and checkpoint.partition else 0


def changes_of(checkpoint: Checkpoint, now: int) -> list[Change]:
    """What was changed, and is not in force yet for what is there."""
    found: list[Change] = []
    retention, partition = checkpoint.retention, checkpoint.partition
    if retention is not None and retention.lowered_to_s is not None:
        found.append(
            Change(
                *("RETENTION_DAYS", _days(retention.kept_s), _days(retention.lowered_to_s)),
                *(retention.since, retention.since + WAIT_S),
            )
        )
    if partition is not None and partition.before is not None and partition.relabel_from > now:
        label, _, split = partition.before
        pairs = (
            ("CLUSTER_LABEL_NAME", label, partition.cluster_label),
            ("SPLIT_BY_CLUSTER", str(split).lower(), str(partition.split).lower()),
        )
        at = partition.relabel_from
        found += [
            Change(name, before, value, at - WAIT_S, at)
            for name, before, value in pairs
            if before != value
        ]
    return found


def _days(seconds: int) -> str:
    return f"{seconds / DAY_S:g}"
