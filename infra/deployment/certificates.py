"""The CAs that may sign Mimir's certificate: from a file of the person who deploys."""

import ssl
from pathlib import Path

from ..errors import INVALID_DEPLOYMENT_VALUE, DeploymentError

# Where the function finds it: CA_BUNDLE, beside its package.
CA_BUNDLE_FILE = "ca-bundle.pem"


def read_ca_bundle(given: str) -> str:
    """The PEM text of the file `given`, a path on this machine; "" for none.

    It ships with the function's code, so that it holds neither a secret nor something else.
    Raises DeploymentError.
    """
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
    return INVALID_DEPLOYMENT_VALUE(
        name="ca_bundle",
        shown=f"{given!r} ({why})",
        expected="a readable file of PEM certificates",
    )
