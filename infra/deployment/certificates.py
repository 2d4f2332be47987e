"""The authorities that may sign Mimir's certificate: from a file of the person who deploys."""

import ssl
from pathlib import Path

from .context import Context, DeploymentError

# Where the function finds it: CA_BUNDLE, beside its package.
CA_BUNDLE_FILE = "ca-bundle.pem"


def read_ca_bundle(context: Context) -> str:
    """The PEM text of `ca_bundle`, a path on this machine; "" for none.

    It ships with the function's code, so that it holds neither a secret nor something else.
    Raises DeploymentError.
    """
    given = context.text("ca_bundle")
    if not given:
        return ""
    try:
        text = Path(given).expanduser().read_text("utf-8")
    except OSError as error:
        raise _refuse(given, f"{error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _refuse(given, "it is no text: a DER file is made PEM by openssl x509") from error
    if "PRIVATE KEY" in text:
        raise _refuse(given, "it holds a private key too, which must not ship with the function")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError) as error:
        raise _refuse(given, "it holds no certificate, or a broken one") from error
    return text


def _refuse(given: str, why: str) -> DeploymentError:
    return DeploymentError(
        f"ca_bundle is {given!r} ({why}); a readable file of PEM certificates is allowed."
    )
