"""The settings that only a deployment has: one row each, of the same kind as the function's.

The function's own settings are rows of `mimir_exporter/settings/settings.py`; most of them can be
given to the deployment too, in lower case.
"""

import ipaddress
from dataclasses import dataclass

from mimir_exporter.settings import parsers
from mimir_exporter.settings.rows import Place, rows_of, setting
from mimir_exporter.settings.settings import ROWS

MADE = "What is made, and what is yours"
PLACE = "Where it runs"
FUNCTIONS = "The functions"
WATCHING = "Monitoring"
READING = "Who reads the files"

# What CloudWatch Logs takes (PutRetentionPolicy).
LOG_RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
)  # fmt: skip

_SECRET_ARN = r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+-[A-Za-z0-9]{6}"  # noqa: S105 - a pattern
_TOPIC_ARN = r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}"
# An account's number allows any principal to which that account delegates.
_PRINCIPAL = r"[0-9]{12}|arn:aws[a-z-]*:iam::[0-9]{12}:(root|role/\S+)"
_KEY_ARN = parsers.matching(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+", "a KMS key's ARN")


def _networks(value: str) -> tuple[str, ...]:
    """CIDR blocks or addresses, with commas between them."""
    given = tuple(part.strip() for part in value.split(",") if part.strip())
    for block in given:
        _network(block)
    return given


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        raise parsers.InvalidValueError(
            "CIDR blocks or addresses such as 10.0.0.0/16 with commas between them"
        ) from None
    return value


def _subnets(value: str) -> tuple[str, ...]:
    """Ids with commas between them."""
    ids = tuple(part.strip() for part in value.split(",") if part.strip())
    for each_id in ids:
        parsers.matching(
            r"subnet-[0-9a-f]{8,17}",
            "ids such as subnet-0123456789abcdef0 with commas between them",
        )(each_id)
    return ids


@dataclass(frozen=True)
class DeploymentSettings:
    """The rows, read one by one; `read.py` checks what must fit together."""

    s3_bucket: str = setting(
        "S3_BUCKET",
        parsers.any_text,  # a name is checked by the function's own row
        group=MADE,
        default="new",
        place=Place.DEPLOYMENT,
        meaning="the bucket's name; `new` makes one: private, encrypted, kept when the stack is "
        "deleted",
        change="begins anew in the other bucket; nothing is moved",
    )
    s3_kms_key_arn: str = setting(
        "S3_KMS_KEY_ARN",
        _KEY_ARN,
        group=MADE,
        default="",
        place=Place.DEPLOYMENT,
        meaning="the key that encrypts an existing bucket, where it has one of its own",
    )
    auth_secret_arn: str = setting(
        "AUTH_SECRET_ARN",
        parsers.matching(
            rf"new|none|{_SECRET_ARN}",
            "'new' (made empty by the stack), 'none' (no credentials) or a secret's whole ARN with "
            "the six characters at its end",
        ),
        group=MADE,
        default="new",
        place=Place.DEPLOYMENT,
        meaning="the secret with the credentials: an ARN, `new` to make an empty one, `none` to go "
        "without",
    )
    auth_secret_kms_key_arn: str = setting(
        "AUTH_SECRET_KMS_KEY_ARN",
        _KEY_ARN,
        group=MADE,
        default="",
        place=Place.DEPLOYMENT,
        meaning="the key that encrypts an existing secret, where it has one of its own",
    )
    ca_bundle: str = setting(
        "CA_BUNDLE",
        parsers.any_text,
        group=MADE,
        default="",
        place=Place.DEPLOYMENT,
        meaning="file with the certificates of a private CA, on the machine that deploys; it is "
        "shipped with the function",
    )
    catalog: str = setting(
        "CATALOG",
        parsers.any_text,
        group=MADE,
        default="default",
        place=Place.DEPLOYMENT,
        meaning="which metrics: `default`, `finout`, `opentelemetry`, or a file of your own on the "
        "machine that deploys ([metrics](metrics.md#a-catalogue-of-your-own)); it is shipped with "
        "the function",
        change="new metrics begin `BACKFILL_DAYS` ago; the files of others stay",
    )
    stack_name: str = setting(
        "STACK_NAME",
        parsers.matching(
            r"[A-Za-z][A-Za-z0-9-]{0,127}",
            "a name of letters, digits and - that begins with a letter, 128 characters at most",
        ),
        group=PLACE,
        default="MimirExporter",
        place=Place.DEPLOYMENT,
        meaning="several stacks exist side by side under different names",
        change="makes another stack; the one of the old name stays",
    )
    account: str = setting(
        "ACCOUNT",
        parsers.matching(r"[0-9]{12}", "an account's 12 digits"),
        group=PLACE,
        default="",
        place=Place.DEPLOYMENT,
        meaning="where to deploy, by default the shell's; the CDK refuses to deploy elsewhere",
    )
    region: str = setting(
        "REGION",
        parsers.matching(r"[a-z]{2}[a-z-]*-[0-9]", "a region such as eu-central-1"),
        group=PLACE,
        default="",
        place=Place.DEPLOYMENT,
        meaning="likewise; deploy the stack in the bucket's region",
    )
    cli_credentials: bool = setting(
        "CLI_CREDENTIALS",
        parsers.boolean,
        group=PLACE,
        default="false",
        place=Place.DEPLOYMENT,
        meaning="deploy with the shell's credentials, not the roles of `cdk bootstrap`",
    )
    vpc_id: str = setting(
        "VPC_ID",
        parsers.matching(
            r"new|none|vpc-[0-9a-f]{8,17}",
            "an id such as vpc-0123456789abcdef0 (from which Mimir is reached), 'none' (Mimir is "
            "on the internet) or 'new' (isolated: you add the way to Mimir)",
        ),
        group=PLACE,
        default=None,
        place=Place.DEPLOYMENT,
        meaning="`vpc-…`, from which Mimir is reached; `none` runs the functions outside of any, "
        "for an endpoint on the internet; `new` makes one that reaches AWS and nothing else until "
        "you add a peering, a transit gateway or an endpoint to Mimir",
    )
    subnet_ids: tuple[str, ...] = setting(
        "SUBNET_IDS",
        _subnets,
        group=PLACE,
        default="",
        absent=(),
        place=Place.DEPLOYMENT,
        meaning="with commas between them; by default the VPC's private ones, looked up",
    )
    security_group_id: str = setting(
        "SECURITY_GROUP_ID",
        parsers.matching(r"sg-[0-9a-f]{8,17}", "an id such as sg-0123456789abcdef0"),
        group=PLACE,
        default="",
        place=Place.DEPLOYMENT,
        meaning="of the functions; by default a new group with egress to Mimir and AWS only",
    )
    mimir_cidrs: tuple[str, ...] = setting(
        "MIMIR_CIDRS",
        _networks,
        group=PLACE,
        default="",
        absent=(),
        place=Place.DEPLOYMENT,
        meaning="networks of Mimir's addresses, with commas between them, to narrow the egress of "
        "the new group; by default anywhere, on Mimir's port",
    )
    dns_servers: tuple[str, ...] = setting(
        "DNS_SERVERS",
        _networks,
        group=PLACE,
        default="",
        absent=(),
        place=Place.DEPLOYMENT,
        meaning="addresses or networks of your own resolvers, where the VPC's DHCP option set "
        "names them; the VPC's own needs no rule",
    )
    ipv6: bool = setting(
        "IPV6",
        parsers.boolean,
        group=PLACE,
        default="false",
        place=Place.DEPLOYMENT,
        meaning="let the functions reach Mimir over IPv6, in subnets with dual stack",
    )
    vpc_cidr: str = setting(
        "VPC_CIDR",
        _network,
        group=PLACE,
        default="10.0.0.0/16",
        place=Place.DEPLOYMENT,
        meaning="of `vpc_id=new`; choose one that overlaps with no network you connect it to",
        change="makes another VPC; attachments to the old one have to go first",
    )
    vpc_endpoint_zones: int = setting(
        "VPC_ENDPOINT_ZONES",
        parsers.whole_number(1, 2),
        group=PLACE,
        default="1",
        place=Place.DEPLOYMENT,
        meaning="zones of the interface endpoints of `vpc_id=new`, each paid by the hour; 2 "
        "outlasts a zone that fails",
    )
    memory_mb: int = setting(
        "MEMORY_MB",
        parsers.whole_number(128, 10_240),
        group=FUNCTIONS,
        default="256",
        place=Place.DEPLOYMENT,
        meaning="of both functions; 256 [suffices for every fleet that was measured]"
        "(cost.md#memory)",
    )
    ephemeral_storage_mb: int = setting(
        "EPHEMERAL_STORAGE_MB",
        parsers.whole_number(512, 10_240),
        group=FUNCTIONS,
        default="512",
        place=Place.DEPLOYMENT,
        meaning="their `/tmp`, where compressed series wait past 8 MB",
    )
    timeout_s: int = setting(
        "TIMEOUT_S",
        parsers.whole_number(60, 900),
        group=FUNCTIONS,
        default="900",
        place=Place.DEPLOYMENT,
        meaning="of both functions, up to Lambda's 900 s",
    )
    architecture: str = setting(
        "ARCHITECTURE",
        parsers.one_of("arm64", "x86_64"),
        group=FUNCTIONS,
        default="arm64",
        place=Place.DEPLOYMENT,
        meaning="`arm64` or `x86_64`",
    )
    python_version: str = setting(
        "PYTHON_VERSION",
        parsers.one_of("3.11", "3.12", "3.13", "3.14"),
        group=FUNCTIONS,
        default="3.14",
        place=Place.DEPLOYMENT,
        meaning="of both functions",
    )
    schedule_minutes: int = setting(
        "SCHEDULE_MINUTES",
        parsers.whole_number(1, 1440),
        group=FUNCTIONS,
        default="30",
        place=Place.DEPLOYMENT,
        meaning="between two regular runs",
    )
    schedule_enabled: bool = setting(
        "SCHEDULE_ENABLED",
        parsers.boolean,
        group=FUNCTIONS,
        default="true",
        place=Place.DEPLOYMENT,
        meaning="`false` pauses the regular runs; the next run after it exports what was missed",
    )
    backfill_concurrency: int = setting(
        "BACKFILL_CONCURRENCY",
        parsers.whole_number(1, 1000),
        group=FUNCTIONS,
        default="2",
        place=Place.DEPLOYMENT,
        meaning="windows that backfills export at once, in all: one execution runs at a time",
    )
    log_level: str = setting(
        "LOG_LEVEL",
        parsers.one_of("DEBUG", "INFO", "WARNING", "ERROR"),
        group=FUNCTIONS,
        default="INFO",
        place=Place.DEPLOYMENT,
        meaning="`DEBUG`, `INFO`, `WARNING` or `ERROR`; saved queries and [logs.md](logs.md) need "
        "`INFO`",
    )
    log_retention_days: str = setting(
        "LOG_RETENTION_DAYS",
        parsers.one_of(*map(str, LOG_RETENTION_DAYS)),
        group=FUNCTIONS,
        default="90",
        place=Place.DEPLOYMENT,
        meaning="of the functions' logs; one of the numbers that CloudWatch takes",
        change="a smaller value deletes the older log lines",
    )
    alarm_email: str = setting(
        "ALARM_EMAIL",
        parsers.matching(r"\S+@\S+", "an e-mail address"),
        group=WATCHING,
        default="",
        place=Place.DEPLOYMENT,
        meaning="address that the alarms' topic writes to; its owner confirms once",
    )
    alarm_topic_arn: str = setting(
        "ALARM_TOPIC_ARN",
        parsers.matching(_TOPIC_ARN, "an SNS topic's ARN"),
        group=WATCHING,
        default="",
        place=Place.DEPLOYMENT,
        meaning="an existing SNS topic for the alarms instead; its policy has to let CloudWatch "
        "publish",
    )
    alarm_lag_s: int | None = setting(
        "ALARM_LAG_S",
        parsers.whole_number(1, 30 * parsers.DAY_S),
        group=WATCHING,
        default="",
        absent=None,
        place=Place.DEPLOYMENT,
        meaning="seconds of lag at which an alarm fires; by default `TIME_FRAME` + `SETTLE_TIME` + "
        "four times the schedule",
    )
    dashboard: bool = setting(
        "DASHBOARD",
        parsers.boolean,
        group=WATCHING,
        default="true",
        place=Place.DEPLOYMENT,
        meaning="make the CloudWatch dashboard, with the coverage map",
    )
    saved_queries: bool = setting(
        "SAVED_QUERIES",
        parsers.boolean,
        group=WATCHING,
        default="true",
        place=Place.DEPLOYMENT,
        meaning="make the saved queries of Logs Insights",
    )
    reader_principal: str = setting(
        "READER_PRINCIPAL_ARN",
        parsers.matching(_PRINCIPAL, "an account's 12 digits or a role's ARN"),
        group=READING,
        default="",
        place=Place.DEPLOYMENT,
        meaning="who may assume a role that reads the files and nothing else: an account's number, "
        "or a role's ARN",
    )
    reader_external_id: str = setting(
        "READER_EXTERNAL_ID",
        parsers.matching(r"[\w+=,.@:/-]{2,1224}", "2 to 1224 letters, digits and +=,.@:/-_"),
        group=READING,
        default="",
        place=Place.DEPLOYMENT,
        meaning="the external id that it has to give; set both or neither",
    )


DEPLOYMENT_ROWS = rows_of(DeploymentSettings)
# Settings of the function that a deployment takes and passes on in its environment as they are.
PASSED_ON = {row.key: row for row in ROWS.values() if row.place is Place.ENVIRONMENT}
# Every deployment setting by its key, in the order of cdk.json.
BY_KEY = {**PASSED_ON, **{row.key: row for row in DEPLOYMENT_ROWS.values()}}
# Variables whose values are secrets: no template may hold them.
SECRET_KEYS = tuple(row.key for row in ROWS.values() if row.place is Place.SECRET)
