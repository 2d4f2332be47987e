"""The role through which the cost platform reads the files."""

from aws_cdk import aws_iam as iam
from constructs import Construct

from .bucket import DataBucket
from .nag import accept_wildcard


class ReaderRole(Construct):
    """May read what lies under the exporter's prefix, and list it, in this bucket alone."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        principal: str,
        external_id: str,
        bucket: DataBucket,
    ) -> None:
        """`principal`, an account's 12 digits or a role's ARN, has to say `external_id`."""
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
        self._grant(bucket)

    def _grant(self, bucket: DataBucket) -> None:
        self.role.add_to_policy(
            iam.PolicyStatement(
                sid="ReadFiles", actions=["s3:GetObject"], resources=[bucket.files_arn]
            )
        )
        self.role.add_to_policy(
            iam.PolicyStatement(
                sid="ListFiles",
                actions=["s3:ListBucket"],
                resources=[bucket.arn],
                # With the slash, as another prefix may begin with the same letters.
                conditions={
                    "StringLike": {"s3:prefix": [bucket.prefix, f"{bucket.prefix}/*"]},
                },
            )
        )
        self.role.add_to_policy(
            iam.PolicyStatement(
                sid="AskForRegion", actions=["s3:GetBucketLocation"], resources=[bucket.arn]
            )
        )
        bucket.grant_key(self.role, "kms:Decrypt")
        accept_wildcard(
            self.role, bucket.files_arn, "The files' keys follow from clusters, months and metrics."
        )
