"""Where series wait, compressed: nothing lost, undone exactly, and no more memory than allowed."""

import gzip
import io
import json
import random
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from isal import isal_zlib

from mimir_exporter.answer import spool as module
from mimir_exporter.answer.spool import HEAD, TAIL, Spool
from tests.some import some

# Small enough that a few series make pieces, flush all clusters and go to the file.
RUN, GATHER, PINNED, MEMORY = 500, 300, 700, 400


@contextmanager
def small_bounds() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "RUN_BYTES", RUN)
        patch.setattr(module, "GATHER_BYTES", GATHER)
        patch.setattr(module, "PINNED_BYTES", PINNED)
        patch.setattr(module, "MEMORY_BYTES", MEMORY)
        yield


COMPRESSOBJ = isal_zlib.compressobj


def series(number: int, samples: int = 2) -> bytes:
    """A series that differs from all others, and that gzip makes little less of."""
    noise = random.Random(number)
    values = [[1759622400 + 60 * n, str(noise.random())] for n in range(samples)]
    return json.dumps({"metric": {"n": str(number)}, "values": values}).encode()


def held(spool: Spool) -> tuple[int, int]:
    """Bytes in memory: (uncompressed, compressed)."""
    clusters = spool._clusters.values()
    pending = sum(len(run) for one in clusters for run in one.pending)
    assert pending == sum(one.pending_bytes for one in clusters)
    return pending, 0 if spilled(spool) else spool._end


def spilled(spool: Spool) -> bool:
    return bool(vars(spool._store)["_rolled"])


def bodies(spool: Spool) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for file in spool.files():
        data = file.body.read()
        assert len(data) == file.size
        found[file.cluster] = gzip.decompress(data)
    return found


def answer(elements: list[bytes]) -> bytes:
    return HEAD + b",".join(elements) + TAIL


def test_a_file_is_a_complete_answer_of_its_clusters_series() -> None:
    with Spool() as spool:
        spool.add("a", series(1) + b"," + series(2), 2, 4)
        spool.add("b", series(3), 1, 2)
        spool.add("a", memoryview(series(4)), 1, 2)
        files = {}
        for file in spool.files():
            document = json.loads(gzip.decompress(file.body.read()))
            files[file.cluster] = [one["metric"]["n"] for one in document["data"]["result"]]
            assert document["status"] == "success"
            assert document["data"]["resultType"] == "matrix"
            assert (file.series, file.samples) == {"a": (3, 6), "b": (1, 2)}[file.cluster]
    assert files == {"a": ["1", "2", "4"], "b": ["3"]}


def test_without_series_there_is_no_file() -> None:
    with Spool() as spool:
        spool.begin_part()
        spool.add("a", series(1), 1, 2)
        spool.drop_part()
        assert spool.clusters == ()
        assert list(spool.files()) == []


def test_a_file_is_one_gzip_stream_of_one_member() -> None:
    """Readers that stop after the first member, of which there are some, miss nothing."""
    with small_bounds(), Spool() as spool:
        expected = filled(spool)
        for file in spool.files():
            reader = zlib.decompressobj(31)
            assert reader.decompress(file.body.read()) == expected[file.cluster]
            assert reader.eof
            assert reader.unused_data == b""


@pytest.mark.parametrize(
    ("series_bytes", "bits"),
    [(1, 12), (2200, 12), (3500, 13), (14_000, 15), (32_000, 15), (60_000, 12)],
)
def test_the_history_reaches_the_series_before_where_it_can(
    series_bytes: int, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def note(level: int, method: int, wbits: int, mem_level: int) -> Any:
        made.append(wbits)
        return COMPRESSOBJ(level, method, wbits, mem_level)

    monkeypatch.setattr(isal_zlib, "compressobj", note)
    with Spool() as spool:
        spool.add("a", b"x" * series_bytes * 3, 3, 9)
        assert bodies(spool) == {"a": answer([b"x" * series_bytes * 3])}
    assert made == [-bits]


@pytest.mark.parametrize("length", [2_000, 60_000, 100_000])
def test_what_repeats_from_series_to_series_is_not_stored_again(length: int) -> None:
    """Labels and times of neighbours are alike: gzip's own reach of 32 KiB is used where needed."""
    run = random.Random(length).randbytes(length // 4).hex().encode()
    with Spool() as spool:
        for _ in range(40):
            spool.add("a", run, 2, 2)
            spool.add("b", run, 2, 2)
        sizes = [file.size for file in spool.files()]
    # Hexadecimal digits take half a byte each; a series is half a run.
    assert all(size < (length * 40 if length > 65_536 else length * 3) for size in some(sizes))


# An addition: (cluster, how many series in the run, samples in each). Or a mark, or going back.
ADD = st.tuples(st.sampled_from("abcd"), st.integers(1, 3), st.integers(0, 12))
STEPS = st.lists(ADD | st.sampled_from(["begin", "drop"]), max_size=30)


@effort(max_examples=200)
@given(STEPS)
def test_any_order_of_parts_leaves_what_a_simple_model_has(
    steps: list[tuple[str, int, int] | str],
) -> None:
    model: dict[str, list[tuple[bytes, int]]] = {}
    mark: dict[str, list[tuple[bytes, int]]] = {}
    number = 0
    with small_bounds(), Spool() as spool:
        for step in steps:
            if step == "begin":
                spool.begin_part()
                mark = {name: list(runs) for name, runs in model.items()}
            elif step == "drop":
                spool.drop_part()
                model = {name: list(runs) for name, runs in mark.items()}
            else:
                cluster, count, samples = step[0], int(step[1]), int(step[2])
                runs = [series(number + n, samples) for n in range(count)]
                number += count
                spool.add(cluster, b",".join(runs), count, count * samples)
                model.setdefault(cluster, []).extend((one, samples) for one in runs)
            pending, compressed = held(spool)
            assert pending <= spool._pinned < PINNED
            assert compressed <= MEMORY
        elements = [one for runs in model.values() for one in runs]
        assert spool.series == len(elements)
        assert spool.samples == sum(samples for _, samples in elements)
        assert spool.clusters == tuple(model)
        taken = spool.raw_bytes
        # The commas between the series of one run are of the run, those between runs are ours.
        assert 0 <= taken - sum(len(one) for one, _ in elements) <= len(elements)
        assert bodies(spool) == {
            name: answer([one for one, _ in runs]) for name, runs in model.items()
        }


def test_a_part_that_spilled_is_undone_too() -> None:
    with small_bounds(), Spool() as spool:
        spool.add("a", series(1, 20), 1, 20)
        spool.begin_part()
        for number in range(2, 20):
            spool.add("ab"[number % 2], series(number, 20), 1, 20)
        assert spilled(spool)
        spool.drop_part()
        spool.add("a", series(99, 20), 1, 20)
        assert bodies(spool) == {"a": answer([series(1, 20), series(99, 20)])}


def filled(spool: Spool) -> dict[str, bytes]:
    """Bodies of several pieces, in the file, and what they must decompress to."""
    expected: dict[str, list[bytes]] = {}
    for number in range(30):
        name = "ab"[number % 2]
        expected.setdefault(name, []).append(series(number, 10))
        spool.add(name, series(number, 10), 1, 10)
    assert spilled(spool)
    return {name: answer(elements) for name, elements in expected.items()}


def test_a_body_is_the_same_bytes_however_it_is_read_and_read_again() -> None:
    with small_bounds(), Spool() as spool:
        expected = filled(spool)
        for file in spool.files():
            body = file.body
            whole = body.read()
            assert gzip.decompress(whole) == expected[file.cluster]
            assert body.read() == b""
            assert body.read(5) == b""
            for size in (1, 7, 100, file.size, file.size + 1):
                assert body.seek(0) == 0
                pieces = []
                while piece := body.read(size):
                    assert len(piece) <= size
                    pieces.append(piece)
                assert b"".join(pieces) == whole
            # As an upload asks for the length, and as it goes back to where it began.
            assert body.seek(0, io.SEEK_END) == file.size == body.tell()
            assert body.seek(-3, io.SEEK_CUR) == file.size - 3
            assert body.read() == whole[-3:]
            assert body.seek(file.size // 2) == file.size // 2
            assert body.read(4) == whole[file.size // 2 :][:4]
            assert body.tell() == file.size // 2 + 4
            assert body.readable()
            assert body.seekable()


@given(st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 900)), max_size=20))
def test_any_piece_of_a_body_is_that_piece(places: list[tuple[int, int]]) -> None:
    with small_bounds(), Spool() as spool:
        filled(spool)
        file = next(spool.files())
        whole = io.BytesIO(file.body.read())
        for offset, size in places:
            file.body.seek(offset)
            whole.seek(offset)
            assert file.body.read(size) == whole.read(size)


def test_the_pieces_of_a_thousand_clusters_take_no_more_memory_than_those_of_one() -> None:
    clusters = [f"cluster-{number}" for number in range(1000)]
    expected: dict[str, list[bytes]] = {name: [] for name in clusters}
    most = [0, 0]
    with small_bounds(), Spool() as spool:
        for number in range(3000):
            name = clusters[number * 7 % 1000]
            one = series(number, 2)
            expected[name].append(one)
            spool.add(name, one, 1, 2)
            if number % 7 == 0:
                most = [max(pair) for pair in zip(most, held(spool), strict=True)]
        assert most[0] < PINNED
        assert most[1] <= MEMORY
        assert spool.series == 3000
        assert len(spool.clusters) == 1000
        assert bodies(spool) == {name: answer(elements) for name, elements in expected.items()}


def test_with_the_real_bounds_a_hundred_megabytes_are_held_in_less_than_half() -> None:
    """16 MiB uncompressed and 8 MiB compressed are the bounds; the rest is in the file."""
    noise = random.Random(1)
    block = b'{"metric":{},"values":[[1,"%s"]]}'
    most = 0
    with Spool() as spool:
        for number in range(400):
            spool.add(str(number % 50), block % noise.randbytes(125_000).hex().encode(), 1, 1)
            most = max(most, sum(held(spool)))
        assert spool.raw_bytes > 100_000_000
        assert spilled(spool)
    assert most <= module.PINNED_BYTES + module.MEMORY_BYTES


def test_the_file_is_gone_with_the_spool() -> None:
    with small_bounds(), Spool() as spool:
        filled(spool)
        store = spool._store
        assert spilled(spool)
        assert not store.closed
    assert store.closed
