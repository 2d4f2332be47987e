"""The function of the coverage map: quick, and allowed to read one object."""

from typing import Any

from tests.infra.conftest import Synthesize
from tests.infra.test_stack import Resources, actions, function, of_type, role_of, statements

KEY = "k8s/prometheus/prod/checkpoint.json"
ROLE = "arn:aws:iam::123456789012:role/writer"


def map_function(resources: Resources) -> dict[str, Any]:
    return function(resources, "coverage", "widget")


def rights(resources: Resources) -> dict[str, dict[str, Any]]:
    """The statements of its role that are not about its log and its network, by Sid."""
    found = statements(resources, role_of(resources, "coverage", "widget"))
    return {
        statement.get("Sid", ""): statement
        for statement in found
        if not all(action.startswith(("logs:", "ec2:")) for action in actions(statement))
    }


def test_it_reads_the_checkpoint_and_nothing_else(resources: Resources) -> None:
    (bucket,) = of_type(resources, "AWS::S3::Bucket")
    arn = {"Fn::GetAtt": [bucket, "Arn"]}
    assert rights(resources) == {
        "ReadOneObject": {
            "Sid": "ReadOneObject",
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": {"Fn::Join": ["", [arn, f"/{KEY}"]]},
        },
        "SeeOneObject": {
            "Sid": "SeeOneObject",
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": arn,
            "Condition": {"StringEquals": {"s3:delimiter": "/", "s3:prefix": KEY}},
        },
    }


def test_through_a_role_it_may_only_assume_that(synthesize: Synthesize) -> None:
    resources = synthesize(s3_bucket="theirs", role_arn=ROLE).to_json()["Resources"]
    (statement,) = rights(resources).values()
    assert (statement["Action"], statement["Resource"]) == ("sts:AssumeRole", ROLE)


def test_it_is_set_as_the_exporter_is_but_answers_a_person(resources: Resources) -> None:
    made = map_function(resources)
    (other,) = (
        properties
        for properties in of_type(resources, "AWS::Lambda::Function").values()
        if properties["Handler"] == "mimir_exporter.handler.backfill"
    )
    for key in ("Code", "Runtime", "Architectures", "VpcConfig", "Environment"):
        assert made[key] == other[key]
    assert made["Timeout"] == 30
    assert made["MemorySize"] >= 1024


def test_the_key_is_the_one_that_the_exporter_writes(synthesize: Synthesize) -> None:
    resources = synthesize(cluster_name="a b/c", s3_prefix="x/y").to_json()["Resources"]
    found = rights(resources)["SeeOneObject"]["Condition"]["StringEquals"]["s3:prefix"]
    assert found == "x/y/a%20b%2Fc/checkpoint.json"
