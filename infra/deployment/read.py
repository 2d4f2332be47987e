"""The CDK context -> one checked deployment.

Settings that reach the function are checked by the function's own code, so that what synth lets
pass, the function can start with.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mimir_exporter.errors import SettingsError
from mimir_exporter.settings.rows import Place, read_table
from mimir_exporter.settings.settings import Settings

from ..errors import (
    CONFLICTING_DEPLOYMENT_SETTINGS,
    EMPTY_DEPLOYMENT_SETTING,
    VPC_LOOKUP_NEEDED,
    DeploymentError,
)
from .certificates import CA_BUNDLE_FILE, read_ca_bundle
from .context import Context
from .environment import LATER, read_environment
from .fit import check_ipv6, choose_lag_s
from .shipped_files import read_catalog_file
from .table import BY_KEY, PASSED_ON, SECRET_KEYS, DeploymentSettings
from .workspace import workspace_of


@dataclass(frozen=True)
class Deployment:
    """Everything that `cdk deploy` needs to know, checked.

    `account` and `region` are "" where the template is to fit any. `bucket_name` and `secret_arn`
    are None where the stack makes the thing itself; `has_secret` is False where Mimir takes none.
    `vpc_id` is "new", "none" or an existing VPC's id. Of `alarm_email` and `alarm_topic_arn` at
    most one is set; `reader_principal` and `reader_external_id` are both set
    or both "". `ca_bundle` is PEM text, or ""; `catalog` is the name of a set that ships, or the
    text of a file.
    """

    stack_name: str
    account: str
    region: str
    cli_credentials: bool
    vpc_id: str
    subnet_ids: tuple[str, ...]
    security_group_id: str
    vpc_cidr: str
    vpc_endpoint_zones: int
    mimir_cidrs: tuple[str, ...]
    dns_servers: tuple[str, ...]
    ipv6: bool
    bucket_name: str | None
    bucket_kms_key_arn: str
    has_secret: bool
    secret_arn: str | None
    secret_kms_key_arn: str
    memory_mb: int
    ephemeral_storage_mb: int
    timeout_s: int
    architecture: str
    python_version: str
    schedule_minutes: int
    schedule_enabled: bool
    backfill_concurrency: int
    log_level: str
    log_retention_days: int
    alarm_email: str
    alarm_topic_arn: str
    alarm_lag_s: int
    ca_bundle: str
    catalog: str
    dashboard: bool
    saved_queries: bool
    reader_principal: str
    reader_external_id: str
    environment: Mapping[str, str]
    settings: Settings

    @property
    def needs_lookup(self) -> bool:
        """Whether synth has to ask AWS which subnets the VPC has."""
        return _is_looked_up(self.vpc_id, self.subnet_ids)


def _is_looked_up(vpc_id: str, subnet_ids: tuple[str, ...]) -> bool:
    return vpc_id.startswith("vpc-") and not subnet_ids


def read_deployment(values: Mapping[str, object], environ: Mapping[str, str]) -> Deployment:
    """Read and check the whole context.

    `environ` is synth's own environment, in which the CDK CLI says what account and region its
    credentials belong to. Raises DeploymentError.
    """
    context = Context(values)
    context.refuse_unknown(BY_KEY, SECRET_KEYS)
    _refuse_empty(context)
    given = _read_own(context)
    ca_bundle, catalog = read_ca_bundle(given.ca_bundle), read_catalog_file(given.catalog)
    bucket_name = None if given.s3_bucket == "new" else given.s3_bucket
    has_secret = given.auth_secret_arn != "none"  # noqa: S105 - no secret, a word
    secret_arn = None if given.auth_secret_arn in ("new", "none") else given.auth_secret_arn
    _check_secret(given, context)
    environment = read_environment(
        {key: values.get(key) for key in PASSED_ON},
        bucket_name=bucket_name or LATER,
        secret_arn=(secret_arn or LATER) if has_secret else "",
        ca_bundle_file=CA_BUNDLE_FILE if ca_bundle else "",
        catalog=catalog,
    )
    settings = environment.settings
    workspace_of(settings)
    _check_bucket(given, settings)
    _check_reader(given, settings)
    _check_alarm_target(given)
    _check_vpc(given, settings)
    account, region = given.account, given.region
    if _is_looked_up(given.vpc_id, given.subnet_ids):
        account = account or environ.get("CDK_DEFAULT_ACCOUNT", "")
        region = region or environ.get("CDK_DEFAULT_REGION", "")
    deployment = Deployment(
        stack_name=given.stack_name,
        account=account,
        region=region,
        cli_credentials=given.cli_credentials,
        vpc_id=given.vpc_id,
        subnet_ids=given.subnet_ids,
        security_group_id=given.security_group_id,
        vpc_cidr=given.vpc_cidr,
        vpc_endpoint_zones=given.vpc_endpoint_zones,
        mimir_cidrs=given.mimir_cidrs,
        dns_servers=given.dns_servers,
        ipv6=given.ipv6,
        bucket_name=bucket_name,
        bucket_kms_key_arn=given.s3_kms_key_arn,
        has_secret=has_secret,
        secret_arn=secret_arn,
        secret_kms_key_arn=given.auth_secret_kms_key_arn,
        memory_mb=given.memory_mb,
        ephemeral_storage_mb=given.ephemeral_storage_mb,
        timeout_s=given.timeout_s,
        architecture=given.architecture,
        python_version=given.python_version,
        schedule_minutes=given.schedule_minutes,
        schedule_enabled=given.schedule_enabled,
        backfill_concurrency=given.backfill_concurrency,
        log_level=given.log_level,
        log_retention_days=int(given.log_retention_days),
        alarm_email=given.alarm_email,
        alarm_topic_arn=given.alarm_topic_arn,
        alarm_lag_s=choose_lag_s(settings, given.schedule_minutes * 60, given.alarm_lag_s),
        ca_bundle=ca_bundle,
        catalog=catalog,
        dashboard=given.dashboard,
        saved_queries=given.saved_queries,
        reader_principal=given.reader_principal,
        reader_external_id=given.reader_external_id,
        environment=environment.variables,
        settings=settings,
    )
    if deployment.needs_lookup and not (deployment.account and deployment.region):
        raise VPC_LOOKUP_NEEDED(vpc_id=deployment.vpc_id)
    return deployment


def _refuse_empty(context: Context) -> None:
    """Where the deployment's default makes something, or names a place, an empty value is more
    likely a variable of the shell that is not set than the wish for the default."""
    for row in BY_KEY.values():
        own_default = row.place is Place.DEPLOYMENT or row.deployed != row.default
        if own_default and row.deployed and context.is_empty(row.key):
            raise EMPTY_DEPLOYMENT_SETTING(name=row.key, default=row.deployed)


def _read_own(context: Context) -> DeploymentSettings:
    try:
        return read_table(DeploymentSettings, lambda row: context.text(row.key), deployment=True)
    except SettingsError as error:
        raise DeploymentError(error.details) from error


def _check_bucket(given: DeploymentSettings, settings: Settings) -> None:
    if given.s3_bucket == "new" and settings.role_arn:
        raise CONFLICTING_DEPLOYMENT_SETTINGS(
            problem="s3_bucket is 'new' but role_arn is set",
            change="with a role the bucket belongs to another account, so give its name",
        )
    if given.s3_kms_key_arn and given.s3_bucket == "new":
        raise CONFLICTING_DEPLOYMENT_SETTINGS(
            problem="s3_kms_key_arn is set but s3_bucket is 'new'",
            change="give the name of the bucket with that key; S3 encrypts the stack's own",
        )
    if given.s3_kms_key_arn and settings.role_arn:
        raise CONFLICTING_DEPLOYMENT_SETTINGS(
            problem="s3_kms_key_arn and role_arn are set",
            change="leave s3_kms_key_arn out; the role's own account grants it the key",
        )


def _check_secret(given: DeploymentSettings, context: Context) -> None:
    if given.auth_secret_arn == "none" and context.text("prometheus_username"):  # noqa: S105 - a word
        raise CONFLICTING_DEPLOYMENT_SETTINGS(
            problem="prometheus_username is set but auth_secret_arn is 'none'",
            change="set auth_secret_arn to 'new' or a secret's ARN; the password belongs there",
        )


def _check_reader(given: DeploymentSettings, settings: Settings) -> None:
    """Who may assume the role that reads the files, and the external id they have to say."""
    pair = {
        "reader_principal_arn": given.reader_principal,
        "reader_external_id": given.reader_external_id,
    }
    for name, value in pair.items():
        if not value and any(pair.values()):
            other = next(key for key in pair if key != name)
            raise CONFLICTING_DEPLOYMENT_SETTINGS(
                problem=f"{other} is set but {name} is not",
                change="set both, as the cost platform's console shows them: without an external "
                "id its other customers could use the role",
            )
    if given.reader_principal and settings.role_arn:
        raise CONFLICTING_DEPLOYMENT_SETTINGS(
            problem="reader_principal_arn is set with role_arn",
            change="let the bucket's own account make the role that reads it",
        )


def _check_alarm_target(given: DeploymentSettings) -> None:
    """An address for the topic that the stack makes, or a topic that exists."""
    if given.alarm_email and given.alarm_topic_arn:
        raise CONFLICTING_DEPLOYMENT_SETTINGS(
            problem="alarm_email and alarm_topic_arn are both set",
            change="an existing topic has subscribers of its own, so set one of them",
        )


def _check_vpc(given: DeploymentSettings, settings: Settings) -> None:
    if not given.vpc_id.startswith("vpc-") and (given.subnet_ids or given.security_group_id):
        raise CONFLICTING_DEPLOYMENT_SETTINGS(
            problem=f"vpc_id is {given.vpc_id!r} but subnet_ids or security_group_id is set",
            change="these belong to an existing VPC, so give its id",
        )
    made_group = given.vpc_id != "none" and not given.security_group_id
    for name, value in {"mimir_cidrs": given.mimir_cidrs, "dns_servers": given.dns_servers}.items():
        if value and not made_group:
            raise CONFLICTING_DEPLOYMENT_SETTINGS(
                problem=f"{name} is set, but no security group is made",
                change="leave it out, and add the rule to the group of your own, if there is one",
            )
    check_ipv6(settings.hostname, ipv6=given.ipv6, in_existing_vpc=given.vpc_id.startswith("vpc-"))
