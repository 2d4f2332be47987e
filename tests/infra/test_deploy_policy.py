"""The policy for who deploys, docs/deploy-policy.json: it suffices for all that a variant makes, by
the permissions that CloudFormation's own schemas list, and allows nothing beside."""

import json
import re
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import cfnlint
import pytest

from infra import ROOT
from infra.deployment.read import read_deployment
from tests.infra.conftest import Synthesize
from tests.infra.test_linters import audit
from tests.infra.variants import VARIANTS
from tests.some import some

POLICY = json.loads((ROOT / "docs" / "deploy-policy.json").read_text("utf-8"))
SCHEMAS = Path(cfnlint.__file__).parent / "data" / "schemas" / "resources"
# IAM's limit for a managed policy, without white space.
LIMIT = 6144
# What a schema lists for features that the stack does not use: patterns, and why.
UNUSED = {
    "*KmsKey": "log groups have CloudWatch's own key",
    "elasticfilesystem:*": "no file systems",
    "s3files:*": "no file systems",
    "kms:*": "a key of one's own has a policy of its own",
    "vpc-lattice:*": "endpoints of services of AWS alone",
    "vpce:*": "no endpoints in other regions",
    "lambda:*Concurrency": "no reserved concurrency",
    "lambda:PutFunctionRecursionConfig": "Lambda's default stays",
    "lambda:*FunctionCodeSigningConfig": "code is not signed",
    "lambda:PutFunctionScalingConfig": "Lambda's default stays",
    "lambda:PassCapacityProvider": "no instances of one's own",
    "lambda:AssociateRuntimeAlias": "Lambda's own runtimes",
    "lambda:PublishVersion": "no versions",
    "lambda:GetCodeSigningConfig": "code is not signed",
    "lambda:GetLayerVersion": "no layers",
    "logs:*DataProtectionPolicy": "no data protection",
    "logs:*IndexPolicy": "no field indexes",
    "logs:DeleteResourcePolicy": "Step Functions' policy stays, others use it",
    "logs:*BearerTokenAuthentication": "no ingestion by token",
    "logs:PutLogGroupDeletionProtection": "no protection",
    "s3:REST.PUT.OBJECT": "no action of IAM",
    "firehose:*": "no streams",
    "iam:*UserPolicy": "roles alone",
    "iam:*GroupPolicy": "roles alone",
    "iam:*PermissionsBoundary": "no boundaries",
    "sns:PutDataProtectionPolicy": "no data protection",
    "secretsmanager:GetRandomPassword": "the secret begins empty",
    "secretsmanager:*Replicat*": "in one region",
    "secretsmanager:RemoveRegionsFromReplication": "in one region",
    "s3tables:*": "no metadata tables",
    "s3:*MetadataTable*": "no metadata tables",
    "s3:*Metadata*Configuration": "no metadata tables",
    "s3:PutBucketAbac": "no tags in conditions",
    "s3:PutAnalyticsConfiguration": "not used",
    "s3:PutBucketCORS": "not used",
    "s3:PutInventoryConfiguration": "not used",
    "s3:PutMetricsConfiguration": "not used",
    "s3:PutBucketNotification": "not used",
    "s3:Put*Replication*": "not used",
    "s3:PutBucketWebsite": "not used",
    "s3:PutAccelerateConfiguration": "not used",
    "s3:PutObjectAcl": "not used",
    "s3:PutBucketAcl": "not used",
    "s3:Put*ObjectLockConfiguration": "not used",
    "s3:PutBucketLogging": "not used",
    "s3:PutBucketVersioning": "not used",
    "s3:PutIntelligentTieringConfiguration": "not used",
    "s3:DeleteBucketEncryption": "no action of IAM: PutEncryptionConfiguration is asked for",
    "s3:DeleteBucketLifecycle": "no action of IAM: PutLifecycleConfiguration is asked for",
    "s3:DeleteBucket*Configuration": "not used",
    "s3:DeleteBucketCors": "not used",
    "s3:DeleteBucketReplication": "not used",
    "s3:DeleteBucketWebsite": "not used",
    "s3:DeleteObject": "the bucket stays when the stack goes",
    "ec2:CreateVpcEncryptionControl": "not used",
    "ec2:ModifyVpcTenancy": "not used",
    "ec2:*SubnetCidrBlock": "IPv4 alone in a made VPC",
}
# The CLI's own, which no resource's schema lists: by statement.
OF_THE_CLI = {"Stack", "Bootstrap", "BootstrapVersion", "Assets"}
OF_A_PERSON = {"secretsmanager:PutSecretValue"}  # fills the secret: the output SecretCommand


def statements() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = POLICY["Statement"]
    return found


def allowed(*, but: Collection[str] = ()) -> set[str]:
    """The actions of all statements, but of some."""
    return {
        action
        for statement in statements()
        if statement["Sid"] not in but
        for action in statement["Action"]
    }


@pytest.fixture(scope="module")
def templates(synthesize: Synthesize) -> list[dict[str, Any]]:
    return [dict(synthesize(**settings).to_json()) for settings in VARIANTS.values()]


@pytest.fixture(scope="module")
def listed(templates: list[dict[str, Any]]) -> dict[str, set[str]]:
    """The permissions by resource type, as CloudFormation's schemas list them."""
    types = {one["Type"] for template in templates for one in template["Resources"].values()}
    found: dict[str, set[str]] = {}
    for path in SCHEMAS.glob("*.json"):
        schema = json.loads(path.read_text("utf-8"))
        if schema["typeName"] in types:
            handlers = schema["handlers"]
            actions = found.setdefault(schema["typeName"], set())
            for name in handlers.keys() & {"create", "read", "update", "delete"}:
                actions.update(handlers[name]["permissions"])
    assert found.keys() == types
    return found


def test_every_resource_can_be_made_changed_and_deleted(listed: dict[str, set[str]]) -> None:
    missing = {
        kind: sorted(
            action
            for action in actions
            if not any(fnmatchcase(action, pattern) for pattern in allowed() | UNUSED.keys())
        )
        for kind, actions in listed.items()
    }
    assert {kind: actions for kind, actions in missing.items() if actions} == {}


def test_nothing_is_allowed_that_no_resource_needs(listed: dict[str, set[str]]) -> None:
    needed = {action for actions in listed.values() for action in actions}
    needless = {
        pattern
        for pattern in allowed(but=OF_THE_CLI) - OF_A_PERSON
        if not any(fnmatchcase(action, pattern) for action in needed)
    }
    assert needless == set()
    for pattern in UNUSED:
        assert any(fnmatchcase(action, pattern) for action in needed), pattern


def test_parliament_finds_nothing_but_what_is_known() -> None:
    found = audit(POLICY)
    known = [
        # Newer than its list.
        "UNKNOWN_ACTION Unknown action cloudformation:DescribeEvents",
        "UNKNOWN_ACTION Unknown action lambda:GetFunctionScalingConfig",
        "RESOURCE_STAR ['ec2:",  # a VPC's parts have ids that are not known before
    ]
    assert [said for said in found if not said.startswith(tuple(known))] == []
    assert len(found) == len(known)


def test_it_fits_into_a_managed_policy() -> None:
    assert len(json.dumps(POLICY, separators=(",", ":"))) <= LIMIT


def test_roles_are_passed_to_the_services_that_the_stack_uses(
    templates: list[dict[str, Any]],
) -> None:
    (passing,) = (one for one in statements() if one["Action"] == ["iam:PassRole"])
    services = set(passing["Condition"]["StringEquals"]["iam:PassedToService"])
    trusted = {
        statement["Principal"].get("Service")
        for template in templates
        for one in template["Resources"].values()
        if one["Type"] == "AWS::IAM::Role"
        for statement in one["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    }
    assert services == trusted - {None}


def names(resources: dict[str, Any]) -> Iterator[str]:
    """The names that the template gives; CloudFormation begins all others with the stack's."""
    for one in resources.values():
        for key, value in one["Properties"].items():
            if key in ("AlarmName", "DashboardName", "LogGroupName", "Name", "RoleName"):
                yield value if isinstance(value, str) else json.dumps(value)


def test_the_names_are_those_of_the_default_stack(templates: list[dict[str, Any]]) -> None:
    stack = read_deployment({"hostname": "a", "cluster_name": "b", "vpc_id": "none"}, {}).stack_name
    for statement in statements():
        resource = statement["Resource"]
        if "xporter" in json.dumps(resource):
            assert {stack, stack.lower()} & set(re.split(r"[:/\"*-]+", json.dumps(resource)))
    for template in templates:
        for name in some(list(names(template["Resources"]))):
            assert stack in name


def test_what_is_named_by_its_logical_id_is_allowed_by_it(
    templates: list[dict[str, Any]],
) -> None:
    """CloudFormation names secrets and state machines so."""
    begin = {
        "AWS::SecretsManager::Secret": "LoginSecret",
        "AWS::StepFunctions::StateMachine": "Backfill",
    }
    text = json.dumps(POLICY)
    assert all(f":{name}*" in text for name in some(begin.values()))
    found = [
        (one["Type"], logical_id)
        for template in templates
        for logical_id, one in template["Resources"].items()
        if one["Type"] in begin
    ]
    for kind, logical_id in some(found):
        assert logical_id.startswith(begin[kind])
