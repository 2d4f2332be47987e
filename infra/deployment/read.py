"""The CDK context -> one checked deployment.

Settings that reach the function are checked by the function's own code, so that what synth lets
pass, the function can start with.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mimir_exporter.errors import SettingsError
from mimir_exporter.settings.rows import Place, read_table
from mimir_exporter.settings.settings import Settings

from ..parts.network import is_address
from ..parts.workspace import Workspace, WorkspaceError
from .certificates import CA_BUNDLE_FILE, read_ca_bundle
from .context import Context, DeploymentError
from .environment import LATER, read_environment
from .table import BY_KEY, PASSED_ON, SECRET_KEYS, DeploymentSettings


@dataclass(frozen=True)
class Deployment:
    """Everything that `cdk deploy` needs to know, checked.

    `account` and `region` are "" where the template is to fit any. `bucket_name` and `secret_arn`
    are None where the stack makes the thing itself; `has_secret` is False where Mimir asks for no
    login. `vpc_id` is "new", "none" or an existing VPC's id. Of
    `alarm_email` and `alarm_topic_arn` at most one is set; `reader_principal` and
    `reader_external_id` are both set or both "". `ca_bundle` is PEM text, or "".
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
    ca_bundle = read_ca_bundle(given.ca_bundle)
    bucket_name = None if given.s3_bucket == "new" else given.s3_bucket
    has_secret = given.auth_secret_arn != "none"  # noqa: S105 - no secret, a word
    secret_arn = None if given.auth_secret_arn in ("new", "none") else given.auth_secret_arn
    _check_secret(given, context)
    environment = read_environment(
        {key: values.get(key) for key in PASSED_ON},
        bucket_name=bucket_name or LATER,
        secret_arn=(secret_arn or LATER) if has_secret else "",
        ca_bundle_file=CA_BUNDLE_FILE if ca_bundle else "",
    )
    settings = environment.settings
    try:
        Workspace.of(settings)
    except WorkspaceError as error:
        raise DeploymentError(str(error)) from error
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
        alarm_lag_s=_alarm_lag_s(given, settings),
        ca_bundle=ca_bundle,
        dashboard=given.dashboard,
        saved_queries=given.saved_queries,
        reader_principal=given.reader_principal,
        reader_external_id=given.reader_external_id,
        environment=environment.variables,
        settings=settings,
    )
    if deployment.needs_lookup and not (deployment.account and deployment.region):
        raise DeploymentError(
            f"vpc_id is {deployment.vpc_id!r} without subnet_ids, so that its subnets must be "
            "looked up: give subnet_ids, or account and region with credentials that may look."
        )
    return deployment


def _refuse_empty(context: Context) -> None:
    """Where the deployment's default makes something, or names a place, an empty value is more
    likely a variable of the shell that is not set than the wish for the default."""
    for row in BY_KEY.values():
        own_default = row.place is Place.DEPLOYMENT or row.deployed != row.default
        if own_default and row.deployed and context.is_empty(row.key):
            raise DeploymentError(
                f"Invalid {row.key} '': expected a value; leave it out for the default, "
                f"{row.deployed}."
            )


def _read_own(context: Context) -> DeploymentSettings:
    try:
        return read_table(DeploymentSettings, lambda row: context.text(row.key), deployment=True)
    except SettingsError as error:
        raise DeploymentError(str(error)) from error


def _check_bucket(given: DeploymentSettings, settings: Settings) -> None:
    if given.s3_bucket == "new" and settings.role_arn:
        raise DeploymentError(
            "s3_bucket is 'new' but role_arn is set; with a role the bucket belongs to another "
            "account, so give its name."
        )
    if given.s3_kms_key_arn and given.s3_bucket == "new":
        raise DeploymentError(
            "s3_kms_key_arn is set but s3_bucket is 'new'; the stack's own bucket is encrypted by "
            "S3, so give the name of the bucket that the key belongs to."
        )
    if given.s3_kms_key_arn and settings.role_arn:
        raise DeploymentError(
            "s3_kms_key_arn and role_arn are set; with a role it is the role that uses the key: "
            "let its own account grant that, and leave s3_kms_key_arn out."
        )


def _check_secret(given: DeploymentSettings, context: Context) -> None:
    if given.auth_secret_arn == "none" and context.text("prometheus_username"):  # noqa: S105 - a word
        raise DeploymentError(
            "prometheus_username is set but auth_secret_arn is 'none'; its password can only come "
            "from a secret, so set auth_secret_arn to 'new' or to a secret's ARN."
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
            raise DeploymentError(
                f"{other} is set but {name} is not; the cost platform's console shows both, and a "
                "role without an external id could be used by its other customers."
            )
    if given.reader_principal and settings.role_arn:
        raise DeploymentError(
            "reader_principal_arn is set with role_arn; the bucket belongs to another account, "
            "which has to make the role that reads it."
        )


def _check_alarm_target(given: DeploymentSettings) -> None:
    """An address for the topic that the stack makes, or a topic that exists."""
    if given.alarm_email and given.alarm_topic_arn:
        raise DeploymentError(
            "alarm_email and alarm_topic_arn are both set; an existing topic has subscribers of "
            "its own, so set one of them."
        )


def _alarm_lag_s(given: DeploymentSettings, settings: Settings) -> int:
    """The lag at which an alarm fires; by default after three runs that exported nothing."""
    # How far behind the exporter is, when all is well, just before a run ends.
    every_s = given.schedule_minutes * 60
    usual_s = settings.time_frame_s + settings.settle_time_s + every_s
    if given.alarm_lag_s is None:
        return usual_s + 3 * every_s
    if given.alarm_lag_s <= usual_s:
        raise DeploymentError(
            f"Invalid alarm_lag_s {given.alarm_lag_s}: expected more than {usual_s} s (TIME_FRAME "
            "+ SETTLE_TIME + the schedule), as a lower threshold fires in normal operation."
        )
    return given.alarm_lag_s


def _check_vpc(given: DeploymentSettings, settings: Settings) -> None:
    if not given.vpc_id.startswith("vpc-") and (given.subnet_ids or given.security_group_id):
        raise DeploymentError(
            f"vpc_id is {given.vpc_id!r} but subnet_ids or security_group_id is set; these belong "
            "to an existing VPC, so give its id."
        )
    made_group = given.vpc_id != "none" and not given.security_group_id
    for name, value in {"mimir_cidrs": given.mimir_cidrs, "dns_servers": given.dns_servers}.items():
        if value and not made_group:
            raise DeploymentError(
                f"{name} is set, but no security group is made: it is for that of a VPC without "
                "security_group_id; leave it out, and add the rule to the group of your own."
            )
    if given.ipv6 and not given.vpc_id.startswith("vpc-"):
        raise DeploymentError(
            f"ipv6 is set but vpc_id is {given.vpc_id!r}; the functions reach IPv6 only through "
            "subnets with dual stack, so give the id of their VPC."
        )
    host = settings.hostname
    if is_address(host) and ":" in host and not given.ipv6:
        raise DeploymentError(
            f"hostname is {host}, an IPv6 address; the functions reach it only with ipv6=true, in "
            "subnets with dual stack."
        )
