"""What `cdk -c` and cdk.json may say, and the one sentence for what they may not."""

import json

import pytest

from infra import ROOT
from infra.deployment.context import DeploymentError
from infra.deployment.read import read_deployment
from infra.deployment.settings import OWN, PASSED_ON
from mimir_exporter.source.auth import NAMES, TENANT, USERNAME
from tests.infra.given import context

KEY_ARN = "arn:aws:kms:eu-central-1:123456789012:key/1"
SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:mimir-AbCdEf"


def test_cdk_json_lists_every_setting_and_no_other() -> None:
    listed = json.loads((ROOT / "cdk.json").read_text("utf-8"))["context"]
    assert set(listed) == {*PASSED_ON, *OWN}


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


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"cluster_name": ""}, "cluster_name is not set; give a name for the folder"),
        ({"hostname": ""}, "hostname is not set; give"),
        ({"hostname": "https://mimir"}, "HOSTNAME is 'https://mimir'; a host name"),
        ({"port": "none"}, "PORT is 'none'; a whole number from 1 to 65535"),
        ({"port": [1]}, "port is a list; a single value"),
        ({"s3_bucket": "s3://files"}, "S3_BUCKET is 's3://files'; a bucket's name"),
        ({"s3_bucket": ""}, "S3_BUCKET is not set"),
        ({"s3_prefix": "k8s/*"}, "s3_prefix is 'k8s/*'; a path without *"),
        ({"backfill_days": "some"}, "BACKFILL_DAYS is 'some'"),
        ({"time_frame": 3601}, "TIME_FRAME is 3601 s; a multiple of QUERY_STEP"),
        ({"extra_metrics": {"cpu_usage": "x"}}, "EXTRA_METRICS has the name 'cpu_usage', which"),
        ({"extra_metrics": {"mine": " "}}, "EXTRA_METRICS has no PromQL for 'mine'"),
        ({"extra_metrics": "{"}, "EXTRA_METRICS is not a JSON object"),
        ({"extra_metrics": {"mine": "x" * 4000}}, "of the function's environment, of which Lambda"),
        ({"role_external_id": "abc"}, "ROLE_EXTERNAL_ID is set but ROLE_ARN is not"),
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
        ({"auth_secret_arn": "mimir"}, "auth_secret_arn is 'mimir'; 'new'"),
        ({"auth_secret_arn": SECRET_ARN[:-7]}, "the six characters at its end"),
        (
            {"auth_secret_arn": "none", "prometheus_username": "me"},
            "prometheus_username is set but auth_secret_arn is 'none'",
        ),
        ({"vpc_id": "default"}, "vpc_id is 'default'; 'new'"),
        ({"vpc_id": "vpc-0123456789abcdef0"}, "its subnets must be looked up; give subnet_ids"),
        ({"subnet_ids": "subnet-0123456789abcdef0"}, "vpc_id is 'new' but subnet_ids"),
        (
            {"vpc_id": "vpc-0123456789abcdef0", "subnet_ids": "subnet-0123456789abcdef0,eu"},
            "subnet_ids has 'eu'; ids such as",
        ),
        ({"memory_mb": 64}, "memory_mb is '64'; a whole number from 128 to 10240"),
        ({"timeout_s": "15m"}, "timeout_s is '15m'; a whole number from 60 to 900"),
        ({"architecture": "arm"}, "architecture is 'arm'; one of arm64, x86_64"),
        ({"python_version": "3.10"}, "python_version is '3.10'; one of 3.11"),
        ({"log_retention_days": 31}, "log_retention_days is '31'; one of 1, 3, 5"),
        ({"schedule_minutes": 0}, "schedule_minutes is '0'; a whole number from 1"),
        (
            {"reader_principal_arn": "finout", "reader_external_id": "abc"},
            "reader_principal_arn is 'finout'; an account's 12 digits or a role's ARN",
        ),
        (
            {"reader_principal_arn": "123456789012", "reader_external_id": "a b"},
            "reader_external_id is 'a b'; 2 to 1224 letters",
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
        ({"alarm_email": "on call"}, "alarm_email is 'on call'; an e-mail address"),
        ({"alarm_topic_arn": "oncall"}, "alarm_topic_arn is 'oncall'; an SNS topic's ARN"),
        (
            {"alarm_email": "a@b.c", "alarm_topic_arn": "arn:aws:sns:eu-central-1:123456789012:x"},
            "alarm_email and alarm_topic_arn are both set",
        ),
        ({"alarm_lag_s": "3h"}, "alarm_lag_s is '3h'; a whole number from 1"),
        ({"alarm_lag_s": 6000}, "alarm_lag_s is 6000; more than 6000 s (TIME_FRAME + SETTLE_TIME"),
        ({"backfill_concurrency": "all"}, "backfill_concurrency is 'all'"),
        ({"cli_credentials": "yes"}, "cli_credentials is 'yes'; one of true, false"),
        ({"stack_name": "my_stack"}, "stack_name is 'my_stack'; a name of letters"),
        ({"log_level": "LOUD"}, "log_level is 'LOUD'; one of DEBUG"),
        ({"s3_bukcet": "files"}, "s3_bukcet is not a deployment setting; did you mean s3_bucket?"),
        ({"HOSTNAME": "mimir"}, "did you mean hostname?"),
        ({"zzz": "1"}, "zzz is not a deployment setting; cdk.json lists all there are."),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_a_wrong_setting_is_one_sentence(settings: dict[str, object], said: str) -> None:
    with pytest.raises(DeploymentError) as raised:
        read_deployment({**context(), **settings}, {})
    sentence = str(raised.value)
    assert said in sentence
    assert "\n" not in sentence
    assert sentence.endswith((".", "?"))


@pytest.mark.parametrize("name", sorted({*NAMES} - {USERNAME, TENANT}))
def test_a_secret_is_refused_and_not_repeated(name: str) -> None:
    for spelling in (name, name.lower()):
        with pytest.raises(DeploymentError, match="must not stand in a template") as raised:
            read_deployment({**context(), spelling: "hunter2"}, {})
        assert "hunter2" not in str(raised.value)


def test_an_unknown_name_is_refused_without_its_value() -> None:
    with pytest.raises(DeploymentError) as raised:
        read_deployment({**context(), "prometheus_pasword": "hunter2"}, {})
    assert "hunter2" not in str(raised.value)
