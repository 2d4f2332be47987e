"""Who may query a workspace of Amazon Managed Service for Prometheus."""

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import IConstruct

from ..deployment.workspace import Workspace

# Range and instant queries, and the values of the cluster label: the exporter needs nothing else.
ACTIONS = ["aps:QueryMetrics", "aps:GetLabels"]


def query_statement(scope: IConstruct, workspace: Workspace) -> iam.PolicyStatement:
    """What a function's role needs to query it."""
    if workspace.role_arn:
        return iam.PolicyStatement(
            sid="AssumeQueryRole", actions=["sts:AssumeRole"], resources=[workspace.role_arn]
        )
    stack = Stack.of(scope)
    arn = (
        f"arn:{stack.partition}:aps:{workspace.region}:{stack.account}:"
        f"workspace/{workspace.workspace_id}"
    )
    return iam.PolicyStatement(sid="QueryWorkspace", actions=ACTIONS, resources=[arn])
