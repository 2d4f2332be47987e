"""Reading the credentials: from the environment, and from a secret that wins over it."""

import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import SettingsError
from ..errors.source import INVALID_SECRET, SECRET_UNREADABLE
from ..settings.credentials import (
    HTTP_HEADERS,
    OBJECTS,
    SECRET_NAMES,
    TENANT,
    Credentials,
)
from ..settings.settings import Settings
from .proxy import without_password

# Towards Secrets Manager and STS.
AUTH_CLIENT_TIMEOUTS: Mapping[str, Any] = {
    "connect_timeout": 5,
    "read_timeout": 20,
    "retries": {"mode": "standard", "total_max_attempts": 3},
}


class CredentialSource:
    """Gives the credentials, and reads the secret again when the endpoint refuses them.

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
        # The cached secret may be stale: fetch once more.
        return self._read(True)

    def _read(self, refresh: bool) -> Credentials:
        if not self._secret_arn or self._read_secret is None:
            return Credentials.from_values(self._plain, "the environment")
        values = parse_secret(self._read_secret(refresh), self._secret_arn)
        beside = [name for name in SECRET_NAMES if self._plain.get(name) and name not in values]
        source = f"the secret {self._secret_arn}{' and the environment' if beside else ''}"
        both = [place.get(HTTP_HEADERS, "") for place in (self._plain, values)]
        merged = {**self._plain, **values, HTTP_HEADERS: _merge(*both)}
        return Credentials.from_values(merged, source)


def credential_source(
    secret_arn: str, environ: Mapping[str, str] | None = None
) -> CredentialSource:
    """The credentials of this process: its environment beside the secret, which wins."""
    environ = os.environ if environ is None else environ
    plain = {name: environ.get(name, "") for name in SECRET_NAMES}
    return CredentialSource(
        plain, secret_arn, secrets_manager_reader(secret_arn) if secret_arn else None
    )


def secrets_manager_reader(secret_arn: str) -> Callable[[bool], str]:
    """Reads the secret through Powertools, which keeps it for five minutes.

    The reader raises StopRunError with what to change when Secrets Manager refuses.
    """

    def read(force: bool) -> str:
        # Imported here: without a secret its cost at a cold start buys nothing.
        from aws_lambda_powertools.utilities import parameters  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        # Powertools' own provider, but for its time-outs: without an endpoint in the VPC, boto3's
        # defaults take five minutes to say so.
        providers = parameters.base.DEFAULT_PROVIDERS  # type: ignore[attr-defined]  # not exported
        if "secrets" not in providers:
            providers["secrets"] = parameters.SecretsProvider(
                boto_config=Config(**AUTH_CLIENT_TIMEOUTS)
            )
        try:
            value = parameters.get_secret(secret_arn, force_fetch=force)
        except parameters.GetParameterError as error:
            kind = type(error.__cause__ or error).__name__
            raise SECRET_UNREADABLE(arn=secret_arn, cause=f"{kind}: {error}") from error
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    return read


def parse_secret(text: str, secret_arn: str) -> dict[str, str]:
    """The PROMETHEUS_ values of a secret's text. Raises SettingsError, without any value in it."""

    def invalid(problem: str) -> SettingsError:
        return INVALID_SECRET(
            arn=secret_arn,
            problem=problem,
            names=", ".join(SECRET_NAMES),
            example=f'{{"{TENANT}": "my-tenant"}}',
        )

    try:
        # The decoder's own message quotes the document: it must not be chained.
        values = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise invalid("it is not JSON") from None
    if not isinstance(values, dict):
        raise invalid("it is not a JSON object")
    unknown = sorted(set(values) - set(SECRET_NAMES))
    if unknown:
        # Key and value may have been swapped: what is not nearly a name of ours is not quoted.
        known = re.fullmatch(r"PROMETHEUS_[A-Z0-9_]*", unknown[0].upper())
        raise invalid(
            f"it has the unknown key {unknown[0]!r}"
            if known
            else "it has a key that is none of its names"
        )
    for name in OBJECTS:
        if isinstance(values.get(name), dict):
            values[name] = json.dumps(values[name])
    wrong = [name for name, value in values.items() if not isinstance(value, str)]
    if wrong:
        raise invalid(f"{wrong[0]} is not a string")
    return values


def describe_credentials(settings: Settings, source: CredentialSource) -> str:
    """How requests to the endpoint are authenticated, as the secret is now and without a secret
    value; "" where there is a secret with nothing in it. Raises SettingsError, StopRunError."""
    credentials = source.get(refresh=True)
    origin = settings.auth_secret_arn or "the environment"
    if settings.sigv4_region:
        signer = settings.sigv4_role_arn or "the exporter's own role"
        said = [f"SigV4 in {settings.sigv4_region} as {signer}"]
        if credentials.is_empty:
            return said[0]
    else:
        if settings.auth_secret_arn and credentials.is_empty:
            return ""
        said = [credentials.method]
    said.append("with a tenant" if credentials.tenant else "without a tenant")
    if credentials.certificate:
        said.append("with a client certificate")
    if credentials.http_headers:
        said.append(f"with the headers {' '.join(name for name, _ in credentials.http_headers)}")
    if credentials.proxy_url:
        said.append(f"through the proxy {without_password(credentials.proxy_url)}")
    return ", ".join([*said, f"from {origin}", *credentials.notes])


def _merge(plain: str, secret: str) -> str:
    """Headers of both places, those of the secret first; a value that is no object is left as it
    is, for the error that it causes."""
    try:
        both = (json.loads(plain or "{}"), json.loads(secret or "{}"))
    except (ValueError, RecursionError):
        return secret
    if not all(isinstance(value, dict) for value in both):
        return secret
    merged = {**both[0], **both[1]}
    return json.dumps(merged) if merged else ""
