"""The variables of the function's environment: the one list of names, defaults and meanings.

`settings.py` reads them, `docs/settings.md` is made from them.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Variable:
    """`default` is None where a value is required, and "" where there is none without one.

    `unit` is what a bare number means. `meaning` is Markdown, part of one table.
    """

    name: str
    default: str | None
    meaning: str
    unit: str = ""


def _by_name(*groups: Iterable[Variable]) -> dict[str, Variable]:
    return {variable.name: variable for group in groups for variable in group}


ENDPOINT = (
    Variable(
        "HOSTNAME",
        "localhost",
        "host name of the Prometheus HTTP API, without scheme, port and path; required to deploy",
    ),
    Variable("PORT", "9090", "its port"),
    Variable("SCHEME", "http", "`http` or `https`"),
    Variable("PATH_PREFIX", "", "path before `/api/v1`; Mimir's is `prometheus`"),
    Variable(
        "METRICS_READINESS_PATH",
        "/-/ready",
        "asked at the host's root, never under `PATH_PREFIX`; on 404 `/ready` is tried, then a "
        "query",
    ),
    Variable(
        "WIRE_GZIP",
        "true",
        "ask for answers in gzip; `false` is quicker where no traffic crosses a zone "
        "([measured](performance.md))",
    ),
    Variable(
        "CA_BUNDLE",
        "",
        "PEM file of the authorities that may sign the endpoint's certificate, instead of the "
        "system's; a deployment takes it from your machine and ships it with the function",
    ),
)
FILES = (
    Variable(
        "CLUSTER_NAME",
        None,
        "folder of the exporter's checkpoint and of series without the cluster label",
    ),
    Variable("CLUSTER_LABEL_NAME", "cluster", "the label whose values are the clusters"),
    Variable(
        "SPLIT_BY_CLUSTER",
        "true",
        "one file per cluster; `false` puts everything into `CLUSTER_NAME`, as the CronJob does",
    ),
    Variable("S3_BUCKET", None, "the bucket's name alone, without `s3://`"),
    Variable("S3_PREFIX", None, "where everything is written, such as `k8s/prometheus`"),
    Variable("ROLE_ARN", "", "role to assume for a bucket in another account"),
    Variable("ROLE_EXTERNAL_ID", "", "its external id, where its trust policy asks for one"),
)
TIME = (
    Variable(
        "TIME_FRAME",
        "3600",
        "length of a window, a multiple of `QUERY_STEP` up to a day; a new value leaves older "
        "windows and their files as they are",
        "seconds",
    ),
    Variable("QUERY_STEP", "60", "between two samples; divides a day", "seconds"),
    Variable(
        "QUERY_DELAY", "5", "between the end of one query and the start of the next", "seconds"
    ),
    Variable(
        "SETTLE_TIME",
        "600",
        "a window is exported once it is this old: the newest minutes still change",
        "seconds",
    ),
    Variable(
        "BACKFILL_DAYS",
        "3d",
        "how far back the first run goes, and a metric that comes later",
        "days",
    ),
    Variable(
        "INITIAL_BACKFILL_DATE", "", "a date to begin from instead, such as `2026-10-01`, UTC"
    ),
    Variable(
        "RETENTION_DAYS",
        "30",
        "files of older days are deleted, once a day; `0` keeps them",
        "days",
    ),
)
METRICS = (
    Variable(
        "EXTRA_METRICS", "{}", "more metrics: a JSON object of names and PromQL, see the catalogue"
    ),
)
LOGIN = (
    Variable(
        "AUTH_SECRET_ARN",
        "",
        "Secrets Manager secret: a JSON object whose keys are the `PROMETHEUS_` names below",
    ),
    Variable("PROMETHEUS_AUTH_TOKEN", "", "sent as the header `token`; belongs in the secret"),
    Variable(
        "PROMETHEUS_BEARER_AUTH_TOKEN", "", "sent as `Authorization: Bearer`; belongs in the secret"
    ),
    Variable("PROMETHEUS_USERNAME", "", "basic auth, with the password"),
    Variable("PROMETHEUS_PASSWORD", "", "basic auth; belongs in the secret"),
    Variable(
        "PROMETHEUS_X_SCOPE_ORGID",
        "",
        "Mimir's tenant, or several as `a\\|b`; alone or beside a login",
    ),
)
SIGNATURE = (
    Variable(
        "SIGV4_REGION",
        "",
        "sign each request for Amazon Managed Service for Prometheus in this region, instead of a "
        "login ([sources](sources.md))",
    ),
    Variable(
        "SIGV4_ROLE_ARN",
        "",
        "role to sign as, such as one of the workspace's account; without it the function's own",
    ),
)
SET_BY_THE_STACK = (
    Variable("BACKFILL_STATE_MACHINE_ARN", "", "where what is left over goes; set by the stack"),
)

VARIABLES = _by_name(ENDPOINT, FILES, TIME, METRICS, LOGIN, SIGNATURE, SET_BY_THE_STACK)
