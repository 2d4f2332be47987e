"""Signed requests, held against a signature that the tests make by hand."""

import pytest
from botocore.credentials import Credentials

from mimir_exporter.errors import StopRunError
from mimir_exporter.source.sigv4 import SERVICE, Signer, open_signer
from tests.signature import canonical_request, signature
from tests.unit.checkpoints import configure

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a-session/token=="
ORIGIN = "https://aps-workspaces.eu-central-1.amazonaws.com:443"
HOST = "aps-workspaces.eu-central-1.amazonaws.com"
QUERY_RANGE = f"{ORIGIN}/workspaces/ws-1a2b/api/v1/query_range"
BODY = b"query=max+by+%28cluster%29%28up%7Bjob%3D~%22a%7Cb%22%7D%29&start=1740826800"
FORM = "application/x-www-form-urlencoded"


def test_the_signature_made_here_is_that_of_the_test_suite_of_aws() -> None:
    """Its vector get-vanilla-query-order-key-case, with all its steps."""
    request = canonical_request(
        "GET",
        "https://example.amazonaws.com/?Param2=value2&Param1=value1",
        {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z"},
        "host;x-amz-date",
        b"",
    )
    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    found = signature(secret, "us-east-1", "service", "20150830T123600Z", request)
    assert found == "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"


def signer(token: str | None = None) -> Signer:
    return Signer("eu-central-1", Credentials(KEY, SECRET, token))


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize(
    ("method", "url", "body", "content_type"),
    [
        ("POST", QUERY_RANGE, BODY, FORM),
        ("GET", f"{ORIGIN}/workspaces/ws-1a2b/api/v1/label/cluster/values?start=2&end=1", None, ""),
        ("GET", f"{ORIGIN}/-/ready", None, ""),
    ],
    ids=["query", "label values", "readiness"],
)
def test_every_request_carries_a_signature_that_aws_accepts(
    method: str, url: str, body: bytes | None, content_type: str, token: str | None
) -> None:
    added = signer(token).sign(method, url, body, content_type)
    moment = added["X-Amz-Date"]
    algorithm, _, rest = added["Authorization"].partition(" ")
    fields = dict(part.split("=", 1) for part in rest.split(", "))
    assert algorithm == "AWS4-HMAC-SHA256"
    assert fields["Credential"] == f"{KEY}/{moment[:8]}/eu-central-1/{SERVICE}/aws4_request"
    assert SERVICE == "aps"
    sent = {"host": HOST, "x-amz-date": moment, "content-type": content_type}
    if token:
        assert added["X-Amz-Security-Token"] == token
        sent["x-amz-security-token"] = token
    sent = {name: value for name, value in sent.items() if value}
    assert fields["SignedHeaders"] == ";".join(sorted(sent))
    request = canonical_request(method, url, sent, fields["SignedHeaders"], body or b"")
    assert fields["Signature"] == signature(SECRET, "eu-central-1", "aps", moment, request)


def test_another_body_is_another_signature() -> None:
    one, other = (signer().sign("POST", QUERY_RANGE, body, FORM) for body in (BODY, BODY + b"0"))
    assert one["X-Amz-Date"] <= other["X-Amz-Date"]
    assert one["Authorization"] != other["Authorization"]


def test_what_was_sent_is_known_as_secret_and_the_key_is_not_sent() -> None:
    made = signer(TOKEN)
    added = made.sign("POST", QUERY_RANGE, BODY, FORM)
    assert made.secrets == (added["Authorization"].rpartition("=")[2], TOKEN)
    assert SECRET not in "".join(added.values())


def test_there_is_no_signer_without_a_region() -> None:
    assert open_signer(configure()) is None


def test_without_credentials_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StopRunError, match="no AWS credentials to sign with"):
        open_signer(configure(SIGV4_REGION="eu-central-1"))
