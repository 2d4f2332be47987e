"""One whole window through the handler, in a process of its own: `python -m bench.window_client`.

With the function's environment. Its last line is JSON: seconds of CPU and clock of the whole
process and of its start, its highest memory, and what the run reports. With PARTS=1 also
the CPU of each part, which takes some CPU itself: the rest is measured without it. With AT_ONCE=n
n uploads wait for the network at once.
"""

import functools
import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from bench.answers import SAMPLES, START_S, STEP_S
from bench.measure import peak_mb

# The window is just old enough.
NOW_S = START_S + SAMPLES * STEP_S + 900


class Parts:
    """CPU seconds of named functions, each without what it calls of the others."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()
        self._thread = threading.local()

    def wrap(self, owner: Any, name: str, part: str) -> None:
        """Count the function `name` of a class or module as `part` from now on."""
        inner = getattr(owner, name)

        @functools.wraps(inner)
        def counted(*args: Any, **kwargs: Any) -> Any:
            return self.count(part, lambda: inner(*args, **kwargs))

        setattr(owner, name, counted)

    def wrap_iterator(self, owner: Any, name: str, part: str) -> None:
        """The same for a generator: each step counts."""
        inner = getattr(owner, name)

        @functools.wraps(inner)
        def counted(*args: Any, **kwargs: Any) -> Any:
            steps = inner(*args, **kwargs)
            while True:
                try:
                    step = self.count(part, lambda: next(steps))
                except StopIteration:
                    return
                yield step

        setattr(owner, name, counted)

    def count(self, part: str, action: Callable[[], Any]) -> Any:
        stack: list[float] = self._thread.__dict__.setdefault("stack", [])
        stack.append(0.0)
        began = time.thread_time()
        try:
            return action()
        finally:
            spent = time.thread_time() - began
            with self._lock:
                self.seconds[part] = self.seconds.get(part, 0.0) + spent - stack.pop()
            if stack:
                stack[-1] += spent


def watch_parts() -> Parts:
    """Have the exporter's parts counted."""
    from mimir_exporter.answer import split, spool  # noqa: PLC0415
    from mimir_exporter.checkpoint.store import CheckpointStore  # noqa: PLC0415
    from mimir_exporter.source.transport import Transport  # noqa: PLC0415
    from mimir_exporter.storage.fast_bucket import FastBucket  # noqa: PLC0415

    parts = Parts()
    parts.wrap_iterator(Transport, "blocks", "query")
    parts.wrap(split.Splitter, "feed", "split")
    parts.wrap(split.Splitter, "finish", "split")
    parts.wrap(spool.Spool, "add", "compress")
    parts.wrap_iterator(spool.Spool, "files", "compress")
    for name in ("put", "head", "get", "list", "delete"):
        parts.wrap(FastBucket, name, "put")
    parts.wrap(CheckpointStore, "update", "checkpoint")
    parts.wrap(CheckpointStore, "read", "checkpoint")
    return parts


def watch(owner: Any, name: str) -> list[float]:
    """Clock seconds of each call of a class's function, as they come."""
    seconds: list[float] = []
    inner = getattr(owner, name)

    @functools.wraps(inner)
    def timed(*args: Any, **kwargs: Any) -> Any:
        began = time.monotonic()
        try:
            return inner(*args, **kwargs)
        finally:
            seconds.append(time.monotonic() - began)

    setattr(owner, name, timed)
    return seconds


class Context:
    """What the handler uses of Lambda's context."""

    function_name = "bench"
    memory_limit_in_mb = 256
    invoked_function_arn = "arn:aws:lambda:eu-central-1:000000000000:function:bench"
    aws_request_id = "bench"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 900_000


def main() -> None:
    from mimir_exporter import handler  # noqa: PLC0415
    from mimir_exporter.catalog.metrics import load_catalog  # noqa: PLC0415
    from mimir_exporter.compose import Dependencies  # noqa: PLC0415
    from mimir_exporter.source.api import Mimir  # noqa: PLC0415
    from mimir_exporter.storage.parallel import Width  # noqa: PLC0415
    from mimir_exporter.storage.write import Writer  # noqa: PLC0415

    if "AT_ONCE" in os.environ:
        setattr(Width, "of", lambda *_: int(os.environ["AT_ONCE"]))  # noqa: B010 - to be measured
    parts = watch_parts() if os.environ.get("PARTS") else None
    writes, pauses = watch(Writer, "write"), watch(Mimir, "wait_for_turn")
    start_s, before_mb = time.process_time(), peak_mb()
    began = time.monotonic()
    result = handler.export(
        {},
        Context(),  # type: ignore[arg-type]  # all that is used of it
        dependencies=Dependencies(clock=lambda: NOW_S + time.monotonic() - began),
    )
    whole = {
        "cpu_s": time.process_time(),
        "start_s": start_s,
        "wall_s": time.monotonic() - began,
        "longest_write_s": max(writes),
        "waited_s": sum(pauses),
        "before_mb": before_mb,
        "peak_mb": peak_mb(),
        "metrics": len(load_catalog({})),
        **{name: result[name] for name in ("objects", "series", "raw_bytes", "bytes")},
    }
    assert result["outcome"] == "complete", result
    if parts:
        whole["parts"] = parts.seconds
    print(json.dumps(whole))


if __name__ == "__main__":
    main()
