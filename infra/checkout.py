"""Where this is in a checkout of the repository. Installed, neither folder is there."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAMBDA = ROOT / "lambda"
