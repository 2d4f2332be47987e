"""Errors of a deployment's settings and of building the function's package."""

from mimir_exporter.errors import ErrorKind, ExportError, SettingsError


class DeploymentError(SettingsError):
    """A deployment setting cannot be used. No part ever holds a secret."""


class PackageError(ExportError):
    """The function's package could not be built."""


MISSING_DEPLOYMENT_SETTING = ErrorKind(
    "missing_deployment_setting",
    DeploymentError,
    "Missing {name}: {meaning}",
    "give it with -c {name}=…, or in cdk.json",
)
UNKNOWN_DEPLOYMENT_SETTING = ErrorKind(
    "unknown_deployment_setting",
    DeploymentError,
    "Unknown deployment setting {name}",
    "{hint}",
    "a typing error, or a setting of an older version",
)
SECRET_AS_SETTING = ErrorKind(
    "secret_as_setting",
    DeploymentError,
    "{name} is a secret",
    "store it in Secrets Manager as {variable}, with the command that the output SecretCommand "
    "shows after the deployment",
)
EMPTY_DEPLOYMENT_SETTING = ErrorKind(
    "empty_deployment_setting",
    DeploymentError,
    "Invalid {name} '': expected a value",
    "leave it out for the default, {default}",
    "a variable of the shell that is not set",
)
INVALID_DEPLOYMENT_VALUE = ErrorKind(
    "invalid_deployment_value",
    DeploymentError,
    "Invalid {name} {shown}: expected {expected}",
    "correct {name}",
)
CONFLICTING_DEPLOYMENT_SETTINGS = ErrorKind(
    "conflicting_deployment_settings",
    DeploymentError,
    "Conflicting deployment settings: {problem}",
    "{change}",
)
ENVIRONMENT_TOO_LARGE = ErrorKind(
    "environment_too_large",
    DeploymentError,
    "The settings take {size} bytes of the function's environment, of which Lambda leaves {limit}",
    "shorten extra_metrics",
)
VPC_LOOKUP_NEEDED = ErrorKind(
    "vpc_lookup_needed",
    DeploymentError,
    "The subnets of vpc_id {vpc_id!r} must be looked up, as subnet_ids is not set",
    "give subnet_ids, or account and region with credentials that may look",
)
NO_PRIVATE_SUBNET = ErrorKind(
    "no_private_subnet",
    DeploymentError,
    "In the VPC {vpc_id!r} no private subnet was found",
    "give subnet_ids or another VPC",
)
IPV6_HOST = ErrorKind(
    "ipv6_host",
    DeploymentError,
    "The hostname {host} is an IPv6 address",
    "set ipv6=true, in an existing VPC whose subnets have dual stack",
)
WORKSPACE_NOT_NAMED = ErrorKind(
    "workspace_not_named",
    DeploymentError,
    "The path_prefix {path_prefix!r} names no workspace, and sigv4_region is set",
    "give the workspace's path such as workspaces/ws-12345678-1234-1234-1234-123456789012, or "
    "sigv4_role_arn with a role that may query it",
)
PACKAGE_NOT_BUILT = ErrorKind(
    "package_not_built",
    PackageError,
    "The function's dependencies could not be installed from {requirements}",
    "check that PyPI or your mirror of it can be reached",
)
