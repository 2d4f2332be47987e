"""Amazon Managed Service for Prometheus: which workspace the settings name."""

import re
from dataclasses import dataclass

from mimir_exporter.settings.settings import Settings

from ..errors import WORKSPACE_NOT_NAMED


@dataclass(frozen=True)
class Workspace:
    """What the functions query with SigV4: a workspace of this account, or another by a role.

    Exactly one of `workspace_id` and `role_arn` is set.
    """

    region: str
    workspace_id: str = ""
    role_arn: str = ""


def workspace_of(settings: Settings) -> Workspace | None:
    """None without SigV4. Raises DeploymentError."""
    if not settings.sigv4_region:
        return None
    if settings.sigv4_role_arn:
        return Workspace(settings.sigv4_region, role_arn=settings.sigv4_role_arn)
    found = re.fullmatch(r"/workspaces/(ws-[0-9a-f-]+)", settings.path_prefix)
    if found is None:
        raise WORKSPACE_NOT_NAMED(path_prefix=settings.path_prefix)
    return Workspace(settings.sigv4_region, workspace_id=found[1])
