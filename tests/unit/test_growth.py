"""What must not grow from the socket to the bucket, counted and never timed.

The splitter's own share is in test_split_cost.py; here it feeds a real spool, with its real bounds.
"""

from itertools import pairwise

import pytest
from isal import isal_zlib

from bench.answers import Shape, make_blocks
from mimir_exporter.answer import spool as module
from mimir_exporter.answer.split import Splitter
from mimir_exporter.answer.spool import GATHER_BYTES, MEMORY_BYTES, PINNED_BYTES, Spool

BLOCK = 64 * 1024
_COMPRESSOBJ = isal_zlib.compressobj


class Watched:
    """An answer on its way through splitter and spool, and the most that was held of it."""

    def __init__(self, shape: Shape, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0  # of the sink
        self.compressors = 0
        self.compressions = 0
        self.pending = 0
        self.pinned = 0
        self.compressed = 0
        self.kept_by_splitter = 0

        def make(*given: int) -> "Watched":
            self.compressors += 1
            self._compressor = _COMPRESSOBJ(*given)
            return self

        def refuse(*_: object) -> None:
            raise AssertionError("a compressor for one piece was made")

        monkeypatch.setattr(isal_zlib, "compressobj", make)
        monkeypatch.setattr(isal_zlib, "compress", refuse)
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

    def compress(self, data: bytes) -> bytes:
        """As the compressor that is watched."""
        self.compressions += 1
        return self._compressor.compress(data)

    def flush(self, mode: int) -> bytes:
        return self._compressor.flush(mode)

    def _look(self, spool: Spool, splitter: Splitter) -> None:
        runs = [one for cluster in spool._clusters.values() for one in cluster.pending]
        views = [one for one in runs if isinstance(one, memoryview)]
        blocks = {id(one.obj): memoryview(one.obj).nbytes for one in views}
        self.pinned = max(self.pinned, sum(blocks.values()))
        self.pending = max(self.pending, sum(map(len, runs)))
        if not vars(spool._store)["_rolled"]:
            self.compressed = max(self.compressed, spool._end)
        kept = len(splitter._rest) + len(splitter._envelope) + len(splitter._reader.runs)
        self.kept_by_splitter = max(self.kept_by_splitter, kept)


@pytest.fixture
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundredth of the real bounds, so that an answer of some MB goes past each of them."""
    monkeypatch.setattr(module, "RUN_BYTES", module.RUN_BYTES // 10)  # still more than a series
    for name in ("GATHER_BYTES", "PINNED_BYTES", "MEMORY_BYTES"):
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
        assert seen.pending < PINNED_BYTES // 100 + BLOCK
        # The blocks that those runs lie in, whole: the first and the last are not all theirs.
        assert seen.pinned < PINNED_BYTES // 100 + 3 * BLOCK
        assert seen.compressed <= MEMORY_BYTES // 100
        assert seen.kept_by_splitter < 2 * 2300  # a series that straddles two blocks


@pytest.mark.parametrize("mixed", [False, True])
def test_one_compressor_serves_all_clusters(mixed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Watched(Shape("usual", 2000, 500, mixed), monkeypatch).compressors == 1


@pytest.mark.usefixtures("small_bounds")
def test_calls_grow_with_the_answer_and_no_faster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = (1000, 2000, 4000)
    for mixed in (False, True):
        seen = [Watched(Shape("usual", size, 20, mixed), monkeypatch) for size in sizes]
        for less, more in pairwise(seen):
            assert more.calls <= 2 * less.calls + 40
            assert more.compressions <= 2 * less.compressions + 40
        for one in seen:
            assert one.calls <= one.series
            # Each piece is full, but for what straddles two blocks, the last two of each file, and
            # those of a flush of all.
            full = one.raw_bytes // (GATHER_BYTES // 100)
            flushes = one.raw_bytes // (PINNED_BYTES // 100) + 1
            straddling = 0 if mixed else 3 * one.raw_bytes // BLOCK
            assert one.compressions <= full + straddling + one.files * (2 + flushes)


def test_a_sorted_answer_costs_calls_by_block_and_not_by_series(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = Watched(Shape("usual", 4000, 20), monkeypatch)
    assert seen.calls <= 2 * (seen.raw_bytes // BLOCK + 1) + 20


def test_a_thousand_clusters_in_any_order_are_compressed_once_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the real bounds: a piece for each series would cost a third in size."""
    seen = Watched(Shape("usual", 4000, 1000, mixed=True), monkeypatch)
    assert seen.compressions == 1000  # the end of each file with its series
