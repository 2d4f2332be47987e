"""Names that others see: none collides with that of another region, account or exporter."""

from collections.abc import Iterator
from typing import Any

import pytest
from aws_cdk.assertions import Template

from tests.infra.conftest import Synthesize

# Types whose names are global in an account, whatever the region.
GLOBAL = {"AWS::CloudWatch::Dashboard", "AWS::IAM::Role", "AWS::IAM::Policy", "AWS::S3::Bucket"}
REGION = {"Ref": "AWS::Region"}


@pytest.fixture(scope="module")
def watched(synthesize: Synthesize) -> Template:
    return synthesize(reader_principal_arn="123456789012", reader_external_id="abc")


def names(template: Template) -> Iterator[tuple[str, str, Any]]:
    """Type, property and value of each name that the template itself gives."""
    for resource in template.to_json()["Resources"].values():
        kind, properties = resource["Type"], resource.get("Properties", {})
        given = {f"{kind.rpartition('::')[2]}Name", "Name", "QueueName", "TopicName"}
        for key in given & set(properties):
            yield kind, key, properties[key]


def test_a_name_that_is_global_in_an_account_has_the_region_in_it(watched: Template) -> None:
    found = {kind: value for kind, _, value in names(watched) if kind in GLOBAL}
    # A policy in a role has a name within that role.
    found.pop("AWS::IAM::Policy")
    assert set(found) == {"AWS::CloudWatch::Dashboard"}
    for value in found.values():
        assert value == {"Fn::Join": ["", ["MimirExporter-", REGION]]}


def test_every_other_given_name_begins_with_the_exporter_s(watched: Template) -> None:
    """So that two of them in one region do not meet."""
    for kind, key, value in names(watched):
        if kind in GLOBAL or key == "Name":
            continue
        assert "MimirExporter" in str(value), (kind, key)


@pytest.mark.parametrize("length", [100, 128])
def test_the_longest_name_of_a_stack_fits(synthesize: Synthesize, length: int) -> None:
    """CloudFormation takes 128 characters."""
    name = "A" * length
    template = synthesize(stack_name=name)
    (topic,) = template.find_resources("AWS::SNS::Topic").values()
    assert len(topic["Properties"]["DisplayName"]) <= 100
    for alarm in template.find_resources("AWS::CloudWatch::Alarm").values():
        assert len(alarm["Properties"]["AlarmName"]) <= 255
