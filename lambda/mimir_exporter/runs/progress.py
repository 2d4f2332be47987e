"""Records in the checkpoint what a run exported and what failed, a few metric-windows at a time."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from ..checkpoint.outcomes import (
    mark_exported,
    mark_failed,
    mark_in_part,
    mark_nothing_left,
    mark_pending,
    mark_vanished,
)
from ..checkpoint.state import Checkpoint
from ..checkpoint.store import CheckpointStore
from ..errors import OutOfTimeError
from ..timeline.windows import Window
from .neighbours import Vanished
from .totals import MetricFailure

# A window that takes long is saved at least this often.
SAVE_EVERY_S = 60.0


@dataclass(frozen=True)
class _PendingRecord:
    """A metric-window whose objects are all written, not yet in the checkpoint.

    `seen` are the reexport requests that it knew; `compare` says what of its neighbours it lacks.
    """

    metric: str
    window: Window
    empty: bool
    seen: int
    compare: Callable[[Checkpoint], Vanished]


@dataclass(frozen=True)
class _Batch:
    """Changes that are written together. Another writer's version may come in between: then they
    are applied to that one, so a second application changes nothing."""

    exported: tuple[_PendingRecord, ...]
    failed: tuple[MetricFailure, ...]
    forgotten: tuple[MetricFailure, ...]
    now: int

    def apply(self, checkpoint: Checkpoint) -> None:
        for record in self.exported:
            vanished = record.compare(checkpoint)
            mark_exported(
                *(checkpoint, record.metric, record.window),
                empty=record.empty,
                seen=record.seen,
                vanished=vanished.here,
            )
            if vanished.after is not None:
                mark_vanished(checkpoint, record.metric, *vanished.after)
        for failure in self.forgotten:
            mark_nothing_left(
                *(checkpoint, failure.metric, failure.window, failure.error, self.now),
                seen=failure.seen,
            )
        for failure in self.failed:
            if failure.part is not None:
                mark_in_part(
                    *(checkpoint, failure.metric, failure.part, failure.window),
                    *(failure.error, self.now),
                    seen=failure.seen,
                )
                continue
            mark_failed(
                checkpoint,
                failure.metric,
                failure.window,
                failure.error,
                self.now,
                seen=failure.seen,
                least=failure.least,
                counted=failure.counted,
            )


class ProgressRecorder:
    """Collects records and writes them to the checkpoint."""

    def __init__(self, store: CheckpointStore, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._saved_at = clock()
        self._exported: list[_PendingRecord] = []
        self._failed: list[MetricFailure] = []
        self._forgotten: list[MetricFailure] = []

    def add_exported(
        self,
        metric: str,
        window: Window,
        *,
        empty: bool,
        seen: int,
        compare: Callable[[Checkpoint], Vanished],
    ) -> None:
        """All objects of this metric-window are written."""
        self._exported.append(_PendingRecord(metric, window, empty, seen, compare))

    def add_nothing_left(self, failure: MetricFailure) -> None:
        """The source has forgotten this metric-window."""
        self._forgotten.append(failure)

    def set_pending(self, metric: str, window: Window) -> None:
        """Files of this metric-window are about to be taken away: until it is exported it is
        pending. Written at once. Raises CheckpointError."""
        self.save()
        self._store.update(lambda checkpoint: mark_pending(checkpoint, metric, window))

    def add_failure(self, failure: MetricFailure) -> None:
        """A failure of the metric-window itself."""
        self._failed.append(failure)

    def save_if_due(self) -> None:
        """Save where the last time is SAVE_EVERY_S ago."""
        if self._clock() - self._saved_at > SAVE_EVERY_S:
            self.save_in_time()

    def save_in_time(self) -> None:
        """As `save`; where the time runs out meanwhile, what has been added stays for the `save` at
        the run's end, which has the reserve."""
        with suppress(OutOfTimeError):
            self.save()

    def save(self) -> None:
        """Write what has been added. Raises CheckpointError, OutOfTimeError."""
        self._saved_at = self._clock()
        if not (self._exported or self._failed or self._forgotten):
            return
        batch = _Batch(
            *(tuple(self._exported), tuple(self._failed), tuple(self._forgotten)),
            now=int(self._clock()),
        )
        self._store.update(batch.apply)
        self._exported, self._failed, self._forgotten = [], [], []
