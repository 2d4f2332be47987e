"""Amazon Managed Service for Prometheus: who may query the workspace."""

import re
from dataclasses import dataclass

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import IConstruct

from mimir_exporter.settings.settings import Settings

# Range and instant queries, and the values of the cluster label: the exporter asks nothing else.
ACTIONS = ["aps:QueryMetrics", "aps:GetLabels"]


class WorkspaceError(ValueError):
    """The settings do not name the workspace to query. str() is one sentence."""


@dataclass(frozen=True)
class Workspace:
    """What the functions query with SigV4: a workspace of this account, or another by a role.

    Exactly one of `workspace_id` and `role_arn` is set.
    """

    region: str
    workspace_id: str = ""
    role_arn: str = ""

    @classmethod
    def of(cls, settings: Settings) -> "Workspace | None":
        """None without SigV4. Raises WorkspaceError."""
        if not settings.sigv4_region:
            return None
        if settings.sigv4_role_arn:
            return cls(settings.sigv4_region, role_arn=settings.sigv4_role_arn)
        found = re.fullmatch(r"/workspaces/(ws-[0-9a-f-]+)", settings.path_prefix)
        if found is None:
            raise WorkspaceError(
                f"sigv4_region is set but path_prefix is {settings.path_prefix!r}; give the "
                "workspace's path such as workspaces/ws-12345678-1234-1234-1234-123456789012, or "
                "sigv4_role_arn with a role that may query it."
            )
        return cls(settings.sigv4_region, workspace_id=found[1])

    def statement(self, scope: IConstruct) -> iam.PolicyStatement:
        """What a function's role needs to query it."""
        if self.role_arn:
            return iam.PolicyStatement(
                sid="AssumeQueryRole", actions=["sts:AssumeRole"], resources=[self.role_arn]
            )
        stack = Stack.of(scope)
        arn = (
            f"arn:{stack.partition}:aps:{self.region}:{stack.account}:workspace/{self.workspace_id}"
        )
        return iam.PolicyStatement(sid="QueryWorkspace", actions=ACTIONS, resources=[arn])
