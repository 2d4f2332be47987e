"""Each request that reaches AWS, as the action that IAM asks for: the role of a function has what
it uses, no more and no less."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from aws_lambda_powertools.utilities import parameters

from localcloud.aws import Cloud
from localcloud.prometheus import Prometheus
from tests.infra.conftest import Synthesize, make_stack, package, synthesize  # noqa: F401 - fixtures
from tests.infra.test_stack import VPC_ACTIONS, actions, role_of, statements
from tests.infra.variants import VARIANTS
from tests.integration import faults
from tests.integration.conftest import MakeFunction, MakeMachine, MakeProxy
from tests.integration.deployment import HOUR_S, LAST_END, Function
from tests.integration.faults import Proxy, Request
from tests.integration.machines import ROLE, WAITING, stop
from tests.integration.matchers import is_by_cluster
from tests.integration.short_runs import SHORT_S, races_the_clock

pytestmark = races_the_clock

SERVICES = {"secretsmanager": "secretsmanager", "AWSStepFunctions": "states"}
OF_OBJECTS = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
OF_MIMIR = {"query": "QueryMetrics", "query_range": "QueryMetrics", "labels": "GetLabels"}
# What Lambda does with a function's role, and no code of it: the log, and its place in the VPC.
OF_LAMBDA = {"logs:CreateLogStream", "logs:PutLogEvents"} | VPC_ACTIONS
SPAN = {"start": LAST_END - 2 * HOUR_S, "end": LAST_END}


def action_of(request: Request, bucket: str) -> str:
    """The action that IAM asks for, by the protocol of each service."""
    if target := request.headers.get("x-amz-target", ""):
        service, _, operation = target.partition(".")
        return f"{SERVICES[service]}:{operation}"
    if "Action" in request.fields:
        return f"sts:{request.fields['Action']}"
    where, _, key = request.path.lstrip("/").partition("/")
    assert where == bucket, request
    return f"s3:{OF_OBJECTS[request.method]}" if key else "s3:ListBucket"


def mimir_action_of(request: Request) -> str:
    """As Amazon Managed Service for Prometheus has it."""
    last = request.path.rpartition("/")[2]
    return f"aps:{'GetLabels' if last == 'values' else OF_MIMIR[last]}"


def granted(template: Any, entry_point: str, module: str = "handler") -> set[str]:
    """What the role of a function has, but for what Lambda itself needs it for."""
    resources = template.to_json()["Resources"]
    given = statements(resources, role_of(resources, entry_point, module))
    allowed = (statement for statement in given if statement["Effect"] == "Allow")
    return {action for statement in allowed for action in actions(statement)} - OF_LAMBDA


@pytest.fixture
def secret(cloud: Cloud) -> Iterator[str]:
    arn = cloud.secretsmanager.create_secret(Name="of-actions", SecretString="{}")["ARN"]
    yield arn
    cloud.secretsmanager.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)


class Recorder:
    """A deployment whose every request goes through proxies; what each action asked of AWS."""

    def __init__(self, function: Function, aws: Proxy, source: Proxy) -> None:
        self.function, self.aws, self.source = function, aws, source
        self.used: set[str] = set()

    def did(self, result: Any) -> Any:
        """The result of an action; its requests count."""
        self.used |= {
            action_of(request, self.function.bucket)
            for request in self.aws.requests
            # The clock is compared by a request without a signature; with a token it is signed as
            # the role in the other account.
            if "authorization" in request.headers and "x-amz-security-token" not in request.headers
        }
        self.aws.requests.clear()
        return result


@pytest.fixture
def recorder(
    make_function: MakeFunction, make_proxy: MakeProxy, mimir: Prometheus, cloud: Cloud, secret: str
) -> Recorder:
    aws, source = make_proxy(cloud.endpoint), make_proxy(f"http://127.0.0.1:{mimir.port}")
    function = make_function(
        PORT=str(source.port),
        AWS_ENDPOINT_URL=aws.url,
        AUTH_SECRET_ARN=secret,
        BACKFILL_DAYS="3h",
        RETENTION_DAYS="5",
    )
    return Recorder(replace(function, metrics=("node_info", "pod_info")), aws, source)


def live(recorder: Recorder, make_machine: MakeMachine, **env: str) -> None:
    """Whatever the export function does: a hand-over, its end, events, retention."""
    machine = make_machine(WAITING)
    recorder.function = recorder.function.with_env(BACKFILL_STATE_MACHINE_ARN=machine, **env)
    function, did = recorder.function, recorder.did
    recorder.source.spoil(faults.late(0.4), lambda request: request.is_query)
    assert did(function.export(seconds=SHORT_S))["outcome"] == "handed_over"
    recorder.source.heal()
    assert did(function.export({"action": "status", "files": True}))["executions"]
    stop(function.cloud, machine)
    assert did(function.export())["outcome"] == "complete"
    assert did(function.export({"action": "check"}))["outcome"] == "ready"
    for action in ("reexport", "export", "audit", "repair"):
        assert did(function.export({"action": action, **SPAN}))["outcome"] == "complete"
    function.clock.advance(7 * 24 * HOUR_S)
    did(function.export({"action": "retention"}))


def test_the_export_function_uses_what_its_role_has(
    recorder: Recorder,
    make_machine: MakeMachine,
    synthesize: Synthesize,  # noqa: F811
) -> None:
    live(recorder, make_machine)
    assert recorder.used == granted(synthesize(), "export")


def test_with_a_role_in_another_account_its_own_has_no_right_on_a_bucket(
    recorder: Recorder,
    make_machine: MakeMachine,
    synthesize: Synthesize,  # noqa: F811
) -> None:
    live(recorder, make_machine, ROLE_ARN=ROLE, ROLE_EXTERNAL_ID="abc")
    template = synthesize(**VARIANTS["a role in another account, everything exists"])
    # Secrets Manager asks for the key, with the rights of whoever reads the secret.
    assert recorder.used == granted(template, "export") - {"kms:Decrypt"}
    assert "sts:AssumeRole" in recorder.used


def test_the_backfill_function_uses_what_its_role_has(
    recorder: Recorder,
    synthesize: Synthesize,  # noqa: F811
) -> None:
    """An item of the Map: also where files have to go, for they were split otherwise."""
    recorder.function.export()
    again = recorder.function.with_layout(SPLIT_BY_CLUSTER="false")
    recorder.source.spoil(faults.late(0.4), lambda request: request.is_query)
    assert again.export({"action": "reexport", **SPAN}, seconds=SHORT_S)["outcome"] != "complete"
    recorder.source.heal()
    recorder.function = again
    recorder.aws.requests.clear()
    # A function of its own has not what another one remembers.
    parameters.base.DEFAULT_PROVIDERS.clear()  # type: ignore[attr-defined]  # not exported
    for start in range(SPAN["start"], SPAN["end"], HOUR_S):
        recorder.did(again.backfill({"start": start, "end": start + HOUR_S}))
    assert recorder.used == granted(synthesize(), "backfill")


def test_the_coverage_map_uses_what_its_role_has(
    recorder: Recorder,
    synthesize: Synthesize,  # noqa: F811
) -> None:
    recorder.function.coverage({"widgetContext": {"width": 800, "height": 600}})
    recorder.did(None)
    recorder.function.export()
    recorder.aws.requests.clear()
    recorder.did(recorder.function.coverage({"widgetContext": {"width": 800, "height": 600}}))
    assert recorder.used - {"s3:ListBucket"} == {"s3:GetObject"}
    # Listing is never asked for: with that right S3 says 404, and not 403, of what is not there.
    assert granted(synthesize(), "coverage", "widget") == {"s3:GetObject", "s3:ListBucket"}


def test_with_sigv4_the_queries_are_what_the_role_has(
    recorder: Recorder,
    synthesize: Synthesize,  # noqa: F811
) -> None:
    recorder.source.requests.clear()
    recorder.function.export({"action": "check"})
    # Where all clusters at once are too much, their names are asked for.
    recorder.source.spoil(
        faults.error(422, "err-mimir-max-series-per-query"),
        lambda request: request.is_query and not is_by_cluster(request.fields["query"]),
    )
    assert recorder.function.export()["outcome"] == "complete"
    used = {
        mimir_action_of(request)
        for request in recorder.source.requests
        # Where there is none, as at AWS, `check` continues without it.
        if "/api/v1/" in request.path and not request.path.endswith("/buildinfo")
    }
    template = synthesize(**VARIANTS["SigV4 with alarms by mail"])
    assert used == {name for name in granted(template, "export") if name.startswith("aps:")}
