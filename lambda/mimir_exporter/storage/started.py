"""What was fetched of a metric-window that did not fit into one invocation; the next continues it.

{prefix}/{CLUSTER_NAME}/_started/{window start}_{metric}.json says which parts remain, and which
objects beside it hold the compressed series of the others. It is used only by an export of the same
query, and counts for nothing: without it, or with a damaged one, the window is fetched from its
beginning.
"""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..answer.spool import Spool
from ..errors import ConditionFailedError
from .layout import state_key
from .manifest import RawCounts
from .objects import ObjectStore

VERSION = 1
CHUNK_BYTES = 8 * 1024 * 1024
# Much later the parts would be of another time than the rest; the audit finds what changed until
# then.
AGE_S = 86_400


@dataclass
class Started:
    """A metric-window at work. `parts` remain, None where none is known yet; as JSON.

    `identity` is all that its content depends on; `seen` are the reexport requests that it knew,
    and `raw` the source's samples, both when it began. `chunks` hold the spool up to `saved`, each
    with its key, size and ETag. `etag` is that of its own object, if there is one.
    """

    identity: Mapping[str, Any]
    began: int
    seen: int
    raw: RawCounts | None
    parts: list[dict[str, Any]] | None = None
    chunks: list[tuple[str, int, str]] = field(default_factory=list)
    etag: str | None = None

    @property
    def saved(self) -> int:
        """How many bytes of the spool are in the chunks."""
        return sum(size for _, size, _ in self.chunks)


class StartedStore:
    """Keeps them, for one exporter."""

    def __init__(
        self, bucket: ObjectStore, prefix: str, cluster_name: str, clock: Callable[[], float]
    ) -> None:
        self._bucket = bucket
        self._folder = state_key(prefix, cluster_name, "_started/")
        self._clock = clock
        self._known: set[str] | None = None

    def load(
        self, metric: str, start: int, identity: Mapping[str, Any], *, seen: int, spool: Spool
    ) -> Started | None:
        """What there is of a metric-window, its series put into `spool`; None where there is
        nothing that can be used. `seen` is the newest request that it has to know.
        Raises StopRunError, OutOfTimeError."""
        key = self._key(metric, start)
        if key not in self._list():
            return None
        found = self._bucket.get(key)
        if found is None:
            return None
        try:
            started, state = _load(*found)
            fresh = started.began > self._clock() - AGE_S and started.seen >= seen
            if fresh and started.identity == identity:
                spool.restore(state, self._read(started))
                return started
        except (ValueError, LookupError, TypeError, AttributeError, ConditionFailedError):
            spool.clear()
        self.delete(metric, start)
        return None

    def save(self, metric: str, start: int, started: Started, spool: Spool) -> None:
        """Keep what `spool` has, for `started.parts` to be continued. Raises StopRunError,
        OutOfTimeError, and ConditionFailedError where another invocation is at it too."""
        key, token = self._key(metric, start), secrets.token_hex(4)
        chunks = list(started.chunks)
        for number, block in enumerate(spool.blocks(started.saved, CHUNK_BYTES)):
            name = f"{self._folder}{start}_{metric}.{token}.{number}.part"
            etag = self._bucket.put(name, block, content_type="application/octet-stream")
            chunks.append((name, len(block), etag))
        document = _dump(replace(started, chunks=chunks), spool.state())
        self._bucket.put(
            key,
            document,
            if_match=started.etag,
            if_none_match=None if started.etag else "*",
        )

    def delete(self, metric: str, start: int) -> None:
        """Forget it, and all that is left of it. Raises StopRunError, OutOfTimeError."""
        if self._key(metric, start) not in self._list():
            return
        beginning = self._key(metric, start).removesuffix("json")
        # The whole folder: the bucket policy lets nothing else be listed.
        for key in self._bucket.list(self._folder).keys:
            if key.startswith(beginning):
                self._bucket.delete(key)
        self._list().discard(self._key(metric, start))

    def delete_before(self, moment: int) -> None:
        """Forget what is left of windows that began before it. Raises StopRunError."""
        for key in self._bucket.list(self._folder).keys:
            start = key.removeprefix(self._folder).partition("_")[0]
            if start.isdecimal() and int(start) < moment:
                self._bucket.delete(key)

    def _read(self, started: Started) -> Iterator[bytes]:
        for key, size, etag in started.chunks:
            found = self._bucket.get(key)
            if found is None or found[1] != etag or len(found[0]) != size:
                raise ValueError(key)
            yield found[0]

    def _list(self) -> set[str]:
        """One request for each invocation: hardly any window has one."""
        if self._known is None:
            self._known = set(self._bucket.list(self._folder).keys)
        return self._known

    def _key(self, metric: str, start: int) -> str:
        return f"{self._folder}{start}_{metric}.json"


def _dump(started: Started, state: Sequence[Any]) -> bytes:
    document = {
        "version": VERSION,
        "identity": dict(started.identity),
        "began": started.began,
        "seen": started.seen,
        "raw": started.raw,
        "parts": started.parts,
        "chunks": started.chunks,
        "clusters": state,
    }
    return json.dumps(document).encode()


def _load(body: bytes, etag: str) -> tuple[Started, Sequence[Any]]:
    document = json.loads(body)
    if document["version"] != VERSION:
        raise ValueError("version")
    started = Started(
        document["identity"],
        int(document["began"]),
        int(document["seen"]),
        document["raw"],
        list(document["parts"]),
        [(str(key), int(size), str(tag)) for key, size, tag in document["chunks"]],
        etag,
    )
    return started, document["clusters"]
