"""What is fast, and how much memory it takes: `make bench` measures and writes docs/performance.md.

Every goal is a ratio of two things measured in the same run on the same bytes, so that it means
the same on another machine. `python -m bench.cost` writes docs/cost.md from what was measured.
"""

import sys
from pathlib import Path

# `lambda` is a keyword, so the exporter's package is found through the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lambda"))
