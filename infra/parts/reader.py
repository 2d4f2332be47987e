"""The role through which the cost platform reads the files."""

from aws_cdk import aws_iam as iam
from constructs import Construct

from .bucket import DataBucket
from .nag import accept_wildcard


class ReaderRole(Construct):
    """May read what is under the exporter's prefix, and list it, in this bucket alone."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        principal: str,
        external_id: str,
        bucket: DataBucket,
    ) -> None:
        """`principal`, an account's 12 digits or a role's ARN, has to give `external_id`."""
        super().__init__(scope, construct_id)
        who: iam.PrincipalBase = (
            iam.AccountPrincipal(principal) if principal.isdigit() else iam.ArnPrincipal(principal)
        )
        self.role = iam.Role(
            self,
            "Role",
            description=f"Reads s3://{bucket.name}/{bucket.prefix}/ for the cost platform",
            assumed_by=who,
            external_ids=[external_id],
        )
        bucket.grant_read_files(self.role)
        accept_wildcard(
            self.role, bucket.files_arn, "The files' keys follow from clusters, months and metrics."
        )
