"""What a stranger does who has the pages alone: pastes each command, with names of their own."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra import ROOT
from localcloud.cdk import NODE, QUIET

PROGRAMS = ("make", "npx", "aws", "python", "python3", "pip", "export", "git", "kubectl", ".")
_SETS_AND_RUNS = re.compile(r"(?:\w+=\S+ )*(\S+)")


@dataclass(frozen=True)
class Step:
    """A command or an event, as a page has it; `line` is of the page."""

    page: str
    line: int
    text: str

    @property
    def is_event(self) -> bool:
        return self.text.startswith("{")

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


def steps_of(page: str) -> list[Step]:
    """Every command and every event of a page, in its order: those of indented lines, and of
    `code` within a sentence where it is an event or a command of AWS."""
    text = (ROOT / page).read_text("utf-8")
    found: dict[int, str] = {}
    for match in re.finditer(r"^ {4,}(\S(?:[^\\\n]|\\.|\\\n)*)$", text, re.MULTILINE):
        command = re.sub(r"\\\n\s*", "", match[1]).strip()
        if is_command(command):
            found[match.start(1)] = command
    inline = re.sub(r"^ {4,}.*$", lambda match: " " * len(match[0]), text, flags=re.MULTILINE)
    for match in re.finditer(r"`(aws [a-z0-9]+ [^`]+|\{\"action\"[^`]+\})`", inline):
        found.setdefault(match.start(1), re.sub(r"\s+", " ", match[1]))
    return [
        Step(page, text.count("\n", 0, at) + 1, found[at].partition("    #")[0].strip())
        for at in sorted(found)
    ]


def is_command(text: str) -> bool:
    """Whether a line is one to paste, and not what a program prints."""
    if text.startswith('{"action"'):
        return True
    first = _SETS_AND_RUNS.match(text)
    return first is not None and (first[1] in PROGRAMS or first[1].endswith("/bin/python"))


class Shell:
    """One terminal: what a command exports or activates holds for the next one."""

    def __init__(self, folder: Path, state: Path, env: Mapping[str, str]) -> None:
        self._folder = folder
        self._state = state
        self._env = env
        state.write_text("", "utf-8")

    def run(self, text: str) -> str:
        """What the command prints. Raises AssertionError where it fails."""
        script = f". {self._state}\n{{ {text}\n}} || exit 1\nexport -p > {self._state}\n"
        done = subprocess.run(  # noqa: S603
            ["/bin/bash", "-c", script],
            cwd=self._folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=500,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout[-3000:]}"
        return done.stdout


def make_checkout(folder: Path, settings: Mapping[str, object], *, installed: bool = True) -> Path:
    """The project as a clone of it is, with settings in its cdk.json; `installed`, as by
    `make install`."""
    checkout = folder / "checkout"
    for path in _tracked():
        target = checkout / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, target)
    for name in (".venv", "node_modules") if installed else ():
        (checkout / name).symlink_to(ROOT / name)
    config = json.loads((checkout / "cdk.json").read_text("utf-8"))
    # No terminal is attached on which the CLI could ask for approval.
    config["requireApproval"] = "never"
    config["context"] |= settings
    (checkout / "cdk.json").write_text(json.dumps(config), "utf-8")
    return checkout


def _tracked() -> Iterator[Path]:
    """The files of the repository that are here, committed or not."""
    git = shutil.which("git")
    assert git is not None
    listed = subprocess.run(  # noqa: S603
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            yield Path(name)


def make_programs(folder: Path) -> Path:
    """A folder for PATH with version 2 of the AWS CLI, as far as the pages use it: version 1, which
    PyPI has, takes a payload as it is and knows no option that says so."""
    folder.mkdir()
    wrapper = folder / "aws"
    wrapper.write_text(
        "#!/bin/bash\n"
        "words=()\n"
        "while [ $# -gt 0 ]; do\n"
        '  if [ "$1" = --cli-binary-format ]; then shift 2; continue; fi\n'
        '  words+=("$1"); shift\n'
        "done\n"
        f'exec {shlex.quote(sys.executable)} -m awscli "${{words[@]}}"\n',
        "utf-8",
    )
    wrapper.chmod(0o755)
    return folder


def environment(env: Mapping[str, str], programs: Path, folder: Path) -> dict[str, str]:
    """Of a terminal of an account: `env` has its keys and endpoint."""
    path = os.pathsep.join([str(programs), str(NODE.parent), os.environ.get("PATH", os.defpath)])
    return {**env, **QUIET, "PATH": path, "CDK_HOME": str(folder / "cdk-home")}
