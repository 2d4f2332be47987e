"""Which credentials there are for the endpoint: the PROMETHEUS_ names, checked."""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from ..errors.source import (
    CONFLICTING_CREDENTIALS,
    INCOMPLETE_CREDENTIALS,
    INVALID_CREDENTIALS,
)

TOKEN = "PROMETHEUS_AUTH_TOKEN"  # noqa: S105 - the name of a variable
BEARER = "PROMETHEUS_BEARER_AUTH_TOKEN"
USERNAME = "PROMETHEUS_USERNAME"
PASSWORD = "PROMETHEUS_PASSWORD"  # noqa: S105 - the name of a variable
TENANT = "PROMETHEUS_X_SCOPE_ORGID"
# Of the integration that this one replaces. The others are ours, named as Prometheus' own
# configuration names them (oauth2, tls_config, http_headers, proxy_url).
NAMES = (TOKEN, BEARER, USERNAME, PASSWORD, TENANT)
CLIENT_ID = "PROMETHEUS_OAUTH2_CLIENT_ID"
CLIENT_SECRET = "PROMETHEUS_OAUTH2_CLIENT_SECRET"  # noqa: S105 - the name of a variable
TOKEN_URL = "PROMETHEUS_OAUTH2_TOKEN_URL"  # noqa: S105 - the name of a variable
SCOPES = "PROMETHEUS_OAUTH2_SCOPES"
ENDPOINT_PARAMS = "PROMETHEUS_OAUTH2_ENDPOINT_PARAMS"
CERTIFICATE = "PROMETHEUS_TLS_CERT"
KEY = "PROMETHEUS_TLS_KEY"
HTTP_HEADERS = "PROMETHEUS_HTTP_HEADERS"
PROXY_URL = "PROMETHEUS_PROXY_URL"
OAUTH2 = (CLIENT_ID, CLIENT_SECRET, TOKEN_URL, SCOPES, ENDPOINT_PARAMS)
SECRET_NAMES = (*NAMES, *OAUTH2, CERTIFICATE, KEY, HTTP_HEADERS, PROXY_URL)
# Their value in the secret may be a JSON object.
OBJECTS = (HTTP_HEADERS, ENDPOINT_PARAMS)

# Grafana's tenant rules (dskit, tenant.ValidTenantID), and `|` between tenants for federation.
TENANT_CHARACTERS = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!-_.*'()"
)
TENANT_BYTES = 150
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# Those that each request sets by itself, or that belong to the connection.
_RESERVED = (
    *("authorization", "proxy-authorization", "x-scope-orgid", "host", "user-agent"),
    *("accept-encoding", "cache-control", "content-encoding", "content-length", "content-type"),
    *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"),
)
_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----.*-----END \1-----", re.DOTALL)


@dataclass(frozen=True)
class OAuth2:
    """A client of an authorization server: client credentials (RFC 6749, 4.4)."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...] = ()
    endpoint_params: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Credentials:
    """One method, a tenant or several, and what goes with any method. No value is in a repr."""

    token: str = field(default="", repr=False)
    bearer: str = field(default="", repr=False)
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    tenant: str = ""
    oauth2: OAuth2 | None = field(default=None, repr=False)
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    http_headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    proxy_url: str = field(default="", repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def from_values(cls, values: Mapping[str, str], source: str) -> "Credentials":
        """From the PROMETHEUS_ names; empty values count as absent.

        `source` says in an error where the values came from. Raises SettingsError when two
        methods exclude each other, one half of a pair is missing, a value cannot be in an
        HTTP header, or a tenant breaks Mimir's rules. No error quotes a value: what is wrong may
        be a secret under the name of something else.
        """
        given = {name: values.get(name, "").strip() for name in SECRET_NAMES}
        notes: list[str] = []
        if given[BEARER].lower().startswith("bearer "):
            given[BEARER] = given[BEARER][len("bearer ") :].strip()
            notes.append(f"{BEARER} begins with 'Bearer ', which is left out: it is always sent")
        for name in (*NAMES, CLIENT_ID, CLIENT_SECRET, SCOPES):
            _check_characters(name, given[name], source)
        methods = [name for name in (TOKEN, BEARER) if given[name]]
        if _pair(given, USERNAME, PASSWORD, source):
            methods.append(USERNAME)
        oauth2 = _oauth2(given, source)
        if oauth2:
            methods.append(CLIENT_ID)
        if len(methods) > 1:
            raise CONFLICTING_CREDENTIALS(source=source, names=" and ".join(methods))
        if ":" in given[USERNAME]:
            raise _invalid(USERNAME, source, "basic auth forbids a colon in it", "a name")
        _check_tenant(given[TENANT], source)
        _pair(given, CERTIFICATE, KEY, source)
        return cls(
            token=given[TOKEN],
            bearer=given[BEARER],
            username=given[USERNAME],
            password=given[PASSWORD],
            tenant=given[TENANT],
            oauth2=oauth2,
            certificate=_pem(CERTIFICATE, given[CERTIFICATE], source),
            key=_pem(KEY, given[KEY], source),
            http_headers=_http_headers(given[HTTP_HEADERS], source),
            proxy_url=_proxy_url(given[PROXY_URL], source),
            notes=tuple(notes),
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all is given."""
        return replace(self, notes=()) == Credentials()

    @property
    def method(self) -> str:
        """What to call the method in a log line; no value in it."""
        kinds = {
            "token": self.token,
            "bearer": self.bearer,
            "basic": self.username,
            "OAuth 2": self.oauth2,
        }
        return next((kind for kind, value in kinds.items() if value), "none")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be readable: the values, and what is sent for them."""
        basic = self._basic if self.username else ""
        oauth2 = self.oauth2
        of_client = (oauth2.client_secret, basic_of(oauth2)) if oauth2 else ()
        of_params = [value for _, value in oauth2.endpoint_params] if oauth2 else []
        of_proxy = password_of(self.proxy_url)
        lines = [line for line in self.key.splitlines() if line and not line.startswith("---")]
        values = (self.token, self.bearer, self.password, basic, *of_client, *lines)
        headers = [value for _, value in self.http_headers]
        coded = of_proxy.partition(":")[2]
        proxy = (of_proxy, unquote(of_proxy), coded, unquote(coded))
        return tuple(filter(None, (*values, *of_params, *headers, *proxy)))

    @property
    def _basic(self) -> str:
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    def headers(self, access_token: str = "") -> dict[str, str]:
        """The request headers, as the integration that this one replaces sends them.

        `access_token` is what the authorization server gave.
        """
        headers = dict(self.http_headers)
        if self.token:
            headers["token"] = self.token
            headers["Content-Type"] = "application/json"
        if self.bearer or access_token:
            headers["Authorization"] = f"Bearer {self.bearer or access_token}"
        if self.username:
            headers["Authorization"] = f"Basic {self._basic}"
        if self.tenant:
            headers["X-Scope-OrgID"] = self.tenant
        return headers


def password_of(proxy_url: str) -> str:
    """The part of a proxy's URL that is a secret, `user:password`; "" where it has none."""
    return urlsplit(proxy_url).netloc.rpartition("@")[0]


def basic_of(client: OAuth2) -> str:
    """The client as basic auth: id and secret are form-encoded first (RFC 6749, 2.3.1)."""
    pair = f"{quote(client.client_id, safe='')}:{quote(client.client_secret, safe='')}"
    return base64.b64encode(pair.encode()).decode()


def _invalid(name: str, source: str, problem: str, expected: str) -> Exception:
    return INVALID_CREDENTIALS(name=name, source=source, problem=problem, expected=expected)


def _pair(given: Mapping[str, str], first: str, other: str, source: str) -> bool:
    """Whether both are given. Raises SettingsError where just one is."""
    for name, missing in ((first, other), (other, first)):
        if given[name] and not given[missing]:
            raise INCOMPLETE_CREDENTIALS(source=source, given=name, missing=missing)
    return bool(given[first])


def _check_characters(name: str, value: str, source: str) -> None:
    # Basic auth goes into its header as base64 of UTF-8, a form is percent-encoded: any letter.
    encoded = name in (USERNAME, PASSWORD, *OAUTH2)
    if not value.isprintable() or not (encoded or _fits_header(value)):
        raise _invalid(
            name,
            source,
            "it has a character that an HTTP header cannot carry",
            "a value without line breaks, control characters and letters beyond Latin-1",
        )


def _fits_header(value: str) -> bool:
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _check_tenant(value: str, source: str) -> None:
    expected = "letters, digits and !-_.*'() , several tenants joined by |"
    for tenant in value.split("|") if value else ():
        wrong = sorted(set(tenant) - TENANT_CHARACTERS)
        if not tenant or tenant in (".", "..") or wrong:
            what = f"it has the character {wrong[0]!r}" if wrong else "a name is empty or only dots"
            raise _invalid(TENANT, source, what, expected)
        if len(tenant) > TENANT_BYTES:
            problem = f"a tenant has {len(tenant)} characters"
            raise _invalid(TENANT, source, problem, f"at most {TENANT_BYTES} characters each")


def _oauth2(given: Mapping[str, str], source: str) -> OAuth2 | None:
    if not any(given[name] for name in OAUTH2):
        return None
    needed = (CLIENT_ID, CLIENT_SECRET, TOKEN_URL)
    for name in needed:
        if not given[name]:
            raise INCOMPLETE_CREDENTIALS(
                source=source, given=next(known for known in OAUTH2 if given[known]), missing=name
            )
    url = urlsplit(given[TOKEN_URL])
    if url.scheme not in ("http", "https") or not url.hostname or url.username or url.fragment:
        raise _invalid(
            TOKEN_URL, source, "it is no URL of a token endpoint", "an address with https://"
        )
    params = _texts(ENDPOINT_PARAMS, given[ENDPOINT_PARAMS], source)
    scopes = tuple(given[SCOPES].replace(",", " ").split())
    return OAuth2(given[TOKEN_URL], given[CLIENT_ID], given[CLIENT_SECRET], scopes, params)


def _texts(name: str, value: str, source: str) -> tuple[tuple[str, str], ...]:
    """A JSON object of names and texts; or `a=b&c=d`."""
    if not value:
        return ()
    try:
        found = json.loads(value) if value.startswith("{") else dict(parse_qsl(value))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not found or not _are_texts(found.values()):
        raise _invalid(
            name, source, "it is no JSON object of texts", 'an object such as {"name": "value"}'
        )
    return tuple(sorted(found.items()))


def _are_texts(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _http_headers(value: str, source: str) -> tuple[tuple[str, str], ...]:
    headers = _texts(HTTP_HEADERS, value, source)
    for name, text in headers:
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _RESERVED:
            # Name and value may have been swapped: only a reserved name is quoted.
            known = name.lower() in _RESERVED
            raise _invalid(
                HTTP_HEADERS,
                source,
                f"the header {name} is set by other means" if known else "a name is no header name",
                "names such as CF-Access-Client-Id",
            )
        _check_characters(HTTP_HEADERS, text, source)
    return headers


def _proxy_url(value: str, source: str) -> str:
    if not value:
        return ""
    try:
        url = urlsplit(value)
        fits = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise _invalid(
            PROXY_URL, source, "it is no URL of a proxy", "an address such as http://proxy:3128"
        )
    return value


def _pem(name: str, value: str, source: str) -> str:
    """PEM text; pasted into JSON its line breaks are often two characters."""
    text = value.replace("\\n", "\n")
    if value and not _PEM.search(text):
        raise _invalid(name, source, "it is no PEM text", "the whole file, with its BEGIN and END")
    return text
