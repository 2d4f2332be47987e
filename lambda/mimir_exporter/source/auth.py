"""Who we are to Mimir: the PROMETHEUS_ variables, from the environment or from one secret."""

import base64
import html
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import quote, quote_plus

from ..errors import SettingsError, StopRunError

TOKEN = "PROMETHEUS_AUTH_TOKEN"  # noqa: S105 - the name of a variable
BEARER = "PROMETHEUS_BEARER_AUTH_TOKEN"
USERNAME = "PROMETHEUS_USERNAME"
PASSWORD = "PROMETHEUS_PASSWORD"  # noqa: S105 - the name of a variable
TENANT = "PROMETHEUS_X_SCOPE_ORGID"
NAMES = (TOKEN, BEARER, USERNAME, PASSWORD, TENANT)

# Grafana's tenant rules (dskit, tenant.ValidTenantID), and `|` between tenants for federation.
TENANT_CHARACTERS = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!-_.*'()"
)
TENANT_BYTES = 150

# Towards Secrets Manager and STS.
PATIENCE: Mapping[str, Any] = {
    "connect_timeout": 5,
    "read_timeout": 20,
    "retries": {"mode": "standard", "total_max_attempts": 3},
}


@dataclass(frozen=True)
class Credentials:
    """One way to log in, and a tenant or several. The values never show in a repr."""

    token: str = field(default="", repr=False)
    bearer: str = field(default="", repr=False)
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    tenant: str = ""

    @classmethod
    def from_values(cls, values: Mapping[str, str], source: str) -> "Credentials":
        """From the PROMETHEUS_ names; empty values count as absent.

        `source` says in an error where the values came from. Raises SettingsError when two
        methods exclude each other, one half of a login is missing, a value cannot stand in an
        HTTP header, or a tenant breaks Mimir's rules. No error quotes a value: what is wrong may
        be a secret under the name of something else.
        """
        given = {name: values.get(name, "").strip() for name in NAMES}
        for name, value in given.items():
            # Basic auth goes into its header as base64 of UTF-8: any letter may stand there.
            if not value.isprintable() or not (name in (USERNAME, PASSWORD) or _fits_header(value)):
                raise SettingsError(
                    f"{name} in {source} holds a character that an HTTP header cannot carry; "
                    "remove line breaks, control characters and letters beyond Latin-1 from it."
                )
        methods = [name for name in (TOKEN, BEARER) if given[name]]
        if given[USERNAME] or given[PASSWORD]:
            for name, other in ((USERNAME, PASSWORD), (PASSWORD, USERNAME)):
                if not given[name]:
                    raise SettingsError(f"{other} is set in {source} but {name} is not; set both.")
            methods.append(USERNAME)
        if len(methods) > 1:
            raise SettingsError(
                f"{' and '.join(methods)} are set at once in {source}; Mimir takes one login: "
                "keep one and remove the others."
            )
        if ":" in given[USERNAME]:
            raise SettingsError(f"{USERNAME} in {source} holds a colon, which basic auth forbids.")
        _check_tenant(given[TENANT], source)
        return cls(*(given[name] for name in NAMES))

    @property
    def method(self) -> str:
        """What to call this login in a log line; no value in it."""
        kinds = {"token": self.token, "bearer": self.bearer, "basic": self.username}
        return next((kind for kind, value in kinds.items() if value), "none")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What nobody may read: the values, and what is sent for them."""
        basic = self._basic if self.username else ""
        return tuple(filter(None, (self.token, self.bearer, self.password, basic)))

    @property
    def _basic(self) -> str:
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    def headers(self) -> dict[str, str]:
        """The request headers, as the integration that this one replaces sends them."""
        headers = {}
        if self.token:
            headers["token"] = self.token
            headers["Content-Type"] = "application/json"
        if self.bearer:
            headers["Authorization"] = f"Bearer {self.bearer}"
        if self.username:
            headers["Authorization"] = f"Basic {self._basic}"
        if self.tenant:
            headers["X-Scope-OrgID"] = self.tenant
        return headers


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
            providers["secrets"] = parameters.SecretsProvider(boto_config=Config(**PATIENCE))
        try:
            value = parameters.get_secret(secret_arn, force_fetch=force)
        except parameters.GetParameterError as error:
            cause = type(error.__cause__ or error).__name__
            detail = str(error).splitlines()[0]
            raise StopRunError(
                f"The secret {secret_arn} could not be read ({cause}: {detail}); check "
                "AUTH_SECRET_ARN, that the function's role may read it, that the VPC has an "
                "endpoint for Secrets Manager, and that the secret has a value."
            ) from error
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
    expected = (
        f"it must be a JSON object whose keys are among {', '.join(NAMES)}, "
        f'such as {{"{TENANT}": "my-tenant"}}.'
    )
    try:
        # The decoder's own message quotes the document: it must not be chained.
        values = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise SettingsError(f"The secret {secret_arn} is not JSON; {expected}") from None
    if not isinstance(values, dict):
        raise SettingsError(f"The secret {secret_arn} is not a JSON object; {expected}")
    unknown = sorted(set(values) - set(NAMES))
    if unknown:
        # Key and value may have been swapped: what is not nearly a name of ours is not quoted.
        known = re.fullmatch(r"PROMETHEUS_[A-Z_]*", unknown[0].upper())
        key = f"the unknown key {unknown[0]!r}" if known else "a key that is none of its names"
        raise SettingsError(f"The secret {secret_arn} has {key}; {expected}")
    wrong = [name for name, value in values.items() if not isinstance(value, str)]
    if wrong:
        raise SettingsError(f"{wrong[0]} in the secret {secret_arn} is not a string; {expected}")
    return values


def _fits_header(value: str) -> bool:
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _check_tenant(value: str, source: str) -> None:
    for tenant in value.split("|") if value else ():
        wrong = sorted(set(tenant) - TENANT_CHARACTERS)
        if not tenant or tenant in (".", "..") or wrong:
            what = f"has the character {wrong[0]!r}" if wrong else "has an empty name, or only dots"
            raise SettingsError(
                f"{TENANT} in {source} {what}; a tenant is made of letters, digits and "
                "!-_.*'() , several are joined by |."
            )
        if len(tenant) > TENANT_BYTES:
            raise SettingsError(
                f"{TENANT} in {source} has a tenant of {len(tenant)} characters; "
                f"at most {TENANT_BYTES} are allowed."
            )


assert len(fields(Credentials)) == len(NAMES)  # noqa: S101 - from_values fills them in this order
