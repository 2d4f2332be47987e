"""The CDK context -> one checked deployment.

Settings that reach the function are checked by the function's own code, so that what synth lets
pass, the function can start with.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mimir_exporter.catalog.metrics import load_catalog
from mimir_exporter.errors import SettingsError
from mimir_exporter.settings.settings import Settings, load_settings

from ..parts.workspace import workspace_id
from .certificates import CA_BUNDLE_FILE, read_ca_bundle
from .context import Context, DeploymentError
from .settings import OWN, PASSED_ON

SECRET = ("prometheus_auth_token", "prometheus_bearer_auth_token", "prometheus_password")

# What CloudWatch Logs takes (PutRetentionPolicy).
LOG_RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
)  # fmt: skip
# Lambda takes 4 KB of environment, names and values together; the stack adds ARNs and names.
ENVIRONMENT_BYTES = 4096 - 700

_SECRET_ARN = r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+-[A-Za-z0-9]{6}"  # noqa: S105 - a pattern
_TOPIC_ARN = r"(arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256})?"
# An account's number stands for whomever that account lets do it.
_PRINCIPAL = r"([0-9]{12}|arn:aws[a-z-]*:iam::[0-9]{12}:(root|role/\S+))?"
_KEY_ARN = r"(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+)?"


@dataclass(frozen=True)
class Deployment:
    """Everything that `cdk deploy` needs to know, checked.

    `bucket_name` and `secret_arn` are None where the stack makes the thing itself; `has_secret`
    is False where Mimir asks for no login. `vpc_id` is "new", "none" or an existing VPC's id. Of
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
    backfill_concurrency: int
    log_retention_days: int
    alarm_email: str
    alarm_topic_arn: str
    alarm_lag_s: int
    ca_bundle: str
    dashboard: bool
    saved_queries: bool
    test_events: bool
    reader_principal: str
    reader_external_id: str
    environment: Mapping[str, str]
    settings: Settings

    @property
    def needs_lookup(self) -> bool:
        """Whether synth has to ask AWS which subnets the VPC has."""
        return self.vpc_id.startswith("vpc-") and not self.subnet_ids


def read_deployment(values: Mapping[str, object], environ: Mapping[str, str]) -> Deployment:
    """Read and check the whole context.

    `environ` is synth's own environment, in which the CDK CLI says what account and region its
    credentials belong to. Raises DeploymentError.
    """
    context = Context(values)
    context.refuse_unknown((*PASSED_ON, *OWN), SECRET)
    bucket_name = _bucket_name(context)
    has_secret, secret_arn = _secret(context)
    vpc_id, subnet_ids, security_group_id = _vpc(context)
    environment = _environment(context)
    ca_bundle = read_ca_bundle(context)
    if ca_bundle:
        environment["CA_BUNDLE"] = CA_BUNDLE_FILE
    settings = _settings(environment, bucket_name, secret_arn, has_secret=has_secret)
    workspace_id(settings)
    schedule_minutes = context.number("schedule_minutes", 1, 1440)
    alarm_email, alarm_topic_arn = _alarm_target(context)
    reader_principal, reader_external_id = _reader(context)
    deployment = Deployment(
        stack_name=context.text(
            "stack_name",
            r"[A-Za-z][A-Za-z0-9-]{0,99}",
            "a name of letters, digits and - that begins with a letter, 100 characters at most,",
        ),
        account=context.text("account", r"([0-9]{12})?", "an account's 12 digits")
        or environ.get("CDK_DEFAULT_ACCOUNT", ""),
        region=context.text("region", r"([a-z]{2}[a-z-]*-[0-9])?", "a region such as eu-central-1")
        or environ.get("CDK_DEFAULT_REGION", ""),
        cli_credentials=context.flag("cli_credentials"),
        vpc_id=vpc_id,
        subnet_ids=subnet_ids,
        security_group_id=security_group_id,
        bucket_name=bucket_name,
        bucket_kms_key_arn=_bucket_key(context, bucket_name),
        has_secret=has_secret,
        secret_arn=secret_arn,
        secret_kms_key_arn=context.text("auth_secret_kms_key_arn", _KEY_ARN, "a KMS key's ARN"),
        memory_mb=context.number("memory_mb", 128, 10_240),
        ephemeral_storage_mb=context.number("ephemeral_storage_mb", 512, 10_240),
        timeout_s=context.number("timeout_s", 60, 900),
        architecture=context.choice("architecture", ("arm64", "x86_64")),
        python_version=context.choice("python_version", ("3.11", "3.12", "3.13", "3.14")),
        schedule_minutes=schedule_minutes,
        backfill_concurrency=context.number("backfill_concurrency", 1, 1000),
        log_retention_days=int(context.choice("log_retention_days", map(str, LOG_RETENTION_DAYS))),
        alarm_email=alarm_email,
        alarm_topic_arn=alarm_topic_arn,
        alarm_lag_s=_alarm_lag_s(context, settings, schedule_minutes * 60),
        ca_bundle=ca_bundle,
        dashboard=context.flag("dashboard"),
        saved_queries=context.flag("saved_queries"),
        test_events=context.flag("test_events"),
        reader_principal=reader_principal,
        reader_external_id=reader_external_id,
        environment=environment,
        settings=settings,
    )
    if deployment.needs_lookup and not (deployment.account and deployment.region):
        raise DeploymentError(
            f"vpc_id is {deployment.vpc_id!r} without subnet_ids, so that its subnets must be "
            "looked up; give subnet_ids, or account and region with credentials that may look."
        )
    return deployment


def _bucket_name(context: Context) -> str | None:
    name = context.text("s3_bucket")
    if name != "new":
        return name
    if context.text("role_arn"):
        raise DeploymentError(
            "s3_bucket is 'new' but role_arn is set; with a role the bucket belongs to someone "
            "else, so give its name."
        )
    return None


def _bucket_key(context: Context, bucket_name: str | None) -> str:
    key_arn = context.text("s3_kms_key_arn", _KEY_ARN, "a KMS key's ARN")
    if key_arn and bucket_name is None:
        raise DeploymentError(
            "s3_kms_key_arn is set but s3_bucket is 'new'; the stack's own bucket is encrypted by "
            "S3, so give the name of the bucket that the key belongs to."
        )
    if key_arn and context.text("role_arn"):
        raise DeploymentError(
            "s3_kms_key_arn and role_arn are set; with a role it is the role that uses the key: "
            "let its own account grant that, and leave s3_kms_key_arn out."
        )
    return key_arn


def _secret(context: Context) -> tuple[bool, str | None]:
    value = context.text(
        "auth_secret_arn",
        rf"new|none|{_SECRET_ARN}",
        "'new' (made empty by the stack), 'none' (no login) or a secret's whole ARN with the six "
        "characters at its end",
    )
    if value == "none" and context.text("prometheus_username"):
        raise DeploymentError(
            "prometheus_username is set but auth_secret_arn is 'none'; its password can only come "
            "from a secret, so set auth_secret_arn to 'new' or to a secret's ARN."
        )
    return value != "none", None if value in ("new", "none") else value


def _reader(context: Context) -> tuple[str, str]:
    """Who may assume the role that reads the files, and the external id they have to say."""
    principal = context.text(
        "reader_principal_arn", _PRINCIPAL, "an account's 12 digits or a role's ARN"
    )
    external_id = context.text(
        "reader_external_id",
        r"([\w+=,.@:/-]{2,1224})?",
        "2 to 1224 letters, digits and +=,.@:/-_",
    )
    if bool(principal) != bool(external_id):
        given, lacking = ("reader_principal_arn", "reader_external_id")[:: 1 if principal else -1]
        raise DeploymentError(
            f"{given} is set but {lacking} is not; the cost platform's console shows both, and a "
            "role without an external id could be used by its other customers."
        )
    if principal and context.text("role_arn"):
        raise DeploymentError(
            "reader_principal_arn is set with role_arn; the bucket belongs to another account, "
            "which has to make the role that reads it."
        )
    return principal, external_id


def _alarm_target(context: Context) -> tuple[str, str]:
    """An address for the topic that the stack makes, or a topic that exists."""
    email = context.text("alarm_email", r"(\S+@\S+)?", "an e-mail address")
    topic_arn = context.text("alarm_topic_arn", _TOPIC_ARN, "an SNS topic's ARN")
    if email and topic_arn:
        raise DeploymentError(
            "alarm_email and alarm_topic_arn are both set; an existing topic has subscribers of "
            "its own, so set one of them."
        )
    return email, topic_arn


def _alarm_lag_s(context: Context, settings: Settings, every_s: int) -> int:
    """The lag at which an alarm rings; by default after three runs that exported nothing."""
    # How far behind the exporter is, when all is well, just before a run ends.
    usual_s = settings.time_frame_s + settings.settle_time_s + every_s
    if not context.text("alarm_lag_s"):
        return usual_s + 3 * every_s
    given_s = context.number("alarm_lag_s", 1, 30 * 86_400)
    if given_s <= usual_s:
        raise DeploymentError(
            f"alarm_lag_s is {given_s}; more than {usual_s} s (TIME_FRAME + SETTLE_TIME + the "
            "schedule) is allowed, as less would ring when all is well."
        )
    return given_s


def _environment(context: Context) -> dict[str, str]:
    context.choice("log_level", ("DEBUG", "INFO", "WARNING", "ERROR"))
    if not context.text("hostname"):
        raise DeploymentError(
            "hostname is not set; give the name or address at which the function reaches Mimir, "
            "such as -c hostname=mimir.example.com."
        )
    if not context.text("cluster_name"):
        raise DeploymentError(
            "cluster_name is not set; give a name for the folder of the checkpoint and of series "
            "without the cluster label, such as -c cluster_name=central."
        )
    context.text(
        "s3_prefix",
        r"[^*?$]*",
        "a path without *, ? and $ (they mean something else in the policy of the role)",
    )
    names = (*PASSED_ON, "log_level")  # the last one is for Powertools
    environment = {name.upper(): value for name in names if (value := context.text(name))}
    size = sum(len(f"{name}{value}".encode()) for name, value in environment.items())
    if size > ENVIRONMENT_BYTES:
        raise DeploymentError(
            f"The settings take {size} bytes of the function's environment, of which Lambda leaves "
            f"{ENVIRONMENT_BYTES}; shorten extra_metrics."
        )
    return environment


def _settings(
    environment: Mapping[str, str],
    bucket_name: str | None,
    secret_arn: str | None,
    *,
    has_secret: bool,
) -> Settings:
    """Check as the function will, with stand-ins for what only the deployment makes."""
    stand_ins = {"S3_BUCKET": "made-by-the-stack" if bucket_name is None else bucket_name}
    if has_secret:
        stand_ins["AUTH_SECRET_ARN"] = secret_arn or "made-by-the-stack"
    try:
        settings = load_settings({**environment, **stand_ins})
        load_catalog(settings.extra_metrics)
    except SettingsError as error:
        raise DeploymentError(str(error)) from error
    return settings


def _vpc(context: Context) -> tuple[str, tuple[str, ...], str]:
    """The VPC's id, its subnets and the security group, as they fit together."""
    vpc_id = context.text(
        "vpc_id",
        r"new|none|vpc-[0-9a-f]{8,17}",
        "'new' (made for a trial), 'none' (Mimir is on the internet) or an id such as "
        "vpc-0123456789abcdef0",
    )
    subnet_ids = context.words("subnet_ids")
    for subnet_id in subnet_ids:
        if not re.fullmatch(r"subnet-[0-9a-f]{8,17}", subnet_id):
            raise DeploymentError(
                f"subnet_ids has {subnet_id!r}; ids such as subnet-0123456789abcdef0 with commas "
                "between them are allowed."
            )
    group_id = context.text(
        "security_group_id", r"(sg-[0-9a-f]{8,17})?", "an id such as sg-0123456789abcdef0"
    )
    if not vpc_id.startswith("vpc-") and (subnet_ids or group_id):
        raise DeploymentError(
            f"vpc_id is {vpc_id!r} but subnet_ids or security_group_id is set; these belong to an "
            "existing VPC, so give its id."
        )
    return vpc_id, subnet_ids, group_id
