"""TLS towards the endpoint: the CAs that are trusted, and our own certificate."""

import ssl
from pathlib import Path
from tempfile import NamedTemporaryFile

from ..errors.source import INVALID_CA_BUNDLE, INVALID_CLIENT_CERTIFICATE

# What ships in the function lies beside the package.
_SHIPPED = Path(__file__).resolve().parents[2]


def make_context(ca_bundle: str, certificate: str = "", key: str = "") -> ssl.SSLContext:
    """Trusts the system's CAs, or those of the bundle instead, as curl's --cacert and Prometheus'
    ca_file do. `certificate` and `key` are PEM text. Raises SettingsError."""
    context = _trust(ca_bundle) if ca_bundle else ssl.create_default_context()
    if certificate:
        _identify(context, certificate, key)
    return context


def make_token_context(ca_bundle: str, certificate: str = "", key: str = "") -> ssl.SSLContext:
    """For an authorization server, which may be a public one beside a private endpoint: trusts
    the system's CAs and those of the bundle."""
    context = make_context("", certificate, key)
    if ca_bundle:
        context.load_verify_locations(cadata=_read(ca_bundle))
        _loosen(context)
    return context


def _trust(ca_bundle: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=_read(ca_bundle))
    except ssl.SSLError as error:
        raise INVALID_CA_BUNDLE(value=ca_bundle, cause="it holds no certificate") from error
    _loosen(context)
    return context


def _read(ca_bundle: str) -> str:
    path = Path(ca_bundle)
    path = path if path.exists() else _SHIPPED / path
    try:
        return path.read_text("utf-8", "replace") or "-"
    except OSError as error:
        raise INVALID_CA_BUNDLE(value=ca_bundle, cause=error.strerror) from error


def _loosen(context: ssl.SSLContext) -> None:
    # The same from Python 3.11 to 3.14: a CA in the bundle is trusted though another has signed
    # it, and one of a company's own making need not keep to every rule of RFC 5280.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT


def _identify(context: ssl.SSLContext, certificate: str, key: str) -> None:
    with NamedTemporaryFile("w", encoding="ascii", suffix=".pem") as file:
        try:
            file.write(f"{certificate.strip()}\n{key.strip()}\n")
            file.flush()
            # Without a callback OpenSSL would ask the terminal for a password.
            context.load_cert_chain(file.name, password=lambda: "")
        except (OSError, ValueError) as error:
            encrypted = "ENCRYPTED" in key
            raise INVALID_CLIENT_CERTIFICATE(
                cause="the key is encrypted"
                if encrypted
                else getattr(error, "reason", None) or type(error).__name__
            ) from None
