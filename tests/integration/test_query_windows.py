"""QUERY_WINDOWS: one query for several windows of a small metric leaves the same files."""

import gzip
import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localcloud.history import History
from localcloud.prometheus import Prometheus
from mimir_exporter.runs import ahead
from mimir_exporter.timeline.windows import Window, iso_range
from tests.conftest import MakePrometheus
from tests.integration import faults
from tests.integration.conftest import MakeFunction, MakeMachine, MakeProxy
from tests.integration.deployment import (
    CENTRAL,
    FEW,
    HOUR_S,
    LAST_END,
    NOW,
    PREFIX,
    Function,
    start_of,
)
from tests.integration.faults import Answer, Exchange, Fault, Proxy, Request
from tests.integration.machines import WAITING, items_of
from tests.integration.short_runs import SHORT_S, races_the_clock
from tests.some import some

HOURS = 6
REFUSALS = {
    "too_large": faults.error(422, "query processing would load too many samples into memory"),
    "too_many_series": faults.error(
        422, "the query exceeded the maximum number of series (err-mimir-max-series-per-query)"
    ),
    "rejected": faults.error(400, "no"),
    "forbidden": faults.answer(403, "this range is not for you"),
    "in_part": faults.add_members(warnings=["partial response: a store was away"]),
    "page": faults.answer(200, "<html>", **{"Content-Type": "text/html"}),
    "not_sliced": faults.alter(lambda text: text.replace(b'"values":', b'"values": ')),
}


@pytest.fixture
def function(through: Function) -> Function:
    """Six windows of a few metrics, up to six in a query."""
    return hours(through, HOURS)


def hours(function: Function, windows: int, **env: str) -> Function:
    return function.with_env(BACKFILL_DAYS=f"{HOURS}h", QUERY_WINDOWS=str(windows), **env)


def texts(function: Function) -> dict[str, Any]:
    """What the files say, and what the manifests say beside what each export has of its own."""
    found: dict[str, Any] = {key: gzip.decompress(body) for key, body in function.files().items()}
    for key in function.keys(f"{PREFIX}/{CENTRAL}/_manifests/"):
        manifest = json.loads(gzip.decompress(function.read(key)))
        if "files" in manifest:  # and no receipt of a day
            files = [file | {"bytes": None, "etag": None} for file in manifest["files"]]
            found[key] = manifest | {"exported": None, "files": files}
    return found


def windows_of(function: Function) -> list[Window]:
    """All that the bucket has files of."""
    starts = {start_of(key) for key in function.file_keys()}
    return [Window(start, start + HOUR_S, 60) for start in sorted(starts)]


def is_wide(request: Request) -> bool:
    """For the answers of several windows, and not for how many samples they have."""
    return (
        request.is_query
        and request.span_s > HOUR_S
        and "count_over_time" not in request.fields["query"]
    )


def wide(proxy: Proxy) -> list[Request]:
    return [request for request in proxy.queries if is_wide(request)]


def test_the_files_are_those_of_single_queries(
    make_function: MakeFunction, make_proxy: MakeProxy, mimir: Prometheus
) -> None:
    """The whole catalogue, with the counts that an audit compares."""
    proxy = make_proxy(f"http://127.0.0.1:{mimir.port}")
    before, after = (hours(make_function(PORT=str(proxy.port)), most) for most in (1, HOURS))
    assert before.export()["outcome"] == "complete"
    alone = len(proxy.queries)
    assert after.export()["outcome"] == "complete"
    together = proxy.queries[alone:]
    assert after.differences(mimir, HOURS) == []
    expected = texts(before)
    assert len(expected) > HOURS * len(after.catalog)
    assert texts(after) == expected
    # Small files are the same to the byte: exporting a window again leaves them as they are.
    assert after.file_keys() == before.file_keys()
    # The first window tells how large the others are; then all of them are one query, and one
    # that counts their samples. Names of one query are asked for once.
    queries = {metric.query for metric in after.catalog}
    assert len([request for request in together if is_wide(request)]) == len(queries)
    assert (alone, len(together)) == (HOURS * len(queries), 3 * len(queries))


def test_what_was_asked_for_together_is_audited(function: Function) -> None:
    function.export()
    function.clock.advance(25 * HOUR_S)
    function.export()
    progress = function.checkpoint()["progress"]
    window = iso_range(LAST_END - HOURS * HOUR_S, LAST_END)
    assert all(metric["audited"] == [window] for metric in some(progress))


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_is_refused_together_is_asked_for_by_window(
    refusal: str, function: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    proxy.spoil(REFUSALS[refusal], is_wide)
    result = function.export()
    assert (result["outcome"], result["failures"]) == ("complete", [])
    assert function.differences(mimir, HOURS) == []
    lines = function.messages("windows queried alone")
    assert [line["metric"] for line in lines] == list(FEW)
    assert len({request.fields["query"] for request in wide(proxy)}) == len(FEW)


def damage_a_time(exchange: Exchange) -> None:
    """A gzip answer whose text is damaged: its checksum is that of what was sent."""
    body = exchange.forward({"accept-encoding": "identity"}).body
    packed = gzip.compress(body.replace(b'"values":[[1', b'"values":[[-', 1))
    checksum = zlib.crc32(body).to_bytes(4, "little")
    exchange.send(Answer(200, packed[:-8] + checksum + packed[-4:], {"Content-Encoding": "gzip"}))


@pytest.mark.parametrize(
    "fault",
    [
        *(faults.reset, faults.cut_in_chunks, faults.cut_with_length, faults.break_gzip),
        damage_a_time,
    ],
)
def test_an_answer_that_breaks_off_is_asked_for_again(
    fault: Fault, function: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    proxy.spoil(fault, is_wide, times=1)
    assert function.export()["outcome"] == "complete"
    assert function.differences(mimir, HOURS) == []
    assert function.messages("windows queried alone") == []
    assert len(wide(proxy)) == len(FEW) + 1


def test_a_server_that_really_refuses(
    make_function: MakeFunction, make_prometheus: MakePrometheus, mimir: Prometheus
) -> None:
    """An hour of ten nodes fits into its limit, six do not."""
    strict = make_prometheus(History(end_s=NOW, days=1), max_samples=5_000)
    function = replace(hours(make_function(PORT=str(strict.port)), HOURS), metrics=("node_info",))
    assert function.export()["outcome"] == "complete"
    (line,) = function.messages("windows queried alone")
    assert "too many samples" in line["cause"]
    assert function.differences(mimir, HOURS) == []


def test_a_bad_hour_is_asked_for_by_itself(
    function: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """What failed before is in no query of others, and so does not hold them back."""
    bad = LAST_END - 3 * HOUR_S
    first = function.with_env(QUERY_WINDOWS="1")

    def has_bad_hour(request: Request) -> bool:
        fields = request.fields
        return request.is_query and int(fields["start"]) <= bad <= int(fields["end"])

    proxy.spoil(faults.error(400, "no"), has_bad_hour)
    assert len(first.export()["failures"]) == len(FEW)
    longer = function.with_env(BACKFILL_DAYS=f"{2 * HOURS}h")
    asked = len(proxy.queries)
    longer.export()
    assert longer.messages("windows queried alone") == []
    alone = [request for request in proxy.queries[asked:] if has_bad_hour(request)]
    assert all(request.span_s <= HOUR_S for request in some(alone))
    assert any(is_wide(request) for request in proxy.queries[asked:])
    proxy.heal()
    assert longer.export()["outcome"] == "complete"
    assert longer.differences(mimir, 2 * HOURS) == []


def test_a_large_answer_is_asked_for_by_window(
    function: Function, proxy: Proxy, mimir: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    single = replace(function, metrics=("pod_info",))
    monkeypatch.setattr(ahead, "ANSWER_BYTES", 1)
    assert single.export()["outcome"] == "complete"
    assert wide(proxy) == []
    assert single.differences(mimir, HOURS) == []


def test_a_query_of_the_user_s_own_is_asked_for_by_window(
    function: Function, proxy: Proxy, tmp_path: Path
) -> None:
    """Its value may depend on the range that it is asked for."""
    query = "max by (cluster)(kube_node_info @ end())"
    catalog = tmp_path / "catalog.toml"
    catalog.write_text(f'[[metric]]\nname = "own"\nkey = ["cluster"]\nquery = "{query}"\n', "utf-8")
    own = replace(function, metrics=()).with_env(
        CATALOG=str(catalog), EXTRA_METRICS=json.dumps({"extra": "max by (cluster)(up)"})
    )
    own = replace(own, metrics=None)
    assert own.export()["outcome"] == "complete"
    assert len(proxy.queries) == 2 * HOURS
    assert wide(proxy) == []


def test_what_does_not_fit_by_itself_is_not_asked_for_together(
    function: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    too_long = faults.error(422, "err-mimir-max-chunks-per-query")
    proxy.spoil(too_long, lambda request: request.is_query and request.span_s > 20 * 60)
    assert function.export()["outcome"] == "complete"
    assert function.differences(mimir, HOURS) == []
    assert wide(proxy) == []
    assert function.messages("windows queried alone") == []


def test_counts_that_are_refused_together_cost_one_query(
    function: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """They are not split: each window is counted when its turn comes."""
    counted = "count_over_time"

    def counts_many(request: Request) -> bool:
        return request.is_query and counted in request.fields["query"]

    proxy.spoil(faults.error(422, "too many samples"), counts_many)
    assert function.export()["outcome"] == "complete"
    assert function.differences(mimir, HOURS) == []
    assert len([request for request in proxy.queries if counts_many(request)]) == len(FEW)
    manifests = [text for text in texts(function).values() if isinstance(text, dict)]
    assert len(manifests) == HOURS * len(FEW)
    assert all(manifest["source_samples"] for manifest in some(manifests))


def test_what_is_exported_already_is_not_asked_for_again(
    function: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """The windows of one query touch: between them is none that is not due."""
    hole = LAST_END - 4 * HOUR_S
    function.with_env(BACKFILL_DAYS="1h").export()
    done = {"action": "export", "start": hole, "end": hole + HOUR_S}
    assert function.with_env(BACKFILL_DAYS="1h").export(done)["outcome"] == "complete"
    before = set(function.file_keys())
    asked = len(proxy.queries)
    assert function.export()["outcome"] == "complete"
    assert function.differences(mimir, HOURS) == []
    assert before < set(function.file_keys())
    ranges = {
        (int(request.fields["start"]), int(request.fields["end"]) + 60)
        for request in proxy.queries[asked:]
        if is_wide(request)
    }
    assert ranges == {(LAST_END - 6 * HOUR_S, hole)}


def test_windows_across_midnight_of_an_uneven_length(
    make_function: MakeFunction, make_proxy: MakeProxy, mimir: Prometheus
) -> None:
    """A day that TIME_FRAME does not divide ends in a shorter window."""
    proxy = make_proxy(f"http://127.0.0.1:{mimir.port}")
    bounds = {"TIME_FRAME": "5h", "BACKFILL_DAYS": "20h"}
    made = [replace(make_function(PORT=str(proxy.port)), metrics=FEW) for _ in range(2)]
    before, after = (
        function.with_env(**bounds, QUERY_WINDOWS=most)
        for function, most in zip(made, ("1", "8"), strict=True)
    )
    assert (before.export()["outcome"], after.export()["outcome"]) == ("complete", "complete")
    assert texts(after) == texts(before)
    assert len({start_of(key) % (5 * HOUR_S) for key in after.file_keys()}) > 1


@races_the_clock
def test_a_run_that_ends_before_their_turn_loses_nothing(
    function: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    proxy.spoil(faults.late(0.3), lambda request: request.is_query)
    outcomes = [function.export(seconds=SHORT_S)["outcome"] for _ in range(2)]
    assert "unfinished" in outcomes
    proxy.heal()
    assert function.export()["outcome"] == "complete"
    assert function.differences(mimir, HOURS) == []


@races_the_clock
def test_an_item_of_the_map_has_as_many_windows(
    function: Function, make_machine: MakeMachine, proxy: Proxy, mimir: Prometheus
) -> None:
    machine = make_machine(WAITING)
    proxy.spoil(faults.never_answer, lambda request: request.is_query)
    handing = hours(function, 4, BACKFILL_STATE_MACHINE_ARN=machine)
    result = handing.export(seconds=SHORT_S)
    assert (result["outcome"], result["windows"]["handed_over"]) == ("handed_over", HOURS)
    items = items_of(handing.cloud, machine, result["execution"])
    assert items == [
        {"start": LAST_END - 4 * HOUR_S, "end": LAST_END},
        {"start": LAST_END - 6 * HOUR_S, "end": LAST_END - 4 * HOUR_S},
    ]
    proxy.heal()
    asked = len(proxy.queries)
    results, lines = [], list[str]()
    for item in items:
        results.append(handing.backfill(item))
        for message in ("window started", "window finished"):
            lines += [line["window"] for line in handing.messages(message)]
    # A query for one window finds what became of it.
    assert sorted(lines) == sorted(2 * [str(window) for window in windows_of(handing)])
    assert all(result["finished"] and not result["failed"] for result in some(results))
    assert handing.differences(mimir, HOURS) == []
    # Of four: one tells the size, one counts, one is for the other three. Of two: both alone.
    assert len(proxy.queries) - asked == (3 + 2) * len(FEW)
