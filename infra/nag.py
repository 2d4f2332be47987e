"""Says why a finding of cdk-nag's AwsSolutions pack is accepted, beside the thing it is about."""

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct


def accept(construct: IConstruct, rule: str, reason: str) -> None:
    """Accept one finding on a construct and what is in it; the reason is for an auditor."""
    Validations.of(construct).acknowledge(Acknowledgment(id=rule, reason=reason))
