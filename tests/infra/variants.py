"""Deployments that differ in what the stack makes: every setting that adds or removes a resource
or a right is in one of them."""

WRITER = "arn:aws:iam::123456789012:role/writer"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/12345678-1234-1234-1234-123456789012"
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:mimir-AbCdEf"
SUBNETS = "subnet-0123456789abcdef0,subnet-0123456789abcdef1"

VARIANTS: dict[str, dict[str, object]] = {
    "a made VPC, as cdk.json has it": {},
    "no VPC, no credentials": {
        "vpc_id": "none",
        "auth_secret_arn": "none",
        "s3_bucket": "costs",
        "dashboard": False,
        "saved_queries": False,
        "schedule_enabled": False,
    },
    "an existing VPC with account and region": {
        "account": "123456789012",
        "region": "eu-central-1",
        "vpc_id": "vpc-0123456789abcdef0",
        "subnet_ids": SUBNETS,
        "mimir_cidrs": "10.1.0.0/16",
        "dns_servers": "10.0.0.2,10.0.0.3",
        "ipv6": True,
    },
    "a role in another account, everything exists": {
        "vpc_id": "vpc-0123456789abcdef0",
        "subnet_ids": SUBNETS,
        "security_group_id": "sg-0123456789abcdef0",
        "s3_bucket": "elsewhere",
        "role_arn": WRITER,
        "role_external_id": "abc",
        "auth_secret_arn": SECRET,
        "auth_secret_kms_key_arn": KEY,
        "alarm_topic_arn": "arn:aws:sns:eu-central-1:123456789012:oncall",
    },
    "a role in another account, from a made VPC": {
        "vpc_endpoint_zones": 2,
        "s3_bucket": "elsewhere",
        "role_arn": WRITER,
        "role_external_id": "abc",
    },
    "SigV4 with alarms by mail": {
        "sigv4_region": "eu-central-1",
        "path_prefix": "workspaces/ws-12345678-1234-1234-1234-123456789012",
        "auth_secret_arn": "none",
        "alarm_email": "oncall@example.com",
    },
    "SigV4 by a role": {
        "vpc_id": "none",
        "sigv4_region": "us-east-1",
        "sigv4_role_arn": "arn:aws:iam::210987654321:role/query",
        "auth_secret_arn": "none",
    },
    "a bucket with a key, and a reader": {
        "vpc_id": "none",
        "s3_bucket": "costs",
        "s3_kms_key_arn": KEY,
        "reader_principal_arn": "123456789012",
        "reader_external_id": "abc",
    },
    "a reader's role": {
        "vpc_id": "none",
        "reader_principal_arn": "arn:aws:iam::210987654321:role/reader",
        "reader_external_id": "abc",
    },
}
