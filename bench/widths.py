"""What connections cost: a whole window over TLS, with the pauses of the default.

S3 closes connections that are idle for a few seconds, so that each metric opens its own.
"""

import time
from dataclasses import dataclass

from bench.answers import Shape
from bench.measure import describe_machine
from bench.way import run_module
from bench.windows import SIZES, make_bucket, make_environment
from localcloud.aws import running_cloud

DELAY_S = 5  # QUERY_DELAY's default
SIZE = SIZES[1]
# The most that there may be, and as many as the pause makes necessary.
AT_ONCE = (64, None)


@dataclass(frozen=True)
class AtOnce:
    """A window with so many uploads at once; `at_once` is None for as many as are necessary."""

    at_once: int | None
    cpu_s: float
    peak_mb: float
    date: str
    machine: str


def measure_widths(server: str) -> list[AtOnce]:
    """One window each, against MiniStack with TLS."""
    widths = []
    with running_cloud(enforce_iam=True) as cloud:
        make_bucket(cloud)
        for at_once in AT_ONCE:
            env = make_environment(Shape("usual", *SIZE), server, cloud)
            env |= {"QUERY_DELAY": str(DELAY_S), "S3_PREFIX": f"at-once-{at_once}"}
            if at_once:
                env["AT_ONCE"] = str(at_once)
            window = run_module(env, "bench.window_client")
            widths.append(
                AtOnce(
                    at_once,
                    window["cpu_s"],
                    window["peak_mb"],
                    date=time.strftime("%Y-%m-%d", time.gmtime()),
                    machine=describe_machine(),
                )
            )
    return widths
