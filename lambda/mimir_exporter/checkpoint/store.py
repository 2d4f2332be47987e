"""The checkpoint in S3, changed by compare-and-swap."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from ..errors import ConditionFailedError
from ..errors.runs import CHECKPOINT_CONFLICTS
from ..storage.layout import CHECKPOINT, state_key
from ..storage.objects import ObjectStore
from .compact import shrink_to_limit
from .loading import load
from .state import Checkpoint

T = TypeVar("T")

# Writers are a regular run and the few items of a Map: twenty lost races in a row are no race.
SWAPS = 20


class CheckpointStore:
    """Reads the checkpoint and applies changes to its newest version."""

    def __init__(
        self,
        bucket: ObjectStore,
        prefix: str,
        cluster_name: str,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._bucket = bucket
        self._key = state_key(prefix, cluster_name, CHECKPOINT)
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter

    def read(self) -> Checkpoint:
        """The checkpoint as it is; an empty one before the first run. Raises CheckpointError."""
        return self._read()[0]

    def update(self, change: Callable[[Checkpoint], T]) -> tuple[Checkpoint, T]:
        """Apply `change` to the newest version and write it; both results.

        Another writer's version in between is read and `change` is applied to that, so it has to
        say all it means through its argument, and saying it twice must mean the same.
        Raises CheckpointError.
        """
        for swap in range(SWAPS):
            checkpoint, etag = self._read()
            result = change(checkpoint)
            body = shrink_to_limit(checkpoint, int(self._clock()))
            try:
                self._bucket.put(
                    self._key,
                    body,
                    if_match=etag,
                    if_none_match=None if etag else "*",
                )
            except ConditionFailedError:
                self._sleep(0.05 * (swap + 1) * self._jitter())  # spreads writers
                continue
            return checkpoint, result
        raise CHECKPOINT_CONFLICTS(count=SWAPS, key=self._key)

    def _read(self) -> tuple[Checkpoint, str | None]:
        found = self._bucket.get(self._key)
        if found is None:
            return Checkpoint(), None
        text, etag = found
        return load(text, self._key), etag
