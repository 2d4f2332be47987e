"""The bucket, the checkpoint in it, and the state machine: what the role has to be allowed."""

from collections.abc import Callable
from dataclasses import dataclass

from ..checkpoint.state import Checkpoint
from ..checkpoint.wanted import lag_s, wanted_windows
from ..errors import ConditionFailedError, ExportError, StopRunError
from ..errors import storage as errors
from ..errors.runs import ANOTHER_EXPORTER, STEP_FUNCTIONS_UNREACHABLE
from ..runs.context import RunContext
from ..runs.machine import other_machine
from ..storage.layout import PROBE, state_key
from ..storage.objects import ObjectStore
from ..timeline.windows import iso
from ..words import counted
from .findings import Findings

BODY = b'{"probe": true}'
OTHER_ETAG = '"00000000000000000000000000000000"'
# Nothing to try further: each step would fail in the same way, or take as long.
NO_BUCKET = (errors.S3_UNREACHABLE, errors.BUCKET_NOT_FOUND, errors.BUCKET_IN_OTHER_REGION)


def check_aws(context: RunContext, findings: Findings) -> Checkpoint:
    """All of them; what needs a bucket that cannot be reached is not tried.

    The checkpoint that was found, or one as before the first run.
    """
    checkpoint = Checkpoint()
    if context.settings.role_arn and not findings.attempt("role", lambda: _assume(context)):
        findings.add("warning", "bucket", "skipped: it needs the role", "see role")
    elif _check_bucket(context, findings):
        checkpoint = _check_checkpoint(context, findings)
    _check_machine(context, findings)
    return checkpoint


def _assume(context: RunContext) -> str:
    """Asking for an object that may be missing is allowed to whom the bucket's policy is given."""
    try:
        context.bucket.list(f"{context.settings.prefix}/")
    except StopRunError as error:
        if error.details.code == errors.ROLE_NOT_ASSUMED.code:
            raise
    return f"{context.settings.role_arn} is assumed"


@dataclass(frozen=True)
class _ProbeObject:
    """An object that is written to be removed; each step returns what is found."""

    bucket: ObjectStore
    prefix: str
    key: str

    def write(self) -> str:
        self.bucket.put(self.key, BODY)
        return f"{self.bucket.where(self.key)} is written"

    def write_on_condition(self) -> str:
        try:
            self.bucket.put(self.key, BODY, if_none_match="*")
        except ConditionFailedError:
            return "conditional writes are supported"
        raise errors.NO_CONDITIONAL_WRITES()

    def read(self) -> str:
        found = self.bucket.get(self.key)
        if found is None or found[0] != BODY:
            raise errors.NOT_CONSISTENT(where=self.bucket.where(self.key))
        return "the probe was read"

    def list_folder(self) -> str:
        folders = self.bucket.list(f"{self.prefix}/").folders
        return f"folders under {self.prefix}/: {len(folders)}"

    def delete_on_condition(self) -> str:
        try:
            self.bucket.delete(self.key, if_match=OTHER_ETAG)
        except ConditionFailedError:
            return "conditional deletes are supported"
        raise errors.NO_CONDITIONAL_DELETES()

    def delete(self) -> str:
        if self.bucket.delete(self.key):
            return (
                "the probe was deleted, and the bucket keeps a version of it: replaced and deleted "
                "files cost storage until a lifecycle rule (NoncurrentVersionExpiration) removes "
                "their versions, or for as long as Object Lock holds them"
            )
        return "the probe was deleted"


def _check_bucket(context: RunContext, findings: Findings) -> bool:
    """Whether the bucket was reached at all, so that the checkpoint may be read."""
    prefix = context.settings.prefix
    key = state_key(prefix, context.settings.cluster_name, PROBE)
    probe = _ProbeObject(context.bucket, prefix, key)
    written = findings.attempt("bucket_write", probe.write)
    failed = "" if written else findings.last.code
    if failed in {kind.code for kind in NO_BUCKET}:
        findings.add("warning", "bucket", "remaining bucket checks skipped", "see bucket write")
        return False
    steps: list[tuple[str, Callable[[], str]]] = []
    if written:
        steps += [("bucket_conditions", probe.write_on_condition), ("bucket_read", probe.read)]
    timed_out = failed == errors.S3_TIMED_OUT.code
    if not timed_out:
        steps.append(("bucket_list", probe.list_folder))
    for what, step in steps:
        findings.attempt(what, step)
    if written:
        _check_conditional_delete(probe, findings)
    # Removed whatever the other steps came to; what may have been written counts as written.
    findings.attempt("bucket_delete", probe.delete)
    return not timed_out


def _check_conditional_delete(probe: _ProbeObject, findings: Findings) -> None:
    """A store without them still serves one exporter alone, so that is no error."""
    try:
        findings.add("ok", "bucket_delete_conditions", probe.delete_on_condition())
    except ExportError as error:
        findings.add_details("warning", "bucket_delete_conditions", error.details)


def _check_checkpoint(context: RunContext, findings: Findings) -> Checkpoint:
    try:
        checkpoint = context.store.read()
    except ExportError as error:
        findings.add_error("checkpoint", error)
        return Checkpoint()
    if not checkpoint.metrics:
        findings.add("ok", "checkpoint", "none yet: the next run is the first one")
    else:
        _judge_checkpoint(context, checkpoint, findings)
    return checkpoint


def _judge_checkpoint(context: RunContext, checkpoint: Checkpoint, findings: Findings) -> None:
    now = context.now()
    pending = len(list(wanted_windows(checkpoint, context.names, context.settings, now)))
    found = [
        counted(len(checkpoint.metrics), "metric"),
        f"exported up to {iso(now - lag_s(checkpoint, context.names, now))}",
        f"{counted(pending, 'window')} pending",
        f"{counted(len(checkpoint.handovers), 'execution')} at work",
    ]
    if checkpoint.lease_until > now:
        found.append(f"a run is at work until {iso(checkpoint.lease_until)} at the latest")
    findings.add("ok", "checkpoint", ", ".join(found))
    other = other_machine(checkpoint, context.machine)
    if other:
        findings.add_details(
            "warning", "another_exporter", ANOTHER_EXPORTER.details(state_machine=other)
        )
    gaps = checkpoint.gaps()
    if gaps:
        names = sorted({gap.metric for gap in gaps})
        findings.add(
            "warning",
            "gaps",
            f"{len(gaps)} ranges of {', '.join(names[:5])} failed too often, the first because: "
            f"{gaps[0].error.found}",
            f"{gaps[0].error.remedy or 'correct that'}; then export them: "
            '{"action": "status"} lists them',
        )


def _check_machine(context: RunContext, findings: Findings) -> None:
    machine = context.machine
    if machine is None:
        findings.add(
            "ok", "state_machine", "none configured: remaining windows wait for the next run"
        )
        return

    def start() -> str:
        # The machine exports each window of its input: of none, it does nothing and is over.
        machine.start(f"check-{context.run_id}"[:80], [])
        return "an execution with no windows, which does nothing, could be started"

    def describe() -> str:
        machine.ending(f"check-{context.run_id}"[:80])
        return "executions can be asked about"

    started = findings.attempt("state_machine_start", start)
    if started or findings.last.code != STEP_FUNCTIONS_UNREACHABLE.code:
        findings.attempt("state_machine_read", describe)
