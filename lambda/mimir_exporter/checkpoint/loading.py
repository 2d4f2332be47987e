"""Reads the checkpoint's JSON document, also one of an older version. Pure."""

import json
from collections.abc import Mapping
from dataclasses import fields
from itertools import pairwise
from typing import Any

from ..errors import ErrorDetails
from ..errors.runs import CHECKPOINT_TOO_NEW, INVALID_CHECKPOINT
from ..timeline.intervals import Interval
from ..timeline.windows import DAY_S, WindowSchedule, iso
from .document import LAYOUT, RARE_RANGES, VERSION
from .ranges import load_moment, load_range, load_ranges, require_type
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
)
from .state import Checkpoint


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
            {**entry, "ranges": [entry["range"]], "number": 0, "requested": iso(0), "requester": ""}
            for entry in require_type(list, document["repeats"])
        ],
        "requests_so_far": 0,
        "accepted": [],
    }


def _from_3(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document of version 3 as one of version 4: a sentence becomes a summary."""
    return {
        **document,
        "failures": [
            {**entry, "error": entry["reason"]}
            for entry in require_type(list, document["failures"])
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
                require_type(str, entry["metric"]),
                *interval,
                require_type(int, entry["attempts"]),
                load_moment(entry["at"]),
                _load_error(document["errors"], entry["error"]),
                require_type(bool, entry.get("nothing_left", False)),
            )
            for entry in require_type(list, document["failures"])
            for interval in load_ranges(entry["ranges"])
        ),
        handovers=[
            Handover(
                require_type(str, entry["name"]),
                load_ranges(entry["ranges"]),
                load_moment(entry["started"]),
            )
            for entry in require_type(list, document["executions"])
        ],
        reexports=[
            _load_reexport(entry, interval)
            for entry in require_type(list, document["reexports"])
            for interval in load_ranges(entry["ranges"])
        ],
        requests_made=require_type(int, document["requests_so_far"]),
        accepted=[
            Acceptance(
                load_ranges(entry["ranges"]),
                _load_names(entry["metrics"]),
                require_type(str, entry["by"]),
                require_type(str, entry["reason"]),
                load_moment(entry["at"]),
            )
            for entry in require_type(list, document["accepted"])
        ],
        tasks=[_load_task(entry) for entry in require_type(list, document.get("tasks", []))],
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


def _load_reexport(entry: Mapping[str, Any], interval: Interval) -> ReexportRequest:
    return ReexportRequest(
        *interval,
        _load_names(entry["metrics"]),
        require_type(bool, entry["force"]),
        load_range(entry["asked"]),
        require_type(int, entry["number"]),
        load_moment(entry["requested"]),
        require_type(str, entry["requester"]),
    )


def _load_task(entry: Mapping[str, Any]) -> RangeTask:
    if entry["action"] not in TASK_ACTIONS:
        raise ValueError("action")
    return RangeTask(
        entry["action"],
        *load_range(entry["range"]),
        _load_names(entry["metrics"]),
        load_moment(entry["requested"]),
        require_type(str, entry["requester"]),
        load_range(entry["asked"]),
        _load_names(entry["done"]),
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
                    *load_range(entry["range"]),
                    load_moment(entry.get("begins", iso(0))),
                    require_type(bool, entry.get("certain", True)),
                )
                for entry in require_type(list, group.get("in_part", []))
            )
        ),
        doubts=tuple(
            sorted(
                Doubt(
                    *interval, _load_names(entry["clusters"]), require_type(bool, entry["looked"])
                )
                for entry in require_type(list, group.get("doubts", []))
                for interval in load_ranges(entry["ranges"])
            )
        ),
    )


def _load_schedules(schedules: object) -> tuple[WindowSchedule, ...]:
    loaded = tuple(
        WindowSchedule(
            load_moment(entry["since"]),
            require_type(int, entry["time_frame"]),
            require_type(int, entry["step"]),
        )
        for entry in require_type(list, schedules)
    )
    for schedule, following in pairwise((*loaded, *loaded[-1:])):
        # A schedule begins on its own windows, and where a window of the one before ends.
        fits = not (
            following.since % DAY_S % schedule.width_s or schedule.since % DAY_S % schedule.width_s
        )
        if not (
            0 < schedule.step_s <= schedule.width_s <= DAY_S
            and schedule.since <= following.since
            and fits
        ):
            raise ValueError("schedule")
    return loaded


def _load_names(names: object) -> tuple[str, ...]:
    return tuple(require_type(str, name) for name in require_type(list, names))


def _load_error(errors: object, number: object) -> ErrorDetails:
    if require_type(int, number) < 0:  # which would count from the end
        raise ValueError("error")
    error = require_type(list, errors)[number]  # type: ignore[call-overload]
    return ErrorDetails(*(require_type(str, error[part.name]) for part in fields(ErrorDetails)))
