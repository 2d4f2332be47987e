"""The table of actions: the same events by the function and by the command line."""

import json
from pathlib import Path

import pytest

from mimir_exporter.__main__ import _event, _parser
from mimir_exporter.actions import ACTIONS, RUN, read_event
from mimir_exporter.errors import SettingsError
from mimir_exporter.events import (
    ExportEvent,
    ReexportEvent,
    StatusEvent,
    parse_event,
    read_item,
)
from tests.clocks import unix

PROJECT = Path(__file__).parents[2]
EVENTS = sorted((PROJECT / "events").glob("*.json"))
EVENTS_PAGE = (PROJECT / "docs" / "events.md").read_text("utf-8")
RANGE = {"start": "2026-10-31", "end": "2026-10-31T06:00:00Z"}
START, END = unix("2026-10-31"), unix("2026-10-31T06:00")


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_each_ready_made_event_is_one_of_the_table(path: Path) -> None:
    event = json.loads(path.read_text("utf-8"))
    action, _ = read_event(event)
    assert action.name == event.get("action", "run")


def test_the_page_of_events_has_every_action() -> None:
    for name in ACTIONS.keys() - {"run"}:
        assert f'`{{"action": "{name}"' in EVENTS_PAGE, name


@pytest.mark.parametrize("event", [{}, {"action": "run"}, {"detail-type": "Scheduled Event"}])
def test_an_event_without_an_action_is_a_regular_run(event: dict[str, str]) -> None:
    assert read_event(event)[0] is RUN


def test_an_event_becomes_its_type() -> None:
    metrics = ["cpu_usage", "node_info"]
    assert parse_event(ExportEvent, {**RANGE, "metrics": None}) == ExportEvent(START, END, None)
    assert parse_event(ReexportEvent, {**RANGE, "metrics": metrics, "force": True}) == (
        ReexportEvent(START, END, ("cpu_usage", "node_info"), force=True)
    )
    assert parse_event(StatusEvent, {}) == StatusEvent(None, None, None, files=False)
    assert parse_event(StatusEvent, {"month": "2026-10", "files": True}) == StatusEvent(
        (unix("2026-10-01"), unix("2026-11-01")), None, None, files=True
    )
    item = read_item({"start": START, "end": str(END), "execution": "backfill-1", "more": 1})
    assert (item.start, item.end, item.execution) == (START, END, "backfill-1")


@pytest.mark.parametrize("key", ["force", "again"])
@pytest.mark.parametrize("value", [True, False])
def test_export_refuses_what_reexport_is_for(key: str, value: bool) -> None:
    with pytest.raises(SettingsError) as caught:
        read_event({"action": "export", **RANGE, key: value})
    assert caught.value.details.code == "use_other_action"
    assert "use reexport" in caught.value.details.remedy


@pytest.mark.parametrize(
    ("event", "code", "names"),
    [
        ({"action": "exprot"}, "unknown_action", "reexport"),
        ({"action": None}, "unknown_action", "status"),
        (7, "unknown_action", "check"),
        ([], "unknown_action", "check"),
        ({"key1": "value1"}, "unknown_event_key", "export"),
        ({"action": "status", "mont": "2026-10"}, "unknown_event_key", "month"),
        ({"action": "check", "files": True}, "unknown_event_key", "no other keys"),
    ],
)
def test_an_event_of_no_row_is_an_error_that_names_the_rows(
    event: object, code: str, names: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read_event(event)
    assert caught.value.details.code == code
    assert names in caught.value.details.remedy


@pytest.mark.parametrize("missing", ["start", "end"])
@pytest.mark.parametrize("action", ["export", "reexport"])
def test_a_range_has_two_ends(action: str, missing: str) -> None:
    event = {"action": action, **RANGE}
    del event[missing]
    with pytest.raises(SettingsError, match=f"Invalid {missing} None"):
        read_event(event)


COMMANDS = {
    "run": {},
    "check": {},
    "status --month 2026-10 --files": {"month": "2026-10", "files": True},
    "status --from 2026-10-31 --to 1793512800": {"start": START, "end": 1793512800},
    "retention --dry-run": {"dry_run": True},
    "repair --from 2026-10-31 --to 2026-10-31T06:00:00Z --dry-run": {
        "start": START,
        "end": END,
        "dry_run": True,
    },
    "export --from 2026-10-31 --to 2026-10-31T06:00:00Z": {"start": START, "end": END},
    "reexport --from 2026-10-31 --to 2026-10-31T06:00:00Z --force --metrics a,b": {
        "start": START,
        "end": END,
        "force": True,
        "metrics": ["a", "b"],
    },
    "export --from 2026-10-31 --to 2026-10-31T06:00:00Z --again": {
        "start": START,
        "end": END,
        "again": True,
    },
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_the_event_of_the_same_name(command: str) -> None:
    options = _parser().parse_args(command.split())
    assert _event(ACTIONS[options.action], options) == COMMANDS[command]


@pytest.mark.parametrize("name", ACTIONS)
def test_a_command_has_an_option_for_each_key(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        _parser().parse_args([name, "--help"])
    shown = capsys.readouterr().out
    for key, how in ACTIONS[name].keys.items():
        assert f"--{how.option or key.replace('_', '-')}" in shown
    assert ("--for TIME" in shown) == ACTIONS[name].resumable
    assert not any(f"--{key}" in shown for key in ACTIONS[name].refused)
