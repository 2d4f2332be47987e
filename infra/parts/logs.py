"""Log groups that forget."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs
from constructs import Construct


def make_log_group(
    scope: Construct, construct_id: str, *, retention_days: int, name: str | None = None
) -> logs.LogGroup:
    """A log group that goes with the stack; without a name CloudFormation makes one up.

    `retention_days` is one of the numbers that CloudWatch Logs takes.
    """
    group = logs.LogGroup(
        scope, construct_id, log_group_name=name, removal_policy=RemovalPolicy.DESTROY
    )
    # The CDK has a word for each number; CloudFormation, and the setting, have the number.
    resource = group.node.default_child
    assert isinstance(resource, logs.CfnLogGroup)  # noqa: S101 - what an L2 group is made of
    resource.retention_in_days = retention_days
    return group
