"""Every AWS command of the pages and of the stack's outputs: held against botocore's model of the
API, or run by the AWS CLI where it is none of an API."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from awscli.customizations.argrename import ARGUMENT_RENAMES
from botocore import xform_name
from botocore.model import OperationModel, StructureShape

from infra import ROOT
from localcloud.aws import REGION, Cloud
from tests.infra.conftest import Synthesize
from tests.infra.resolved import resolve
from tests.infra.variants import VARIANTS

PAGES = sorted(
    path
    for path in [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
    ]
    if "node_modules" not in path.parts
)
# What the CLI itself takes, whatever the operation.
OF_THE_CLI = {"--region", "--cli-read-timeout", "--cli-binary-format", "--query", "--output"}
# Operations whose answer's body goes to a file that is named behind them.
TO_A_FILE = {("lambda", "invoke")}
# Commands of version 2 alone that are none of an API, and their options:
# https://docs.aws.amazon.com/cli/latest/reference/logs/tail.html
TAIL = {"--follow", "--since", "--format", "--filter-pattern", "--region"}
# The commands that a page mentions without giving one to paste.
MENTIONED = {"aws scheduler update-schedule"}


@dataclass(frozen=True)
class Command:
    """A command, and where it was found."""

    where: str
    words: tuple[str, ...]

    @property
    def service(self) -> str:
        return self.words[1]

    @property
    def operation(self) -> str:
        return self.words[2]

    def __str__(self) -> str:
        return f"{self.where}: {shlex.join(self.words)}"


def commands_in(text: str, where: str) -> Iterator[Command]:
    """Those of indented lines, of fences and of `code`; `<arn>` counts as a word."""
    joined = re.sub(r"\\\n\s*", " ", text)
    found = re.findall(r"^[ >]*(?:\$ )?(aws [a-z].*)$", joined, re.MULTILINE)
    found += re.findall(r"`(aws [^`]+)`", re.sub(r"\n\s*", " ", joined))
    found += re.findall(r": (aws sns .*)$", joined)
    for line in dict.fromkeys(found):
        if line in MENTIONED:
            continue
        command = re.sub(r"<(\w+)>", r"any-\1", line).partition(" | ")[0]
        yield Command(where, tuple(shlex.split(command)))


def documented() -> list[Command]:
    return [
        command
        for path in PAGES
        for command in commands_in(path.read_text("utf-8"), path.relative_to(ROOT).as_posix())
    ]


def printed(template: dict[str, Any]) -> list[Command]:
    """Those of a template's outputs and of its alarms' texts."""
    resources = template["Resources"]
    found = [
        command
        for name, one in template["Outputs"].items()
        for text in (resolve(one["Value"], resources), one.get("Description", ""))
        for command in commands_in(str(text), f"output {name}")
    ]
    for name, one in resources.items():
        if one["Type"] == "AWS::CloudWatch::Alarm":
            text = resolve(one["Properties"]["AlarmDescription"], resources)
            # They are within a sentence.
            for line in re.findall(r"aws lambda invoke .*? /dev/stdout", text):
                found += commands_in(line, f"alarm {name}")
    return found


def faults(command: Command) -> list[str]:
    """What is wrong with a command of an API."""
    services = botocore.session.get_session()
    try:
        model = services.get_service_model(command.service)
    except botocore.exceptions.UnknownServiceError:
        return [f"no service {command.service}"]
    names = {xform_name(name, "-"): name for name in model.operation_names}
    if command.operation not in names:
        return [f"{command.service} has no operation {command.operation}"]
    return list(_faults_of(command, model.operation_model(names[command.operation])))


def _faults_of(command: Command, model: OperationModel) -> Iterator[str]:
    shape = model.input_shape
    assert isinstance(shape, StructureShape)

    def option_of(member: str) -> str:
        name = xform_name(member, "-")
        place = f"{command.service}.{command.operation}.{name}"
        return f"--{ARGUMENT_RENAMES.get(place, name)}"

    members = {option_of(name): member for name, member in shape.members.items()}
    flags = {option for option, member in members.items() if member.type_name == "boolean"}
    given, positional = _parse(command.words[3:], flags)
    for option, value in given.items():
        if option not in members and option not in OF_THE_CLI:
            yield f"no option {option}"
        if value == "" or value.startswith("--"):
            yield f"{option} has no value"
    for required in shape.required_members:
        if option_of(required) not in given:
            yield f"{required} is missing"
    if len(positional) != ((command.service, command.operation) in TO_A_FILE):
        yield f"not an option: {positional}"
    yield from _faults_of_values(given)


def _parse(words: Sequence[str], flags: set[str]) -> tuple[dict[str, str], list[str]]:
    """The options with their values, and what is none."""
    left, given, positional = list(words), dict[str, str](), []
    while left:
        word = left.pop(0)
        if word.startswith("--"):
            given[word] = "true" if word in flags else left.pop(0) if left else ""
        else:
            positional.append(word)
    return given, positional


def _faults_of_values(given: Mapping[str, str]) -> Iterator[str]:
    for option in ("--payload", "--secret-string"):
        if option in given:
            json.loads(given[option])
    if "--payload" in given:
        # By itself the CLI takes base64, times out after a minute, and sends the event again.
        if given.get("--cli-binary-format") != "raw-in-base64-out":
            yield "the payload is no base64"
        if int(given.get("--cli-read-timeout", "60")) <= 900:
            yield "the CLI would not wait for the answer"


def is_of_an_api(command: Command) -> bool:
    """The others are run: those of S3 here, those of a release in tests/e2e."""
    others = (("logs", "tail"), ("cloudformation", "deploy"))
    return command.service != "s3" and command.words[1:3] not in others


DOCUMENTED = documented()


@pytest.mark.parametrize("command", [one for one in DOCUMENTED if is_of_an_api(one)], ids=str)
def test_a_documented_command_is_one_of_the_api(command: Command) -> None:
    assert faults(command) == []


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_every_printed_command_is_one(variant: str, synthesize: Synthesize) -> None:
    commands = printed(dict(synthesize(**VARIANTS[variant]).to_json()))
    assert {"logs", "lambda", "sns"} <= {command.service for command in commands}
    found = {str(command): faults(command) for command in commands if is_of_an_api(command)}
    assert {name: said for name, said in found.items() if said} == {}
    for command in commands:
        if not is_of_an_api(command):
            options = [word for word in command.words[3:] if word.startswith("--")]
            assert set(options) <= TAIL, command
            assert len(command.words) - 3 - len(options) == 1 + options.count("--region"), command


@dataclass(frozen=True)
class Cli:
    """The AWS CLI, on a local cloud."""

    cloud: Cloud
    folder: Path

    def run(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603
            [sys.executable, "-m", "awscli", *words],
            capture_output=True,
            text=True,
            check=False,
            env=self.cloud.env,
            cwd=self.folder,
            timeout=120,
        )


@pytest.fixture(scope="module")
def cli(make_cloud: Callable[..., Cloud], tmp_path_factory: pytest.TempPathFactory) -> Cli:
    return Cli(make_cloud(), tmp_path_factory.mktemp("cli"))


OF_A_RELEASE = [one for one in DOCUMENTED if one.words[1:3] == ("s3", "cp")]
OF_S3 = [one for one in DOCUMENTED if one.service == "s3" and one not in OF_A_RELEASE]


@pytest.mark.parametrize("command", OF_S3, ids=str)
def test_the_cli_does_what_a_page_says(command: Command, cli: Cli) -> None:
    """On a bucket with what the page speaks of in it, and something else that has to stay."""
    s3 = cli.cloud.s3
    (url, *_) = (word for word in command.words if word.startswith("s3://"))
    bucket, _, key = url.removeprefix("s3://").partition("/")
    includes = [
        command.words[at + 1] for at, word in enumerate(command.words) if word == "--include"
    ]
    bucket = bucket.lower()
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    meant = key if key and not key.endswith("/") else f"{key}a/b.json.gz"
    if includes:
        (pattern,) = includes
        meant = f"{key.rstrip('/')}/" + pattern.replace("*", "c", 1).replace("*", "f.gz")
    other = "elsewhere/kept.gz"
    if command.operation != "rb":
        for name in (meant, other):
            s3.put_object(Bucket=bucket, Key=name, Body=b"x")
    named = url.split("/")[2]  # a name in <> has capitals
    ended = cli.run([word.replace(f"//{named}", f"//{bucket}") for word in command.words[1:]])
    assert ended.returncode == 0, ended.stderr
    if command.operation == "rb":
        assert bucket not in {one["Name"] for one in s3.list_buckets()["Buckets"]}
        return
    left = {one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert other in left
    assert (meant in left) == (command.operation in ("ls", "sync"))
    assert meant.rpartition("/")[2] in ended.stdout
    for name in left:
        s3.delete_object(Bucket=bucket, Key=name)
    s3.delete_bucket(Bucket=bucket)


def test_what_is_looked_at_is_there() -> None:
    assert len(DOCUMENTED) >= 12
    assert {"s3", "lambda", "secretsmanager"} <= {command.service for command in DOCUMENTED}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("aws scheduler update-schedule --name x", "ScheduleExpression is missing"),
        ("aws secretsmanager restore-secrets --secret-id x", "no operation restore-secrets"),
        ("aws sns subscribe --topic x --protocol email", "no option --topic"),
        ("aws eventing put-rule", "no service eventing"),
        ("aws lambda invoke --function-name x --payload {} out", "would not wait"),
    ],
)
def test_a_wrong_command_would_be_found(text: str, fault: str) -> None:
    (command,) = commands_in(text, "here")
    assert fault in "; ".join(faults(command))
