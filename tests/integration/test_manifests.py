"""What a metric-window consists of is written down, and nothing takes the place of more than it."""

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from localcloud.aws import Cloud
from localcloud.prometheus import Prometheus, find_prometheus, version_of
from localcloud.remote_write import Batch, RemoteWriter
from mimir_exporter.errors import ExportError
from tests.conftest import MakePrometheus
from tests.integration import faults
from tests.integration.conftest import MakeFunction, MakeProxy
from tests.integration.deployment import CENTRAL, HOUR_S, LAST_END, PREFIX, Function, start_of
from tests.integration.faults import Proxy, Request

START = LAST_END - HOUR_S
MANIFEST = f"{PREFIX}/{CENTRAL}/_manifests/20250301/{START}_load.manifest"
LOAD = '{"load": "max by (cluster,pod)(pod_load{$matchers})"}'
REEXPORT: dict[str, Any] = {"action": "reexport", "start": START, "end": LAST_END}
FORCED = {**REEXPORT, "force": True}

# Cluster and pod of a series, and the minutes of the hour in which it has samples.
Series = Mapping[tuple[str, str], range]
HOUR = range(60)
MakeSource = Callable[[Series], Prometheus]


@pytest.fixture
def make_source(make_prometheus: MakePrometheus) -> MakeSource:
    """Makes a Prometheus that has just these series in the hour."""
    return lambda series: push(make_prometheus(), series)


def push(prometheus: Prometheus, series: Series) -> Prometheus:
    """Samples of the hour, or of minutes before it (negative ones)."""
    batches = [
        Batch.of(
            {"__name__": "pod_load", "pod": pod} | ({"cluster": cluster} if cluster else {}),
            [(START + 60 * minute) * 1000 for minute in minutes],
            [float(minute) for minute in minutes],
        )
        for (cluster, pod), minutes in series.items()
    ]
    RemoteWriter(prometheus.write_url, prometheus.headers).send(batches)
    return prometheus


@cache
def lingers() -> int:
    """For how many minutes a series is there after its last sample. From Prometheus 3 on the oldest
    moment is not part of a range (https://prometheus.io/docs/prometheus/latest/migration/)."""
    return 4 if version_of(find_prometheus()) >= (3, 0) else 5


def exporting(make_function: MakeFunction, source: Prometheus, **env: str) -> Function:
    usual = {"PORT": str(source.port), "PATH_PREFIX": source.path_prefix, "EXTRA_METRICS": LOAD}
    function = make_function(**(usual | env))
    return replace(function, metrics=())


def manifest_of(function: Function, key: str = MANIFEST) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress(function.read(key)))
    return found


def samples_by_cluster(function: Function, start: int | None = None) -> dict[str, int]:
    """As a reader of the folders counts them; of one window or of all."""
    found: dict[str, int] = {}
    for key, body in function.files().items():
        if start not in (None, start_of(key)):
            continue
        result = json.loads(gzip.decompress(body))["data"]["result"]
        cluster = key.removeprefix(f"{PREFIX}/").partition("/")[0]
        found[cluster] = found.get(cluster, 0) + sum(len(one["values"]) for one in result)
    return found


def assert_manifest_is_true(function: Function) -> None:
    """Its files are all that there are, with their ETags, sizes and samples."""
    manifest = manifest_of(function)
    assert {one["key"]: one["etag"] for one in manifest["files"]} == function.file_keys()
    for one in manifest["files"]:
        body = function.read(one["key"])
        result = json.loads(gzip.decompress(body))["data"]["result"]
        moments = [moment for series in result for moment, _ in series["values"]]
        assert (one["bytes"], one["series"]) == (len(body), len(result))
        assert one["samples"] == len(moments)
        assert (one["first"], one["last"]) == (min(moments), max(moments))
    assert manifest["samples"] == sum(one["samples"] for one in manifest["files"])


TWO = {("prod-eu", "api"): HOUR, ("prod-us", "api"): range(10, 40)}


def test_a_metric_window_has_a_manifest(
    make_function: MakeFunction, make_source: MakeSource
) -> None:
    function = exporting(make_function, make_source(TWO))
    assert function.export()["outcome"] == "complete"
    assert_manifest_is_true(function)
    manifest = manifest_of(function)
    assert [one["cluster"] for one in manifest["files"]] == ["prod-eu", "prod-us"]
    assert manifest | {"files": [], "exporter": "", "source_samples": []} == {
        "schema_version": 1,
        "exporter": "",
        "metric": "load",
        "start": START,
        "end": LAST_END,
        "step": 60,
        "revision": 1,
        "exported": manifest["exported"],
        "query": "max by (cluster,pod)(pod_load{})",
        "layout": {"cluster_label": "cluster", "cluster_name": CENTRAL, "split_by_cluster": True},
        "samples": 60 + 30 + lingers(),
        "files": [],
        "source_samples": [],
        "superseded": [],
        "rises": 0,
    }


def test_a_manifest_says_how_many_samples_the_source_had(
    make_function: MakeFunction, make_source: MakeSource
) -> None:
    """Over the window and the five minutes that its first step looks back; by cluster."""
    series = {("prod-eu", "a"): range(-10, 60), ("prod-eu", "b"): HOUR, ("", "cron"): range(30)}
    function = exporting(make_function, make_source(series))
    function.export()
    (found,) = manifest_of(function)["source_samples"]
    assert found["selector"] == "pod_load{}"
    # The hour's last step is its minute 59.
    assert {one["cluster"]: one["samples"] for one in found["clusters"]} == {
        "prod-eu": lingers() + 60 + 60,
        "": 30,
    }
    unaudited = exporting(make_function, make_source(series), AUDIT_AFTER="0")
    unaudited.export()
    assert manifest_of(unaudited)["source_samples"] is None


def test_what_the_query_itself_takes_out_needs_no_force(
    make_function: MakeFunction, make_source: MakeSource
) -> None:
    """A kube_pod_info that comes late takes a host-network pod's traffic out: the source has all
    that it had, and more."""
    source = make_source({("prod-eu", "host"): HOUR, ("prod-eu", "api"): HOUR})
    load = (
        "max by (cluster,pod)(pod_load{$matchers})"
        ' unless on (cluster,pod) pod_info{$matchers host_network="true"}'
    )
    function = exporting(make_function, source, EXTRA_METRICS=json.dumps({"load": load}))
    function.export()
    assert samples_by_cluster(function) == {"prod-eu": 120}
    times = [(START + 60 * minute) * 1000 for minute in HOUR]
    labels = {"__name__": "pod_info", "pod": "host", "cluster": "prod-eu", "host_network": "true"}
    RemoteWriter(source.write_url, source.headers).send(
        [Batch.of(labels, times, [1.0 for _ in times])]
    )
    assert function.export(REEXPORT)["outcome"] == "complete"
    assert not function.messages("files kept")
    assert samples_by_cluster(function) == {"prod-eu": 60}
    assert_manifest_is_true(function)
    assert manifest_of(function)["rises"] == 1


@pytest.mark.parametrize("late", [False, True], ids=["as counted before", "late data elsewhere"])
def test_an_answer_that_lacks_what_the_source_counts_replaces_nothing(
    late: bool, make_function: MakeFunction, make_source: MakeSource, make_proxy: MakeProxy
) -> None:
    """A store was away for the query, but not for the count just before it."""
    source = make_source(TWO)
    proxy = make_proxy(f"http://127.0.0.1:{source.port}")
    function = exporting(make_function, source, PORT=str(proxy.port))
    function.export()
    before = samples_by_cluster(function)
    if late:
        push(source, {("prod-us", "web"): HOUR})

    def without_eu(body: bytes) -> bytes:
        answer = json.loads(body)
        found = answer["data"]["result"]
        answer["data"]["result"] = [one for one in found if one["metric"]["cluster"] != "prod-eu"]
        return json.dumps(answer).encode()

    proxy.spoil(faults.alter(without_eu))
    assert function.export(REEXPORT)["outcome"] == "complete"
    assert samples_by_cluster(function)["prod-eu"] == before["prod-eu"]
    (line,) = function.messages("files kept")
    assert line["cluster_names"] == ["prod-eu"]
    assert_manifest_is_true(function)


def test_a_window_without_series_has_a_manifest_too(
    make_function: MakeFunction, make_source: MakeSource
) -> None:
    function = exporting(make_function, make_source({("prod-eu", "api"): range(-90, -80)}))
    assert function.export()["outcome"] == "complete"
    assert (manifest_of(function)["files"], manifest_of(function)["revision"]) == ([], 1)


def test_its_revision_grows_when_the_files_change(
    make_function: MakeFunction, make_source: MakeSource
) -> None:
    source = make_source(TWO)
    function = exporting(make_function, source)
    function.export()
    function.export(REEXPORT)
    assert manifest_of(function)["revision"] == 1
    assert not function.messages("window replaced")
    push(source, {("prod-us", "web"): HOUR})
    function.export(REEXPORT)
    assert manifest_of(function)["revision"] == 2
    (line,) = function.messages("window replaced")
    assert (line["revision"], line["deleted"]) == (2, 0)
    assert_manifest_is_true(function)


def test_series_that_moved_to_another_cluster_are_there_once(
    make_function: MakeFunction, make_source: MakeSource
) -> None:
    """And a cluster that has vanished takes its files with it, where that is allowed."""
    before = make_source({("prod-eu", "a"): HOUR, ("old", "b"): HOUR, ("gone", "c"): HOUR})
    after = make_source({("prod-eu", "a"): HOUR, ("new", "b"): HOUR})
    function = exporting(make_function, before)
    function.export()
    moved = function.with_env(PORT=str(after.port))
    assert moved.export(REEXPORT)["outcome"] == "complete"
    (line,) = moved.messages("files kept")
    assert line["cluster_names"] == ["gone", "old"]
    assert samples_by_cluster(moved) == {"prod-eu": 60, "old": 60, "gone": 60}
    assert moved.export(FORCED)["outcome"] == "complete"
    assert samples_by_cluster(moved) == {"prod-eu": 60, "new": 60}
    assert_manifest_is_true(moved)


def test_more_samples_that_are_less_data_replace_nothing(
    make_function: MakeFunction, make_source: MakeSource
) -> None:
    """At the border of retention: 3 series of 45 minutes in the place of 2 of 60."""
    before = make_source({("prod-eu", "a"): HOUR, ("prod-eu", "b"): HOUR})
    after = make_source({("prod-eu", pod): range(15, 60) for pod in "abc"})
    function = exporting(make_function, before)
    function.export()
    files = function.file_keys()
    trimmed = function.with_env(PORT=str(after.port))
    assert trimmed.export(REEXPORT)["outcome"] == "complete"
    assert trimmed.file_keys() == files
    assert trimmed.messages("files kept")
    trimmed.export(FORCED)
    assert samples_by_cluster(trimmed) == {"prod-eu": 135}


def puts(part: str) -> Callable[[Request], bool]:
    return lambda request: request.method == "PUT" and part in request.path


UNSPLIT = {("", "cron"): HOUR, ("prod-eu", "api"): HOUR, ("prod-us", "api"): HOUR}


@pytest.fixture
def s3(make_proxy: MakeProxy, cloud: Cloud) -> Proxy:
    return make_proxy(cloud.endpoint)


@pytest.mark.parametrize("broken", ["/prod-us/", "/prod-eu/", "_load.manifest", "DELETE"])
@pytest.mark.parametrize("split_first", [False, True])
def test_relabelling_that_is_interrupted_loses_nothing(
    broken: str, split_first: bool, make_function: MakeFunction, make_source: MakeSource, s3: Proxy
) -> None:
    names = ("true", "false") if split_first else ("false", "true")
    made = exporting(make_function, make_source(UNSPLIT), AWS_ENDPOINT_URL=s3.url)
    function = made.with_env(SPLIT_BY_CLUSTER=names[0])
    function.export()
    changed = function.with_layout(SPLIT_BY_CLUSTER=names[1])

    def chosen(request: Request) -> bool:
        if broken == "DELETE":
            return request.method == "DELETE"
        return puts(broken)(request)

    s3.spoil(faults.answer(503, "<Error><Code>SlowDown</Code></Error>"), chosen)
    try:
        changed.export(REEXPORT)
    except ExportError:
        assert sum(samples_by_cluster(changed).values()) >= 180
    s3.heal()
    for _ in range(3):
        changed.export()
    assert changed.export({"action": "status"})["outcome"] == "complete"
    assert samples_by_cluster(changed) == (
        {CENTRAL: 180} if split_first else {CENTRAL: 60, "prod-eu": 60, "prod-us": 60}
    )
    assert_manifest_is_true(changed)


def test_a_relabelling_that_was_never_finished_leaves_nothing_behind(
    make_function: MakeFunction, make_source: MakeSource, s3: Proxy
) -> None:
    """It wrote some files, and then the setting was taken back."""
    function = exporting(make_function, make_source(UNSPLIT), AWS_ENDPOINT_URL=s3.url)
    function.export()
    before = function.file_keys()
    by_pod = function.with_layout(CLUSTER_LABEL_NAME="pod")
    s3.spoil(faults.answer(503, "<Error><Code>SlowDown</Code></Error>"), puts("/cron/"))
    with pytest.raises(ExportError):
        by_pod.export(REEXPORT)
    assert function.file_keys().keys() > before.keys()
    s3.heal()
    function.with_layout().export()
    assert function.file_keys() == before
    assert_manifest_is_true(function)


@pytest.mark.parametrize("relabelled", [True, False], ids=["relabelled", "its cluster is gone"])
def test_files_that_a_broken_off_export_had_replaced_are_removed_too(
    relabelled: bool, make_function: MakeFunction, make_source: MakeSource, s3: Proxy
) -> None:
    """Their ETags are no longer those of the manifest."""
    source = make_source(UNSPLIT)
    function = exporting(make_function, source, AWS_ENDPOINT_URL=s3.url)
    function.export()
    before = function.file_keys()
    push(source, {("prod-us", "late"): HOUR})
    s3.spoil(faults.answer(503, "<Error><Code>SlowDown</Code></Error>"), puts("_load.manifest"))
    with pytest.raises(ExportError):
        function.export(REEXPORT)
    assert function.file_keys() != before
    s3.heal()
    theirs = f"{PREFIX}/theirs/end=20250401/day=1/metric=load/{START}_load.json.gz"
    function.put(theirs, b"theirs", source="another/exporter")
    if relabelled:
        changed = function.with_layout(SPLIT_BY_CLUSTER="false")
        left = {CENTRAL: 240}
    else:
        after = make_source({("", "cron"): HOUR, ("prod-eu", "api"): HOUR})
        changed = function.with_env(PORT=str(after.port))
        left = {CENTRAL: 60, "prod-eu": 60}
    assert changed.export(FORCED)["outcome"] == "complete"
    assert changed.read(theirs) == b"theirs"
    changed.delete(theirs)
    assert samples_by_cluster(changed) == left
    assert_manifest_is_true(changed)


def test_before_files_are_taken_away_the_window_is_pending(
    make_function: MakeFunction, make_source: MakeSource, s3: Proxy
) -> None:
    """A run that dies then has promised nothing."""
    after = make_source({("prod-eu", "a"): range(30)})
    function = exporting(
        make_function, make_source({("prod-eu", "a"): HOUR}), AWS_ENDPOINT_URL=s3.url
    )
    function.export()
    s3.spoil(faults.answer(503, "<Error><Code>SlowDown</Code></Error>"), puts("_load.json.gz"))
    with pytest.raises(ExportError):
        function.with_env(PORT=str(after.port)).export(FORCED)
    s3.heal()
    status = function.export({"action": "status"})
    assert status["outcome"] != "complete"
    assert status["pending_windows"] == 1


def test_a_window_of_before_there_were_manifests_gets_one_by_listing(
    make_function: MakeFunction, make_source: MakeSource, s3: Proxy
) -> None:
    """Files of clusters that are gone are in it too; from then on nothing is looked for."""
    function = exporting(make_function, make_source(TWO), AWS_ENDPOINT_URL=s3.url)
    function.export()
    function.delete(MANIFEST)
    less = make_source({("prod-eu", "api"): HOUR})
    function = function.with_env(PORT=str(less.port))
    function.export(REEXPORT)
    assert {one["cluster"] for one in manifest_of(function)["files"]} == {"prod-eu", "prod-us"}
    s3.requests.clear()
    function.export(FORCED)
    assert samples_by_cluster(function) == {"prod-eu": 60}
    sought = (one for one in s3.requests if one.method == "HEAD" or "list-type" in one.target)
    assert not [one.target for one in sought if PREFIX in one.target]


def test_a_lost_checkpoint_loses_no_manifest(
    make_function: MakeFunction, make_source: MakeSource
) -> None:
    """A first run over files that are there compares them as any other does."""
    function = exporting(make_function, make_source(TWO))
    function.export()
    function.delete(function.checkpoint_key)
    less = make_source({("prod-eu", "api"): HOUR})
    function.with_env(PORT=str(less.port)).export()
    assert samples_by_cluster(function) == {"prod-eu": 60, "prod-us": 30 + lingers()}
    assert_manifest_is_true(function)


def test_a_manifest_that_cannot_be_read_stops_only_its_metric_window(
    make_function: MakeFunction, make_source: MakeSource
) -> None:
    function = exporting(make_function, make_source(TWO), BACKFILL_DAYS="2h")
    function.put(MANIFEST, b"no gzip")
    assert function.export()["failures"][0]["metric"] == "load"
    assert function.read(MANIFEST) == b"no gzip"
    assert len([key for key in function.keys(PREFIX) if key.endswith("_load.manifest")]) == 2
    function.delete(MANIFEST)
    assert function.export()["outcome"] == "complete"
