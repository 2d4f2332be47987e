"""Who we are to Mimir: the PROMETHEUS_ variables, from the environment or from one secret."""

import html
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from ..errors import SettingsError
from ..errors import source as errors
from ..settings.credentials import NAMES, TENANT, Credentials
from ..settings.settings import Settings

# Towards Secrets Manager and STS.
AUTH_CLIENT_TIMEOUTS: Mapping[str, Any] = {
    "connect_timeout": 5,
    "read_timeout": 20,
    "retries": {"mode": "standard", "total_max_attempts": 3},
}


def hide(text: str, secrets: Iterable[str]) -> str:
    """The text without these, as they stand or as JSON, a URL or a page spells them.

    Some gateways send back in an error what they were sent.
    """
    for secret in secrets:
        in_json = [json.dumps(secret, ensure_ascii=plain)[1:-1] for plain in (False, True)]
        spellings = {secret, html.escape(secret), *in_json}
        spellings |= {spelled.replace("/", r"\/") for spelled in in_json}
        spellings |= {quote(secret), quote(secret, safe=""), quote_plus(secret)}
        for spelling in spellings:
            text = text.replace(spelling, "***")
    return text


class CredentialSource:
    """Gives the credentials, and reads the secret again when Mimir refuses them.

    `read_secret(force)` returns the secret's text; `force` skips any cache. Without a secret
    the plain variables are all there is.
    """

    def __init__(
        self, plain: Mapping[str, str], secret_arn: str, read_secret: Callable[[bool], str] | None
    ) -> None:
        self._plain = plain
        self._secret_arn = secret_arn
        self._read_secret = read_secret

    @property
    def from_secret(self) -> bool:
        """Whether there is a secret that could have been rotated."""
        return bool(self._secret_arn)

    def get(self, *, refresh: bool = False) -> Credentials:
        """The credentials now. Raises SettingsError or StopRunError, without any value in it."""
        try:
            return self._read(refresh)
        except SettingsError:
            if refresh or not self.from_secret:
                raise
        # What was kept may have been mended since: nobody waits minutes to see that.
        return self._read(True)

    def _read(self, refresh: bool) -> Credentials:
        if not self._secret_arn or self._read_secret is None:
            return Credentials.from_values(self._plain, "the environment")
        values = _parse_secret(self._read_secret(refresh), self._secret_arn)
        beside = [name for name in NAMES if self._plain.get(name) and name not in values]
        source = f"the secret {self._secret_arn}{' and the environment' if beside else ''}"
        return Credentials.from_values({**self._plain, **values}, source)


def secrets_manager_reader(secret_arn: str) -> Callable[[bool], str]:
    """Reads the secret through Powertools, which keeps it for five minutes.

    The reader raises StopRunError with what to change when Secrets Manager refuses.
    """

    def read(force: bool) -> str:
        # Imported here: without a secret its cost at a cold start buys nothing.
        from aws_lambda_powertools.utilities import parameters  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        # Powertools' own provider, but for its patience: without an endpoint in the VPC, boto3's
        # defaults take five minutes to say so.
        providers = parameters.base.DEFAULT_PROVIDERS  # type: ignore[attr-defined]  # not exported
        if "secrets" not in providers:
            providers["secrets"] = parameters.SecretsProvider(
                boto_config=Config(**AUTH_CLIENT_TIMEOUTS)
            )
        try:
            value = parameters.get_secret(secret_arn, force_fetch=force)
        except parameters.GetParameterError as error:
            cause = type(error.__cause__ or error).__name__
            detail = str(error).splitlines()[0]
            raise errors.SECRET_UNREADABLE(arn=secret_arn, cause=f"{cause}: {detail}") from error
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    return read


def credential_source(
    secret_arn: str, environ: Mapping[str, str] | None = None
) -> CredentialSource:
    """The credentials of this process: its environment beside the secret, which wins."""
    environ = os.environ if environ is None else environ
    plain = {name: environ.get(name, "") for name in NAMES}
    return CredentialSource(
        plain, secret_arn, secrets_manager_reader(secret_arn) if secret_arn else None
    )


def _parse_secret(text: str, secret_arn: str) -> dict[str, str]:
    def invalid(problem: str) -> SettingsError:
        example = json.dumps({TENANT: "my-tenant"})
        return errors.INVALID_SECRET(
            arn=secret_arn, problem=problem, names=", ".join(NAMES), example=example
        )

    try:
        # The decoder's own message quotes the document: it must not be chained.
        values = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise invalid("it is not JSON") from None
    if not isinstance(values, dict):
        raise invalid("it is not a JSON object")
    unknown = sorted(set(values) - set(NAMES))
    if unknown:
        # Key and value may have been swapped: what is not nearly a name of ours is not quoted.
        known = re.fullmatch(r"PROMETHEUS_[A-Z_]*", unknown[0].upper())
        raise invalid(f"unknown key {unknown[0]!r}" if known else "a key is none of its names")
    wrong = [name for name, value in values.items() if not isinstance(value, str)]
    if wrong:
        raise invalid(f"{wrong[0]} is not a string")
    return values


def describe_credentials(settings: Settings, source: CredentialSource) -> str:
    """How requests to the endpoint are authenticated, as the secret is now and without a secret
    value; "" where there is a secret with nothing in it. Raises SettingsError, StopRunError."""
    if settings.sigv4_region:
        signer = settings.sigv4_role_arn or "the exporter's own role"
        return f"SigV4 in {settings.sigv4_region} as {signer}"
    credentials = source.get(refresh=True)
    if settings.auth_secret_arn and credentials == Credentials():
        return ""
    origin = settings.auth_secret_arn or "the environment"
    tenant = "with a tenant" if credentials.tenant else "without a tenant"
    return f"{credentials.method}, {tenant}, from {origin}"
