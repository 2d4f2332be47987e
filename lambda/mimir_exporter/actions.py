"""The table of actions: what each event of the function, or command, does.

One row is an action: `handler.py` and `__main__.py` read this table and nothing else. It is not in
`events.py`, because what performs the actions speaks the types of that file.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from .errors.settings import UNKNOWN_ACTION, UNKNOWN_EVENT_KEY, USE_OTHER_ACTION
from .events import (
    AcceptEvent,
    AuditEvent,
    CheckEvent,
    ExportEvent,
    Json,
    Key,
    RebuildEvent,
    ReexportEvent,
    RepairEvent,
    RetentionEvent,
    RunEvent,
    StatusEvent,
    keys_of,
    parse_event,
)
from .runs.accept import accept_gaps
from .runs.audit_range import audit_range
from .runs.context import RunContext
from .runs.expire import run_retention
from .runs.rebuild import rebuild
from .runs.reexport import export_missing, reexport
from .runs.regular import run_regular
from .runs.repair import repair
from .runs.summary import Summary

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

E = TypeVar("E", bound="DataclassInstance")

Result = Summary | Json
Work = Callable[[RunContext], Result]


@dataclass(frozen=True)
class Action:
    """A row. `help` is the command's; `keys` are those that the event may have.

    `interactive`: an operator waits for the answer. `resumable`: it may be given less time, and the
    next run continues.
    """

    name: str
    help: str
    keys: Mapping[str, Key[object]]
    refused: Mapping[str, str]
    prepare: Callable[[Json], Work]
    interactive: bool
    resumable: bool

    def read(self, event: Json) -> Work:
        """The event's work. Raises SettingsError for a key or a value that is not allowed."""
        for key in event:
            # A misspelled key must not be ignored: the action would do something else.
            if key in self.refused:
                raise USE_OTHER_ACTION(action=self.name, key=key, other=self.refused[key])
            if key != "action" and key not in self.keys:
                raise UNKNOWN_EVENT_KEY(key=key, allowed=self._allowed)
        return self.prepare(event)

    @property
    def _allowed(self) -> str:
        if not self.keys:
            return f"the action {self.name!r} takes no other keys"
        return f"with the action {self.name!r} it may have {', '.join(self.keys)}"


def _action(
    name: str,
    event_type: type[E],
    perform: Callable[[RunContext, E], Result],
    help: str,  # noqa: A002 - as argparse calls it
    *,
    interactive: bool = False,
    resumable: bool = False,
) -> Action:
    def prepare(event: Json) -> Work:
        parsed = parse_event(event_type, event)
        return lambda context: perform(context, parsed)

    refused: Mapping[str, str] = getattr(event_type, "REFUSED", {})
    return Action(name, help, keys_of(event_type), refused, prepare, interactive, resumable)


# What only these two need is imported by them: a regular run's start would take longer for it.


def _check(context: RunContext, _: CheckEvent) -> Result:
    from .check import run_check  # noqa: PLC0415 - see above

    return run_check(context)


def _status(context: RunContext, event: StatusEvent) -> Result:
    from .coverage.status import report_status  # noqa: PLC0415 - see above

    return report_status(context, event)


RUN = _action(
    "run",
    RunEvent,
    lambda context, _: run_regular(context),
    "a regular run: all that is due",
    resumable=True,
)
_ROWS = (
    _action(
        "export", ExportEvent, export_missing, "export what a range still lacks", resumable=True
    ),
    _action("reexport", ReexportEvent, reexport, "export all of a range again", resumable=True),
    _action(
        "repair",
        RepairEvent,
        repair,
        "export again what is missing or has changed in the bucket",
        resumable=True,
    ),
    _action(
        "audit",
        AuditEvent,
        audit_range,
        "count a range again at the source, and export what it has more of",
        resumable=True,
    ),
    _action("accept", AcceptEvent, accept_gaps, "accept the gaps of a range as missing"),
    _action(
        "rebuild",
        RebuildEvent,
        rebuild,
        "rebuild a lost checkpoint from the manifests",
        resumable=True,
    ),
    _action("retention", RetentionEvent, run_retention, "delete expired files now"),
    RUN,
    _action(
        "check",
        CheckEvent,
        _check,
        "say whether everything works",
        interactive=True,
    ),
    _action("status", StatusEvent, _status, "what is exported and missing"),
)
ACTIONS: Mapping[str, Action] = {action.name: action for action in _ROWS}


def read_event(event: object) -> tuple[Action, Work]:
    """What an event of the function is for: {} and a schedule's event are the regular run.

    Raises SettingsError for an event that is none of the table.
    """
    if not isinstance(event, Mapping):
        raise UNKNOWN_ACTION(action=event, known=_known())
    if "action" not in event:
        if "detail-type" in event:  # as a rule of EventBridge sends it
            return RUN, RUN.read({})
        for key in event:
            raise UNKNOWN_EVENT_KEY(
                key=key, allowed=f"add an action: {{}} is a regular run, known are {_known()}"
            )
    name = event.get("action", RUN.name)
    if not isinstance(name, str) or name not in ACTIONS:
        raise UNKNOWN_ACTION(action=name, known=_known())
    return ACTIONS[name], ACTIONS[name].read(event)


def _known() -> str:
    return ", ".join(name for name in ACTIONS if name != RUN.name)
