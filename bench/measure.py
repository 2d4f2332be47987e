"""Timing, so that a noisy machine disturbs all contenders alike."""

import gc
import platform
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """What a piece of work took: seconds of CPU (user and system, all threads) and of clock."""

    cpu_s: float
    wall_s: float


def interleave(
    contenders: Mapping[str, Callable[[], Usage]], rounds: int
) -> dict[str, list[Usage]]:
    """Run every contender once in each round: what slows the machine for a while slows all."""
    runs: dict[str, list[Usage]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            gc.collect()
            runs[name].append(contender())
    return runs


def in_process(work: Callable[[], object]) -> Callable[[], Usage]:
    """A contender that works in this process."""

    def contender() -> Usage:
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        return Usage(time.process_time() - cpu, time.perf_counter() - wall)

    return contender


def cpu_s(runs: list[Usage]) -> float:
    """The median."""
    return statistics.median(one.cpu_s for one in runs)


def wall_s(runs: list[Usage]) -> float:
    """The median."""
    return statistics.median(one.wall_s for one in runs)


def ratio(over: list[Usage], under: list[Usage]) -> float:
    """The median of the rounds' own ratios of CPU: those two ran one right after the other."""
    return statistics.median(a.cpu_s / b.cpu_s for a, b in zip(over, under, strict=True))


def processor() -> str:
    """Its name."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def cpus() -> int:
    """How many there are."""
    return Path("/proc/cpuinfo").read_text("utf-8").count("\nprocessor") + 1


def describe_machine() -> str:
    """Processor, CPUs and Python, for a section that is measured alone."""
    return f"{processor()}, {cpus()} CPUs, Python {platform.python_version()}"


def peak_mb() -> float:
    """This process's highest resident memory so far, in MB of 1,000,000 bytes.

    Not ru_maxrss: that one begins with what the parent had at the fork.
    """
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("/proc/self/status has no VmHWM; only Linux has.")


def cpu_of_children() -> float:
    """Seconds of CPU of all children that have ended and were waited for."""
    # Not os.times, which counts hundredths of a second.
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
