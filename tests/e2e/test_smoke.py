"""The smoke test for a real account, step by step on the local cloud; and where a step fails."""

import time

import pytest

from infra.outputs import KEPT_OF_STACK_NAME
from localcloud.aws import Cloud
from localcloud.exporter import trial_settings
from localcloud.history import History
from localcloud.prometheus import DEMO_LOGIN, Prometheus
from smoke.__main__ import live, read_credentials
from smoke.life import Life, StepError
from tests.conftest import MakeCloud, MakePrometheus
from tests.integration.short_runs import races_the_clock


@pytest.fixture(scope="module")
def cloud(make_cloud: MakeCloud) -> Cloud:
    cloud = make_cloud(enforce_iam=False)
    Life(cloud, {}).cdk.bootstrap()
    return cloud


@pytest.fixture(scope="module")
def prometheus(make_prometheus: MakePrometheus) -> Prometheus:
    return make_prometheus(History(end_s=int(time.time()) // 60 * 60, days=0.3), login=DEMO_LOGIN)


def settings_for(prometheus: Prometheus, **others: str) -> dict[str, str]:
    # A window of twenty metrics takes ten seconds, as long as a short run has: the other two or
    # three, as the minute has it, are handed over.
    return trial_settings(prometheus) | {"query_delay": "0.5"} | others


CREDENTIALS = read_credentials(
    {
        "PROMETHEUS_USERNAME": DEMO_LOGIN.username,
        "PROMETHEUS_PASSWORD": DEMO_LOGIN.password,
        "HOME": "/any",
    }
)


@races_the_clock
def test_every_step_passes_and_nothing_is_left(cloud: Cloud, prometheus: Prometheus) -> None:
    said: list[str] = []
    life = Life(cloud, settings_for(prometheus), CREDENTIALS)
    assert live(life, said.append) == 0, "\n".join(said)
    assert [line.partition(":")[0] for line in said] == [
        *("deploy", "fill the secret", "check", "hand over", "run", "status", "update"),
        *("destroy", "nothing is left", "passed"),
    ]
    assert said[1].startswith("fill the secret: filled")
    assert "windows by Step Functions" in said[3]
    assert life.name not in cloud.list_stacks()
    assert not [one for one in cloud.s3.list_buckets()["Buckets"] if life.name in one["Name"]]


def test_a_step_that_fails_is_named_and_nothing_is_left(
    cloud: Cloud, prometheus: Prometheus
) -> None:
    said: list[str] = []
    life = Life(cloud, settings_for(prometheus, port="1"), CREDENTIALS)
    assert live(life, said.append) == 1
    (failed,) = (line for line in said if "FAILED" in line)
    assert failed.startswith("check: FAILED")
    assert "127.0.0.1:1" in failed
    assert [line.partition(":")[0] for line in said[-3:]] == [
        "destroy",
        "nothing is left",
        "failed",
    ]
    assert life.name not in cloud.list_stacks()


class Hanging(Life):
    def deploy(self) -> str:
        time.sleep(60)
        return "never"


class Broken(Life):
    def deploy(self) -> str:
        raise KeyError("outputs")


@pytest.mark.parametrize(
    ("kind", "said_of_it"), [(Hanging, "the time of the smoke test is over"), (Broken, "KeyError")]
)
def test_whatever_happens_in_a_step_all_is_removed(
    cloud: Cloud, prometheus: Prometheus, kind: type[Life], said_of_it: str
) -> None:
    said: list[str] = []
    assert live(kind(cloud, settings_for(prometheus), limit_s=1.0), said.append) == 1
    assert said[0].startswith("deploy: FAILED")
    assert said_of_it in said[0]
    assert [line.partition(":")[0] for line in said[1:]] == ["destroy", "nothing is left", "failed"]


def test_what_is_left_is_named(cloud: Cloud, prometheus: Prometheus) -> None:
    """A person made something under the stack's name meanwhile; and the time is over at once."""
    said: list[str] = []
    life = Life(cloud, settings_for(prometheus), CREDENTIALS, limit_s=-1)
    bucket = f"{life.name}-somebodys"
    cloud.create_bucket(bucket)
    assert live(life, said.append) == 1
    assert said[0].startswith("deploy: not begun")
    assert f"bucket {bucket}" in said[-2]
    cloud.s3.delete_bucket(Bucket=bucket)


def test_what_is_made_can_be_found_by_the_stack_s_name(cloud: Cloud) -> None:
    assert len(Life(cloud, {}).name) <= KEPT_OF_STACK_NAME


def test_what_the_smoke_test_sets_itself_is_refused(cloud: Cloud) -> None:
    with pytest.raises(StepError, match="s3_bucket, stack_name cannot be given"):
        Life(cloud, {"hostname": "a", "s3_bucket": "mine", "stack_name": "mine"})
