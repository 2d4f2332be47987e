"""Alarms and dashboard are on metrics that exist, and fire when their cause occurs.

MiniStack evaluates an alarm when a metric is put. It counts a function's invocations, errors and
throttles itself; it makes no metrics of log lines, queues and executions. So the values put here
are those of the function's own lines, and of the queue and the executions as they are. Missing
data, which only NoSuccessfulRun counts, it does not evaluate, and it heeds no dimensions: alarms
on the errors of one function fire for those of another, so that these are counted too.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.monitoring.queries import QUERIES, Query
from localcloud.aws import REGION
from localcloud.exporter import InvocationError
from tests.e2e.alarm_listener import AlarmListener, published
from tests.e2e.deployed import Deployed, catch_up, on_border

MISTYPED = json.dumps({"mistyped": "sum by (cluster)(no_such_function(up{$matchers}))"})
BROKEN = {"CLUSTER_NAME": ""}


@pytest.fixture(scope="module")
def ran(second: Deployed) -> Deployed:
    """An exporter that is well."""
    catch_up(second)
    return second


@pytest.fixture(scope="module")
def listener(ran: Deployed) -> AlarmListener:
    return AlarmListener(ran.cloud, stack="Second", topic_arn=ran.exporter.outputs["AlarmTopic"])


def test_alarms_and_dashboard_are_on_what_the_function_publishes(
    ran: Deployed, listener: AlarmListener
) -> None:
    said = {key for line in ran.exporter.metric_events() for key in published(line)}
    watched = {
        (one["Namespace"], one["MetricName"], *dimension.values())
        for one in listener.alarms().values()
        for dimension in one["Dimensions"]
        if one["Namespace"] == "MimirExporter"
    }
    assert {key[1] for key in watched} == {"RunsSucceeded", "LagSeconds", "Gaps"}
    assert watched <= said
    shown = {key for key in listener.dashboard_metrics() if key[0] == "MimirExporter"}
    # A run that fails says so under a name of its own.
    assert shown - said <= {("MimirExporter", "RunsFailed", "service", "Second")}


def test_a_query_that_mimir_rejects_alarms_for_lag_and_in_the_end_for_a_gap(
    ran: Deployed, listener: AlarmListener
) -> None:
    with changed(ran, ran.exporter.function_name, EXTRA_METRICS=MISTYPED):
        ran.exporter.invoke()
        listener.put_line(last_line(ran, "LagSeconds"))
        assert "LagTooLong" in listener.firing()
        assert "WindowGivenUp" not in listener.firing()
        while (result := ran.exporter.invoke())["gaps"] == 0:
            assert result["failures"], result
        listener.put_line(last_line(ran, "Gaps"))
        assert "WindowGivenUp" in listener.firing()


def test_the_next_run_that_is_well_ends_it(ran: Deployed, listener: AlarmListener) -> None:
    ran.exporter.invoke()
    line = last_line(ran, "Gaps")
    assert line["Gaps"] == [0]
    listener.put_line(line)
    states = {name: one["StateValue"] for name, one in listener.alarms().items()}
    assert states["LagTooLong"] == states["NoSuccessfulRun"] == "OK"


def test_a_failed_run_alarms_once_and_is_no_success(ran: Deployed, listener: AlarmListener) -> None:
    cloud, exporter = ran.cloud, ran.exporter
    failed, errors = lines_of_failed_runs(ran), listener.counted("ExportFunctionErrors")
    with changed(ran, exporter.function_name, **BROKEN):
        # What earlier tests have put is in this period still, and fires again when looked at.
        listener.reset()
        listener.put("DeadLetters", 0)
        lasting = listener.firing() - {"ExportFunctionErrors"}
        listener.set_state("ExportFunctionErrors", "OK")
        listener.messages()
        with pytest.raises(InvocationError, match="CLUSTER_NAME"):
            exporter.invoke()
        line = last_line(ran, "RunsFailed")
        assert "RunsSucceeded" not in line
        # As the schedule does it.
        cloud.lambda_.invoke(
            FunctionName=exporter.function_name, InvocationType="Event", Payload=b"{}"
        )
        wait_for(lambda: lines_of_failed_runs(ran) == failed + 2)
    assert listener.counted("ExportFunctionErrors") == errors + 1
    listener.put("DeadLetters", dead_letters(ran))
    assert listener.firing() == lasting | {"ExportFunctionErrors"}
    assert set(listener.messages()) == {"ExportFunctionErrors"}


def test_a_run_that_could_not_be_started_alarms(ran: Deployed, listener: AlarmListener) -> None:
    """As EventBridge Scheduler leaves it, which delivers every event here."""
    listener.put("DeadLetters", 1)
    assert "DeadLetters" in listener.firing()


def test_a_failed_backfill_alarms(ran: Deployed, listener: AlarmListener) -> None:
    end = on_border(time.time() - 86_400)
    function = ran.exporter.backfill_function_name
    with changed(ran, function, **BROKEN):
        execution = execute(ran, "to-fail", [{"start": end - 3600, "end": end}])
        wait_for(lambda: status_of(ran, execution) != "RUNNING")
    assert status_of(ran, execution) == "FAILED"
    listener.put("BackfillFailed", count(ran, "FAILED"))
    assert "BackfillFailed" in listener.firing()


def test_a_stopped_backfill_alarms(ran: Deployed, listener: AlarmListener) -> None:
    stopped = count(ran, "ABORTED")
    # The execution is stopped while Lambda refuses to run its function.
    with refused(ran, ran.exporter.backfill_function_name):
        execution = execute(ran, "to-stop", [{"start": 0, "end": 3600}])
        ran.cloud.stepfunctions.stop_execution(executionArn=execution)
        wait_for(lambda: count(ran, "ABORTED") == stopped + 1)
    listener.put("BackfillAborted", count(ran, "ABORTED"))
    assert "BackfillAborted" in listener.firing()


@pytest.mark.parametrize("what", ["Export", "Backfill"])
def test_a_refused_invocation_alarms(ran: Deployed, listener: AlarmListener, what: str) -> None:
    exporter = ran.exporter
    name = exporter.function_name if what == "Export" else exporter.backfill_function_name
    with refused(ran, name), pytest.raises(ClientError, match="TooManyRequests"):
        ran.cloud.lambda_.invoke(FunctionName=name, Payload=b"{}")
    assert listener.counted(f"{what}FunctionThrottled") >= 1
    listener.put_line(last_line(ran, "Gaps"))  # anything: alarms are evaluated when a metric is put
    assert f"{what}FunctionThrottled" in listener.firing()


def test_who_is_called_reads_what_to_do(ran: Deployed, listener: AlarmListener) -> None:
    """Also of those that no test can set off: seven days, and data that are missing."""
    listener.reset()
    for name in listener.alarms():
        listener.set_state(name, "ALARM")
    received = listener.messages()
    assert set(received) == set(listener.alarms())
    function, queue = ran.exporter.function_name, ran.exporter.outputs["DeadLetterQueue"]
    assert f"--function-name {function} " in received["WindowGivenUp"]
    assert (
        f"aws sqs receive-message --region {REGION} --queue-url {queue}" in received["DeadLetters"]
    )
    assert ran.exporter.state_machine in received["BackfillFailed"]
    assert listener.recovered == set()
    for name in listener.alarms():
        listener.set_state(name, "OK")
    assert listener.messages() == {}
    assert listener.recovered == set(listener.alarms())


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_a_saved_query_names_what_the_lines_have(
    deployed: Deployed, ran: Deployed, query: Query
) -> None:
    """Each line that it asks for is there, and so is each field, in one of them at least."""
    # The first exporter, too, as it has had work to hand over.
    if not deployed.results:
        deployed.results.append(deployed.exporter.invoke())
    lines = [line for made in (deployed, ran) for line in made.exporter.log_events()]
    wanted = messages_of(query)
    if wanted:
        assert wanted <= {line["message"] for line in lines}
        lines = [line for line in lines if line["message"] in wanted]
    assert {
        name for name in fields_of(query) if not any(has(line, name) for line in lines)
    } == set()


@contextmanager
def changed(made: Deployed, function: str, **variables: str) -> Iterator[None]:
    """A function with other variables for a while."""
    lambda_ = made.cloud.lambda_
    usual = lambda_.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    lambda_.update_function_configuration(
        FunctionName=function, Environment={"Variables": {**usual, **variables}}
    )
    yield
    lambda_.update_function_configuration(FunctionName=function, Environment={"Variables": usual})


@contextmanager
def refused(made: Deployed, function: str) -> Iterator[None]:
    """Lambda lets nothing run in a function for a while."""
    lambda_ = made.cloud.lambda_
    lambda_.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    yield
    lambda_.delete_function_concurrency(FunctionName=function)


def dead_letters(made: Deployed) -> int:
    """The messages in the dead-letter queue."""
    sqs: Any = made.cloud.session.client("sqs", **made.cloud.where)
    asked = sqs.get_queue_attributes(
        QueueUrl=made.exporter.outputs["DeadLetterQueue"], AttributeNames=["All"]
    )
    return int(asked["Attributes"]["ApproximateNumberOfMessages"])


def lines_of_failed_runs(made: Deployed) -> int:
    return sum("RunsFailed" in line for line in made.exporter.metric_events())


def last_line(made: Deployed, metric: str) -> dict[str, Any]:
    """The function's newest EMF line with this metric."""
    return [line for line in made.exporter.metric_events() if metric in line][-1]


def execute(made: Deployed, name: str, windows: list[dict[str, int]]) -> str:
    return made.cloud.stepfunctions.start_execution(
        stateMachineArn=made.exporter.state_machine,
        name=name,
        input=json.dumps({"windows": windows}),
    )["executionArn"]


def status_of(made: Deployed, execution: str) -> str:
    return made.cloud.stepfunctions.describe_execution(executionArn=execution)["status"]


def count(made: Deployed, status: Any) -> int:
    """The executions of the backfill that ended so."""
    asked = made.cloud.stepfunctions.list_executions(
        stateMachineArn=made.exporter.state_machine, statusFilter=status
    )
    return len(asked["executions"])


def wait_for(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(0.2)


def messages_of(query: Query) -> set[str]:
    """The values of `message` that a query asks for."""
    (asked,) = re.findall(r"filter message (?:=|in) (.+)", query.text) or [""]
    return set(re.findall(r'"(.*?)"', asked))


def fields_of(query: Query) -> set[str]:
    """The fields of a line that a query names; those in a list as list.field."""
    text = re.sub(r'^#.*$|"[^"]*"', "", query.text, flags=re.MULTILINE)
    for whole, element in re.findall(r"unnest \w+\.(\w+) into (\w+)", text):
        text = re.sub(rf"\b{element}\.", f"{whole}.", text)
    text = re.sub(r"\| unnest .*|\| fields jsonParse.*|\| limit .*", "", text)
    made = set(re.findall(r"\bas (\w+)", text))
    words = set(re.findall(r"(?<![@\w.])[a-z_][\w.]*(?![\w(])", text))
    return (
        words
        - made
        - {"as", "asc", "by", "desc", "fields", "filter", "in", "like", "sort", "stats"}
    )


def has(line: Any, name: str) -> bool:
    """Whether a line has a field: in an object, or in an element of a list, as a.b."""
    first, _, rest = name.partition(".")
    if isinstance(line, list):
        return any(has(one, name) for one in line)
    return isinstance(line, dict) and first in line and (not rest or has(line[first], rest))
