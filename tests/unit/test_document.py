"""The document: read as it was written, or not at all; small whatever happened."""

import copy
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import reduce
from itertools import accumulate, pairwise
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimir_exporter.checkpoint.accepted import accept_missing
from mimir_exporter.checkpoint.document import dump
from mimir_exporter.checkpoint.loading import load
from mimir_exporter.checkpoint.outcomes import mark_exported
from mimir_exporter.checkpoint.records import (
    TASK_ACTIONS,
    Acceptance,
    Failure,
    Handover,
    MetricProgress,
    PartitionConfig,
    RangeTask,
    ReexportRequest,
    join_requests,
)
from mimir_exporter.checkpoint.reexports import request_reexport
from mimir_exporter.checkpoint.state import Checkpoint
from mimir_exporter.checkpoint.tasks import add_task
from mimir_exporter.checkpoint.wanted import due_windows
from mimir_exporter.errors import CheckpointError, ErrorDetails
from mimir_exporter.timeline.intervals import union
from mimir_exporter.timeline.windows import DAY_S, Window, WindowSchedule
from tests.unit.checkpoints import HOUR, NAMES, NOW, begun, configure, handed, make_gap, refused

TIMES = st.integers(0, 4_102_444_800)
SPANS = st.tuples(TIMES, st.integers(1, DAY_S)).map(lambda span: (span[0], span[0] + span[1]))
RANGES = st.lists(SPANS, max_size=4).map(union)
# Half a surrogate pair, too: an error body in JSON can spell it.
TEXT = st.text(st.characters(), max_size=20)
ERRORS = st.builds(ErrorDetails, TEXT, TEXT, TEXT, TEXT)
FAILURES = st.dictionaries(TEXT, RANGES, max_size=3).flatmap(
    lambda ranges: st.tuples(
        *(
            st.builds(
                Failure,
                *(st.just(name), *map(st.just, one), st.integers(0, 5), TIMES, ERRORS),
                st.booleans(),
            )
            for name in sorted(ranges)
            for one in ranges[name]
        )
    ).map(list)
)
MANY = st.lists(st.integers(1, DAY_S), min_size=2, max_size=60).map(
    lambda lengths: union(
        (moment, later) for moment, later in list(pairwise(accumulate(lengths)))[::2]
    )
)
CHECKPOINTS = st.builds(
    Checkpoint,
    schedules=st.lists(
        st.builds(
            lambda hours, step_s: WindowSchedule(hours * HOUR, HOUR, step_s),
            st.integers(0, 10**6),
            st.integers(1, 60),
        ),
        max_size=3,
    ).map(lambda schedules: tuple(sorted(schedules, key=lambda one: one.since))),
    partition=st.none() | st.builds(PartitionConfig, TEXT, TEXT, st.booleans(), TIMES),
    metrics=st.dictionaries(
        TEXT, st.builds(MetricProgress, TIMES, TIMES, RANGES | MANY, RANGES | MANY), max_size=4
    ),
    failures=FAILURES,
    handovers=st.lists(st.builds(Handover, TEXT, RANGES, TIMES), max_size=3),
    reexports=st.lists(
        st.builds(
            lambda span, names, force, asked, number, at: ReexportRequest(
                *(span[0], span[1], tuple(names), force, asked, number, at, str(number))
            ),
            SPANS,
            st.lists(TEXT, max_size=3),
            st.booleans(),
            SPANS,
            st.integers(0, 9),
            TIMES,
        ),
        max_size=3,
    ).map(join_requests),
    requests_made=st.integers(0, 10**6),
    accepted=st.lists(
        st.builds(Acceptance, RANGES, st.lists(TEXT, max_size=3).map(tuple), TEXT, TEXT, TIMES),
        max_size=2,
    ),
    tasks=st.lists(
        st.builds(
            lambda action, span, names, at: RangeTask(
                *(action, *span, tuple(names), at, str(at), span, tuple(names[1:]))
            ),
            st.sampled_from(TASK_ACTIONS),
            SPANS,
            st.lists(TEXT, max_size=3),
            TIMES,
        ),
        max_size=2,
    ),
    receipts_due=RANGES,
    receipts_begun=RANGES,
    handed_over=st.integers(0, 10**6),
    machine=TEXT,
    lease_owner=TEXT,
    lease_until=TIMES,
    retention_done=TEXT,
    deleted_until=TIMES,
    last_complete=TIMES,
)


@given(CHECKPOINTS, TIMES)
def test_what_is_written_is_read_as_it_was(checkpoint: Checkpoint, now: int) -> None:
    assert load(dump(checkpoint, now), "x") == checkpoint


def eventful() -> Checkpoint:
    """One of everything."""
    settings = configure(BACKFILL_DAYS="12h")
    checkpoint = begun(settings)
    windows = [window for window, _ in due_windows(checkpoint, NAMES, settings, NOW)]
    mark_exported(checkpoint, "cpu", windows[0], empty=False)
    mark_exported(checkpoint, "cpu", windows[2], empty=True)
    make_gap(checkpoint, "memory", windows[0], NOW)
    handed(checkpoint, windows[4:])
    request_reexport(
        checkpoint, ReexportRequest(windows[3].start, windows[2].end, NAMES, force=True)
    )
    accepted = Acceptance(((windows[5].start, windows[5].end),), ("cpu",), "Ada", "was down", NOW)
    accept_missing(checkpoint, accepted)
    span = (windows[3].start, windows[2].end)
    add_task(checkpoint, RangeTask("repair", *span, NAMES, NOW, "run-1", span, ("cpu",)))
    checkpoint.lease_owner, checkpoint.lease_until = "run-1", NOW + 900
    checkpoint.retention_done, checkpoint.deleted_until = "2026-10-31", NOW // DAY_S * DAY_S
    checkpoint.deleted_until -= 30 * DAY_S
    return checkpoint


def test_the_document_speaks_to_people() -> None:
    document = json.loads(dump(eventful(), NOW))
    assert document["version"] == 4
    assert document["updated"] == "2026-10-31T12:34:00Z"
    assert document["schedules"] == [
        {"since": "1970-01-01T00:00:00Z", "time_frame": 3600, "step": 60}
    ]
    (cpu,) = (group for group in document["progress"] if group["metrics"] == ["cpu"])
    assert cpu["exported"] == [
        "2026-10-31T09:00:00Z/2026-10-31T10:00:00Z",
        "2026-10-31T11:00:00Z/2026-10-31T12:00:00Z",
    ]
    assert cpu["empty"] == ["2026-10-31T09:00:00Z/2026-10-31T10:00:00Z"]
    assert document["failures"][0]["ranges"] == ["2026-10-31T11:00:00Z/2026-10-31T12:00:00Z"]
    assert document["errors"][document["failures"][0]["error"]] == refused().as_dict()
    assert document["deleted_until"] == "2026-10-01T00:00:00Z"
    assert document["executions"][0]["name"] == "backfill-1"


def unreadable(text: bytes) -> ErrorDetails:
    with pytest.raises(CheckpointError) as caught:
        load(text, "k8s/prod/checkpoint.json")
    assert "k8s/prod/checkpoint.json" in caught.value.details.summary
    assert "\n" not in str(caught.value)
    return caught.value.details


def test_many_ranges_are_written_by_their_lengths() -> None:
    checkpoint = begun(names=("cpu",))
    hours = [(NOW // DAY_S * DAY_S + at * HOUR, at) for at in range(-60, 0, 3)]
    for start, _ in hours:
        mark_exported(checkpoint, "cpu", Window(start, start + HOUR, 60), empty=False)
    text = dump(checkpoint, NOW)
    (progress,) = json.loads(text)["progress"]
    assert progress["exported"] == {
        "from": "2026-10-28T12:00:00Z",
        "unit_s": HOUR,
        "in_and_out": " ".join(["1 2"] * 19 + ["1"]),
    }
    assert load(text, "x") == checkpoint


@pytest.mark.parametrize(
    "wrong",
    [
        {"in_and_out": "1 2"},  # ends with what is out
        *({"in_and_out": text} for text in ("", "1  1", "0 1 1", "-1", "1 x 1", "1 1 1 ", "१")),
        *({"unit_s": unit} for unit in (0, -1, 1.5, True, "1")),
        *({"from": moment} for moment in ("", 0, "2026-10-31T12:00:00")),
    ],
    ids=str,
)
def test_lengths_that_make_no_ranges_are_not_guessed_at(wrong: dict[str, object]) -> None:
    document = json.loads(dump(eventful(), NOW))
    whole = {"from": "2026-10-28T12:00:00Z", "unit_s": HOUR, "in_and_out": "1 2 1"}
    document["progress"][0]["exported"] = whole
    load(json.dumps(document).encode(), "x")
    document["progress"][0]["exported"] = whole | wrong
    assert unreadable(json.dumps(document).encode()).code == "invalid_checkpoint"


@pytest.mark.parametrize("number", [-1, 1, True, "0", None])
def test_an_error_that_is_not_there_is_not_guessed_at(number: object) -> None:
    document = json.loads(dump(eventful(), NOW))
    document["failures"][0]["error"] = number
    assert unreadable(json.dumps(document).encode()).code == "invalid_checkpoint"


DATA = Path(__file__).with_name("data")


@pytest.mark.parametrize("version", [2, 3])
def test_a_document_of_an_older_version_is_read(version: int) -> None:
    """As it was written by the exporter of that time, after the same history."""
    expected = eventful()
    expected.tasks, expected.receipts_due = [], ()
    # A sentence was all that there was of an error.
    said = ErrorDetails("", "no")
    expected.failures = [replace(one, error=said) for one in expected.failures]
    if version == 2:
        expected.reexports = [replace(one, number=0) for one in expected.reexports]
        expected.requests_made, expected.accepted = 0, []
    loaded = load((DATA / f"checkpoint-{version}.json").read_bytes(), "x")
    assert loaded == expected
    assert load(dump(loaded, NOW), "x") == expected
    assert str(loaded.failures[0].error) == "no"


@pytest.mark.parametrize(
    ("version", "name", "spoilt"),
    [
        (2, b'"range"', b'"rang"'),
        (3, b'"reasons"', b'"reason"'),
        (3, b'"reason": 0', b'"reason": 1'),
        (3, b'"reason": 0', b'"error": 0'),
        (3, b'"no"', b"7"),
    ],
)
def test_a_document_of_an_older_version_that_is_spoilt_is_not_read(
    version: int, name: bytes, spoilt: bytes
) -> None:
    whole = (DATA / f"checkpoint-{version}.json").read_bytes()
    assert name in whole
    for text in (whole[:-3], whole.replace(name, spoilt, 1)):
        assert unreadable(text).code == "invalid_checkpoint"


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b" ", b"null", b"[]", b"{}", b'"x"', b"1", b"not JSON", b"\xff\xfe\x00"),
        *(b'{"version": 1}', b'{"version": "1"}', b'{"version": true}', b'{"version": 0}'),
        *(b'{"version": 1.0}', b'{"version": null}', b'{"version": -1}', b'{"version": 1e999}'),
        b"[" * 10**5,
    ],
)
def test_what_is_no_checkpoint_stops_with_what_to_do(text: bytes) -> None:
    details = unreadable(text)
    assert details.code == "invalid_checkpoint"
    assert "restore it from an older version" in details.remedy
    assert "delete it" in details.remedy
    assert "Nothing was exported, and the object is unchanged" in details.remedy


def test_a_checkpoint_that_was_cut_short_anywhere_is_not_read() -> None:
    whole = dump(eventful(), NOW)
    for end in range(len(whole)):
        assert unreadable(whole[:end]).code == "invalid_checkpoint"


@pytest.mark.parametrize("version", [5, 10**30])
def test_a_newer_checkpoint_is_left_to_the_newer_exporter(version: int) -> None:
    document = json.loads(dump(eventful(), NOW)) | {"version": version, "unheard of": []}
    details = unreadable(json.dumps(document).encode())
    assert details.code == "checkpoint_too_new"
    assert f"has version {version}" in details.summary


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to each value in a document."""
    inside: Iterable[tuple[Any, object]] = ()
    if isinstance(value, dict):
        inside = value.items()
    elif isinstance(value, list):
        inside = enumerate(value)
    return [path, *(way for key, one in inside for way in places(one, (*path, key)))]


def changeable(whole: object) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
    """For each value below the top: the way to it, a copy of the whole, and what holds it there."""
    for path in places(whole)[1:]:
        document: Any = copy.deepcopy(whole)
        yield path, document, reduce(getitem, path[:-1], document)


WRONG: list[object] = [None, True, 0, -1.5, "", "x", "a/b", [], [[]], {}, {"a": 1}, float("inf")]
WRONG += ["2026-10-31T12:00:00", "2026-10-31T12:00:00Z/2026-10-31T11:00:00Z"]
# Written for people: nothing is read from them.
FOR_PEOPLE = [("exporter",), ("updated",)]
# Left out where there are none.
RARE = [("tasks",), ("receipts_due",), ("receipts_begun",)]
TIMED = {"since", "added", "at", "range", "ranges", "exported", "empty", "started", "until"}
TIMED |= {"receipts_due", "receipts_begun", "last_complete", "asked", "deleted_until", "requested"}


def says_something(path: tuple[Any, ...], before: object, after: object) -> bool:
    """Whether the new value may be there: another number, another text, no ranges at all."""
    if path == ("version",):
        return False
    if isinstance(after, str):
        return isinstance(before, str) and not TIMED & set(path)
    if path == ("partition",):
        return after is None
    return type(after) is type(before) and (isinstance(after, int) or after == [])


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_a_value_of_another_type_anywhere_is_not_guessed_at(wrong: object) -> None:
    """Each place of a document in turn."""
    checkpoint = eventful()
    whole = json.loads(dump(checkpoint, NOW))
    for path, document, parent in changeable(whole):
        if says_something(path, parent[path[-1]], wrong):
            continue
        parent[path[-1]] = wrong
        text = json.dumps(document).encode()
        if path in FOR_PEOPLE:
            assert load(text, "x") == checkpoint
        else:
            assert unreadable(text).code == "invalid_checkpoint", path


def test_a_missing_name_anywhere_is_not_guessed_at() -> None:
    checkpoint = eventful()
    whole = json.loads(dump(checkpoint, NOW))
    for path, document, parent in changeable(whole):
        if isinstance(parent, list) or path in [*FOR_PEOPLE, *RARE]:
            continue
        del parent[path[-1]]
        assert unreadable(json.dumps(document).encode()).code == "invalid_checkpoint", path
