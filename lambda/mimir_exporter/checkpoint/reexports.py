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
    for request in checkpoint.reexports:
        if requester and request.requester == requester:
            return request.number
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
    for piece in joined:
        waiting.setdefault(piece.identity, set()).update(piece.metrics)
    if len(as_json([[ask, *names] for ask, names in waiting.items()])) > REQUESTS_BYTES:
        raise TOO_MANY_REEXPORTS(count=len(waiting) - 1)
    checkpoint.reexports = joined
    for name in request.metrics:
        _reset_attempts(checkpoint, name, request.start, request.end)


def _reset_attempts(checkpoint: Checkpoint, name: str, start: int, end: int) -> None:
    """Gaps keep their record, so that an answer without series is still doubted."""
    gaps = [
        replace(failure, start=max(failure.start, start), end=min(failure.end, end), attempts=0)
        for failure in checkpoint.failures[checkpoint.failures_of(name)]
        if failure.is_gap
        and failure.start < end
        and start < failure.end
        and not failure.nothing_left
    ]
    kept = [
        replace(failure, start=max(failure.start, start), end=min(failure.end, end))
        for failure in checkpoint.failures[checkpoint.failures_of(name)]
        if failure.nothing_left and failure.start < end and start < failure.end
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
        request
        for request in checkpoint.reexports
        if name in request.metrics
        and covers([(request.start, request.end)], window.start, window.end)
        and (seen is None or request.number <= seen)
    ]
    return max(covering, key=lambda request: request.force, default=None)


def settle_requests(
    checkpoint: Checkpoint, name: str, start: int, end: int, *, seen: int | None = None
) -> None:
    """Take [start, end) of a metric out of the requests, up to the one of the number `seen`."""
    touched = [
        request
        for request in checkpoint.reexports
        if name in request.metrics
        and request.start < end
        and start < request.end
        and (seen is None or request.number <= seen)
    ]
    if not touched:
        return
    pieces = [request for request in checkpoint.reexports if request not in touched]
    for request in touched:
        rest = subtract([(request.start, request.end)], [(start, end)])
        pieces.append(
            replace(request, metrics=tuple(other for other in request.metrics if other != name))
        )
        pieces += [replace(request, start=low, end=high, metrics=(name,)) for low, high in rest]
    checkpoint.reexports = join_requests(pieces)
