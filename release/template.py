"""The stack as a CloudFormation template with parameters, for those who do not use the CDK.

The functions run in an existing VPC and write to an existing bucket. What the template itself
follows from, such as TIME_FRAME and the roles in other accounts, needs the CDK.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aws_cdk import Annotations, App, Aws, CfnParameter, DefaultStackSynthesizer, Fn, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3

from infra import ROOT
from infra.deployment.table import PASSED_ON
from infra.exporter import MimirExporter
from infra.outputs import add_outputs
from infra.parts.vpc import ExistingVpc
from mimir_exporter import __version__
from mimir_exporter.settings.rows import Row

# The settings that change nothing but a variable of the functions, a name or a rule in the
# template: a test holds that.
PARAMETERS = (
    *("hostname", "port", "scheme", "path_prefix", "cluster_name", "s3_prefix"),
    *("cluster_label_name", "split_by_cluster", "query_step", "query_delay", "backfill_days"),
    *("retention_days", "audit_after", "rate_range", "extra_metrics", "wire_gzip"),
    "prometheus_x_scope_orgid",
)
PORT = "port"  # the one number: it is in a rule, too


def synthesize_template(*, architecture: str, python_version: str) -> str:
    """The template as JSON: the same for the same checkout, whatever the machine."""
    context = json.loads((ROOT / "cdk.json").read_text("utf-8"))["context"]
    flags = {name: value for name, value in context.items() if name.startswith("@aws-cdk/")}
    with TemporaryDirectory() as folder:
        app = App(
            outdir=folder,
            analytics_reporting=False,
            context={
                **flags,
                "aws:cdk:enable-path-metadata": False,
                "aws:cdk:enable-asset-metadata": False,
            },
        )
        # No assets are published, so nothing of `cdk bootstrap` is needed.
        synthesizer = DefaultStackSynthesizer(generate_bootstrap_version_rule=False)
        stack = Stack(
            app,
            "MimirExporter",
            synthesizer=synthesizer,
            description=f"Kubernetes cost metrics from Mimir to S3, version {__version__}",
        )
        _fill(stack, architecture, python_version)
        template = Path(folder, app.synth().get_stack_by_name("MimirExporter").template_file)
        return _without_remarks(json.loads(template.read_text("utf-8")))


def _fill(stack: Stack, architecture: str, python_version: str) -> None:
    text = {
        key: _setting(stack, PASSED_ON[key]).value_as_string for key in PARAMETERS if key != PORT
    }
    code = lambda_.Code.from_bucket(
        _bucket(stack, "CodeBucket", "bucket of this region that holds the function's zip"),
        _text(stack, "CodeKey", "its key"),
    )
    vpc_id = CfnParameter(
        stack, "VpcId", type="AWS::EC2::VPC::Id", description="VPC from which Mimir is reached"
    )
    subnets = CfnParameter(
        stack,
        "SubnetIds",
        type="List<AWS::EC2::Subnet::Id>",
        description="private subnets of it, with a way to Mimir and to AWS",
    )
    vpc = ExistingVpc(
        stack,
        "Network",
        vpc_id=vpc_id.value_as_string,
        subnet_ids=[Fn.select(0, subnets.value_as_list)],
    )
    exporter = MimirExporter(
        stack,
        "Exporter",
        name=Aws.STACK_NAME,
        hostname=text.pop("hostname"),
        port=_number(stack, PASSED_ON[PORT]),
        scheme=text.pop("scheme"),
        path_prefix=text.pop("path_prefix"),
        cluster_name=text.pop("cluster_name"),
        s3_prefix=text.pop("s3_prefix"),
        settings=text,
        vpc=vpc.vpc,
        vpc_subnets=vpc.subnets,
        bucket=_bucket(stack, "BucketName", "existing bucket that the files go to"),
        code=code,
        architecture=architecture,
        python_version=python_version,
    )
    acknowledged = Annotations.of(stack)
    # Each release is another key.
    acknowledged.acknowledge_warning("@aws-cdk/aws-lambda:codeFromBucketObjectVersionNotSpecified")
    # The scheme is not known yet; `check` says it then.
    acknowledged.acknowledge_warning("mimir-exporter:credentials-over-http")
    for function in exporter.functions:
        # All of them: how many there are, only CloudFormation knows.
        resource = function.function.node.default_child
        resource.add_property_override("VpcConfig.SubnetIds", subnets.value_as_list)  # type: ignore[union-attr]
    add_outputs(stack, exporter=exporter, reader=None, role_arn="")


def _setting(stack: Stack, row: Row) -> CfnParameter:
    return CfnParameter(
        stack,
        "".join(part.title() for part in row.key.split("_")),
        default=row.deployed,
        description=_plain(row),
        min_length=1 if row.deployed is None else None,
    )


def _number(stack: Stack, row: Row) -> float:
    name = row.key.title()
    parameter = CfnParameter(
        stack, name, type="Number", default=int(row.deployed or 0), description=_plain(row)
    )
    return parameter.value_as_number


def _text(stack: Stack, name: str, description: str) -> str:
    return CfnParameter(stack, name, description=description, min_length=1).value_as_string


def _bucket(stack: Stack, name: str, description: str) -> s3.IBucket:
    return s3.Bucket.from_bucket_name(stack, f"{name}Bucket", _text(stack, name, description))


def _plain(row: Row) -> str:
    """A setting's meaning without links and marks."""
    text = re.sub(r" \(\[[^]]*]\([^)]*\)\)", "", row.meaning)
    text = text.replace("`", "").replace("\\|", "|")
    return f"{text} ({row.unit})" if row.unit else text


def _without_remarks(template: Mapping[str, Any]) -> str:
    """What CloudFormation needs: no metadata of the CDK's own tools."""
    for resource in template["Resources"].values():
        resource.pop("Metadata", None)
    return json.dumps(template, indent=1, sort_keys=True) + "\n"
