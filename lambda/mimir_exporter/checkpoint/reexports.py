"""Ranges that an operator requested again. Pure; times are unix seconds."""

from dataclasses import replace

from ..errors.runs import TOO_MANY_REEXPORTS
from ..timeline.intervals import covers, subtract
from ..timeline.windows import Window
from .records import ReexportRequest, as_json, join_requests
from .state import Checkpoint

# What all waiting requests may take in the document, as they were made.
REQUESTS_BYTES = 10_000


def open_request(checkpoint: Checkpoint, requester: str) -> int:
    """The number of a new request; of the one that this requester has recorded already, where its
    write is repeated."""
    for one in checkpoint.reexports:
        if requester and one.requester == requester:
            return one.number
    checkpoint.requests_made += 1
    return checkpoint.requests_made


def request_reexport(checkpoint: Checkpoint, request: ReexportRequest) -> None:
    """A range is requested again, and has all its tries.

    Raises SettingsError while so many requests wait that the document might grow too large.
    """
    if not request.number:
        number = open_request(checkpoint, request.requester)
        request = replace(request, number=number)
    joined = join_requests([*checkpoint.reexports, request])
    waiting: dict[tuple[object, ...], set[str]] = {}
    for one in joined:
        waiting.setdefault(one.identity, set()).update(one.metrics)
    if len(as_json([[ask, *names] for ask, names in waiting.items()])) > REQUESTS_BYTES:
        raise TOO_MANY_REEXPORTS(count=len(waiting) - 1)
    checkpoint.reexports = joined
    for name in request.metrics:
        _reset_attempts(checkpoint, name, request.start, request.end)


def _reset_attempts(checkpoint: Checkpoint, name: str, start: int, end: int) -> None:
    """Gaps keep their record, so that an answer without series is still doubted."""
    gaps = [
        replace(one, start=max(one.start, start), end=min(one.end, end), attempts=0)
        for one in checkpoint.failures[checkpoint.failures_of(name)]
        if one.is_gap and one.start < end and start < one.end and not one.nothing_left
    ]
    kept = [
        replace(one, start=max(one.start, start), end=min(one.end, end))
        for one in checkpoint.failures[checkpoint.failures_of(name)]
        if one.nothing_left and one.start < end and start < one.end
    ]
    checkpoint.forget_failures(name, start, end)
    place = checkpoint.failures_of(name)
    checkpoint.failures[place] = sorted([*checkpoint.failures[place], *gaps, *kept])


def request_for(
    checkpoint: Checkpoint, name: str, window: Window, *, seen: int | None = None
) -> ReexportRequest | None:
    """The request that covers this metric-window, if one does: one with force, if several do.

    `seen` leaves out those that were recorded after the request of that number.
    """
    covering = [
        one
        for one in checkpoint.reexports
        if name in one.metrics
        and covers([(one.start, one.end)], window.start, window.end)
        and (seen is None or one.number <= seen)
    ]
    return max(covering, key=lambda one: one.force, default=None)


def settle_requests(
    checkpoint: Checkpoint, name: str, start: int, end: int, *, seen: int | None = None
) -> None:
    """Take [start, end) of a metric out of the requests, up to the one of the number `seen`."""
    touched = [
        one
        for one in checkpoint.reexports
        if name in one.metrics
        and one.start < end
        and start < one.end
        and (seen is None or one.number <= seen)
    ]
    if not touched:
        return
    pieces = [one for one in checkpoint.reexports if one not in touched]
    for one in touched:
        rest = subtract([(one.start, one.end)], [(start, end)])
        pieces.append(replace(one, metrics=tuple(other for other in one.metrics if other != name)))
        pieces += [replace(one, start=low, end=high, metrics=(name,)) for low, high in rest]
    checkpoint.reexports = join_requests(pieces)
