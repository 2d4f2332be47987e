"""Errors of the bucket, of a local folder in its place, and of the role for the bucket."""

from . import CheckpointError, ConditionFailedError, ErrorKind, QueryError, StopRunError

OBJECT_CHANGED = ErrorKind(
    "object_changed",
    ConditionFailedError,
    "Another process wrote or deleted {where}",
    "no action needed: the write is decided anew",
)
OBJECT_NOT_FOUND = ErrorKind(
    "object_not_found",
    StopRunError,
    "{where} does not exist",
    "no action needed: it is written anew",
)
FILE_CONFLICTS = ErrorKind(
    "file_conflicts",
    CheckpointError,
    "{count} write conflicts while writing {key}",
    "check that no other exporter writes the same clusters under the same S3_PREFIX",
)
MANIFEST_UNREADABLE = ErrorKind(
    "manifest_unreadable",
    QueryError,
    "Invalid manifest {where}",
    "restore it from an older version of the object; if there is none, delete it and reexport the "
    "window: the next export lists its files anew",
)
MANIFEST_TOO_NEW = ErrorKind(
    "manifest_too_new",
    QueryError,
    "The manifest {where} has schema version {version}, and this exporter supports up to {known}",
    "deploy the newer exporter that wrote it again",
)
RECEIPT_UNREADABLE = ErrorKind(
    "receipt_unreadable",
    QueryError,
    "Invalid receipt {where}",
    "no action needed: the next run that changes one of its days writes it anew",
)
RECEIPT_CONFLICTS = ErrorKind(
    "receipt_conflicts",
    StopRunError,
    "{count} write conflicts while writing the receipt {key}",
    "no action needed: the next run writes it",
    "another exporter with the same S3_PREFIX and CLUSTER_NAME is at work",
)
S3_ACCESS_DENIED = ErrorKind(
    "s3_access_denied",
    StopRunError,
    "S3 denied access to {verb} {where}",
    "check that {who} has the exporter's bucket policy for this bucket and prefix, and that the "
    "bucket's own policy and its KMS key allow it",
    "the role, the bucket's own policy, or its KMS key: [permissions](permissions.md)",
)
S3_DENIED_BY_BUCKET_POLICY = ErrorKind(
    "s3_denied_by_bucket_policy",
    StopRunError,
    "The bucket's own policy forbids {who} to {verb} {where}",
    "change the statement with Deny that applies to it; where that demands an encryption header, "
    "set s3_kms_key_arn to the key; where it demands a VPC endpoint, let the function use that one",
    "a Deny of another VPC, of another organization, or of what is not encrypted by a certain key",
)
S3_DENIED_BY_ENDPOINT_POLICY = ErrorKind(
    "s3_denied_by_endpoint_policy",
    StopRunError,
    "The policy of the VPC endpoint does not let {who} {verb} {where}",
    "allow it in the policy of the gateway endpoint for S3 in the function's VPC",
    "the endpoint's policy names certain buckets, or certain accounts",
)
S3_DENIED_BY_ORGANIZATION = ErrorKind(
    "s3_denied_by_organization",
    StopRunError,
    "A policy of the organization, or a permissions boundary, forbids {who} to {verb} {where}",
    "ask whoever has the service control policies, the resource control policies and the "
    "permissions boundaries of the account",
)
S3_KEY_DENIED = ErrorKind(
    "s3_key_denied",
    StopRunError,
    "KMS denied {who} the use of the bucket's key to {verb} {where}",
    "set s3_kms_key_arn to the key, and allow the role kms:GenerateDataKey and kms:Decrypt in the "
    "key's own policy",
    "the bucket is encrypted by a key of its own, which may be another account's",
)
S3_KEY_UNUSABLE = ErrorKind(
    "s3_key_unusable",
    StopRunError,
    "The KMS key of the bucket cannot be used to {verb} {where}",
    "enable the key, cancel its deletion, or set s3_kms_key_arn and the bucket's default "
    "encryption to another one",
    "the key is disabled, about to be deleted, or in another region",
)
S3_QUOTA_EXCEEDED = ErrorKind(
    "s3_quota_exceeded",
    StopRunError,
    "The quota of the bucket is used up: it did not {verb} {where}",
    "raise the quota, or set a smaller RETENTION_DAYS",
    "a store with quotas of buckets or users, such as Ceph or MinIO",
)
S3_CREDENTIALS_EXPIRED = ErrorKind(
    "s3_credentials_expired",
    StopRunError,
    "The AWS credentials have expired: S3 did not {verb} {where}",
    "no action needed in the function: the next run has fresh ones; on a machine of your own, sign "
    "in again",
)
S3_CREDENTIALS_REFUSED = ErrorKind(
    "s3_credentials_refused",
    StopRunError,
    "S3 does not accept the AWS credentials to {verb} {where}",
    "check the access key, its secret and AWS_ENDPOINT_URL, and that the clock is right",
    "keys of another store or account, or a proxy that changes requests",
)
S3_UNREACHABLE = ErrorKind(
    "s3_unreachable",
    StopRunError,
    "Cannot connect to S3 to {verb} {where}",
    "check that the function's subnets have a route to S3, such as a gateway endpoint",
)
S3_CONNECTION_LOST = ErrorKind(
    "s3_connection_lost",
    StopRunError,
    "The connection to S3 broke off during the request to {verb} {where}",
    "check that the function's subnets have a route to S3, such as a gateway endpoint; if it "
    "passes, the next run continues",
)
S3_TIMED_OUT = ErrorKind(
    "s3_timed_out",
    StopRunError,
    "S3 accepted the connection and timed out on the request to {verb} {where}",
    "check the path from the function's subnets to S3: a proxy, a firewall, or a link that drops "
    "large packets",
    "something between the subnets and S3 drops what follows the connection: a proxy, a firewall, "
    "or the MTU of a transit gateway or VPN",
)
S3_INVALID_ANSWER = ErrorKind(
    "s3_invalid_answer",
    StopRunError,
    "Invalid or truncated S3 response to the request to {verb} {where}",
    "no action needed: retried at the next run; if it persists, check the proxy in front of S3",
)
S3_BUSY = ErrorKind(
    "s3_busy",
    StopRunError,
    "S3 is temporarily unavailable and did not {verb} {where} after several tries",
    "no action needed: retried at the next run",
)
S3_ERROR = ErrorKind(
    "s3_error",
    StopRunError,
    "S3 failed to {verb} {where}",
    "see the meaning of the error code in the documentation of S3",
)
BUCKET_NOT_FOUND = ErrorKind(
    "bucket_not_found",
    StopRunError,
    "The bucket {bucket} does not exist",
    "check S3_BUCKET (the name alone, without s3://), or create the bucket",
)
BUCKET_IN_OTHER_REGION = ErrorKind(
    "bucket_in_other_region",
    StopRunError,
    "The bucket {bucket} is in another region",
    "deploy the stack in the bucket's region",
)
CLOCK_SKEW = ErrorKind(
    "clock_skew",
    StopRunError,
    "Clock skew {seconds:.0f} s against S3: this machine has {here}, S3 has {there}",
    "synchronize the clock (NTP); nothing more was exported or deleted",
    "the clock of this machine or of the store is wrong",
)
CLOCK_REFUSED = ErrorKind(
    "clock_refused",
    StopRunError,
    "S3 rejected the request to {verb} {where} because of clock skew",
    "synchronize the clock (NTP); nothing more was exported or deleted",
)
ROLE_NOT_ASSUMED = ErrorKind(
    "role_not_assumed",
    StopRunError,
    "Cannot assume the role {arn}",
    "check ROLE_ARN, ROLE_EXTERNAL_ID, the role's trust policy and that the VPC has an endpoint "
    "for STS",
    "trust policy, external id, or no endpoint for STS: [permissions](permissions.md)",
)
NO_CONDITIONAL_WRITES = ErrorKind(
    "no_conditional_writes",
    StopRunError,
    "The bucket overwrote an object in spite of If-None-Match",
    "use S3, or a store with its conditional writes: without them two runs at once can lose each "
    "other's progress",
)
NO_CONDITIONAL_DELETES = ErrorKind(
    "no_conditional_deletes",
    StopRunError,
    "The bucket deleted an object in spite of If-Match with another ETag",
    "use S3, or a store with its conditional deletes; else let nothing but this exporter write "
    "under S3_PREFIX: a file that something else replaces at the same moment may be deleted",
)
NOT_CONSISTENT = ErrorKind(
    "not_consistent",
    StopRunError,
    "{where} was not found right after it was written",
    "use a store that is consistent, as S3 is",
)

# A folder of this machine.
FOLDER_ERROR = ErrorKind(
    "folder_error",
    StopRunError,
    "Cannot {verb} {path}",
    "check that the folder is writable, that its disk is not full, and that no name is too long",
)
INVALID_FOLDER_PATH = ErrorKind(
    "invalid_folder_path",
    StopRunError,
    "Invalid path {key!r} in {root}",
    "check S3_PREFIX, which must not begin with {reserved}",
)
CASE_INSENSITIVE_FOLDER = ErrorKind(
    "case_insensitive_folder",
    StopRunError,
    "{root} is on a case-insensitive file system: {name} and {key} collide",
    "use a folder on a case-sensitive file system",
)
