"""Where the bucket is and who asks for it, found without boto3 wherever that is certain."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
import botocore.session
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimir_exporter.storage.connection import Endpoint, S3Connection, find_endpoint
from mimir_exporter.storage.role import find_url

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SESSION = botocore.session.get_session()
REGIONS = {
    region: SESSION.get_component("endpoint_resolver").get_partition_dns_suffix(partition)
    for partition in SESSION.get_available_partitions()
    for region in SESSION.get_available_regions("s3", partition)
}
SHAPES = (None, "http://127.0.0.1:4566", "http://[::1]:4566", "https://s3.example.com:9000/")


@lru_cache
def client_of(region: str, endpoint: str | None) -> "S3Client":
    return boto3.Session().client("s3", region, endpoint_url=endpoint)


def botocore_s(bucket: str, region: str, endpoint: str | None) -> Endpoint:
    """Where boto3 would send a request."""
    url = urlsplit(find_url(client_of(region, endpoint), bucket) or "")
    is_virtual = url.netloc.startswith(f"{bucket}.")
    return Endpoint(f"{url.scheme}://{url.netloc}", region, is_virtual)


def test_a_region_of_another_partition_is_left_to_botocore() -> None:
    assert {"us-gov-west-1", "cn-north-1", "us-iso-east-1", "eusc-de-east-1"} <= REGIONS.keys()
    for region, suffix in REGIONS.items():
        found = find_endpoint("cost-data", {"AWS_DEFAULT_REGION": region})
        assert (found is not None) == (suffix == "amazonaws.com"), region


@given(
    bucket=st.from_regex(r"[a-z0-9][a-z0-9.-]{1,20}[a-z0-9]", fullmatch=True),
    region=st.sampled_from(["eu-central-1", "us-east-2", "us-gov-west-1", "ap-southeast-7"]),
    endpoint=st.sampled_from(SHAPES),
)
@settings(max_examples=100)
def test_a_bucket_is_where_botocore_finds_it(
    bucket: str, region: str, endpoint: str | None
) -> None:
    environ = {"AWS_DEFAULT_REGION": region}
    if endpoint:
        environ["AWS_ENDPOINT_URL_S3"] = endpoint
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        found = find_endpoint(bucket, environ)
        if found is not None:
            assert found == botocore_s(bucket, region, endpoint)
        else:
            assert "." in bucket


KEYS = {"AWS_ACCESS_KEY_ID": "AKIDOWN", "AWS_SECRET_ACCESS_KEY": "own", "AWS_SESSION_TOKEN": "t"}


def test_keys_of_a_function_are_those_of_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("boto3.Session", None)  # not needed
    connection = S3Connection("cost-data")
    provide = connection._credential_provider()
    assert provide is not None
    keys = provide()
    assert (keys["access_key_id"], keys["secret_access_key"]) == ("AKIDOWN", "own")
    assert keys["token"] == "t"
    assert connection.store is not None


def test_a_profile_is_for_botocore_to_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its keys, its region, its endpoint and its authorities."""
    config = tmp_path / "config"
    lines = (
        "[profile own]",
        "region = eu-south-2",
        "endpoint_url = http://127.0.0.1:7",
        f"ca_bundle = {tmp_path}/own.pem",
        "aws_access_key_id = AKIDFILE",
        "aws_secret_access_key = made-up",
    )
    config.write_text("\n".join(lines))
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "own")
    connection = S3Connection("cost-data")
    assert connection.endpoint == Endpoint("http://127.0.0.1:7", "eu-south-2", False)
    assert connection.ca_bundle == f"{tmp_path}/own.pem"
    provide = connection._credential_provider()
    assert provide is not None
    assert provide()["access_key_id"] == "AKIDFILE"


def test_without_keys_boto3_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert S3Connection("cost-data").store is None
