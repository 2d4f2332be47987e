"""Whatever one metric, one hour or one query meets: all others are exported, in the same run.

And it counts against that metric and hour only where the endpoint answers other queries.
"""

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from localcloud.processes import Program, serve
from localcloud.prometheus import Prometheus, find_prometheus, version_of
from mimir_exporter.answer import spool
from mimir_exporter.errors import ExportError
from mimir_exporter.source.fetch import Fetcher
from tests.integration import faults
from tests.integration.conftest import MakeProxy
from tests.integration.deployment import FEW, HOUR_S, LAST_END, NOW, Function, start_of
from tests.integration.faults import Proxy, Request
from tests.integration.sandbox import Clock
from tests.some import some

INCONSISTENT = "failed to fetch some blocks (err-mimir-store-consistency-check-failed)"
# Six of the catalogue in its order; the first three have selectors of their own.
SIX = (
    "cpu_usage",
    "memory_usage",
    "bytes_received",
    "namespace_labels",
    "node_info",
    "pod_info",
)
FIRST = ("container_cpu_usage", "container_memory_working_set", "container_network_receive")


def within(start: int, end: int) -> Callable[[Request], bool]:
    """Range queries that look at a moment of [start, end)."""
    return lambda r: r.is_query and start <= int(r.fields["end"]) and int(r.fields["start"]) < end


def asks(*texts: str) -> Callable[[Request], bool]:
    return lambda r: r.is_query and any(text in r.fields["query"] for text in texts)


@pytest.mark.parametrize(
    ("fault", "hours"),
    [
        (faults.error(500, INCONSISTENT), (0, 1)),
        (faults.answer(503, "no healthy upstream"), (1, 3)),
        (faults.answer(403, "blocked"), (0, 2)),
    ],
    ids=["the newest hour", "two in the middle", "the two newest"],
)
def test_hours_that_always_fail_hold_back_no_other(
    fault: faults.Fault,
    hours: tuple[int, int],
    through: Function,
    proxy: Proxy,
    mimir: Prometheus,
) -> None:
    function = through.with_env(BACKFILL_DAYS="5h")
    bad = (LAST_END - hours[1] * HOUR_S, LAST_END - hours[0] * HOUR_S)
    proxy.spoil(fault, within(*bad))
    result = function.export(seconds=120)
    assert result["outcome"] == "unfinished"
    assert result["windows"]["exported"] == 5 - (hours[1] - hours[0])
    files = function.files()
    for one in range(1, 6):
        if not hours[0] < one <= hours[1]:
            begin = LAST_END - one * HOUR_S
            own = {key: body for key, body in files.items() if start_of(key) == begin}
            assert function.differences(mimir, 1, until=begin + HOUR_S, files=own) == []
    recorded = function.checkpoint()["failures"]
    assert {one["attempts"] for one in some(recorded)} == {1}
    proxy.heal()
    assert function.export()["outcome"] == "complete"
    assert function.differences(mimir, 5) == []


@pytest.mark.parametrize("status", [503, 500])
def test_metrics_that_always_fail_hold_back_no_other(
    status: int, through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """The first ones of the plan, and more of them than an endpoint that is down would take."""
    function = replace(through.with_env(BACKFILL_DAYS="4h"), metrics=SIX)
    proxy.spoil(faults.answer(status, "no"), asks(*FIRST))
    result = function.export(seconds=120)
    assert {one["metric"] for one in result["failures"]} == set(SIX[:3])
    assert function.differences(mimir, 4, only=SIX[3:]) == []
    # Not in each of the windows: two show that it is the metric.
    assert len(result["failures"]) == 6
    # What works comes first in the next run, and the rest is not forgotten.
    function.clock.advance(1800)
    proxy.requests.clear()
    function.export(seconds=120)
    proxy.heal()
    assert function.export(seconds=120)["outcome"] == "complete"
    assert function.differences(mimir, 4) == []


def test_what_failed_before_comes_after_what_works(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    function = replace(through.with_env(BACKFILL_DAYS="2h"), metrics=SIX)
    proxy.spoil(faults.answer(503), asks(FIRST[0]))
    function.export(seconds=120)
    later = replace(function.with_env(), metrics=SIX)
    later.clock.advance(HOUR_S)
    proxy.requests.clear()
    later.export(seconds=120)
    # But for the query of one step that finds out whether the endpoint answers.
    asked = [asks(FIRST[0])(r) for r in proxy.queries if r.span_s]
    # Once in the new window, in its turn; for all else that it lacks, after all others.
    others = [at for at, own in enumerate(asked) if not own]
    assert sum(asked[: max(others)]) <= 4, asked


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (faults.answer(403, "<h1>Request blocked by WAF</h1>"), "access_denied"),
        (faults.error(422, "not in dialect 7"), "query_refused"),
        (faults.error(400, "parse error: unexpected left brace"), "query_rejected"),
        (faults.answer(503, "always"), "mimir_unavailable"),
    ],
    ids=["a firewall", "in unknown words", "its text", "not available"],
)
def test_a_metric_that_fails_everywhere_is_one_gap_at_the_usual_schedule(
    fault: faults.Fault, code: str, through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """Every half hour a run, every hour a new window: it fails the fifth time, and is a gap."""
    function = replace(through.with_env(BACKFILL_DAYS="2h"), clock=Clock(NOW - 6 * HOUR_S))
    proxy.spoil(fault, asks("kube_node_info"))
    gaps = []
    for _ in range(12):
        gaps.append(function.export(seconds=120)["gaps"])
        function.clock.advance(1800)
    assert gaps[0] == gaps[1] == 0
    assert gaps[-1] == 1, gaps
    until, begin = LAST_END - HOUR_S, LAST_END - 6 * HOUR_S
    others = {key: body for key, body in function.files().items() if start_of(key) >= begin}
    assert (
        function.differences(mimir, 5, until=until, files=others, only=("cpu_usage", "pod_info"))
        == []
    )
    status = function.export({"action": "status"})
    assert {one["code"] for one in some(status["failures"])} == {code}
    assert status["metric_windows"]["gap"] >= 5
    # Over for one of them, it is over for all of them.
    proxy.heal()
    function.clock.advance(25 * HOUR_S)
    function.export(seconds=240)
    assert function.export()["gaps"] == 0


@pytest.mark.parametrize("broken", [KeyError("metric"), RecursionError(), MemoryError()])
def test_an_exception_of_one_metric_is_its_failure(
    broken: Exception,
    through: Function,
    mimir: Prometheus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A mistake in the program, say, that one answer brings out."""
    fetch = Fetcher.fetch

    def spoilt(self: Fetcher, metric: object, *rest: object) -> object:
        if metric.name == "node_info":  # type: ignore[attr-defined]
            raise broken
        return fetch(self, metric, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Fetcher, "fetch", spoilt)
    result = through.export()
    assert [(one["metric"], one["code"]) for one in result["failures"]] == [
        ("node_info", "internal_error")
    ]
    (line,) = through.messages("internal error")
    assert line["exception_name"] == type(broken).__name__
    assert through.differences(mimir, 1, only=("cpu_usage", "pod_info")) == []
    assert [one["attempts"] for one in through.checkpoint()["failures"]] == [1]


def test_an_exception_of_every_metric_is_no_metrics_own(
    through: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said all the same, and the run has failed."""

    def spoilt(*_: object) -> object:
        raise KeyError("metric")

    monkeypatch.setattr(Fetcher, "fetch", spoilt)
    result = through.export()
    assert {one["code"] for one in result["failures"]} == {"internal_error"}


@pytest.mark.parametrize("way", ["no room", "no folder"])
def test_a_full_tmp_fails_the_metrics_that_need_it(
    way: str,
    through: Function,
    mimir: Prometheus,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """What fits into memory is exported."""
    monkeypatch.setattr(spool, "MEMORY_BYTES", 20_000)
    if way == "no folder":
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    else:
        make = tempfile.SpooledTemporaryFile

        class Full(make):  # type: ignore[misc, valid-type]
            def rollover(self) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(spool, "SpooledTemporaryFile", Full)
    result = through.export()
    failed = {one["metric"] for one in result["failures"]}
    assert failed == {"cpu_usage"}
    assert {one["code"] for one in result["failures"]} == {"no_temporary_space"}
    assert "ephemeral_storage_mb" in result["failures"][0]["remedy"]
    assert through.differences(mimir, 1, only=("node_info", "pod_info")) == []
    monkeypatch.undo()
    assert through.export()["outcome"] == "complete"


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[int]:
    """The port of a real Prometheus in agent mode, which is ready and answers no query."""
    config = tmp_path / "prometheus.yml"
    config.write_text("remote_write: [{url: 'http://127.0.0.1:9/'}]\n", "utf-8")

    def make(port: int) -> Program:
        binary = find_prometheus()
        argv = [
            str(binary),
            "--agent" if version_of(binary) >= (3, 0) else "--enable-feature=agent",
            f"--config.file={config}",
            f"--storage.agent.path={tmp_path / 'agent'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        ready = f"http://127.0.0.1:{port}/-/ready"
        return Program("prometheus", argv, os.environ, tmp_path / "agent.log", ready)

    with serve(make) as (_, port):
        yield port


@pytest.mark.parametrize("metrics", [FEW, None, FEW[:1]], ids=["a few", "all", "one"])
def test_an_agent_is_no_fault_of_its_metrics(
    metrics: tuple[str, ...] | None, agent: int, through: Function
) -> None:
    """Said once, and no attempt of any of them is counted."""
    function = through.with_env(PORT=str(agent), PATH_PREFIX="/", BACKFILL_DAYS="3h")
    function = replace(function, metrics=metrics)
    for _ in range(2):
        with pytest.raises(ExportError) as caught:
            function.export(seconds=120)
        assert caught.value.details.code == "queries_rejected"
        assert "unavailable with Prometheus Agent" in caught.value.details.cause
        assert function.messages("metric failed") == []
        assert function.checkpoint()["failures"] == []


@pytest.mark.parametrize("path", ["query_range", "query"])
def test_that_vector_1_is_answered_proves_nothing(
    path: str, through: Function, proxy: Proxy
) -> None:
    """It reads no store: all ingesters may be away."""
    proxy.spoil(
        faults.error(500, "empty ring"),
        lambda r: "/api/v1/" in r.path and "vector(1)" not in r.fields.get("query", ""),
    )
    proxy.spoil(faults.answer(404), lambda r: path == "query" and r.path.endswith("ready"))
    with pytest.raises(ExportError) as caught:
        through.export()
    assert caught.value.details.code == "consecutive_failures"
    assert through.checkpoint()["failures"] == []


def test_what_an_error_of_s3_finds_failed_does_not_count(
    through: Function, proxy: Proxy, make_proxy: MakeProxy
) -> None:
    """It stops the run, and nothing has shown yet that the endpoint answers."""
    store = make_proxy(through.cloud.endpoint)
    function = through.with_env(AWS_ENDPOINT_URL=store.url)
    proxy.spoil(faults.answer(503), asks(FIRST[0]))
    store.spoil(
        faults.answer(403, "<Error><Code>AccessDenied</Code></Error>"),
        lambda r: r.method == "PUT" and "metric" in r.path,
    )
    with pytest.raises(ExportError) as caught:
        function.export()
    assert caught.value.details.code == "s3_access_denied"
    assert function.checkpoint()["failures"] == []


def test_a_run_that_ends_with_a_failure_finds_out_whose_it_is(
    through: Function, proxy: Proxy
) -> None:
    """The last metric of the plan fails: one more query tells."""
    proxy.spoil(faults.answer(503), asks("kube_pod_info"))
    assert [one["metric"] for one in through.export()["failures"]] == ["pod_info"]
    assert [one["attempts"] for one in through.checkpoint()["failures"]] == [1]
    # And where the endpoint is away by then, nothing counts: neither of a new window nor of this.
    through.clock.advance(HOUR_S)
    proxy.heal()
    proxy.spoil(faults.leave(30), asks("kube_pod_info"))
    through.export()
    assert [one["attempts"] for one in through.checkpoint()["failures"]] == [1]
    assert {line["attempt"] for line in some(through.messages("metric failed"))} == {0, 1}
