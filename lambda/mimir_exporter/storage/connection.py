"""Where the bucket is, whose keys sign, whom to trust: for obstore, and for boto3.

A Lambda function's environment says all of it, and then boto3, whose import and first client take
longer than everything else at a start, is not needed to write files. What it does not say
(profiles, files, other partitions, a role to assume), botocore finds out.
"""

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .. import __version__
from .client_config import CLIENT_CONFIG, ClientConfig
from .clock import ask_date

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from obstore.store import S3Credential, S3Store

# What else may say where S3 is, or who asks: with any of these, botocore is asked.
_OF_BOTOCORE = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_CREDENTIAL_EXPIRATION",
)
_CONFIG_FILES = {
    "AWS_CONFIG_FILE": "~/.aws/config",
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
}
# The regions of the partitions `aws` and `aws-us-gov`, whose hosts end in amazonaws.com.
_REGION = re.compile(r"(us|eu|ap|sa|ca|me|af|il|mx|us-gov)-[a-z]+-[0-9]+")
# A bucket that can be a host's first label, under one certificate for all of a region.
_HOST_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
# botocore knows when to renew keys, so it is asked often: obstore asks again, ten times a second at
# most, once keys last for less than five minutes.
_KEYS_LAST_S = 60


@dataclass(frozen=True)
class Endpoint:
    """The bucket's URL, without a slash at its end, and the region to sign for."""

    url: str
    region: str
    is_virtual_hosted: bool


class S3Connection:
    """The clients of one bucket, each made when it is first needed, by whichever thread."""

    def __init__(
        self,
        bucket: str,
        config: ClientConfig = CLIENT_CONFIG,
        role_arn: str = "",
        external_id: str = "",
        kms_key_arn: str = "",
    ) -> None:
        """`kms_key_arn` is named with each write: there are buckets whose policy demands that."""
        self._bucket = bucket
        self._config = config
        self._role = (role_arn, external_id)
        self._kms_key_arn = kms_key_arn
        self._environ = dict(os.environ)
        self._lock = RLock()
        self.unanswered = 0  # requests in a row that obstore failed at, S3's refusals aside

    @property
    def client(self) -> "S3Client":
        """boto3's. Raises StopRunError where a role cannot be assumed."""
        with self._lock:
            return self._client

    @cached_property
    def _client(self) -> "S3Client":
        client: S3Client = self._session.client("s3", config=self._config.of_boto3)
        if key := self._kms_key_arn:
            header = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}

            def name_key(params: dict[str, Any], **_: object) -> None:
                params.update(header)

            client.meta.events.register("provide-client-params.s3.PutObject", name_key)
        return client

    @cached_property
    def _session(self) -> Any:
        from .role import open_session  # noqa: PLC0415 - imports boto3

        return open_session(*self._role, self._config)

    @property
    def store(self) -> "S3Store | None":
        """obstore's, for the same bucket with the same keys; None where there are no keys.

        Raises StopRunError where a role cannot be assumed.
        """
        with self._lock:
            return self._store

    @cached_property
    def _store(self) -> "S3Store | None":
        from obstore.store import S3Store  # noqa: PLC0415 - not for who has no bucket

        # obstore has a thread for each CPU otherwise, and waking each other takes a tenth of the
        # CPU of a window of many files. One sends as much as a function's network takes.
        os.environ.setdefault("TOKIO_WORKER_THREADS", "1")
        provider, endpoint = self._credential_provider(), self.endpoint
        if provider is None or endpoint is None:
            return None
        return S3Store(self._bucket, credential_provider=provider, **self._options(endpoint))

    def _options(self, endpoint: Endpoint) -> Any:
        client: dict[str, Any] = {
            "allow_http": endpoint.url.startswith("http:"),
            "connect_timeout": f"{self._config.connect_s * 1000:.0f}ms",
            "timeout": f"{self._config.read_s * 1000:.0f}ms",
            "user_agent": f"mimir-exporter/{__version__}",
            # Idle ones are closed by S3 after a few seconds.
            "pool_idle_timeout": "4s",
        }
        if self.ca_bundle:
            # Instead of the system's, as botocore has it.
            client |= {
                "root_certificate": Path(self.ca_bundle).read_bytes(),
                "disable_system_certificates": True,
            }
        encryption = (
            {"server_side_encryption": "aws:kms", "sse_kms_key_id": self._kms_key_arn}
            if self._kms_key_arn
            else {}
        )
        return encryption | {
            # Both: obstore prefers the second, and takes it from the environment otherwise.
            "endpoint": endpoint.url,
            "aws_endpoint_url_s3": endpoint.url,
            "virtual_hosted_style_request": endpoint.is_virtual_hosted,
            "region": endpoint.region,
            "client_options": client,
            "retry_config": {
                "max_retries": self._config.attempts - 1,
                "retry_timeout": timedelta(seconds=self._config.read_s * 2),
                "backoff": {
                    "init_backoff": timedelta(seconds=0.1),
                    "max_backoff": timedelta(seconds=2),
                    "base": 2,
                },
            },
        }

    @cached_property
    def endpoint(self) -> Endpoint | None:
        """Where the bucket is; None where not even botocore can say it."""
        if self._says_all:
            found = find_endpoint(self._bucket, self._environ)
            if found:
                return found
        return self._endpoint_of_botocore()

    def ask_date(self) -> str | None:
        """What time it is by the server; None where it does not say."""
        if self.endpoint is None:
            return None
        bucket = f"://{self._bucket}."
        origin = self.endpoint.url.replace(bucket, "://", self.endpoint.is_virtual_hosted)
        return ask_date(origin, self.ca_bundle, self._config.connect_s)

    @cached_property
    def ca_bundle(self) -> str:
        """A file of authorities to trust instead of the system's, or ""."""
        if self._says_all:
            names = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
            return next((value for name in names if (value := self._environ.get(name))), "")
        configured = self._session._session.get_config_variable("ca_bundle")
        return str(configured or self._environ.get("REQUESTS_CA_BUNDLE", ""))

    @property
    def _says_all(self) -> bool:
        """Whether the environment alone says where S3 is and who asks."""
        return (
            not self._role[0]
            and not any(self._environ.get(name) for name in _OF_BOTOCORE)
            and not any(
                os.path.isfile(os.path.expanduser(self._environ.get(name, usual)))
                for name, usual in _CONFIG_FILES.items()
            )
            and bool(self._environ.get("AWS_ACCESS_KEY_ID"))
            and bool(self._environ.get("AWS_SECRET_ACCESS_KEY"))
        )

    def _endpoint_of_botocore(self) -> Endpoint | None:
        from .role import find_url  # noqa: PLC0415 - imports boto3

        bucket = self._bucket
        client = self._session.client("s3", config=self._config.of_boto3)
        url = find_url(client, bucket)
        if url is None:
            return None
        parts = urlsplit(url)
        is_virtual_hosted = parts.netloc.startswith(f"{bucket}.")
        region = client.meta.region_name or "us-east-1"
        return Endpoint(f"{parts.scheme}://{parts.netloc}", region, is_virtual_hosted)

    def _credential_provider(self) -> "Callable[[], S3Credential] | None":
        if self._says_all:
            environ = self._environ
            fixed: S3Credential = {
                "access_key_id": environ["AWS_ACCESS_KEY_ID"],
                "secret_access_key": environ["AWS_SECRET_ACCESS_KEY"],
                "token": environ.get("AWS_SESSION_TOKEN") or environ.get("AWS_SECURITY_TOKEN"),
                "expires_at": None,  # a function's environment is never given other ones
            }
            return lambda: fixed
        credentials = self._session.get_credentials()
        if credentials is None:
            return None

        def provide() -> "S3Credential":
            keys = credentials.get_frozen_credentials()
            return {
                "access_key_id": keys.access_key,
                "secret_access_key": keys.secret_key,
                "token": keys.token,
                "expires_at": datetime.fromtimestamp(time.time() + _KEYS_LAST_S, UTC),
            }

        return provide


def find_endpoint(bucket: str, environ: Mapping[str, str]) -> Endpoint | None:
    """Where botocore would find the bucket; None where only botocore knows.

    At an endpoint of one's own it uses path style.
    """
    region = environ.get("AWS_DEFAULT_REGION", "")
    url = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
    if not _REGION.fullmatch(region) or not _HOST_LABEL.fullmatch(bucket):
        return None
    if url is None:
        return Endpoint(f"https://{bucket}.s3.{region}.amazonaws.com", region, True)
    parts = urlsplit(url)
    if parts.path.strip("/") or parts.query or not parts.hostname:
        return None
    return Endpoint(f"{parts.scheme}://{parts.netloc}", region, False)
