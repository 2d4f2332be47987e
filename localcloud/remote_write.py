"""Prometheus remote write 1.0: protobuf by hand, snappy from cramjam, one POST for a batch.

The message, from prometheus/prometheus prompb/remote.proto and types.proto:

    WriteRequest { repeated TimeSeries timeseries = 1; }
    TimeSeries   { repeated Label labels = 1; repeated Sample samples = 2; }
    Label        { string name = 1; string value = 2; }
    Sample       { double value = 1; int64 timestamp = 2; }  // milliseconds
"""

import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import cramjam
import urllib3

# A sample with this bit pattern says that the series has ended (model/value/value.go). It has to
# travel as bytes: as a float it is one NaN among others.
STALE = struct.pack("<Q", 0x7FF0000000000002)

# A millisecond time between 2004 and 2109 is a varint of exactly six bytes, so every sample is
# encoded in 18 bytes, and the columns of many samples can be filled by strided slices.
TIME_BYTES = 6
SAMPLE_BYTES = 18


@dataclass(frozen=True)
class Batch:
    """Samples of one series, ascending in time: encoded times and little-endian doubles."""

    labels: Mapping[str, str]
    times: bytes
    values: bytes

    @classmethod
    def of(
        cls, labels: Mapping[str, str], times_ms: Sequence[int], values: Iterable[float]
    ) -> "Batch":
        return cls(labels, encode_times(times_ms), doubles(values))

    @property
    def samples(self) -> int:
        return len(self.values) // 8


class RemoteWriter:
    """Sends batches to one endpoint. `headers` may carry a tenant or a token."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self._url = url
        self._http = urllib3.PoolManager(retries=False, timeout=60.0)
        self._headers = {
            "Content-Encoding": "snappy",
            "Content-Type": "application/x-protobuf",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
            **(headers or {}),
        }

    def send(self, batches: Iterable[Batch]) -> int:
        """Push the batches in one request and return the number of samples.

        Raises RuntimeError with the server's own words if it does not take them.
        """
        total = 0
        message = bytearray()
        for batch in batches:
            message += encode_series(batch)
            total += batch.samples
        self.push(message)
        return total

    def push(self, message: bytes | bytearray) -> None:
        """Push an encoded WriteRequest. Raises RuntimeError as `send` does."""
        body = bytes(cramjam.snappy.compress_raw(message))
        answer = self._http.request("POST", self._url, body=body, headers=self._headers)
        if answer.status >= 300:
            raise RuntimeError(f"remote write answered {answer.status}: {answer.data[:300]!r}")


def encode_series(batch: Batch) -> bytes:
    """One `timeseries` field of a WriteRequest. Labels must be sorted by name on the wire."""
    body = bytearray()
    for name, value in sorted(batch.labels.items()):
        label = encode_text(0x0A, name) + encode_text(0x12, value)
        body += b"\x0a" + encode_varint(len(label)) + label
    body += _samples(batch.times, batch.values)
    return b"\x0a" + encode_varint(len(body)) + bytes(body)


def encode_times(times_ms: Iterable[int]) -> bytes:
    """Six bytes a time. Raises ValueError outside 2004 to 2109."""
    encoded = bytearray()
    for time_ms in times_ms:
        if not 1 << 35 <= time_ms < 1 << 42:
            raise ValueError(f"{time_ms} ms is not a time between 2004 and 2109")
        encoded += encode_varint(time_ms)
    return bytes(encoded)


def doubles(values: Iterable[float]) -> bytes:
    return array("d", values).tobytes()


def _samples(times: bytes, values: bytes) -> bytearray:
    count = len(values) // 8
    if len(times) != count * TIME_BYTES:
        raise ValueError(f"{len(times) // TIME_BYTES} times for {count} values")
    encoded = bytearray(count * SAMPLE_BYTES)
    constant = {0: 0x12, 1: SAMPLE_BYTES - 2, 2: 0x09, 11: 0x10}
    for column, byte in constant.items():
        encoded[column::SAMPLE_BYTES] = bytes([byte]) * count
    for column in range(8):
        encoded[3 + column :: SAMPLE_BYTES] = values[column::8]
    for column in range(TIME_BYTES):
        encoded[12 + column :: SAMPLE_BYTES] = times[column::TIME_BYTES]
    return encoded


def encode_text(tag: int, text: str) -> bytes:
    """A field that holds text."""
    encoded = text.encode()
    return bytes([tag]) + encode_varint(len(encoded)) + encoded


def encode_varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
