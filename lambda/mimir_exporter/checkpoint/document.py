"""The checkpoint as the JSON document that stands in S3, for people too.

Times are ISO 8601 here, where a range is `start/end`. Pure; `store.py` reads and writes it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

from .. import __version__
from ..errors import ErrorDetails
from ..errors.runs import CHECKPOINT_TOO_NEW, INVALID_CHECKPOINT
from ..timeline.intervals import Interval
from ..timeline.windows import DAY_S, WindowSchedule, iso
from .ranges import dump_range, dump_ranges, load_moment, load_range, load_ranges, require_type
from .records import (
    TASK_ACTIONS,
    Acceptance,
    Doubt,
    Failure,
    Handover,
    MetricProgress,
    PartialExport,
    PartitionConfig,
    RangeTask,
    ReexportRequest,
    RetentionInForce,
    as_json,
)
from .state import Checkpoint

# 3 had a sentence for each failure; 2 other names too, and an entry for each range of a reexport.
VERSION = 4
# Intervals of MetricProgress that are left out while there are none.
LAYOUT = ("cluster_label", "cluster_name", "split_by_cluster")
RARE_RANGES = ("restored", "audited", "unauditable", "unstable")


def dump(checkpoint: Checkpoint, now: int) -> bytes:
    """The JSON document; each entry of a list on a line of its own."""
    errors = list(dict.fromkeys(failure.error for failure in checkpoint.failures))
    document = {
        "version": VERSION,
        "exporter": __version__,
        "updated": iso(now),
        "last_complete": iso(checkpoint.last_complete),
        "schedules": [
            {"since": iso(one.since), "time_frame": one.width_s, "step": one.step_s}
            for one in checkpoint.schedules
        ],
        "partition": _dump_partition(checkpoint.partition),
        **({"retention": _dump_retention(checkpoint.retention)} if checkpoint.retention else {}),
        "progress": _dump_progress(checkpoint.metrics),
        "failures": _dump_failures(checkpoint.failures, errors),
        # A failure has the number of its error here: the first is 0.
        "errors": [error.as_dict() for error in errors],
        "executions": [
            {"name": one.name, "started": iso(one.started), "ranges": dump_ranges(one.ranges)}
            for one in checkpoint.handovers
        ],
        "reexports": _dump_reexports(checkpoint.reexports),
        "requests_so_far": checkpoint.requests_made,
        "accepted": [
            {
                "metrics": list(one.metrics),
                "ranges": dump_ranges(one.ranges),
                "by": one.by,
                "reason": one.reason,
                "at": iso(one.at),
            }
            for one in checkpoint.accepted
        ],
        **({"tasks": _dump_tasks(checkpoint.tasks)} if checkpoint.tasks else {}),
        **{
            name: dump_ranges(ranges)
            for name in ("receipts_due", "receipts_begun")
            if (ranges := getattr(checkpoint, name))
        },
        "executions_so_far": checkpoint.handed_over,
        "state_machine": checkpoint.machine,
        "lease": {"owner": checkpoint.lease_owner, "until": iso(checkpoint.lease_until)},
        "retention_done": checkpoint.retention_done,
        "deleted_until": iso(checkpoint.deleted_until),
    }
    return b"{\n" + b",\n".join(_lines(document)) + b"\n}"


def _dump_partition(partition: PartitionConfig | None) -> dict[str, Any] | None:
    if partition is None:
        return None
    return {
        "cluster_label": partition.cluster_label,
        "cluster_name": partition.cluster_name,
        "split_by_cluster": partition.split,
        "since": iso(partition.since),
        **(
            {
                "relabel_from": iso(partition.relabel_from),
                "before": dict(zip(LAYOUT, partition.before, strict=True)),
            }
            if partition.before
            else {}
        ),
    }


def _dump_retention(retention: RetentionInForce | None) -> dict[str, Any] | None:
    if retention is None:
        return None
    found: dict[str, Any] = {"kept_s": retention.kept_s}
    if retention.lowered_to_s is not None:
        found |= {"lowered_to_s": retention.lowered_to_s, "since": iso(retention.since)}
    return found


def _dump_progress(metrics: Mapping[str, MetricProgress]) -> list[dict[str, Any]]:
    """Metrics with the same progress, as most always have, share an entry."""
    alike: list[tuple[MetricProgress, list[str]]] = []
    for name, progress in metrics.items():
        names = next((names for one, names in alike if one == progress), None)
        if names is None:
            alike.append((progress, [name]))
        else:
            names.append(name)
    return [
        {
            "metrics": names,
            "since": iso(one.since),
            "added": iso(one.added),
            "exported": dump_ranges(one.exported),
            "empty": dump_ranges(one.empty),
            **({"empty_known_from": iso(one.empty_known_from)} if one.empty_known_from else {}),
            **{name: dump_ranges(ranges) for name in RARE_RANGES if (ranges := getattr(one, name))},
            **({"in_part": _dump_in_part(one.in_part)} if one.in_part else {}),
            **({"doubts": _dump_doubts(one.doubts)} if one.doubts else {}),
        }
        for one, names in alike
    ]


def _dump_in_part(parts: Iterable[PartialExport]) -> list[dict[str, Any]]:
    return [
        {
            "range": dump_range((one.start, one.end)),
            **({"begins": iso(one.begins)} if one.begins else {}),
            **({} if one.certain else {"certain": False}),
        }
        for one in parts
    ]


def _dump_doubts(doubts: Iterable[Doubt]) -> list[dict[str, Any]]:
    alike: dict[tuple[tuple[str, ...], bool], list[Interval]] = {}
    for one in doubts:
        alike.setdefault((one.clusters, one.looked), []).append((one.start, one.end))
    return [
        {"ranges": dump_ranges(ranges), "clusters": list(clusters), "looked": looked}
        for (clusters, looked), ranges in alike.items()
    ]


def _dump_failures(failures: Iterable[Failure], errors: list[ErrorDetails]) -> list[dict[str, Any]]:
    alike: dict[tuple[str, int, int, ErrorDetails, bool], list[Interval]] = {}
    for one in failures:
        key = (one.metric, one.attempts, one.at, one.error, one.nothing_left)
        alike.setdefault(key, []).append((one.start, one.end))
    return [
        {
            "metric": metric,
            "ranges": dump_ranges(ranges),
            "attempts": attempts,
            "at": iso(at),
            "error": errors.index(error),
            **({"nothing_left": True} if nothing_left else {}),
        }
        for (metric, attempts, at, error, nothing_left), ranges in alike.items()
    ]


def _dump_reexports(requests: Iterable[ReexportRequest]) -> list[dict[str, Any]]:
    alike: dict[ReexportRequest, list[Interval]] = {}
    for one in requests:
        alike.setdefault(replace(one, start=0, end=0), []).append((one.start, one.end))
    return [
        {
            "number": one.number,
            "metrics": list(one.metrics),
            "ranges": dump_ranges(ranges),
            "force": one.force,
            "asked": dump_range(one.asked),
            "requested": iso(one.requested_at),
            "requester": one.requester,
        }
        for one, ranges in alike.items()
    ]


def _dump_tasks(tasks: Iterable[RangeTask]) -> list[dict[str, Any]]:
    return [
        {
            "action": one.action,
            "range": dump_range((one.start, one.end)),
            "asked": dump_range(one.asked),
            "metrics": list(one.metrics),
            "done": list(one.done),
            "requested": iso(one.requested_at),
            "requester": one.requester,
        }
        for one in tasks
    ]


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
    try:
        document = json.loads(text)
        version = document["version"]
        if type(version) is int and version > VERSION:
            raise CHECKPOINT_TOO_NEW(where=where, version=version, known=VERSION)
        if type(version) is not int or (version not in _UPGRADES and version != VERSION):
            raise ValueError("version")
        for older in range(version, VERSION):
            document = _UPGRADES[older](document)
        return _from_document(document)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise INVALID_CHECKPOINT(where=where, cause=type(error).__name__) from error


def _from_2(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document of version 2 as one of version 3."""
    return {
        **document,
        "schedules": document["grids"],
        "partition": document["labelling"],
        "reexports": [
            {**one, "ranges": [one["range"]], "number": 0, "requested": iso(0), "requester": ""}
            for one in require_type(list, document["repeats"])
        ],
        "requests_so_far": 0,
        "accepted": [],
    }


def _from_3(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document of version 3 as one of version 4: a sentence becomes a summary."""
    return {
        **document,
        "failures": [
            {**one, "error": one["reason"]} for one in require_type(list, document["failures"])
        ],
        "errors": [
            ErrorDetails("", require_type(str, reason)).as_dict()
            for reason in require_type(list, document["reasons"])
        ],
    }


_UPGRADES = {2: _from_2, 3: _from_3}


def _from_document(document: Mapping[str, Any]) -> Checkpoint:
    lease = document["lease"]
    return Checkpoint(
        schedules=_load_schedules(document["schedules"]),
        partition=_load_partition(document["partition"]),
        retention=_load_retention(document.get("retention")),
        metrics={
            name: _load_progress(group)
            for group in require_type(list, document["progress"])
            for name in _load_names(group["metrics"])
        },
        failures=sorted(
            Failure(
                require_type(str, one["metric"]),
                *interval,
                require_type(int, one["attempts"]),
                load_moment(one["at"]),
                _load_error(document["errors"], one["error"]),
                require_type(bool, one.get("nothing_left", False)),
            )
            for one in require_type(list, document["failures"])
            for interval in load_ranges(one["ranges"])
        ),
        handovers=[
            Handover(
                require_type(str, one["name"]),
                load_ranges(one["ranges"]),
                load_moment(one["started"]),
            )
            for one in require_type(list, document["executions"])
        ],
        reexports=[
            _load_reexport(one, interval)
            for one in require_type(list, document["reexports"])
            for interval in load_ranges(one["ranges"])
        ],
        requests_made=require_type(int, document["requests_so_far"]),
        accepted=[
            Acceptance(
                load_ranges(one["ranges"]),
                _load_names(one["metrics"]),
                require_type(str, one["by"]),
                require_type(str, one["reason"]),
                load_moment(one["at"]),
            )
            for one in require_type(list, document["accepted"])
        ],
        tasks=[_load_task(one) for one in require_type(list, document.get("tasks", []))],
        receipts_due=load_ranges(document.get("receipts_due", [])),
        receipts_begun=load_ranges(document.get("receipts_begun", [])),
        handed_over=require_type(int, document["executions_so_far"]),
        machine=require_type(str, document["state_machine"]),
        lease_owner=require_type(str, lease["owner"]),
        lease_until=load_moment(lease["until"]),
        retention_done=require_type(str, document["retention_done"]),
        deleted_until=load_moment(document["deleted_until"]),
        last_complete=load_moment(document["last_complete"]),
    )


def _load_reexport(one: Mapping[str, Any], interval: Interval) -> ReexportRequest:
    return ReexportRequest(
        *interval,
        _load_names(one["metrics"]),
        require_type(bool, one["force"]),
        load_range(one["asked"]),
        require_type(int, one["number"]),
        load_moment(one["requested"]),
        require_type(str, one["requester"]),
    )


def _load_task(one: Mapping[str, Any]) -> RangeTask:
    if one["action"] not in TASK_ACTIONS:
        raise ValueError("action")
    return RangeTask(
        one["action"],
        *load_range(one["range"]),
        _load_names(one["metrics"]),
        load_moment(one["requested"]),
        require_type(str, one["requester"]),
        load_range(one["asked"]),
        _load_names(one["done"]),
    )


def _load_partition(partition: Mapping[str, Any] | None) -> PartitionConfig | None:
    if partition is None:
        return None
    before = partition.get("before")
    return PartitionConfig(
        *_load_layout(partition),
        load_moment(partition["since"]),
        load_moment(partition.get("relabel_from", iso(0))),
        None if before is None else _load_layout(before),
    )


def _load_layout(layout: Mapping[str, Any]) -> tuple[str, str, bool]:
    label, name, split = (layout[key] for key in LAYOUT)
    return require_type(str, label), require_type(str, name), require_type(bool, split)


def _load_retention(retention: Mapping[str, Any] | None) -> RetentionInForce | None:
    if retention is None:
        return None
    lowered = retention.get("lowered_to_s")
    return RetentionInForce(
        require_type(int, retention["kept_s"]),
        None if lowered is None else require_type(int, lowered),
        load_moment(retention.get("since", iso(0))),
    )


def _load_progress(group: Mapping[str, Any]) -> MetricProgress:
    return MetricProgress(
        since=load_moment(group["since"]),
        added=load_moment(group["added"]),
        exported=load_ranges(group["exported"]),
        empty=load_ranges(group["empty"]),
        empty_known_from=load_moment(group.get("empty_known_from", iso(0))),
        **{name: load_ranges(group.get(name, [])) for name in RARE_RANGES},
        in_part=tuple(
            sorted(
                PartialExport(
                    *load_range(one["range"]),
                    load_moment(one.get("begins", iso(0))),
                    require_type(bool, one.get("certain", True)),
                )
                for one in require_type(list, group.get("in_part", []))
            )
        ),
        doubts=tuple(
            sorted(
                Doubt(*interval, _load_names(one["clusters"]), require_type(bool, one["looked"]))
                for one in require_type(list, group.get("doubts", []))
                for interval in load_ranges(one["ranges"])
            )
        ),
    )


def _load_schedules(schedules: object) -> tuple[WindowSchedule, ...]:
    loaded = tuple(
        WindowSchedule(
            load_moment(one["since"]),
            require_type(int, one["time_frame"]),
            require_type(int, one["step"]),
        )
        for one in require_type(list, schedules)
    )
    for one, following in pairwise((*loaded, *loaded[-1:])):
        # A schedule begins on its own windows, and where a window of the one before ends.
        fits = not (following.since % DAY_S % one.width_s or one.since % DAY_S % one.width_s)
        if not (0 < one.step_s <= one.width_s <= DAY_S and one.since <= following.since and fits):
            raise ValueError("schedule")
    return loaded


def _load_names(names: object) -> tuple[str, ...]:
    return tuple(require_type(str, name) for name in require_type(list, names))


def _load_error(errors: object, number: object) -> ErrorDetails:
    if require_type(int, number) < 0:  # which would count from the end
        raise ValueError("error")
    one = require_type(list, errors)[number]  # type: ignore[call-overload]
    return ErrorDetails(*(require_type(str, one[part.name]) for part in fields(ErrorDetails)))
