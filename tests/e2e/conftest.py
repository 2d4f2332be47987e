"""One cloud with IAM enforced for all end-to-end tests, and what the real CDK CLI deploys to it."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from localcloud.aws import ACCOUNT
from localcloud.cdk import Cdk
from localcloud.exporter import Exporter, InvocationError, deploy_exporter
from localcloud.history import History
from localcloud.prometheus import DEMO_LOGIN
from tests.conftest import MakeCloud, MakePrometheus
from tests.e2e.deployed import (
    DAYS,
    FIRST_RUN_S,
    OWN_CLUSTERS,
    PREFIX,
    READER_ID,
    SECOND_CLUSTERS,
    SECOND_HOURS,
    SETTLE_TIME_S,
    TIME_FRAME_S,
    TOGETHER,
    WRITER_ID,
    Deployed,
    catch_up,
    versions,
)
from tests.leaks import leaks
from tests.policies import make_writer

SETTINGS = {
    "timeout_s": "60",
    "backfill_concurrency": "2",
    "time_frame": str(TIME_FRAME_S),
    "settle_time": str(SETTLE_TIME_S),
    # MiniStack refuses the roles through which `cdk deploy` publishes when it enforces IAM.
    "cli_credentials": "true",
}


@pytest.fixture(scope="session", autouse=True)
def said() -> Iterator[list[str]]:
    """Every result and error of the functions that the tests invoke."""
    heard: list[str] = []
    call = Exporter._call

    def listen(exporter: Exporter, function: str, event: Mapping[str, Any]) -> Any:
        try:
            answer = call(exporter, function, event)
        except InvocationError as error:
            heard.append(repr(error))
            raise
        heard.append(json.dumps(answer))
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Exporter, "_call", listen)
        yield heard


@pytest.fixture(scope="session")
def deployed(
    make_prometheus: MakePrometheus, make_cloud: MakeCloud, said: list[str]
) -> Iterator[Deployed]:
    """An exporter with everything made by the stack, read by a cost platform's role."""
    # A little more history than is exported, so that the first window is a whole one.
    end_s = int(time.time()) // 60 * 60
    history = History(end_s=end_s, days=DAYS + 1 / 12, clusters=OWN_CLUSTERS)
    prometheus = make_prometheus(history, login=DEMO_LOGIN)
    # IAM is enforced, so the roles of the stack have to suffice, and the bucket's policy holds.
    cloud = make_cloud(enforce_iam=True)
    cdk = Cdk(cloud)
    cdk.bootstrap()
    settings = SETTINGS | {
        "backfill_days": f"{DAYS}d",
        # With these, three windows of twenty metrics take 1.2 s: no machine does all 48 in one run.
        "query_delay": "0.02",
        "query_windows": str(TOGETHER),
        "reader_principal_arn": ACCOUNT,
        "reader_external_id": READER_ID,
    }
    exporter = deploy_exporter(cdk, cloud, prometheus, settings)
    exporter.limit_time(FIRST_RUN_S)
    made = Deployed(exporter, prometheus, cdk, settings)
    yield made
    # Imported here: it is a test's module, which knows the secrets.
    from tests.e2e.test_secrets import SECRETS, texts_of  # noqa: PLC0415

    found = leaks(SECRETS, texts_of(made, said))
    made.destroy()
    assert found == []


@pytest.fixture(scope="session")
def second(deployed: Deployed, make_prometheus: MakePrometheus) -> Iterator[Deployed]:
    """An exporter of another team, from the same checkout: in the first one's account, region,
    bucket and prefix, which it reaches through a role, with a Mimir of its own.

    Its first run has been, beside what the first one has exported; whatever tests came before.
    """
    if not deployed.exporter.list_keys():
        execution = deployed.exporter.invoke()["execution"]
        if execution:
            deployed.exporter.wait(execution, timeout_s=400)
    end_s = int(time.time()) // 60 * 60
    history = History(end_s=end_s, days=1 / 4, clusters=SECOND_CLUSTERS)
    prometheus = make_prometheus(history, login=DEMO_LOGIN)
    bucket = deployed.exporter.bucket
    settings = SETTINGS | {
        "stack_name": "Second",
        "cluster_name": "second",
        "backfill_days": f"{SECOND_HOURS}h",
        "vpc_id": "none",
        "s3_bucket": bucket,
        "role_arn": make_writer(deployed.cloud, bucket, PREFIX, WRITER_ID),
        "role_external_id": WRITER_ID,
    }
    exporter = deploy_exporter(deployed.cdk, deployed.cloud, prometheus, settings)
    made = Deployed(exporter, prometheus, deployed.cdk, settings, before=versions(exporter))
    made.results.append(catch_up(made))
    made.first_s = made.last_s
    yield made
    # That the CLI destroys what it deployed, the first exporter shows.
    deployed.cloud.cloudformation.delete_stack(StackName=settings["stack_name"])
