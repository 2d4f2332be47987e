"""Taking the settings of today into the checkpoint. Pure; times are unix seconds."""

from collections.abc import Iterable
from dataclasses import replace

from ..errors import runs as errors
from ..settings.settings import Settings
from ..timeline.clock import CLOCK_OFF_S
from ..timeline.windows import adopt_schedule, iso, window_at
from .changes import adopt_partition, expired_before
from .records import MetricProgress
from .reexports import settle_requests
from .state import Checkpoint

# Removed metrics whose progress is retained.
GONE_METRICS = 20
# TIME_FRAME and QUERY_STEP may change this often within what RETENTION_DAYS keeps.
MAX_SCHEDULES = 32
FOREVER = 1 << 40


def adopt_settings(
    checkpoint: Checkpoint, settings: Settings, names: Iterable[str], now: int
) -> None:
    """Take in the schedule, the partition, new metrics and a longer backfill.

    Failures and reexport requests of removed metrics, and of days that retention deletes, are
    dropped: no run can act on them. Raises SettingsError, and CheckpointError where it was written
    by a clock that is ahead of this one.
    """
    names = tuple(names)
    _refuse_future(checkpoint, now)
    _adopt_schedule(checkpoint, settings, now)
    adopt_partition(checkpoint, settings, now)
    for name in names:
        _adopt_metric(checkpoint, settings, name, now)
    _forget_gone(checkpoint, names)
    kept_since = expired_before(checkpoint, settings, now)
    checkpoint.failures = [failure for failure in checkpoint.failures if failure.metric in names]
    for name in {name for request in checkpoint.reexports for name in request.metrics} - {*names}:
        settle_requests(checkpoint, name, 0, FOREVER)
    for name in names:
        checkpoint.forget_failures(name, 0, kept_since)
        settle_requests(checkpoint, name, 0, kept_since)


def join_checkpoint(
    checkpoint: Checkpoint, settings: Settings, names: Iterable[str], now: int
) -> None:
    """What a command takes in that works on a deployment's checkpoint: metrics that it does not
    have yet, and nothing else. Settings, backfill and retention are the deployment's.

    Raises CheckpointError as adopt_settings does.
    """
    _refuse_future(checkpoint, now)
    for name in names:
        if name not in checkpoint.metrics:
            _adopt_metric(checkpoint, settings, name, now)


def layout_differences(checkpoint: Checkpoint, settings: Settings) -> list[str]:
    """What would change how files are laid out, as `NAME is 'new', not 'recorded'`."""
    pairs: list[tuple[str, object, object]] = []
    if checkpoint.partition is not None:
        known = checkpoint.partition
        pairs += [
            ("CLUSTER_LABEL_NAME", settings.cluster_label, known.cluster_label),
            ("SPLIT_BY_CLUSTER", settings.split_by_cluster, known.split),
        ]
    if checkpoint.schedules:
        last = checkpoint.schedules[-1]
        pairs += [
            ("TIME_FRAME", settings.time_frame_s, last.width_s),
            ("QUERY_STEP", settings.query_step_s, last.step_s),
        ]
    return [f"{name} is {own!r}, not {known!r}" for name, own, known in pairs if own != known]


def _refuse_future(checkpoint: Checkpoint, now: int) -> None:
    """A store that tells the time stops a wrong clock before it writes: storage/bucket.py. Of a
    store that does not, this is found afterwards: windows that are still to come would never be
    exported."""
    until = max(
        checkpoint.deleted_until,
        *(
            progress.exported[-1][1]
            for progress in checkpoint.metrics.values()
            if progress.exported
        ),
        0,
    )
    if until > now + CLOCK_OFF_S:
        raise errors.CHECKPOINT_AHEAD(until=iso(until), now=iso(now))


def _adopt_metric(checkpoint: Checkpoint, settings: Settings, name: str, now: int) -> None:
    progress = checkpoint.metrics.setdefault(name, MetricProgress(since=now, added=now))
    # BACKFILL_DAYS counts from the day the metric came, so that raising it later reaches further
    # back, and lowering it takes nothing away.
    begin = progress.added - settings.backfill_s
    if settings.initial_backfill is not None:
        begin = int(settings.initial_backfill.timestamp())
    begin = max(0, min(begin, progress.added))
    progress.since = min(progress.since, window_at(checkpoint.schedules, begin).start)


def _adopt_schedule(checkpoint: Checkpoint, settings: Settings, now: int) -> None:
    """Add today's schedule. With too many of them, those behind retention are dropped: no window
    on them is exported again, unless RETENTION_DAYS is raised."""
    metrics = checkpoint.metrics.values()
    # A clock that was set back a little does not take back a schedule that has windows.
    newest = max((progress.exported[-1][1] for progress in metrics if progress.exported), default=0)
    seen = max(now, min(newest, now + CLOCK_OFF_S))
    schedules = adopt_schedule(
        checkpoint.schedules, settings.time_frame_s, settings.query_step_s, seen
    )
    restored = [progress.restored[0][0] for progress in metrics if progress.restored]
    behind = min(checkpoint.deleted_until, *restored, FOREVER)
    while len(schedules) > MAX_SCHEDULES and schedules[1].since <= behind:
        schedules = (replace(schedules[1], since=0), *schedules[2:])
    if len(schedules) > MAX_SCHEDULES:
        raise errors.TOO_MANY_SCHEDULES(
            count=MAX_SCHEDULES,
            since=iso(schedules[1].since),
            time_frame=schedules[-2].width_s,
            query_step=schedules[-2].step_s,
        )
    checkpoint.schedules = schedules


def _forget_gone(checkpoint: Checkpoint, names: Iterable[str]) -> None:
    """Drop the metrics that left the catalogue longest ago: one that comes back begins as a new
    one does, and writes the same files again."""

    def newest(name: str) -> int:
        return max((end for _, end in checkpoint.metrics[name].exported), default=0)

    gone = sorted((name for name in checkpoint.metrics if name not in set(names)), key=newest)
    for name in gone[: max(0, len(gone) - GONE_METRICS)]:
        del checkpoint.metrics[name]
