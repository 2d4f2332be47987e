"""The checkpoint as the JSON document that stands in S3, for people too.

Times are ISO 8601 here, where a range is `start/end`. Pure; `store.py` reads and writes it.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import accumulate, pairwise
from math import gcd
from typing import Any, TypeVar

from .. import __version__
from ..errors import CheckpointError
from ..timeline.intervals import Interval, Intervals, union
from ..timeline.windows import DAY_S, Grid, iso, iso_range
from .checkpoint import Checkpoint
from .records import Failure, Handover, Labelling, MetricProgress, Repeat, as_json

T = TypeVar("T")

# 1 had each reason in full in every failure, and every range in full.
VERSION = 2
# So many ranges read better as times than as lengths.
MANY_RANGES = 12
_LENGTH = re.compile(r"[1-9][0-9]{0,11}")


def dump(checkpoint: Checkpoint, now: int) -> bytes:
    """The JSON document; each entry of a list on a line of its own."""
    labelling = checkpoint.labelling
    alike: list[tuple[MetricProgress, list[str]]] = []
    for name, progress in checkpoint.metrics.items():
        names = next((names for one, names in alike if one == progress), None)
        if names is None:
            alike.append((progress, [name]))
        else:
            names.append(name)
    fates: dict[tuple[str, int, int, str], list[Interval]] = {}
    for failure in checkpoint.failures:
        fate = (failure.metric, failure.attempts, failure.at, failure.reason)
        fates.setdefault(fate, []).append((failure.start, failure.end))
    reasons = list(dict.fromkeys(failure.reason for failure in checkpoint.failures))
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
                "since": iso(one.since),
                "added": iso(one.added),
                "exported": _dump_ranges(one.exported),
                "empty": _dump_ranges(one.empty),
                # Rare, and younger than this version of the document.
                **({"empty_known_from": iso(one.empty_known_from)} if one.empty_known_from else {}),
                **({"restored": _dump_ranges(one.restored)} if one.restored else {}),
            }
            for one, names in alike
        ],
        "failures": [
            {
                "metric": metric,
                "ranges": _dump_ranges(ranges),
                "attempts": attempts,
                "at": iso(at),
                "reason": reasons.index(reason),
            }
            for (metric, attempts, at, reason), ranges in fates.items()
        ],
        # A failure has the number of its reason here: the first is 0.
        "reasons": reasons,
        "executions": [
            {"name": one.name, "started": iso(one.started), "ranges": _dump_ranges(one.ranges)}
            for one in checkpoint.handovers
        ],
        "repeats": [
            {
                "range": _dump_range((one.start, one.end)),
                "metrics": list(one.metrics),
                "force": one.force,
                "asked": _dump_range(one.asked),
            }
            for one in checkpoint.repeats
        ],
        "executions_so_far": checkpoint.handed_over,
        "state_machine": checkpoint.machine,
        "lease": {"owner": checkpoint.lease_owner, "until": iso(checkpoint.lease_until)},
        "retention_done": checkpoint.retention_done,
        "deleted_until": iso(checkpoint.deleted_until),
    }
    return b"{\n" + b",\n".join(_lines(document)) + b"\n}"


def _lines(document: Mapping[str, Any]) -> Iterator[bytes]:
    for name, value in document.items():
        if isinstance(value, list) and value:
            entries = b",\n  ".join(as_json(entry) for entry in value)
            yield b" %s: [\n  %s\n ]" % (as_json(name), entries)
        else:
            yield b" %s: %s" % (as_json(name), as_json(value))


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
        if type(version) is not int or version not in (1, VERSION):
            raise ValueError("version")
        return _from_document(_upgraded(document) if version == 1 else document)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"The checkpoint {where} cannot be read ({type(error).__name__}); {advice}"
        ) from error


def _upgraded(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document of version 1 as one of version 2: it had each reason in full, in every failure."""
    reasons = [_of(str, one["reason"]) for one in _of(list, document["failures"])]
    return {
        **document,
        "failures": [
            {**one, "ranges": [one["range"]], "reason": number}
            for number, one in enumerate(document["failures"])
        ],
        "reasons": reasons,
        "repeats": [{**one, "asked": one["range"]} for one in _of(list, document["repeats"])],
        "deleted_until": iso(0),
        "state_machine": "",
    }


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
                load_ranges(group["exported"]),
                load_ranges(group["empty"]),
                _moment(group.get("empty_known_from", iso(0))),
                load_ranges(group.get("restored", [])),
            )
            for group in _of(list, document["progress"])
            for name in _load_names(group["metrics"])
        },
        failures=sorted(
            Failure(
                _of(str, one["metric"]),
                *ranged,
                _of(int, one["attempts"]),
                _moment(one["at"]),
                _load_reason(document["reasons"], one["reason"]),
            )
            for one in _of(list, document["failures"])
            for ranged in load_ranges(one["ranges"])
        ),
        handovers=[
            Handover(_of(str, one["name"]), load_ranges(one["ranges"]), _moment(one["started"]))
            for one in _of(list, document["executions"])
        ],
        repeats=[
            Repeat(
                *_load_range(one["range"]),
                _load_names(one["metrics"]),
                _of(bool, one["force"]),
                _load_range(one["asked"]),
            )
            for one in _of(list, document["repeats"])
        ],
        handed_over=_of(int, document["executions_so_far"]),
        machine=_of(str, document["state_machine"]),
        lease_owner=_of(str, lease["owner"]),
        lease_until=_moment(lease["until"]),
        retention_done=_of(str, document["retention_done"]),
        deleted_until=_moment(document["deleted_until"]),
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


def _dump_ranges(intervals: Iterable[Interval]) -> list[str] | dict[str, Any]:
    """A list of ranges; past MANY_RANGES of them the lengths of what is in and of what is out in
    turn, which take a tenth of the bytes."""
    ranges = sorted(intervals)
    if len(ranges) <= MANY_RANGES:
        return [_dump_range(interval) for interval in ranges]
    edges = [moment for interval in ranges for moment in interval]
    lengths = [later - moment for moment, later in pairwise(edges)]
    unit_s = gcd(*lengths)
    return {
        "from": iso(edges[0]),
        "unit_s": unit_s,
        "in_and_out": " ".join(str(length // unit_s) for length in lengths),
    }


def _load_range(text: object) -> Interval:
    start, end = map(_moment, _of(str, text).split("/"))
    if start >= end:
        raise ValueError("a range that ends before it starts")
    return start, end


def load_ranges(ranges: object) -> Intervals:
    """What stands in the document for a set of time. Raises ValueError, TypeError, KeyError."""
    if isinstance(ranges, dict):
        moment, unit_s = _moment(ranges["from"]), _of(int, ranges["unit_s"])
        lengths = _of(str, ranges["in_and_out"]).split(" ")
        if unit_s <= 0 or len(lengths) % 2 == 0 or not all(map(_LENGTH.fullmatch, lengths)):
            raise ValueError("lengths")
        edges = list(accumulate((int(length) * unit_s for length in lengths), initial=moment))
        return tuple(zip(edges[::2], edges[1::2], strict=True))
    return union(_load_range(text) for text in _of(list, ranges))


def _load_reason(reasons: object, number: object) -> str:
    if _of(int, number) < 0:  # which would count from the end
        raise ValueError("reason")
    return _of(str, _of(list, reasons)[number])  # type: ignore[call-overload]
