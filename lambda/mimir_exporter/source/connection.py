"""The connection to Mimir: sockets, TLS, and what it means when there is none."""

import re
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from ..errors import ErrorKind, ExportError, StopRunError
from ..errors import source as errors
from ..settings.settings import Settings
from ..timeline.bounded import call_within
from ..timeline.deadline import Deadline

# What ships in the function lies beside the package.
_SHIPPED = Path(__file__).resolve().parents[2]

# OpenSSL's numbers (X509_V_ERR_…) of what can be wrong with a certificate that is read well.
_NOT_YET_VALID, _EXPIRED = 9, 10
_OTHER_NAME = (62, 64)  # a host's, an address's


class Sockets:
    """The socket of the open connection, whose time-out each block sets anew.

    urllib3 fixes a read time-out when the request begins; that of the first byte is far longer
    than that between two blocks.
    """

    current: ClassVar[socket.socket | None] = None
    certificate_ends: ClassVar[float | None] = None  # of the server, unix seconds
    deadline: ClassVar[Callable[[], Deadline]] = Deadline.open_ended

    @classmethod
    def open(cls, connect: Callable[[], socket.socket]) -> socket.socket:
        """What `connect` opens: resolving a name has no time-out that is ours."""
        return call_within(cls.deadline(), connect, "Connecting to the endpoint")

    @classmethod
    def set_timeout(cls, seconds: float) -> None:
        if cls.current is not None and cls.current.fileno() != -1:
            cls.current.settimeout(seconds)

    @classmethod
    def hang_up(cls) -> None:
        if cls.current is not None:
            # Of the plain socket: TLS's own would take the connection's state from under a read.
            with suppress(OSError):
                socket.socket.shutdown(cls.current, socket.SHUT_RDWR)


class _PlainConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return Sockets.open(super()._new_conn)

    def connect(self) -> None:
        super().connect()
        Sockets.current = self.sock
        Sockets.certificate_ends = None


class _TlsConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return Sockets.open(super()._new_conn)

    def connect(self) -> None:
        super().connect()
        Sockets.current = self.sock
        if isinstance(self.sock, ssl.SSLSocket):
            ends = str((self.sock.getpeercert() or {})["notAfter"])
            Sockets.certificate_ends = float(ssl.cert_time_to_seconds(ends))


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def open_pool(settings: Settings) -> urllib3.HTTPConnectionPool:
    """One connection, kept alive. Raises SettingsError where CA_BUNDLE cannot be used."""
    if settings.scheme == "https":
        return _TlsPool(
            settings.hostname, settings.port, maxsize=1, ssl_context=_trust(settings.ca_bundle)
        )
    return _PlainPool(settings.hostname, settings.port, maxsize=1)


def _trust(ca_bundle: str) -> ssl.SSLContext:
    """Who may sign the server's certificate: the system's authorities, or those of the bundle.

    Instead of the system's, as with curl's --cacert and Prometheus' ca_file: whoever gives an
    authority of their own wants no other.
    """
    if not ca_bundle:
        return ssl.create_default_context()
    path = Path(ca_bundle)
    path = path if path.exists() else _SHIPPED / path
    try:
        context = ssl.create_default_context(cafile=str(path))
    except OSError as error:  # ssl.SSLError is one
        reason = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise errors.INVALID_CA_BUNDLE(value=ca_bundle, cause=reason) from error
    # The same from Python 3.11 to 3.14: an authority in the bundle is trusted though another has
    # signed it, and one of a company's own making need not keep to every rule of RFC 5280.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def explain_failure(error: HTTPError, settings: Settings, *, in_answer: bool) -> ExportError:
    """What a connection that failed means: to wait, or that something has to be changed."""
    cause = error.args[0] if isinstance(error, urllib3.exceptions.SSLError) else None
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _explain_certificate(cause, settings)
    if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
        return errors.HTTP_EXPECTED(origin=settings.origin)
    # No answer in time, or one that breaks off: a smaller one may get through.
    kind: ErrorKind[ExportError] = errors.CANNOT_CONNECT
    if isinstance(error, urllib3.exceptions.ReadTimeoutError):
        kind = errors.ENDPOINT_TIMED_OUT
    elif in_answer:
        kind = errors.ANSWER_INTERRUPTED
    return kind(origin=settings.origin, cause=_reason(error))


def _explain_certificate(error: ssl.SSLCertVerificationError, settings: Settings) -> StopRunError:
    if error.verify_code == _EXPIRED:
        kind = errors.CERTIFICATE_EXPIRED
    elif error.verify_code == _NOT_YET_VALID:
        kind = errors.CERTIFICATE_NOT_YET_VALID
    elif error.verify_code in _OTHER_NAME:
        kind = errors.CERTIFICATE_OTHER_HOST
    elif settings.ca_bundle:
        kind = errors.CERTIFICATE_NOT_IN_BUNDLE
    else:
        kind = errors.CERTIFICATE_UNKNOWN_CA
    return kind(origin=settings.origin, cause=error.verify_message)


def _reason(error: HTTPError) -> str:
    reason = getattr(error, "reason", None) or error
    # urllib3 begins with the connection, as an object: `<...>: ` or `Connection(host=...): `.
    text = re.sub(r"^(?:.*>|\w+\(host=.*?\)): ", "", str(reason), flags=re.DOTALL)
    return text if len(text) < 200 else type(error).__name__
