"""No secret is in anything that the function logs, returns, raises or writes.

What all tests of this folder made it say and write is searched at the session's end (conftest.py).
"""

import base64
import gzip
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from localcloud.aws import Cloud
from mimir_exporter.errors import ExportError
from tests.conftest import MakeCloud
from tests.integration import faults, test_gateways, test_sigv4, test_tls
from tests.integration.deployment import Function
from tests.integration.faults import Fault, Proxy
from tests.integration.machines import PASSING, ROLE
from tests.integration.sandbox import SAID
from tests.integration.test_authentication import BEARER, METHODS, PASSWORD, TOKEN, WRONG
from tests.leaks import Text, everything_in, leaks

SECRETS = (
    *(TOKEN, BEARER, PASSWORD, WRONG["PROMETHEUS_PASSWORD"], "three-days-of-metrics"),
    *(test_sigv4.SECRET, test_sigv4.SESSION, test_tls.BEARER),
    *(test_gateways.TOKEN, test_gateways.BEARER, test_gateways.PASSWORD),
)
LOGINS = {name: METHODS[name][0] for name in ("token", "bearer", "basic")}
LOGINS["SigV4"] = test_sigv4.SIGNED


def echo(status: int) -> Fault:
    """A server that tells in its error what it was sent, as debugging proxies do."""

    def fault(exchange: faults.Exchange) -> None:
        said = json.dumps({"status": "error", "error": f"refused {dict(exchange.request.headers)}"})
        exchange.send(faults.Answer(status, said.encode()))

    return fault


def echo_in_success(exchange: faults.Exchange) -> None:
    """The same with status 200, in each member that we might quote."""
    sent = f"refused {dict(exchange.request.headers)}"
    said = {"status": "error", "errorType": sent, "error": sent, "infos": [sent]}
    exchange.send(faults.Answer(200, json.dumps(said).encode()))


def echo_in_notes(exchange: faults.Exchange) -> None:
    sent = f"{dict(exchange.request.headers)}"
    faults.add_members(infos=[f"PromQL info: {sent}"], warnings=[sent])(exchange)


def echo_in_page(exchange: faults.Exchange) -> None:
    """No JSON at all, quoted by whoever cannot read it."""
    exchange.send(faults.Answer(200, f"{dict(exchange.request.headers)}".encode()))


def echo_decoded(exchange: faults.Exchange) -> None:
    """What a proxy makes of the header: name and password, on a page."""
    sent = exchange.request.headers.get("authorization", "").removeprefix("Bearer ")
    if sent.startswith("Basic "):
        sent = base64.b64decode(sent.removeprefix("Basic ")).decode()
    page = f"<p>{sent or exchange.request.headers.get('token')} is refused</p>"
    exchange.send(faults.Answer(502, page.encode()))


@pytest.mark.parametrize("method", LOGINS)
@pytest.mark.parametrize(
    "fault",
    [
        None,
        echo(401),
        echo(500),
        echo(422),
        faults.reset,
        faults.cut_with_length,
        echo_in_success,
        echo_in_notes,
        echo_in_page,
        echo_decoded,
    ],
    ids=["well", "401", "500", "422", "reset", "cut", "200", "notes", "no JSON", "decoded"],
)
def test_no_secret_is_said(
    method: str, fault: Fault | None, through: Function, proxy: Proxy
) -> None:
    function = through.with_env(**LOGINS[method])
    if fault:
        proxy.spoil(fault, lambda request: "/api/v1/" in request.path)
    before = len(SAID)
    for act in calls(function):
        try:
            act()
        except ExportError as error:
            SAID.append(repr(error))
    assert len(SAID) > before + 5
    assert found_in(SAID[before:]) == []
    assert leaks(SECRETS, function_s_objects(function)) == []


def function_s_objects(function: Function) -> Iterator[Text]:
    for key, tag in function.keys().items():
        yield key, json.dumps([key, function.metadata(key), tag]).encode()
        yield key, function.read(key)


def calls(function: Function) -> list[Callable[[], object]]:
    return [
        function.export,
        lambda: function.export({"action": "check"}),
        lambda: function.export({"action": "status"}),
    ]


def test_no_secret_is_written(cloud: Cloud, through: Function) -> None:
    """To an object, its key or metadata, or the input of an execution."""
    through.export()
    kinds = Counter(where.partition(":")[0].partition(" ")[0] for where, _ in everything_in(cloud))
    assert kinds["s3"] > 2 * len(through.keys()) > 2
    assert leaks(SECRETS, everything_in(cloud)) == []


def test_a_secret_that_was_written_would_be_found(make_cloud: MakeCloud) -> None:
    """One in each place."""
    cloud = make_cloud()
    planted = plant(cloud)
    texts = list(everything_in(cloud))
    for secret in planted.values():
        assert leaks([secret], texts), secret


def plant(cloud: Cloud) -> dict[str, str]:
    """Puts a secret of its own into each kind of thing that a cloud has; the secrets."""
    planted: dict[str, str] = {}

    def secret(where: str) -> str:
        planted[where] = f"planted-{len(planted)}-in-{where}-"
        return planted[where]

    cloud.create_bucket("planted")
    cloud.s3.put_object(
        Bucket="planted",
        Key=f"prefix/{secret('key')}/file.json.gz",
        Body=gzip.compress(json.dumps({"pod": secret("body")}).encode()),
        Metadata={"cluster": secret("metadata")},
    )
    machine = cloud.stepfunctions.create_state_machine(
        name="planted",
        definition=json.dumps(
            {"Comment": secret("definition"), "StartAt": "Work", "States": {"Work": PASSING}}
        ),
        roleArn=ROLE,
    )["stateMachineArn"]
    cloud.stepfunctions.start_execution(
        stateMachineArn=machine, input=json.dumps({"token": secret("input")})
    )
    cloud.logs.create_log_group(logGroupName="planted")
    cloud.logs.create_log_stream(logGroupName="planted", logStreamName="one")
    cloud.logs.put_log_events(
        logGroupName="planted",
        logStreamName="one",
        logEvents=[{"timestamp": int(time.time() * 1000), "message": secret("log")}],
    )
    topic = {
        "Type": "AWS::SNS::Topic",
        "Properties": {"DisplayName": secret("template"), "TopicName": "planted"},
    }
    template = {
        "Resources": {"Topic": topic},
        "Outputs": {"Told": {"Value": secret("output")}},
    }
    cloud.cloudformation.create_stack(StackName="planted", TemplateBody=json.dumps(template))
    sqs: Any = cloud.session.client("sqs", **cloud.where)
    queue = sqs.create_queue(QueueName="planted")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody=secret("message"))
    cloudwatch: Any = cloud.session.client("cloudwatch", **cloud.where)
    cloudwatch.put_dashboard(
        DashboardName="planted",
        DashboardBody=json.dumps({"widgets": [{"properties": {"title": secret("dashboard")}}]}),
    )
    cloudwatch.put_metric_alarm(
        AlarmName="planted",
        AlarmDescription=secret("alarm"),
        Namespace="Planted",
        MetricName="Planted",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    return planted


def found_in(texts: list[str]) -> list[str]:
    """Where a secret is in these texts."""
    return leaks(SECRETS, [("said", "\n".join(texts).encode())])
