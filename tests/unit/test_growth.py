"""What must not grow from the socket to the bucket, counted and never timed.

The splitter's own share is in test_split_cost.py; here it feeds a real spool, with its real bounds.
"""

from itertools import pairwise

import pytest
from isal import isal_zlib

from bench.answers import Shape, make_blocks
from mimir_exporter import spool as module
from mimir_exporter.split import Splitter
from mimir_exporter.spool import MEMBER_BYTES, MEMORY_BYTES, PENDING_BYTES, Spool

BLOCK = 64 * 1024
_COMPRESS = isal_zlib.compress


class Watched:
    """An answer on its way through splitter and spool, and the most that was held of it."""

    def __init__(self, shape: Shape, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0  # of the sink
        self.members = 0
        self.compressing = 0  # compressors at work at once
        self.most_compressing = 0
        self.pending = 0
        self.compressed = 0
        self.kept_by_splitter = 0

        def count(data: bytearray, level: int, wbits: int) -> bytes:
            self.members += 1
            self.compressing += 1
            self.most_compressing = max(self.most_compressing, self.compressing)
            try:
                return _COMPRESS(data, level, wbits)
            finally:
                self.compressing -= 1

        def refuse(*_: object) -> None:
            raise AssertionError("a compressor that stays open was made")

        monkeypatch.setattr(isal_zlib, "compress", count)
        monkeypatch.setattr(isal_zlib, "compressobj", refuse)
        with Spool() as spool:

            def take(cluster: str, run: memoryview, series: int, samples: int) -> None:
                self.calls += 1
                spool.add(cluster, run, series, samples)

            splitter = Splitter("cluster", "central", take)
            for block in make_blocks(shape, BLOCK):
                splitter.feed(block)
                self._look(spool, splitter)
            envelope = splitter.finish()
            self.files = sum(1 for _ in spool.files())
            self.series = envelope.series
            self.raw_bytes = spool.raw_bytes

    def _look(self, spool: Spool, splitter: Splitter) -> None:
        clusters = spool._clusters.values()
        held = [one for cluster in clusters for one in cluster.segments if isinstance(one, bytes)]
        self.pending = max(self.pending, sum(len(one.pending) for one in clusters))
        self.compressed = max(self.compressed, sum(map(len, held)))
        kept = len(splitter._rest) + len(splitter._envelope) + len(splitter._reader.runs)
        self.kept_by_splitter = max(self.kept_by_splitter, kept)


@pytest.fixture
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundredth of the real bounds, so that an answer of some MB goes past each of them."""
    for name in ("MEMBER_BYTES", "PENDING_BYTES", "MEMORY_BYTES"):
        monkeypatch.setattr(module, name, getattr(module, name) // 100)


@pytest.mark.usefixtures("small_bounds")
@pytest.mark.parametrize("clusters", [1, 20, 500])
@pytest.mark.parametrize("mixed", [False, True])
def test_what_is_held_is_bounded_whatever_the_answer(
    clusters: int, mixed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for series in (500, 4000):
        seen = Watched(Shape("usual", series, clusters, mixed), monkeypatch)
        assert (seen.series, seen.files) == (series, clusters)
        # One run more than the bound may be there for a moment: at most a block.
        assert seen.pending < PENDING_BYTES // 100 + BLOCK
        assert seen.compressed <= MEMORY_BYTES // 100
        assert seen.kept_by_splitter < 2 * 2300  # a series that straddles two blocks


@pytest.mark.parametrize("mixed", [False, True])
def test_no_compressor_stays_open(mixed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Watched(Shape("usual", 2000, 500, mixed), monkeypatch).most_compressing == 1


@pytest.mark.usefixtures("small_bounds")
def test_calls_and_members_grow_with_the_answer_and_no_faster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = (1000, 2000, 4000)
    for mixed in (False, True):
        seen = [Watched(Shape("usual", size, 20, mixed), monkeypatch) for size in sizes]
        for less, more in pairwise(seen):
            assert more.calls <= 2 * less.calls + 40
            assert more.members <= 2 * less.members + 40
        for one in seen:
            assert one.calls <= one.series
            # Each member is full, but for the last one of each file and those of a flush of all.
            assert one.members <= one.raw_bytes // (MEMBER_BYTES // 100) + one.files + 20


def test_a_sorted_answer_costs_calls_by_block_and_not_by_series(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = Watched(Shape("usual", 4000, 20), monkeypatch)
    assert seen.calls <= 2 * (seen.raw_bytes // BLOCK + 1) + 20


def test_a_thousand_clusters_in_any_order_make_full_members(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the real bounds: a member for each series would cost a third in size."""
    seen = Watched(Shape("usual", 4000, 1000, mixed=True), monkeypatch)
    assert seen.members == 1000
