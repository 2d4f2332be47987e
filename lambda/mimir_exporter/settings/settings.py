"""The environment of the function -> Settings, read once and checked whole.

`cdk synth` calls the same code, so a value that would stop the function stops the deployment.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..errors import SettingsError
from ..source.auth import NAMES, Credentials
from .variables import VARIABLES

DAY_S = 86_400
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": DAY_S, "w": 7 * DAY_S}
_METRIC_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A host name, or an IPv6 address, which has two colons at least: with one it is host and port.
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]+")
_ROLE = re.compile(r"arn:[a-z-]+:iam::[0-9]{12}:role/.+")


@dataclass(frozen=True)
class Settings:
    """One deployment's settings. Names ending in `_s` are whole seconds unless typed float."""

    bucket: str
    prefix: str
    cluster_name: str
    cluster_label: str
    split_by_cluster: bool
    scheme: str
    hostname: str
    port: int
    path_prefix: str
    readiness_path: str
    wire_gzip: bool
    ca_bundle: str
    sigv4_region: str
    sigv4_role_arn: str
    role_arn: str
    role_external_id: str
    auth_secret_arn: str
    time_frame_s: int
    query_step_s: int
    query_delay_s: float
    settle_time_s: int
    backfill_s: int
    initial_backfill: datetime | None
    retention_s: int
    extra_metrics: Mapping[str, str]
    state_machine_arn: str

    @property
    def origin(self) -> str:
        """Scheme, host and port, without a path."""
        host = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        return f"{self.scheme}://{host}:{self.port}"


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read every variable of `variables.py`.

    An empty variable counts as absent. Raises SettingsError, one sentence that names the
    variable, its value and what is allowed; secrets are checked but never quoted.
    """

    def text(name: str, pattern: re.Pattern[str] | None = None) -> str:
        value = environ.get(name, "").strip()
        if not value:
            default = VARIABLES[name].default
            if default is None:
                raise SettingsError(f"{name} is not set; it is required.")
            return default
        if pattern and not pattern.fullmatch(value):
            if name == "HOSTNAME":  # people paste whole addresses, a login in front of the host too
                value = re.sub(r".*@", "…@", value, flags=re.DOTALL)
            raise SettingsError(f"{name} is {value!r}; {_ALLOWED[name]}.")
        return value

    def number(name: str, low: int, high: int) -> int:
        value = text(name)
        if not re.fullmatch(r"[0-9]{1,9}", value) or not low <= int(value) <= high:
            raise SettingsError(
                f"{name} is {value!r}; a whole number from {low} to {high} is allowed."
            )
        return int(value)

    def duration(name: str) -> float:
        return duration_s(name, text(name), VARIABLES[name].unit)

    def seconds(name: str) -> int:
        return _whole(name, text(name), duration(name))

    time_frame_s = seconds("TIME_FRAME")
    query_step_s = seconds("QUERY_STEP")
    _check_grid(time_frame_s, query_step_s)
    cluster_label = text("CLUSTER_LABEL_NAME", _LABEL_NAME)
    settings = Settings(
        bucket=text("S3_BUCKET", _BUCKET),
        prefix=_prefix(text("S3_PREFIX")),
        cluster_name=_cluster_name(text("CLUSTER_NAME")),
        cluster_label=cluster_label,
        split_by_cluster=_boolean("SPLIT_BY_CLUSTER", text("SPLIT_BY_CLUSTER")),
        scheme=_choice("SCHEME", text("SCHEME"), ("http", "https")),
        hostname=text("HOSTNAME", _HOST).strip("[]"),
        port=number("PORT", 1, 65535),
        path_prefix=_path("PATH_PREFIX", text("PATH_PREFIX")),
        readiness_path=_path("METRICS_READINESS_PATH", text("METRICS_READINESS_PATH")),
        wire_gzip=_boolean("WIRE_GZIP", text("WIRE_GZIP")),
        ca_bundle=text("CA_BUNDLE"),
        sigv4_region=text("SIGV4_REGION", _REGION),
        sigv4_role_arn=text("SIGV4_ROLE_ARN", _ROLE),
        role_arn=text("ROLE_ARN", _ROLE),
        role_external_id=text("ROLE_EXTERNAL_ID"),
        auth_secret_arn=text("AUTH_SECRET_ARN"),
        time_frame_s=time_frame_s,
        query_step_s=query_step_s,
        query_delay_s=duration("QUERY_DELAY"),
        settle_time_s=seconds("SETTLE_TIME"),
        backfill_s=seconds("BACKFILL_DAYS"),
        initial_backfill=_date("INITIAL_BACKFILL_DATE", text("INITIAL_BACKFILL_DATE")),
        retention_s=seconds("RETENTION_DAYS"),
        extra_metrics=_extra_metrics(text("EXTRA_METRICS")),
        state_machine_arn=text("BACKFILL_STATE_MACHINE_ARN"),
    )
    if settings.role_external_id and not settings.role_arn:
        raise SettingsError("ROLE_EXTERNAL_ID is set but ROLE_ARN is not; set both or neither.")
    if settings.ca_bundle and settings.scheme != "https":
        raise SettingsError("CA_BUNDLE is set but SCHEME is http; set SCHEME to https.")
    if settings.sigv4_role_arn and not settings.sigv4_region:
        raise SettingsError("SIGV4_ROLE_ARN is set but SIGV4_REGION is not; set both or neither.")
    if settings.query_delay_s > 300:
        raise SettingsError(
            f"QUERY_DELAY is {settings.query_delay_s:g} s; at most 300 s is allowed."
        )
    if not settings.auth_secret_arn:
        Credentials.from_values({name: environ.get(name, "") for name in NAMES}, "the environment")
    return settings


def duration_s(name: str, value: str, unit: str) -> float:
    """Seconds of a duration such as `3d`, `72h`, `90m`, or of a bare number of `unit` (its name).

    Raises SettingsError for anything else.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([smhdw]?)", value.strip().lower())
    if not match or len(match[1]) > 12:
        raise SettingsError(
            f"{name} is {value!r}; a number of {unit} is allowed, or a duration such "
            "as 90m, 72h, 3d or 2w."
        )
    return float(match[1]) * _UNITS_S[match[2] or unit[0]]


def parse_flag(name: str, value: object) -> bool:
    """true or false, as JSON has them. Raises SettingsError."""
    if not isinstance(value, bool):
        raise SettingsError(f"{name} is {value!r}; true or false is allowed.")
    return value


def parse_time(name: str, value: object) -> datetime:
    """A moment in UTC from ISO 8601 (UTC unless it says otherwise) or from unix seconds.

    A text of eight digits is a date: as unix seconds it would lie in 1970. Raises SettingsError.
    """
    try:
        if isinstance(value, str) and not re.fullmatch(r"[0-9]{9,}", value.strip()):
            moment = datetime.fromisoformat(value.strip())
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        if isinstance(value, int | str) and not isinstance(value, bool):
            return datetime.fromtimestamp(int(value), UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise SettingsError(
        f"{name} is {value!r}; a time such as 2026-10-31, 2026-10-31T06:00:00Z or unix seconds "
        "is allowed."
    )


def parse_month(name: str, value: object) -> tuple[int, int]:
    """The month `2026-10` in unix seconds, from its first midnight to the next month's, UTC.

    Raises SettingsError.
    """
    text = value if isinstance(value, str) else ""
    match = re.fullmatch(r"(19[7-9][0-9]|[2-8][0-9]{3})-(0[1-9]|1[0-2])", text)
    if not match:
        raise SettingsError(f"{name} is {value!r}; a year and a month such as 2026-10 is allowed.")
    first = datetime(int(match[1]), int(match[2]), 1, tzinfo=UTC)
    following = (first + timedelta(days=31)).replace(day=1)
    return int(first.timestamp()), int(following.timestamp())


_ALLOWED = {
    "S3_BUCKET": "a bucket's name alone is allowed, of 3 to 63 characters, without s3:// and "
    "without a path",
    "CLUSTER_LABEL_NAME": "a label name is allowed: letters, digits and _, no digit first",
    "HOSTNAME": "a host name or an address alone is allowed; scheme, port and path have their "
    "own variables SCHEME, PORT and PATH_PREFIX",
    "ROLE_ARN": "a role's ARN such as arn:aws:iam::123456789012:role/exporter is allowed",
    "SIGV4_ROLE_ARN": "a role's ARN such as arn:aws:iam::123456789012:role/reader is allowed",
    "SIGV4_REGION": "a region such as eu-central-1 is allowed",
}


def _whole(name: str, value: str, value_s: float) -> int:
    if value_s != int(value_s) or value_s > timedelta(days=36_500).total_seconds():
        raise SettingsError(
            f"{name} is {value!r}; whole seconds are allowed, and 100 years at most."
        )
    return int(value_s)


def _check_grid(time_frame_s: int, query_step_s: int) -> None:
    if not 1 <= query_step_s <= DAY_S or DAY_S % query_step_s:
        raise SettingsError(
            f"QUERY_STEP is {query_step_s} s; a number of seconds that divides a day is allowed, "
            "such as 15, 30, 60 or 300, so that every day has the same steps."
        )
    if not query_step_s <= time_frame_s <= DAY_S or time_frame_s % query_step_s:
        raise SettingsError(
            f"TIME_FRAME is {time_frame_s} s; a multiple of QUERY_STEP ({query_step_s} s) up to "
            "86400 is allowed."
        )


def _prefix(value: str) -> str:
    prefix = value.strip("/")
    parts = prefix.split("/")
    if not prefix or not prefix.isprintable() or any(part in ("", ".", "..") for part in parts):
        raise SettingsError(f"S3_PREFIX is {value!r}; a path such as k8s/prometheus is allowed.")
    if len(prefix.encode()) > 200:
        raise SettingsError("S3_PREFIX is longer than 200 bytes; S3 keys end at 1,024.")
    return prefix


def _cluster_name(value: str) -> str:
    if not value.isprintable() or len(value.encode()) > 200:
        raise SettingsError(
            f"CLUSTER_NAME is {value!r}; printable characters are allowed, 200 bytes at most."
        )
    return value


def _path(name: str, value: str) -> str:
    path = "/" + value.strip("/")
    if not re.fullmatch(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*", path) or "//" in path:
        raise SettingsError(f"{name} is {value!r}; a URL path such as /prometheus is allowed.")
    return "" if path == "/" else path


def _choice(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value.lower() not in allowed:
        raise SettingsError(f"{name} is {value!r}; {' or '.join(allowed)} is allowed.")
    return value.lower()


def _boolean(name: str, value: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if value.lower() not in words:
        raise SettingsError(f"{name} is {value!r}; true or false is allowed.")
    return words[value.lower()]


def _date(name: str, value: str) -> datetime | None:
    return parse_time(name, value) if value else None


def _extra_metrics(value: str) -> dict[str, str]:
    example = 'a JSON object of names and PromQL such as {"my_metric": "sum by (cluster)(x)"}'
    try:
        metrics = json.loads(value, object_pairs_hook=_once_each)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"EXTRA_METRICS is not {example}: {error}.") from None
    if not isinstance(metrics, dict):
        raise SettingsError(f"EXTRA_METRICS is {value!r}; {example} is allowed.")
    for name, query in metrics.items():
        if not _METRIC_NAME.fullmatch(name):
            raise SettingsError(
                f"EXTRA_METRICS has the name {name!r}; letters, digits and _ are allowed, no digit "
                "first, 100 characters at most."
            )
        if not isinstance(query, str) or not query.strip():
            raise SettingsError(f"EXTRA_METRICS has no PromQL for {name!r}; {example} is allowed.")
    return metrics


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _ in pairs]
    twice: Callable[[str], bool] = lambda name: names.count(name) > 1  # noqa: E731
    for name in filter(twice, names):
        raise ValueError(f"the name {name!r} stands twice")
    return dict(pairs)
