"""Label values and samples that no sane exporter would send, pushed as a server takes them."""

import math
import random
import struct
from collections.abc import Iterable, Sequence

from localcloud.remote_write import Batch, RemoteWriter, encode_text, encode_varint
from tests.integration.deployment import CENTRAL
from tests.unit.answers import PIECES

LONG = 1000

CLUSTERS = (
    *("../x", "..", ".", "./", "/", "//", "a/b", "a//b", "/a", "a/", "a\\b", "..\\x"),
    *("%2F", "%2f", "%", "%%", "%s", "%25", "%2E%2E", "a%00b", "+", "a+b", "a b", " ", " a", "a "),
    *("prod", "Prod", "PROD", "prod\u200b", "pr\u00f6d", "pro\u0308d", "\u00c5", "A\u030a"),
    *("\u212b", "\ufeff", "\ufffd", "\u2028", "\x00", "a\x00b", "\x01", "\x1f", "\x7f"),
    *("\n", "a\nb", "\r\n", "\t", "<a>", "&amp;", "?", "#", "*", '"', "'", "`", "\\", '\\"'),
    *("集群", "кластер", "كتلة", "🦊", "\U0010ffff", "é", "e\u0301", "\ufb00", "ff"),
    *("end=20251101", "day=1", "metric=cpu_usage", "checkpoint.json", "probe.json", "null"),
    *(CENTRAL, CENTRAL.upper(), CENTRAL + "/", "k8s", "k8s/prometheus"),
    *("$matchers", "${x}", '"}', '",cluster="x', 'x",y=~".*'),
    *("a" * LONG, "a" * (LONG - 1) + "b", "集" * LONG, "%" * LONG, "/" * LONG, "." * LONG),
    *PIECES,
)
VALUES = (
    *(math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 0.1 + 0.2, 1e300, -1.5e21, 5e-324),
    *(1.7976931348623157e308, 123456789012345680.0, 1e21, 1e20, 1e-7, 2**53 + 0.0, 1 / 3),
)


def text(chance: random.Random) -> str:
    """A label value of any kind."""
    kind = chance.randrange(6)
    length = chance.choice([1, 1, 2, 3, 8, 30])
    if kind == 0:
        return "".join(chance.choice(PIECES) for _ in range(length))
    if kind == 1:
        return "".join(chance.choice("./\\%aA0eE=sS") for _ in range(length))
    if kind == 2:
        return "".join(chr(chance.randrange(0x80)) for _ in range(length))
    if kind == 3:
        return "".join(chr(chance.randrange(0xD800)) for _ in range(length))
    if kind == 4:
        return "".join(chr(chance.randrange(0x10000, 0x110000)) for _ in range(length))
    return chance.choice(CLUSTERS) + chance.choice(CLUSTERS)


def push_gauges(
    writer: RemoteWriter, name: str, clusters: Sequence[str], chance: random.Random, minutes: range
) -> int:
    """Two series of each cluster and some without one, a sample a minute at odd milliseconds."""
    batches = []
    for cluster in (*clusters, None):
        for pod in (text(chance), text(chance) + "2"):
            labels = {"__name__": name, "pod": pod, "note": text(chance)}
            if cluster is not None:
                labels["cluster"] = cluster
            times = [minute * 60_000 - chance.randrange(1000) for minute in minutes]
            values = [chance.choice(VALUES) for _ in minutes]
            batches.append(Batch.of(labels, times, values))
    return writer.send(batches)


def push_histograms(
    writer: RemoteWriter, name: str, clusters: Iterable[str], chance: random.Random, minutes: range
) -> None:
    """A native histogram of each cluster: observations in a few buckets, more every minute."""
    message = bytearray()
    for cluster in clusters:
        labels = {"__name__": name, "cluster": cluster, "pod": text(chance)}
        series = bytearray()
        for label, value in sorted(labels.items()):
            field = encode_text(0x0A, label) + encode_text(0x12, value)
            series += b"\x0a" + encode_varint(len(field)) + field
        counts = [chance.randrange(5) for _ in range(3)]
        for minute in minutes:
            counts = [count + chance.randrange(3) for count in counts]
            histogram = _histogram(counts, chance.choice(VALUES), minute * 60_000)
            series += b"\x22" + encode_varint(len(histogram)) + histogram
        message += b"\x0a" + encode_varint(len(series)) + series
    writer.push(message)


def _histogram(counts: Sequence[int], total: float, time_ms: int) -> bytes:
    """A Histogram of prometheus/prometheus prompb/types.proto, of schema 3, in one span.

    Fields: count 1, sum 3, schema 4 (sint32), zero_threshold 5, zero_count 6, positive_spans 11
    (offset 1 sint32, length 2), positive_deltas 12 (sint64, packed), timestamp 15.
    """
    deltas = [count - before for count, before in zip(counts, (0, *counts), strict=False)]
    packed = b"".join(encode_varint(_zigzag(delta)) for delta in deltas)
    span = b"\x08" + encode_varint(_zigzag(2)) + b"\x10" + encode_varint(len(counts))
    return b"".join(
        [
            b"\x08" + encode_varint(sum(counts)),
            b"\x19" + struct.pack("<d", total),
            b"\x20" + encode_varint(_zigzag(3)),
            b"\x29" + struct.pack("<d", 0.001),
            b"\x30" + encode_varint(0),
            b"\x5a" + encode_varint(len(span)) + span,
            b"\x62" + encode_varint(len(packed)) + packed,
            b"\x78" + encode_varint(time_ms),
        ]
    )


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1
