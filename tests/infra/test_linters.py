"""Other people's linters over every variant: cfn-lint in every commercial region, parliament on
every policy, asl-validator on the state machine."""

import copy
import json
import subprocess
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs
from cfnlint.helpers import REGIONS

from localcloud.cdk import NODE, NODE_MODULES
from tests.infra.conftest import Synthesize
from tests.infra.resolved import machines, policies
from tests.infra.variants import VARIANTS

with warnings.catch_warnings():
    # Setuptools says that pkg_resources will go; and parliament leaves its files open.
    warnings.simplefilter("ignore")
    import parliament

# China, GovCloud, Europe's own and the secret ones are partitions of their own.
COMMERCIAL = [
    region
    for region in REGIONS
    if not region.startswith(("cn-", "us-gov-", "us-iso", "eu-iso", "eusc-"))
]
IGNORED = [
    "W3005",  # the CDK writes a DependsOn where a reference says the same
]
# Of parliament's findings, these are no faults.
EXPRESS = {
    "action": "states:DescribeExecution",
    "required_format": "arn:*:states:*:*:express:*:*:*",
}
ACCEPTED = [
    # An express execution is described by another ARN; the backfill's are standard.
    ("RESOURCE_MISMATCH", [EXPRESS]),
    # Lambda makes the interfaces of a function with its role, before anything has their ARNs.
    (
        "RESOURCE_STAR",
        [
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:UnassignPrivateIpAddresses",
        ],
    ),
]
ASL = NODE_MODULES / "asl-validator" / "dist" / "bin" / "asl-validator.js"

Template = Mapping[str, Any]


@pytest.fixture(scope="module", params=list(VARIANTS))
def template(request: pytest.FixtureRequest, synthesize: Synthesize) -> Template:
    return synthesize(**VARIANTS[request.param]).to_json()


def cfn_lint(template: Template) -> list[str]:
    config = ManualArgs(regions=COMMERCIAL, ignore_checks=IGNORED)
    return [str(match) for match in lint(json.dumps(template), config=config)]


def audit(policy: dict[str, Any]) -> list[str]:
    """What parliament finds in a policy."""
    found = parliament.analyze_policy_string(json.dumps(policy)).findings
    return [f"{one.issue} {one.detail}" for one in found if (one.issue, one.detail) not in ACCEPTED]


def validate(definition: str, folder: Path) -> str:
    """What asl-validator says of a state machine that is not valid; "" of one that is."""
    path = folder / "machine.json"
    path.write_text(definition, "utf-8")
    command = [str(NODE), str(ASL), "--json-path", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603
    return "" if ended.returncode == 0 else ended.stdout + ended.stderr


def test_cfn_lint_finds_nothing_in_any_commercial_region(template: Template) -> None:
    assert cfn_lint(template) == []


def test_parliament_finds_nothing_in_any_policy(template: Template) -> None:
    found = {name: audit(policy) for name, policy, _ in policies(template["Resources"])}
    assert len(found) >= 5
    assert {name: said for name, said in found.items() if said} == {}


def test_the_state_machine_is_valid(template: Template, tmp_path: Path) -> None:
    (definition,) = machines(template["Resources"])
    assert validate(definition, tmp_path) == ""


def test_the_regions_are_all_of_them() -> None:
    assert {"eu-central-1", "us-east-1", "ca-west-1"} < set(COMMERCIAL)
    assert len(COMMERCIAL) > 30


def test_a_type_that_a_region_lacks_would_be_found(synthesize: Synthesize) -> None:
    bad = copy.deepcopy(dict(synthesize(vpc_id="none").to_json()))
    (schedule,) = (
        one for one in bad["Resources"].values() if one["Type"] == "AWS::Scheduler::Schedule"
    )
    schedule["Type"] = "AWS::EventSchemas::Schema"
    found = "\n".join(cfn_lint(bad))
    assert "'AWS::EventSchemas::Schema' does not exist in 'ap-southeast-4'" in found
    assert "does not exist in 'eu-central-1'" not in found


@pytest.mark.parametrize(
    ("statement", "issue"),
    [
        ({"Action": "states:StartExecutions", "Resource": "*"}, "UNKNOWN_ACTION"),
        ({"Action": "states:StartExecution", "Resource": "arn:aws:s3:::x"}, "RESOURCE_MISMATCH"),
        (
            {
                "Action": "s3:PutObject",
                "Resource": "arn:aws:s3:::x/*",
                "Condition": {"StringEquals": {"s3:delimiter": "/"}},
            },
            "UNKNOWN_CONDITION_FOR_ACTION",
        ),
    ],
)
def test_a_wrong_right_would_be_found(statement: dict[str, Any], issue: str) -> None:
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}
    assert [one.split()[0] for one in audit(policy)] == [issue]


def test_a_state_without_an_end_would_be_found(synthesize: Synthesize, tmp_path: Path) -> None:
    (definition,) = machines(synthesize().to_json()["Resources"])
    machine = json.loads(definition)
    machine["States"]["CountWindows"]["Next"] = "Nowhere"
    assert "Nowhere" in validate(json.dumps(machine), tmp_path)
