"""What `cdk -c` and cdk.json may say, and the one sentence for what they may not."""

import json

import pytest

from infra.deployment.read import read_deployment
from infra.deployment.table import PASSED_ON
from infra.errors import DeploymentError
from mimir_exporter.settings.credentials import NAMES, TENANT, USERNAME
from tests.infra.base_settings import context

KEY_ARN = "arn:aws:kms:eu-central-1:123456789012:key/1"
SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:mimir-AbCdEf"


def test_defaults_of_cdk_json_are_the_function_s_own() -> None:
    """Two places name the defaults: what cdk.json passes must change nothing."""
    passed = read_deployment(context(), {}).settings
    bare = read_deployment(
        context(**dict.fromkeys(set(PASSED_ON) - {"cluster_name", "hostname", "s3_prefix"})),
        {},
    ).settings
    assert passed == bare


def test_settings_reach_the_environment_in_capitals_and_empty_ones_do_not() -> None:
    environment = read_deployment(context(time_frame=1800, split_by_cluster=False), {}).environment
    assert environment["TIME_FRAME"] == "1800"
    assert environment["SPLIT_BY_CLUSTER"] == "false"
    assert environment["CLUSTER_NAME"] == "prod"
    assert "ROLE_ARN" not in environment
    assert "EXTRA_METRICS" not in environment


def test_text_of_the_command_line_means_what_json_means() -> None:
    extra = {"restarts": "sum by (cluster)(x)"}
    from_json = context(port=443, memory_mb=1024, cli_credentials=True, extra_metrics=extra)
    from_text = context(
        port="443", memory_mb="1024", cli_credentials="true", extra_metrics=json.dumps(extra)
    )
    assert read_deployment(from_json, {}) == read_deployment(from_text, {})


def test_a_subnet_list_may_be_text_or_json() -> None:
    ids = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
    for given in (ids, ", ".join(ids)):
        deployment = read_deployment(context(vpc_id="vpc-0123456789abcdef0", subnet_ids=given), {})
        assert list(deployment.subnet_ids) == ids
        assert not deployment.needs_lookup


def test_the_cdk_s_own_context_is_left_alone() -> None:
    keys = {
        "@aws-cdk/core:newStyleStackSynthesis": True,
        "aws:cdk:enable-path-metadata": True,
        "vpc-provider:account=123456789012:region=eu-central-1": {},
    }
    assert read_deployment({**context(), **keys}, {}) == read_deployment(context(), {})


def test_account_and_region_of_a_lookup_come_from_the_cli_unless_given() -> None:
    cli = {"CDK_DEFAULT_ACCOUNT": "123456789012", "CDK_DEFAULT_REGION": "eu-central-1"}
    looked_up = context(vpc_id="vpc-0123456789abcdef0")
    assert read_deployment(looked_up, cli).account == "123456789012"
    assert read_deployment({**looked_up, "region": "us-east-1"}, cli).region == "us-east-1"
    # Without one the template fits any account and region, whoever synthesizes it.
    assert not read_deployment(context(), cli).account


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"cluster_name": ""}, "Missing cluster_name: folder of the exporter's checkpoint"),
        ({"hostname": ""}, "Missing hostname: host name of"),
        (
            {"hostname": "https://mimir"},
            "Invalid HOSTNAME (cdk.json: hostname) 'https://mimir': expected a host name",
        ),
        (
            {"port": "none"},
            "Invalid PORT (cdk.json: port) 'none': expected a whole number from 1 to 65535",
        ),
        ({"port": [1]}, "Invalid port of type list: expected a single value"),
        (
            {"s3_bucket": "s3://files"},
            "Invalid S3_BUCKET (cdk.json: s3_bucket) 's3://files': expected a bucket's name",
        ),
        ({"s3_bucket": ""}, "Invalid s3_bucket '': expected a value"),
        ({"s3_prefix": "k8s/*"}, "Invalid s3_prefix 'k8s/*': expected a path without *"),
        ({"backfill_days": "some"}, "Invalid BACKFILL_DAYS (cdk.json: backfill_days) 'some'"),
        (
            {"time_frame": 3601},
            "Invalid TIME_FRAME (cdk.json: time_frame) 3601 s: expected a multiple of QUERY_STEP",
        ),
        (
            {"extra_metrics": {"cpu_usage": "x"}},
            "Invalid EXTRA_METRICS: the catalogue has a metric 'cpu_usage'",
        ),
        ({"extra_metrics": {"mine": " "}}, "(cdk.json: extra_metrics) PromQL for 'mine'"),
        ({"extra_metrics": "{"}, "expected a JSON object"),
        ({"extra_metrics": {"mine": "x" * 4000}}, "of the function's environment, of which Lambda"),
        ({"role_external_id": "abc"}, "(cdk.json: role_external_id) is set, and ROLE_ARN"),
        (
            {"role_arn": "arn:aws:iam::123456789012:role/x"},
            "s3_bucket is 'new' but role_arn is set",
        ),
        ({"s3_kms_key_arn": KEY_ARN}, "s3_kms_key_arn is set but s3_bucket is 'new'"),
        (
            {
                "s3_kms_key_arn": KEY_ARN,
                "s3_bucket": "elsewhere",
                "role_arn": "arn:aws:iam::123456789012:role/x",
            },
            "s3_kms_key_arn and role_arn are set",
        ),
        ({"auth_secret_arn": "mimir"}, "Invalid auth_secret_arn 'mimir': expected 'new'"),
        ({"auth_secret_arn": SECRET_ARN[:-7]}, "the six characters at its end"),
        (
            {"auth_secret_arn": "none", "prometheus_username": "me"},
            "prometheus_username is set but auth_secret_arn is 'none'",
        ),
        ({"vpc_id": "default"}, "Invalid vpc_id 'default': expected an id such as"),
        (
            {"vpc_id": "vpc-0123456789abcdef0"},
            "must be looked up, as subnet_ids is not set; give subnet_ids",
        ),
        ({"subnet_ids": "subnet-0123456789abcdef0"}, "vpc_id is 'new' but subnet_ids"),
        (
            {"vpc_id": "vpc-0123456789abcdef0", "subnet_ids": "subnet-0123456789abcdef0,eu"},
            "Invalid subnet_ids 'subnet-0123456789abcdef0,eu': expected ids such as",
        ),
        ({"vpc_id": ""}, "Missing vpc_id: it is required"),
        ({"vpc_cidr": "10.0.0.1/16"}, "Invalid vpc_cidr '10.0.0.1/16': expected CIDR blocks"),
        ({"dns_servers": "resolver"}, "Invalid dns_servers 'resolver': expected CIDR blocks or"),
        ({"vpc_id": "none", "dns_servers": "10.0.0.2"}, "dns_servers is set, but no security"),
        ({"ipv6": True}, "ipv6 is set without an existing VPC; give one whose"),
        ({"hostname": "2001:db8::1"}, "The hostname 2001:db8::1 is an IPv6 address; set ipv6=true"),
        ({"memory_mb": 64}, "Invalid memory_mb '64': expected a whole number from 128 to 10240"),
        ({"timeout_s": "15m"}, "Invalid timeout_s '15m': expected a whole number from 60 to 900"),
        ({"architecture": "arm"}, "Invalid architecture 'arm': expected arm64 or x86_64"),
        ({"python_version": "3.10"}, "Invalid python_version '3.10': expected 3.11"),
        ({"log_retention_days": 31}, "Invalid log_retention_days '31': expected 1, 3, 5"),
        ({"schedule_minutes": 0}, "Invalid schedule_minutes '0': expected a whole number from 1"),
        (
            {"reader_principal_arn": "finout", "reader_external_id": "abc"},
            "Invalid reader_principal_arn 'finout': expected an account's 12 digits",
        ),
        (
            {"reader_principal_arn": "123456789012", "reader_external_id": "a b"},
            "Invalid reader_external_id 'a b': expected 2 to 1224 letters",
        ),
        (
            {"reader_principal_arn": "123456789012"},
            "reader_principal_arn is set but reader_external_id is not",
        ),
        (
            {"reader_external_id": "abc"},
            "reader_external_id is set but reader_principal_arn is not",
        ),
        (
            {
                "reader_principal_arn": "123456789012",
                "reader_external_id": "abc",
                "s3_bucket": "elsewhere",
                "role_arn": "arn:aws:iam::123456789012:role/x",
            },
            "reader_principal_arn is set with role_arn",
        ),
        ({"alarm_email": "on call"}, "Invalid alarm_email 'on call': expected an e-mail address"),
        (
            {"alarm_topic_arn": "oncall"},
            "Invalid alarm_topic_arn 'oncall': expected an SNS topic's ARN",
        ),
        (
            {"alarm_email": "a@b.c", "alarm_topic_arn": "arn:aws:sns:eu-central-1:123456789012:x"},
            "alarm_email and alarm_topic_arn are both set",
        ),
        ({"alarm_lag_s": "3h"}, "Invalid alarm_lag_s '3h': expected a whole number from 1"),
        (
            {"alarm_lag_s": 6000},
            "Invalid alarm_lag_s 6000: expected more than 6000 s (TIME_FRAME + SETTLE_TIME",
        ),
        ({"backfill_concurrency": "all"}, "Invalid backfill_concurrency 'all'"),
        ({"cli_credentials": "maybe"}, "Invalid cli_credentials 'maybe': expected true or false"),
        ({"stack_name": "my_stack"}, "Invalid stack_name 'my_stack': expected a name of letters"),
        ({"log_level": "LOUD"}, "Invalid log_level 'LOUD': expected DEBUG"),
        ({"s3_bukcet": "files"}, "Unknown deployment setting s3_bukcet; use s3_bucket [unknown_"),
        ({"HOSTNAME": "mimir"}, "Unknown deployment setting HOSTNAME; use hostname [unknown_"),
        ({"zzz": "1"}, "Unknown deployment setting zzz; use one of those that cdk.json lists"),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_a_wrong_setting_is_one_sentence(settings: dict[str, object], said: str) -> None:
    with pytest.raises(DeploymentError) as raised:
        read_deployment({**context(), **settings}, {})
    sentence = str(raised.value)
    assert said in sentence
    assert "\n" not in sentence
    assert sentence.endswith(f" [{raised.value.details.code}]")
    assert raised.value.details.remedy


@pytest.mark.parametrize("name", sorted({*NAMES} - {USERNAME, TENANT}))
def test_a_secret_is_refused_and_not_repeated(name: str) -> None:
    for spelling in (name, name.lower()):
        with pytest.raises(
            DeploymentError, match="is a secret; store it in Secrets Manager"
        ) as raised:
            read_deployment({**context(), spelling: "hunter2"}, {})
        assert "hunter2" not in str(raised.value)


def test_an_unknown_name_is_refused_without_its_value() -> None:
    with pytest.raises(DeploymentError) as raised:
        read_deployment({**context(), "prometheus_pasword": "hunter2"}, {})
    assert "hunter2" not in str(raised.value)
