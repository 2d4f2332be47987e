"""The documented bucket policy suffices, enforced by an AWS that counts roles and policies."""

import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from localcloud.aws import Cloud
from localcloud.prometheus import Prometheus
from mimir_exporter.errors import ExportError
from tests.conftest import MakeCloud
from tests.integration import faults
from tests.integration.conftest import MakeFunction, MakeProxy
from tests.integration.deployment import FEW, HOUR_S, LAST_END, PREFIX, Function
from tests.integration.faults import Answer, Exchange, Proxy, Request
from tests.policies import as_policy, documented, make_writer
from tests.some import some

BUCKET = "cost-data"
EXTERNAL_ID = "made-up-external-id"
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
POLICY = as_policy(*documented(BUCKET, PREFIX))


@pytest.fixture(scope="module")
def strict(make_cloud: MakeCloud) -> Cloud:
    """An AWS that enforces IAM, with the bucket."""
    cloud = make_cloud(enforce_iam=True)
    cloud.create_bucket(BUCKET)
    return cloud


def keys_of(cloud: Cloud, user: str, policy: str) -> dict[str, str]:
    """The variables of a user who may do what `policy` allows."""
    iam: Any = cloud.session.client("iam", **cloud.where)
    iam.create_user(UserName=user)
    iam.put_user_policy(UserName=user, PolicyName="own", PolicyDocument=policy)
    made = iam.create_access_key(UserName=user)["AccessKey"]
    return {
        "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
    }


def deny_what_is_missing(exchange: Exchange) -> None:
    """S3 answers so where only listing with a delimiter is allowed; this server answers 404."""
    answer = exchange.forward()
    exchange.send(Answer(403, DENIED) if answer.status == 404 else answer)


def asks_for_an_object(request: Request) -> bool:
    return request.method in ("GET", "HEAD") and "list-type" not in request.fields


@pytest.fixture
def s3(make_proxy: MakeProxy, strict: Cloud) -> Proxy:
    """A way to `strict` on which missing is denied, as with the real one."""
    proxy = make_proxy(strict.endpoint, strict.certificate)
    proxy.spoil(deny_what_is_missing, asks_for_an_object)
    return proxy


@pytest.fixture
def function(make_function: MakeFunction, strict: Cloud, s3: Proxy) -> Function:
    """One window, a few metrics, of a day that retention soon reaches."""
    plain = make_function(AWS_ENDPOINT_URL=s3.url, S3_BUCKET=BUCKET, RETENTION_DAYS="1h")
    return replace(plain, cloud=strict, bucket=BUCKET, metrics=FEW)


def test_everything_works_within_the_policy(
    function: Function, strict: Cloud, s3: Proxy, mimir: Prometheus
) -> None:
    function = function.with_env(**keys_of(strict, "exporter", POLICY))
    check = function.export({"action": "check"})
    assert [one for one in check["findings"] if one["level"] == "error"] == []
    assert function.export()["outcome"] == "complete"
    assert function.differences(mimir, 1) == []
    again = {"action": "reexport", "start": LAST_END - 3600, "end": LAST_END, "force": True}
    assert function.export(again)["outcome"] == "complete"
    relabelled = function.with_env(CLUSTER_LABEL_NAME="node")
    assert relabelled.export(again)["outcome"] == "complete"
    assert function.export({"action": "status"})["files"]["objects"] > 0
    function.clock.advance(13 * HOUR_S)  # to the next day
    assert function.export()["deleted"] > 0
    # Nothing was refused but to say that it is missing.
    refused = [request for request in s3.requests if request.status == 403]
    assert [(request.method, request.target) for request in refused] == []
    assert any(request.status == 404 for request in s3.requests)


def test_a_role_with_an_external_id_writes_the_bucket(
    function: Function, strict: Cloud, s3: Proxy, make_proxy: MakeProxy
) -> None:
    arn, own = role_and_keys(strict)
    function = function.with_env(**own, ROLE_ARN=arn, ROLE_EXTERNAL_ID=EXTERNAL_ID)
    function = function.with_env(S3_PREFIX=f"{PREFIX}/by-role")
    assert function.export()["outcome"] == "complete"
    written = [request for request in s3.requests if request.method == "PUT"]
    assert written
    assert not any(own["AWS_ACCESS_KEY_ID"] in r.headers["authorization"] for r in written)
    assert all(request.has_checksum for request in some(written))
    wrong = function.with_env(ROLE_EXTERNAL_ID="somebody-elses")
    with pytest.raises(ExportError) as caught:
        wrong.export()
    for words in (arn, "Cannot assume", "AccessDenied", "check ROLE_ARN, ROLE_EXTERNAL_ID"):
        assert words in str(caught.value)
    # `check` reports it, and all else that it found.
    check = wrong.export({"action": "check"})
    (role,) = (one for one in check["findings"] if one["what"] == "role")
    assert (check["outcome"], role["level"]) == ("not_ready", "error")
    assert "ROLE_EXTERNAL_ID" in role["remedy"]
    assert check["metrics"]["node_info"]["series"] == 10
    right = function.export({"action": "check"})
    assert (right["outcome"], f"{arn} is assumed") == (
        "ready",
        next(one["summary"] for one in right["findings"] if one["what"] == "role"),
    )
    assert "\n" not in str(caught.value)
    # A run of a machine of one's own may outlast the role's keys, and gets new ones.
    aws = make_proxy(strict.endpoint, strict.certificate)
    soon = datetime.fromtimestamp(time.time() + 300, UTC).isoformat().encode()
    ends = re.compile(rb"(?<=<Expiration>)[^<]*")
    aws.spoil(faults.alter(lambda body: ends.sub(soon, body)), lambda r: r.method == "POST")
    function = function.with_env(AWS_ENDPOINT_URL=aws.url, S3_PREFIX=f"{PREFIX}/renewed")
    assert function.export()["outcome"] == "complete"
    assert len([request for request in aws.requests if request.method == "POST"]) > 2


def role_and_keys(cloud: Cloud) -> tuple[str, dict[str, str]]:
    """A role for the bucket, and a user who may do nothing but assume it."""
    arn = make_writer(cloud, BUCKET, PREFIX, EXTERNAL_ID)
    may_assume = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": arn}
    return arn, keys_of(cloud, "function", as_policy(may_assume))


def test_a_bucket_of_another_account_is_named(function: Function, strict: Cloud) -> None:
    """Before anything was asked of Mimir."""
    other = as_policy(*documented("another-bucket", PREFIX))
    function = function.with_env(**keys_of(strict, "nobody", other))
    with pytest.raises(ExportError) as caught:
        function.export()
    for words in (f"s3://{BUCKET}/", "AccessDenied", "the function's role", "bucket policy"):
        assert words in str(caught.value)
    check = function.export({"action": "check"})
    assert check["outcome"] == "not_ready"
    assert {one["what"] for one in check["findings"] if one["level"] == "error"} >= {
        "bucket_write",
        "bucket_list",
        "checkpoint",
    }
