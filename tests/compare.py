"""Compares exported objects with what Prometheus answers when it is asked for the whole range.

Nothing here is shared with the exporter: the layout, the cutting of time and the splitting by
cluster are written down a second time, from their description, so that a mistake in one of the two
shows.
"""

import gzip
import json
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote

DAY_S = 86_400
SHOWN = 5  # differences of one kind in one metric; a systematic mistake makes thousands

Matrix = list[dict[str, Any]]
Samples = dict[str, dict[str, str]]  # value by time by labels
# (promql, first step, last step, seconds between steps) -> the answer's body, over both ends
Ask = Callable[[str, int, int, int], bytes]

_KEY = re.compile(
    r"(?P<folder>[^/]+)/end=(?P<end>\d{8})/day=(?P<day>\d{1,2})/metric=(?P<metric>[^/]+)"
    r"/(?P<start>\d+)_(?P<name>[^/]+)\.json\.gz"
)


@dataclass(frozen=True)
class Contract:
    """The settings that say which object holds what."""

    prefix: str
    cluster_name: str
    cluster_label: str = "cluster"
    split_by_cluster: bool = True
    time_frame_s: int = 3600
    step_s: int = 60

    def folder(self, labels: Mapping[str, str]) -> str:
        value = labels.get(self.cluster_label) if self.split_by_cluster else None
        text = value or self.cluster_name
        encoded = quote(text, safe="")
        if len(encoded) > 500:  # too long for a key: its beginning, and a digest of the whole
            begin = encoded[:400]
            while begin.rpartition("%")[2] in ("", *"0123456789ABCDEF"):
                begin = begin.rpartition("%")[0]
            return f"{begin}%s{sha256(text.encode()).hexdigest()}"
        return encoded.replace(".", "%2E") if encoded in (".", "..") else encoded

    def window_end(self, start: int) -> int:
        return min(start + self.time_frame_s, start - start % DAY_S + DAY_S)

    def starts_window(self, start: int) -> bool:
        return start % DAY_S % self.time_frame_s == 0


@dataclass(frozen=True)
class Found:
    """One object that a key and a body make."""

    key: str
    folder: str
    metric: str
    start: int
    body: bytes


def compare(
    ask: Ask,
    objects: Iterable[tuple[str, bytes]],
    *,
    catalogue: Mapping[str, str],
    start: int,
    end: int,
    contract: Contract,
) -> list[str]:
    """What is wrong with the objects (key and gzip bytes), as sentences; nothing if all is right.

    `catalogue` has the PromQL of each metric. Every sample of [start, end), both unix seconds on
    window borders, must be there once, in its own cluster's object, exactly as `ask` gives it.
    """
    differences = [
        f"{name} {moment} is not on a window border"
        for name, moment in (("start", start), ("end", end))
        if not contract.starts_window(moment)
    ]
    of_metric: dict[str, list[Found]] = defaultdict(list)
    for key, body in objects:
        found = _parse(key, body, contract)
        if isinstance(found, str):
            differences.append(found)
        elif found.metric not in catalogue:
            differences.append(f"{key}: {found.metric} is not in the catalogue")
        elif not start <= found.start < end:
            differences.append(f"{key}: outside of [{start}, {end})")
        else:
            of_metric[found.metric].append(found)
    for metric, promql in catalogue.items():
        expected = _decode(ask(promql, start, end - contract.step_s, contract.step_s))
        texts = _few(_compare_metric(of_metric[metric], expected, contract))
        differences += [f"{metric}: {text}" for text in texts]
    return differences


def _parse(key: str, body: bytes, contract: Contract) -> Found | str:
    match = _KEY.fullmatch(key.removeprefix(f"{contract.prefix}/"))
    in_place = key.startswith(f"{contract.prefix}/")
    if not in_place or match is None or match["metric"] != match["name"]:
        return f"{key}: not a key of the layout"
    start = int(match["start"])
    day = datetime.fromtimestamp(start, UTC)
    year, month = (day.year, day.month + 1) if day.month < 12 else (day.year + 1, 1)
    if match["end"] != f"{year}{month:02}01" or match["day"] != str(day.day):
        return f"{key}: in the wrong month or day for {day:%Y-%m-%d}"
    if not contract.starts_window(start):
        return f"{key}: does not begin on a window border"
    return Found(key, match["folder"], match["metric"], start, body)


def _compare_metric(
    objects: Iterable[Found], expected_matrix: Matrix, contract: Contract
) -> Iterator[tuple[str, str]]:
    """Differences with their kind."""
    exported: Samples = defaultdict(dict)
    for found in objects:
        yield from _read_into(exported, found, contract)
    expected: Samples = defaultdict(dict)
    for labels, points in _series(expected_matrix):
        expected[labels].update(points)
    for labels in expected.keys() | exported.keys():
        wanted, got = expected[labels], exported[labels]
        for moment in wanted.keys() - got.keys():
            yield "missing", f"{labels} at {moment} is missing"
        for moment in got.keys() - wanted.keys():
            yield "invented", f"{labels} at {moment} is not in Prometheus"
        for moment in wanted.keys() & got.keys():
            if wanted[moment] != got[moment]:
                text = f"{labels} at {moment} is {got[moment]}, not {wanted[moment]}"
                yield "value", text


def _read_into(exported: Samples, found: Found, contract: Contract) -> Iterator[tuple[str, str]]:
    """Add one object's samples; what is wrong with the object by itself, with its kind."""
    try:
        matrix = _decode(gzip.decompress(found.body))
    except (OSError, EOFError, zlib.error, ValueError) as error:
        yield "unreadable", f"{found.key}: cannot be read: {error}"
        return
    if not any(points for _, points in _series(matrix)):
        yield "empty", f"{found.key}: holds no sample and should not exist"
    until = contract.window_end(found.start)
    for labels, points in _series(matrix):
        if contract.folder(json.loads(labels)) != found.folder:
            yield "cluster", f"{found.key}: {labels} belongs to another cluster"
        known = exported[labels]
        for moment, value in points:
            if not found.start <= float(moment) < until:
                yield "window", f"{found.key}: {labels} at {moment} lies outside of the window"
            if moment in known:
                yield "twice", f"{found.key}: {labels} at {moment} is there twice"
            known[moment] = value


def _decode(body: bytes) -> Matrix:
    answer = json.loads(body, parse_int=str, parse_float=str)
    if answer["status"] != "success" or answer["data"]["resultType"] != "matrix":
        raise AssertionError(f"not a successful query_range answer: {str(answer)[:200]}")
    result: Matrix = answer["data"]["result"]
    return result


def _series(matrix: Matrix) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """(labels as JSON, [(time, value)]), floats and native histograms alike."""
    for series in matrix:
        points = [(moment, value) for moment, value in series.get("values", ())]
        points += [(moment, json.dumps(value)) for moment, value in series.get("histograms", ())]
        yield json.dumps(series["metric"], sort_keys=True), points


def _few(differences: Iterable[tuple[str, str]]) -> list[str]:
    """The first of each kind, and how many more there are."""
    counts: Counter[str] = Counter()
    shown = []
    for kind, text in differences:
        counts[kind] += 1
        if counts[kind] <= SHOWN:
            shown.append(text)
    more = [f"... and {n - SHOWN} more ({kind})" for kind, n in counts.items() if n > SHOWN]
    return shown + more
