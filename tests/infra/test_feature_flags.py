"""The CDK's feature flags are set before anybody deploys: some replace resources later."""

import json
from pathlib import Path

import pytest
from aws_cdk import App, CfnResource, Stack

from tests.infra.base_settings import flags

# Set otherwise than the CDK recommends, each with its reason.
OTHERWISE = {
    # Whoever deploys decides what their templates tell AWS of how they were made.
    "@aws-cdk/core:enableAdditionalMetadataCollection": False,
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """What the CDK itself reports of an app with cdk.json's flags: recommended and given values."""
    folder = tmp_path_factory.mktemp("app")
    app = App(context=flags(), outdir=str(folder))
    CfnResource(Stack(app, "Any"), "Topic", type="AWS::SNS::Topic")
    app.synth()
    return reported(folder)


def reported(folder: Path) -> dict[str, dict[str, object]]:
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    (found,) = (
        one["properties"]["flags"]
        for one in manifest["artifacts"].values()
        if one["type"] == "cdk:feature-flag-report"
    )
    return dict(found)


def test_every_flag_is_set_as_recommended(report: dict[str, dict[str, object]]) -> None:
    assert len(report) > 80
    other = {
        name: flag.get("userValue")
        for name, flag in report.items()
        if flag.get("userValue") != flag["recommendedValue"]
    }
    assert other == OTHERWISE


def test_no_flag_is_set_that_the_cdk_does_not_know(report: dict[str, dict[str, object]]) -> None:
    assert set(flags()) == set(report)


def test_one_that_is_missing_would_be_found(tmp_path: Path) -> None:
    missing = "@aws-cdk/aws-iam:minimizePolicies"
    app = App(
        context={key: value for key, value in flags().items() if key != missing},
        outdir=str(tmp_path),
    )
    CfnResource(Stack(app, "Any"), "Topic", type="AWS::SNS::Topic")
    app.synth()
    assert reported(tmp_path)[missing].get("userValue") is None
