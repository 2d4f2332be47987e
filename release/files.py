"""The files of a release: the function's zip, the template, what is in the zip, and their hashes.

They are the same to the byte for the same checkout, on any machine: the zip is of one platform and
one Python, which its name tells, and nothing in it is compressed, as compressors differ.
"""

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from infra import ROOT
from infra.package import build_package
from mimir_exporter import __version__
from release.template import synthesize_template

ARCHITECTURES = ("arm64", "x86_64")
PYTHON_VERSION = "3.14"
SUMS = "SHA256SUMS"
# Zip knows no earlier moment.
EPOCH = (1980, 1, 1, 0, 0, 0)


class ReleaseError(Exception):
    """A release cannot be made; the text says why, and what to change."""


@dataclass(frozen=True)
class Release:
    """A version, and the folder of its files."""

    version: str
    folder: Path

    def name(self, suffix: str) -> Path:
        """The path of one of its files."""
        return self.folder / f"mimir-exporter-{self.version}{suffix}"


def check_tag(tag: str, version: str) -> None:
    """Raises ReleaseError where a tag is of another version."""
    if tag != f"v{version}":
        raise ReleaseError(
            f"The tag is {tag} and pyproject.toml has version {version}: set the version to "
            f"{tag.removeprefix('v')} there, or tag v{version}"
        )


def make_release(folder: Path) -> Release:
    """Make all files anew in a folder. Raises ReleaseError, PackageError."""
    release = Release(__version__, folder)
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for architecture in ARCHITECTURES:
        package = build_package(architecture=architecture, python_version=PYTHON_VERSION)
        suffix = f"-{architecture}-python{PYTHON_VERSION}"
        write_zip(release.name(f"{suffix}.zip"), package.path)
        template = synthesize_template(architecture=architecture, python_version=PYTHON_VERSION)
        release.name(f"{suffix}.template.json").write_text(template, "utf-8")
    write_bill_of_materials(release.name(".cdx.json"))
    write_sums(folder)
    return release


def write_zip(path: Path, folder: Path) -> None:
    """All files of a folder, in order, with nothing of this machine or this moment."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), EPOCH)
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, file.read_bytes())


def write_bill_of_materials(path: Path) -> None:
    """What ships beside the exporter's own code, as CycloneDX has it. Raises ReleaseError."""
    requirements = (ROOT / "lambda" / "requirements.txt").relative_to(ROOT)
    command = [
        *(sys.executable, "-m", "cyclonedx_py", "requirements", "--output-reproducible"),
        *("--pyproject", "pyproject.toml", "--of", "JSON", "--output-file", str(path)),
        str(requirements),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise ReleaseError(f"cyclonedx-py failed: {done.stderr.strip()[-300:]}")


def write_sums(folder: Path) -> None:
    """As sha256sum writes them, so that `sha256sum --check` reads them."""
    sums = "".join(
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
        for file in sorted(folder.iterdir())
    )
    (folder / SUMS).write_text(sums, "utf-8")
