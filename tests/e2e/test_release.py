"""The template and the zip of a release, deployed by the commands of docs/deploy.md alone."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

from infra import ROOT
from infra.package import build_package
from localcloud.exporter import PLATFORM, Exporter
from localcloud.history import History
from localcloud.prometheus import DEMO_LOGIN
from mimir_exporter import __version__
from release.files import write_zip
from release.template import synthesize_template
from tests.conftest import MakeCloud, MakePrometheus
from tests.infra.test_commands import Cli, commands_in

# To MiniStack's CloudFormation.
UNKNOWN = ("AWS::Logs::QueryDefinition", "AWS::EC2::SecurityGroupEgress")
STACK = "mimir-exporter"
RELEASES, COSTS = "my-releases", "my-cost-bucket"


def commands(here: dict[str, str]) -> Iterator[list[str]]:
    """Those of the page, with `here` as the values of the parameters that it gives."""
    page = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    section = page.partition("## Without the CDK")[2].partition("\n## ")[0]
    given = set[str]()
    for command in commands_in(section, "docs/deploy.md"):
        words = []
        for word in command.words[1:]:
            name, is_parameter, _ = word.partition("=")
            given.add(name)
            words.append(f"{name}={here[name]}" if is_parameter and name in here else word)
        more = {name: value for name, value in here.items() if name not in given}
        yield words + [f"{name}={value}" for name, value in more.items() if "deploy" in words]


def write_release(folder: Path) -> None:
    """Under the names of the page, for what MiniStack has."""
    name = f"mimir-exporter-{__version__}-arm64-python3.14"
    package = build_package(**PLATFORM)
    write_zip(folder / f"{name}.zip", package.path)
    template = json.loads(synthesize_template(**PLATFORM))
    template["Resources"] = {
        key: resource
        for key, resource in template["Resources"].items()
        if resource["Type"] not in UNKNOWN
    }
    (folder / f"{name}.template.json").write_text(json.dumps(template), "utf-8")


def test_a_release_works_without_the_cdk(
    make_prometheus: MakePrometheus, make_cloud: MakeCloud, tmp_path: Path
) -> None:
    cloud = make_cloud(enforce_iam=True)
    prometheus = make_prometheus(
        History(end_s=int(time.time()) // 60 * 60, days=0.2), login=DEMO_LOGIN
    )
    write_release(tmp_path)
    for bucket in (RELEASES, COSTS):
        cloud.create_bucket(bucket)
    here = {
        "Hostname": "127.0.0.1",
        "Scheme": "http",
        "Port": str(prometheus.port),
        "PathPrefix": prometheus.path_prefix,
        "BackfillDays": "2h",
        "QueryDelay": "0",
    }
    cli = Cli(cloud, tmp_path)
    for words in commands(here):
        ended = cli.run(words)
        assert ended.returncode == 0, ended.stderr
    (stack,) = cloud.cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    exporter = Exporter(cloud, outputs, "k8s/prometheus")
    exporter.store_login(prometheus)
    checked = exporter.invoke({"action": "check"})
    assert checked["outcome"] == "ready", checked["report"]
    assert exporter.invoke()["outcome"] == "complete"
    assert exporter.bucket == COSTS
    assert [key for key in exporter.list_keys() if key.endswith(".json.gz")]
    cloud.cloudformation.delete_stack(StackName=STACK)
