"""The checkpoint as the JSON document that is in S3, for people too.

Times are ISO 8601 here, where a range is `start/end`. Pure; `loading.py` reads it back.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from .. import __version__
from ..errors import ErrorDetails
from ..timeline.intervals import Interval
from ..timeline.windows import iso
from .ranges import dump_range, dump_ranges
from .records import (
    Doubt,
    Failure,
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
            {"since": iso(schedule.since), "time_frame": schedule.width_s, "step": schedule.step_s}
            for schedule in checkpoint.schedules
        ],
        "partition": _dump_partition(checkpoint.partition),
        **({"retention": _dump_retention(checkpoint.retention)} if checkpoint.retention else {}),
        "progress": _dump_progress(checkpoint.metrics),
        "failures": _dump_failures(checkpoint.failures, errors),
        # A failure has the number of its error here: the first is 0.
        "errors": [error.as_dict() for error in errors],
        "executions": [
            {
                "name": handover.name,
                "started": iso(handover.started),
                "ranges": dump_ranges(handover.ranges),
            }
            for handover in checkpoint.handovers
        ],
        "reexports": _dump_reexports(checkpoint.reexports),
        "requests_so_far": checkpoint.requests_made,
        "accepted": [
            {
                "metrics": list(acceptance.metrics),
                "ranges": dump_ranges(acceptance.ranges),
                "by": acceptance.by,
                "reason": acceptance.reason,
                "at": iso(acceptance.at),
            }
            for acceptance in checkpoint.accepted
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
        names = next((names for known, names in alike if known == progress), None)
        if names is None:
            alike.append((progress, [name]))
        else:
            names.append(name)
    return [
        {
            "metrics": names,
            "since": iso(progress.since),
            "added": iso(progress.added),
            "exported": dump_ranges(progress.exported),
            "empty": dump_ranges(progress.empty),
            **(
                {"empty_known_from": iso(progress.empty_known_from)}
                if progress.empty_known_from
                else {}
            ),
            **{
                name: dump_ranges(ranges)
                for name in RARE_RANGES
                if (ranges := getattr(progress, name))
            },
            **({"in_part": _dump_in_part(progress.in_part)} if progress.in_part else {}),
            **({"doubts": _dump_doubts(progress.doubts)} if progress.doubts else {}),
        }
        for progress, names in alike
    ]


def _dump_in_part(parts: Iterable[PartialExport]) -> list[dict[str, Any]]:
    return [
        {
            "range": dump_range((part.start, part.end)),
            **({"begins": iso(part.begins)} if part.begins else {}),
            **({} if part.certain else {"certain": False}),
        }
        for part in parts
    ]


def _dump_doubts(doubts: Iterable[Doubt]) -> list[dict[str, Any]]:
    alike: dict[tuple[tuple[str, ...], bool], list[Interval]] = {}
    for doubt in doubts:
        alike.setdefault((doubt.clusters, doubt.looked), []).append((doubt.start, doubt.end))
    return [
        {"ranges": dump_ranges(ranges), "clusters": list(clusters), "looked": looked}
        for (clusters, looked), ranges in alike.items()
    ]


def _dump_failures(failures: Iterable[Failure], errors: list[ErrorDetails]) -> list[dict[str, Any]]:
    alike: dict[tuple[str, int, int, ErrorDetails, bool], list[Interval]] = {}
    for failure in failures:
        key = (failure.metric, failure.attempts, failure.at, failure.error, failure.nothing_left)
        alike.setdefault(key, []).append((failure.start, failure.end))
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
    for request in requests:
        alike.setdefault(replace(request, start=0, end=0), []).append((request.start, request.end))
    return [
        {
            "number": request.number,
            "metrics": list(request.metrics),
            "ranges": dump_ranges(ranges),
            "force": request.force,
            "asked": dump_range(request.asked),
            "requested": iso(request.requested_at),
            "requester": request.requester,
        }
        for request, ranges in alike.items()
    ]


def _dump_tasks(tasks: Iterable[RangeTask]) -> list[dict[str, Any]]:
    return [
        {
            "action": task.action,
            "range": dump_range((task.start, task.end)),
            "asked": dump_range(task.asked),
            "metrics": list(task.metrics),
            "done": list(task.done),
            "requested": iso(task.requested_at),
            "requester": task.requester,
        }
        for task in tasks
    ]


def _lines(document: Mapping[str, Any]) -> Iterator[bytes]:
    for name, value in document.items():
        if isinstance(value, list) and value:
            entries = b",\n  ".join(as_json(entry) for entry in value)
            yield b" %s: [\n  %s\n ]" % (as_json(name), entries)
        else:
            yield b" %s: %s" % (as_json(name), as_json(value))
