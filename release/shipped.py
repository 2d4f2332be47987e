"""What ships in the function, as a page: `python -m release.shipped` writes docs/shipped.md."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PathDistribution
from pathlib import Path

from infra import ROOT
from infra.package import DISTRIBUTION, build_package

PAGE = ROOT / "docs" / "shipped.md"
# As cdk.json has them; another platform's wheels differ in size alone.
ARCHITECTURE, PYTHON_VERSION = "arm64", "3.14"
HEAD = f"""\
# What ships in the function

Written by `make lock` from the built package; a test holds it against that. Beside the exporter's
own code these are in it, pinned by hash in `lambda/requirements.txt`, from wheels for
{ARCHITECTURE} and Python {PYTHON_VERSION}. Tests, examples and the models of AWS services that no
run calls are left out; licence texts are there.

`make audit` asks PyPI and npm for known vulnerabilities of all that is pinned, also for deploying
and testing. It needs both services themselves: a mirror of their packages may not answer, and a
package that could not be asked about is a failure. CI does not run it, so that no build depends on
what a service says today; run it after `make lock`, and on a schedule where both can be reached.

| package | version | licence | KB |
| --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class Shipped:
    """One distribution in the package. `size` is bytes, of what is left of it."""

    name: str
    version: str
    licence: str
    size: int


def write_page() -> None:
    """Raises PackageError."""
    package = build_package(architecture=ARCHITECTURE, python_version=PYTHON_VERSION)
    PAGE.write_text(as_page(package.path), "utf-8")


def as_page(package: Path) -> str:
    """The page for a built package. The exporter's own code is in it, but not on the page."""
    found = list(list_shipped(package))
    rows = [
        f"| {one.name} | {one.version} | {one.licence} | {one.size / 1000:,.0f} |\n"
        for one in found
    ]
    total = sum(one.size for one in found)
    return f"{HEAD}{''.join(rows)}| together | | | {total / 1000:,.0f} |\n"


def list_shipped(package: Path) -> Iterator[Shipped]:
    """Every distribution but the exporter's own, by name."""
    for info in sorted(package.glob("*.dist-info"), key=lambda path: path.name.lower()):
        if info.name.startswith(DISTRIBUTION):
            continue
        one = PathDistribution(info)
        # Their RECORD is not shipped, as it would name scripts that are not.
        top_level = one.read_text("top_level.txt") or one.name.replace("-", "_")
        modules = [package / name for name in top_level.split()]
        size = sum(_size(path) for path in (info, *modules))
        yield Shipped(one.name, one.version, _licence(one), size)


def _licence(one: PathDistribution) -> str:
    """What its author states: an SPDX expression, or older forms of the same."""
    for key in ("License-Expression", "License"):
        for stated in one.metadata.get_all(key) or ():
            if "dual" not in stated.lower():
                return str(stated)
    classifiers = one.metadata.get_all("Classifier") or []
    return " or ".join(
        name.rpartition(" :: ")[2] for name in classifiers if name.startswith("License ::")
    )


def _size(path: Path) -> int:
    """Of a folder, or of a module that is a single file."""
    if not path.is_dir():
        return path.with_suffix(".py").stat().st_size
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())


if __name__ == "__main__":
    write_page()
