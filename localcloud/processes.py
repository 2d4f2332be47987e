"""Runs servers and commands, and ends them for certain: on success, error, Ctrl-C or SIGKILL."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import urllib3

KEEPER = Path(__file__).with_name("keeper.py")
LOG_TAIL_LINES = 15


class StartError(RuntimeError):
    """A program is missing or failed; the text says which one, and what it last wrote."""


@dataclass(frozen=True)
class Program:
    """What to run, where its output goes, and the URL that answers 200 once it takes requests.

    `scratch` is a folder that is removed after the program, also where no other process is left to.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    ready_url: str | None = None
    ready_headers: Mapping[str, str] = field(default_factory=dict)
    ready_certificate: Path | None = None
    cwd: Path | None = None
    scratch: Path | None = None


class Process:
    """A running program. Its whole process group ends with `stop`, or with this process."""

    def __init__(self, program: Program) -> None:
        self.program = program
        with program.log.open("ab") as log:
            self._keeper = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    str(KEEPER),
                    str(program.scratch or ""),
                    *program.argv,
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(program.env),
                cwd=program.cwd,
                start_new_session=True,  # out of reach of the terminal's Ctrl-C: we stop it
            )

    @property
    def pid(self) -> int:
        """The keeper's process id."""
        return self._keeper.pid

    @property
    def alive(self) -> bool:
        return self._keeper.poll() is None

    def wait(self) -> int:
        """The program's exit status, once it has ended by itself."""
        return self._keeper.wait()

    def wait_until_ready(self, timeout_s: float) -> None:
        """Poll `ready_url`. Raises StartError if the program ends first or the time is up."""
        assert self.program.ready_url is not None  # noqa: S101 - only servers are waited for
        certificate = self.program.ready_certificate
        http = urllib3.PoolManager(
            retries=False,
            timeout=2.0,
            headers=self.program.ready_headers,
            ca_certs=None if certificate is None else str(certificate),
        )
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if not self.alive:
                raise StartError(self.describe_failure("ended before it was ready"))
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                if http.request("GET", self.program.ready_url).status == 200:
                    return
            time.sleep(0.05)
        raise StartError(self.describe_failure(f"was not ready after {timeout_s:.0f} s"))

    def stop(self) -> None:
        """End the program: SIGTERM, and SIGKILL some seconds later. Safe to call twice."""
        if self._keeper.stdin is not None:
            self._keeper.stdin.close()
        self._keeper.wait()

    def describe_failure(self, what: str) -> str:
        return f"{self.program.name} {what}. It last wrote:\n{tail_of(self.program.log)}"


@contextlib.contextmanager
def serve(make: Callable[[int], Program], timeout_s: float = 60.0) -> Iterator[tuple[Process, int]]:
    """Run `make(port)` on a free loopback port until the block ends, however it ends.

    Between finding a free port and the program's binding it another process may take it, so a
    program that says so is tried again on another port. Raises StartError.
    """
    for attempts_left in (2, 1, 0):
        port = free_port()
        process = Process(make(port))
        try:
            try:
                process.wait_until_ready(timeout_s)
            except StartError:
                said = tail_of(process.program.log).lower()
                if attempts_left and ("already in use" in said):
                    continue
                raise
            yield process, port
            return
        finally:
            process.stop()


def run(program: Program) -> None:
    """Run a command to its end. Raises StartError with the end of its output if it fails."""
    process = Process(program)
    try:
        status = process.wait()
    finally:
        process.stop()
    if status != 0:
        raise StartError(process.describe_failure(f"failed with status {status}"))


def free_port() -> int:
    """A loopback TCP port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def tail_of(log: Path, lines: int = LOG_TAIL_LINES) -> str:
    try:
        return "\n".join(log.read_text("utf-8", "replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def leave_on_sigterm() -> None:
    """Turn SIGTERM and SIGHUP into SystemExit, so that `with` blocks and `finally` run."""

    def leave(number: int, _frame: FrameType | None) -> None:
        # A second signal must not interrupt the cleaning up.
        signal.signal(number, signal.SIG_IGN)
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)
