"""Says why a finding of cdk-nag's AwsSolutions pack is accepted, beside the thing it is about."""

import json

from aws_cdk import Acknowledgment, Stack, Validations
from constructs import IConstruct


def accept(construct: IConstruct, rule: str, reason: str) -> None:
    """Accept one finding on a construct and what is in it; the reason is for an auditor."""
    Validations.of(construct).acknowledge(Acknowledgment(id=rule, reason=reason))


def accept_wildcard(construct: IConstruct, resource: str, reason: str) -> None:
    """Accept a `*` within one resource of a policy: any other stays a finding."""
    finding = _as_cdk_nag_writes(Stack.of(construct).resolve(resource))
    accept(construct, f"AwsSolutions-IAM5[Resource::{finding}]", reason)


def _as_cdk_nag_writes(value: object) -> str:
    """cdk-nag's own spelling of an ARN with references in it: `<Bucket.Arn>/k8s/*`."""
    match value:
        case str():
            return value
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
        case {"Fn::Join": [separator, list(parts)]}:
            return str(separator).join(map(_as_cdk_nag_writes, parts))
    return json.dumps(value, separators=(",", ":"))
