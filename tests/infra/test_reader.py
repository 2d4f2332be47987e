"""The cost platform's role; tests/e2e assumes it."""

from typing import Any

import pytest
from aws_cdk.assertions import Template

from tests.infra.conftest import Synthesize

PLATFORM = "arn:aws:iam::123456789012:role/platform"


@pytest.fixture(scope="module")
def with_reader(synthesize: Synthesize) -> Template:
    return synthesize(
        s3_bucket="mine", reader_principal_arn=PLATFORM, reader_external_id="the-id-it-shows"
    )


def reader_of(template: Template) -> dict[str, Any]:
    name = template.to_json()["Outputs"]["ReaderRole"]["Value"]["Fn::GetAtt"][0]
    role: dict[str, Any] = template.to_json()["Resources"][name]["Properties"]
    return role | {"id": name}


def test_only_the_platform_with_its_external_id_may_assume_it(with_reader: Template) -> None:
    trust = reader_of(with_reader)["AssumeRolePolicyDocument"]["Statement"]
    assert trust == [
        {
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": "the-id-it-shows"}},
            "Effect": "Allow",
            "Principal": {"AWS": PLATFORM},
        }
    ]


def test_it_may_read_under_the_prefix_and_nothing_else(with_reader: Template) -> None:
    role = reader_of(with_reader)
    (policy,) = (
        one["Properties"]["PolicyDocument"]["Statement"]
        for one in with_reader.find_resources("AWS::IAM::Policy").values()
        if {"Ref": role["id"]} in one["Properties"]["Roles"]
    )
    bucket = ["arn:", {"Ref": "AWS::Partition"}, ":s3:::mine"]
    files = [*bucket[:2], ":s3:::mine/k8s/prometheus/*"]
    assert {one["Action"]: one["Resource"] for one in policy} == {
        "s3:GetObject": {"Fn::Join": ["", files]},
        "s3:ListBucket": {"Fn::Join": ["", bucket]},
        "s3:GetBucketLocation": {"Fn::Join": ["", bucket]},
    }
    conditions = {one["Action"]: one.get("Condition") for one in policy}
    assert conditions["s3:ListBucket"] == {
        "StringLike": {"s3:prefix": ["k8s/prometheus", "k8s/prometheus/*"]}
    }
    assert "ManagedPolicyArns" not in role


def test_an_account_s_number_is_its_root(synthesize: Synthesize) -> None:
    made = synthesize(reader_principal_arn="123456789012", reader_external_id="abc")
    (statement,) = reader_of(made)["AssumeRolePolicyDocument"]["Statement"]
    assert ":iam::123456789012:root" in str(statement["Principal"])


def test_without_a_principal_there_is_no_reader_role(template: Template) -> None:
    assert "ReaderRole" not in template.to_json()["Outputs"]
    assert "ReadFiles" not in str(template.to_json())
