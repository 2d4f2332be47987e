"""Coverage-guided fuzzing of the splitter: bytes of any kind, in blocks cut anywhere.

A process of its own, run by test_coverage_guided.py: `python -m tests.torture.fuzz_split FOLDER
-max_total_time=60`. FOLDER has inputs to begin with, and gets those that reach new code; arguments
are libFuzzer's. An input is a byte that says how many cuts there are, two bytes for each, and the
answer's text. Ends with an error, and the input in a file, where splitting differs from Python.
"""

import sys

import atheris  # type: ignore[import-untyped]  # it has no types

with atheris.instrument_imports(include=["mimir_exporter"]):
    from mimir_exporter.answer import jsontext, matrix, split  # noqa: F401 - to be instrumented

from tests.unit import answers


def write_input(text: bytes, points: list[int]) -> bytes:
    """The input that says this text and these cuts."""
    cuts = b"".join(point.to_bytes(2, "big") for point in points)
    return bytes([len(points)]) + cuts + text


def read_input(data: bytes) -> tuple[bytes, list[int]]:
    cuts = min(data[0] % 8, (len(data) - 1) // 2) if data else 0
    points = [int.from_bytes(data[at : at + 2], "big") for at in range(1, 1 + 2 * cuts, 2)]
    return data[1 + 2 * cuts :], points


def judge(data: bytes) -> None:
    text, points = read_input(data)
    answers.judge(text, points, b"", [])


if __name__ == "__main__":
    atheris.Setup(sys.argv, judge)
    atheris.Fuzz()
