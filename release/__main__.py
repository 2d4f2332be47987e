"""`python -m release [TAG]`: makes build/release/, and holds the version against the tag."""

import sys

from infra import ROOT
from infra.errors import PackageError
from mimir_exporter import __version__
from release.files import SUMS, ReleaseError, check_tag, make_release

FOLDER = ROOT / "build" / "release"


def main(tag: str) -> None:
    """Ends the process with one sentence and exit code 1 if it cannot be made."""
    try:
        if tag:
            check_tag(tag, __version__)
        release = make_release(FOLDER)
    except (ReleaseError, PackageError) as error:
        sys.exit(str(error))
    print(f"Version {release.version}", "is the tag's" if tag else "was not held against a tag")  # noqa: T201
    print((FOLDER / SUMS).read_text("utf-8"), end="")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
