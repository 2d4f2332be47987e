"""The settings of the function: one row each, with its name, parser, default and meaning.

The only place where a setting of the function is. The environment is read once and checked
whole; `cdk synth` calls the same code, so a value that would stop the function stops the
deployment. The deployment's own settings are rows of the same kind in `infra/deployment/table.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from . import parsers
from .rows import Place, rows_of, setting

ENDPOINT = "Where Mimir is"
FILES = "Which files"
TIME = "Which time"
METRICS = "Which metrics"
CREDENTIALS = "The credentials"
SIGNATURE = "Amazon Managed Service for Prometheus"
HANDOVER = "Set by the stack"

_ROLE = r"arn:[a-z-]+:iam::[0-9]{12}:role/.+"


@dataclass(frozen=True)
class Settings:
    """One deployment's settings. Names ending in `_s` are whole seconds unless typed float."""

    hostname: str = setting(
        "HOSTNAME",
        parsers.hostname,
        group=ENDPOINT,
        default="localhost",
        required_to_deploy=True,
        meaning="host name of the Prometheus HTTP API, without scheme, port and path",
    )
    port: int = setting(
        "PORT",
        parsers.whole_number(1, 65535),
        group=ENDPOINT,
        default="9090",
        meaning="its port",
    )
    scheme: str = setting(
        "SCHEME",
        parsers.one_of("http", "https"),
        group=ENDPOINT,
        default="http",
        meaning="`http` or `https`",
    )
    path_prefix: str = setting(
        "PATH_PREFIX",
        parsers.url_path,
        group=ENDPOINT,
        default="",
        meaning="path before `/api/v1`; Mimir's is `prometheus`",
    )
    readiness_path: str = setting(
        "METRICS_READINESS_PATH",
        parsers.url_path,
        group=ENDPOINT,
        default="/-/ready",
        meaning="queried at the host's root, never under `PATH_PREFIX`; on 404 `/ready` is tried, "
        "then a query",
    )
    wire_gzip: bool = setting(
        "WIRE_GZIP",
        parsers.boolean,
        group=ENDPOINT,
        default="true",
        meaning="request answers in gzip; `false` is quicker where no traffic crosses a zone "
        "([measured](performance.md))",
    )
    ca_bundle: str = setting(
        "CA_BUNDLE",
        parsers.any_text,
        group=ENDPOINT,
        default="",
        place=Place.MADE,
        meaning="PEM file of the CAs that may sign the endpoint's certificate, instead of the "
        "system's; a deployment reads it on your machine and ships it with the function",
    )
    cluster_name: str = setting(
        "CLUSTER_NAME",
        parsers.folder_name,
        group=FILES,
        default=None,
        required_to_deploy=True,
        meaning="folder of the exporter's checkpoint and of series without the cluster label",
        change="begins a new checkpoint; files of before stay in their folder",
    )
    cluster_label: str = setting(
        "CLUSTER_LABEL_NAME",
        parsers.label_name,
        group=FILES,
        default="cluster",
        meaning="the label whose values are the clusters; a name in UTF-8, such as "
        "`k8s.cluster.name`, takes a server that knows Prometheus 3's quotes",
        change="new windows follow it; a window that is exported again replaces its older files, a "
        "day after the change",
    )
    split_by_cluster: bool = setting(
        "SPLIT_BY_CLUSTER",
        parsers.boolean,
        group=FILES,
        default="true",
        meaning="one file per cluster; `false` puts everything into `CLUSTER_NAME`, as the CronJob "
        "does",
        change="new windows follow it; a window that is exported again replaces its older files, a "
        "day after the change",
    )
    bucket: str = setting(
        "S3_BUCKET",
        parsers.matching(
            r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
            "a bucket's name alone, of 3 to 63 characters, without s3:// and without a path",
        ),
        group=FILES,
        default=None,
        place=Place.MADE,
        meaning="the bucket's name alone, without `s3://`",
        change="begins anew in the other bucket; nothing is moved",
    )
    prefix: str = setting(
        "S3_PREFIX",
        parsers.key_prefix,
        group=FILES,
        default=None,
        deployed="k8s/prometheus",
        meaning="where everything is written, such as `k8s/prometheus`",
        change="begins anew under the other prefix; nothing is moved",
    )
    role_arn: str = setting(
        "ROLE_ARN",
        parsers.matching(_ROLE, "a role's ARN such as arn:aws:iam::123456789012:role/exporter"),
        group=FILES,
        default="",
        meaning="role to assume for a bucket in another account",
    )
    role_external_id: str = setting(
        "ROLE_EXTERNAL_ID",
        parsers.any_text,
        group=FILES,
        default="",
        meaning="its external id, where its trust policy requires one",
    )
    time_frame_s: int = setting(
        "TIME_FRAME",
        parsers.whole_seconds("seconds"),
        group=TIME,
        default="3600",
        unit="seconds",
        meaning="length of a window, a multiple of `QUERY_STEP` up to a day",
        change="windows of before and their files stay as they are",
    )
    query_step_s: int = setting(
        "QUERY_STEP",
        parsers.whole_seconds("seconds"),
        group=TIME,
        default="60",
        unit="seconds",
        meaning="between two samples; divides a day",
        change="windows of before and their files stay as they are",
    )
    query_delay_s: float = setting(
        "QUERY_DELAY",
        parsers.short_delay,
        group=TIME,
        default="5",
        unit="seconds",
        meaning="between the end of one query and the start of the next",
    )
    query_windows: int = setting(
        "QUERY_WINDOWS",
        parsers.whole_number(1, 48),
        group=TIME,
        default="1",
        meaning="windows that one query of a backfill may cover, where the answer is small "
        "([when](operations.md#make-a-backfill-faster-or-lighter-on-mimir)); `1` is each by itself",
    )
    settle_time_s: int = setting(
        "SETTLE_TIME",
        parsers.whole_seconds("seconds"),
        group=TIME,
        default="600",
        unit="seconds",
        meaning="a window is exported once it is this old: the newest minutes still change",
    )
    backfill_s: int = setting(
        "BACKFILL_DAYS",
        parsers.whole_seconds("days"),
        group=TIME,
        default="3d",
        unit="days",
        meaning="how far back the first run goes, and a metric that comes later",
        change="a larger value reaches further back; a smaller one removes nothing. What the "
        "source has forgotten counts as missing until it is "
        "[accepted](operations.md#accept-a-gap)",
    )
    initial_backfill: datetime | None = setting(  # noqa: RUF009 - makes a field, as `field` does
        "INITIAL_BACKFILL_DATE",
        parsers.moment,
        group=TIME,
        default="",
        absent=None,
        meaning="a date to begin from instead, such as `2026-10-01`, UTC",
        change="an earlier date reaches further back; a later one removes nothing",
    )
    retention_s: int = setting(
        "RETENTION_DAYS",
        parsers.whole_seconds("days"),
        group=TIME,
        default="30",
        unit="days",
        meaning="files of older days are deleted, once a day; `0` keeps them",
        change="a smaller value deletes the files of the days in between, a day later",
    )
    audit_after_s: int = setting(
        "AUDIT_AFTER",
        parsers.whole_seconds("seconds"),
        group=TIME,
        default="24h",
        unit="seconds",
        meaning="how long after its export a window's samples are counted again at the source, "
        "and exported again where there are more; `0` is never",
        change="`0` also leaves out the counts at export, so what is exported meanwhile is never "
        "audited",
    )
    catalog: str = setting(
        "CATALOG",
        parsers.any_text,
        group=METRICS,
        default="default",
        place=Place.MADE,
        meaning="which metrics: `default`; `finout`, the same and the names that Finout's exporter "
        "publishes; `opentelemetry`, the same also from what OpenTelemetry's collectors send; or a "
        "file of your own, which a deployment reads on your machine and ships "
        "([metrics](metrics.md#a-catalogue-of-your-own))",
        change="new metrics begin `BACKFILL_DAYS` ago; the files of others stay",
    )
    rate_range_s: int = setting(
        "RATE_RANGE",
        parsers.rate_range,
        group=METRICS,
        default="300",
        unit="seconds",
        meaning="how far `rate` looks back: at least twice the longest interval of a scrape, which "
        "`check` measures",
        change="windows of before stay as they are; export them again where they lack traffic "
        "and CPU",
    )
    extra_metrics: Mapping[str, str] = setting(
        "EXTRA_METRICS",
        parsers.extra_metrics,
        group=METRICS,
        default="{}",
        meaning="more metrics: a JSON object of names and PromQL, see the catalogue",
        change="a new metric begins `BACKFILL_DAYS` ago; the files of a removed one stay",
    )
    auth_secret_arn: str = setting(
        "AUTH_SECRET_ARN",
        parsers.any_text,
        group=CREDENTIALS,
        default="",
        place=Place.MADE,
        meaning="Secrets Manager secret: a JSON object whose keys are the `PROMETHEUS_` names "
        "below",
    )
    sigv4_region: str = setting(
        "SIGV4_REGION",
        parsers.matching(r"[a-z]{2}(-[a-z]+)+-[0-9]+", "a region such as eu-central-1"),
        group=SIGNATURE,
        default="",
        meaning="sign each request for Amazon Managed Service for Prometheus in this region, "
        "instead of other credentials ([sources](sources.md))",
    )
    sigv4_role_arn: str = setting(
        "SIGV4_ROLE_ARN",
        parsers.matching(_ROLE, "a role's ARN such as arn:aws:iam::123456789012:role/reader"),
        group=SIGNATURE,
        default="",
        meaning="role to sign as, such as one of the workspace's account; without it the "
        "function's own",
    )
    bucket_kms_key_arn: str = setting(
        "S3_KMS_KEY_ARN",
        parsers.any_text,
        group=FILES,
        default="",
        place=Place.MADE,
        meaning="the key that encrypts the bucket, named with each write: policies may demand it",
    )
    state_machine_arn: str = setting(
        "BACKFILL_STATE_MACHINE_ARN",
        parsers.any_text,
        group=HANDOVER,
        default="",
        place=Place.STACK,
        meaning="the state machine that remaining windows are handed to",
    )

    @property
    def origin(self) -> str:
        """Scheme, host and port, without a path."""
        host = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True)
class CredentialSettings:
    """The credentials: what of them may be a variable. `credentials.py` checks them."""

    token: str = setting(
        "PROMETHEUS_AUTH_TOKEN",
        parsers.any_text,
        group=CREDENTIALS,
        default="",
        place=Place.SECRET,
        meaning="sent as the header `token`; belongs in the secret",
    )
    bearer: str = setting(
        "PROMETHEUS_BEARER_AUTH_TOKEN",
        parsers.any_text,
        group=CREDENTIALS,
        default="",
        place=Place.SECRET,
        meaning="sent as `Authorization: Bearer`; belongs in the secret",
    )
    username: str = setting(
        "PROMETHEUS_USERNAME",
        parsers.any_text,
        group=CREDENTIALS,
        default="",
        meaning="basic auth, with the password",
    )
    password: str = setting(
        "PROMETHEUS_PASSWORD",
        parsers.any_text,
        group=CREDENTIALS,
        default="",
        place=Place.SECRET,
        meaning="basic auth; belongs in the secret",
    )
    tenant: str = setting(
        "PROMETHEUS_X_SCOPE_ORGID",
        parsers.any_text,
        group=CREDENTIALS,
        default="",
        meaning="Mimir's tenant, or several as `a\\|b`; alone or beside other credentials",
    )
    client_id: str = setting(
        "PROMETHEUS_OAUTH2_CLIENT_ID",
        parsers.any_text,
        group=CREDENTIALS,
        default="",
        meaning="OAuth 2 client credentials, with the secret and the URL of the token",
    )
    client_secret: str = setting(
        "PROMETHEUS_OAUTH2_CLIENT_SECRET",
        parsers.any_text,
        group=CREDENTIALS,
        default="",
        place=Place.SECRET,
        meaning="the client's secret; belongs in the secret",
    )
    token_url: str = setting(
        "PROMETHEUS_OAUTH2_TOKEN_URL",
        parsers.any_text,
        group=CREDENTIALS,
        default="",
        meaning="where the authorization server gives tokens",
    )
    scopes: str = setting(
        "PROMETHEUS_OAUTH2_SCOPES",
        parsers.any_text,
        group=CREDENTIALS,
        default="",
        meaning="scopes to request, with spaces between them",
    )
    endpoint_params: str = setting(
        "PROMETHEUS_OAUTH2_ENDPOINT_PARAMS",
        parsers.any_text,
        group=CREDENTIALS,
        default="",
        place=Place.SECRET,
        meaning='more fields of the token request, such as `{"audience": "…"}`',
    )
    certificate: str = setting(
        "PROMETHEUS_TLS_CERT",
        parsers.any_text,
        group=CREDENTIALS,
        default="",
        place=Place.SECRET,
        meaning="client certificate (PEM, with its chain), beside or instead of other credentials",
    )
    certificate_key: str = setting(
        "PROMETHEUS_TLS_KEY",
        parsers.any_text,
        group=CREDENTIALS,
        default="",
        place=Place.SECRET,
        meaning="its key (PEM, without a password); belongs in the secret",
    )
    http_headers: str = setting(
        "PROMETHEUS_HTTP_HEADERS",
        parsers.any_text,
        group=CREDENTIALS,
        default="",
        meaning='more headers of each request, such as `{"X-Prom-Label-Policy": "…"}`; those with '
        "a secret value belong in the secret, and win",
    )
    proxy_url: str = setting(
        "PROMETHEUS_PROXY_URL",
        parsers.any_text,
        group=CREDENTIALS,
        default="",
        meaning="forward proxy towards the endpoint, such as `http://proxy.example:3128`; with a "
        "password it belongs in the secret. Without it `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` "
        "of the function count",
    )


# Every variable that the function reads, by name.
ROWS = {**rows_of(Settings), **rows_of(CredentialSettings)}
