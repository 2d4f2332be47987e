"""Receipts: which manifests a day has, and which days a month, for readers.

{prefix}/{CLUSTER_NAME}/_manifests/{YYYYMMDD}/day.receipt and
{prefix}/{CLUSTER_NAME}/_manifests/{YYYYMM}.receipt, gzip JSON. Each is written after all that it
lists, with the ETag and hash of it: a month's after its days', a day's after its manifests. So a
reader that follows month, day, manifest and file by their ETags never takes half a window for a
whole one. Numbers by cluster are lists in the order of `clusters`.
"""

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .. import __version__
from ..errors.storage import RECEIPT_UNREADABLE
from ..timeline.windows import iso
from .layout import manifest_day_folder
from .manifest import Manifest
from .objects import ObjectStore

SCHEMA_VERSION = 1

# Samples by cluster.
Samples = Mapping[str, int]


@dataclass(frozen=True)
class ListedManifest:
    """A manifest as a day's receipt lists it.

    `source` are the source's raw samples, of all selectors of the query; None where they were not
    counted. `size` is of its files.
    """

    metric: str
    start: int
    end: int
    key: str
    etag: str
    sha256: str
    revision: int
    files: int
    size: int
    samples: Samples
    source: Samples | None


@dataclass(frozen=True)
class DayReceipt:
    """A day, as its midnight.

    `finished`: all that is due of it is exported, or accepted as missing; `audited`: all of that
    was counted again at the source.
    """

    day: int
    finished: bool
    audited: bool
    manifests: tuple[ListedManifest, ...] = ()


@dataclass(frozen=True)
class ListedDay:
    """A day's receipt as a month's lists it."""

    day: int
    key: str
    etag: str
    sha256: str
    finished: bool
    audited: bool
    manifests: int
    samples: Samples
    source: Samples


@dataclass(frozen=True)
class MonthReceipt:
    """A month (YYYYMM). All metrics are exported from `complete_from` up to `complete_until`, and
    audited up to `audited_until`; None where they are not. `metrics` are as in the catalogue."""

    month: str
    complete_from: int | None = None
    complete_until: int | None = None
    audited_until: int | None = None
    metrics: tuple[Mapping[str, object], ...] = ()
    days: Mapping[int, ListedDay] = field(default_factory=dict)


def month_of(day: int) -> str:
    """YYYYMM of a day."""
    return f"{datetime.fromtimestamp(day, UTC):%Y%m}"


def month_span(month: str) -> tuple[int, int]:
    """The first midnight of a month (YYYYMM), and the next month's, UTC."""
    first = datetime.strptime(month, "%Y%m").replace(tzinfo=UTC)
    following = first.year * 12 + first.month
    after = first.replace(year=following // 12, month=following % 12 + 1)
    return int(first.timestamp()), int(after.timestamp())


class ReceiptStore:
    """Reads and writes the receipts of one exporter."""

    def __init__(self, bucket: ObjectStore, prefix: str, cluster_name: str) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._cluster_name = cluster_name

    def day_key(self, day: int) -> str:
        """Where a day's is."""
        return f"{manifest_day_folder(self._prefix, self._cluster_name, day)}day.receipt"

    def month_key(self, month: str) -> str:
        """Where a month's is."""
        return f"{manifest_day_folder(self._prefix, self._cluster_name)}{month}.receipt"

    def months(self) -> list[str]:
        """Those that have one."""
        top = manifest_day_folder(self._prefix, self._cluster_name)
        keys = self._bucket.list(top).keys
        return sorted(key[len(top) : -len(".receipt")] for key in keys if key.endswith(".receipt"))

    def read_day(self, day: int) -> tuple[DayReceipt, bytes, str] | None:
        """A day's, its bytes and its ETag. Raises QueryError for one that cannot be read."""
        found = self._bucket.get(key := self.day_key(day))
        return None if found is None else (load_day(found[0], self._bucket.where(key)), *found)

    def read_month(self, month: str) -> tuple[MonthReceipt, bytes, str] | None:
        """A month's, as `read_day`."""
        found = self._bucket.get(key := self.month_key(month))
        return None if found is None else (load_month(found[0], self._bucket.where(key)), *found)

    def write(self, key: str, body: bytes, etag: str | None) -> str:
        """Write over the one of `etag`, or as the first one; the new ETag. Raises
        ConditionFailedError where it is another by now."""
        return self._bucket.put(
            *(key, body),
            content_type="application/gzip",
            if_match=etag,
            if_none_match=None if etag else "*",
        )

    def delete(self, key: str) -> None:
        """Remove one."""
        self._bucket.delete(key)


def listed(manifest: Manifest, key: str, etag: str, sha256: str) -> ListedManifest:
    """A manifest as a receipt lists it."""
    source: Samples | None = None
    if manifest.raw is not None:
        home = manifest.layout.cluster_name if manifest.layout else ""
        counts = (count for by_cluster in manifest.raw.values() for count in by_cluster.items())
        source = add({cluster or home: count} for cluster, count in counts)
    return ListedManifest(
        *(manifest.metric, manifest.start, manifest.end, key, etag, sha256, manifest.revision),
        files=len(manifest.files),
        size=sum(file.size for file in manifest.files),
        samples=add({file.cluster: file.samples} for file in manifest.files),
        source=source,
    )


def add(counts: Iterable[Samples | None]) -> dict[str, int]:
    """Sums by cluster."""
    sums: dict[str, int] = {}
    for samples in counts:
        for cluster, count in (samples or {}).items():
            sums[cluster] = sums.get(cluster, 0) + count
    return sums


def dump_day(receipt: DayReceipt) -> bytes:
    """The document: the same bytes for the same receipt."""
    clusters = _clusters(
        samples for entry in receipt.manifests for samples in (entry.samples, entry.source)
    )
    return _pack(
        {
            "day": iso(receipt.day)[:10],
            "finished": receipt.finished,
            "audited": receipt.audited,
            "clusters": clusters,
            "manifests": [
                {
                    "metric": manifest.metric,
                    "start": manifest.start,
                    "end": manifest.end,
                    "key": manifest.key,
                    "etag": manifest.etag,
                    "sha256": manifest.sha256,
                    "revision": manifest.revision,
                    "files": manifest.files,
                    "bytes": manifest.size,
                    "samples": [manifest.samples.get(name, 0) for name in clusters],
                    "source_samples": None
                    if manifest.source is None
                    else [manifest.source.get(name, 0) for name in clusters],
                }
                for manifest in sorted(
                    receipt.manifests, key=lambda manifest: (manifest.start, manifest.metric)
                )
            ],
        }
    )


def dump_month(receipt: MonthReceipt) -> bytes:
    """As `dump_day`."""
    days = [receipt.days[day] for day in sorted(receipt.days)]
    clusters = _clusters(samples for day in days for samples in (day.samples, day.source))
    return _pack(
        {
            "month": f"{receipt.month[:4]}-{receipt.month[4:]}",
            "complete_from": _moment(receipt.complete_from),
            "complete_until": _moment(receipt.complete_until),
            "audited_until": _moment(receipt.audited_until),
            "metrics": list(receipt.metrics),
            "clusters": clusters,
            "days": [
                {
                    "day": iso(day.day)[:10],
                    "key": day.key,
                    "etag": day.etag,
                    "sha256": day.sha256,
                    "finished": day.finished,
                    "audited": day.audited,
                    "manifests": day.manifests,
                    "samples": [day.samples.get(name, 0) for name in clusters],
                    "source_samples": [day.source.get(name, 0) for name in clusters],
                }
                for day in days
            ],
        }
    )


def load_day(body: bytes, where: str) -> DayReceipt:
    """The receipt in a document at `where`. Raises QueryError."""
    try:
        document = _unpack(body)
        clusters = [str(name) for name in document["clusters"]]
        manifests = tuple(
            ListedManifest(
                *(str(entry["metric"]), int(entry["start"]), int(entry["end"]), str(entry["key"])),
                *(str(entry["etag"]), str(entry["sha256"]), int(entry["revision"])),
                *(int(entry["files"]), int(entry["bytes"])),
                samples=_by_cluster(clusters, entry["samples"]),
                source=None
                if entry["source_samples"] is None
                else _by_cluster(clusters, entry["source_samples"]),
            )
            for entry in document["manifests"]
        )
        flags = (bool(document["finished"]), bool(document["audited"]))
        return DayReceipt(_day(document["day"]), *flags, manifests)
    except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise RECEIPT_UNREADABLE(where=where, cause=type(error).__name__) from error


def load_month(body: bytes, where: str) -> MonthReceipt:
    """As `load_day`."""
    try:
        document = _unpack(body)
        clusters = [str(name) for name in document["clusters"]]
        days = [
            ListedDay(
                *(_day(entry["day"]), str(entry["key"]), str(entry["etag"]), str(entry["sha256"])),
                *(bool(entry["finished"]), bool(entry["audited"]), int(entry["manifests"])),
                samples=_by_cluster(clusters, entry["samples"]),
                source=_by_cluster(clusters, entry["source_samples"]),
            )
            for entry in document["days"]
        ]

        def moment(name: str) -> int | None:
            return None if document[name] is None else _seconds(document[name])

        return MonthReceipt(
            str(document["month"]).replace("-", ""),
            complete_from=moment("complete_from"),
            complete_until=moment("complete_until"),
            audited_until=moment("audited_until"),
            metrics=tuple(document["metrics"]),
            days={day.day: day for day in days},
        )
    except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise RECEIPT_UNREADABLE(where=where, cause=type(error).__name__) from error


def _clusters(counts: Iterable[Samples | None]) -> list[str]:
    return sorted({name for samples in counts if samples for name in samples})


def _by_cluster(clusters: list[str], counts: Iterable[Any]) -> dict[str, int]:
    return {name: int(n) for name, n in zip(clusters, counts, strict=True) if n}


def _moment(seconds: int | None) -> str | None:
    return None if seconds is None else iso(seconds)


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def _day(text: str) -> int:
    return _seconds(f"{text}T00:00:00Z")


def _pack(document: Mapping[str, object]) -> bytes:
    whole = {
        "schema_version": SCHEMA_VERSION,
        "exporter": f"mimir-exporter/{__version__}",
        **document,
    }
    return gzip.compress(json.dumps(whole).encode(), 6, mtime=0)


def _unpack(body: bytes) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(gzip.decompress(body))
    if document["schema_version"] != SCHEMA_VERSION:
        raise ValueError("schema_version")
    return document
