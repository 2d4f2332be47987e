"""The event `retention`: deletes expired files at once, or says which it would delete."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import BinaryIO

from ..checkpoint.changes import expired_before
from ..checkpoint.state import Checkpoint
from ..errors.runs import OUT_OF_TIME
from ..errors.settings import RETENTION_BY_COMMAND
from ..events import DryRunResult, RetentionEvent, RetentionResult
from ..storage.manifest import ManifestStore
from ..storage.objects import Folder, ObjectStore, StoredObject
from ..timeline.windows import iso
from ..words import counted
from .context import RunContext
from .retention import delete_expired, delete_expired_files, delete_listed

# Keys that a dry run names.
FIRST = 10
# Files that a dry run counts: it remembers each, so that none counts twice.
MOST_COUNTED = 2_000_000


def run_retention(context: RunContext, event: RetentionEvent) -> RetentionResult | DryRunResult:
    """Delete what is expired now. Raises StopRunError, and SettingsError on the command line."""
    if event.dry_run:
        return _dry_run(context)
    if context.command is not None:
        raise RETENTION_BY_COMMAND(event='{"action": "retention"}')
    checkpoint = context.store.read()
    keep = _keep(context, checkpoint)
    result = delete_expired(context, checkpoint, share=0.9, at_once=True)
    if result.error is not None:
        raise result.error
    left = "" if result.finished else "; the next runs delete the rest"
    return {
        "outcome": "complete" if result.finished else "unfinished",
        "message": f"{counted(result.deleted, 'file')} deleted{_limit(keep)}{left}.",
        "deleted": result.deleted,
    }


def _keep(context: RunContext, checkpoint: Checkpoint) -> int:
    """Before this moment (unix seconds) files are deleted by today's settings, which `checkpoint`
    takes in; 0 where none are."""
    context.adopt(checkpoint, read_only=True)
    return expired_before(checkpoint, context.settings, context.now())


def _limit(keep: int) -> str:
    if not keep:
        return ": RETENTION_DAYS is 0, so none expires"
    return f" of windows before {iso(keep)}"


def _dry_run(context: RunContext) -> DryRunResult:
    store = _CountingStore(context.bucket)
    settings = context.settings
    finished = True
    keep = _keep(context, context.store.read())
    if keep:
        counting = replace(
            context,
            bucket=store,
            manifests=ManifestStore(store, settings.prefix, settings.cluster_name),
        )
        _, done = delete_listed(counting, keep, context.deadline, quiet=True)
        _, found = delete_expired_files(*(store, settings, keep, context.deadline), quiet=True)
        finished = done and found
    return {
        "outcome": "dry_run",
        "message": f"Would delete {counted(store.files, 'file')} and "
        f"{counted(store.manifests, 'manifest')}{_limit(keep)}. Nothing was written.",
        "counts": {"files": store.files, "manifests": store.manifests},
        "first": sorted(store.first),
        "counted_whole": finished,
    }


@dataclass
class _CountingStore:
    """An ObjectStore in which a deletion is only counted."""

    store: ObjectStore
    files: int = 0
    manifests: int = 0
    first: list[str] = field(default_factory=list)
    _known: set[int] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def where(self, key: str) -> str:
        """See ObjectStore."""
        return self.store.where(key)

    def put(
        self,
        key: str,
        body: bytes | BinaryIO,
        *,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        if_none_match: str | None = None,
        if_match: str | None = None,
    ) -> str:
        """Not in a dry run."""
        raise NotImplementedError

    def get(self, key: str) -> tuple[bytes, str] | None:
        """See ObjectStore."""
        return self.store.get(key)

    def head(self, key: str) -> StoredObject | None:
        """See ObjectStore; what counts as deleted is not there any more."""
        return None if hash(key) in self._known else self.store.head(key)

    def delete(self, key: str, *, if_match: str | None = None) -> bool:
        """Count it; of no store is it known here whether it keeps versions. Raises OutOfTimeError
        for too many.

        `if_match` is not asked for: a file that is another by now is found by the walk.
        """
        del if_match
        with self._lock:
            if hash(key) in self._known:
                return False
            if len(self._known) >= MOST_COUNTED:
                raise OUT_OF_TIME()
            self._known.add(hash(key))
            if key.endswith(".manifest"):
                self.manifests += 1
                return False
            self.files += 1
            if len(self.first) < FIRST:
                self.first.append(key)
            return False

    def list(self, prefix: str) -> Folder:
        """See ObjectStore."""
        return self.store.list(prefix)
