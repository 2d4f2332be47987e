"""cdk-nag's AwsSolutions pack over the stack, as it is and as a company would deploy it."""

from pathlib import Path

import pytest
from aws_cdk import App, Validations
from aws_cdk import aws_iam as iam
from cdk_nag import AwsSolutionsChecks

from tests.infra.base_settings import flags
from tests.infra.conftest import MakeStack
from tests.infra.variants import VARIANTS


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_no_finding_is_left_without_a_reason(
    make_stack: MakeStack, tmp_path: Path, settings: dict[str, object]
) -> None:
    app = App(outdir=str(tmp_path), context=flags())
    Validations.of(app).add_plugins(AwsSolutionsChecks())
    make_stack(app, **settings)
    app.synth()  # raises, with the findings printed, if one is left


def test_the_pack_is_at_work(make_stack: MakeStack, tmp_path: Path) -> None:
    """A test that finds nothing must be known to look."""
    app = App(outdir=str(tmp_path), context=flags())
    Validations.of(app).add_plugins(AwsSolutionsChecks())
    stack = make_stack(app)
    stack.exporter.exporter.role.add_to_policy(
        iam.PolicyStatement(actions=["s3:*"], resources=[stack.exporter.data.arn])
    )
    with pytest.raises(RuntimeError, match=r"AwsSolutions-IAM5\[Action::s3:\*\]"):
        app.synth()
