"""A cold start imports what a regular run needs, and no more."""

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]

# Each takes tens to hundreds of milliseconds on a function of 256 MB.
HEAVY = ("asyncio", "boto3", "botocore.auth", "botocore.session", "multiprocessing", "s3transfer")


def test_the_handler_imports_no_client_that_a_regular_run_does_not_use() -> None:
    program = (
        f"import sys\nimport mimir_exporter.handler\nprint(*set({HEAVY!r}) & set(sys.modules))"
    )
    done = subprocess.run(  # noqa: S603 - a program of this file
        [sys.executable, "-c", program],
        cwd=PROJECT,
        env={"PYTHONPATH": "lambda"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []
