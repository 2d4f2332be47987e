"""What status says of a checkpoint and of the bucket, in words and numbers."""

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mimir_exporter.checkpoint.adopt import adopt_settings
from mimir_exporter.checkpoint.compact import _forget_empty
from mimir_exporter.checkpoint.document import dump
from mimir_exporter.checkpoint.loading import load
from mimir_exporter.checkpoint.outcomes import mark_exported, mark_failed, record_handover
from mimir_exporter.checkpoint.records import GAP_ATTEMPTS, Handover, ReexportRequest
from mimir_exporter.checkpoint.reexports import request_reexport
from mimir_exporter.checkpoint.state import Checkpoint
from mimir_exporter.checkpoint.wanted import wanted_windows
from mimir_exporter.coverage import status as module
from mimir_exporter.coverage.status import report_status
from mimir_exporter.coverage.status_rows import SHOWN
from mimir_exporter.errors import SettingsError
from mimir_exporter.events import StatusEvent, parse_event
from mimir_exporter.runs.context import RunContext
from mimir_exporter.settings.load import load_settings
from mimir_exporter.settings.settings import Settings
from mimir_exporter.storage.layout import object_key
from mimir_exporter.storage.manifest import ManifestStore
from mimir_exporter.storage.objects import Folder, ListedKey, ObjectStore
from mimir_exporter.timeline.deadline import Deadline
from mimir_exporter.timeline.intervals import subtract
from mimir_exporter.timeline.windows import DAY_S, window_at, windows_within
from tests.clocks import unix
from tests.unit.checkpoints import refused

PREFIX = "k8s/prometheus"
NAMES = ("cpu", "memory")


NOW = unix("2026-10-31T12:34")
KEY = object_key(PREFIX, "eu", "cpu", unix("2026-10-30T10:00"))


def configure(**variables: str) -> Settings:
    required = {"S3_BUCKET": "bucket", "S3_PREFIX": PREFIX, "CLUSTER_NAME": "prod"}
    return load_settings({**required, **variables})


def exported(settings: Settings, until: int = NOW) -> Checkpoint:
    """All is exported that was due `until` then."""
    checkpoint = Checkpoint()
    adopt_settings(checkpoint, settings, NAMES, min(until, NOW))
    for window, lacking in list(wanted_windows(checkpoint, NAMES, settings, until)):
        for name in lacking:
            mark_exported(checkpoint, name, window, empty=False)
    return checkpoint


def promised(checkpoint: Checkpoint) -> tuple[str, ...]:
    return tuple(
        object_key(PREFIX, "eu", name, window.start)
        for name, progress in checkpoint.metrics.items()
        for low, high in progress.exported
        for window in windows_within(checkpoint.schedules, low, high)
    )


def status(
    checkpoint: Checkpoint,
    settings: Settings,
    event: Mapping[str, object] | None = None,
    keys: tuple[str, ...] | None = None,
    deadline: Deadline | None = None,
) -> dict[str, Any]:
    """`keys` are what the bucket has, by default a file of each exported window."""
    keys = promised(checkpoint) if keys is None else keys

    folders: dict[str, dict[str, None]] = {}
    for key in keys:
        for place in [at for at, letter in enumerate(key) if letter == "/"]:
            rest = key[place + 1 :].partition("/")
            folders.setdefault(key[: place + 1], {})[key[: place + 1] + rest[0] + rest[1]] = None

    def list_folder(prefix: str) -> Folder:
        names = folders.get(prefix, {})
        return Folder(
            tuple(name for name in names if name.endswith("/")),
            {name: ListedKey(7, "etag") for name in names if not name.endswith("/")},
        )

    bucket = cast(ObjectStore, SimpleNamespace(list=list_folder))
    context = SimpleNamespace(
        settings=settings,
        names=NAMES,
        store=SimpleNamespace(read=lambda: checkpoint),
        bucket=bucket,
        manifests=ManifestStore(bucket, PREFIX, settings.cluster_name),
        deadline=deadline or Deadline(99),
        machine=SimpleNamespace(ending={"running": "", "dead": "FAILED"}.get),
        now=lambda: NOW,
        adopt=lambda fresh, **_: adopt_settings(fresh, settings, NAMES, NOW),
    )
    asked = parse_event(StatusEvent, event or {})
    return cast("dict[str, Any]", report_status(cast(RunContext, context), asked))


def test_before_the_first_run_it_says_how_to_begin() -> None:
    found = status(Checkpoint(), configure())
    assert found["outcome"] == "nothing_yet"
    assert "invoke the function with {}" in found["message"]


def test_all_that_is_due_being_there_is_complete() -> None:
    found = status(exported(configure()), configure())
    span = "2026-10-28T12:00:00Z/2026-10-31T12:00:00Z"
    assert found["outcome"] == "complete"
    assert found["message"] == (
        "28 October 2026, 12:00 UTC to 31 October 2026, 12:00 UTC is complete: 72/72 windows "
        "(144/144 metric-windows). None of it is audited."
    )
    assert found["covered"] == [span]
    assert found["metric_windows"] == {"exported": 144}
    assert (found["range"], found["pending_windows"], found["lag_s"]) == (span, 0, 34 * 60)
    assert found["coverage"] == [
        {"metrics": list(NAMES), "exported": [span], "without_series": [], "missing": []}
    ]


def test_what_is_missing_is_listed_by_metric_with_executions_and_gaps() -> None:
    settings = configure()
    checkpoint = exported(settings, until=NOW - 4 * 3600)
    windows = [window for window, _ in wanted_windows(checkpoint, NAMES, settings, NOW)]
    assert len(windows) == 4
    mark_exported(checkpoint, "cpu", windows[0], empty=True)
    for attempt in range(GAP_ATTEMPTS):
        mark_failed(checkpoint, "memory", windows[1], refused("too large"), NOW + attempt)
    record_handover(checkpoint, Handover("running", ((windows[3].start, windows[3].end),), NOW))
    record_handover(checkpoint, Handover("dead", ((windows[2].start, windows[2].end),), NOW))
    record_handover(checkpoint, Handover("elsewhere", ((0, 3600),), NOW))
    found = status(checkpoint, settings)
    assert found["outcome"] == "incomplete"
    assert "72/76 windows (145/152 metric-windows)" in found["message"]
    assert "1 is a gap, 2 are pending, 4 are in Step Functions." in found["message"]
    assert found["metric_windows"] == {
        "empty": 1,
        "exported": 144,
        "in_execution": 4,
        "pending": 2,
        "gap": 1,
    }
    assert found["covered"] == ["2026-10-28T08:00:00Z/2026-10-31T08:00:00Z"]
    assert found["pending_windows"] == 4
    by_name = {group["metrics"][0]: group for group in found["coverage"]}
    assert by_name["cpu"]["missing"] == ["2026-10-31T08:00:00Z/2026-10-31T11:00:00Z"]
    assert by_name["cpu"]["without_series"] == ["2026-10-31T11:00:00Z/2026-10-31T12:00:00Z"]
    assert by_name["memory"]["missing"] == ["2026-10-31T08:00:00Z/2026-10-31T12:00:00Z"]
    assert found["failures"] == [
        {
            "metric": "memory",
            "range": "2026-10-31T10:00:00Z/2026-10-31T11:00:00Z",
            "attempts": 5,
            "gap": True,
            "nothing_left": False,
            "last_tried": "2026-10-31T12:34:04Z",
            "code": "query_rejected",
            "summary": "Mimir rejects the query",
            "cause": "too large",
            "remedy": "correct the query",
        }
    ]
    for start, end, seen in (("10:00", "11:00", 1), ("08:00", "10:00", 0), ("11:00", "12:00", 0)):
        event = {"start": f"2026-10-31T{start}", "end": f"2026-10-31T{end}"}
        assert len(status(checkpoint, settings, event)["failures"]) == seen
    assert {one["name"]: one["status"] for one in found["executions"]} == {
        "running": "running",
        "dead": "FAILED",
    }
    record_handover(checkpoint, Handover("lost", ((windows[0].start, windows[0].end),), NOW))
    (lost,) = (one for one in status(checkpoint, settings)["executions"] if one["name"] == "lost")
    assert lost == {
        "name": "lost",
        "status": "never_started",
        "ranges": ["2026-10-31T11:00:00Z/2026-10-31T12:00:00Z"],
    }


def test_executions_beyond_those_that_are_shown_are_counted() -> None:
    settings = configure()
    checkpoint = exported(settings, until=NOW - 3600)
    ((window, _),) = wanted_windows(checkpoint, NAMES, settings, NOW)
    for number in range(SHOWN + 3):
        handover = Handover(f"backfill-{number}", ((window.start, window.end),), NOW)
        record_handover(checkpoint, handover)
    *shown, rest = status(checkpoint, settings)["executions"]
    assert (len(shown), rest) == (SHOWN, {"more": 3})


def test_what_has_not_settled_is_not_missing() -> None:
    settings = configure(SETTLE_TIME="1h")
    found = status(exported(settings), settings)
    assert found["outcome"] == "complete"
    assert found["range"] == "2026-10-28T12:00:00Z/2026-10-31T11:00:00Z"


def test_days_that_retention_deletes_are_not_missing() -> None:
    settings = configure(RETENTION_DAYS="2", INITIAL_BACKFILL_DATE="2025-01-01")
    found = status(exported(settings), settings)
    assert found["outcome"] == "complete"
    assert found["range"] == "2026-10-29T00:00:00Z/2026-10-31T12:00:00Z"


def test_a_range_can_be_asked_for_in_whole_windows() -> None:
    checkpoint = exported(configure())
    event = {"start": "2026-10-30T10:20:00Z", "end": "2026-10-30T12:00"}
    found = status(checkpoint, configure(), event)
    assert found["range"] == "2026-10-30T10:00:00Z/2026-10-30T12:00:00Z"
    assert found["outcome"] == "complete"
    before = status(checkpoint, configure(), {"start": "2026-10-01", "end": "2026-10-02"})
    assert (before["outcome"], before["pending_windows"]) == ("not_wanted", 0)
    ahead = status(checkpoint, configure(), {"start": "2026-11-01", "end": "2026-12-01"})
    assert (ahead["outcome"], ahead["message"]) == ("not_due", "November 2026 is still to come.")


def test_a_month_can_be_asked_for_by_its_name() -> None:
    settings = configure(INITIAL_BACKFILL_DATE="2026-09-01", RETENTION_DAYS="0")
    checkpoint = exported(settings)
    found = status(checkpoint, settings, {"month": "2026-09"})
    assert found["range"] == "2026-09-01T00:00:00Z/2026-10-01T00:00:00Z"
    assert found["message"] == (
        "September 2026 is complete: 720/720 windows (1,440/1,440 metric-windows). None of it is "
        "audited."
    )
    (october,) = status(checkpoint, settings, {"month": "2026-10"})["coverage"]
    assert october == {
        "metrics": list(NAMES),
        "exported": ["2026-10-01T00:00:00Z/2026-10-31T12:00:00Z"],
        "without_series": [],
        "missing": [],
        "not_yet_due": ["2026-10-31T12:00:00Z/2026-11-01T00:00:00Z"],
    }


def test_a_metric_that_no_run_has_taken_up_yet_is_shown_as_the_next_run_will_see_it() -> None:
    settings = configure()
    checkpoint = exported(settings)
    del checkpoint.metrics["memory"]
    found = status(checkpoint, settings)
    assert found["outcome"] == "incomplete"
    assert "0/72 windows (72/144 metric-windows); 72 are pending" in found["message"]


def test_a_year_with_much_amiss_stays_small() -> None:
    """The console shows it; a thousand clusters and a thousand gaps are counted, not listed."""
    settings = configure(INITIAL_BACKFILL_DATE="2025-11-01", RETENTION_DAYS="0")
    checkpoint = exported(settings)
    for number in range(1000):
        window = window_at(checkpoint.schedules, unix("2025-11-02") + number * 7 * 3600)
        name = NAMES[number % 2]
        cut = [(window.start, window.end)]
        checkpoint.metrics[name].exported = subtract(checkpoint.metrics[name].exported, cut)
        mark_failed(checkpoint, name, window, refused(f"{number} {'x' * 400}"), NOW)
    keys = tuple(
        object_key(PREFIX, f"cluster-{number}", "cpu", unix("2026-10-30T10:00"))
        for number in range(1000)
    )
    event = {"start": "2025-11-01", "end": "2026-11-01", "files": True}
    found = status(checkpoint, settings, event, keys)
    assert len(json.dumps(found)) < 100_000
    assert found["metric_windows"]["failed"] == 1000
    assert found["failures"][-1] == {"more": 970}
    assert found["coverage"][0]["missing"][-1] == "and 470 more"
    assert found["files"]["clusters"]["800 more"] == {"objects": 800, "bytes": 5600}
    assert found["files"]["objects"] == 1000
    assert found["files"]["missing"][-1].startswith("and ")


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"start": "2026-10-31", "end": "2026-10-30"}, "it is empty; give a start before the end"),
        ({"start": "2026-12-01"}, "windows are due up to 2026-10-31T12:00:00Z now"),
        ({"start": "soon"}, "Invalid start 'soon'"),
        ({"end": [1]}, "Invalid end [1]"),
        ({"month": "2026-13"}, "Invalid month '2026-13'"),
        ({"month": 202610}, "Invalid month 202610"),
        ({"month": "2026-10", "end": "2026-11-01"}, "month and start or end"),
        ({"start": "1969-01-01"}, "before 1970 or more than ten years ahead"),
        ({"start": "2026-10-01", "end": "9999-12-31"}, "before 1970 or more than ten years ahead"),
    ],
)
def test_a_range_that_cannot_be_is_refused(event: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        status(exported(configure()), configure(), event)
    assert words in str(caught.value)


def test_files_are_counted_by_cluster_within_the_range() -> None:
    inside = [unix("2026-10-30T10:00"), unix("2026-10-30T23:00"), unix("2026-10-31T00:00")]
    outside = [unix("2026-10-30T09:00"), unix("2026-10-31T01:00"), unix("2026-09-30T10:00")]
    keys = tuple(
        object_key(PREFIX, cluster, name, start)
        for cluster in ("eu/1", "us")
        for name in NAMES
        for start in (*inside, *outside)
    )
    others = (
        f"{PREFIX}/prod/checkpoint.json",
        f"{PREFIX}/us/end=20261101/day=30/metric=cpu/x.json.gz",
    )
    event = {"start": "2026-10-30T10:00:00Z", "end": "2026-10-31T01:00:00Z"}
    found = status(exported(configure()), configure(), event, keys + others)
    assert found["files"] == {
        "clusters": {
            "eu%2F1": {"objects": 6, "bytes": 42},
            "us": {"objects": 6, "bytes": 42},
        },
        "objects": 12,
        "bytes": 84,
        "counted_whole": True,
        "missing": found["files"]["missing"],
    }


def test_a_file_that_is_promised_and_not_there_is_named() -> None:
    """Where a window had series there is a file of some cluster, whoever deleted it."""
    settings = configure(BACKFILL_DAYS="3h")
    checkpoint = exported(settings)
    hours = [unix(f"2026-10-31T{hour:02}:00") for hour in (9, 10, 11)]
    checkpoint.metrics["memory"].empty = ((hours[1], hours[2]),)
    keys = [object_key(PREFIX, "eu", name, hour) for name in NAMES for hour in hours]
    keys.remove(object_key(PREFIX, "eu", "memory", hours[1]))
    assert status(checkpoint, settings, keys=tuple(keys))["files"]["missing"] == []
    keys.remove(object_key(PREFIX, "eu", "cpu", hours[0]))
    keys.append(object_key(PREFIX, "us", "cpu", hours[2]))
    found = status(checkpoint, settings, keys=tuple(keys))
    assert found["outcome"] == "incomplete"
    assert "1 recorded file is missing from the bucket" in found["message"]
    assert found["files"]["missing"] == [
        f"{PREFIX}/*/end=20261101/day=31/metric=cpu/{hours[0]}_cpu.json.gz"
    ]
    unsure = status(checkpoint, settings, keys=tuple(keys), deadline=Deadline(0))
    assert (unsure["outcome"], unsure["files"]["missing"]) == ("complete", [])


def test_a_file_is_not_called_lost_where_the_checkpoint_forgot_whether_it_ever_was() -> None:
    """Every second window had no series: more than the checkpoint of a bad month can tell."""
    settings = configure(BACKFILL_DAYS="3h")
    checkpoint = exported(settings)
    hours = [unix(f"2026-10-31T{hour:02}:00") for hour in (9, 10, 11)]
    checkpoint.metrics["memory"].empty = ((hours[0], hours[1]),)
    _forget_empty(checkpoint, DAY_S)
    assert not checkpoint.metrics["memory"].empty
    checkpoint = load(dump(checkpoint, NOW), "x")
    keys = [object_key(PREFIX, "eu", name, hour) for name in NAMES for hour in hours]
    keys.remove(object_key(PREFIX, "eu", "memory", hours[0]))
    found = status(checkpoint, settings, keys=tuple(keys))
    assert (found["outcome"], found["files"]["missing"]) == ("complete", [])
    assert found["files"]["unknown"] == 1
    assert "1 file may be missing: whether there were any series" in found["message"]
    # What is known is still reported: of other metrics, and of newer windows.
    for name, lost in (("cpu", hours[0]), ("memory", hours[1])):
        keys.remove(object_key(PREFIX, "eu", name, lost))
    found = status(checkpoint, settings, keys=tuple(keys))
    assert found["outcome"] == "incomplete"
    assert (len(found["files"]["missing"]), found["files"]["unknown"]) == (2, 1)


def test_a_window_without_series_that_is_asked_for_again_lacks_no_file() -> None:
    settings = configure(BACKFILL_DAYS="1h")
    checkpoint = Checkpoint()
    adopt_settings(checkpoint, settings, NAMES, NOW)
    window = window_at(checkpoint.schedules, unix("2026-10-31T11:00"))
    for name in NAMES:
        mark_exported(checkpoint, name, window, empty=True)
    request_reexport(checkpoint, ReexportRequest(window.start, window.end, NAMES))
    found = status(checkpoint, settings)
    assert found["metric_windows"] == {"reexport_requested": 2}
    assert found["files"]["missing"] == []


@pytest.mark.parametrize("event", [{}, {"files": True}])
@pytest.mark.parametrize("keys", [(f"{PREFIX}/eu/end=20201101/x",), (KEY,)], ids=["far", "near"])
def test_a_count_that_the_time_cut_short_says_so(
    keys: tuple[str, ...], event: dict[str, object]
) -> None:
    """Also where no folder has anything to count: to look for it takes its time too."""
    found = status(exported(configure()), configure(), event, keys, Deadline(0))
    assert (found["files"]["counted_whole"], found["files"]["objects"]) == (False, 0)
    assert found["outcome"] == "complete"


def test_a_count_to_the_end_is_not_bounded_but_by_the_invocation() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "COUNT_S", 0.0)
        for asked, whole in ((False, False), (True, True)):
            found = status(exported(configure()), configure(), {"files": asked}, (KEY,))
            assert found["files"]["counted_whole"] is whole
