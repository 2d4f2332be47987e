"""Which credentials there are for the endpoint: the PROMETHEUS_ names, checked."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from ..errors import source as errors

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
                raise errors.INVALID_CREDENTIALS(
                    name=name,
                    source=source,
                    problem="it has a character that an HTTP header cannot carry",
                    expected="a value without line breaks, control characters and letters beyond "
                    "Latin-1",
                )
        methods = [name for name in (TOKEN, BEARER) if given[name]]
        if given[USERNAME] or given[PASSWORD]:
            for name, other in ((USERNAME, PASSWORD), (PASSWORD, USERNAME)):
                if not given[name]:
                    raise errors.INCOMPLETE_CREDENTIALS(given=other, missing=name, source=source)
            methods.append(USERNAME)
        if len(methods) > 1:
            raise errors.CONFLICTING_CREDENTIALS(names=" and ".join(methods), source=source)
        if ":" in given[USERNAME]:
            raise errors.INVALID_CREDENTIALS(
                name=USERNAME,
                source=source,
                problem="it has a colon",
                expected="a name without a colon, which basic authentication forbids",
            )
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
            what = f"it has the character {wrong[0]!r}" if wrong else "a name is empty or only dots"
            raise errors.INVALID_CREDENTIALS(
                name=TENANT,
                source=source,
                problem=what,
                expected="tenants of letters, digits and !-_.*'() , several joined by |",
            )
        if len(tenant) > TENANT_BYTES:
            raise errors.INVALID_CREDENTIALS(
                name=TENANT,
                source=source,
                problem=f"a tenant has {len(tenant)} characters",
                expected=f"tenants of at most {TENANT_BYTES} characters",
            )


assert len(fields(Credentials)) == len(NAMES)  # noqa: S101 - from_values fills them in this order
