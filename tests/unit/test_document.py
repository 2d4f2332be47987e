"""The document: read as it was written, or not at all; small whatever happened."""

import copy
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from mimir_exporter.checkpoint import (
    Checkpoint,
    Failure,
    Handover,
    Labelling,
    MetricProgress,
    Repeat,
)
from mimir_exporter.document import dump, load
from mimir_exporter.errors import CheckpointError
from mimir_exporter.intervals import union
from mimir_exporter.windows import DAY_S, Grid
from tests.unit.checkpoints import HOUR, NAMES, NOW, begun, configure, handed, make_gap

TIMES = st.integers(0, 4_102_444_800)
SPANS = st.tuples(TIMES, st.integers(1, DAY_S)).map(lambda span: (span[0], span[0] + span[1]))
RANGES = st.lists(SPANS, max_size=4).map(union)
# Half a surrogate pair, too: an error body in JSON can spell it.
TEXT = st.text(st.characters(), max_size=20)
FAILURES = st.builds(
    lambda metric, span, *rest: Failure(metric, span[0], span[1], *rest),
    TEXT,
    SPANS,
    st.integers(1, 5),
    TIMES,
    TEXT,
)
CHECKPOINTS = st.builds(
    Checkpoint,
    grids=st.lists(st.builds(Grid, TIMES, st.just(3600), st.integers(1, 60)), max_size=3).map(
        tuple
    ),
    labelling=st.none() | st.builds(Labelling, TEXT, TEXT, st.booleans(), TIMES),
    metrics=st.dictionaries(
        TEXT, st.builds(MetricProgress, TIMES, TIMES, RANGES, RANGES), max_size=4
    ),
    failures=st.lists(FAILURES, max_size=3),
    handovers=st.lists(st.builds(Handover, TEXT, RANGES, TIMES), max_size=3),
    repeats=st.lists(
        st.builds(
            lambda span, names, force: Repeat(span[0], span[1], tuple(names), force),
            SPANS,
            st.lists(TEXT, max_size=3),
            st.booleans(),
        ),
        max_size=3,
    ),
    handed_over=st.integers(0, 10**6),
    lease_owner=TEXT,
    lease_until=TIMES,
    retention_done=TEXT,
    last_complete=TIMES,
)


@effort(deadline=None)
@given(CHECKPOINTS, TIMES)
def test_what_is_written_is_read_as_it_was(checkpoint: Checkpoint, now: int) -> None:
    assert load(dump(checkpoint, now), "x") == checkpoint


def eventful() -> Checkpoint:
    """One of everything."""
    settings = configure(BACKFILL_DAYS="12h")
    checkpoint = begun(settings)
    windows = [window for window, _ in checkpoint.plan(NAMES, settings, NOW)]
    checkpoint.mark_exported("cpu", windows[0], empty=False)
    checkpoint.mark_exported("cpu", windows[2], empty=True)
    make_gap(checkpoint, "memory", windows[0], NOW)
    handed(checkpoint, windows[4:])
    checkpoint.ask_again(Repeat(windows[3].start, windows[2].end, NAMES, force=True))
    checkpoint.lease_owner, checkpoint.lease_until = "run-1", NOW + 900
    checkpoint.retention_done = "2026-10-31"
    return checkpoint


def test_the_document_speaks_to_people() -> None:
    document = json.loads(dump(eventful(), NOW))
    assert document["version"] == 1
    assert document["updated"] == "2026-10-31T12:34:00Z"
    assert document["grids"] == [{"since": "1970-01-01T00:00:00Z", "time_frame": 3600, "step": 60}]
    (cpu,) = (group for group in document["progress"] if group["metrics"] == ["cpu"])
    assert cpu["exported"] == [
        "2026-10-31T09:00:00Z/2026-10-31T10:00:00Z",
        "2026-10-31T11:00:00Z/2026-10-31T12:00:00Z",
    ]
    assert cpu["empty"] == ["2026-10-31T09:00:00Z/2026-10-31T10:00:00Z"]
    assert document["failures"][0]["range"] == "2026-10-31T11:00:00Z/2026-10-31T12:00:00Z"
    assert document["executions"][0]["name"] == "backfill-1"


def unreadable(text: bytes) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(text, "k8s/prod/checkpoint.json")
    message = str(caught.value)
    assert message.startswith("The checkpoint k8s/prod/checkpoint.json ")
    assert "\n" not in message
    return message


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
    message = unreadable(text)
    assert "cannot be read" in message
    assert "nothing was exported and the object was left as it is" in message
    assert "Restore it from an older version" in message
    assert "delete it" in message


def test_a_checkpoint_that_was_cut_short_anywhere_is_not_read() -> None:
    whole = dump(eventful(), NOW)
    for end in range(len(whole)):
        assert "cannot be read" in unreadable(whole[:end])


@pytest.mark.parametrize("version", [2, 10**30])
def test_a_newer_checkpoint_is_left_to_the_newer_exporter(version: int) -> None:
    document = json.loads(dump(eventful(), NOW)) | {"version": version, "unheard of": []}
    message = unreadable(json.dumps(document).encode())
    assert f"of version {version}" in message
    assert "deploy that one again" in message


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to each value in a document."""
    inside: Iterable[tuple[Any, object]] = ()
    if isinstance(value, dict):
        inside = value.items()
    elif isinstance(value, list):
        inside = enumerate(value)
    return [path, *(way for key, one in inside for way in places(one, (*path, key)))]


WRONG: list[object] = [None, True, 0, -1.5, "", "x", "a/b", [], [[]], {}, {"a": 1}, float("inf")]
WRONG += ["2026-10-31T12:00:00", "2026-10-31T12:00:00Z/2026-10-31T11:00:00Z"]
# Written for people: nothing is read from them.
FOR_PEOPLE = [("exporter",), ("updated",)]
TIMED = {"since", "added", "at", "range", "ranges", "exported", "empty", "started", "until"}
TIMED |= {"last_complete"}


def says_something(path: tuple[Any, ...], before: object, after: object) -> bool:
    """Whether the new value may stand there: another number, another text, no ranges at all."""
    if path == ("version",):
        return False
    if isinstance(after, str):
        return isinstance(before, str) and not TIMED & set(path)
    if path == ("labelling",):
        return after is None
    return type(after) is type(before) and (isinstance(after, int) or after == [])


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_a_value_of_another_type_anywhere_is_not_guessed_at(wrong: object) -> None:
    """Each place of a document in turn."""
    checkpoint = eventful()
    whole = json.loads(dump(checkpoint, NOW))
    for path in places(whole)[1:]:
        document = copy.deepcopy(whole)
        parent: Any = document
        for key in path[:-1]:
            parent = parent[key]
        if says_something(path, parent[path[-1]], wrong):
            continue
        parent[path[-1]] = wrong
        text = json.dumps(document).encode()
        if path in FOR_PEOPLE:
            assert load(text, "x") == checkpoint
        else:
            assert "cannot be read" in unreadable(text), path


def test_a_missing_name_anywhere_is_not_guessed_at() -> None:
    checkpoint = eventful()
    whole = json.loads(dump(checkpoint, NOW))
    for path in places(whole)[1:]:
        document = copy.deepcopy(whole)
        parent: Any = document
        for key in path[:-1]:
            parent = parent[key]
        if isinstance(parent, list) or path in FOR_PEOPLE:
            continue
        del parent[path[-1]]
        assert "cannot be read" in unreadable(json.dumps(document).encode()), path


# Size


def test_days_with_all_kinds_of_trouble_at_once_stay_under_100_kb() -> None:
    """Thirty metrics, hourly windows, a run an hour for eight days after a backfill of three.

    One metric is always refused and one for three days; one fails every third time; six are too
    large through the working hours of three days, which begin and end differently for each, with
    a page of HTML as the reason; one has no series at night; the endpoint is away for five hours
    twice; two executions have windows here and there, a range is asked for again, and TIME_FRAME
    changes every day.
    """
    names = tuple(f"metric_number_{number}" for number in range(30))
    begin, most = NOW - 8 * DAY_S, 0
    checkpoint = begun(configure(), names, begin)
    page = "http://mimir:8080/prometheus/api/v1/query_range answered 422: " + "too large " * 40
    cuts = [configure(TIME_FRAME="3600"), configure(TIME_FRAME="1800")]
    for now in range(begin, NOW, HOUR):
        days, hours = divmod((now - begin) // HOUR, 24)
        settings = cuts[days % 2]
        checkpoint.adopt(settings, names, now)
        plan = list(checkpoint.plan(names, settings, now))
        for window, lacking in plan if days not in (2, 5) or hours >= 5 else ():
            for name in lacking:
                number = names.index(name)
                refused = number == 0 or (number == 1 and 3 <= days < 6)
                flaky = number == 2 and hours % 3 == 0
                large = number >= 24 and days in (1, 4, 6) and number - 18 <= hours < number - 14
                if refused or flaky or large:
                    checkpoint.mark_failed(name, window, page, now)
                else:
                    empty = number == 3 and not 6 <= hours < 22
                    checkpoint.mark_exported(name, window, empty=empty)
        if (days, hours) == (1, 6):
            checkpoint.ask_again(Repeat(begin, now - DAY_S, names[:5], force=True))
            for number in range(2):
                scattered = [(at, at + HOUR) for at in range(begin, NOW, (5 + number) * HOUR)]
                checkpoint.hand_over(Handover(f"backfill-{number}", union(scattered), now))
        if hours % 3 == 2:
            most = max(most, len(dump(checkpoint, now)))
    assert load(dump(checkpoint, NOW), "x") == checkpoint
    assert checkpoint.gaps()
    assert 20_000 < most < 100_000
