"""Where the CPU goes between the socket and the bucket: each part alone, on the same bytes.

Every part is measured in turns with the whole and with raw ISA-L. What the parts do not explain is
what they cost each other: memory that one has pushed out of the processor's cache.
"""

import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass

from isal import isal_zlib

from bench.answers import STEPS, make_blocks
from bench.compress import CASES, compress_raw, split_and_compress, split_only
from bench.measure import Usage, in_process, interleave
from mimir_exporter.answer.split import Splitter
from mimir_exporter.answer.spool import LEVEL, MEM_LEVEL, Buffer, Spool

ROUNDS = 7


@dataclass(frozen=True)
class Profile:
    """Milliseconds of CPU for a MB of answer. `calls`: of Python's methods in C, for a series."""

    case: str
    raw: float
    whole: float
    compress: float
    spool: float
    split: float
    count: float
    calls: float


class _Recorder(Spool):
    """Notes what its compressor would get: whose, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[tuple[int, bytes]] = []

    def _compress(self, one: object, text: Buffer) -> None:
        self.texts.append((id(one), bytes(text)))
        one.text_bytes += len(text)  # type: ignore[attr-defined]  # private there


@dataclass(frozen=True)
class OtherProfiles:
    """Of cases without goals of their own; their own date and machine."""

    date: str
    machine: str
    python: str
    profiles: list[Profile]


def measure_profile(name: str) -> Profile:
    """Profile one of CASES."""
    blocks = list(make_blocks(CASES[name]))
    size_mb = sum(map(len, blocks)) / 1e6
    runs: list[tuple[str, bytes, int, int]] = []
    splitter = Splitter(
        "cluster", "central", lambda c, run, s, n: runs.append((c, bytes(run), s, n))
    )
    for block in blocks:
        splitter.feed(block)
    splitter.finish()
    recorder = _Recorder()
    for run in runs:
        recorder.add(*run)
    recorder._flush_all()
    bits, texts = recorder._history_bits, recorder.texts

    def compress() -> None:
        compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, -bits, MEM_LEVEL)
        whose = texts[0][0]
        for cluster, text in texts:
            if cluster != whose:
                compressor.flush(isal_zlib.Z_FULL_FLUSH)
                whose = cluster
            compressor.compress(text)
        compressor.flush()

    def spool() -> None:
        with Spool(steps=STEPS) as into:
            for run in runs:
                into.add(*run)
            for _ in into.files():
                pass

    parts: dict[str, Callable[[], object]] = {
        "raw": lambda: compress_raw(blocks),
        "whole": lambda: split_and_compress(blocks),
        "compress": compress,
        "spool": spool,
        "split": lambda: split_only(blocks),
        "count": lambda: sum(block.count(b"[") for block in blocks),
    }
    found = interleave({part: in_process(work) for part, work in parts.items()}, ROUNDS)

    def ms(runs_of_part: list[Usage]) -> float:
        return statistics.median(one.cpu_s for one in runs_of_part) * 1000 / size_mb

    return Profile(
        name,
        **{part: ms(of_part) for part, of_part in found.items()},
        calls=_calls(blocks) / CASES[name].series,
    )


def _calls(blocks: list[bytes]) -> int:
    """Calls of functions written in C while the blocks are split."""
    calls = 0

    def note(_frame: object, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event == "c_call"

    sys.setprofile(note)
    try:
        split_only(blocks)
    finally:
        sys.setprofile(None)
    return calls
