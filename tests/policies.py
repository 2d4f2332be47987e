"""Policies as the tests write them, and the one that a bucket of another team needs.

The documented one is here a second time, by its description: what the stack grants is held
against it, not it against the stack.
"""

import json
from collections.abc import Mapping
from typing import Any

from localcloud.aws import ACCOUNT, Cloud

Statement = Mapping[str, Any]


def as_policy(*statements: Statement) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def documented(bucket: str, prefix: str) -> tuple[Statement, Statement]:
    """What the integration that this one replaces asks for, and no more."""
    return (
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": f"arn:aws:s3:::{bucket}",
            "Condition": {
                "StringEquals": {"s3:delimiter": "/"},
                "StringLike": {"s3:prefix": f"{prefix}*"},
            },
        },
        {
            "Effect": "Allow",
            "Action": ["s3:PutObject", "s3:GetObject", "s3:DeleteObject"],
            "Resource": f"arn:aws:s3:::{bucket}/{prefix}/*",
        },
    )


def make_writer(cloud: Cloud, bucket: str, prefix: str, external_id: str) -> str:
    """A role for the bucket, which the account may assume with the id; its ARN."""
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
    }
    iam: Any = cloud.session.client("iam", **cloud.where)
    role = iam.create_role(RoleName="writer", AssumeRolePolicyDocument=as_policy(trust))["Role"]
    iam.put_role_policy(
        RoleName="writer", PolicyName="own", PolicyDocument=as_policy(*documented(bucket, prefix))
    )
    arn: str = role["Arn"]
    return arn
