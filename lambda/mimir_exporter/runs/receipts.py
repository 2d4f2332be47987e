"""Keeps the receipts up to date: of the days whose windows have changed, and of their months.

A day's receipt is made from the listing of its manifests and from the receipt before: only
manifests that are new or other ones are read, so a run that exports a window reads one for each
metric.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import TypeVar

from .. import log
from ..checkpoint.state import Checkpoint
from ..errors import ConditionFailedError, ExportError, OutOfTimeError, QueryError
from ..errors.storage import RECEIPT_CONFLICTS
from ..storage.manifest import load
from ..storage.receipt import (
    DayReceipt,
    ListedDay,
    ListedManifest,
    MonthReceipt,
    ReceiptStore,
    add,
    dump_day,
    dump_month,
    listed,
    month_of,
    month_span,
)
from ..timeline.deadline import Deadline
from ..timeline.intervals import Interval, Intervals, covers, subtract, union
from ..timeline.windows import DAY_S
from .context import RunContext

T = TypeVar("T")

# Reading waits for the network: so many at once.
READS = 8
# Another process may be writing the same receipt.
RACES = 5


def update_receipts(
    context: RunContext, share: float, checkpoint: Checkpoint | None = None
) -> None:
    """Write the receipts that are due, the newest day first, in a share of the time that is left.

    `checkpoint` is one that was read just now, where there is one. What is not done stays due. An
    error is logged, and ends it: files and manifests are whole without receipts.
    """
    deadline = Deadline(context.deadline.remaining_s() * share)
    try:
        deadline.check()
        checkpoint = checkpoint or context.store.read()
        if not checkpoint.receipts_due and not checkpoint.receipts_begun:
            return
        checkpoint, due = context.store.update(_begin)
        _write(context, checkpoint, due, deadline)
    except OutOfTimeError:
        pass  # the next run continues
    except ExportError as error:
        log.RECEIPT_NOT_WRITTEN(error=error)


def _begin(fresh: Checkpoint) -> Intervals:
    """What is due, which stays so until it is written; what changes from now on is due again."""
    fresh.receipts_begun = union(fresh.receipts_begun, fresh.receipts_due)
    fresh.receipts_due = ()
    return fresh.receipts_begun


def _write(context: RunContext, checkpoint: Checkpoint, due: Intervals, deadline: Deadline) -> None:
    receipts = ReceiptStore(context.bucket, context.settings.prefix, context.settings.cluster_name)
    by_month: dict[str, list[int]] = {}
    for day in sorted((day for low, high in due for day in range(low, high, DAY_S)), reverse=True):
        by_month.setdefault(month_of(day), []).append(day)
    done: list[Interval] = []
    try:
        for month, days in by_month.items():
            written: dict[int, ListedDay | None] = {}
            try:
                for day in days:
                    deadline.check()
                    written[day] = _write_day(context, checkpoint, receipts, day)
            finally:
                if written:
                    _write_month(context, checkpoint, receipts, month, written)
                    done += [(day, day + DAY_S) for day in written]
    finally:
        if done:
            context.store.update(lambda fresh: _finish(fresh, done))


def _finish(fresh: Checkpoint, done: Iterable[Interval]) -> None:
    fresh.receipts_begun = subtract(fresh.receipts_begun, done)


def _write_day(
    context: RunContext, checkpoint: Checkpoint, receipts: ReceiptStore, day: int
) -> ListedDay | None:
    """Write a day's receipt; None where it has no windows, and so no receipt."""

    def make(before: DayReceipt | None) -> DayReceipt | None:
        known = {(entry.metric, entry.start): entry for entry in before.manifests} if before else {}
        manifests = _manifests(context, checkpoint, day, known)
        if not manifests:
            return None
        end = day + DAY_S
        return DayReceipt(
            day,
            finished=_covered(context, checkpoint, day, end, audited=False) >= end,
            audited=_covered(context, checkpoint, day, end, audited=True) >= end,
            manifests=tuple(manifests),
        )

    key = receipts.day_key(day)
    written = _replace(receipts, key, lambda: receipts.read_day(day), make, dump_day)
    if written is None:
        return None
    receipt, body, etag = written
    return ListedDay(
        *(day, key, etag, sha256(body).hexdigest(), receipt.finished, receipt.audited),
        manifests=len(receipt.manifests),
        samples=add(entry.samples for entry in receipt.manifests),
        source=add(entry.source for entry in receipt.manifests),
    )


def _replace(
    receipts: ReceiptStore,
    key: str,
    read: Callable[[], tuple[T, bytes, str] | None],
    make: Callable[[T | None], T | None],
    dump: Callable[[T], bytes],
) -> tuple[T, bytes, str] | None:
    """Write what `make` makes of the receipt before over it, or delete it where that is None; the
    receipt, its bytes and its ETag. One that cannot be read counts as none."""
    for _ in range(RACES):
        try:
            before = read()
        except QueryError:
            receipts.delete(key)
            before = None
        made = make(before[0] if before else None)
        if made is None:
            receipts.delete(key)
            return None
        body = dump(made)
        if before is not None and before[1] == body:
            return made, body, before[2]
        try:
            return made, body, receipts.write(key, body, before[2] if before else None)
        except ConditionFailedError:
            continue
    raise RECEIPT_CONFLICTS(count=RACES, key=key)


def _manifests(
    context: RunContext,
    checkpoint: Checkpoint,
    day: int,
    known: Mapping[tuple[str, int], ListedManifest],
) -> list[ListedManifest]:
    """The manifests of a day's windows that are exported whole, as they are now."""

    def look(entry: tuple[tuple[int, str], str]) -> ListedManifest | None:
        (start, metric), etag = entry
        before = known.get((metric, start))
        if before is not None and before.etag == etag:
            return before
        key = context.manifests.key(metric, start)
        found = context.bucket.get(key)
        if found is None:
            return None
        try:
            manifest = load(found[0], context.bucket.where(key))
        except QueryError as error:
            log.MANIFEST_NOT_READ(error=error)
            return None
        return listed(manifest, key, found[1], sha256(found[0]).hexdigest())

    with ThreadPoolExecutor(READS) as pool:
        entries = pool.map(look, context.manifests.of_day(day).items())
        return [
            entry
            for entry in entries
            if entry is not None
            and entry.metric in checkpoint.metrics
            and covers(checkpoint.stored(entry.metric), entry.start, entry.end)
        ]


def _write_month(
    context: RunContext,
    checkpoint: Checkpoint,
    receipts: ReceiptStore,
    month: str,
    written: Mapping[int, ListedDay | None],
) -> None:
    """Write a month's receipt with these days as they are now, None being those without one."""

    def make(before: MonthReceipt | None) -> MonthReceipt | None:
        days = {**(before.days if before else {}), **written}
        left = {day: listed_day for day, listed_day in days.items() if listed_day is not None}
        return _month(context, checkpoint, month, left) if left else None

    key = receipts.month_key(month)
    _replace(receipts, key, lambda: receipts.read_month(month), make, dump_month)


def _month(
    context: RunContext, checkpoint: Checkpoint, month: str, days: Mapping[int, ListedDay]
) -> MonthReceipt:
    first, end = month_span(month)
    since = [progress.since for name in context.names if (progress := checkpoint.metrics.get(name))]
    begin = max(first, max(since, default=first))
    complete = _covered(context, checkpoint, begin, end, audited=False)
    audited = _covered(context, checkpoint, begin, end, audited=True)
    label = context.settings.cluster_label
    return MonthReceipt(
        month,
        complete_from=begin if complete > begin else None,
        complete_until=complete if complete > begin else None,
        audited_until=audited if audited > begin else None,
        metrics=tuple(
            {
                "metric": metric.name,
                "unit": metric.unit,
                "key": [label if name == "cluster" else name for name in metric.key],
            }
            for metric in context.catalog
        ),
        days=days,
    )


def _covered(
    context: RunContext, checkpoint: Checkpoint, start: int, end: int, *, audited: bool
) -> int:
    """Up to when, from `start` on and up to `end`, every metric is exported, or accepted as
    missing; with `audited` that was audited, too. What is before a metric's beginning is not
    due."""
    until = end
    for name in context.names:
        progress = checkpoint.metrics.get(name)
        if progress is None:
            return start
        whole = progress.audited if audited else checkpoint.stored(name)
        missing = subtract([(max(start, progress.since), end)], whole, checkpoint.accepted_of(name))
        until = min([until, *(low for low, _ in missing)])
    return max(start, until)


def drop_receipts(context: RunContext, keep: int) -> None:
    """Take days before `keep` (unix seconds) out of the receipts, before their files go. Raises
    StopRunError, CheckpointError."""
    receipts = ReceiptStore(context.bucket, context.settings.prefix, context.settings.cluster_name)
    for month in receipts.months():
        if month > month_of(keep):
            continue
        try:
            found = receipts.read_month(month)
        except QueryError:
            receipts.delete(receipts.month_key(month))
            continue
        gone = [day for day in found[0].days if day < keep] if found else []
        if gone:
            _write_month(context, context.store.read(), receipts, month, dict.fromkeys(gone))
        for day in gone:
            receipts.delete(receipts.day_key(day))
