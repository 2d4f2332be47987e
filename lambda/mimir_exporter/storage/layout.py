"""Object keys. Pure.

{prefix}/{cluster}/end={YYYYMMDD}/day={D}/metric={name}/{window start}_{name}.json.gz
k8s/prometheus/prod-eu/end=20251101/day=5/metric=cpu_usage/1759622400_cpu_usage.json.gz
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote, unquote_to_bytes

CHECKPOINT = "checkpoint.json"
PROBE = "probe.json"

# S3 keys end at 1,024 bytes; the rest of a key, two names of a metric included, needs the others.
FOLDER_BYTES = 500
_TAIL = re.compile(
    r"end=(?P<end>[0-9]{8})/day=(?P<day>[0-9]{1,2})/metric=(?P<metric>[A-Za-z_][A-Za-z0-9_]*)"
    r"/(?P<start>[0-9]{1,11})_(?P=metric)\.json\.gz"  # the year 5138; more is no time of ours
)
_SHORTENED = re.compile(r"(?=.{464,466}$)(?:[A-Za-z0-9_.~-]|%[0-9A-F]{2})+%s[0-9a-f]{64}")


@dataclass(frozen=True)
class ObjectName:
    """What a key says: `folder` is the cluster's folder, `start` unix seconds."""

    folder: str
    metric: str
    start: int


def cluster_folder(cluster: str) -> str:
    """The folder of a cluster: its label value, percent-encoded (RFC 3986), dots alone too.

    Distinct for distinct values and never a path. A value whose encoding is too long for a key
    keeps its beginning, and `%s` with a digest of the whole replaces the rest: `%s` is no
    percent-encoding, so no other value has that folder. The empty value, which no folder could
    have, is a digest alone.
    """
    # surrogatepass: JSON can spell half a surrogate pair, and it must not collide either.
    raw = cluster.encode("utf-8", "surrogatepass")
    folder = quote(raw, safe="")
    if folder in (".", ".."):
        return folder.replace(".", "%2E")
    if not folder or len(folder) > FOLDER_BYTES:
        begin = re.sub(r"%[0-9A-F]?$", "", folder[:400])
        return f"{begin}%s{sha256(raw).hexdigest()}"
    return folder


def day_folder(folder: str, day: datetime) -> str:
    """The folder of one UTC day in `folder`, both with their last slash.

    `end` is the first day of the next month.
    """
    month = day.year * 12 + day.month
    return f"{folder}end={month // 12:04}{month % 12 + 1:02}01/day={day.day}/"


def object_key_in(folder: str, metric: str, start: int) -> str:
    """The key of the file of one metric and window in a cluster's folder (with its slash)."""
    return folder + _end_of_key(metric, start)


@lru_cache(16)  # a window has it a thousand times
def _end_of_key(metric: str, start: int) -> str:
    day = datetime.fromtimestamp(start, UTC)
    return f"{day_folder('', day)}metric={metric}/{start}_{metric}.json.gz"


def object_key(prefix: str, cluster: str, metric: str, start: int) -> str:
    """The key of the file of one metric, cluster and window."""
    return object_key_in(f"{prefix}/{cluster_folder(cluster)}/", metric, start)


def parse_key(prefix: str, key: str) -> ObjectName | None:
    """What a key says, or None for any key that object_key cannot have made."""
    folder, _, tail = key.removeprefix(f"{prefix}/").partition("/")
    match = _TAIL.fullmatch(tail)
    if not key.startswith(f"{prefix}/") or not match or not _is_cluster_folder(folder):
        return None
    start = int(match["start"])
    if key != object_key_in(f"{prefix}/{folder}/", match["metric"], start):
        return None
    return ObjectName(folder, match["metric"], start)


def _is_cluster_folder(folder: str) -> bool:
    """Whether cluster_folder makes it of some value."""
    if "%s" in folder:
        return folder == cluster_folder("") or bool(_SHORTENED.fullmatch(folder))
    try:
        value = unquote_to_bytes(folder).decode("utf-8", "surrogatepass")
    except ValueError:
        return False
    return folder == cluster_folder(value)


def source_name(cluster_name: str) -> str:
    """Whose a file is, as `source` in its metadata says, which takes ASCII alone."""
    return quote(cluster_name, safe="")


def manifest_day_folder(prefix: str, cluster_name: str, moment: int | None = None) -> str:
    """The folder of the manifests of a UTC day; without a moment, the folder of all days."""
    top = state_key(prefix, cluster_name, "_manifests/")
    return top if moment is None else f"{top}{datetime.fromtimestamp(moment, UTC):%Y%m%d}/"


def manifest_key(prefix: str, cluster_name: str, metric: str, start: int) -> str:
    """The key of the manifest of one metric-window; `start` is unix seconds."""
    return f"{manifest_day_folder(prefix, cluster_name, start)}{start}_{metric}.manifest"


def cluster_of(folder: str) -> str:
    """The cluster that a folder's name says; the name itself where it was shortened."""
    if "%s" in folder:
        return folder
    return unquote_to_bytes(folder).decode("utf-8", "surrogatepass")


def state_key(prefix: str, cluster_name: str, name: str) -> str:
    """The key of an object of the exporter itself; no cluster's file can have it."""
    return f"{prefix}/{cluster_folder(cluster_name)}/{name}"
