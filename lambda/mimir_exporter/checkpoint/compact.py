"""Keeps the checkpoint's document small: drops detail; never marks missing data as exported. Pure.

Usually nothing has to be done: ten thousand gaps that lie apart fit as they are. Beyond that, what
matters least goes first: old errors, then of which missing windows there is a part, which had no
series, which were audited (they are audited again), and the exact outline of what lies behind
retention and of failures. What is exported and not deleted, what executions have and what was
requested again stays exact.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from ..errors import ErrorDetails
from ..errors.runs import ERROR_NOT_KEPT
from ..timeline.intervals import Intervals, intersect, subtract, union
from ..timeline.windows import DAY_S
from .document import dump
from .records import Doubt, Failure, merge_failures
from .state import Checkpoint

# As large as the document may be before detail goes. Read and written with each change, it then
# takes a tenth of a second.
MOST_BYTES = 1_000_000
ERRORS = 24
# Of each metric, exported in part: one hour is at the border of a source's retention at a time.
PARTS = 24
# How near to each other two things have to be to become one; the last is ever.
NEAR_S = (DAY_S // 4, 2 * DAY_S, 14 * DAY_S, 100_000 * DAY_S)

Step = Callable[[Checkpoint], None]


def shrink_to_limit(checkpoint: Checkpoint, now: int) -> bytes:
    """The document; `checkpoint` has lost the detail that MOST_BYTES had no room for."""
    body = dump(checkpoint, now)
    for step in _steps(now):
        if len(body) <= MOST_BYTES:
            break
        step(checkpoint)
        body = dump(checkpoint, now)
    return body


def _steps(now: int) -> Iterator[Step]:
    yield partial(_forget_errors, now=now)
    yield _forget_in_part
    yield _forget_vanished
    for forget in (_forget_empty, _forget_audited, _forget_old_outlines):
        for near_s in NEAR_S:
            yield partial(forget, near_s=near_s)
    for near_s in NEAR_S:
        yield partial(_join_failures, near_s=near_s, now=now)


def _forget_errors(checkpoint: Checkpoint, now: int) -> None:
    """Keep the errors that came last."""
    last: dict[ErrorDetails, int] = {}
    for failure in checkpoint.failures:
        last[failure.error] = max(failure.at, last.get(failure.error, 0))
    kept = set(sorted(last, key=last.__getitem__, reverse=True)[: ERRORS - 1])
    checkpoint.failures = merge_failures(
        (
            failure if failure.error in kept else replace(failure, error=ERROR_NOT_KEPT.details())
            for failure in checkpoint.failures
        ),
        now,
    )


def _forget_in_part(checkpoint: Checkpoint) -> None:
    """Of the older metric-windows that are exported in part, forget that they have files: they are
    missing as any other that failed."""
    for progress in checkpoint.metrics.values():
        progress.in_part = progress.in_part[-PARTS:]


def _forget_vanished(checkpoint: Checkpoint) -> None:
    """Forget which clusters have vanished; what lacks them stays in doubt."""
    for progress in checkpoint.metrics.values():
        progress.doubts = tuple(
            sorted(
                Doubt(low, high, looked=looked)
                for looked in (False, True)
                for low, high in union(
                    (doubt.start, doubt.end) for doubt in progress.doubts if doubt.looked == looked
                )
            )
        )


def _forget_empty(checkpoint: Checkpoint, near_s: int) -> None:
    """Forget that short stretches had no series, and note up to when that is not known now."""
    for progress in checkpoint.metrics.values():
        kept = _longer(progress.empty, near_s)
        for _, end in subtract(progress.empty, kept)[-1:]:
            progress.empty_known_from = max(progress.empty_known_from, end)
        progress.empty = kept


def _forget_audited(checkpoint: Checkpoint, near_s: int) -> None:
    """Forget that short stretches were audited: they are audited again."""
    for progress in checkpoint.metrics.values():
        progress.audited = _longer(progress.audited, near_s)
        progress.unauditable = _longer(progress.unauditable, near_s)
        progress.unstable = intersect(progress.unstable, progress.unauditable)


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
        progress.audited = intersect(progress.audited, progress.exported)
        progress.unauditable = intersect(progress.unauditable, progress.exported)
        progress.unstable = intersect(progress.unstable, progress.exported)


def _join_failures(checkpoint: Checkpoint, near_s: int, now: int) -> None:
    """Failures of one metric near to each other become one, with the most attempts of them.

    The newest time of them counts, so that a retry waits rather than comes too often; but for the
    last step, those that were tried on another day stay apart, so that none waits for ever.
    """
    joined: list[Failure] = []
    for merged in merge_failures(checkpoint.failures, now):
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.metric == merged.metric
            and last.nothing_left == merged.nothing_left
            and merged.start - last.end <= near_s
            and (abs(merged.at - last.at) < DAY_S // 2 or near_s == NEAR_S[-1])
        ):
            newer = max(last, merged, key=lambda failure: failure.at)
            attempts = max(last.attempts, merged.attempts)
            joined[-1] = replace(newer, start=last.start, end=merged.end, attempts=attempts)
        else:
            joined.append(merged)
    checkpoint.failures = joined


def _longer(intervals: Intervals, near_s: int) -> Intervals:
    return tuple(interval for interval in intervals if interval[1] - interval[0] >= near_s)
