"""The same splitting and compressing on the Python that the function runs on.

The tests and the bench run on whatever Python made .venv. Where that is of another version than the
function's, and one of the function's is found too, in PATH or among pyenv's, this one measures the
cases that have goals, in an environment of its own under build/.
"""

import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from bench.compress import SLOW_CASES, Case, measure_case

PROJECT = Path(__file__).resolve().parents[1]
VERSION = json.loads((PROJECT / "cdk.json").read_text("utf-8"))["context"]["python_version"]
NEEDED = ("isal", "orjson")


@dataclasses.dataclass(frozen=True)
class Runtime:
    """`python` is the whole version."""

    python: str
    cases: list[Case]


def measure_runtime() -> Runtime | None:
    """None where it is the Python that runs already, none is found, or what it needs cannot be
    installed."""
    if is_function_s(platform.python_version()):
        return None
    interpreter = _find()
    if interpreter is None:
        return None
    folder = PROJECT / "build" / f"bench-python{VERSION}"
    python = str(folder / "bin" / "python")
    pins = [
        line.split()[0]
        for line in (PROJECT / "requirements.txt").read_text("utf-8").splitlines()
        if line.split("==")[0] in NEEDED
    ]
    try:
        for command in (
            [interpreter, "-m", "venv", "--clear", str(folder)],
            [python, "-m", "pip", "install", "--quiet", *pins],
        ):
            subprocess.run(command, check=True, capture_output=True)
        done = subprocess.run(
            [python, "-m", "bench.runtime"],
            env=os.environ | {"PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'lambda'}"},
            cwd=PROJECT,
            check=True,
            capture_output=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"left out, Python {VERSION}: {error}", file=sys.stderr)
        return None
    found = json.loads(done.stdout)
    return Runtime(found["python"], [Case(**one) for one in found["cases"]])


def is_function_s(python: str) -> bool:
    """Whether a whole version is one of that which the function runs on."""
    return python.startswith(f"{VERSION}.")


def _find() -> str | None:
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    pyenv = sorted(versions.glob(f"{VERSION}.*/bin/python{VERSION}"))
    # Before PATH: what pyenv has there is a program that asks which version is meant.
    return str(pyenv[-1]) if pyenv else shutil.which(f"python{VERSION}")


if __name__ == "__main__":
    cases = [dataclasses.asdict(measure_case(name)) for name in SLOW_CASES]
    json.dump({"python": sys.version.split()[0], "cases": cases}, sys.stdout)
