"""The splitter fuzzed by a program that looks for inputs which reach new code."""

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.torture.conftest import Record
from tests.unit import answers

PROJECT = Path(__file__).resolve().parents[2]
MAX_BYTES = 2000


def test_no_input_is_split_wrongly(
    budget_s: float, seed: int, record: Record, tmp_path: Path
) -> None:
    """Inputs from mutation of valid answers, judged by Python's own parser."""
    pytest.importorskip("atheris", reason="atheris has no wheel for this platform")
    found = tmp_path / "found"
    found.mkdir()
    for number, text in enumerate(first_answers(random.Random(seed))):
        (found / f"answer-{number}").write_bytes(b"\x01\x00\x50" + text)
    words = tmp_path / "words"
    words.write_text("\n".join(map(as_word, answers.PIECES)) + "\n", "utf-8")
    done = subprocess.run(  # noqa: S603 - ourselves
        [
            sys.executable,
            "-m",
            "tests.torture.fuzz_split",
            str(found),
            f"-max_total_time={max(1, int(budget_s))}",
            f"-seed={seed + 1}",  # 0 would be any
            f"-max_len={MAX_BYTES}",
            f"-dict={words}",
            f"-artifact_prefix={tmp_path}/",
            "-timeout=20",
            "-print_final_stats=1",
        ],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'lambda'}"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    executed = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    assert executed is not None, done.stderr[-3000:]
    record("inputs of the splitter", int(executed[1]))
    record("of these, inputs that reached new code", len(list(found.iterdir())))


def first_answers(chance: random.Random) -> list[bytes]:
    """Small valid answers of every form, from which the search begins."""
    whole = {"status": "success", "data": {"resultType": "matrix", "result": answers.SMALL}}
    texts = [answers.answer(series) for series in (answers.SMALL, [], *zip(answers.SMALL))]
    texts += [answers.Odd(chance).write(whole).encode() for _ in range(5)]
    texts += [answers.damage(texts[0], chance) for _ in range(10)]
    return [text for text in texts if len(text) < MAX_BYTES]


def as_word(piece: str) -> str:
    """A line of libFuzzer's dictionary."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in piece.encode()) + '"'
