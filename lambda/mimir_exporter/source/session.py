"""Requests to the API with the credentials in use: sent, renewed once when they are refused."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlencode

from urllib3.response import BaseHTTPResponse

from .. import __version__, log
from ..errors import ExportError
from ..errors.source import CONFLICTING_SIGNATURE
from ..settings.credentials import Credentials
from ..settings.settings import Settings
from ..timeline.bounded import call_within
from .oauth import TokenSource
from .redact import hide
from .refusals import classify
from .secret import CredentialSource
from .transport import Transport

if TYPE_CHECKING:
    from .sigv4 import Signer

T = TypeVar("T")
Fields = Mapping[str, str] | Sequence[tuple[str, str]]


class Session:
    """One request at a time. Raises the errors of `errors/source.py`, as `refusals.py` finds."""

    def __init__(
        self,
        settings: Settings,
        source: CredentialSource,
        transport: Transport,
        signer: "Signer | None",
    ) -> None:
        """`signer` signs each request, where the endpoint takes no other credentials."""
        self._settings = settings
        self._source = source
        self._transport = transport
        self._signer = signer
        self._credentials: Credentials | None = None
        self._tokens: TokenSource | None = None
        self._method = "POST"  # of queries

    @contextmanager
    def query(self, url: str, fields: Fields) -> Iterator[BaseHTTPResponse]:
        """The answer of status 200 to a query, by POST, or by GET where POST is not allowed."""
        with self.answer(self._method, url, fields, or_get=True) as response:
            yield response

    @contextmanager
    def answer(
        self, method: str, url: str, fields: Fields, *, or_get: bool = False
    ) -> Iterator[BaseHTTPResponse]:
        """An answer of status 200. On the first 401 the credentials are read again, once."""
        with self.request(method, url, fields) as response:
            if response.status == 200:
                yield response
                return
            error = self._error(response, url)
            status = response.status
        if status == 405 and method == "POST" and or_get:
            self._method = method = "GET"
        elif status != 401 or not self._renew():
            raise error
        with self.request(method, url, fields) as response:
            if response.status != 200:
                raise self._error(response, url)
            yield response

    @contextmanager
    def request(self, method: str, url: str, fields: Fields = ()) -> Iterator[BaseHTTPResponse]:
        """Any answer."""
        headers = {
            # gzip makes a server slower, and saves far more in traffic between zones than the wait
            # costs: docs/performance.md. Within one zone WIRE_GZIP=false is the better one.
            "Accept-Encoding": "gzip" if self._settings.wire_gzip else "identity",
            "Cache-Control": "no-store",  # Mimir's result cache has a freshness of its own
            "User-Agent": f"mimir-exporter/{__version__}",
            **self._own_headers(),
        }
        form = urlencode(fields)
        body: bytes | None = None
        # The token method sends Content-Type: application/json on every request, as the
        # integration before this one does. Prometheus reads a form only under its own type, so
        # the fields travel in the URL there.
        if method == "POST" and "Content-Type" not in headers:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = form.encode() or None
        elif form:
            url = f"{url}?{form}"
        if (signer := self._signer) is not None:
            kind = headers.get("Content-Type", "")
            headers |= self._bounded(
                lambda: signer.sign(method, url, body, kind), "sign as SIGV4_ROLE_ARN"
            )
        with self._transport.request(method, url, body, headers) as response:
            yield response

    def _own_headers(self) -> dict[str, str]:
        credentials = self._read()
        token = self._bounded(self._tokens.get, "fetch a token") if self._tokens else ""
        return credentials.headers(token)

    def _read(self) -> Credentials:
        if self._credentials is None:
            self._use(self._bounded(self._source.get, "read the secret"))
        assert self._credentials is not None  # noqa: S101 - just set
        return self._credentials

    def _use(self, credentials: Credentials) -> None:
        if self._signer is not None and credentials.method != "none":
            raise CONFLICTING_SIGNATURE(method=credentials.method)
        for note in credentials.notes:
            log.CREDENTIALS_CORRECTED(summary=note)
        client, ca_bundle = credentials.oauth2, self._settings.ca_bundle
        self._tokens = TokenSource(credentials, client, ca_bundle) if client else None
        self._transport.open(credentials)
        self._credentials = credentials

    def _renew(self) -> bool:
        """Read the credentials again, or fetch a new token; whether there is anything new."""
        if self._source.from_secret:
            found = self._bounded(lambda: self._source.get(refresh=True), "read the secret")
            if found != self._credentials:
                self._use(found)
                log.CREDENTIALS_RELOADED()
                return True
        if self._tokens is None:
            return False
        tokens = self._tokens
        self._bounded(lambda: tokens.get(renew=True), "fetch a token")
        return True

    def _bounded(self, action: Callable[[], T], verb: str) -> T:
        """AWS answers late, or never where the VPC has no endpoint: that holds no run either."""
        self._transport.deadline.check()
        return call_within(self._transport.deadline, action, f"The request to {verb}")

    def _error(self, response: BaseHTTPResponse, url: str) -> ExportError:
        body = self._transport.read_error(response)
        return classify(response.status, body, url=url, headers=response.headers, hide=self.hide)

    def read_error(self, response: BaseHTTPResponse) -> str:
        """The body of an error, without the credentials."""
        return self.hide(self._transport.read_error(response))

    def hide(self, text: str) -> str:
        """The text without the credentials. To be used on the final text: see redact.py."""
        found = () if self._credentials is None else self._credentials.secrets
        found += () if self._signer is None else self._signer.secrets
        found += () if self._tokens is None else self._tokens.secrets
        return hide(text, found)
