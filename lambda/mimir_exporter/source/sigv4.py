"""Requests signed as AWS does (SigV4), for Amazon Managed Service for Prometheus."""

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    Credentials,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session

from ..errors import source as errors
from ..settings.settings import Settings
from .secret import AUTH_CLIENT_TIMEOUTS

SERVICE = "aps"
_ADDED = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token")


class Signer:
    """Signs as whoever `credentials` are of, in one region."""

    def __init__(self, region: str, credentials: Credentials, role_arn: str = "") -> None:
        self._region = region
        self._credentials = credentials
        self._role_arn = role_arn
        self._shown: tuple[str, ...] = ()

    def sign(self, method: str, url: str, body: bytes | None, content_type: str) -> dict[str, str]:
        """The headers to send beside the request's own.

        To be made anew for each request, also for the same one again: the time is in it, and five
        minutes later AWS refuses it. Raises StopRunError.
        """
        headers = {"Content-Type": content_type} if content_type else {}
        request = AWSRequest(method, url, headers=headers, data=body)
        try:
            keys = self._credentials.get_frozen_credentials()
            SigV4Auth(keys, SERVICE, self._region).add_auth(request)
        except (ClientError, BotoCoreError) as error:
            raise errors.SIGNER_ROLE_DENIED(
                arn=self._role_arn, cause=f"{type(error).__name__}: {str(error).splitlines()[0]}"
            ) from error
        added = {name: request.headers[name] for name in _ADDED if name in request.headers}
        self._shown = (added["Authorization"].rpartition("Signature=")[2], keys.token or "")
        return added

    @property
    def secrets(self) -> tuple[str, ...]:
        """What was sent last and no log may show: the signature and the session's token."""
        return tuple(filter(None, self._shown))


def open_signer(settings: Settings) -> Signer | None:
    """As SIGV4_ROLE_ARN, or with the process's own credentials; None without SIGV4_REGION.

    Raises StopRunError where there are no credentials.
    """
    if not settings.sigv4_region:
        return None
    session = get_session()
    session.set_config_variable("region", settings.sigv4_region)
    session.set_default_client_config(Config(**AUTH_CLIENT_TIMEOUTS))
    own = session.get_credentials()
    if own is None:
        raise errors.NO_AWS_CREDENTIALS_TO_SIGN()
    if not settings.sigv4_role_arn:
        return Signer(settings.sigv4_region, own)
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=session.create_client,
        source_credentials=own,
        role_arn=settings.sigv4_role_arn,
        extra_args={"RoleSessionName": "mimir-exporter"},
    )
    # Assumes the role when the first request is signed, and again before its hour is over.
    assumed = DeferredRefreshableCredentials(
        method="assume-role", refresh_using=fetcher.fetch_credentials
    )
    return Signer(settings.sigv4_region, assumed, settings.sigv4_role_arn)
