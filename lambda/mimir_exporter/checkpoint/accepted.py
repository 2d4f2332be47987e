"""Missing data that an operator accepted as missing. Pure; times are unix seconds."""

from dataclasses import replace

from ..errors.settings import TOO_MANY_ACCEPTANCES
from ..timeline.intervals import subtract
from ..timeline.windows import Window
from .doubts import forget_doubts
from .records import Acceptance, as_json
from .state import Checkpoint

# What all acceptances may take in the document.
ACCEPTED_BYTES = 50_000


def accept_missing(checkpoint: Checkpoint, acceptance: Acceptance) -> None:
    """These ranges are no gaps any more, and not tried again. Raises SettingsError.

    A reexport that is requested later exports them if the source has them after all.
    """
    if acceptance in checkpoint.accepted:
        return
    accepted = [*checkpoint.accepted, acceptance]
    if len(
        as_json(
            [
                [*acceptance.ranges, *acceptance.metrics, acceptance.by, acceptance.reason]
                for acceptance in accepted
            ]
        )
    ) > (ACCEPTED_BYTES):
        raise TOO_MANY_ACCEPTANCES(count=len(checkpoint.accepted))
    checkpoint.accepted = accepted
    for start, end in acceptance.ranges:
        checkpoint.change(start, end)
    for name in acceptance.metrics:
        for start, end in acceptance.ranges:
            checkpoint.forget_failures(name, start, end)
            if name in checkpoint.metrics:
                forget_doubts(checkpoint.metrics[name], start, end)


def forget_accepted(checkpoint: Checkpoint, name: str, window: Window) -> None:
    """This metric-window is exported after all."""
    if not any(name in acceptance.metrics for acceptance in checkpoint.accepted):
        return
    accepted: list[Acceptance] = []
    for acceptance in checkpoint.accepted:
        rest = subtract(acceptance.ranges, [(window.start, window.end)])
        if name not in acceptance.metrics or rest == acceptance.ranges:
            accepted.append(acceptance)
            continue
        others = tuple(other for other in acceptance.metrics if other != name)
        pieces = (
            replace(acceptance, metrics=others),
            replace(acceptance, ranges=rest, metrics=(name,)),
        )
        accepted += [piece for piece in pieces if piece.metrics and piece.ranges]
    checkpoint.accepted = accepted
