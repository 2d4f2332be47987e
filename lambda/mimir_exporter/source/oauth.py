"""Access tokens of OAuth 2 client credentials (RFC 6749, 4.4), fetched as they are needed."""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import HTTPError

from ..errors import ExportError
from ..errors.source import (
    OAUTH2_INVALID_ANSWER,
    OAUTH2_REFUSED,
    OAUTH2_UNAVAILABLE,
    OAUTH2_UNREACHABLE,
)
from ..settings.credentials import Credentials, OAuth2, basic_of, password_of
from .proxy import find_proxy
from .redact import hide
from .tls import make_token_context

TIMEOUT = urllib3.Timeout(connect=5.0, read=20.0)
# A token is fetched again that long before it expires, or halfway where it lives shorter.
MARGIN_S = 60.0
# Where the server names no lifetime: RFC 6749 leaves it open; a 401 fetches it anew in any case.
LIFETIME_S = 300.0


class TokenSource:
    """Gives an access token, the same one until shortly before it expires."""

    def __init__(
        self,
        credentials: Credentials,
        client: OAuth2,
        ca_bundle: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._clock = clock
        self._secrets = credentials.secrets
        self._token = ""
        self._renew_at = 0.0
        self._in_body = False  # how the server takes the client's secret, once that is known
        self._http = _open(credentials, client.token_url, ca_bundle)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The token in use."""
        return (self._token,) if self._token else ()

    def get(self, *, renew: bool = False) -> str:
        """A token. Raises StopRunError, or TryLaterError where the server is only away."""
        if renew or not self._token or self._clock() >= self._renew_at:
            self._fetch()
        return self._token

    def _fetch(self) -> None:
        status, body = self._request()
        if status in (400, 401) and not self._in_body and _is_about_the_client(body):
            # In a header first, as every server must support it, then in the body, which some
            # demand: the order of Go's oauth2, which Prometheus uses.
            self._in_body = True
            status, body = self._request()
        if status != 200:
            raise self._error(status, body)
        answer = _parse(body)
        token, lifetime_s = answer.get("access_token"), _seconds(answer.get("expires_in"))
        if not isinstance(token, str) or not token.isprintable() or not token:
            raise OAUTH2_INVALID_ANSWER(url=self._client.token_url)
        self._token = token
        self._renew_at = self._clock() + max(lifetime_s - MARGIN_S, lifetime_s / 2)

    def _request(self) -> tuple[int, bytes]:
        client = self._client
        form = [("grant_type", "client_credentials"), *client.endpoint_params]
        if client.scopes:
            form.append(("scope", " ".join(client.scopes)))
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        if self._in_body:
            form += [("client_id", client.client_id), ("client_secret", client.client_secret)]
        else:
            headers["Authorization"] = f"Basic {basic_of(client)}"
        try:
            answer = self._http.request(
                "POST",
                client.token_url,
                body=urlencode(form).encode(),
                headers=headers,
                timeout=TIMEOUT,
                retries=False,
                redirect=False,
            )
        except HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise OAUTH2_UNREACHABLE(url=client.token_url, cause=self._hide(str(reason))) from None
        return answer.status, answer.data

    def _error(self, status: int, body: bytes) -> ExportError:
        answer = _parse(body)
        said = f"{answer.get('error', '')} {answer.get('error_description', '')}".strip()
        kind = OAUTH2_UNAVAILABLE if status == 429 or status >= 500 else OAUTH2_REFUSED
        return kind(url=self._client.token_url, status=status, cause=self._hide(said))

    def _hide(self, text: str) -> str:
        return hide(text, self._secrets)


def _open(credentials: Credentials, url: str, ca_bundle: str) -> urllib3.PoolManager:
    parsed = urllib3.util.parse_url(url)
    context = None
    if parsed.scheme == "https":
        context = make_token_context(ca_bundle, credentials.certificate, credentials.key)
    proxy = find_proxy(parsed.scheme or "https", parsed.host or "", credentials.proxy_url)
    if not proxy:
        return urllib3.PoolManager(1, ssl_context=context)
    auth = password_of(proxy)
    headers = urllib3.make_headers(proxy_basic_auth=auth) if auth else None
    return urllib3.ProxyManager(proxy, 1, proxy_headers=headers, ssl_context=context)


def _is_about_the_client(body: bytes) -> bool:
    """Whether the client's authentication failed, and not its grant or its scope."""
    return _parse(body).get("error") not in ("invalid_scope", "invalid_grant", "invalid_target")


def _parse(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _seconds(value: object) -> float:
    """`expires_in`, which some servers send as text."""
    try:
        seconds = float(value)  # type: ignore[arg-type]  # whatever it is
    except (TypeError, ValueError):
        return LIFETIME_S
    return seconds if 0 < seconds < 365 * 86_400 else LIFETIME_S
