"""Ranges that an operator requested again. Pure; times are unix seconds."""

from dataclasses import replace

from ..errors import SettingsError
from ..timeline.intervals import Interval, covers, subtract
from ..timeline.windows import Window
from .records import ReexportRequest, as_json, join_requests
from .state import Checkpoint

# What all waiting requests may take in the document, as they were made.
REQUESTS_BYTES = 10_000


def request_reexport(checkpoint: Checkpoint, request: ReexportRequest) -> None:
    """A range is requested again; its failures are dropped, so that it has all its tries.

    Raises SettingsError while so many requests wait that the document might grow too large.
    """
    if request not in checkpoint.reexports:
        waiting: dict[tuple[Interval, bool], set[str]] = {}
        for one in (*checkpoint.reexports, request):
            waiting.setdefault((one.asked, one.force), set()).update(one.metrics)
        if len(as_json([[ask, *names] for ask, names in waiting.items()])) > REQUESTS_BYTES:
            raise SettingsError(
                f"{len(waiting) - 1} ranges wait to be exported again already; nothing was "
                "recorded. Ask again once the status shows fewer, or for one longer range."
            )
        checkpoint.reexports = join_requests([*checkpoint.reexports, request])
    for name in request.metrics:
        checkpoint.forget_failures(name, request.start, request.end)


def request_for(checkpoint: Checkpoint, name: str, window: Window) -> ReexportRequest | None:
    """The request that covers this metric-window, if one does: one with force, if several do."""
    covering = [
        one
        for one in checkpoint.reexports
        if name in one.metrics and covers([(one.start, one.end)], window.start, window.end)
    ]
    return max(covering, key=lambda one: one.force, default=None)


def forget_request(
    checkpoint: Checkpoint, name: str, start: int, end: int, *, forced: bool = True
) -> None:
    """Take [start, end) of a metric out of the requests; those with force only if `forced`."""
    touched = [
        one
        for one in checkpoint.reexports
        if name in one.metrics and one.start < end and start < one.end and (forced or not one.force)
    ]
    if not touched:
        return
    pieces = [one for one in checkpoint.reexports if one not in touched]
    for one in touched:
        rest = subtract([(one.start, one.end)], [(start, end)])
        pieces.append(replace(one, metrics=tuple(other for other in one.metrics if other != name)))
        pieces += [replace(one, start=low, end=high, metrics=(name,)) for low, high in rest]
    checkpoint.reexports = join_requests(pieces)
