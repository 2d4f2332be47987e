"""The stack and its parts; installed, the package `mimir_exporter_cdk`.

Settings are checked by the exporter's own code: in a checkout it is in `lambda/`, otherwise it is
installed beside this.
"""

import sys
from typing import TYPE_CHECKING

from .checkout import LAMBDA, ROOT

# `lambda` is a keyword, so the package in it can only be imported from its folder.
if LAMBDA.is_dir() and str(LAMBDA) not in sys.path:
    sys.path.insert(0, str(LAMBDA))

if TYPE_CHECKING:
    from .exporter import MimirExporter as MimirExporter

__all__ = ["LAMBDA", "ROOT", "MimirExporter"]


def __getattr__(name: str) -> object:
    """Imports the CDK, which starts Node.js, only for who asks for the construct."""
    if name == "MimirExporter":
        from .exporter import MimirExporter  # noqa: PLC0415

        return MimirExporter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
