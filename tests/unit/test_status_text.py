"""What status says of a checkpoint and of the bucket, in words and numbers."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mimir_exporter import status as module
from mimir_exporter.checkpoint import GAP_ATTEMPTS, Checkpoint, Handover
from mimir_exporter.deadline import Deadline
from mimir_exporter.errors import SettingsError
from mimir_exporter.layout import object_key
from mimir_exporter.objects import Folder
from mimir_exporter.settings import Settings, load_settings
from mimir_exporter.status import report_status
from mimir_exporter.tools import Tools

PREFIX = "k8s/prometheus"
NAMES = ("cpu", "memory")


def unix(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


NOW = unix("2026-10-31T12:34")
KEY = object_key(PREFIX, "eu", "cpu", unix("2026-10-30T10:00"))


def configure(**variables: str) -> Settings:
    required = {"S3_BUCKET": "bucket", "S3_PREFIX": PREFIX, "CLUSTER_NAME": "prod"}
    return load_settings({**required, **variables})


def exported(settings: Settings, until: int = NOW) -> Checkpoint:
    """All is exported that was due `until` then."""
    checkpoint = Checkpoint()
    checkpoint.adopt(settings, NAMES, min(until, NOW))
    for window, lacking in list(checkpoint.wanted(NAMES, settings, until)):
        for name in lacking:
            checkpoint.mark_exported(name, window, empty=False)
    return checkpoint


def status(
    checkpoint: Checkpoint,
    settings: Settings,
    event: Mapping[str, object] | None = None,
    keys: tuple[str, ...] = (),
    deadline: Deadline | None = None,
) -> dict[str, Any]:
    def list_folder(prefix: str) -> Folder:
        names = [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]
        folders = dict.fromkeys(
            f"{prefix}{name.partition('/')[0]}/" for name in names if "/" in name
        )
        return Folder(tuple(folders), {prefix + name: 7 for name in names if "/" not in name})

    tools = SimpleNamespace(
        settings=settings,
        names=NAMES,
        store=SimpleNamespace(read=lambda: checkpoint),
        bucket=SimpleNamespace(list=list_folder),
        deadline=deadline or Deadline(99),
        machine=SimpleNamespace(ending={"running": "", "dead": "FAILED"}.get),
        now=lambda: NOW,
    )
    return report_status(cast(Tools, tools), dict(event or {}))


def test_before_the_first_run_it_says_how_to_begin() -> None:
    found = status(Checkpoint(), configure())
    assert found["outcome"] == "nothing yet"
    assert "invoke the function with {}" in found["message"]


def test_all_that_is_due_being_there_is_complete() -> None:
    found = status(exported(configure()), configure())
    span = "2026-10-28T12:00:00Z/2026-10-31T12:00:00Z"
    assert found["outcome"] == "complete"
    assert found["message"] == f"{span} is complete: every metric of every window is exported."
    assert (found["range"], found["pending_windows"], found["lag_s"]) == (span, 0, 34 * 60)
    assert found["coverage"] == [
        {"metrics": list(NAMES), "exported": [span], "without_series": [], "missing": []}
    ]


def test_what_lacks_is_told_by_metric_with_what_is_in_work_and_what_is_given_up() -> None:
    settings = configure()
    checkpoint = exported(settings, until=NOW - 4 * 3600)
    windows = [window for window, _ in checkpoint.wanted(NAMES, settings, NOW)]
    assert len(windows) == 4
    checkpoint.mark_exported("cpu", windows[0], empty=True)
    for attempt in range(GAP_ATTEMPTS):
        checkpoint.mark_failed("memory", windows[1], "too large", NOW + attempt)
    checkpoint.hand_over(Handover("running", ((windows[3].start, windows[3].end),), NOW))
    checkpoint.hand_over(Handover("dead", ((windows[2].start, windows[2].end),), NOW))
    checkpoint.hand_over(Handover("lost", (), NOW))
    found = status(checkpoint, settings)
    assert found["outcome"] == "incomplete"
    assert "4 windows lack at least one metric" in found["message"]
    assert "50 % of that time" in found["message"]
    assert "1 ranges are gaps" in found["message"]
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
            "reason": "too large",
        }
    ]
    for start, end, seen in (("10:00", "11:00", 1), ("08:00", "10:00", 0), ("11:00", "12:00", 0)):
        event = {"start": f"2026-10-31T{start}", "end": f"2026-10-31T{end}"}
        assert len(status(checkpoint, settings, event)["failures"]) == seen
    assert {one["name"]: one["status"] for one in found["executions"]} == {
        "running": "running",
        "dead": "FAILED",
        "lost": "never started",
    }


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
    assert (before["outcome"], before["pending_windows"]) == ("incomplete", 24)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"start": "2026-10-31", "end": "2026-10-30"}, "is empty; start has to be before end"),
        ({"start": "2026-12-01"}, "windows are due up to 2026-10-31T12:00:00Z now"),
        ({"start": "soon"}, "start is 'soon'"),
        ({"end": [1]}, "end is [1]"),
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
    files = status(exported(configure()), configure(), event, keys + others)["files"]
    assert files == {
        "clusters": {
            "eu%2F1": {"objects": 6, "bytes": 42},
            "us": {"objects": 6, "bytes": 42},
        },
        "objects": 12,
        "bytes": 84,
        "counted_whole": True,
    }


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
        for asked, whole in ((None, False), (True, True), ("yes", False)):
            found = status(exported(configure()), configure(), {"files": asked}, (KEY,))
            assert found["files"]["counted_whole"] is whole
