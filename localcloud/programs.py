"""Programs of the distribution that some of the tests drive, found where they are installed."""

import os
import shutil
from pathlib import Path

from localcloud.processes import StartError

PACKAGES = {
    "chromium": "chromium",
    "nginx": "nginx-light",
    "openssl": "openssl",
    "victoria-metrics": "victoria-metrics",
}
# Debian keeps daemons out of a user's PATH.
SEARCH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])


def find_program(name: str) -> Path:
    """The program's path. Raises StartError, which says how to get it."""
    found = shutil.which(name, path=SEARCH)
    if found is None:
        raise StartError(
            f"{name} is not installed (Debian, Ubuntu: sudo apt-get install {PACKAGES[name]})."
        )
    return Path(found)
