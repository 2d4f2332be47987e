"""Where the files go, and the right to write them there."""

from collections.abc import Sequence

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from .nag import accept, accept_wildcard

# Kept when the stack goes, but not by a first deployment that is rolled back: the next attempt
# would make another, and the first would be forgotten.
KEEP_FILES = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE


class DataBucket(Construct):
    """An existing bucket, or one made here that outlives the stack."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        bucket: s3.IBucket | None,
        prefix: str,
        role_arn: str,
        key: kms.IKey | None,
    ) -> None:
        """Without `bucket` one is made. With `role_arn` that role has the rights.

        `key` encrypts the bucket that is made, or an existing one that does not know its key.
        """
        super().__init__(scope, construct_id)
        self.prefix = prefix
        self._role_arn = role_arn
        self.bucket = bucket or self._make_bucket(key)
        self._key = key or self.bucket.encryption_key
        self.name = self.bucket.bucket_name
        self.arn = self.bucket.bucket_arn
        self.files_arn = f"{self.arn}/{prefix}/*"

    def _make_bucket(self, key: kms.IKey | None) -> s3.Bucket:
        # Not versioned: a file's content follows from its window, the exporter never replaces a
        # file by one with fewer samples, and old versions would outlive RETENTION_DAYS.
        bucket = s3.Bucket(
            self,
            "Bucket",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=key,
            # Twenty small files a window and cluster: one request of KMS each would cost more
            # than the files.
            bucket_key_enabled=True if key else None,
            enforce_ssl=True,
            removal_policy=KEEP_FILES,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="AbortUnfinishedUploads",
                    abort_incomplete_multipart_upload_after=Duration.days(7),
                )
            ],
        )
        # What is kept stays closed to plain HTTP.
        assert bucket.policy is not None  # noqa: S101 - `enforce_ssl` makes one
        bucket.policy.apply_removal_policy(KEEP_FILES)
        accept(
            bucket,
            "AwsSolutions-S1",
            "Access logs need a second bucket and are the account's choice, for example with "
            "CloudTrail data events; the exporter's own log names every object that it writes.",
        )
        return bucket

    def statements(self) -> list[iam.PolicyStatement]:
        """The exporter's documented policy on the bucket."""
        return [
            iam.PolicyStatement(
                sid="FinoutBucketPermissions",
                actions=["s3:ListBucket"],
                resources=[self.arn],
                conditions={
                    "StringEquals": {"s3:delimiter": "/"},
                    "StringLike": {"s3:prefix": f"{self.prefix}*"},
                },
            ),
            iam.PolicyStatement(
                sid="FinoutMetricFilesPermissions",
                actions=["s3:PutObject", "s3:GetObject", "s3:DeleteObject"],
                resources=[self.files_arn],
            ),
        ]

    def grant(self, role: iam.Role) -> None:
        """Give a function's role the documented policy, or the way to the role that has it."""
        if self._role_arn:
            self._grant_assume(role)
            return
        for statement in self.statements():
            role.add_to_policy(statement)
        accept_wildcard(
            role,
            self.files_arn,
            "The files' keys follow from clusters, months and metrics, all below this.",
        )
        self._grant_key(role, "kms:GenerateDataKey", "kms:Decrypt")

    def grant_read_object(self, role: iam.Role, key: str) -> None:
        """Let a function's role read one object, and see whether it is there."""
        if self._role_arn:
            self._grant_assume(role)
            return
        role.add_to_policy(
            iam.PolicyStatement(
                sid="ReadOneObject", actions=["s3:GetObject"], resources=[f"{self.arn}/{key}"]
            )
        )
        # Without it S3 answers 403 for what is not there yet, as if it were forbidden.
        role.add_to_policy(
            iam.PolicyStatement(
                sid="SeeOneObject",
                actions=["s3:ListBucket"],
                resources=[self.arn],
                conditions={"StringEquals": {"s3:delimiter": "/", "s3:prefix": key}},
            )
        )
        self._grant_key(role, "kms:Decrypt")

    def grant_read_files(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let anybody read and list what is under the prefix, and nothing else."""
        files = self._grant(grantee, ["s3:GetObject"], self.files_arn)
        listing = self._grant(
            grantee,
            ["s3:ListBucket"],
            self.arn,
            # With the slash, as another prefix may begin with the same letters.
            {"StringLike": {"s3:prefix": [self.prefix, f"{self.prefix}/*"]}},
        )
        region = self._grant(grantee, ["s3:GetBucketLocation"], self.arn)
        grant = files.combine(listing).combine(region)
        if self._key is not None:
            key = self._grant(grantee, ["kms:Decrypt"], self._key.key_arn, self._through_s3())
            grant = grant.combine(key)
        return grant

    def _grant(
        self,
        grantee: iam.IGrantable,
        actions: Sequence[str],
        resource: str,
        conditions: dict[str, dict[str, object]] | None = None,
    ) -> iam.Grant:
        return iam.Grant.add_to_principal(
            grantee=grantee,
            actions=list(actions),
            resource_arns=[resource],
            conditions=conditions,
        )

    def _grant_key(self, role: iam.Role, *actions: str) -> None:
        """Let a role use the bucket's key, through S3 alone, where the bucket has one."""
        if self._key is None:
            return
        role.add_to_policy(
            iam.PolicyStatement(
                sid="UseBucketKey",
                actions=list(actions),
                resources=[self._key.key_arn],
                conditions=self._through_s3(),
            )
        )

    def _through_s3(self) -> dict[str, dict[str, object]]:
        via = f"s3.{Stack.of(self).region}.{Stack.of(self).url_suffix}"
        return {"StringEquals": {"kms:ViaService": via}}

    def _grant_assume(self, role: iam.Role) -> None:
        role.add_to_policy(
            iam.PolicyStatement(
                sid="AssumeBucketRole", actions=["sts:AssumeRole"], resources=[self._role_arn]
            )
        )
