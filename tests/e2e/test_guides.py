"""Each command of the README and of the guides, in their order, as a new user pastes them."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from localcloud.aws import ACCOUNT, REGION, Cloud
from localcloud.exporter import PLATFORM
from localcloud.history import History
from localcloud.prometheus import Prometheus
from mimir_exporter.timeline.windows import iso
from tests.conftest import MakeCloud, MakePrometheus
from tests.e2e.stranger import (
    Shell,
    Step,
    environment,
    make_checkout,
    make_programs,
    steps_of,
)

HOUR_S = 3600
BUCKET = "my-cost-bucket"
GUIDES = (
    "README.md",
    "docs/deploy.md",
    "docs/operations.md",
    "docs/local.md",
    "docs/moving.md",
    "docs/upgrading.md",
    "docs/removing.md",
)
# What cannot be done here, and what does it in its place. The beginning of a command's text.
ELSEWHERE = {
    "kubectl ": "there is no Kubernetes; tests/integration/test_moving.py has the CronJob's files",
    "git ": "the checkout is the one of this commit",
    "PROMETHEUS_BEARER_AUTH_TOKEN=": "tests/e2e/test_smoke.py",
    "aws s3 cp mimir-exporter-": "tests/e2e/test_release.py",
    "aws cloudformation deploy": "tests/e2e/test_release.py",
    "aws scheduler update-schedule": "the page says not to",
}
# What is refused here with good reason: the code that the answer ends in.
REFUSED = {"accept": "nothing_to_accept"}  # nothing is missing; the message says what to do
SETTINGS: dict[str, object] = {
    **PLATFORM,
    "query_delay": 0,
    "backfill_days": "4h",
    "saved_queries": False,  # MiniStack's CloudFormation does not know their type
}


@dataclass
class Account:
    """The stranger's account: what they know of it by now."""

    cloud: Cloud
    prometheus: Prometheus
    vpc: str
    subnets: tuple[str, str]
    deleted_secret: str
    outputs: dict[str, str] = field(default_factory=dict)
    deployed: str = ""
    end_s: int = field(default_factory=lambda: int(time.time()) // HOUR_S * HOUR_S - HOUR_S)

    def secret(self) -> str:
        """The stack's; once that is gone, one that Secrets Manager keeps for a recovery window, as
        MiniStack's CloudFormation does not."""
        found = re.search(r"--secret-id (\S+)", self.outputs.get("SecretCommand", ""))
        return found[1] if found else self.deleted_secret

    def own(self, text: str) -> str:
        """The command with this account's names in the place of the page's."""
        start = self.end_s - 2 * HOUR_S
        if re.match(r"npx cdk (diff|deploy|destroy)$", text):
            # What the pages say of them: with the same settings as the first deployment.
            text += self.deployed.removeprefix("npx cdk deploy")
        if text.startswith("npx cdk destroy"):
            text += " --force"  # no terminal is attached on which it could ask
        names: dict[str, str | Callable[[re.Match[str]], str]] = {
            r"npx cdk deploy …": self.deployed,
            r"\b123456789012\b": ACCOUNT,
            r"(mimir-query-frontend|mimir)\.example\.internal": "127.0.0.1",
            r"\b(port|PORT)=8080\b": rf"\1={self.prometheus.port}",
            r"http://127\.0\.0\.1:9000": self.cloud.endpoint,
            r"AWS_REGION=us-east-1": f"AWS_REGION={REGION}",
            r"=…": "=test",
            r"\bsubnet-\w+0\b": self.subnets[0],
            r"\bsubnet-\w+1\b": self.subnets[1],
            r"\bvpc-[0-9a-f]{17}\b": self.vpc,
            r"<arn>": self.secret(),
            r"<(\w+)>": lambda match: self.outputs.get(match[1], match[1]),
            r"--from \S+": f"--from {iso(start)}",
            r"--to \S+": f"--to {iso(self.end_s)}",
            r'"month": "[^"]+"': f'"month": "{iso(start)[:7]}"',
            r'"start": "[^"]+"': f'"start": "{iso(start)}"',
            r'"end": "[^"]+"': f'"end": "{iso(self.end_s)}"',
        }
        for pattern, name in names.items():
            text = re.sub(pattern, name, text)
        return text


class Walk:
    """All pages, from the first command to the last; what each of them came to."""

    def __init__(self, account: Account, folder: Path) -> None:
        self.account = account
        self.outcomes: dict[Step, str] = {}  # "" is well
        self._folder = folder
        self._checkout = make_checkout(folder, SETTINGS)
        # A second one, with what the function ships alone.
        self._bare = make_checkout(folder / "bare", {}, installed=False)
        self._programs = make_programs(folder / "bin")

    def go(self) -> None:
        for page in GUIDES:
            shell = self._open_shell(page)
            for step in steps_of(page):
                if any(step.text.startswith(beginning) for beginning in ELSEWHERE):
                    continue
                try:
                    self._take(step, shell)
                except AssertionError as error:
                    self.outcomes[step] = str(error)
                else:
                    self.outcomes[step] = ""

    def _open_shell(self, page: str) -> Shell:
        env = environment(self.account.cloud.env, self._programs, self._folder)
        is_local = page == "docs/local.md"
        if is_local:
            env["QUERY_DELAY"] = "0"  # the page: a Prometheus of your own may be fine with that
        return Shell(self._bare if is_local else self._checkout, self._folder / "shell", env)

    def _take(self, step: Step, shell: Shell) -> None:
        account = self.account
        text = account.own(step.text).replace("/path/to/checkout", str(self._bare))
        if step.is_event:
            text = account.outputs["InvokeCommand"].replace("{}", text)
        if text.startswith("npx cdk deploy") and "hostname=" in text:
            account.deployed = text
        printed = shell.run(text)
        if text.startswith("npx cdk destroy"):
            account.outputs = {"Bucket": account.outputs["Bucket"]}
        if "lambda invoke" in text:
            self._judge(step, printed)
        if text.startswith("npx cdk deploy"):
            account.outputs = dict(re.findall(r"^\w+\.(\w+) = (.+)$", printed, re.MULTILINE))
            # What the README and docs/deploy.md name by the stack's outputs.
            is_named = step.page in ("README.md", "docs/deploy.md")
            for name in ("SecretCommand", "CheckCommand", "InvokeCommand") if is_named else ():
                answer = shell.run(account.outputs[name])
                if name != "SecretCommand":
                    self._judge(step, answer)

    def _judge(self, step: Step, printed: str) -> None:
        """Whether an answer of the function is a good one. Raises AssertionError."""
        answer, end = json.JSONDecoder().raw_decode(printed)
        if '"FunctionError"' in printed[end:]:
            action = json.loads(re.findall(r"\{.*\}", step.text)[0])["action"]
            code = REFUSED.get(action)
            assert code, answer
            assert f"[{code}]" in answer["errorMessage"], answer
            return
        outcomes = ("ready", "complete", "complete_so_far", "partial", "incomplete", "dry_run")
        assert answer["outcome"] in outcomes, answer["message"]


@pytest.fixture(scope="module")
def walk(
    make_cloud: MakeCloud, make_prometheus: MakePrometheus, tmp_path_factory: pytest.TempPathFactory
) -> Walk:
    cloud = make_cloud()
    prometheus = make_prometheus(History(end_s=int(time.time()) // 60 * 60, days=0.3))
    ec2 = cloud.session.client("ec2", **cloud.where)
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    one, other = (
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.1.{number}.0/24", AvailabilityZone=f"{REGION}{letter}"
        )["Subnet"]["SubnetId"]
        for number, letter in enumerate("ab")
    )
    for bucket in (BUCKET, "costs"):
        cloud.create_bucket(bucket)
    secrets = cloud.secretsmanager
    secret = secrets.create_secret(Name="deleted", SecretString="{}")["ARN"]
    secrets.delete_secret(SecretId=secret, RecoveryWindowInDays=7)
    account = Account(cloud, prometheus, vpc, (one, other), secret)
    walk = Walk(account, tmp_path_factory.mktemp("guide"))
    walk.go()
    return walk


@pytest.mark.parametrize("page", GUIDES)
def test_every_command_of_a_page_works(walk: Walk, page: str) -> None:
    outcomes = {step: outcome for step, outcome in walk.outcomes.items() if step.page == page}
    assert len(outcomes) > 1
    assert {str(step): outcome for step, outcome in outcomes.items() if outcome} == {}


def test_nothing_is_left(walk: Walk) -> None:
    """The last guide removes what the first one made."""
    assert "MimirExporter" not in walk.account.cloud.list_stacks()
    buckets = {bucket["Name"] for bucket in walk.account.cloud.s3.list_buckets()["Buckets"]}
    assert BUCKET not in buckets


def test_what_is_done_elsewhere_is_on_a_page() -> None:
    texts = [step.text for page in GUIDES for step in steps_of(page)]
    for beginning in ELSEWHERE:
        assert [text for text in texts if text.startswith(beginning)], beginning
