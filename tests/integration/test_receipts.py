"""Who reads month, day, manifest and file, by their ETags, reads whole windows and nothing else."""

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from localcloud.aws import Cloud
from localcloud.prometheus import Prometheus
from tests.conftest import MakePrometheus
from tests.integration import faults
from tests.integration.conftest import MakeFunction, MakeProxy
from tests.integration.deployment import CENTRAL, HOUR_S, LAST_END, PREFIX, Function
from tests.integration.test_manifests import HOUR, START, exporting, lingers, push
from tests.some import some

TOP = f"{PREFIX}/{CENTRAL}/_manifests/"
MARCH, DAY = f"{TOP}202503.receipt", f"{TOP}20250301/day.receipt"


def read(function: Function, key: str, etag: str = "") -> dict[str, Any] | None:
    """A document; None where it is not there, or another than that of the ETag."""
    keys = function.keys(key)
    if key not in keys or (etag and keys[key] != etag):
        return None
    found: dict[str, Any] = json.loads(gzip.decompress(function.read(key)))
    return found


def follow(function: Function) -> Iterator[tuple[dict[str, Any], bool]]:
    """Each manifest that a reader finds by the receipts, and whether all of its files are as it
    says: a reader that finds something else waits, and reads again."""
    for month in function.keys(TOP):
        if not month.endswith(".receipt") or month.endswith("day.receipt"):
            continue
        for day in (read(function, month) or {"days": []})["days"]:
            listed = read(function, day["key"], day["etag"])
            for one in (listed or {"manifests": []})["manifests"]:
                manifest = read(function, one["key"], one["etag"])
                if manifest is not None:
                    keys = function.keys()
                    files = manifest["files"]
                    yield manifest, all(keys.get(file["key"]) == file["etag"] for file in files)


def names(document: dict[str, Any], entry: dict[str, Any], what: str) -> dict[str, int]:
    return {
        name: count for name, count in zip(document["clusters"], entry[what], strict=True) if count
    }


@pytest.fixture
def source(make_prometheus: MakePrometheus) -> Prometheus:
    return push(make_prometheus(), {("prod-eu", "api"): HOUR, ("prod-us", "api"): range(20)})


@pytest.fixture
def function(make_function: MakeFunction, source: Prometheus) -> Function:
    made = exporting(make_function, source, AUDIT_AFTER="1h", BACKFILL_DAYS="3h")
    assert made.export()["outcome"] == "complete"
    return made


def test_a_month_lists_its_days_and_a_day_its_manifests(function: Function) -> None:
    month, day = read(function, MARCH), read(function, DAY)
    assert month is not None
    assert day is not None
    assert (month["schema_version"], month["month"]) == (1, "2025-03")
    assert [one["metric"] for one in month["metrics"]] == ["load"]
    assert month["complete_from"] == "2025-03-01T09:00:00Z"
    assert month["complete_until"] == "2025-03-01T12:00:00Z"
    assert month["audited_until"] is None
    (entry,) = month["days"]
    assert (entry["day"], entry["key"], entry["manifests"]) == ("2025-03-01", DAY, 3)
    assert (entry["finished"], entry["audited"]) == (False, False)
    assert entry["etag"] == function.keys()[DAY]
    assert entry["sha256"] == hashlib.sha256(function.read(DAY)).hexdigest()
    last = day["manifests"][-1]
    key = f"{TOP}20250301/{START}_load.manifest"
    assert (last["key"], last["etag"]) == (key, function.keys()[key])
    assert last["sha256"] == hashlib.sha256(function.read(key)).hexdigest()
    assert (last["start"], last["revision"], last["files"]) == (START, 1, 2)
    assert names(day, last, "samples") == {"prod-eu": 60, "prod-us": 20 + lingers()}
    assert names(day, last, "source_samples") == {"prod-eu": 60, "prod-us": 20}
    assert names(month, entry, "samples") == {"prod-eu": 60, "prod-us": 20 + lingers()}
    assert len(list(follow(function))) == 3
    assert all(whole for _, whole in some(follow(function)))
    assert "receipts_due" not in function.checkpoint()
    assert "receipts_begun" not in function.checkpoint()


def test_receipts_follow_what_changes_and_nothing_is_written_where_nothing_does(
    function: Function, source: Prometheus
) -> None:
    before = function.keys(TOP)
    function.export()
    assert function.keys(TOP) == before
    push(source, {("prod-us", "api"): range(20, 60)})
    function.clock.advance(1.2 * HOUR_S)
    function.export()
    day = read(function, DAY)
    assert day is not None
    changed = next(one for one in day["manifests"] if one["start"] == START)
    assert changed["revision"] == 2
    assert names(day, changed, "samples")["prod-us"] == 60
    function.clock.advance(1.2 * HOUR_S)
    function.export()
    month = read(function, MARCH)
    assert month is not None
    assert month["audited_until"] == "2025-03-01T13:00:00Z"
    assert len(list(follow(function))) == 5
    assert all(whole for _, whole in some(follow(function)))


def test_a_day_is_finished_once_all_of_it_is_exported(function: Function) -> None:
    function.clock.advance(13 * HOUR_S)
    function.export()
    month = read(function, MARCH)
    assert month is not None
    assert [(one["day"][-2:], one["finished"]) for one in month["days"]] == [
        ("01", True),
        ("02", False),
    ]
    assert month["complete_until"] == "2025-03-02T01:00:00Z"


def test_a_run_reads_the_manifests_that_are_new_and_no_others(
    function: Function, make_proxy: MakeProxy, cloud: Cloud
) -> None:
    s3 = make_proxy(cloud.endpoint)
    watched = function.with_env(AWS_ENDPOINT_URL=s3.url, AUDIT_AFTER="0")
    watched.export()
    function.clock.advance(HOUR_S)
    s3.requests.clear()
    watched.export()
    manifest = [one.path for one in s3.requests if one.method == "GET" and ".manifest" in one.path]
    # The new one: whether it is there before the export, and again for the receipt. The one of the
    # window before: which clusters have vanished since.
    assert sorted(Counter(manifest).values()) == [1, 2]


def test_retention_takes_days_out_of_the_receipts(function: Function) -> None:
    function.clock.advance(30 * HOUR_S)
    shorter = function.with_env(RETENTION_DAYS="1h")
    shorter.export()
    assert DAY in shorter.keys(TOP)  # a shorter retention waits for a day
    function.clock.advance(24 * HOUR_S + 60)
    shorter.export()
    assert DAY not in shorter.keys(TOP)
    month = read(shorter, MARCH)
    assert month is not None
    assert [one["day"] for one in month["days"]] == ["2025-03-03"]


@pytest.mark.parametrize("key", [MARCH, DAY])
@pytest.mark.parametrize(
    "broken", [b"", b"no gzip", gzip.compress(b"{}")], ids=["empty", "no gzip", "a part missing"]
)
def test_a_receipt_that_is_lost_or_broken_is_written_anew(
    key: str, broken: bytes, function: Function
) -> None:
    function.put(key, broken)
    function.clock.advance(HOUR_S)
    function.export()
    assert len(list(follow(function))) == 4


def test_whatever_dies_a_reader_of_the_receipts_sees_whole_windows(
    function: Function, make_proxy: MakeProxy, cloud: Cloud, source: Prometheus
) -> None:
    """Each write of a run that exports and one that replaces, refused in turn."""
    s3 = make_proxy(cloud.endpoint)
    watched = function.with_env(AWS_ENDPOINT_URL=s3.url)
    push(source, {("prod-us", "api"): range(20, 60), ("new", "api"): HOUR})
    event = {"action": "reexport", "start": LAST_END - 2 * HOUR_S, "end": LAST_END}
    writes = 0
    for number in range(40):
        count = iter(range(1000))
        s3.heal()
        s3.spoil(
            faults.error(403, "AccessDenied"),
            lambda one, n=number, c=count: one.method in ("PUT", "DELETE") and next(c) >= n,  # type: ignore[misc]
        )
        try:
            outcome = watched.export({**event, "force": True})["outcome"]
        except Exception:  # noqa: BLE001 - whichever: the bucket refuses to write
            outcome = "died"
            writes += 1
        for manifest, whole in follow(function):
            files = {file["cluster"]: file["samples"] for file in manifest["files"]}
            assert manifest["samples"] == sum(files.values())
            # Half a window is never taken for a whole one: the ETags say so.
            assert whole or manifest["start"] >= LAST_END - 2 * HOUR_S
        if outcome == "complete":
            break
        function.clock.advance(1200)
    assert writes > 5
    s3.heal()
    function.clock.advance(3600)
    watched.export()
    assert all(whole for _, whole in some(follow(function)))
    newest = max((one for one, _ in follow(function)), key=lambda one: one["start"])
    assert newest["start"] >= START
