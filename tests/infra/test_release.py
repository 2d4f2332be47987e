"""The files of a release: the same to the byte, complete, and of the version that the tag says."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from infra import ROOT
from infra.deployment.table import PASSED_ON
from infra.package import build_package
from mimir_exporter import __version__
from release.files import PYTHON_VERSION, SUMS, ReleaseError, check_tag, make_release
from release.template import PARAMETERS
from tests.infra.conftest import Synthesize
from tests.infra.test_installed import PROJECT
from tests.infra.test_linters import cfn_lint
from tests.some import some

# What is a name, a path or a rule in the template, beside a variable.
ELSEWHERE = {
    *("hostname", "port", "cluster_name", "s3_prefix"),
    "scheme",  # a warning of synth's
}
OTHERS = {
    "path_prefix": "mimir",
    "cluster_label_name": "k8s",
    "split_by_cluster": "false",
    "query_step": "120",
    "query_delay": "7",
    "backfill_days": "5d",
    "retention_days": "0",
    "audit_after": "12h",
    "rate_range": "600",
    "extra_metrics": '{"load": "max by (cluster)(load{$matchers})"}',
    "wire_gzip": "false",
    "prometheus_x_scope_orgid": "tenant",
}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("release")).folder


def template_of(folder: Path, architecture: str = "arm64") -> Any:
    (path,) = folder.glob(f"*-{architecture}-*.template.json")
    return json.loads(path.read_text("utf-8"))


def test_it_is_the_same_to_the_byte_elsewhere(released: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from release.files import make_release; "
        f"make_release(Path({str(tmp_path)!r}))"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'lambda'}", "PYTHONHASHSEED": "7"},
        umask=0o077,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / SUMS).read_text() == (released / SUMS).read_text()
    assert len((tmp_path / SUMS).read_text().splitlines()) == 5


def test_the_hashes_are_those_of_the_files(released: Path) -> None:
    done = subprocess.run(  # noqa: S603
        ["sha256sum", "--check", "--strict", SUMS],  # noqa: S607
        cwd=released,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_nothing_names_the_machine_that_made_it(released: Path) -> None:
    for path in released.glob("*.json"):
        text = path.read_text("utf-8")
        assert str(Path.home()) not in text
        assert str(ROOT) not in text


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_the_zip_is_what_cdk_deploy_would_ship(released: Path, architecture: str) -> None:
    built = build_package(architecture=architecture, python_version=PYTHON_VERSION).path
    (path,) = released.glob(f"*-{architecture}-python{PYTHON_VERSION}.zip")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        found = {name: archive.read(name) for name in archive.namelist()}
    files = (file for file in built.rglob("*") if file.is_file())
    assert found == {file.relative_to(built).as_posix(): file.read_bytes() for file in files}
    assert "mimir_exporter/handler.py" in found


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_the_template_needs_no_cdk(released: Path, architecture: str) -> None:
    template = template_of(released, architecture)
    text = json.dumps(template)
    assert "cdk-hnb659fds" not in text
    assert "BootstrapVersion" not in template["Parameters"]
    functions = [
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Lambda::Function"
    ]
    assert len(functions) == 3
    for function in functions:
        assert function["Architectures"] == [architecture]
        assert function["Code"] == {
            "S3Bucket": {"Ref": "CodeBucket"},
            "S3Key": {"Ref": "CodeKey"},
        }
        assert function["VpcConfig"]["SubnetIds"] == {"Ref": "SubnetIds"}


def test_cfn_lint_finds_nothing_in_it_in_any_commercial_region(released: Path) -> None:
    assert cfn_lint(template_of(released)) == []


def test_every_parameter_does_something(released: Path) -> None:
    template = template_of(released)
    resources = json.dumps(template["Resources"])
    for name in template["Parameters"]:
        assert f'{{"Ref": "{name}"}}' in resources, name
    assert len(template["Parameters"]) == len(PARAMETERS) + 5


def test_the_functions_may_reach_the_port_that_is_given(released: Path) -> None:
    (rule,) = (
        resource["Properties"]
        for resource in template_of(released)["Resources"].values()
        if resource["Type"] == "AWS::EC2::SecurityGroupEgress"
    )
    assert (rule["FromPort"], rule["ToPort"]) == ({"Ref": "Port"}, {"Ref": "Port"})


def test_two_stacks_of_it_have_no_name_in_common(released: Path) -> None:
    named = ("AlarmName", "DashboardName", "LogGroupName", "RoleName", "TopicName", "QueueName")
    for resource in template_of(released)["Resources"].values():
        for key in named:
            value = resource["Properties"].get(key)
            assert value is None or "AWS::StackName" in json.dumps(value)


@pytest.mark.parametrize("key", [key for key in PARAMETERS if key not in ELSEWHERE])
def test_a_parameter_is_a_variable_of_the_functions_and_nothing_else(
    key: str, synthesize: Synthesize
) -> None:
    def without_variable(**settings: object) -> Any:
        template = synthesize(vpc_id="none", **settings).to_json()
        for resource in template["Resources"].values():
            if resource["Type"] == "AWS::Lambda::Function":
                resource["Properties"]["Environment"]["Variables"].pop(PASSED_ON[key].name, None)
        return template

    assert without_variable(**{key: OTHERS[key]}) == without_variable()


def test_the_bill_of_materials_lists_what_is_pinned(released: Path) -> None:
    (path,) = released.glob("*.cdx.json")
    bill = json.loads(path.read_text("utf-8"))
    listed = {(part["name"], part["version"]) for part in bill["components"]}
    pins = re.findall(
        r"^([\w.-]+)==(\S+)",
        (ROOT / "lambda" / "requirements.txt").read_text("utf-8"),
        re.MULTILINE,
    )
    assert listed == set(pins)
    assert all(part["externalReferences"][0]["hashes"] for part in some(bill["components"]))
    product = bill["metadata"]["component"]
    assert (product["name"], product["version"]) == ("mimir-s3-exporter", __version__)


def test_there_is_one_version() -> None:
    assert PROJECT["version"] == __version__


@pytest.mark.parametrize("tag", ["v0.9.9", __version__, f"v{__version__}rc1", "release"])
def test_a_tag_of_another_version_is_refused(tag: str) -> None:
    with pytest.raises(ReleaseError, match=f"The tag is {re.escape(tag)} and pyproject.toml has"):
        check_tag(tag, __version__)
    check_tag(f"v{__version__}", __version__)


def test_the_command_ends_with_one_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "release", "v0.0.1"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'lambda'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "tag v" in done.stderr
