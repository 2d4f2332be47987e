"""One regular run at a time, so that two do not ask Mimir twice: the CronJob's `Forbid`.

Only the load on Mimir depends on it: what two runs export at once are the same files.
"""

from .. import log
from ..checkpoint.state import Checkpoint
from ..checkpoint.tasks import rebuild_of
from ..errors import ExportError
from ..errors.runs import ANOTHER_EXPORTER
from .context import RunContext
from .machine import other_machine

# A lease outlasts its run's deadline by this, for the last writes.
LEASE_MARGIN_S = 60
# And lasts no longer than an invocation can; a run that lasts longer, outside of Lambda, renews it.
LEASE_S = 15 * 60
# The clocks of two machines that are kept right may differ by this.
CLOCKS_APART_S = 30


def take_lease(context: RunContext) -> tuple[Checkpoint, bool]:
    """The checkpoint with the settings of today, and whether this run has the lease now."""

    def record(fresh: Checkpoint) -> tuple[bool, str]:
        now = context.now()
        other = other_machine(fresh, context.machine)
        if rebuild_of(fresh) is None:
            context.adopt(fresh)
        # No run holds it for longer: a lease that would was written by a clock that was wrong.
        held = 0 < fresh.lease_until - now <= LEASE_S + LEASE_MARGIN_S + CLOCKS_APART_S
        if held and fresh.lease_owner not in ("", context.run_id):
            return False, other
        fresh.lease_owner, fresh.lease_until = context.run_id, _lease_end(context, now)
        if context.machine is not None:
            fresh.machine = context.machine.arn
        return True, other

    checkpoint, (leased, other) = context.store.update(record)
    if other:
        log.CHECKPOINT_OF_ANOTHER_EXPORTER(
            state_machine=other, error=ANOTHER_EXPORTER.details(state_machine=other)
        )
    return checkpoint, leased


def renew_lease(context: RunContext, checkpoint: Checkpoint) -> None:
    """Hold the lease for longer where the run may outlast it."""
    left_s = checkpoint.lease_until - context.now()
    if left_s > min(LEASE_S / 2, context.deadline.remaining_s()):
        return

    def record(fresh: Checkpoint) -> None:
        if fresh.lease_owner == context.run_id:
            fresh.lease_until = _lease_end(context, context.now())

    context.store.update(record)
    # If another run holds the lease by now, only extra queries result.
    checkpoint.lease_until = _lease_end(context, context.now())


def release_lease(context: RunContext, *, complete: bool) -> None:
    """End the run; `complete`: it left nothing pending."""

    def record(fresh: Checkpoint) -> None:
        if fresh.lease_owner == context.run_id:
            fresh.lease_owner, fresh.lease_until = "", 0
        if complete:
            fresh.last_complete = context.now()

    try:
        context.store.update(record)
    except ExportError as error:
        # The run's own outcome is what counts; the lease runs out by itself.
        log.LEASE_NOT_RELEASED(error=error)


def _lease_end(context: RunContext, now: int) -> int:
    return now + int(min(LEASE_S, context.deadline.remaining_s())) + LEASE_MARGIN_S
