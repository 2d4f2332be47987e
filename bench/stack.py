"""What of the stack is paid by the month, as its template has it."""

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra import ROOT

GIVEN = {"hostname": "mimir.example.com", "cluster_name": "central", "vpc_id": "new"}


@dataclass(frozen=True)
class Watching:
    """How many alarms, and metrics of the exporter's own, CloudWatch has of one stack."""

    alarms: int
    metrics: int


def count_watching(resources: Mapping[str, Mapping[str, Any]] | None = None) -> Watching:
    """Of a template's resources; by default those of the stack as cdk.json has it."""
    found = resources if resources is not None else _synthesize()
    alarms = [one for one in found.values() if one["Type"] == "AWS::CloudWatch::Alarm"]
    shown = [one for one in found.values() if one["Type"] == "AWS::CloudWatch::Dashboard"]
    text = json.dumps(shown).replace("\\", "")
    names = set(re.findall(r'\["MimirExporter","(\w+)"', text))
    names |= {
        one["Properties"]["MetricName"]
        for one in alarms
        if one["Properties"].get("Namespace") == "MimirExporter"
    }
    return Watching(len(alarms), len(names))


def _synthesize() -> Mapping[str, Mapping[str, Any]]:
    # The CDK starts Node.js when it is imported, which the rest of the bench does without.
    from aws_cdk import App  # noqa: PLC0415
    from aws_cdk.assertions import Template  # noqa: PLC0415

    from infra.deployment.read import read_deployment  # noqa: PLC0415
    from infra.package import Package  # noqa: PLC0415
    from infra.stack import ExporterStack  # noqa: PLC0415

    context = json.loads((ROOT / "cdk.json").read_text("utf-8"))["context"] | GIVEN
    deployment = read_deployment(context, {})
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "handler.py").touch()
        stack = ExporterStack(
            App(context=context),
            deployment.stack_name,
            deployment=deployment,
            package=Package(Path(folder), "0" * 64),
        )
        resources: Mapping[str, Mapping[str, Any]] = Template.from_stack(stack).to_json()[
            "Resources"
        ]
    return resources
