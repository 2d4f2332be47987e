"""Where the files go, and the right to write them there."""

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from .nag import accept, accept_wildcard

# Kept when the stack goes, but not by a first deployment that is rolled back: the next attempt
# would make another, and the first would be forgotten.
KEEP_FILES = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE


class DataBucket(Construct):
    """An existing bucket by name, or one made here that outlives the stack."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        bucket_name: str | None,
        prefix: str,
        role_arn: str,
        kms_key_arn: str,
    ) -> None:
        """Without `bucket_name` a bucket is made. With `role_arn` that role has the rights.

        `kms_key_arn` is the key by which an existing bucket encrypts, or "" for S3's own.
        """
        super().__init__(scope, construct_id)
        self.prefix = prefix
        self._role_arn = role_arn
        self._kms_key_arn = kms_key_arn
        bucket: s3.IBucket = (
            self._make_bucket()
            if bucket_name is None
            else s3.Bucket.from_bucket_name(self, "Bucket", bucket_name)
        )
        self.name = bucket.bucket_name
        self.arn = bucket.bucket_arn
        self.files_arn = f"{self.arn}/{prefix}/*"

    def _make_bucket(self) -> s3.Bucket:
        # Not versioned: a file's content follows from its window, the exporter never replaces a
        # file by one with fewer samples, and old versions would outlive RETENTION_DAYS.
        bucket = s3.Bucket(
            self,
            "Bucket",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
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

    def grant(self, role: iam.Role) -> None:
        """Give a function's role the exporter's documented policy, or the way to who has it."""
        if self._role_arn:
            self._grant_assume(role)
            return
        role.add_to_policy(
            iam.PolicyStatement(
                sid="FinoutBucketPermissions",
                actions=["s3:ListBucket"],
                resources=[self.arn],
                conditions={
                    "StringEquals": {"s3:delimiter": "/"},
                    "StringLike": {"s3:prefix": f"{self.prefix}*"},
                },
            )
        )
        role.add_to_policy(
            iam.PolicyStatement(
                sid="FinoutMetricFilesPermissions",
                actions=["s3:PutObject", "s3:GetObject", "s3:DeleteObject"],
                resources=[self.files_arn],
            )
        )
        accept_wildcard(
            role,
            self.files_arn,
            "The files' keys follow from clusters, months and metrics, all below this.",
        )
        self.grant_key(role, "kms:GenerateDataKey", "kms:Decrypt")

    def grant_read(self, role: iam.Role, key: str) -> None:
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
        self.grant_key(role, "kms:Decrypt")

    def grant_key(self, role: iam.Role, *actions: str) -> None:
        """Let a role use the bucket's key, through S3 alone, where the bucket has one."""
        if not self._kms_key_arn:
            return
        via = f"s3.{Stack.of(self).region}.{Stack.of(self).url_suffix}"
        role.add_to_policy(
            iam.PolicyStatement(
                sid="UseBucketKey",
                actions=list(actions),
                resources=[self._kms_key_arn],
                conditions={"StringEquals": {"kms:ViaService": via}},
            )
        )

    def _grant_assume(self, role: iam.Role) -> None:
        role.add_to_policy(
            iam.PolicyStatement(
                sid="AssumeBucketRole", actions=["sts:AssumeRole"], resources=[self._role_arn]
            )
        )
