"""What ships in the function: its dependencies and the exporter's package, in one folder.

Built without Docker, from wheels of the function's platform, so that an arm64 function can be
deployed from any machine. Both steps are kept under build/ by the hash of all that goes in.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import mimir_exporter

from .checkout import LAMBDA, ROOT
from .errors import PACKAGE_NOT_BUILT

# In a checkout, and where this is installed in another app's environment.
BUILD = ROOT / "build" if LAMBDA.is_dir() else Path.home() / ".cache" / "mimir-exporter"
DISTRIBUTION = "mimir_s3_exporter"
MACHINE = {"arm64": "aarch64", "x86_64": "x86_64"}
# botocore carries the models of 400 services, 28 MB of 39. The exporter talks to these; a client
# for any other fails with UnknownServiceError, so add it here first.
AWS_SERVICES = frozenset({"s3", "secretsmanager", "stepfunctions", "sts"})


@dataclass(frozen=True)
class Source:
    """What the package is built from: the exporter's own package, and what it depends on."""

    package: Path
    requirements: Path

    @classmethod
    def of_exporter(cls) -> "Source":
        """The exporter's own. Installed, the requirements are beside this file."""
        requirements = Path(__file__).with_name("requirements.txt")
        if not requirements.exists():
            requirements = LAMBDA / "requirements.txt"
        return cls(Path(mimir_exporter.__file__).parent, requirements)


@dataclass(frozen=True)
class Package:
    """A folder that is the function's code, and a hash of what it was built from."""

    path: Path
    hash: str


def build_package(
    *,
    architecture: str,
    python_version: str,
    beside: Mapping[str, str] = MappingProxyType({}),
    source: Source | None = None,
    build: Path = BUILD,
) -> Package:
    """Build the package, or find it built already.

    `beside` are files to lie beside the exporter's package: their text by name. Raises
    PackageError.
    """
    source = source or Source.of_exporter()
    requirements = source.requirements
    version = mimir_exporter.__version__
    platforms = wheel_platforms(architecture, python_version)
    recipe = json.dumps([python_version, platforms, sorted(AWS_SERVICES)]).encode()
    dependencies_hash = _hash(recipe, Path(__file__).read_bytes(), requirements.read_bytes())
    texts = [part.encode() for item in sorted(beside.items()) for part in item]
    package_hash = _hash(
        dependencies_hash.encode(), version.encode(), *texts, *_fingerprint(source.package)
    )

    def install(folder: Path) -> None:
        _pip_install(folder, requirements, platforms, python_version)
        _leave_out_needless(folder)

    def assemble(folder: Path) -> None:
        dependencies = _once(build / f"dependencies-{dependencies_hash[:16]}", install)
        # Linked, not copied: each change of the source would leave 13 MB behind.
        shutil.copytree(dependencies, folder, dirs_exist_ok=True, copy_function=os.link)
        shutil.copytree(
            source.package,
            folder / "mimir_exporter",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        _name_the_version(folder, version)
        for name, text in beside.items():
            (folder / name).write_text(text, "utf-8")
        # Lambda runs as a user of its own: a strict umask here must not lock it out there.
        for path in folder.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)

    return Package(_once(build / f"function-{package_hash[:16]}", assemble), package_hash)


def wheel_platforms(architecture: str, python_version: str) -> list[str]:
    """The wheel tags that run in Lambda: Amazon Linux 2023 from Python 3.12 on, before that 2.

    pip takes each tag literally, so the older ones that are compatible are named too.
    """
    newest_glibc = 34 if tuple(map(int, python_version.split("."))) >= (3, 12) else 26
    tags = [f"manylinux_2_{minor}" for minor in range(newest_glibc, 16, -1)]
    return [f"{tag}_{MACHINE[architecture]}" for tag in [*tags, "manylinux2014"]]


def _pip_install(
    folder: Path, requirements: Path, platforms: list[str], python_version: str
) -> None:
    platform_options = [f"--platform={platform}" for platform in platforms]
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--no-input", "--no-compile", "--require-hashes", "--only-binary=:all:", "--no-deps"),
        *(f"--target={folder}", f"--python-version={python_version}", "--implementation=cp"),
        *platform_options,
        *("--requirement", str(requirements)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        last = said[-1] if said else done.stderr.strip()[-200:]
        raise PACKAGE_NOT_BUILT(requirements=requirements.name, cause=f"pip: {last}")


def _leave_out_needless(folder: Path) -> None:
    """Remove what no run reads. Licences, in each .dist-info, stay."""
    # Scripts begin with the path of this machine's Python, and RECORD holds their hashes.
    shutil.rmtree(folder / "bin", ignore_errors=True)
    for needless in ("**/__pycache__", "**/tests", "boto3/examples", "*.dist-info/RECORD"):
        for path in list(folder.glob(needless)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for model in folder.glob("botocore/data/*"):
        if model.is_dir() and model.name not in AWS_SERVICES:
            shutil.rmtree(model)


def _name_the_version(folder: Path, version: str) -> None:
    """As an installer would: `mimir_exporter.__version__` is read from it."""
    info = folder / f"{DISTRIBUTION}-{version}.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: {version}\n"
    (info / "METADATA").write_text(metadata, "utf-8")


def _once(folder: Path, fill: Callable[[Path], None]) -> Path:
    """The folder, filled unless it is there already.

    It appears under its name only when it is whole, so that an interrupted build is never taken
    for a finished one; of two builds at once the first wins, both being equal.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unfinished-") as unfinished:
        content = Path(unfinished) / "content"
        content.mkdir()
        fill(content)
        try:
            content.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    return folder


def _fingerprint(folder: Path) -> Iterator[bytes]:
    """Every file's path and content, in a fixed order."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix().encode()
            yield path.read_bytes()


def _hash(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        # The length keeps ("ab", "c") and ("a", "bc") apart.
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
