"""Label values and samples made to break things, through a real Prometheus into the bucket.

The keys stay distinct and say whose they are, and the bodies are byte for byte what was sent.
"""

import gzip
import json
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import unquote

import pytest

from localcloud.prometheus import Prometheus
from localcloud.remote_write import RemoteWriter
from mimir_exporter.storage.layout import cluster_folder, parse_key
from tests.conftest import MakePrometheus
from tests.integration import faults
from tests.integration.conftest import MakeFunction, MakeProxy
from tests.integration.days import DAY_S
from tests.integration.deployment import CENTRAL, HOUR_S, LAST_END, PREFIX, Function, start_of
from tests.torture import hostile
from tests.torture.conftest import Record

HOURS = 1
MINUTES = range((LAST_END - HOURS * HOUR_S) // 60, LAST_END // 60)
# Two series of a cluster, read and made, fit; a step of all clusters does not.
MAX_SAMPLES = 60
A_ROUND = 40  # random clusters
HEAD, TAIL = b'{"status":"success","data":{"resultType":"matrix","result":[', b"]}}"


@pytest.fixture(scope="module")
def server(make_prometheus: MakePrometheus) -> Prometheus:
    """Empty until a test pushes its own metric."""
    return make_prometheus()


@pytest.fixture(scope="module")
def strict(make_prometheus: MakePrometheus) -> Prometheus:
    """Empty, and refuses what is larger than a step of one cluster."""
    return make_prometheus(max_samples=MAX_SAMPLES)


def exporter_of(make_function: MakeFunction, server: Prometheus, *metrics: str) -> Function:
    """Exports just these metrics, as they are."""
    extra = {name: f"{name}{{$matchers}}" for name in metrics}
    function = make_function(
        PORT=str(server.port), BACKFILL_DAYS=f"{HOURS}h", EXTRA_METRICS=json.dumps(extra)
    )
    return replace(function, metrics=())


def test_hostile_clusters_have_a_folder_each_and_exact_files(
    server: Prometheus, make_function: MakeFunction, budget_s: float, seed: int, record: Record
) -> None:
    """The known ones, then random ones as long as there is time."""
    ends = time.monotonic() + budget_s
    chance = random.Random(seed)
    writer = RemoteWriter(server.write_url)
    clusters: Sequence[str] = hostile.CLUSTERS
    rounds = 0
    while not rounds or time.monotonic() < ends:
        rounds += 1
        name = f"hostile_{rounds}"
        hostile.push_gauges(writer, name, clusters, chance, MINUTES)
        function = exporter_of(make_function, server, name)
        assert function.export()["outcome"] == "complete"
        assert function.differences(server, HOURS) == []
        assert_exact(function, server, name)
        assert assert_reversible(function) == {*clusters, ""} - {CENTRAL}
        record("hostile clusters exported and read back", len(clusters))
        clusters = sorted({hostile.text(chance) for _ in range(A_ROUND)})


def test_hostile_clusters_can_be_asked_for_one_by_one(
    server: Prometheus,
    strict: Prometheus,
    make_function: MakeFunction,
    seed: int,
    record: Record,
) -> None:
    """Where Mimir refuses a step of all clusters, each is asked for by its name, in PromQL."""
    clusters = hostile.CLUSTERS
    for one in (server, strict):
        writer = RemoteWriter(one.write_url)
        hostile.push_gauges(writer, "one_by_one", clusters, random.Random(seed), MINUTES)
    function = exporter_of(make_function, strict, "one_by_one")
    result = function.export()
    assert (result["outcome"], result["failures"]) == ("complete", [])
    assert function.messages("metric exported")[0]["parts"] > len(clusters)
    assert function.differences(server, HOURS) == []
    record("hostile clusters asked for by name", len(clusters))


def test_native_histograms_come_through_as_they_are(
    make_prometheus: MakePrometheus, make_function: MakeFunction, seed: int, record: Record
) -> None:
    server = make_prometheus(native_histograms=True)  # takes none that are older than what it has
    clusters = hostile.CLUSTERS[:40]
    writer = RemoteWriter(server.write_url)
    hostile.push_histograms(writer, "latency", clusters, random.Random(seed), MINUTES)
    function = exporter_of(make_function, server, "latency")
    result = function.export()
    assert (result["outcome"], result["samples"]) == ("complete", len(clusters) * len(MINUTES))
    assert function.differences(server, HOURS) == []
    assert_exact(function, server, "latency")
    record("native histograms exported and read back", result["samples"])


def test_retention_finds_every_hostile_folder(
    server: Prometheus, make_function: MakeFunction, seed: int, is_long: bool
) -> None:
    chance = random.Random(seed)
    clusters = hostile.CLUSTERS if is_long else chance.sample(hostile.CLUSTERS, 20)
    hostile.push_gauges(RemoteWriter(server.write_url), "old", clusters, chance, MINUTES)
    function = exporter_of(make_function, server, "old").with_env(RETENTION_DAYS="1d")
    function.export()
    # Series without a cluster are in CENTRAL's folder, where the checkpoint is too.
    assert len(function.file_keys()) == HOURS * len({*clusters, CENTRAL})
    function.clock.advance(3 * 24 * HOUR_S)
    function.export()
    assert function.file_keys() == {}
    # What is younger has no series any more: manifests without files.
    kept_since = (LAST_END + 2 * 24 * HOUR_S) // DAY_S * DAY_S
    manifests = [key for key in function.keys(PREFIX) if key.endswith(".manifest")]
    assert min(map(start_of, manifests)) == kept_since


def test_half_a_surrogate_pair_which_only_json_can_spell_is_a_cluster_too(
    make_proxy: MakeProxy, make_function: MakeFunction, mimir: Prometheus
) -> None:
    """Prometheus holds no such text, and sends none: a proxy writes it into its answers."""
    proxy = make_proxy(f"http://127.0.0.1:{mimir.port}")
    proxy.spoil(faults.alter(lambda body: body.replace(b'"prod-eu"', rb'"\ud83e"')))
    function = replace(
        make_function(PORT=str(proxy.port), BACKFILL_DAYS="1h"), metrics=("node_info",)
    )
    result = function.export()
    assert (result["outcome"], result["failures"]) == ("complete", [])
    folders = {key.removeprefix(f"{PREFIX}/").partition("/")[0] for key in function.file_keys()}
    assert folders == {"%ED%A0%BE", "prod-us", "staging", CENTRAL}
    assert function.export({"action": "status"})["outcome"] == "complete"


def assert_exact(function: Function, server: Prometheus, name: str) -> None:
    """Each file is the answer's head, the bytes of its cluster's series in order, and the end."""
    files = function.files()
    for start in range(MINUTES.start * 60, LAST_END, HOUR_S):
        whole = server.query_range(name, start, start + HOUR_S - 60, 60)
        series: dict[str, list[bytes]] = defaultdict(list)
        for element in elements(whole):
            cluster = json.loads(element)["metric"].get("cluster") or CENTRAL
            series[cluster].append(element)
        assert series
        for cluster, found in series.items():
            body = next(
                body
                for key, body in files.items()
                if key.startswith(f"{PREFIX}/{cluster_folder(cluster)}/") and f"/{start}_" in key
            )
            assert gzip.decompress(body) == HEAD + b",".join(found) + TAIL


def elements(answer: bytes) -> list[bytes]:
    """The bytes of each series, by Python's own parser."""
    assert answer.startswith(HEAD)
    text = answer.decode()
    decode = json.JSONDecoder().raw_decode
    at, found = len(HEAD), []
    while text[at] == "{":
        _, end = decode(text, at)
        found.append(text[at:end].encode())
        at = end + (text[end] == ",")
    assert text[at:].rstrip() == TAIL.decode()
    return found


def assert_reversible(function: Function) -> set[str]:
    """The clusters that the keys say; "" for series without one."""
    clusters: dict[str, str] = {}
    for key, body in function.files().items():
        name = parse_key(PREFIX, key)
        assert name is not None
        inside = {
            series["metric"].get("cluster", "")
            for series in json.loads(gzip.decompress(body))["data"]["result"]
        }
        if name.folder == CENTRAL:
            inside -= {CENTRAL}  # shares its folder with series that have no cluster
        (cluster,) = inside
        assert clusters.setdefault(name.folder, cluster) == cluster
        if "%s" in name.folder:
            assert name.folder == cluster_folder(cluster)
        else:
            assert unquote(name.folder, errors="strict") == (cluster or CENTRAL)
    assert len(set(clusters.values())) == len(clusters)
    return set(clusters.values())
