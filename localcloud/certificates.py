"""Certificates of an authority of one's own, made by the openssl command for a moment's use."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localcloud.programs import find_program

# Elliptic curves: a key is made in no time.
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Certificate:
    """Two PEM files."""

    certificate: Path
    key: Path


def make_authority(folder: Path, name: str) -> Certificate:
    """One that signs itself, and others."""
    made = _files(folder, name)
    _openssl(
        *("req", "-x509", *_KEY, "-keyout", str(made.key), "-out", str(made.certificate)),
        *("-days", "2", "-subj", f"/CN={name}"),
        *("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign"),
    )
    return made


def make_certificate(
    folder: Path, name: str, *, names: str, authority: Certificate | None, days: int = 2
) -> Certificate:
    """A server's, for `names` such as `IP:127.0.0.1,DNS:localhost`.

    Signed by itself without an authority; with negative days it has expired.
    """
    made = _files(folder, name)
    extensions = folder / f"{name}.extensions"
    extensions.write_text(f"subjectAltName={names}\n", "utf-8")
    request = folder / f"{name}.request"
    _openssl(
        *("req", "-new", *_KEY, "-keyout", str(made.key), "-out", str(request)),
        *("-subj", f"/CN={name}"),
    )
    signed_by = (
        ("-signkey", str(made.key))
        if authority is None
        else ("-CA", str(authority.certificate), "-CAkey", str(authority.key), "-CAcreateserial")
    )
    _openssl(
        *("x509", "-req", "-in", str(request), "-out", str(made.certificate), *signed_by),
        *("-days", str(days), "-extfile", str(extensions)),
    )
    return made


def _files(folder: Path, name: str) -> Certificate:
    return Certificate(folder / f"{name}.pem", folder / f"{name}.key")


def _openssl(*argv: str) -> None:
    command: Sequence[str] = [str(find_program("openssl")), *argv]
    subprocess.run(command, check=True, capture_output=True, text=True)
