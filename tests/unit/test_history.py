"""Remote write and the made-up history, without a server."""

import struct

import cramjam
import pytest

from localcloud.history import History, make_history
from localcloud.remote_write import STALE, Batch, doubles, encode_series, encode_times
from localcloud.scrapes import Grid, Target, scrape

SMALL = History(end_s=1_795_400_000, days=0.25)


def test_a_series_is_encoded_as_the_protocol_says() -> None:
    batch = Batch.of({"b": "2", "__name__": "x"}, [1_759_622_400_000], [1.5])
    # Written out by hand from the protobuf encoding of prompb.TimeSeries.
    name = b"\x0a\x0d" + b"\x0a\x08__name__\x12\x01x"
    label = b"\x0a\x06" + b"\x0a\x01b\x12\x012"
    time = b"\x80\x90\xac\x8d\x9b\x33"
    sample = b"\x12\x10" + b"\x09" + struct.pack("<d", 1.5) + b"\x10" + time
    body = name + label + sample
    assert encode_series(batch) == b"\x0a" + bytes([len(body)]) + body


def test_many_samples_are_encoded_like_one_after_another() -> None:
    times = [1_759_622_400_000 + 60_000 * n for n in range(50)]
    values = [n / 7 for n in range(50)]
    labels = {"__name__": "x"}
    ones = b"".join(
        encode_series(Batch.of(labels, [time], [value]))[-18:]
        for time, value in zip(times, values, strict=True)
    )
    assert encode_series(Batch.of(labels, times, values)).endswith(ones)


def test_a_time_that_is_not_in_milliseconds_is_refused() -> None:
    with pytest.raises(ValueError, match="1759622400 ms is not a time"):
        encode_times([1_759_622_400])


def test_times_and_values_must_match() -> None:
    with pytest.raises(ValueError, match="1 times for 2 values"):
        encode_series(Batch({"a": "b"}, encode_times([1_759_622_400_000]), doubles([1, 2])))


def test_a_run_is_cut_without_losing_samples_and_ends_with_a_stale_marker() -> None:
    grid = Grid(start_s=1_759_622_400, length=10, interval_s=60)
    (run,) = scrape(Target.on(grid, {}, late_ms=250), {"a": "b"}, 2, doubles(range(5)))
    parts = [part for first in (0, 4, 8) if (part := run.between(first, first + 4))]
    assert b"".join(part.values for part in parts) == doubles(range(5)) + STALE
    all_times = b"".join(part.times for part in parts)
    assert all_times == encode_times(1_759_622_400_250 + 60_000 * tick for tick in range(2, 8))


def test_a_run_to_the_end_of_the_history_has_no_stale_marker() -> None:
    grid = Grid(start_s=1_759_622_400, length=4, interval_s=60)
    (run,) = scrape(Target.on(grid, {}, late_ms=0), {}, 0, doubles(range(4)))
    part = run.between(0, 100)
    assert part is not None
    assert part.values == doubles(range(4))


def test_a_gap_in_a_target_splits_its_series() -> None:
    grid = Grid(start_s=1_759_622_400, length=10, interval_s=60)
    target = Target.on(grid, {}, late_ms=0, gap=(3, 6))
    runs = list(scrape(target, {}, 1, doubles(range(1, 9))))
    assert [(run.first, run.values) for run in runs] == [
        (1, doubles([1, 2])),
        (6, doubles([6, 7, 8])),
    ]


def test_the_same_seed_makes_the_same_history() -> None:
    def fingerprint(history: History) -> bytes:
        return b"".join(
            encode_series(part)
            for run in make_history(history)
            if (part := run.between(0, history.grid.length))
        )

    assert fingerprint(SMALL) == fingerprint(History(end_s=SMALL.end_s, days=SMALL.days))
    assert fingerprint(SMALL) != fingerprint(
        History(end_s=SMALL.end_s, days=SMALL.days, seed=SMALL.seed + 1)
    )


def test_no_series_has_two_samples_at_one_time() -> None:
    seen: dict[tuple[tuple[str, str], ...], set[int]] = {}
    for run in make_history(SMALL):
        ticks = seen.setdefault(tuple(sorted(run.labels.items())), set())
        own = set(range(run.first, run.last))
        assert not ticks & own
        ticks |= own


def test_snappy_gives_back_what_was_sent() -> None:
    message = encode_series(Batch.of({"a": "b"}, [1_759_622_400_000], [1.0])) * 100
    packed = bytes(cramjam.snappy.compress_raw(message))
    assert bytes(cramjam.snappy.decompress_raw(packed)) == message
