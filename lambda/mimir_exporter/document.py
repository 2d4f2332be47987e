"""The checkpoint as the JSON document that stands in S3, for people too.

Times are ISO 8601 here, where a range is `start/end`. Pure; `store.py` reads and writes it.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from . import __version__
from .checkpoint import Checkpoint, Failure, Handover, Labelling, MetricProgress, Repeat
from .errors import CheckpointError
from .intervals import Interval, Intervals, union
from .windows import DAY_S, Grid, iso, iso_range

T = TypeVar("T")

VERSION = 1


def dump(checkpoint: Checkpoint, now: int) -> bytes:
    """The JSON document, for people too."""
    labelling = checkpoint.labelling
    groups: dict[tuple[int, int, Intervals, Intervals], list[str]] = {}
    for name, one in checkpoint.metrics.items():
        groups.setdefault((one.since, one.added, one.exported, one.empty), []).append(name)
    document = {
        "version": VERSION,
        "exporter": __version__,
        "updated": iso(now),
        "last_complete": iso(checkpoint.last_complete),
        "grids": [
            {"since": iso(grid.since), "time_frame": grid.width_s, "step": grid.step_s}
            for grid in checkpoint.grids
        ],
        "labelling": None
        if labelling is None
        else {
            "cluster_label": labelling.cluster_label,
            "cluster_name": labelling.cluster_name,
            "split_by_cluster": labelling.split,
            "since": iso(labelling.since),
        },
        # Metrics that stand alike, as most always do, share an entry.
        "progress": [
            {
                "metrics": names,
                "since": iso(since),
                "added": iso(added),
                "exported": _dump_ranges(exported),
                "empty": _dump_ranges(empty),
            }
            for (since, added, exported, empty), names in groups.items()
        ],
        "failures": [
            {
                "metric": one.metric,
                "range": _dump_range((one.start, one.end)),
                "attempts": one.attempts,
                "at": iso(one.at),
                "reason": one.reason,
            }
            for one in checkpoint.failures
        ],
        "executions": [
            {"name": one.name, "started": iso(one.started), "ranges": _dump_ranges(one.ranges)}
            for one in checkpoint.handovers
        ],
        "repeats": [
            {
                "range": _dump_range((one.start, one.end)),
                "metrics": list(one.metrics),
                "force": one.force,
            }
            for one in checkpoint.repeats
        ],
        "executions_so_far": checkpoint.handed_over,
        "lease": {"owner": checkpoint.lease_owner, "until": iso(checkpoint.lease_until)},
        "retention_done": checkpoint.retention_done,
    }
    # Half a surrogate pair, which JSON can bring here, is written as the escape that it came as.
    return json.dumps(document, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace")


def load(text: bytes, where: str) -> Checkpoint:
    """The checkpoint in a document at `where`.

    Raises CheckpointError, which says what to do, for anything that is not one: a run that
    guessed would export everything again, or lose track of a gap.
    """
    advice = (
        "nothing was exported and the object was left as it is. Restore it from an older version "
        "of the object or from a copy; if there is none, delete it: the next run then begins as "
        "a first run does, and writes the same files again."
    )
    try:
        document = json.loads(text)
        version = document["version"]
        if type(version) is int and version > VERSION:
            raise CheckpointError(
                f"The checkpoint {where} is of version {version}, and this exporter knows up to "
                f"{VERSION}: it was written by a newer exporter; deploy that one again."
            )
        if type(version) is not int or version != VERSION:
            raise ValueError("version")
        return _from_document(document)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"The checkpoint {where} cannot be read ({type(error).__name__}); {advice}"
        ) from error


def _from_document(document: Mapping[str, Any]) -> Checkpoint:
    labelling, lease = document["labelling"], document["lease"]
    return Checkpoint(
        grids=tuple(_load_grid(grid) for grid in _of(list, document["grids"])),
        labelling=None
        if labelling is None
        else Labelling(
            _of(str, labelling["cluster_label"]),
            _of(str, labelling["cluster_name"]),
            _of(bool, labelling["split_by_cluster"]),
            _moment(labelling["since"]),
        ),
        metrics={
            name: MetricProgress(
                _moment(group["since"]),
                _moment(group["added"]),
                _load_ranges(group["exported"]),
                _load_ranges(group["empty"]),
            )
            for group in _of(list, document["progress"])
            for name in _load_names(group["metrics"])
        },
        failures=[
            Failure(
                _of(str, one["metric"]),
                *_load_range(one["range"]),
                _of(int, one["attempts"]),
                _moment(one["at"]),
                _of(str, one["reason"]),
            )
            for one in _of(list, document["failures"])
        ],
        handovers=[
            Handover(_of(str, one["name"]), _load_ranges(one["ranges"]), _moment(one["started"]))
            for one in _of(list, document["executions"])
        ],
        repeats=[
            Repeat(*_load_range(one["range"]), _load_names(one["metrics"]), _of(bool, one["force"]))
            for one in _of(list, document["repeats"])
        ],
        handed_over=_of(int, document["executions_so_far"]),
        lease_owner=_of(str, lease["owner"]),
        lease_until=_moment(lease["until"]),
        retention_done=_of(str, document["retention_done"]),
        last_complete=_moment(document["last_complete"]),
    )


def _of(kind: type[T], value: object) -> T:
    """`value` if it is of just this type: an object is no list, 1 is not true."""
    if type(value) is not kind:
        raise TypeError(f"{type(value).__name__} in the place of {kind.__name__}")
    return value


def _load_grid(grid: Mapping[str, Any]) -> Grid:
    width_s, step_s = _of(int, grid["time_frame"]), _of(int, grid["step"])
    if not 0 < step_s <= width_s <= DAY_S:
        raise ValueError("grid")
    return Grid(_moment(grid["since"]), width_s, step_s)


def _load_names(names: object) -> tuple[str, ...]:
    return tuple(_of(str, name) for name in _of(list, names))


def _moment(text: object) -> int:
    moment = datetime.fromisoformat(_of(str, text))
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return int(moment.timestamp())


def _dump_range(interval: Interval) -> str:
    return iso_range(*interval)


def _dump_ranges(intervals: Intervals) -> list[str]:
    return [_dump_range(interval) for interval in intervals]


def _load_range(text: object) -> Interval:
    start, end = map(_moment, _of(str, text).split("/"))
    if start >= end:
        raise ValueError("a range that ends before it starts")
    return start, end


def _load_ranges(texts: object) -> Intervals:
    return union(_load_range(text) for text in _of(list, texts))
