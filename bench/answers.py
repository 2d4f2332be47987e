"""Answers to query_range as Prometheus and Mimir send them, made as they are asked for.

Labels differ from series to series; the samples' text repeats after ROWS series, which is far
outside gzip's window of 32 KiB, so that it compresses as if all of it were different.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

HEAD = b'{"status":"success","data":{"resultType":"matrix","result":['
TAIL = b"]}}"
START_S = 1_759_622_400
STEP_S = 60
SAMPLES = 60  # an hour's window
STEPS = (START_S, START_S + STEP_S * (SAMPLES - 1))  # the first and the last
ROWS = 256
BLOCK_BYTES = 256 * 1024  # as the exporter reads from the socket

KINDS = ("usual", "short", "long", "wide", "histograms")


@dataclass(frozen=True)
class Shape:
    """What an answer is like. `mixed`: neighbours are of different clusters, as far as possible.

    Kinds: `usual` has the values of a CPU rate, `short` those of requests and info metrics, `long`
    17 digits and an exponent, `wide` some 30 labels, `histograms` native histograms.
    """

    kind: str
    series: int
    clusters: int
    mixed: bool = False

    @property
    def name(self) -> str:
        """A name that fits into a URL's path; `parse` reads it."""
        return f"{self.kind}.{self.series}.{self.clusters}.{'mixed' if self.mixed else 'sorted'}"

    @classmethod
    def parse(cls, name: str) -> "Shape":
        kind, series, clusters, order = name.split(".")
        return cls(kind, int(series), int(clusters), order == "mixed")


def make_blocks(shape: Shape, size: int = BLOCK_BYTES) -> Iterator[bytes]:
    """The answer's bytes in blocks of `size`, holding little more than one of them."""
    rows = _rows(shape.kind)
    held = bytearray(HEAD)
    for number in range(shape.series):
        if number:
            held += b","
        held += _labels(shape, number)
        held += rows[number % ROWS]
        if len(held) >= size:
            whole = len(held) // size * size
            for at in range(0, whole, size):
                yield bytes(held[at : at + size])
            del held[:whole]
    yield bytes(held + TAIL)


def _labels(shape: Shape, number: int) -> bytes:
    cluster = number % shape.clusters if shape.mixed else number * shape.clusters // shape.series
    pod = number * 2_654_435_761 % 2**32
    node = number // 25
    if shape.kind == "wide":
        team = pod % 41
        labels = b"".join(
            b',"label_%s":"%s-%d"' % (name, name, pod % size) for name, size in _WIDE_LABELS
        )
        return (
            b'{"metric":{"cluster":"prod-%04d"%s,"namespace":"team-%d","pod":"web-%08x-%05x"},'
            b'"values":[' % (cluster, labels, team, pod, number)
        )
    return (
        b'{"metric":{"cluster":"prod-%04d","container":"app","instance":"10.%d.%d.%d:10250",'
        b'"namespace":"team-%d","node":"ip-10-%d-%d-%d.ec2.internal","pod":"web-%08x-%05x"},%s'
        % (
            *(cluster, cluster % 256, node // 200 % 256, node % 200),
            *(pod % 41, cluster % 256, node // 200 % 256, node % 200, pod, number),
            b'"histograms":[' if shape.kind == "histograms" else b'"values":[',
        )
    )


_WIDE_LABELS = [
    *((b"app_kubernetes_io_%s" % name, 60) for name in (b"name", b"component", b"instance")),
    *((b"app_kubernetes_io_%s" % name, 5) for name in (b"managed_by", b"part_of", b"version")),
    *((b"cost_center_%02d" % n, 3 + n * 7) for n in range(20)),
    (b"pod_template_hash", 100_000),
]


def _rows(kind: str) -> list[bytes]:
    chance = random.Random(kind)
    point = _histogram if kind == "histograms" else _point
    rows = []
    for _ in range(ROWS):
        base = chance.uniform(0.001, 3)
        points = [point(kind, START_S + STEP_S * n, base, chance) for n in range(SAMPLES)]
        rows.append(b",".join(points) + b"]}")
    return rows


def _point(kind: str, at: int, base: float, chance: random.Random) -> bytes:
    if kind == "usual":
        value = repr(base * chance.uniform(0.8, 1.2))
    elif kind == "long":
        value = f"{base * chance.uniform(0.8, 1.2):.16e}"
    else:
        value = "1" if kind == "wide" else str(round(base, 1))
    return b'[%d,"%s"]' % (at, value.encode())


def _histogram(_kind: str, at: int, base: float, chance: random.Random) -> bytes:
    count = round(base * 10_000)
    buckets = b",".join(
        b'[0,"%r","%r","%d"]' % (edge, edge * 1.0905077326652577, count // 8 + chance.randrange(99))
        for edge in (0.1 * 1.0905077326652577**n for n in range(8))
    )
    total = repr(count * base).encode()
    return b'[%d,{"count":"%d","sum":"%s","buckets":[%s]}]' % (at, count, total, buckets)
