"""A Mimir that does everything wrong, one thing after another at random, over many windows.

Whatever it did, once it is left in peace the bucket holds exactly the samples that it has.
"""

import json
import time
from dataclasses import replace
from random import Random

import pytest

from localcloud.prometheus import Prometheus
from mimir_exporter.checkpoint.ranges import load_ranges
from mimir_exporter.source import transport
from tests.integration import faults
from tests.integration.conftest import MakeFunction, MakeProxy
from tests.integration.deployment import FEW, LAST_END, Function
from tests.integration.faults import Exchange, Fault, Request
from tests.integration.matchers import is_by_cluster
from tests.torture.conftest import Record
from tests.torture.fault_injector import FaultInjector, export_somehow, pass_on

HOURS = 23  # the history begins within the hour before
HOURS_QUICK = 6
# Past this span what is too large is refused; at or under it the same query is answered, as the
# real limits do. A limit that no query can keep would be no fault but a wrong setting.
LARGE_S = 10 * 60
HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>502</h1></body></html>"
PARTIAL = "partial response: store 10.0.0.7 did not answer"


def only(when: bool, fault: Fault) -> Fault:
    return fault if when else pass_on


def refuse_long(status: int, text: str) -> Fault:
    def fault(exchange: Exchange) -> None:
        request = exchange.request
        large = request.is_query and request.span_s > LARGE_S
        only(large, faults.error(status, text))(exchange)

    return fault


def refuse_all_clusters(text: str) -> Fault:
    def fault(exchange: Exchange) -> None:
        request = exchange.request
        all_at_once = request.is_query and not is_by_cluster(request.fields["query"])
        only(all_at_once, faults.error(422, text))(exchange)

    return fault


# Waited for.
PASSING: dict[str, Fault] = {
    "reset": faults.reset,
    "closed": faults.hang_up,
    "refused": faults.leave(0.03),
    "cut off, with a length": faults.cut_with_length,
    "cut off, in chunks": faults.cut_in_chunks,
    "cut off, without a length": faults.cut_without_length,
    "gzip cut off": faults.cut_gzip,
    "gzip broken": faults.break_gzip,
    "stalled": faults.stall,
    "no answer": faults.never_answer,
    "truncated JSON": faults.alter(lambda body: body[: len(body) // 2]),
    "HTML with 200": faults.answer(200, HTML),
    "nothing with 200": faults.answer(200),
    "an error with 200": faults.error(200, "expanding series: store is away"),
    "warnings": faults.add_members(warnings=[PARTIAL]),
    "isPartial": faults.add_members(isPartial=True),
    "429": faults.error(429, "too many outstanding requests"),
    "429, Retry-After a moment": faults.answer(429, Retry_After="0"),
    "429, Retry-After negative": faults.answer(429, Retry_After="-1"),
    "429, Retry-After absurd": faults.answer(429, Retry_After="99999999"),
    "429, Retry-After a date": faults.answer(429, Retry_After="Fri, 31 Dec 9999 23:59:59 GMT"),
    "400 throttled": faults.answer(400, '{"message":"ThrottlingException: Rate exceeded"}'),
    "499": faults.answer(499),
    "500": faults.error(500, "store-consistency-check-failed"),
    "502": faults.answer(502, HTML, Content_Type="text/html"),
    "503": faults.answer(503, "no healthy upstream", Retry_After="0"),
    "504": faults.answer(504, "stream timeout"),
}
# Split by time, or by cluster.
TOO_LARGE: dict[str, Fault] = {
    "400 too many points": refuse_long(400, "exceeded maximum resolution of 11,000 points"),
    "413 too large an answer": refuse_long(413, "response larger than the max message size"),
    "422 too long": refuse_long(422, "the query time range exceeds the limit"),
    "422 too many samples": refuse_long(422, "would load too many samples into memory"),
    "422 too much memory": refuse_long(422, "err-mimir-max-estimated-memory-consumption-per-query"),
    "503 timed out": refuse_long(503, "query timed out in expression evaluation"),
    "422 too many series": refuse_all_clusters("err-mimir-max-series-per-query"),
}
# Failed for that metric, or the run stopped; another run queries again.
FATAL: dict[str, Fault] = {
    "400 parse error": faults.error(400, "parse error"),
    "400 blocked": faults.error(400, "err-mimir-query-blocked"),
    "413 too large a request": faults.answer(413, "http: request body too large"),
    "422 matching": faults.error(422, "found duplicate series for the match group"),
    "422 tenants": faults.answer(422, "too many tenant IDs present"),
    "401": faults.answer(401, "Unauthorized"),
    "403": faults.answer(403, "<html><body>Forbidden</body></html>"),
    "404": faults.answer(404, "404 page not found"),
    "406": faults.answer(406, "Not Acceptable"),
    "302": faults.answer(302, "", Location="http://127.0.0.1:9/login"),
}


def of_the_api(request: Request) -> bool:
    """Queries of both kinds and the values of labels; readiness has tests of its own."""
    return "/api/v1/" in request.path


def test_whatever_mimir_does_nothing_is_lost_or_doubled(
    make_function: MakeFunction,
    make_proxy: MakeProxy,
    mimir: Prometheus,
    seed: int,
    budget_s: float,
    is_long: bool,
    record: Record,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each round is a new bucket, and has its own share of faults, of some kinds."""
    # What is waited for is the same; only not for so long.
    monkeypatch.setattr(transport, "STALL_TIMEOUT_S", 0.2)
    monkeypatch.setattr(transport, "FIRST_BYTE_TIMEOUT_S", 0.4)
    monkeypatch.setattr("mimir_exporter.source.refusals.RETRY_AFTER_CAP_S", 0.1)
    random = Random(seed)
    hours = HOURS if is_long else HOURS_QUICK
    end = time.monotonic() + budget_s
    rounds = 0
    while not rounds or time.monotonic() < end:
        rounds += 1
        proxy = make_proxy(f"http://127.0.0.1:{mimir.port}")
        env = {"BACKFILL_DAYS": f"{hours}h", "QUERY_WINDOWS": random.choice(["1", "4"])}
        function = replace(make_function(PORT=str(proxy.port), **env), metrics=FEW)
        kinds = random.choice(
            [(PASSING,), (PASSING, TOO_LARGE), (TOO_LARGE,), (PASSING, TOO_LARGE, FATAL)]
        )
        injector = FaultInjector(random, random.choice([0.05, 0.2, 0.5, 0.9]), *kinds)
        proxy.spoil(injector, of_the_api)
        runs = random.randint(1, 6)
        for _ in range(runs):
            assert export_somehow(function, 20) in ("complete", "unfinished", "stopped")
        requests = len(proxy.requests)
        proxy.heal()
        runs += finish(function)
        assert function.differences(mimir, hours) == []
        forget(function, mimir, hours, proxy, random)
        injector.record(record, windows=hours, runs=runs, requests=requests)


def finish(function: Function) -> int:
    """How many runs it takes without faults; gaps are exported again, as an operator would."""
    runs = 0
    while function.export()["outcome"] != "complete" or function.checkpoint()["failures"]:
        runs += 1
        assert runs < 4
        for gap in function.checkpoint()["failures"]:
            for start, end in load_ranges(gap["ranges"]):
                again = {"start": start, "end": end, "metrics": [gap["metric"]]}
                function.export({"action": "reexport", **again})
    return runs + 1


def forget(
    function: Function, mimir: Prometheus, hours: int, proxy: faults.Proxy, random: Random
) -> None:
    """Mimir's retention passes: its answers are empty or lack their first part, with 200.

    Asked for again, no file gets shorter.
    """

    def lose_some(body: bytes) -> bytes:
        answer = json.loads(body)
        if answer.get("data", {}).get("resultType") == "matrix":
            result = answer["data"]["result"]
            keep = 0.0 if random.random() < 0.5 else random.random()
            answer["data"]["result"] = [one for one in result if random.random() < keep]
        return json.dumps(answer).encode()

    proxy.spoil(faults.alter(lose_some))
    start = LAST_END - hours * 3600
    result = function.export({"action": "reexport", "start": start, "end": LAST_END})
    assert result["outcome"] == "complete"
    assert function.messages("files kept")
    assert function.differences(mimir, hours) == []
