"""Every variable: its default, its meaning, its forms, and one sentence where it is wrong."""

import json
import re
import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimir_exporter.errors import SettingsError
from mimir_exporter.settings.load import load_settings, refuse_future
from mimir_exporter.settings.parsers import parse_time
from mimir_exporter.settings.settings import ROWS, Settings
from tests.clocks import unix

REQUIRED = {"S3_BUCKET": "cur-bucket", "S3_PREFIX": "k8s/prometheus", "CLUSTER_NAME": "prod"}
ROLE = "arn:aws:iam::123456789012:role/exporter"
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:mimir-AbCdEf"

# The integration that this one replaces has these; the names are its users' and stay.
SEED = [
    *("S3_BUCKET", "S3_PREFIX", "CLUSTER_NAME"),
    *("CLUSTER_LABEL_NAME", "HOSTNAME", "PORT"),
    *("SCHEME", "PATH_PREFIX", "METRICS_READINESS_PATH"),
    *("ROLE_ARN", "ROLE_EXTERNAL_ID", "TIME_FRAME"),
    *("BACKFILL_DAYS", "PROMETHEUS_AUTH_TOKEN", "PROMETHEUS_BEARER_AUTH_TOKEN"),
    *("PROMETHEUS_USERNAME", "PROMETHEUS_PASSWORD", "PROMETHEUS_X_SCOPE_ORGID"),
]
OURS = [
    *("AUTH_SECRET_ARN", "QUERY_DELAY", "QUERY_WINDOWS", "QUERY_STEP"),
    *("SETTLE_TIME", "RETENTION_DAYS", "SPLIT_BY_CLUSTER", "WIRE_GZIP"),
    *("CA_BUNDLE", "SIGV4_REGION", "SIGV4_ROLE_ARN"),
    *("AUDIT_AFTER", "S3_KMS_KEY_ARN"),
    *(
        "BACKFILL_STATE_MACHINE_ARN",
        "EXTRA_METRICS",
        "INITIAL_BACKFILL_DATE",
        "RATE_RANGE",
        "CATALOG",
    ),
    *("PROMETHEUS_OAUTH2_CLIENT_ID", "PROMETHEUS_OAUTH2_CLIENT_SECRET"),
    *("PROMETHEUS_OAUTH2_TOKEN_URL", "PROMETHEUS_OAUTH2_SCOPES"),
    *("PROMETHEUS_OAUTH2_ENDPOINT_PARAMS", "PROMETHEUS_TLS_CERT", "PROMETHEUS_TLS_KEY"),
    *("PROMETHEUS_HTTP_HEADERS", "PROMETHEUS_PROXY_URL"),
]


class Recorder(Mapping[str, str]):
    """An environment that notes what was asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values_given = values
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self.values_given[name]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("only names that are known may be read")

    def __len__(self) -> int:
        return len(self.values_given)


def refusal(environ: Mapping[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    return str(caught.value)


def assert_one_sentence(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z][^\n]*[^.] \[[a-z_]+\]", text), text
    assert ". " not in text, text


def test_just_the_variables_of_the_integration_and_of_the_design_are_read() -> None:
    environ = Recorder(REQUIRED)
    load_settings(environ)
    assert environ.asked == {*SEED, *OURS} == set(ROWS)


def test_the_defaults_are_those_that_are_documented() -> None:
    assert load_settings(REQUIRED) == Settings(
        bucket="cur-bucket",
        prefix="k8s/prometheus",
        cluster_name="prod",
        cluster_label="cluster",
        split_by_cluster=True,
        scheme="http",
        hostname="localhost",
        port=9090,
        path_prefix="",
        readiness_path="/-/ready",
        wire_gzip=True,
        ca_bundle="",
        catalog="default",
        sigv4_region="",
        sigv4_role_arn="",
        role_arn="",
        role_external_id="",
        auth_secret_arn="",
        time_frame_s=3600,
        query_step_s=60,
        query_delay_s=5.0,
        query_windows=1,
        settle_time_s=600,
        backfill_s=3 * 86_400,
        initial_backfill=None,
        retention_s=30 * 86_400,
        audit_after_s=86_400,
        rate_range_s=300,
        extra_metrics={},
        bucket_kms_key_arn="",
        state_machine_arn="",
    )


@pytest.mark.parametrize("name", [name for name in (*SEED, *OURS) if name not in REQUIRED])
def test_an_empty_variable_counts_as_absent(name: str) -> None:
    assert load_settings({**REQUIRED, name: "  "}) == load_settings(REQUIRED)


@pytest.mark.parametrize(
    ("name", "value", "attribute", "expected"),
    [
        ("S3_BUCKET", "my.bucket-2", "bucket", "my.bucket-2"),
        ("S3_PREFIX", "/k8s/prometheus/", "prefix", "k8s/prometheus"),
        ("S3_PREFIX", "x", "prefix", "x"),
        ("CLUSTER_NAME", "Prod EU/1", "cluster_name", "Prod EU/1"),
        ("CLUSTER_LABEL_NAME", "k8s_cluster_2", "cluster_label", "k8s_cluster_2"),
        ("CLUSTER_LABEL_NAME", "k8s.cluster.name", "cluster_label", "k8s.cluster.name"),
        ("CLUSTER_LABEL_NAME", "1日本/a-b:c", "cluster_label", "1日本/a-b:c"),
        ("HOSTNAME", "mimir.example.com", "hostname", "mimir.example.com"),
        ("HOSTNAME", "prometheus_server.monitoring.svc", "hostname", None),
        ("HOSTNAME", "10.1.2.3", "hostname", "10.1.2.3"),
        ("HOSTNAME", "fd00::12", "hostname", "fd00::12"),
        ("HOSTNAME", "[fd00::12]", "hostname", "fd00::12"),
        ("PORT", "1", "port", 1),
        ("PORT", "65535", "port", 65535),
        ("SCHEME", "https", "scheme", "https"),
        ("SCHEME", "HTTP", "scheme", "http"),
        ("PATH_PREFIX", "data/metrics", "path_prefix", "/data/metrics"),
        ("PATH_PREFIX", "/prometheus/", "path_prefix", "/prometheus"),
        ("PATH_PREFIX", "/", "path_prefix", ""),
        ("METRICS_READINESS_PATH", "ready", "readiness_path", "/ready"),
        ("ROLE_ARN", ROLE, "role_arn", ROLE),
        ("ROLE_ARN", "arn:aws-us-gov:iam::123456789012:role/a/b", "role_arn", None),
        ("TIME_FRAME", "1800", "time_frame_s", 1800),
        ("TIME_FRAME", "2h", "time_frame_s", 7200),
        ("TIME_FRAME", "1d", "time_frame_s", 86_400),
        ("TIME_FRAME", "25200", "time_frame_s", 25_200),
        ("QUERY_STEP", "30", "query_step_s", 30),
        ("QUERY_STEP", "5m", "query_step_s", 300),
        ("QUERY_DELAY", "0", "query_delay_s", 0.0),
        ("QUERY_DELAY", "0.5", "query_delay_s", 0.5),
        ("QUERY_DELAY", "2m", "query_delay_s", 120.0),
        ("QUERY_WINDOWS", "24", "query_windows", 24),
        ("SETTLE_TIME", "0", "settle_time_s", 0),
        ("SETTLE_TIME", "15m", "settle_time_s", 900),
        ("BACKFILL_DAYS", "3", "backfill_s", 3 * 86_400),
        ("BACKFILL_DAYS", "3d", "backfill_s", 3 * 86_400),
        ("BACKFILL_DAYS", "72h", "backfill_s", 3 * 86_400),
        ("BACKFILL_DAYS", "4320m", "backfill_s", 3 * 86_400),
        ("BACKFILL_DAYS", "2w", "backfill_s", 14 * 86_400),
        ("BACKFILL_DAYS", " 3 D ", "backfill_s", 3 * 86_400),
        ("BACKFILL_DAYS", "0.5", "backfill_s", 43_200),
        ("BACKFILL_DAYS", "0", "backfill_s", 0),
        ("RETENTION_DAYS", "0", "retention_s", 0),
        ("AUDIT_AFTER", "0", "audit_after_s", 0),
        ("AUDIT_AFTER", "2d", "audit_after_s", 172_800),
        ("AUDIT_AFTER", "3600", "audit_after_s", 3600),
        ("RETENTION_DAYS", "90", "retention_s", 90 * 86_400),
        ("RETENTION_DAYS", "8w", "retention_s", 56 * 86_400),
        ("SPLIT_BY_CLUSTER", "FALSE", "split_by_cluster", False),
        ("SPLIT_BY_CLUSTER", "0", "split_by_cluster", False),
        ("WIRE_GZIP", "false", "wire_gzip", False),
        ("SPLIT_BY_CLUSTER", "no", "split_by_cluster", False),
        ("SPLIT_BY_CLUSTER", "1", "split_by_cluster", True),
        ("AUTH_SECRET_ARN", SECRET, "auth_secret_arn", SECRET),
        ("BACKFILL_STATE_MACHINE_ARN", "arn:aws:states:x", "state_machine_arn", None),
        ("EXTRA_METRICS", '{"mine": "sum(x)"}', "extra_metrics", {"mine": "sum(x)"}),
        ("RATE_RANGE", "10m", "rate_range_s", 600),
        (
            "INITIAL_BACKFILL_DATE",
            "2026-02-28",
            "initial_backfill",
            datetime(2026, 2, 28, tzinfo=UTC),
        ),
    ],
)
def test_a_variable_means_what_it_says(
    name: str, value: str, attribute: str, expected: object
) -> None:
    found = getattr(load_settings({**REQUIRED, name: value}), attribute)
    assert found == (value if expected is None else expected)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("mimir", "https://mimir:443"),
        ("10.1.2.3", "https://10.1.2.3:443"),
        ("fd00::12", "https://[fd00::12]:443"),
        ("[fd00::12]", "https://[fd00::12]:443"),
    ],
)
def test_the_origin_is_a_url(host: str, origin: str) -> None:
    environ = {**REQUIRED, "SCHEME": "https", "HOSTNAME": host, "PORT": "443"}
    assert load_settings(environ).origin == origin


@given(st.integers(0, 5000), st.sampled_from("smhdw"), st.booleans())
def test_a_duration_with_a_unit_is_the_same_in_each_variable(
    count: int, unit: str, upper: bool
) -> None:
    seconds = count * {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}[unit]
    form = f"{count}{unit.upper() if upper else unit}"
    names = ("BACKFILL_DAYS", "RETENTION_DAYS", "SETTLE_TIME")
    found = load_settings({**REQUIRED, **dict.fromkeys(names, form)})
    assert (found.backfill_s, found.retention_s, found.settle_time_s) == (seconds,) * 3


@pytest.mark.parametrize("name", REQUIRED)
def test_a_required_variable_that_is_missing_is_named(name: str) -> None:
    environ = {key: value for key, value in REQUIRED.items() if key != name}
    assert refusal(environ).startswith(f"Missing {name} (cdk.json: {name.lower()}): it is required")


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("S3_BUCKET", "s3://cur-bucket", "without s3://"),
        ("S3_BUCKET", "cur-bucket/k8s", "without a path"),
        ("S3_BUCKET", "Cur_Bucket", "bucket's name alone"),
        ("S3_PREFIX", "/", "such as k8s/prometheus"),
        ("S3_PREFIX", "a//b", "such as k8s/prometheus"),
        ("S3_PREFIX", "a/../b", "such as k8s/prometheus"),
        ("S3_PREFIX", "a\nb", "such as k8s/prometheus"),
        ("CLUSTER_NAME", "a\tb", "printable"),
        ("CLUSTER_NAME", "\udc80", "printable"),
        ("CLUSTER_NAME", "ü" * 101, "200 bytes"),
        ("CLUSTER_LABEL_NAME", "__name__", "not __name__"),
        *(
            ("CLUSTER_LABEL_NAME", wrong, "a label name")
            for wrong in ('x="y"', "a b", "{x}", "a,b", "x\\", "'", "é" * 101, "a\x00b", "\ud800")
        ),
        ("HOSTNAME", "https://mimir", "SCHEME, PORT and PATH_PREFIX"),
        ("HOSTNAME", "mimir:9090", "SCHEME, PORT and PATH_PREFIX"),
        ("HOSTNAME", "cafe:9090", "SCHEME, PORT and PATH_PREFIX"),
        ("HOSTNAME", "mimir/prometheus", "host name"),
        ("PORT", "http", "1 to 65535"),
        ("PORT", "0", "1 to 65535"),
        ("PORT", "65536", "1 to 65535"),
        ("PORT", "9090.0", "whole number"),
        ("PORT", "９０９０", "whole number"),  # noqa: RUF001 - digits, but not ASCII
        ("SCHEME", "https://", "http or https"),
        ("PATH_PREFIX", "/prom?x=1", "URL path"),
        ("PATH_PREFIX", "/a b", "URL path"),
        ("METRICS_READINESS_PATH", "/-/ready#", "URL path"),
        ("ROLE_ARN", "exporter", "arn:aws:iam::123456789012:role/exporter"),
        ("ROLE_ARN", "arn:aws:iam::123456789012:user/me", "role's ARN"),
        ("TIME_FRAME", "1 hour", "number of seconds"),
        ("TIME_FRAME", "-3600", "90m, 72h, 3d or 2w"),
        ("TIME_FRAME", "0.5", "whole seconds"),
        ("QUERY_STEP", "1e2", "number of seconds"),
        ("QUERY_DELAY", "five", "number of seconds"),
        ("QUERY_WINDOWS", "0", "a whole number from 1 to 48"),
        ("SETTLE_TIME", "10min", "number of seconds"),
        ("BACKFILL_DAYS", "3 days", "number of days"),
        ("BACKFILL_DAYS", "3y", "number of days"),
        ("BACKFILL_DAYS", "٣", "number of days"),
        ("BACKFILL_DAYS", "0.00001", "whole seconds"),
        ("BACKFILL_DAYS", "40000", "100 years"),
        ("RETENTION_DAYS", "never", "number of days"),
        ("RETENTION_DAYS", "-1", "number of days"),
        ("SPLIT_BY_CLUSTER", "maybe", "true or false"),
        ("WIRE_GZIP", "zstd", "true or false"),
        ("INITIAL_BACKFILL_DATE", "31.10.2026", "2026-10-31"),
        ("INITIAL_BACKFILL_DATE", "2026-02-29", "2026-10-31"),
        ("INITIAL_BACKFILL_DATE", "2026", "2026-10-31"),
        ("EXTRA_METRICS", "[]", "JSON object"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(name: str, value: str, allowed: str) -> None:
    text = refusal({**REQUIRED, name: value})
    assert_one_sentence(text)
    assert text.startswith(f"Invalid {name} (cdk.json: {name.lower()}) {value!r}")
    assert allowed in text.partition("expected ")[2]


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"QUERY_STEP": "7"}, ("QUERY_STEP (cdk.json: query_step) 7 s", "divides a day")),
        ({"QUERY_STEP": "0"}, ("QUERY_STEP (cdk.json: query_step) 0 s", "divides a day")),
        ({"QUERY_STEP": "7h"}, ("QUERY_STEP (cdk.json: query_step) 25200 s", "divides a day")),
        ({"QUERY_STEP": "2d"}, ("QUERY_STEP (cdk.json: query_step) 172800 s", "divides a day")),
        (
            {"TIME_FRAME": "3601"},
            ("TIME_FRAME (cdk.json: time_frame) 3601 s", "multiple of QUERY_STEP (60 s)"),
        ),
        (
            {"TIME_FRAME": "30"},
            ("TIME_FRAME (cdk.json: time_frame) 30 s", "multiple of QUERY_STEP (60 s)"),
        ),
        (
            {"TIME_FRAME": "0"},
            ("TIME_FRAME (cdk.json: time_frame) 0 s", "multiple of QUERY_STEP (60 s)"),
        ),
        ({"TIME_FRAME": "86460"}, ("TIME_FRAME (cdk.json: time_frame) 86460 s", "up to 86400")),
        ({"QUERY_DELAY": "301"}, ("QUERY_DELAY (cdk.json: query_delay)", "'301'", "at most 300 s")),
        (
            {"ROLE_EXTERNAL_ID": "id"},
            ("ROLE_EXTERNAL_ID", "ROLE_ARN (cdk.json: role_arn) is not", "both or neither"),
        ),
        ({"S3_PREFIX": "p" * 201}, ("S3_PREFIX", "of 201 bytes", "200 bytes at most")),
        ({"RATE_RANGE": "59"}, ("RATE_RANGE", "expected 60 seconds to 1 day")),
        ({"RATE_RANGE": "soon"}, ("RATE_RANGE", "expected 60 seconds to 1 day")),
        ({"EXTRA_METRICS": "{"}, ("EXTRA_METRICS", "expected a JSON object", "char 1")),
        ({"EXTRA_METRICS": "[" * 5000}, ("EXTRA_METRICS", "expected a JSON object")),
        ({"EXTRA_METRICS": '{"a": "x", "a": "y"}'}, ("EXTRA_METRICS", "duplicate key 'a'")),
        ({"EXTRA_METRICS": '{"1a": "x"}'}, ("EXTRA_METRICS", "name '1a'", "no digit first")),
        ({"EXTRA_METRICS": '{"a/b": "x"}'}, ("EXTRA_METRICS", "name 'a/b'", "letters")),
        ({"EXTRA_METRICS": '{"": "x"}'}, ("EXTRA_METRICS", "name ''", "letters")),
        ({"EXTRA_METRICS": json.dumps({"a" * 101: "x"})}, ("100 characters at most",)),
        ({"EXTRA_METRICS": '{"a": " "}'}, ("EXTRA_METRICS", "PromQL for 'a'")),
        ({"EXTRA_METRICS": '{"a": 1}'}, ("EXTRA_METRICS", "PromQL for 'a'")),
        ({"EXTRA_METRICS": '{"a": {"query": "x"}}'}, ("EXTRA_METRICS", "PromQL for 'a'")),
    ],
)
def test_values_that_do_not_fit_together_are_named(
    environ: dict[str, str], words: tuple[str, ...]
) -> None:
    text = refusal({**REQUIRED, **environ})
    assert_one_sentence(text)
    for word in words:
        assert word in text


def test_a_role_with_its_external_id_is_taken() -> None:
    environ = {**REQUIRED, "ROLE_ARN": ROLE, "ROLE_EXTERNAL_ID": "finout"}
    assert load_settings(environ).role_external_id == "finout"


def test_a_time_frame_need_not_divide_a_day_but_a_step_must() -> None:
    found = load_settings({**REQUIRED, "TIME_FRAME": "5h", "QUERY_STEP": "15"})
    assert (found.time_frame_s, found.query_step_s) == (18_000, 15)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-10-31", datetime(2026, 10, 31, tzinfo=UTC)),
        ("20261031", datetime(2026, 10, 31, tzinfo=UTC)),
        ("2026-10-31T06:00:00", datetime(2026, 10, 31, 6, tzinfo=UTC)),
        ("2026-10-31T06:00:00Z", datetime(2026, 10, 31, 6, tzinfo=UTC)),
        ("2026-10-31T06:00:00+02:00", datetime(2026, 10, 31, 4, tzinfo=UTC)),
        (" 2026-10-31 06:00 ", datetime(2026, 10, 31, 6, tzinfo=UTC)),
        ("1759622400", datetime(2025, 10, 5, tzinfo=UTC)),
        (1759622400, datetime(2025, 10, 5, tzinfo=UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_as_iso_8601_or_unix_seconds(value: object, expected: datetime) -> None:
    assert parse_time("start", value) == expected


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 1.5, [], "", "x", "now", 10**20, "2026-13-01", "1759622400.0", "86400"),
        *("1759622400000", "9" * 5000, "0001-01-01T00:00:00+23:00", "-1759622400"),
    ],
)
def test_what_is_no_moment_is_refused_in_one_sentence(value: object) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_time("start", value)
    assert_one_sentence(str(caught.value))
    assert str(caught.value).startswith(
        f"Invalid start {value!r}: expected a time such as 2026-10-31"
    )


@pytest.mark.parametrize(
    "environ",
    [
        {"PROMETHEUS_AUTH_TOKEN": "hunter2", "PROMETHEUS_BEARER_AUTH_TOKEN": "hunter2"},
        {"PROMETHEUS_AUTH_TOKEN": "hunter2\nx"},
        {"PROMETHEUS_PASSWORD": "hunter2"},
        {"PROMETHEUS_USERNAME": "hunter2:x", "PROMETHEUS_PASSWORD": "hunter2"},
        {"PROMETHEUS_X_SCOPE_ORGID": "hunter2=="},
        {"HOSTNAME": "me:hunter2@mimir"},
        {"HOSTNAME": "https://me:hun@hunter2@mimir/prometheus"},
    ],
)
def test_no_secret_is_in_an_error_or_its_traceback(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({**REQUIRED, **environ})
    assert_one_sentence(str(caught.value))
    assert any(name in str(caught.value) for name in environ)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "hunter2" not in shown


def test_no_secret_is_in_the_repr_of_the_settings() -> None:
    environ = {**REQUIRED, "PROMETHEUS_USERNAME": "me", "PROMETHEUS_PASSWORD": "hunter2"}
    assert "hunter2" not in repr(load_settings(environ))


def test_plain_credentials_are_checked_unless_a_secret_has_them() -> None:
    environ = {**REQUIRED, "PROMETHEUS_USERNAME": "me"}
    assert "PROMETHEUS_PASSWORD is not" in refusal(environ)
    assert load_settings({**environ, "AUTH_SECRET_ARN": SECRET}).auth_secret_arn == SECRET


ANYTHING = st.text(max_size=30) | st.text(st.characters(categories=["Cs", "Cc", "Nd"]), max_size=9)
VALUE = ANYTHING | st.sampled_from(
    ["3d", "1.5", "0", "9" * 13, "1e5", "NaN", "{}", '{"a":"b"}', "[::]", "a" * 300, ROLE, "//"]
)


@given(st.dictionaries(st.sampled_from(SEED + OURS), VALUE, max_size=6))
def test_whatever_value_is_given_is_taken_or_refused_by_its_name(environ: dict[str, str]) -> None:
    given_values = {**REQUIRED, **environ}
    try:
        found = load_settings(given_values)
    except SettingsError as error:
        text = str(error)
        assert "\n" not in text
        assert any(name in text for name in given_values)
    else:
        assert found.time_frame_s % found.query_step_s == 0 == 86_400 % found.query_step_s
        assert 1 <= found.port <= 65_535
        assert min(found.backfill_s, found.retention_s, found.settle_time_s) >= 0


def test_a_date_to_begin_from_is_not_in_the_future() -> None:
    """It would be taken for now: a slip of the year would lose the days that were meant."""
    now = unix("2026-10-31T12:00")
    for date in ("", "2026-10-31", "2026-10-31T12:00:00Z", "2026-10-31T14:00:00+02:00"):
        refuse_future(load_settings({**REQUIRED, "INITIAL_BACKFILL_DATE": date}), now)
    for date in ("2027-10-31", "2026-10-31T12:00:01Z"):
        settings = load_settings({**REQUIRED, "INITIAL_BACKFILL_DATE": date})
        with pytest.raises(SettingsError, match=r"INITIAL_BACKFILL_DATE.*not in the future"):
            refuse_future(settings, now)
