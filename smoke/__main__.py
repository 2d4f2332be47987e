"""`python -m smoke -c name=value …`: the smoke test, with the settings of `cdk deploy`."""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.exporter import InvocationError
from localcloud.processes import StartError
from smoke.account import RealAccount
from smoke.life import LIMIT_S, LIMIT_USD, Life, StepError

FAULTS = (StepError, StartError, InvocationError, TimeoutError, BotoCoreError, ClientError)
Say = Callable[[str], None]


def live(life: Life, say: Say) -> int:
    """Every step, and whatever happens those that remove everything; the exit code."""
    failed = _run(life.steps(), life, say)
    # Each of the ends on its own: what the first could not do, the second names.
    failed += sum(_run([step], life, say, timed=False) for step in life.ends())
    say("failed" if failed else "passed")
    return min(failed, 1)


def _run(
    steps: Sequence[tuple[str, Callable[[], str]]], life: Life, say: Say, *, timed: bool = True
) -> int:
    for name, step in steps:
        if timed and time.monotonic() > life.end:
            say(f"{name}: not begun, as {life.limit_s / 60:.0f} minutes are over")
            return 1
        began = time.monotonic()
        try:
            with _within(life.end - began if timed else None):
                found = step()
        except KeyboardInterrupt:
            say(f"{name}: interrupted")
            return 1
        except Exception as error:  # noqa: BLE001 - whatever it is, what was made has to go
            what = str(error) if isinstance(error, FAULTS) else repr(error)
            say(f"{name}: FAILED after {time.monotonic() - began:.0f} s: {what}")
            return 1
        say(f"{name}: {found} ({time.monotonic() - began:.0f} s)")
    return 0


@contextmanager
def _within(seconds: float | None) -> Iterator[None]:
    """Raises TimeoutError in the block once the time is over; None is without an end."""

    def stop(*_: object) -> None:
        raise TimeoutError("the time of the smoke test is over")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds or 0.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def read_credentials(environment: Mapping[str, str]) -> dict[str, str]:
    """The secret's content: the PROMETHEUS_ variables."""
    return {name: value for name, value in environment.items() if name.startswith("PROMETHEUS_")}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make smoke", description=__doc__)
    parser.add_argument("-c", action="append", default=[], metavar="NAME=VALUE", dest="settings")
    options = parser.parse_args(arguments)
    settings = dict(setting.partition("=")[::2] for setting in options.settings)
    with tempfile.TemporaryDirectory(prefix="smoke-") as folder:
        try:
            life = Life(RealAccount(Path(folder)), settings, read_credentials(os.environ))
            who = life.account.sts.get_caller_identity()
        except FAULTS as error:
            sys.exit(f"Cannot begin: {error}")
        print(  # noqa: T201
            f"Deploys {life.name} to the account {who['Account']}, uses it, and removes it: "
            f"some 15 minutes, {LIMIT_S // 60} at most, and less than {LIMIT_USD} USD.",
            flush=True,
        )
        return live(life, lambda line: print(line, flush=True))  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
