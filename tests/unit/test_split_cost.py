"""What must not grow with an answer: calls for each series, calls of the sink, bytes held."""

import sys
import tracemalloc
from collections.abc import Iterable, Iterator

import pytest

from mimir_exporter.answer.split import Splitter
from tests.unit.answers import DEFAULT, HEAD, TAIL, Got, compact, feed_all

STEP_S = 60


def usual_series(number: int, cluster: int, samples: int = 60) -> bytes:
    labels = {
        "__name__": "container_cpu_usage",
        "cluster": f"prod-{cluster:04}",
        "namespace": f"team-{number % 37}",
        "pod": f"web-{number * 7919 % 1_000_003:06x}-{number}",
    }
    points = [
        [1_759_622_400 + STEP_S * i, repr((number * 31 + i) % 97 / 96)] for i in range(samples)
    ]
    return compact({"metric": labels, "values": points})


def blocks_of(series: Iterable[bytes], size: int) -> Iterator[bytes]:
    """An answer in blocks of that size, made as it is asked for."""
    held = bytearray(HEAD)
    for number, one in enumerate(series):
        held += b"," * (number > 0) + one
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    yield bytes(held + TAIL)


def count_c_calls(blocks: list[bytes]) -> tuple[Got, int, int]:
    """Splits, and counts calls of built-in functions and of Python's."""
    calls = {"c_call": 0, "call": 0}

    def note(_frame: object, event: str, _arg: object) -> None:
        if event in calls:
            calls[event] += 1

    got = Got()
    splitter = Splitter("cluster", DEFAULT, lambda *_: None)
    sys.setprofile(note)
    try:
        feed_all(splitter, blocks)
        got.envelope = splitter.finish()
    finally:
        sys.setprofile(None)
    return got, calls["c_call"], calls["call"]


def test_a_series_of_a_run_costs_five_searches() -> None:
    """`_walk` takes all but the last of an answer: a slower way would be seen here."""
    number = 2000
    blocks = list(blocks_of((usual_series(i, i // 500) for i in range(number)), 256 * 1024))
    got, c_calls, calls = count_c_calls(blocks)
    assert got.envelope is not None
    assert got.envelope.samples == number * 60
    assert c_calls < number * 5 + len(blocks) * 120
    assert calls < len(blocks) * 60


def test_one_escape_does_not_slow_down_what_follows() -> None:
    number = 2000
    series = [usual_series(i, 0) for i in range(number)]
    series[::200] = [one.replace(b'"web-', b'"\\"web-') for one in series[::200]]
    blocks = list(blocks_of(series, 256 * 1024))
    got, c_calls, calls = count_c_calls(blocks)
    assert got.envelope is not None
    assert got.envelope.series == number
    assert c_calls < number * 5 + len(blocks) * 250
    assert calls < len(blocks) * 100


def test_series_without_the_label_among_others_take_the_quick_way() -> None:
    number = 2000
    series = [usual_series(i, 0) for i in range(number)]
    series[::2] = [one.replace(b'"cluster":', b'"zone":') for one in series[::2]]
    blocks = list(blocks_of(series, 256 * 1024))
    _, c_calls, calls = count_c_calls(blocks)
    assert c_calls < number * 13 + len(blocks) * 120
    assert calls < number * 1.1 + len(blocks) * 60


def test_a_series_of_its_own_cluster_costs_a_few_calls_more() -> None:
    number = 2000
    blocks = list(blocks_of((usual_series(i, i % 20) for i in range(number)), 256 * 1024))
    _, c_calls, calls = count_c_calls(blocks)
    assert c_calls < number * 13 + len(blocks) * 120
    assert calls < number * 1.1 + len(blocks) * 60  # the sink, once for each


def test_runs_reach_the_sink_whole() -> None:
    size = 64 * 1024
    blocks = list(blocks_of((usual_series(i, i // 500) for i in range(2000)), size))
    got = Got()
    splitter = Splitter("cluster", DEFAULT, got.take)
    feed_all(splitter, blocks)
    splitter.finish()
    # At most: what straddles two blocks, what follows in the block, and each cluster's change.
    assert got.calls <= 2 * len(blocks) + 4


@pytest.mark.parametrize("spread", ["sorted", "interleaved"])
def test_memory_does_not_grow_with_the_answer_or_its_clusters(spread: str) -> None:
    def peak(number: int, clusters: int) -> int:
        def series() -> Iterator[bytes]:
            one = usual_series(1, 0)
            for i in range(number):
                cluster = i * clusters // number if spread == "sorted" else i % clusters
                yield one.replace(b"prod-0000", b"prod-%04d" % cluster)

        splitter = Splitter("cluster", DEFAULT, lambda *_: None)
        blocks = blocks_of(series(), 64 * 1024)
        splitter.feed(next(blocks))
        tracemalloc.start()
        try:
            feed_all(splitter, blocks)
            assert splitter.finish().series == number
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large, many = peak(500, 1), peak(8000, 1), peak(8000, 1000)
    assert large < small + 64 * 1024
    assert many < small + 1024 * 1024  # the beginnings it remembers: some 400 bytes a cluster
    assert large < 1024 * 1024
