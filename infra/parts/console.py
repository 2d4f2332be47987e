"""Pages of the AWS console."""

from aws_cdk import Stack
from constructs import IConstruct


def console_page(scope: IConstruct, service: str, fragment: str) -> str:
    """A page of a service's console, in the stack's region. `fragment` needs no escaping."""
    region = Stack.of(scope).region
    return f"https://{region}.console.aws.amazon.com/{service}/home?region={region}#{fragment}"
