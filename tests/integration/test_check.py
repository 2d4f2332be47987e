"""What `check` reports of sources and buckets in which something is really wrong."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Literal

import pytest

from localcloud.history import SCRAPES_A_REQUEST, History, make_history
from localcloud.prometheus import Prometheus
from localcloud.remote_write import RemoteWriter
from mimir_exporter.storage.client_config import INTERACTIVE_CONFIG
from tests.conftest import MakePrometheus
from tests.integration import faults
from tests.integration.conftest import MakeFunction, MakeMachine, MakeProxy
from tests.integration.deployment import FEW, HOUR_S, NOW, Function
from tests.integration.faults import Exchange, Proxy, Request
from tests.integration.machines import PASSING, executions
from tests.integration.sandbox import Event
from tests.integration.short_runs import races_the_clock
from tests.some import some

Labels = dict[str, str]
# What becomes of a series: other labels, or none at all.
Change = Callable[[Labels], Labels | None]
HISTORY_H = 3


@dataclass(frozen=True)
class Ended:
    """A cluster whose samples stop so long before NOW."""

    cluster: str
    minutes: int


def push(prometheus: Prometheus, change: Change, ended: Ended | None = None) -> None:
    """Some hours of the usual clusters up to NOW, each series changed."""
    history = History(end_s=NOW, days=HISTORY_H / 24)
    writer = RemoteWriter(prometheus.write_url, prometheus.headers)
    changed = [(change(dict(run.labels)), run) for run in make_history(history)]
    runs = [replace(run, labels=labels) for labels, run in changed if labels is not None]
    length = history.grid.length
    for first in range(0, length, SCRAPES_A_REQUEST):
        last = min(first + SCRAPES_A_REQUEST, length)
        parts = []
        for run in runs:
            is_ended = ended and run.labels.get("cluster") == ended.cluster
            parts.append(run.between(first, last - ended.minutes if ended and is_ended else last))
        writer.send(part for part in parts if part is not None)


def check(function: Function) -> Event:
    return function.export({"action": "check"})


def found(result: Event, what: str) -> Event:
    """The only finding of this name, and not a warning about something else."""
    (one,) = (one for one in result["findings"] if one["what"] == what)
    assert set(one) == {"level", "what", "code", "summary", "cause", "remedy"}
    # What is not well says what to change.
    assert bool(one["remedy"]) == (one["level"] != "ok")
    return dict(one)


def levels(result: Event) -> dict[str, str]:
    """Of what is not well."""
    return {one["what"]: one["level"] for one in result["findings"] if one["level"] != "ok"}


def is_from(labels: Labels, source: str) -> bool:
    return labels["__name__"].startswith(source)


# What a source lacks


@pytest.fixture(scope="module")
def sick(module_function: MakeFunction, make_prometheus: MakePrometheus) -> Event:
    """The check of clusters each of which has something else wrong."""

    def change(labels: Labels) -> Labels | None:
        cluster = labels.get("cluster")
        if is_from(labels, "container_"):
            if cluster in ("prod-eu", "prod-us"):
                del labels["node"]
            if cluster == "prod-us":
                labels["instance"] = f"kubelet-of-{labels['instance']}"
        if labels["__name__"] == "kube_pod_status_phase":
            return None
        if cluster == "staging" and is_from(labels, "kube_"):
            return None
        if labels["__name__"] in ("kube_pod_labels", "kube_namespace_labels"):
            labels = {k: v for k, v in labels.items() if not k.startswith("label_")}
        return None if labels["__name__"] == "kubelet_volume_stats_used_bytes" else labels

    prometheus = make_prometheus()
    push(prometheus, change, Ended("prod-eu", minutes=40))
    return check(module_function(PORT=str(prometheus.port), BACKFILL_DAYS="2d"))


def test_each_cause_is_one_finding(sick: Event) -> None:
    assert sick["outcome"] == "ready"
    assert levels(sick) == {
        "cluster_label": "warning",
        "lacking_clusters": "warning",
        "requests": "warning",
        "node_label": "warning",
        "kubernetes_labels": "warning",
        "kubelet": "warning",
        "late_data": "warning",
        "history": "warning",
    }
    assert sick["message"].startswith("Ready, 8 warnings: ")


def test_the_worst_is_first(sick: Event) -> None:
    order = [one["level"] for one in sick["findings"]]
    assert order == sorted(order, key=["error", "warning", "ok"].index)


def test_requests_without_phases_are_explained(sick: Event) -> None:
    one = found(sick, "requests")
    assert "cpu_requests and memory_requests are empty" in one["summary"]
    assert "no kube_pod_status_phase" in one["summary"]


def test_a_cluster_without_kube_state_metrics_is_named(sick: Event) -> None:
    one = found(sick, "lacking_clusters")
    assert one["summary"].startswith("staging have no series of kube-state-metrics (")
    assert "scrape kube-state-metrics" in one["remedy"]


def test_cadvisor_without_node_is_joined_by_instance_where_that_is_a_node(sick: Event) -> None:
    one = found(sick, "node_label")
    assert "(of prod-us)" in one["summary"]  # prod-eu has ended
    assert "values of instance are no node of kube_node_info" in one["summary"]
    assert "__meta_kubernetes_node_name" in one["remedy"]


def test_missing_kubernetes_labels_name_the_flag(sick: Event) -> None:
    one = found(sick, "kubernetes_labels")
    assert "kube_pod_labels, kube_namespace_labels without any label_*" in one["summary"]
    assert one["remedy"].endswith("--metric-labels-allowlist=pods=[*],namespaces=[*]")


def test_a_late_cluster_says_how_late(sick: Event) -> None:
    one = found(sick, "late_data")
    assert "late data at 600 s (prod-eu)" in one["summary"]
    late_s = int(one["summary"].rpartition(" is ")[2].split()[0])
    assert 40 * 60 <= late_s <= 42 * 60
    assert f"set SETTLE_TIME above {late_s}" in one["remedy"]


def test_a_backfill_past_the_retention_says_from_when_there_is_data(sick: Event) -> None:
    one = found(sick, "history")
    assert "begins at 2025-02-27T12:00:00Z" in one["summary"]
    assert "2025-03-01T09:" in one["summary"] or "2025-03-01T10:" in one["summary"]
    assert "lower BACKFILL_DAYS to 0.1" in one["remedy"]


def test_the_report_reads_without_json(sick: Event) -> None:
    report = sick["report"]
    assert all(len(line) <= 110 for line in some(report))
    assert report[0].startswith("warning  ")
    assert any(line.startswith("ok       clock ") for line in report)
    assert any(line.strip().startswith("-> scrape kube-state-metrics") for line in report)
    nodes = sick["metrics"]["node_info"]
    (line,) = (line for line in report if line.startswith("node_info "))
    assert f"{nodes['series']} series" in line
    assert f"prod-us {nodes['by_cluster']['prod-us']}" in line


def test_another_name_of_the_cluster_label_is_suggested(
    make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    def change(labels: Labels) -> Labels | None:
        if "cluster" in labels:
            labels["k8s_cluster_name"] = labels.pop("cluster")
        if labels["__name__"] == "kube_pod_info":
            labels["cluster_ip"] = "10.1.1.1"  # sounds alike, and is something else
        if is_from(labels, "container_") and "k8s_cluster_name" in labels:
            del labels["node"]
        return labels

    prometheus = make_prometheus()
    push(prometheus, change)
    function = make_function(PORT=str(prometheus.port), BACKFILL_DAYS="2h")
    result = check(function)
    one = found(result, "cluster_label")
    assert one["level"] == "warning"
    assert one["remedy"] == (
        "set CLUSTER_LABEL_NAME to k8s_cluster_name, which has the values prod-eu, prod-us, staging"
    )
    # With that done it is well, but for the cluster that has no such label.
    better = check(function.with_env(CLUSTER_LABEL_NAME="k8s_cluster_name"))
    assert levels(better) == {"cluster_label": "warning"}
    assert better["metrics"]["node_info"]["clusters"] == 3
    node = found(better, "node_label")
    assert "instance is a node of kube_node_info" in node["summary"]
    # And where all goes into one folder anyway, it need not be there at all.
    assert "cluster_label" not in levels(check(function.with_env(SPLIT_BY_CLUSTER="false")))


@pytest.mark.parametrize(
    ("gone", "source", "name"),
    [
        ("kube_", "kube_state_metrics", "kube-state-metrics"),
        ("container_", "cadvisor", "cAdvisor"),
    ],
)
def test_a_source_that_is_missing_is_one_finding(
    gone: str,
    source: str,
    name: str,
    make_function: MakeFunction,
    make_prometheus: MakePrometheus,
) -> None:
    prometheus = make_prometheus()
    push(prometheus, lambda labels: None if is_from(labels, gone) else labels)
    result = check(make_function(PORT=str(prometheus.port), BACKFILL_DAYS="2h"))
    assert result["outcome"] == "ready"
    assert levels(result) == {source: "warning", "cluster_label": "warning"}
    assert f"metrics of {name} has a series" in found(result, source)["summary"]


def test_no_series_at_all_is_not_fit(
    make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    prometheus = make_prometheus()
    result = check(make_function(PORT=str(prometheus.port)))
    assert levels(result) == {"metrics": "error"}
    assert result["message"] == "Not ready: metrics: none of the 25 metrics has a series."
    assert "tenant" in found(result, "metrics")["remedy"]


def test_a_source_that_has_stopped_is_reported_with_its_end(
    make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    """Not taken for another tenant."""
    prometheus = make_prometheus()
    push(prometheus, lambda labels: labels)
    function = make_function(PORT=str(prometheus.port))
    function.clock.advance(2 * HOUR_S)
    one = found(check(function), "metrics")
    assert "none of the 25 metrics has a series; the newest sample" in one["summary"]
    assert "2025-03-01T12:" in one["summary"]
    assert "has stopped" in one["remedy"]


def test_old_requests_ask_for_a_newer_kube_state_metrics(
    make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    def change(labels: Labels) -> Labels | None:
        if labels["__name__"] == "kube_pod_init_container_resource_requests":
            return None
        if labels["__name__"] == "kube_pod_container_resource_requests":
            if labels["resource"] != "cpu":
                return None
            labels["__name__"] += "_cpu_cores"
            del labels["resource"], labels["unit"]
        return labels

    prometheus = make_prometheus()
    push(prometheus, change)
    result = check(make_function(PORT=str(prometheus.port), BACKFILL_DAYS="2h"))
    assert "2.0 or later" in found(result, "requests")["remedy"]


# How long it takes, and the time it has


@races_the_clock
def test_a_slow_query_does_not_keep_the_report(through: Function, proxy: Proxy) -> None:
    def is_counted(request: Request) -> bool:
        return request.path.endswith("/query") and "pod_info" in request.fields["query"]

    proxy.spoil(faults.never_answer, is_counted)
    result = through.export({"action": "check"}, seconds=12)
    one = found(result, "metric:pod_info")
    assert one["level"] == "warning"
    assert one["cause"] == "The query timed out after 2 s"
    # The others had their turn.
    assert result["metrics"]["node_info"]["series"] == 10
    assert result["metrics"]["cpu_usage"]["series"] > 10
    assert found(result, "size")["level"] == "ok"


def test_a_proof_that_fails_is_a_warning(single: Function, proxy: Proxy) -> None:
    """And no error: a run sends other queries, and splits them."""
    proxy.spoil(
        faults.error(422, "query processing would load too many samples into memory"),
        lambda request: "(cluster,namespace,pod,uid)" in request.fields.get("query", ""),
    )
    result = check(single)
    assert result["outcome"] == "ready"
    one = found(result, "duplicate_series")
    assert (one["level"], one["summary"]) == ("warning", "unknown: not all could be counted")
    assert "too many samples" in one["cause"]


@races_the_clock
def test_without_a_single_answer_it_is_not_fit(through: Function, proxy: Proxy) -> None:
    proxy.spoil(faults.never_answer, lambda request: request.path.endswith("/query"))
    result = through.export({"action": "check"}, seconds=11)
    # The readiness that only a query could tell, here.
    assert found(result, "endpoint")["level"] == "error"
    assert "timed out after 2 s" in found(result, "endpoint")["summary"]
    proxy.heal()
    proxy.spoil(faults.never_answer, lambda request: "kube" in request.fields.get("query", ""))
    ready = replace(through, metrics=("pod_info", "node_info"))
    result = ready.export({"action": "check"}, seconds=11)
    assert (result["outcome"], found(result, "metrics")["level"]) == ("not_ready", "error")
    assert "none of the 2 metrics could be counted" in found(result, "metrics")["summary"]
    assert found(result, "bucket_delete")["level"] == "ok"


@races_the_clock
def test_a_drip_does_not_keep_the_report(through: Function, proxy: Proxy) -> None:
    proxy.spoil(faults.drip(), lambda request: request.path.endswith("/labels"))
    proxy.spoil(faults.drip(), lambda request: "cpu" in request.fields.get("query", ""))
    result = through.export({"action": "check"}, seconds=12)
    assert found(result, "metric:cpu_usage")["level"] == "warning"
    assert result["metrics"]["node_info"]["series"] == 10


@races_the_clock
def test_a_window_that_is_too_much_for_a_run_is_foreseen(through: Function, proxy: Proxy) -> None:
    """One that Mimir itself takes longer for than the function has."""
    proxy.spoil(faults.late(1.5))
    result = through.with_env(TIME_FRAME="60").export({"action": "check"}, seconds=12)
    size = found(result, "size")
    assert size["level"] == "ok"
    # Here a minute's window takes nearly two seconds for each metric, and four with its waits.
    slow = through.with_env(TIME_FRAME="60", QUERY_DELAY="30")
    size = found(slow.export({"action": "check"}, seconds=40), "size")
    assert size["level"] == "warning"
    assert size["summary"].startswith("export barely keeps up with windows of")


def test_a_wrong_clock_is_found(single: Function, proxy: Proxy) -> None:
    def an_hour_ahead(exchange: Exchange) -> None:
        answer = exchange.forward({"accept-encoding": "identity"})
        date = f"Date: {formatdate(time.time() + HOUR_S, usegmt=True)}"
        exchange.send_head(answer, f"Content-Length: {len(answer.body)}", date)
        exchange.connection.sendall(answer.body)

    proxy.spoil(an_hour_ahead, lambda _: True)
    one = found(check(single), "clock")
    assert one["level"] == "warning"
    assert one["summary"].startswith("clock skew: the endpoint is 3")
    assert one["summary"].endswith(" s ahead")


# The places


def on_probe(method: str) -> Callable[[Request], bool]:
    """The requests for the object that a check writes and removes."""
    return lambda request: request.method == method and request.path.endswith("probe.json")


def test_the_probe_goes_though_it_cannot_be_read(function: Function, make_proxy: MakeProxy) -> None:
    aws = make_proxy(function.cloud.endpoint)
    function = replace(function, metrics=FEW).with_env(AWS_ENDPOINT_URL=aws.url)
    aws.spoil(
        faults.answer(403, "<Error><Code>AccessDenied</Code></Error>"),
        on_probe("GET"),
    )
    result = check(function)
    assert result["outcome"] == "not_ready"
    assert levels(result)["bucket_read"] == "error"
    assert function.keys() == {}


def test_the_probe_is_removed_though_its_write_timed_out(
    function: Function, make_proxy: MakeProxy
) -> None:
    aws = make_proxy(function.cloud.endpoint)
    function = replace(function, metrics=FEW).with_env(AWS_ENDPOINT_URL=aws.url)
    aws.spoil(
        faults.lose_answer,
        on_probe("PUT"),
    )
    result = check(function)
    assert levels(result)["bucket_write"] == "error"
    assert function.keys() == {}


def test_an_s3_that_takes_connections_and_never_answers_is_said_and_not_waited_for(
    single: Function,
    make_proxy: MakeProxy,
    make_machine: MakeMachine,
) -> None:
    """One write, and one delete of what may have been written: no more, and with few tries."""
    aws = make_proxy(single.cloud.endpoint)
    aws.spoil(faults.never_answer, lambda _: True)
    impatient = replace(INTERACTIVE_CONFIG, read_s=0.3)
    function = replace(single, patience={"interactive_config": impatient}).with_env(
        AWS_ENDPOINT_URL=aws.url, BACKFILL_STATE_MACHINE_ARN=make_machine(PASSING)
    )
    result = check(function)
    assert levels(result) == {
        "bucket_write": "error",
        "bucket_delete": "error",
        "state_machine_start": "error",
        "cluster_label": "warning",
    }
    one = found(result, "bucket_write")
    assert one["code"] == "s3_timed_out"
    assert "a proxy, a firewall" in one["remedy"]
    assert [request.method for request in aws.requests] == ["PUT"] * 2 + ["DELETE"] * 2 + [
        "POST"
    ] * 2
    # What does not need it had its turn.
    assert found(result, "metrics")["level"] == "ok"


def forget(store: Proxy, header: str) -> None:
    """The store does not know of this condition."""

    def without(exchange: Exchange) -> None:
        del exchange.request.headers[header]  # type: ignore[attr-defined]
        exchange.send(exchange.forward())

    store.spoil(without, lambda request: header in request.headers)


def test_a_store_without_conditional_writes_is_not_fit(
    make_function: MakeFunction, make_proxy: MakeProxy
) -> None:
    function = replace(make_function(), metrics=FEW)
    aws = make_proxy(function.cloud.endpoint)
    forget(aws, "if-none-match")
    result = check(function.with_env(AWS_ENDPOINT_URL=aws.url))
    assert levels(result)["bucket_conditions"] == "error"
    assert "conditional writes" in found(result, "bucket_conditions")["remedy"]
    assert function.keys() == {}


def test_a_store_that_deletes_in_spite_of_another_etag_is_named(
    make_function: MakeFunction, make_proxy: MakeProxy
) -> None:
    function = replace(make_function(), metrics=FEW)
    aws = make_proxy(function.cloud.endpoint)
    forget(aws, "if-match")
    result = check(function.with_env(AWS_ENDPOINT_URL=aws.url))
    one = found(result, "bucket_delete_conditions")
    assert (one["level"], one["code"]) == ("warning", "no_conditional_deletes")
    assert result["outcome"] == "ready"
    assert function.keys() == {}
    # S3's own answer, and what it means.
    right = check(function)
    assert found(right, "bucket_delete_conditions")["level"] == "ok"


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
def test_a_bucket_that_keeps_versions_says_what_that_costs(
    status: Literal["Enabled", "Suspended"], make_function: MakeFunction
) -> None:
    """The probe's own answers tell: nothing more has to be allowed."""
    function = replace(make_function(), metrics=FEW)
    assert "version" not in found(check(function), "bucket_delete")["summary"]
    s3 = function.cloud.s3
    s3.put_bucket_versioning(Bucket=function.bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_versioning(Bucket=function.bucket, VersioningConfiguration={"Status": status})
    result = check(function)
    one = found(result, "bucket_delete")
    assert one["level"] == "ok"
    assert "NoncurrentVersionExpiration" in one["summary"]
    assert function.keys() == {}


def test_starting_and_asking_of_the_machine_are_tried(
    single: Function, make_machine: MakeMachine
) -> None:
    machine = make_machine(PASSING)
    result = check(single.with_env(BACKFILL_STATE_MACHINE_ARN=machine))
    assert found(result, "state_machine_start")["level"] == "ok"
    assert found(result, "state_machine_read")["level"] == "ok"
    (name,) = executions(single.cloud, machine)
    assert name.startswith("check-")
    told = single.cloud.stepfunctions.describe_execution(
        executionArn=f"{machine.replace(':stateMachine:', ':execution:')}:{name}"
    )
    assert told["input"] == '{"windows": []}'


def test_gaps_are_reported_with_their_reason(single: Function, proxy: Proxy) -> None:
    # Not of all queries: that would be the endpoint's fault, and no metric's.
    proxy.spoil(
        faults.answer(400, "a bad query"),
        lambda r: r.is_query and "kube_pod_info" in r.fields["query"],
    )
    for _ in range(5):
        single.export()
        single.clock.advance(60)
    result = check(single)
    one = found(result, "gaps")
    assert "1 ranges of pod_info failed too often" in one["summary"]
    assert "a bad query" in one["summary"]
    assert one["remedy"].startswith("correct the query, or remove the metric")
