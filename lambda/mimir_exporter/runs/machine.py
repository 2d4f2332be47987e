"""The backfill's state machine in Step Functions."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from ..checkpoint.state import Checkpoint
from ..errors import StopRunError
from ..errors import runs as errors
from ..timeline.bounded import call_within
from ..timeline.deadline import Deadline
from ..timeline.workers import SHARED

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


class StateMachine:
    """The backfill's state machine: starts executions and says what state they are in.

    `client` is called at the first use: most runs have none, and need no boto3.
    """

    def __init__(
        self, client: "Callable[[], SFNClient]", arn: str, deadline: Deadline | None = None
    ) -> None:
        self._client = client
        self._opening: Future[SFNClient] | None = None
        self.arn = arn
        self._deadline = deadline or Deadline.open_ended()

    def within(self, deadline: Deadline) -> "StateMachine":
        """The same, waited for only as long as there is time."""
        return StateMachine(self._client, self.arn, deadline)

    def prepare(self) -> None:
        """Have the client made meanwhile, where an execution may have to be started at the end.

        Importing and making it takes seconds of a small function, which its reserve may not have.
        """
        self._opening = SHARED.submit(self._client)

    def _open(self) -> "SFNClient":
        return self._client() if self._opening is None else self._opening.result()

    def start(self, name: str, ranges: Sequence[tuple[int, int]]) -> None:
        """Start an execution with an item for each of these ranges of windows (unix seconds);
        starting it twice is starting it once. Raises StopRunError."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as above

        items = [{"start": start, "end": end} for start, end in ranges]
        try:
            call_within(
                self._deadline,
                lambda: self._open().start_execution(
                    stateMachineArn=self.arn, name=name, input=json.dumps({"windows": items})
                ),
                f"The request to start the execution {name}",
            )
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code != "ExecutionAlreadyExists":
                raise self._explained("start", name, error, code) from error
        except BotoCoreError as error:
            raise self._explained("start", name, error) from error

    def ending(self, name: str) -> str | None:
        """ "" while the execution runs, how it ended after that, None if there is none of the
        name. Raises StopRunError."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as above

        arn = f"{self.arn.replace(':stateMachine:', ':execution:')}:{name}"
        try:
            status = call_within(
                self._deadline,
                lambda: self._open().describe_execution(executionArn=arn)["status"],
                f"The request to describe the execution {name}",
            )
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ExecutionDoesNotExist":
                return None
            raise self._explained("describe", name, error, code) from error
        except BotoCoreError as error:
            raise self._explained("describe", name, error) from error
        return "" if status in ("RUNNING", "PENDING_REDRIVE") else status

    def _explained(self, verb: str, name: str, cause: Exception, code: str = "") -> StopRunError:
        """`code` is of an answer; without one there was none."""
        kind = errors.STEP_FUNCTIONS_ERROR if code else errors.STEP_FUNCTIONS_UNREACHABLE
        if code == "AccessDeniedException":
            kind = errors.STEP_FUNCTIONS_DENIED
        return kind(verb=verb, name=name, state_machine=self.arn, cause=cause)


def other_machine(checkpoint: Checkpoint, machine: StateMachine | None) -> str:
    """The state machine of another exporter that wrote the checkpoint last; "" for none.

    Two that share S3_PREFIX and CLUSTER_NAME lose nothing, but take each other's work, and know
    nothing of each other's executions.
    """
    if machine is None or checkpoint.machine in ("", machine.arn):
        return ""
    return checkpoint.machine
