"""Deleting the files of days that are older than RETENTION_DAYS."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from urllib.parse import quote

from .checkpoint import keep_from
from .deadline import Deadline
from .errors import OutOfTimeError
from .layout import parse_key
from .objects import Folder, ObjectStore
from .settings import Settings


def delete_expired(
    bucket: ObjectStore, settings: Settings, now: int, deadline: Deadline
) -> tuple[int, bool]:
    """Delete this exporter's files of expired days; how many, and whether all of them.

    Walks only the folders of those days. A file goes when its key is one that the layout makes
    and its metadata names this exporter: other exporters may share the prefix, down to the
    cluster's folder. Days are UTC, and a day goes as a whole once all of it is too old.
    """
    keep = datetime.fromtimestamp(keep_from(settings, now), UTC).date()
    source = quote(settings.cluster_name, safe="")
    deleted = 0
    try:
        for key in _expired_keys(bucket, settings.prefix, keep, deadline):
            deadline.check()
            stored = bucket.head(key)
            if stored is not None and stored.metadata.get("source") == source:
                bucket.delete(key)
                deleted += 1
    except OutOfTimeError:
        return deleted, False
    return deleted, True


def _expired_keys(
    bucket: ObjectStore, prefix: str, keep: date, deadline: Deadline
) -> Iterator[str]:
    def open_folder(name: str) -> Folder:
        # A thousand clusters with nothing to delete are a thousand listings too.
        deadline.check()
        return bucket.list(name)

    for cluster in open_folder(f"{prefix}/").folders:
        for month in open_folder(cluster).folders:
            for day in open_folder(month).folders if _month_begins_before(month, keep) else ():
                moment = _day(month, day)
                if moment is None or moment >= keep:
                    continue
                for metric in open_folder(day).folders:
                    for key in open_folder(metric).keys:
                        if parse_key(prefix, key):
                            yield key


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
