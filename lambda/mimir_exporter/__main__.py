"""The exporter without Lambda: `python -m mimir_exporter export --from 2026-10-31`.

The actions are those of the function's events, the settings its variables. docs/local.md.
"""

import argparse
import json
import os
import signal
import socket
import sys
import time
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import boto3
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError

from .actions import ACTIONS, Action, Result
from .compose import DEPENDENCIES, Dependencies, create_context
from .console import Console, readable
from .errors import ExportError, SettingsError
from .errors import settings as errors
from .events import Json, parse_moment, parse_names
from .runs.context import CommandOptions
from .runs.summary import Summary
from .settings.load import load_settings
from .settings.parsers import duration_s
from .timeline.deadline import Deadline
from .words import counted

logger = Logger()

COMPLETE, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130
FINE = ("accepted", "complete", "dry_run", "ready")


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; the process's exit status.

    0: complete, 1: something is not, as the result says, 2: wrong usage or settings.
    """
    options = _parser().parse_args(argv)
    console = Console(
        sys.stderr, as_json=options.json or not sys.stderr.isatty(), verbose=options.verbose
    )
    try:
        result = _act(options, os.environ, console)
    except SettingsError as error:
        return _end(str(error), WRONG)
    except ExportError as error:
        return _end(str(error), FAILED)
    finally:
        console.end()
    if isinstance(result, str):
        return _end(result, INTERRUPTED)
    as_json = options.json or not sys.stdout.isatty()
    sys.stdout.write(f"{json.dumps(result, indent=2) if as_json else readable(result)}\n")
    fine = result["outcome"] in FINE and not result.get("failures")
    return COMPLETE if fine else FAILED


def _act(
    options: argparse.Namespace, environ: MutableMapping[str, str], console: Console
) -> Json | str:
    """The action's result; a sentence if Ctrl-C ended it."""
    action = ACTIONS[options.action]
    work = action.read(_event(action, options))
    deadline = Deadline.open_ended()
    if options.seconds:
        deadline = Deadline(duration_s("--for", options.seconds, "seconds"))
    _fill_in(environ, options.folder)
    settings = load_settings(environ)
    run_id = f"{socket.gethostname()}-{os.getpid()}-{time.time_ns()}"
    logger.append_keys(run=run_id)
    with create_context(
        settings,
        deadline,
        run_id=run_id,
        interactive=action.interactive,
        command=CommandOptions(change_layout=options.change_layout),
        dependencies=_dependencies(options),
    ) as context:
        try:
            return _as_json(work(context))
        except KeyboardInterrupt:
            console.end()
            totals = context.exporter.totals
            return (
                f"Interrupted: {counted(totals.metrics, 'metric-window')} exported and "
                f"recorded, in {counted(totals.objects, 'file')}; run the same command again to "
                "continue."
            )


def _as_json(result: Result) -> Json:
    return result.as_dict() if isinstance(result, Summary) else result


def _event(action: Action, options: argparse.Namespace) -> Json:
    """The event that asks the function for the same."""
    event: dict[str, object] = {
        name: value
        for name in (*action.keys, *action.refused)
        if (value := getattr(options, name)) not in (None, False)
    }
    for name, key in action.keys.items():
        if key.parse is parse_moment and name in event:
            # Under the name that the command line has for it.
            event[name] = parse_moment(f"--{key.option or name}", event[name])
    if "end" in action.keys and action.keys["end"].required:
        event.setdefault("end", int(time.time()))
    return event


def _fill_in(environ: MutableMapping[str, str], folder: Path | None) -> None:
    """What the stack sets for the function, and what a folder makes needless."""
    if folder is None and not environ.get("S3_BUCKET"):
        raise errors.NO_BUCKET_OR_FOLDER()
    environ.setdefault("S3_PREFIX", "k8s/prometheus")
    # botocore reads the second alone, and Lambda sets both.
    if environ.get("AWS_REGION"):
        environ.setdefault("AWS_DEFAULT_REGION", environ["AWS_REGION"])
    if folder is not None:
        environ["S3_BUCKET"] = "local-folder"
        for name in ("ROLE_ARN", "ROLE_EXTERNAL_ID"):
            environ.pop(name, None)
        # A folder is a person's own: nothing in it goes unless it is asked for.
        environ.setdefault("RETENTION_DAYS", "0")


def _dependencies(options: argparse.Namespace) -> Dependencies:
    """A folder or the bucket; no state machine: what the time does not suffice for waits here."""
    local = replace(DEPENDENCIES, open_machine=lambda *_: None)
    if options.folder is not None:
        # Imported here: it needs a system with file locks.
        from .storage.folder import LocalFolder  # noqa: PLC0415

        folder = LocalFolder(options.folder)
        return replace(local, open_bucket=lambda *_: folder)
    _require_credentials()
    return local


def _require_credentials() -> None:
    """Raises SettingsError where the AWS credentials or the region are missing."""
    try:
        session = boto3.Session()
        credentials = session.get_credentials()
        if credentials is not None:
            credentials.get_frozen_credentials()  # as far as a session that has run out
    except BotoCoreError as error:
        raise errors.AWS_CREDENTIALS_INVALID(cause=error) from error
    if credentials is None:
        raise errors.AWS_CREDENTIALS_MISSING()
    if not session.region_name and not os.environ.get("AWS_ENDPOINT_URL"):
        raise errors.AWS_REGION_MISSING()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence, as everywhere."""
        self.exit(WRONG, f"{message[:1].upper()}{message[1:]}; {self.prog} --help says more.\n")


def _parser() -> argparse.ArgumentParser:
    common = _Parser(add_help=False)
    common.add_argument(
        "--folder", type=Path, metavar="PATH", help="a folder in the place of S3_BUCKET"
    )
    common.add_argument(
        "--json",
        action="store_true",
        help="log lines and the result as JSON, as where they are no terminal's",
    )
    common.add_argument("--verbose", action="store_true", help="a log line for each metric too")
    common.set_defaults(seconds=None, change_layout=False)
    limited = _Parser(add_help=False)
    limited.add_argument(
        "--for",
        dest="seconds",
        metavar="TIME",
        help="stop after that long, such as 10m; the next run continues",
    )
    limited.add_argument(
        "--change-layout",
        action="store_true",
        help="begin with another TIME_FRAME, QUERY_STEP, label or split than the checkpoint has",
    )
    parser = _Parser(
        prog="python -m mimir_exporter",
        description="Exports cost metrics from a Prometheus HTTP API to S3 or to a folder. "
        "Settings are the variables of docs/settings.md.",
    )
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action in ACTIONS.values():
        parents = [common, limited] if action.resumable else [common]
        _add_keys(commands.add_parser(action.name, parents=parents, help=action.help), action)
    return parser


def _add_keys(parser: argparse.ArgumentParser, action: Action) -> None:
    """An option for each key of the event. Those that the action refuses are read and not shown:
    the error says which action takes them."""
    for name, key in action.keys.items():
        option = f"--{key.option or name.replace('_', '-')}"
        if not key.metavar:
            parser.add_argument(option, dest=name, action="store_true", help=key.help)
            continue
        # The range's end is now where it is not given.
        required = key.required and name != "end"
        parser.add_argument(
            option,
            dest=name,
            metavar=key.metavar,
            required=required,
            help=f"{key.help}; default: now" if name == "end" and key.required else key.help,
            type=_names if key.parse is parse_names else str,
        )
    for name in action.refused:
        parser.add_argument(f"--{name}", action="store_true", help=argparse.SUPPRESS)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _end(sentence: str, status: int) -> int:
    sys.stderr.write(f"{sentence}\n")
    return status


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    with suppress(BrokenPipeError):
        sys.exit(main(sys.argv[1:]))
