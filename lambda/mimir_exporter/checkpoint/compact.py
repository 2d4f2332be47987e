"""Keeping the checkpoint's document small whatever the history: detail goes, never a fact. Pure.

Usually nothing has to be done: ten thousand gaps that lie apart fit as they are. Beyond that, what
matters least goes first: old reasons, then which windows had no series, then the exact outline of
what lies behind retention, of failures and of executions. Last of all, windows that were exported
between two gaps count as gaps too: they are listed as missing though their files are there, and
are exported again once a day, which writes the same files. Nothing that is missing ever counts as
exported.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from ..timeline.intervals import Interval, Intervals, close_holes, intersect, subtract, union
from ..timeline.windows import DAY_S
from .checkpoint import Checkpoint
from .document import dump
from .records import Failure, Repeat, join_repeats, merge_failures

# What `fit` makes of any checkpoint. Where all detail is gone and everything that is bounded by a
# number of its own is at its bound (a hundred metrics with names of a hundred characters, and
# twenty more that are out of the catalogue; see checkpoint.py for the others), it takes 90 KB.
MOST_BYTES = 96_000
REASONS = 24
REASON_LOST = "See the log of that time: too many different reasons to keep them all."
# How near to each other two things have to be to become one; the last is ever.
NEAR_S = (DAY_S // 4, 2 * DAY_S, 14 * DAY_S, 100_000 * DAY_S)

Step = Callable[[Checkpoint], None]


def fit(checkpoint: Checkpoint, now: int) -> bytes:
    """The document, of MOST_BYTES at most; `checkpoint` has lost what the document had no room
    for."""
    body = dump(checkpoint, now)
    for step in _steps(now):
        if len(body) <= MOST_BYTES:
            break
        step(checkpoint)
        body = dump(checkpoint, now)
    return body


def _steps(now: int) -> Iterator[Step]:
    yield lambda one: _forget_reasons(one, now)
    yield from (lambda one, s=near_s: _forget_empty(one, s) for near_s in NEAR_S)
    yield from (lambda one, s=near_s: _forget_old_outlines(one, s) for near_s in NEAR_S)
    yield from (lambda one, s=near_s: _join_failures(one, s, now) for near_s in NEAR_S)
    yield from (lambda one, s=near_s: _join_pieces(one, s) for near_s in NEAR_S)
    yield from (lambda one, s=near_s: _give_up_islands(one, s, now) for near_s in NEAR_S)


def _forget_reasons(checkpoint: Checkpoint, now: int) -> None:
    """Keep the reasons that were given last."""
    last: dict[str, int] = {}
    for failure in checkpoint.failures:
        last[failure.reason] = max(failure.at, last.get(failure.reason, 0))
    kept = set(sorted(last, key=last.__getitem__, reverse=True)[: REASONS - 1])
    checkpoint.failures = merge_failures(
        (
            one if one.reason in kept else replace(one, reason=REASON_LOST)
            for one in checkpoint.failures
        ),
        now,
    )


def _forget_empty(checkpoint: Checkpoint, near_s: int) -> None:
    """Forget that short stretches had no series, and note up to when that is not known now."""
    for progress in checkpoint.metrics.values():
        kept = _longer(progress.empty, near_s)
        for _, end in subtract(progress.empty, kept)[-1:]:
            progress.empty_known_from = max(progress.empty_known_from, end)
        progress.empty = kept


def _forget_old_outlines(checkpoint: Checkpoint, near_s: int) -> None:
    """Behind retention, what was exported between two gaps counts as missing; never the newest.

    Nothing there is exported again, so the one harm is a month that looks worse than it was.
    """
    for progress in checkpoint.metrics.values():
        progress.restored = _longer(progress.restored, near_s)
        newest = progress.exported[-1:]
        old = intersect(progress.exported, [(0, checkpoint.deleted_until)])
        new = subtract(progress.exported, old)
        progress.exported = union(_longer(old, near_s), new, newest)


def _join_failures(checkpoint: Checkpoint, near_s: int, now: int) -> None:
    """Failures of one metric near to each other become one, with the most attempts of them.

    The newest time of them counts, so that a retry waits rather than comes too often; but for the
    last step, those that were tried on another day stay apart, so that none waits for ever.
    """
    joined: list[Failure] = []
    for one in merge_failures(checkpoint.failures, now):
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.metric == one.metric
            and one.start - last.end <= near_s
            and (abs(one.at - last.at) < DAY_S // 2 or near_s == NEAR_S[-1])
        ):
            newer = max(last, one, key=lambda failure: failure.at)
            attempts = max(last.attempts, one.attempts)
            joined[-1] = replace(newer, start=last.start, end=one.end, attempts=attempts)
        else:
            joined.append(one)
    checkpoint.failures = joined


def _join_pieces(checkpoint: Checkpoint, near_s: int) -> None:
    """What executions have, and what is asked for again, is told in fewer ranges.

    An execution then seems to have what lies between its windows: that waits until it is over. A
    range that was asked for again is done again between its pieces, inside of what was asked for.
    """
    checkpoint.handovers = [
        replace(one, ranges=close_holes(one.ranges, near_s)) for one in checkpoint.handovers
    ]
    asks: dict[tuple[Interval, bool], dict[str, list[Interval]]] = {}
    for repeat in checkpoint.repeats:
        by_metric = asks.setdefault((repeat.asked, repeat.force), {})
        for name in repeat.metrics:
            by_metric.setdefault(name, []).append((repeat.start, repeat.end))
    pieces: list[Repeat] = []
    for (asked, force), by_metric in asks.items():
        whole = [interval for intervals in by_metric.values() for interval in intervals]
        for name, intervals in by_metric.items():
            # The last step has one range for all metrics of what was asked for.
            left = close_holes(whole if near_s == NEAR_S[-1] else intervals, near_s)
            pieces += [Repeat(*interval, (name,), force, asked) for interval in left]
    checkpoint.repeats = join_repeats(pieces)


def _give_up_islands(checkpoint: Checkpoint, near_s: int, now: int) -> None:
    """Short stretches that were exported between two gaps count as gaps; never the newest."""
    failures = list(checkpoint.failures)
    for name, progress in checkpoint.metrics.items():
        kept = (*_longer(progress.exported[:-1], near_s), *progress.exported[-1:])
        islands = subtract(progress.exported, kept)
        progress.exported = kept
        progress.empty = intersect(progress.empty, kept)
        progress.restored = intersect(progress.restored, kept)
        own = [one for one in checkpoint.failures if one.metric == name]
        ends = {one.end: one for one in own}
        for start, end in islands:
            if start in ends:  # tried again when that one is, and not at once
                failures += [
                    replace(ends[start], start=low, end=high)
                    for low, high in subtract([(start, end)], [(one.start, one.end) for one in own])
                ]
    checkpoint.failures = merge_failures(failures, now)
    _join_failures(checkpoint, near_s, now)


def _longer(intervals: Intervals, near_s: int) -> Intervals:
    return tuple(one for one in intervals if one[1] - one[0] >= near_s)
