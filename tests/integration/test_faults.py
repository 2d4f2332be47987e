"""What a run does about each thing that goes wrong between it and Mimir.

Four ends: waited for, queried in smaller parts, failed for one metric, or the run stopped
with one sentence. Whichever it was, the next run makes the bucket equal to Prometheus.
"""

import itertools
import time
from collections.abc import Callable

import pytest

from localcloud.processes import free_port
from localcloud.prometheus import Prometheus
from mimir_exporter.errors import ExportError
from mimir_exporter.log import ERROR_PARTS
from mimir_exporter.source import refusals
from tests.integration import faults
from tests.integration.deployment import Function
from tests.integration.faults import Exchange, Fault, Proxy, Request
from tests.integration.matchers import is_by_cluster, selected
from tests.integration.sandbox import Event
from tests.some import some

HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>502</h1>nginx</body></html>"
PARTIAL = "partial response: store 10.0.0.7 did not answer"


def asks_for(metric: str) -> Callable[[Request], bool]:
    """The range queries of one metric of FEW."""
    series = {"node_info": "kube_node_info", "pod_info": "kube_pod_info", "cpu_usage": "rate("}
    return lambda request: request.is_query and series[metric] in request.fields["query"]


def at_path(path: str) -> Callable[[Request], bool]:
    return lambda request: request.path == path


def assert_complete(function: Function, result: Event, mimir: Prometheus) -> None:
    assert (result["outcome"], result["failures"]) == ("complete", [])
    assert function.differences(mimir, 1) == []


def assert_one_sentence(problem: ExportError, *says: str) -> None:
    text = str(problem)
    assert "\n" not in text
    assert "<" not in text
    assert text.endswith("]")
    assert len(text) < 700
    for words in says:
        assert words in text


PASSING: list[tuple[str, Fault]] = [
    ("connection reset", faults.reset),
    ("connection closed", faults.hang_up),
    ("cut off, with a length", faults.cut_with_length),
    ("cut off, in chunks", faults.cut_in_chunks),
    ("cut off, without a length", faults.cut_without_length),
    ("gzip cut off", faults.cut_gzip),
    ("gzip broken", faults.break_gzip),
    ("gzip that goes on", faults.add_to_gzip),
    ("gzip that is none", faults.answer(200, "{}", Content_Encoding="gzip")),
    ("truncated JSON", faults.alter(lambda body: body[: len(body) // 2])),
    ("JSON that ends before its last brace", faults.alter(lambda body: body.rstrip()[:-1])),
    ("HTML with 200", faults.answer(200, HTML)),
    ("an empty body", faults.answer(200)),
    ("an error with 200", faults.error(200, "expanding series: store is away")),
    ("a success without data", faults.answer(200, '{"status":"success"}')),
    ("a vector", faults.alter(lambda body: body.replace(b'"matrix"', b'"vector"'))),
    ("warnings of missing data", faults.add_members(warnings=[PARTIAL])),
    ("isPartial", faults.add_members(isPartial=True)),
    ("429", faults.error(429, "too many outstanding requests")),
    ("429 in plain text", faults.answer(429, "Too Many Requests")),
    ("429 of one's own queries", faults.error(429, "limited (err-mimir-query-limited)")),
    ("429, to be asked again before now", faults.answer(429, Retry_After="-1")),
    ("429, to be asked again at a date", faults.answer(429, Retry_After="Fri, 31 Dec 9999")),
    ("400 with ThrottlingException", faults.answer(400, '{"__type":"ThrottlingException"}')),
    ("499", faults.answer(499)),
    ("500", faults.error(500, "store-consistency-check-failed (err-mimir-store-consistency)")),
    ("502 in HTML", faults.answer(502, HTML, Content_Type="text/html")),
    ("500 of an index", faults.error(500, "too old (err-mimir-bucket-index-too-old)")),
    ("500 of an ingester", faults.error(500, "rpc error: code = Unavailable desc = closing")),
    ("503", faults.answer(503, "no healthy upstream")),
    ("503 on leaving", faults.answer(503, "server is shutting down")),
    ("504", faults.answer(504, "stream timeout")),
]


@pytest.mark.parametrize(
    "fault", [fault for _, fault in PASSING], ids=[name for name, _ in PASSING]
)
def test_what_passes_is_waited_for(
    fault: Fault, through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    proxy.spoil(fault, asks_for("pod_info"), times=1)
    result = through.export()
    assert_complete(through, result, mimir)
    retries = {line["metric"]: line["retries"] for line in through.logs if "retries" in line}
    assert retries == {"node_info": 0, "pod_info": 1, "cpu_usage": 0}
    assert len(proxy.queries) == 4


def test_a_few_waits_are_logged_and_all_are_counted(through: Function, proxy: Proxy) -> None:
    refused = faults.answer(422, "err-mimir-max-chunks-per-query")
    proxy.spoil(refused, lambda request: asks_for("pod_info")(request) and request.span_s > 300)
    asked: set[tuple[str, str]] = set()

    def asks_first(request: Request) -> bool:
        part = (request.fields.get("start", ""), request.fields.get("end", ""))
        if not asks_for("pod_info")(request) or request.span_s > 300 or part in asked:
            return False
        asked.add(part)
        return True

    proxy.spoil(faults.answer(503), asks_first)
    assert through.export()["outcome"] == "complete"
    (told,) = [line for line in through.messages("metric exported") if line["metric"] == "pod_info"]
    assert told["retries"] == told["parts"] > 10
    waits = through.messages("query retried")
    assert len(waits) == 5
    assert all(line["level"] == "WARNING" and "503" in line["summary"] for line in some(waits))


def test_annotations_about_the_query_are_no_warning(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    info = 'PromQL info: metric might not be a counter: "kube_pod_info" (1:6)'
    proxy.spoil(faults.add_members(infos=[info], warnings=["PromQL warning: something (1:2)"]))
    assert_complete(through, through.export(), mimir)
    assert len(proxy.queries) == 3
    assert [line["annotations"] for line in through.logs if "annotations" in line] == [[info]] * 3


def test_retry_after_is_honoured(through: Function, proxy: Proxy, mimir: Prometheus) -> None:
    proxy.spoil(faults.answer(429, Retry_After="1"), asks_for("pod_info"), times=1)
    assert_complete(through, through.export(), mimir)
    refused, again = [request for request in proxy.queries if asks_for("pod_info")(request)]
    assert again.began - refused.ended >= 0.95


@pytest.mark.parametrize("asked", ["99999999", "99999999999999999999"])
def test_an_absurd_retry_after_is_not_slept_through(
    asked: str, through: Function, proxy: Proxy, mimir: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute at most, as far as it is taken at all."""
    assert refusals.RETRY_AFTER_CAP_S == 60
    monkeypatch.setattr(refusals, "RETRY_AFTER_CAP_S", 0.3)
    proxy.spoil(faults.answer(429, Retry_After=asked), asks_for("pod_info"), times=1)
    began = time.monotonic()
    assert_complete(through, through.export(), mimir)
    assert time.monotonic() - began < 30


def test_a_wait_that_the_time_does_not_allow_ends_the_run(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    proxy.spoil(faults.answer(503, Retry_After="50"), asks_for("node_info"))
    began = time.monotonic()
    result = through.export(seconds=45)
    assert time.monotonic() - began < 30
    assert result["outcome"] == "unfinished"
    assert through.differences(mimir, 1, only=("cpu_usage",)) == []
    proxy.heal()
    assert_complete(through, through.export(), mimir)
    assert not any(asks_for("cpu_usage")(request) for request in proxy.queries)


# Too large: smaller pieces


TOO_LONG = [
    (400, "exceeded maximum resolution of 11,000 points per timeseries."),
    (400, "the total query time range exceeds the limit (err-mimir-max-total-query-length)"),
    (413, "response larger than the max message size (104857600 vs 4194304)"),
    (422, "the query time range exceeds the limit (err-mimir-max-query-length)"),
    (422, "the query exceeded the maximum number of chunks (err-mimir-max-chunks-per-query)"),
    (422, "too many chunks (err-mimir-max-estimated-chunks-per-query)"),
    (422, "the aggregated chunks size is too large (err-mimir-max-chunks-bytes-per-query)"),
    (422, "too much memory (err-mimir-max-estimated-memory-consumption-per-query)"),
    (422, "query processing would load too many samples into memory in query execution"),
    (422, "the query hit the max number of chunks limit while fetching chunks (limit: 2000)"),
    (422, "rpc error: code = Code(422) desc = exceeded chunks limit: limit 2000 violated"),
    (500, "code = ResourceExhausted desc = grpc: received message larger than max (9 vs 4)"),
    (503, "query timed out in expression evaluation"),
    (422, "the query hit the aggregated data size limit (limit: 2097152 bytes)"),
    (422, "the query response size exceeds limit (limit: 2097152 bytes)"),
    (422, "rpc error: code = Unknown desc = exceeded bytes limit: limit 7 violated"),
    # In words that no list has.
    (400, "this query would return more than the plan of your organization allows"),
    (413, "Payload Too Large"),
    (422, "budget of scanned bytes used up after {} bytes"),
    (502, "upstream prematurely closed connection"),
    (504, "upstream request timeout"),
]


@pytest.mark.parametrize(("status", "text"), TOO_LONG, ids=[f"{s} {t[-40:]}" for s, t in TOO_LONG])
def test_what_is_too_large_is_asked_for_in_pieces(
    status: int, text: str, single: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    proxy.spoil(faults.error(status, text), lambda r: r.is_query and r.span_s > 20 * 60)
    assert_complete(single, single.export(), mimir)
    asked = [request.span_s for request in proxy.queries]
    answered = [span for span in asked if span <= 20 * 60]
    assert len(answered) == 4
    assert sum(span + 60 for span in answered) == 3600


@pytest.mark.parametrize("fault", [faults.cut_with_length, faults.cut_in_chunks, faults.cut_gzip])
def test_an_answer_that_always_breaks_off_is_asked_for_in_pieces(
    fault: Fault, single: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """As a server's write time-out makes it (grafana/mimir#3248)."""
    proxy.spoil(fault, lambda r: r.is_query and r.span_s > 20 * 60)
    assert_complete(single, single.export(), mimir)


def test_what_was_once_too_large_is_not_asked_for_again(
    single: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    longer = single.with_env(BACKFILL_DAYS="4h")
    too_long = faults.error(422, "err-mimir-max-chunks-per-query")
    proxy.spoil(too_long, lambda r: r.is_query and r.span_s > 20 * 60)
    assert longer.export()["outcome"] == "complete"
    assert longer.differences(mimir, 4) == []
    refused = [r for r in proxy.queries if r.span_s > 20 * 60]
    assert len(refused) < 4


def test_the_smallest_piece_is_remembered(
    single: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """Though the last one that was cut had been a longer one."""
    longer = single.with_env(BACKFILL_DAYS="2h")
    dense = int(single.clock()) // 3600 * 3600 - 3600
    proxy.spoil(
        faults.error(422, "err-mimir-max-chunks-per-query"),
        lambda r: r.is_query and r.span_s > (8 if int(r.fields["start"]) == dense else 16) * 60,
    )
    assert longer.export()["outcome"] == "complete"
    assert longer.differences(mimir, 2) == []
    older = [r for r in proxy.queries if int(r.fields["end"]) < dense]
    assert {request.span_s for request in older} == {7 * 60, 3 * 60}
    assert not any(request.span_s > 16 * 60 for request in older)


TOO_MANY = [
    "the query exceeded the limit (err-mimir-max-series-per-query)",
    "rpc error: code = Code(422) desc = exceeded series limit: limit 3 violated (got 4)",
]


@pytest.mark.parametrize("text", TOO_MANY, ids=["querier", "store-gateway"])
def test_too_many_series_are_asked_for_by_cluster(
    text: str, single: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    too_many = faults.error(422, text)
    proxy.spoil(too_many, lambda r: r.is_query and not is_by_cluster(query_of(r)))
    assert_complete(single, single.export(), mimir)
    asked = [query_of(request).partition("{")[2].partition(" ")[0] for request in proxy.queries[1:]]
    assert asked == [
        'cluster=~"prod-eu|prod-us",',
        'cluster=~"staging",',
        'cluster!~"prod-eu|prod-us|staging",',
    ]
    assert {request.span_s for request in proxy.queries} == {59 * 60}


def asks_for_clusters(request: Request) -> bool:
    return request.path.endswith("/label/cluster/values")


@pytest.mark.parametrize(
    "fault",
    [
        faults.add_members(warnings=[PARTIAL], data=["prod-eu"]),
        faults.add_members(isPartial=True, data=["prod-eu"]),
        faults.error(200, "expanding series: store is away"),
        faults.error(503, "no healthy upstream"),
        faults.cut_with_length,
        faults.alter(lambda body: body[: len(body) // 2]),
    ],
    ids=["warnings", "isPartial", "error with 200", "503", "cut off", "truncated JSON"],
)
def test_half_a_list_of_clusters_is_not_taken_for_all_of_them(
    fault: Fault, single: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """A cluster that is not queried is missing in the files, and no record would show it."""
    too_many = faults.error(422, TOO_MANY[0])
    proxy.spoil(too_many, lambda r: r.is_query and not is_by_cluster(query_of(r)))
    proxy.spoil(fault, asks_for_clusters, times=1)
    assert_complete(single, single.export(), mimir)
    asked = [request for request in proxy.requests if asks_for_clusters(request)]
    assert len(asked) == 2
    assert {request.fields["partial_response"] for request in asked} == {"false"}


def test_one_step_too_large_is_asked_for_by_cluster(
    single: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """Time is cut first; from a step that is too large on, the rest is asked for by cluster."""
    refuse = faults.error(422, "err-mimir-max-estimated-memory-consumption-per-query")
    step = int(single.clock()) // 3600 * 3600 - 3600 + 30 * 60
    proxy.spoil(
        refuse,
        lambda r: (
            r.is_query
            and int(r.fields["start"]) <= step <= int(r.fields["end"])
            and not is_by_cluster(query_of(r))
        ),
    )
    assert_complete(single, single.export(), mimir)
    by_cluster = [r for r in proxy.queries if is_by_cluster(query_of(r))]
    assert {(int(r.fields["start"]), r.span_s) for r in by_cluster} == {(step, 29 * 60)}
    assert len(by_cluster) == 3


def query_of(request: Request) -> str:
    return request.fields["query"]


@pytest.mark.parametrize("largest_s", [0, 60, 300, 900])
def test_size_in_unknown_words_is_found_out(
    largest_s: int, single: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """However small the part is that fits."""
    numbers = itertools.count(1000)

    def refuse(exchange: Exchange) -> None:
        faults.error(413, f"no: {next(numbers)} of 1000 units")(exchange)

    proxy.spoil(refuse, lambda r: r.is_query and r.span_s > largest_s)
    assert_complete(single, single.export(), mimir)
    assert len(proxy.queries) <= 4 * 3600 / (largest_s + 60)


def test_size_in_unknown_words_that_only_fewer_clusters_help(
    single: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    proxy.spoil(
        faults.error(400, "more than your plan allows"),
        lambda r: r.is_query and len(selected(query_of(r), ("", "prod-eu", "prod-us"))) > 1,
    )
    assert_complete(single, single.export(), mimir)
    assert len(proxy.queries) <= 14


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_small_parts_are_refused_with_too_is_not_size(
    status: int, through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """In words that no list has; and the next metric is not tried in pieces again."""
    proxy.spoil(faults.error(status, "not in dialect 7"), asks_for("pod_info"))
    proxy.spoil(faults.error(status, "not in dialect 8"), asks_for("node_info"))
    result = through.export()
    assert [one["metric"] for one in result["failures"]] == ["node_info", "pod_info"]
    assert result["failures"][0]["code"] == "query_refused"
    assert through.differences(mimir, 1, only=("cpu_usage",)) == []
    asked = [sum(map(asks_for(name), proxy.queries)) for name in ("node_info", "pod_info")]
    assert max(asked) <= 5
    assert min(asked) == 1


# Failed, for one metric only


REJECTED = [
    (400, faults.error(400, 'invalid parameter "query": 1:6: parse error: unexpected "}"')),
    (400, faults.error(400, "the request has been blocked (err-mimir-query-blocked)")),
    (400, faults.error(400, "the request has been blocked (err-mimir-request-blocked)")),
    (400, faults.error(400, "err-mimir-max-query-expression-size-bytes")),
    (413, faults.answer(413, "http: request body too large")),
    (422, faults.error(422, "found duplicate series for the match group on the right hand-side")),
    (422, faults.answer(422, "too many tenant IDs present")),
]


@pytest.mark.parametrize("fault", [fault for _, fault in REJECTED], ids=range(len(REJECTED)))
def test_a_rejected_query_fails_for_its_metric_only(
    fault: Fault, through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    longer = through.with_env(BACKFILL_DAYS="2h")
    proxy.spoil(fault, asks_for("pod_info"))
    result = longer.export()
    assert result["outcome"] == "unfinished"
    assert [(one["metric"], one["window"]) for one in result["failures"]] == [
        ("pod_info", "2025-03-01T11:00:00Z/2025-03-01T12:00:00Z")
    ]
    assert result["failures"][0]["code"] == "query_rejected"
    (line,) = longer.messages("metric failed")
    assert all(line[part] == result["failures"][0][part] for part in some(ERROR_PARTS))
    # Asking again, or for less, gives the same answer: so it was asked once, for one window.
    assert len([r for r in proxy.queries if asks_for("pod_info")(r)]) == 1
    assert longer.differences(mimir, 2, only=("node_info", "cpu_usage")) == []
    proxy.heal()
    assert longer.export()["outcome"] == "complete"
    assert longer.differences(mimir, 2) == []
    assert not any(asks_for("node_info")(request) for request in proxy.queries)


@pytest.mark.parametrize(
    "fault",
    [
        faults.error(500, "bucket-index-too-old"),
        faults.error(200, "expanding series: store is away"),
        faults.add_members(warnings=[PARTIAL]),
        faults.answer(200, HTML),
        faults.reset,
    ],
    ids=["500", "error with 200", "warnings", "HTML with 200", "reset"],
)
def test_what_does_not_pass_fails_for_its_metric_only(
    fault: Fault, through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    proxy.spoil(fault, asks_for("pod_info"))
    result = through.export()
    assert result["outcome"] == "unfinished"
    assert [one["metric"] for one in result["failures"]] == ["pod_info"]
    assert through.differences(mimir, 1, only=("node_info", "cpu_usage")) == []
    (failure,) = through.checkpoint()["failures"]
    assert (failure["metric"], failure["attempts"]) == ("pod_info", 1)
    proxy.heal()
    assert_complete(through, through.export(), mimir)
    assert through.checkpoint()["failures"] == []


# The run stopped


STOPPING = [
    ("401", faults.answer(401, "Unauthorized"), "PROMETHEUS_"),
    ("407", faults.answer(407, "Proxy Authentication Required"), "proxy"),
]
# By the endpoint, or by a firewall or a gateway that takes offence at one query.
REFUSING = [
    ("403", faults.answer(403, "<html><body>Forbidden</body></html>"), "the tenant"),
    ("404", faults.answer(404, "404 page not found"), "PATH_PREFIX"),
    ("405", faults.answer(405, "Method Not Allowed"), "POST"),
    ("410", faults.answer(410, "Gone"), "PATH_PREFIX"),
    ("406", faults.answer(406, "Not Acceptable"), "WIRE_GZIP"),
    ("302", faults.answer(302, "", Location="http://127.0.0.1:9/login"), "PATH_PREFIX"),
]


@pytest.mark.parametrize(
    ("fault", "says"),
    [(fault, says) for _, fault, says in STOPPING],
    ids=[name for name, _, _ in STOPPING],
)
def test_an_endpoint_that_refuses_stops_the_run(
    fault: Fault, says: str, through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """In the middle of a run: what was done is kept, and nothing counts as failed."""
    proxy.spoil(fault, asks_for("node_info"))
    with pytest.raises(ExportError) as caught:
        through.export()
    assert_one_sentence(caught.value, says)
    assert [line["code"] for line in through.messages("run failed")] == [caught.value.details.code]
    assert through.differences(mimir, 1, only=("cpu_usage",)) == []
    assert through.checkpoint()["failures"] == []
    proxy.heal()
    assert_complete(through, through.export(), mimir)
    assert len(proxy.queries) == 2


@pytest.mark.parametrize(
    ("fault", "says"),
    [(fault, says) for _, fault, says in REFUSING],
    ids=[name for name, _, _ in REFUSING],
)
def test_what_refuses_every_query_stops_the_run(
    fault: Fault, says: str, through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """Said once, in its own words, and no metric has failed."""
    proxy.spoil(fault)
    for _ in range(2):
        with pytest.raises(ExportError) as caught:
            through.export()
        assert_one_sentence(caught.value, says)
        (line,) = through.messages("run failed")
        assert (line["code"], through.messages("metric failed")) == (caught.value.details.code, [])
        assert through.checkpoint()["failures"] == []
    proxy.heal()
    assert_complete(through, through.export(), mimir)


@pytest.mark.parametrize(
    ("fault", "says"),
    [(fault, says) for _, fault, says in REFUSING],
    ids=[name for name, _, _ in REFUSING],
)
def test_what_refuses_one_query_fails_that_metric_only(
    fault: Fault, says: str, through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    proxy.spoil(fault, asks_for("node_info"))
    result = through.export()
    assert result["outcome"] == "unfinished"
    (failure,) = result["failures"]
    assert failure["metric"] == "node_info"
    assert says in failure["remedy"]
    assert through.differences(mimir, 1, only=("cpu_usage", "pod_info")) == []
    (known,) = through.checkpoint()["failures"]
    assert known["attempts"] == 1
    proxy.heal()
    assert_complete(through, through.export(), mimir)
    assert all(asks_for("node_info")(request) for request in some(proxy.queries))


def test_metrics_in_a_row_without_an_answer_stop_the_run(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    proxy.spoil(faults.answer(503, "no healthy upstream"))
    with pytest.raises(ExportError) as caught:
        through.export()
    assert_one_sentence(caught.value, "Aborted: 3 consecutive metrics failed", "503")
    # Not these metrics' fault: none has used up an attempt.
    assert through.checkpoint()["failures"] == []
    proxy.heal()
    assert_complete(through, through.export(), mimir)


def test_an_endpoint_that_is_down_stops_the_run(through: Function, mimir: Prometheus) -> None:
    nobody = through.with_env(PORT=str(free_port()))
    with pytest.raises(ExportError) as caught:
        nobody.export()
    assert_one_sentence(caught.value, "Connection refused", "check HOSTNAME, PORT, SCHEME")
    assert_complete(through, through.export(), mimir)


def test_who_leaves_in_the_middle_is_missed_for_that_metric_only(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """Refused connections, until the next run."""
    proxy.spoil(faults.leave(30), asks_for("pod_info"))
    result = through.export()
    assert result["outcome"] == "unfinished"
    ((metric, cause),) = [(one["metric"], one["cause"]) for one in result["failures"]]
    assert metric == "pod_info"
    assert "Connection refused" in cause
    assert through.differences(mimir, 1, only=("node_info", "cpu_usage")) == []
    proxy.heal()
    assert_complete(through, through.export(), mimir)


def test_a_name_that_is_unknown_stops_the_run(through: Function) -> None:
    with pytest.raises(ExportError) as caught:
        through.with_env(HOSTNAME="mimir.invalid").export()
    assert_one_sentence(caught.value, "mimir.invalid", "check HOSTNAME")


def test_a_wrong_prefix_stops_the_run(through: Function, mimir: Prometheus) -> None:
    """Prometheus itself says 404 to what it does not know."""
    wrong = through.with_env(PATH_PREFIX="/mimir", PORT=str(mimir.port))
    with pytest.raises(ExportError) as caught:
        wrong.export()
    assert_one_sentence(caught.value, "404", "PATH_PREFIX")


def test_an_endpoint_that_is_not_ready_is_not_asked(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    proxy.spoil(
        faults.answer(503, "Some services are not Running:\nStarting: 1"),
        lambda request: request.path == "/-/ready",
    )
    proxy.spoil(faults.answer(503, "starting"), lambda request: request.path.endswith("/query"))
    with pytest.raises(ExportError) as caught:
        through.export()
    assert_one_sentence(
        caught.value, "/-/ready", "503", "not ready", "Starting: 1", "METRICS_READINESS_PATH"
    )
    assert proxy.queries == []
    proxy.heal()
    assert_complete(through, through.export(), mimir)


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ({"/-/ready": 404, "/ready": 200}, "/ready"),
        ({"/-/ready": 404, "/ready": 404}, "/prometheus/api/v1/query"),
        ({"/-/ready": 403, "/ready": 302}, "/prometheus/api/v1/query"),
        ({"/-/ready": 503, "/ready": 503}, "/prometheus/api/v1/query"),
        ({"/-/ready": 502, "/ready": 404}, "/prometheus/api/v1/query"),
        ({"/-/ready": 503, "/ready": 200}, "/ready"),
    ],
    ids=[
        "Mimir",
        "a gateway that hides it",
        "a gateway that guards it",
        "a router without such a path",
        "a gateway without a server for it",
        "a router without the first path",
    ],
)
def test_readiness_is_found_where_it_is(
    answers: dict[str, int], asked: str, through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    for path, status in answers.items():
        proxy.spoil(faults.answer(status, "ready"), at_path(path))
    assert_complete(through, through.export(), mimir)
    assert [line["path"] for line in through.messages("endpoint ready")] == [asked]


def test_a_query_that_is_asked_for_readiness_may_be_tried_again(
    through: Function, proxy: Proxy, mimir: Prometheus
) -> None:
    """One 503 of a gateway that hides readiness does not cost the run."""
    proxy.spoil(faults.answer(404), lambda r: r.path in ("/-/ready", "/ready"))
    proxy.spoil(faults.answer(503), lambda r: r.path.endswith("/query"), times=2)
    assert_complete(through, through.export(), mimir)


def test_something_else_that_answers_200_stops_the_run(through: Function, proxy: Proxy) -> None:
    """A login page, say: ready by its status, and no Prometheus."""
    proxy.spoil(faults.answer(404), lambda r: r.path in ("/-/ready", "/ready"))
    proxy.spoil(faults.answer(200, HTML), lambda r: r.path.endswith("/query"))
    with pytest.raises(ExportError) as caught:
        through.export()
    assert_one_sentence(caught.value, "a login page?", "check HOSTNAME, PORT")


def test_requests_name_a_path_and_not_a_proxy(through: Function, proxy: Proxy) -> None:
    through.export()
    assert all(request.target.startswith("/") for request in some(proxy.requests))
    assert all(
        request.headers["host"] == f"127.0.0.1:{proxy.port}" for request in some(proxy.requests)
    )
    (query, *_) = proxy.queries
    assert query.headers["accept-encoding"] == "gzip"
    assert query.headers["cache-control"] == "no-store"
    assert query.fields["partial_response"] == "false"
    assert query.fields["nocache"] == "1"
