"""Splitting and compressing against compressing alone, and against what parses the values."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from isal import isal_zlib

from bench.answers import STEPS, Shape, make_blocks
from bench.measure import Usage, cpu_s, in_process, interleave, ratio
from mimir_exporter.answer.split import Splitter
from mimir_exporter.answer.spool import Spool

LEVEL = 1  # of the yardstick: ISA-L as it comes, with the history of 32 KiB that gzip has
GZIP_WBITS = 31

ROUNDS = 7
SLOW_ROUNDS = 3
SLOW_PART = 10  # contenders that parse get a tenth of the series, and are compared by speed

CASES = {
    "sorted, 20 clusters": Shape("usual", 40_000, 20),
    "interleaved, 20 clusters": Shape("usual", 40_000, 20, mixed=True),
    "one cluster": Shape("usual", 16_000, 1),
    "sorted, 1,000 clusters": Shape("usual", 40_000, 1000),
    "interleaved, 1,000 clusters": Shape("usual", 40_000, 1000, mixed=True),
    "wide label sets (`pod_labels`)": Shape("wide", 10_000, 20),
    "native histograms": Shape("histograms", 1_500, 20),
    "long digits": Shape("long", 13_000, 20),
    "short digits (requests, info)": Shape("short", 20_000, 20),
}
SLOW_CASES = ("sorted, 20 clusters", "interleaved, 20 clusters")


@dataclass(frozen=True)
class Case:
    """Speeds in MB/s of CPU, over `size_mb` of answer. `to_*`: the exporter's speed over another's.

    `size_to_zlib6` compares the files with the same files made by zlib level 6. What parses was
    measured only for some.
    """

    name: str
    size_mb: float
    raw: float
    exporter: float
    to_raw: float
    split_only: float
    size_to_zlib6: float
    orjson: float | None = None
    json: float | None = None

    @property
    def to_orjson(self) -> float | None:
        return self.exporter / self.orjson if self.orjson else None

    @property
    def to_json(self) -> float | None:
        return self.exporter / self.json if self.json else None


def measure_case(name: str) -> Case:
    """Measure one of CASES."""
    shape = CASES[name]
    blocks = list(make_blocks(shape))
    size_mb = sum(map(len, blocks)) / 1e6
    runs = interleave(
        {
            "raw": in_process(lambda: compress_raw(blocks)),
            "exporter": in_process(lambda: split_and_compress(blocks)),
            "split": in_process(lambda: split_only(blocks)),
        },
        ROUNDS,
    )
    speeds: dict[str, float] = {}
    if name in SLOW_CASES:
        speeds = _slow_speeds(Shape(shape.kind, shape.series // SLOW_PART, 20, shape.mixed))
    return Case(
        name,
        size_mb,
        raw=size_mb / cpu_s(runs["raw"]),
        exporter=size_mb / cpu_s(runs["exporter"]),
        to_raw=ratio(runs["raw"], runs["exporter"]),
        split_only=size_mb / cpu_s(runs["split"]),
        size_to_zlib6=split_and_compress(blocks) / zlib6_size(blocks),
        **speeds,
    )


def compress_raw(blocks: Iterable[bytes]) -> int:
    """The floor: the answer as it is through one compressor. Returns the bytes that come out."""
    compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP_WBITS)
    size = sum(len(compressor.compress(block)) for block in blocks)
    return size + len(compressor.flush())


def split_and_compress(blocks: Iterable[bytes]) -> int:
    """What the exporter does between the socket and the bucket. Returns the files' bytes."""
    with Spool(steps=STEPS) as spool:
        splitter = Splitter("cluster", "central", spool.add)
        for block in blocks:
            splitter.feed(block)
        splitter.finish()
        return sum(file.size for file in spool.files())


def split_only(blocks: Iterable[bytes]) -> None:
    splitter = Splitter("cluster", "central", lambda *_: None)
    for block in blocks:
        splitter.feed(block)
    splitter.finish()


def zlib6_size(blocks: Iterable[bytes]) -> int:
    """The size of the same files, each one stream of zlib level 6."""
    files: dict[str, Any] = {}
    size = 0

    def take(cluster: str, run: memoryview, _series: int, _samples: int) -> None:
        nonlocal size
        if cluster not in files:
            files[cluster] = zlib.compressobj(6, zlib.DEFLATED, GZIP_WBITS)
        size += len(files[cluster].compress(run)) + len(files[cluster].compress(b","))

    splitter = Splitter("cluster", "central", take)
    for block in blocks:
        splitter.feed(block)
    splitter.finish()
    return size + sum(len(one.flush()) for one in files.values())


def parse_and_compress(
    text: bytes,
    loads: Callable[[bytes], Any],
    dumps: Callable[[Any], bytes],
    compress: Callable[[bytes], bytes],
) -> int:
    """Read the answer, sort its series by cluster, write each cluster's answer."""
    answer = loads(text)
    files: dict[str, list[Any]] = {}
    for series in answer["data"]["result"]:
        files.setdefault(series["metric"].get("cluster", "central"), []).append(series)
    size = 0
    for matrix in files.values():
        data = {"resultType": "matrix", "result": matrix}
        size += len(compress(dumps({"status": "success", "data": data})))
    return size


def _slow_speeds(shape: Shape) -> dict[str, float]:
    text = b"".join(make_blocks(shape))
    zlib6: Callable[[bytes], bytes] = lambda data: zlib.compress(data, 6, GZIP_WBITS)  # noqa: E731
    runs: dict[str, list[Usage]] = interleave(
        {
            "orjson": in_process(
                lambda: parse_and_compress(text, orjson.loads, orjson.dumps, zlib6)
            ),
            "json": in_process(
                lambda: parse_and_compress(
                    text, json.loads, lambda value: json.dumps(value).encode(), gzip.compress
                )
            ),
        },
        SLOW_ROUNDS,
    )
    return {name: len(text) / 1e6 / cpu_s(of_one) for name, of_one in runs.items()}
