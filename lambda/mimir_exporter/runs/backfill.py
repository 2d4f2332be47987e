"""Handing over to Step Functions, and settling afterwards."""

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from ..checkpoint.checkpoint import HANDOVERS, Checkpoint
from ..checkpoint.records import GAP_ATTEMPTS, Handover, Repeat
from ..checkpoint.store import CheckpointStore
from ..errors import StopRunError
from ..settings.settings import Settings
from ..timeline.bounded import call_within
from ..timeline.deadline import Deadline
from ..timeline.intervals import covers, union
from ..timeline.windows import Window, iso, iso_range

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

logger = Logger()

# An execution's input ends at 262,144 characters; an item has about 40, and its child less than
# that again in the Map's result.
MAX_ITEMS = 1000
# An execution that was recorded but is not there yet may be about to be started.
START_GRACE_S = 120


class StateMachine:
    """The backfill's state machine: starts executions and says how they stand."""

    def __init__(self, client: "SFNClient", arn: str, deadline: Deadline | None = None) -> None:
        self._client = client
        self.arn = arn
        self._deadline = deadline or Deadline.open_ended()

    def within(self, deadline: Deadline) -> "StateMachine":
        """The same, waited for only as long as there is time."""
        return StateMachine(self._client, self.arn, deadline)

    def start(self, name: str, windows: Sequence[Window]) -> None:
        """Start an execution; starting it twice is starting it once. Raises StopRunError."""
        items = [{"start": window.start, "end": window.end} for window in windows]
        try:
            call_within(
                self._deadline,
                lambda: self._client.start_execution(
                    stateMachineArn=self.arn, name=name, input=json.dumps({"windows": items})
                ),
                f"The request to start the execution {name}",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
                raise self._explained("start", name, error) from error
        except BotoCoreError as error:
            raise self._explained("start", name, error) from error

    def ending(self, name: str) -> str | None:
        """ "" while the execution runs, how it ended after that, None if there is none of the
        name. Raises StopRunError."""
        arn = f"{self.arn.replace(':stateMachine:', ':execution:')}:{name}"
        try:
            status = call_within(
                self._deadline,
                lambda: self._client.describe_execution(executionArn=arn)["status"],
                f"The request to describe the execution {name}",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ExecutionDoesNotExist":
                return None
            raise self._explained("describe", name, error) from error
        except BotoCoreError as error:
            raise self._explained("describe", name, error) from error
        return "" if status in ("RUNNING", "PENDING_REDRIVE") else status

    def _explained(self, verb: str, name: str, error: Exception) -> StopRunError:
        return StopRunError(
            f"Step Functions did not {verb} the execution {name} of {self.arn} ({error}); check "
            "that the function's role may, and that the VPC has an endpoint for states."
        )


def execution_name(number: int, windows: Sequence[Window]) -> str:
    """A name that the plan decides: the same windows, handed over as the same execution in a
    row, always have the same one (80 characters of letters, digits, - and _ at most)."""
    plan = json.dumps([(window.start, window.end) for window in windows])
    digest = sha256(f"{number} {plan}".encode()).hexdigest()[:12]
    begin = iso(windows[-1].start).replace(":", "")[:13]
    return f"backfill-{number}-{begin}-{len(windows)}-windows-{digest}"


def other_machine(checkpoint: Checkpoint, machine: StateMachine | None) -> str:
    """The state machine of another exporter that wrote the checkpoint last; "" for none.

    Two that share S3_PREFIX and CLUSTER_NAME lose nothing, but take each other's work, and know
    nothing of each other's executions.
    """
    if machine is None or checkpoint.machine in ("", machine.arn):
        return ""
    return checkpoint.machine


def hand_over(
    store: CheckpointStore, machine: StateMachine, windows: Sequence[Window], now: int
) -> dict[str, int]:
    """Give `windows` (newest first) to executions of up to MAX_ITEMS; their names, and how many
    windows each has.

    With HANDOVERS of them at work no more is started: the rest is for a later run.
    The checkpoint names an execution before it is started: one that was never started is found
    missing by the next run, which hands its windows over again.
    """
    names: dict[str, int] = {}
    for first in range(0, len(windows), MAX_ITEMS):
        batch = windows[first : first + MAX_ITEMS]
        ranges = union((window.start, window.end) for window in batch)

        def record(checkpoint: Checkpoint) -> str | None:
            for known in checkpoint.handovers:
                if known.ranges == ranges:  # noqa: B023
                    return known.name
            if len(checkpoint.handovers) >= HANDOVERS:
                return None
            name = execution_name(checkpoint.handed_over + 1, batch)  # noqa: B023
            checkpoint.hand_over(Handover(name, ranges, now))  # noqa: B023
            return name

        _, name = store.update(record)
        if name is None:
            logger.warning("enough executions at work", extra={"executions": HANDOVERS})
            break
        machine.start(name, batch)
        names[name] = len(batch)
        logger.info(
            "handed over",
            extra={
                "execution": name,
                "windows": len(batch),
                "range": iso_range(batch[-1].start, batch[0].end),
            },
        )
        # A line for each, so that a window's own name finds all of its story.
        for window in batch:
            logger.info("window handed over", extra={"window": str(window), "execution": name})
    return names


def settle(
    checkpoint: Checkpoint,
    store: CheckpointStore,
    machine: StateMachine,
    names: Iterable[str],
    settings: Settings,
    now: int,
) -> Checkpoint:
    """Take back what ended executions have left; the checkpoint after that."""
    names = tuple(names)
    for handover in list(checkpoint.handovers):
        ended = machine.ending(handover.name)
        # Either way: a clock that was wrong may have recorded it in the future.
        is_new = abs(now - handover.started) < START_GRACE_S
        if ended == "" or (ended is None and is_new):
            continue

        def record(fresh: Checkpoint) -> list[Repeat]:
            if ended is not None:  # noqa: B023 - called before the loop goes on
                return fresh.settle(handover, names, settings, now, ended)  # noqa: B023
            fresh.handovers = [one for one in fresh.handovers if one != handover]  # noqa: B023
            return []

        checkpoint, given_up = store.update(record)
        left = [
            window
            for window, _ in checkpoint.wanted(names, settings, now)
            if covers(handover.ranges, window.start, window.end)
        ]
        _tell_over(handover, ended or "never started", left)
        _tell_given_up(handover, given_up)
    return checkpoint


def _tell_over(handover: Handover, ended: str, left: Sequence[Window]) -> None:
    fields = {"execution": handover.name, "ended": ended}
    for window in left:
        logger.warning("window came back", extra={"window": str(window), **fields})
    if left:
        logger.warning("execution over", extra={**fields, "left": len(left)})
    else:
        logger.info("execution over", extra={**fields, "left": 0})


def _tell_given_up(handover: Handover, repeats: Sequence[Repeat]) -> None:
    """What was asked for by hand and is not done: with the event that asks for it again."""
    for one in repeats:
        event = {
            "action": "export",
            "start": iso(one.start),
            "end": iso(one.end),
            "metrics": list(one.metrics),
            **({"force": True} if one.force else {}),
        }
        logger.error(
            "repetition given up",
            extra={
                "execution": handover.name,
                "range": iso_range(one.start, one.end),
                "metrics": list(one.metrics),
                "reason": f"{GAP_ATTEMPTS} executions were over before they had exported it again; "
                "its files from before stay. See in Step Functions why they ended, then invoke "
                f"the function with {json.dumps(event)}",
            },
        )
