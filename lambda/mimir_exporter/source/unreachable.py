"""What a connection that failed means: to wait, or that something has to be changed."""

import http.client
import re
import ssl

import urllib3
from urllib3.exceptions import (
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
)

from ..errors import ExportError
from ..errors.source import (
    ANSWER_INTERRUPTED,
    CANNOT_CONNECT,
    CERTIFICATE_EXPIRED,
    CERTIFICATE_NOT_IN_BUNDLE,
    CERTIFICATE_NOT_YET_VALID,
    CERTIFICATE_OTHER_HOST,
    CERTIFICATE_UNKNOWN_CA,
    CLIENT_CERTIFICATE_REFUSED,
    ENDPOINT_TIMED_OUT,
    HTTP_EXPECTED,
    HTTPS_EXPECTED,
    NOT_HTTP,
    PROXY_AUTHENTICATION_REQUIRED,
    PROXY_FAILED,
)
from ..settings.settings import Settings
from .proxy import without_password

# OpenSSL's numbers (X509_V_ERR_…) of what can be wrong with a certificate that is read well.
_NOT_YET_VALID, _EXPIRED = 9, 10
_OTHER_NAME = (62, 64)  # a host's, an address's
# What OpenSSL says of a server's alert about our certificate, or its absence.
_CLIENT_CERTIFICATE = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE")
# How other protocols than HTTP begin.
_PROTOCOLS = {
    "SSH-": "SSH",
    "\x00\x00": "HTTP/2, as gRPC does",
    "220 ": "SMTP or FTP",
    "-ERR": "Redis",
    "+OK": "POP3",
}


def explain_failure(
    error: HTTPError, settings: Settings, *, proxy: str, in_answer: bool
) -> ExportError:
    """What a connection that failed means: to wait, or that something has to be changed."""
    origin = settings.origin
    if isinstance(error, ProxyError):
        return _explain_proxy(error, proxy, origin)
    cause = error.args[0] if isinstance(error, urllib3.exceptions.SSLError) else None
    if isinstance(cause, ssl.SSLError):
        found = _explain_tls(cause, settings)
        if found is not None:
            return found
    if isinstance(error, ProtocolError) and not in_answer:
        begin = _first_bytes(error)
        if begin.startswith(("\x15\x03", "\x16\x03")):
            return HTTPS_EXPECTED(url=origin, cause="it answers in TLS")
        if begin:
            kind = next((name for text, name in _PROTOCOLS.items() if begin.startswith(text)), "")
            cause_text = f"it speaks {kind}" if kind else f"it answers {begin[:40]!r}"
            return NOT_HTTP(origin=origin, cause=cause_text)
    if in_answer:
        return ANSWER_INTERRUPTED(origin=origin, cause=_reason(error))
    if isinstance(error, ReadTimeoutError):
        return ENDPOINT_TIMED_OUT(origin=origin, cause=_reason(error))
    return CANNOT_CONNECT(origin=origin, cause=_reason(error))


def _first_bytes(error: ProtocolError) -> str:
    """The line that stood in the place of HTTP's first one; "" where there was none."""
    cause = error.args[1] if len(error.args) > 1 else None
    if not isinstance(cause, http.client.BadStatusLine) or isinstance(
        cause, http.client.RemoteDisconnected
    ):
        return ""
    line = str(cause)
    # http.client gives an unread line as its repr.
    return line[1:-1] if line[:1] == line[-1:] == "'" else line


def _explain_proxy(error: ProxyError, proxy: str, origin: str) -> ExportError:
    where = without_password(proxy)
    text = _reason(error.original_error or error)
    if "407" in text:
        return PROXY_AUTHENTICATION_REQUIRED(url=where, cause=text)
    return PROXY_FAILED(proxy=where, origin=origin, cause=text)


def _explain_tls(error: ssl.SSLError, settings: Settings) -> ExportError | None:
    origin = settings.origin
    if not isinstance(error, ssl.SSLCertVerificationError):
        reason = error.reason or ""
        if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"):
            return HTTP_EXPECTED(origin=origin, cause=reason)
        if "ALERT" in reason and any(word in reason for word in _CLIENT_CERTIFICATE):
            return CLIENT_CERTIFICATE_REFUSED(url=origin, cause=reason)
        return None
    said = " ".join(error.verify_message.split()).rstrip(".")
    if error.verify_code == _EXPIRED:
        return CERTIFICATE_EXPIRED(origin=origin, cause=said)
    if error.verify_code == _NOT_YET_VALID:
        return CERTIFICATE_NOT_YET_VALID(origin=origin, cause=said)
    if error.verify_code in _OTHER_NAME:
        return CERTIFICATE_OTHER_HOST(origin=origin, cause=said)
    unknown = CERTIFICATE_NOT_IN_BUNDLE if settings.ca_bundle else CERTIFICATE_UNKNOWN_CA
    return unknown(origin=origin, cause=said)


def _reason(error: BaseException) -> str:
    if isinstance(error, NewConnectionError):
        error = error.__cause__ or error
    reason = getattr(error, "reason", None) or error
    # urllib3 begins with the connection, as an object: `<...>: ` or `Connection(host=...): `.
    text = re.sub(r"^(?:.*>|\w+\(host=.*?\)): ", "", str(reason), flags=re.DOTALL)
    return text if len(text) < 200 else type(error).__name__
