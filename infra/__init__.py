"""The stack and its parts. Settings are checked by the exporter's own code, found in `lambda/`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAMBDA = ROOT / "lambda"

# `lambda` is a keyword, so the package in it can only be imported from its folder.
if str(LAMBDA) not in sys.path:
    sys.path.insert(0, str(LAMBDA))
