"""A share of one CPU for a process, as a function of little memory has, by a cgroup of Linux."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

ROOT = Path("/sys/fs/cgroup")
PERIOD_US = 100_000


@contextmanager
def running_with(share: float) -> Iterator[list[str]]:
    """What to put before a command for it to have no more than this share of one CPU.

    Raises OSError where this process may not make a cgroup.
    """
    old = ROOT / "cpu"  # version 1 has a tree for each kind of limit
    is_old = (old / "cgroup.procs").exists()
    group = Path(mkdtemp(prefix="bench-", dir=old if is_old else ROOT))
    try:
        quota = round(share * PERIOD_US)
        if is_old:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US), "utf-8")
            (group / "cpu.cfs_quota_us").write_text(str(quota), "utf-8")
        else:
            (group / "cpu.max").write_text(f"{quota} {PERIOD_US}", "utf-8")
        enter = 'echo $$ > "$0" && exec "$@"'
        yield ["/bin/sh", "-c", enter, str(group / "cgroup.procs")]
    finally:
        group.rmdir()
