"""S3's own reason is passed on, each with what to change; and a key that its policy wants named.

A proxy before the real store says what only AWS says: policies of endpoints and organizations, KMS.
"""

import pytest

from mimir_exporter.errors import ExportError
from tests.integration import faults
from tests.integration.conftest import MakeProxy
from tests.integration.deployment import Function
from tests.integration.faults import Exchange, Proxy, Request
from tests.some import some

S3_ERROR = "<Error><Code>{}</Code><Message>{}</Message></Error>"
USER = "User: arn:aws:sts::123456789012:assumed-role/exporter/x is not authorized to perform: "
PUT = f"{USER}s3:PutObject on resource: &quot;arn:aws:s3:::b/k&quot; "
KEY = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"


@pytest.fixture
def s3(make_proxy: MakeProxy, single: Function) -> Proxy:
    return make_proxy(single.cloud.endpoint)


@pytest.fixture
def behind(single: Function, s3: Proxy) -> Function:
    return single.with_env(AWS_ENDPOINT_URL=s3.url)


def writes_a_file(request: Request) -> bool:
    return request.method == "PUT" and "metric" in request.path


REASONS = [
    (403, "AccessDenied", "no", "s3_access_denied", "bucket policy"),
    (
        *(403, "AccessDenied", f"{PUT}with an explicit deny in a resource-based policy"),
        *("s3_denied_by_bucket_policy", "s3_kms_key_arn"),
    ),
    (
        *(
            403,
            "AccessDenied",
            f"{PUT}because no VPC endpoint policy allows the s3:PutObject action",
        ),
        *("s3_denied_by_endpoint_policy", "gateway endpoint"),
    ),
    (
        *(403, "AccessDenied", f"{PUT}with an explicit deny in a VPC endpoint policy"),
        *("s3_denied_by_endpoint_policy", "gateway endpoint"),
    ),
    (
        *(403, "AccessDenied", f"{PUT}with an explicit deny in a service control policy"),
        *("s3_denied_by_organization", "service control policies"),
    ),
    (
        *(403, "AccessDenied", f"{PUT}because no permissions boundary allows the action"),
        *("s3_denied_by_organization", "boundaries"),
    ),
    (
        403,
        "AccessDenied",
        f"{USER}kms:GenerateDataKey on resource: {KEY} because no resource-based policy allows it",
        *("s3_key_denied", "kms:GenerateDataKey"),
    ),
    (400, "KMS.DisabledException", f"{KEY} is disabled.", "s3_key_unusable", "enable the key"),
    (400, "KMS.KMSInvalidStateException", "pending deletion", "s3_key_unusable", "deletion"),
    (403, "QuotaExceeded", "bucket quota", "s3_quota_exceeded", "RETENTION_DAYS"),
    (400, "XMinioAdminBucketQuotaExceeded", "", "s3_quota_exceeded", "raise the quota"),
    (400, "ExpiredToken", "The provided token has expired.", "s3_credentials_expired", "fresh"),
    (403, "InvalidAccessKeyId", "none such", "s3_credentials_refused", "access key"),
    (403, "RequestTimeTooSkewed", "too large", "clock_refused", "NTP"),
]


@pytest.mark.parametrize(
    ("status", "code", "says", "kind", "remedy"), REASONS, ids=[str(one[1:4:2]) for one in REASONS]
)
def test_s3_s_own_reason_is_passed_on(
    status: int, code: str, says: str, kind: str, remedy: str, behind: Function, s3: Proxy
) -> None:
    s3.spoil(faults.answer(status, S3_ERROR.format(code, says)), writes_a_file)
    with pytest.raises(ExportError) as caught:
        behind.export()
    details = caught.value.details
    assert (details.code, remedy in details.remedy) == (kind, True)
    assert code in details.cause
    # It is S3's matter, and no metric's.
    assert behind.checkpoint()["failures"] == []
    s3.heal()
    assert behind.export()["outcome"] == "complete"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (412, "PreconditionFailed"),
        (409, "OperationAborted"),
        (412, "AConditionOfItsOwn"),
        (409, "TryAgain"),
    ],
)
def test_a_lost_condition_is_recognized_by_its_status(
    status: int, code: str, behind: Function, s3: Proxy
) -> None:
    """Whatever the store calls it: what is there is looked at again."""
    s3.spoil(faults.answer(status, S3_ERROR.format(code, "")), writes_a_file, times=2)
    assert behind.export()["outcome"] == "complete"


@pytest.mark.parametrize("way", ["obstore", "boto3"])
def test_a_bucket_whose_policy_demands_the_key_is_served(
    way: str, behind: Function, s3: Proxy
) -> None:
    """As `s3:x-amz-server-side-encryption-aws-kms-key-id` in a Deny does."""
    denied = S3_ERROR.format(
        "AccessDenied", f"{PUT}with an explicit deny in a resource-based policy"
    )

    def act(exchange: Exchange) -> None:
        headers = exchange.request.headers
        named = headers.get("x-amz-server-side-encryption-aws-kms-key-id")
        if named != KEY or headers.get("x-amz-server-side-encryption") != "aws:kms":
            faults.answer(403, denied)(exchange)
        elif way == "boto3" and "boto" not in headers["user-agent"].lower():
            faults.answer(500)(exchange)
        else:
            exchange.send(exchange.forward())

    s3.spoil(act, lambda r: r.method == "PUT")
    with pytest.raises(ExportError) as caught:
        behind.export()
    assert caught.value.details.code == "s3_denied_by_bucket_policy"
    s3.requests.clear()
    assert behind.with_env(S3_KMS_KEY_ARN=KEY).export()["outcome"] == "complete"
    assert all(
        r.headers["x-amz-server-side-encryption-aws-kms-key-id"] == KEY
        for r in some(s3.requests)
        if r.method == "PUT"
    )
