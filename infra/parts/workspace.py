"""Amazon Managed Service for Prometheus: who may query the workspace."""

import re

from aws_cdk import Stack
from aws_cdk import aws_iam as iam

from mimir_exporter.settings.settings import Settings

from ..deployment.context import DeploymentError

# Range and instant queries, and the values of the cluster label: the exporter asks nothing else.
ACTIONS = ["aps:QueryMetrics", "aps:GetLabels"]


def workspace_id(settings: Settings) -> str:
    """Of the workspace that the functions' own roles query; "" where they do not.

    Raises DeploymentError.
    """
    if not settings.sigv4_region or settings.sigv4_role_arn:
        return ""
    found = re.fullmatch(r"/workspaces/(ws-[0-9a-f-]+)", settings.path_prefix)
    if found is None:
        raise DeploymentError(
            f"sigv4_region is set but path_prefix is {settings.path_prefix!r}; give the "
            "workspace's path such as workspaces/ws-12345678-1234-1234-1234-123456789012, or "
            "sigv4_role_arn with a role that may query it."
        )
    return found[1]


def grant_queries(role: iam.Role, settings: Settings) -> None:
    """Let a function's role query the workspace, or assume who may; nothing without SigV4."""
    if settings.sigv4_role_arn:
        role.add_to_policy(
            iam.PolicyStatement(
                sid="AssumeQueryRole",
                actions=["sts:AssumeRole"],
                resources=[settings.sigv4_role_arn],
            )
        )
    elif settings.sigv4_region:
        stack = Stack.of(role)
        arn = (
            f"arn:{stack.partition}:aps:{settings.sigv4_region}:{stack.account}:"
            f"workspace/{workspace_id(settings)}"
        )
        role.add_to_policy(
            iam.PolicyStatement(sid="QueryWorkspace", actions=ACTIONS, resources=[arn])
        )
