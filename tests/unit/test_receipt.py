"""Receipts: read as they were written, and the same bytes for the same content."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimir_exporter.errors import QueryError
from mimir_exporter.storage.manifest import Layout, Manifest, ManifestFile
from mimir_exporter.storage.receipt import (
    DayReceipt,
    ListedDay,
    ListedManifest,
    MonthReceipt,
    add,
    dump_day,
    dump_month,
    listed,
    load_day,
    load_month,
    month_of,
    month_span,
)
from tests.clocks import unix

DAY = unix("2026-10-31")
NUMBERS = st.integers(0, 2**40)
# What is not in a receipt is 0.
SAMPLES = st.dictionaries(st.text(max_size=5), st.integers(1, 2**40), max_size=4)
TEXT = st.text(max_size=8)
MANIFESTS = st.lists(
    st.builds(
        ListedManifest,
        *(TEXT, NUMBERS, NUMBERS, TEXT, TEXT, TEXT, NUMBERS, NUMBERS, NUMBERS),
        SAMPLES,
        st.none() | SAMPLES,
    ),
    max_size=4,
    unique_by=lambda one: (one.start, one.metric),
).map(lambda some: tuple(sorted(some, key=lambda one: (one.start, one.metric))))


@given(MANIFESTS, st.booleans(), st.booleans())
def test_a_day_is_read_as_it_was_written(
    manifests: tuple[ListedManifest, ...], finished: bool, audited: bool
) -> None:
    receipt = DayReceipt(DAY, finished, audited, manifests)
    assert load_day(dump_day(receipt), "x") == receipt
    assert dump_day(load_day(dump_day(receipt), "x")) == dump_day(receipt)


@given(SAMPLES, SAMPLES, st.none() | st.just(DAY))
def test_a_month_is_read_as_it_was_written(
    samples: dict[str, int], source: dict[str, int], until: int | None
) -> None:
    day = ListedDay(DAY, "key", "etag", "hash", True, False, 3, samples, source)
    receipt = MonthReceipt("202610", DAY, until, None, ({"metric": "a", "key": []},), {DAY: day})
    assert load_month(dump_month(receipt), "x") == receipt


def test_samples_are_sums_by_cluster() -> None:
    layout = Layout("cluster", "central", True)
    file = ManifestFile("prod", "k", 1, 60, 1.0, 2.0, 100, "e")
    raw = {"a{}": {"prod": 70, "": 5}, "b{}": {"prod": 7}}
    manifest = Manifest("m", 0, 3600, 60, 2, 0, "q", layout, (file,), raw)
    one = listed(manifest, "key", "etag", "hash")
    assert (one.samples, one.source, one.size) == ({"prod": 60}, {"prod": 77, "central": 5}, 100)
    assert add([one.samples, None, {"prod": 1, "x": 2}]) == {"prod": 61, "x": 2}


@pytest.mark.parametrize("month", ["202610", "202612", "202402"])
def test_a_month_has_its_days(month: str) -> None:
    start, end = month_span(month)
    assert month_of(start) == month_of(end - 1) == month
    assert month_of(start - 1) != month != month_of(end)


BROKEN = {
    "empty": b"",
    "no gzip": b"no gzip",
    "a list": gzip.compress(b"[]"),
    "a part missing": gzip.compress(json.dumps({"schema_version": 2}).encode()),
    "cut off": dump_day(DayReceipt(DAY, finished=True, audited=True))[:-9],
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_one_that_is_broken_is_not_guessed_at(body: bytes) -> None:
    for load in (load_day, load_month):
        with pytest.raises(QueryError, match="Invalid receipt k8s/x"):
            load(body, "k8s/x")
