"""Deleting the files of days that are older than RETENTION_DAYS."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from .. import log
from ..checkpoint.changes import expired_before
from ..checkpoint.outcomes import mark_deleted
from ..checkpoint.state import Checkpoint
from ..errors import ConditionFailedError, OutOfTimeError, QueryError, StopRunError
from ..settings.settings import Settings
from ..storage.layout import parse_key, source_name
from ..storage.objects import Folder, ObjectStore
from ..timeline.deadline import Deadline
from ..timeline.windows import iso
from .context import RunContext
from .receipts import drop_receipts

# A run deletes before it exports, so that a bucket whose runs are all full does not grow for ever,
# and for a quarter of its time at most, so that the newest windows do not wait for it.
SHARE = 0.25
# Folders that are cleared at once: a deletion waits for the network far longer than it computes.
FOLDERS = 8


@dataclass(frozen=True)
class ExpiryResult:
    """How many files a run deleted, and the error that stopped it, if there was one; `finished`:
    nothing expired is left."""

    deleted: int = 0
    error: StopRunError | None = None
    finished: bool = False


def delete_expired(
    context: RunContext, checkpoint: Checkpoint, *, share: float = SHARE, at_once: bool = False
) -> ExpiryResult:
    """Delete files older than RETENTION_DAYS, once a day, by as many runs as it takes.

    In a `share` of the time that is left; `at_once` also where it is done for today.
    """
    now = context.now()
    today = iso(now)[:10]
    keep = expired_before(checkpoint, context.settings, now)
    if not keep or (checkpoint.retention_done == today and not at_once):
        return ExpiryResult(finished=True)
    deadline = Deadline(context.deadline.remaining_s() * share)
    deleted, whole = 0, False
    try:
        # Record the cutoff before deleting: no file is missing without its reason.
        context.store.update(lambda fresh: mark_deleted(fresh, keep))
        drop_receipts(context, keep)
        listed, done = delete_listed(context, keep, deadline)
        found, finished = delete_expired_files(context.bucket, context.settings, keep, deadline)
        deleted = listed + found
        context.started.delete_before(keep)
        whole = finished and done
        if whole:
            context.store.update(lambda fresh: setattr(fresh, "retention_done", today))
    except OutOfTimeError:
        pass  # the next run continues
    except StopRunError as error:
        return ExpiryResult(deleted, error)
    return ExpiryResult(deleted, finished=whole)


def delete_listed(
    context: RunContext, keep: int, deadline: Deadline, *, quiet: bool = False
) -> tuple[int, bool]:
    """Delete the files that the manifests of days before `keep` (unix seconds) list, as they were
    written, and then the manifests; how many files, and whether all of them. Raises StopRunError.

    `quiet`: nothing is logged, as of a dry run.
    """
    gone: list[str] = []
    finished = True
    try:
        with ThreadPoolExecutor(FOLDERS) as pool:
            for day in context.manifests.days():
                if day >= keep:
                    continue
                deadline.check()
                names = list(context.manifests.of_day(day))
                list(pool.map(lambda pair: _clear_listed(context, pair, deadline, gone), names))
    except OutOfTimeError:
        finished = False
    finally:
        if gone and not quiet:
            log.EXPIRED_FILES_DELETED(deleted=len(gone), unfinished=not finished)
    return len(gone), finished


def _clear_listed(
    context: RunContext, name: tuple[int, str], deadline: Deadline, gone: list[str]
) -> None:
    """Delete the files of one manifest (window start and metric), and it; their keys are added to
    `gone`."""
    start, metric = name
    deadline.check()
    try:
        found = context.manifests.read(metric, start)
    except QueryError as error:  # the walk finds its files
        log.MANIFEST_NOT_READ(error=error)
        return
    if found is None:
        return
    manifest, etag = found
    for key, seen in {**manifest.superseded, **manifest.etags}.items():
        deadline.check()
        # What was written since is not what the manifest lists: the walk looks whose it is.
        with suppress(ConditionFailedError):
            if seen:
                context.bucket.delete(key, if_match=seen)
                gone.append(key)
    with suppress(ConditionFailedError):
        context.manifests.delete(manifest, etag)


def delete_expired_files(
    bucket: ObjectStore, settings: Settings, keep: int, deadline: Deadline, *, quiet: bool = False
) -> tuple[int, bool]:
    """Delete this exporter's files of days before `keep` (unix seconds); how many, and whether all
    of them.

    Walks only the folders of those days. A file goes when its key is one that the layout makes
    and its metadata names this exporter: other exporters may share the prefix, down to the
    cluster's folder. Days are UTC, and a day goes as a whole once all of it is too old.
    Raises StopRunError.
    """
    first = datetime.fromtimestamp(keep, UTC).date()

    def open_folder(name: str) -> Folder:
        # A thousand clusters with nothing to delete are a thousand listings too.
        deadline.check()
        return bucket.list(name)

    def clear(folder: str) -> tuple[int, bool]:
        return _clear_folder(bucket, settings, folder, deadline)

    deleted, finished = 0, True
    try:
        with ThreadPoolExecutor(FOLDERS) as pool:
            for day in _expired_days(open_folder, settings.prefix, first):
                for count, cleared in pool.map(clear, open_folder(day).folders):
                    deleted += count
                    finished &= cleared
    except OutOfTimeError:
        finished = False
    finally:
        if deleted and not quiet:
            log.EXPIRED_FILES_DELETED(deleted=deleted, unfinished=not finished)
    return deleted, finished


def _clear_folder(
    bucket: ObjectStore, settings: Settings, folder: str, deadline: Deadline
) -> tuple[int, bool]:
    """Delete this exporter's files of a folder; how many, and whether all of them."""
    source = source_name(settings.cluster_name)
    deleted = 0
    try:
        deadline.check()
        for key in bucket.list(folder).keys:
            if not parse_key(settings.prefix, key):
                continue
            deadline.check()
            # One request for many files would not be less: each has to be asked whose it is.
            stored = bucket.head(key)
            if stored is not None and stored.metadata.get("source") == source:
                bucket.delete(key)
                deleted += 1
    except OutOfTimeError:
        return deleted, False
    return deleted, True


def _expired_days(open_folder: Callable[[str], Folder], prefix: str, keep: date) -> Iterator[str]:
    """The folders of expired days, of all clusters."""
    for cluster in open_folder(f"{prefix}/").folders:
        for month in open_folder(cluster).folders:
            for day in open_folder(month).folders if _month_begins_before(month, keep) else ():
                moment = _day(month, day)
                if moment is not None and moment < keep:
                    yield day


def _month_begins_before(folder: str, keep: date) -> bool:
    month = _month(folder)
    return month is not None and month < keep


def _month(folder: str) -> date | None:
    """The first day of the month that an `end=` folder holds; None for any other folder."""
    name, _, value = folder.rstrip("/").rsplit("/", 1)[-1].partition("=")
    if name != "end" or not re.fullmatch(r"[0-9]{8}", value):
        return None
    try:
        end = datetime.strptime(value, "%Y%m%d").replace(tzinfo=UTC).date()
        return (end - timedelta(days=1)).replace(day=1) if end.day == 1 else None
    except (ValueError, OverflowError):
        return None


def _day(month_folder: str, folder: str) -> date | None:
    name, _, value = folder.rstrip("/").rsplit("/", 1)[-1].partition("=")
    month = _month(month_folder)
    if name != "day" or month is None or not re.fullmatch(r"[0-9]{1,2}", value):
        return None
    try:
        return month.replace(day=int(value))
    except ValueError:
        return None
