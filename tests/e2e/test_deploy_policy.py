"""Who has the policy of docs/deploy-policy.json can deploy, and destroy; who lacks a part cannot.

As far as MiniStack enforces it: of what the CDK CLI calls itself. It refuses the CDK's publishing
role, so that the CLI publishes with the person's own rights.
"""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from infra import ROOT
from localcloud.aws import Cloud
from localcloud.cdk import Cdk
from localcloud.exporter import deploy_exporter
from localcloud.processes import StartError
from tests.conftest import MakeCloud, MakePrometheus

POLICY = json.loads((ROOT / "docs" / "deploy-policy.json").read_text("utf-8"))
SETTINGS = {"vpc_id": "none", "cli_credentials": "true"}


def keys_of_a_person(cloud: Cloud, name: str, policy: Mapping[str, Any]) -> dict[str, str]:
    """Variables with the credentials of a new user who has this policy."""
    iam: Any = cloud.session.client("iam", **cloud.where)
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="deploy", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }


def test_the_policy_for_who_deploys_suffices_and_is_needed(
    make_cloud: MakeCloud, make_prometheus: MakePrometheus
) -> None:
    cloud, prometheus = make_cloud(enforce_iam=True), make_prometheus()
    Cdk(cloud).bootstrap()
    without_stack = {
        **POLICY,
        "Statement": [one for one in POLICY["Statement"] if one["Sid"] != "Stack"],
    }
    nobody = Cdk(cloud, keys_of_a_person(cloud, "nobody", without_stack))
    with pytest.raises(StartError, match=r"(?i)denied|not authorized"):
        deploy_exporter(nobody, cloud, prometheus, SETTINGS)
    somebody = Cdk(cloud, keys_of_a_person(cloud, "somebody", POLICY))
    exporter = deploy_exporter(somebody, cloud, prometheus, SETTINGS)
    assert exporter.invoke({"action": "status"})["outcome"] == "nothing_yet"
    somebody.destroy(SETTINGS | {"hostname": "any", "cluster_name": "any"})
    assert "MimirExporter" not in cloud.list_stacks()
