"""What a person sees of a run on this machine: log lines, a bar, and the result."""

import json
import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from aws_lambda_powertools import Logger

from . import log

BAR_CELLS = 16
# What every log line has, and a terminal need not show.
USUAL = {
    "level", "location", "message", "timestamp", "service", "run", "exception", "exception_name",
}  # fmt: skip


class Console(logging.Handler):
    """Takes the package's log lines: as JSON, or as text for a terminal with a bar below it.

    The bar is drawn from the log lines themselves. While there is one, the line of each metric is
    only a step of it, unless `verbose`.
    """

    def __init__(self, stream: TextIO, *, as_json: bool, verbose: bool = False) -> None:
        super().__init__()
        self._stream = stream
        self._as_json = as_json
        self._verbose = verbose
        self._bar: Bar | None = None
        logger = Logger()
        logger.append_keys(service="mimir-exporter")
        self.setFormatter(logger.registered_formatter)
        # Powertools writes to standard output, which is the result's here.
        logging.getLogger(logger.name).handlers[:] = [self]

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        text = self.format(record)
        if self._as_json:
            self._write(f"{text}\n")
            return
        line = json.loads(text)
        if line["message"] == log.RUN_PLANNED.text and line["metric_windows"]:
            self._bar = Bar(line["windows"], line["metric_windows"])
        elif self._bar is None or not self._bar.advance(line) or self._verbose:
            self._write(f"\r\x1b[K{_line(line)}\n")
        if self._bar is not None:
            width = shutil.get_terminal_size().columns - 1
            self._write(f"\r\x1b[K{str(self._bar)[:width]}")

    def end(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._write("\r\x1b[K")
            self._bar = None

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class Bar:
    """How far a run is: `windows 12/72 ####........ cpu_usage, 1,204,332 samples, 2 min left`."""

    def __init__(self, windows: int, metrics: int) -> None:
        self._windows = windows
        self._metrics = metrics
        self._seen: set[str] = set()
        self._done = 0
        self._samples = 0
        self._last = "waiting for the first answer"
        self._began = time.monotonic()

    def advance(self, line: Mapping[str, Any]) -> bool:
        """Take in a log line; whether it was nothing but a step."""
        if line["message"] not in (log.METRIC_EXPORTED.text, log.METRIC_FAILED.text):
            return False
        self._seen.add(line["window"])
        self._done += 1
        self._samples += line.get("samples", 0)
        self._last = f"{line['metric']}, {self._samples:,} samples"
        return bool(line["message"] == log.METRIC_EXPORTED.text)

    def __str__(self) -> str:
        cells = min(BAR_CELLS, BAR_CELLS * self._done // self._metrics)
        bar = f"{'#' * cells}{'.' * (BAR_CELLS - cells)}"
        left = ""
        if self._done:
            left_s = (time.monotonic() - self._began) / self._done * (self._metrics - self._done)
            left_s = max(0.0, left_s)
            left = f", {left_s / 60:.0f} min left" if left_s >= 60 else f", {left_s:.0f} s left"
        return f"windows {len(self._seen)}/{self._windows} {bar} {self._last}{left}"


def _line(line: Mapping[str, Any]) -> str:
    fields = " ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in line.items()
        if name not in USUAL
    )
    level = "" if line["level"] == "INFO" else f"{line['level']} "
    exception = f"\n{line['exception']}" if "exception" in line else ""
    return f"{line['timestamp'][11:19]} {level}{line['message']} {fields}".rstrip() + exception


def readable(result: Mapping[str, Any]) -> str:
    """A result for a terminal: its sentence, and below it all that is not empty."""
    if "report" in result:  # made for reading already
        return "\n".join([str(result["message"]), "", *result["report"]])
    rest = {name: value for name, value in result.items() if name not in ("outcome", "message")}
    return "\n".join([str(result["message"]), *_lines(rest, "  ")])


def _lines(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, inner in value.items():
        if _is_empty(inner):
            continue
        if isinstance(inner, Mapping) and any(map(_is_nested, inner.values())):
            yield f"{indent}{name}:"
            yield from _lines(inner, f"{indent}  ")
        elif isinstance(inner, Sequence) and not isinstance(inner, str):
            yield f"{indent}{name}:"
            for entry in inner:
                yield from _item(entry, f"{indent}  ")
        else:
            yield f"{indent}{name}: {_flat(inner, ', ', names=True)}"


def _item(value: object, indent: str) -> Iterator[str]:
    """One line; or one for each field where several are lists, whose commas would run together."""
    if isinstance(value, Mapping) and sum(map(_is_nested, value.values())) > 1:
        mark = "- "
        for name, inner in value.items():
            if not _is_empty(inner):
                yield f"{indent}{mark}{name}: {_flat(inner, ', ', names=True)}"
                mark = "  "
    else:
        yield f"{indent}- {_flat(value, ', ', names=True)}"


def _is_empty(value: object) -> bool:
    return value is None or value in ("", [], {})


def _is_nested(value: object) -> bool:
    return isinstance(value, Mapping | list) and bool(value)


def _flat(value: object, between: str, *, names: bool = False) -> str:
    if isinstance(value, Mapping):
        shown = {k: _flat(v, ", ", names=True) for k, v in value.items() if not _is_empty(v)}
        return between.join(f"{k} {v}" if names else v for k, v in shown.items())
    if isinstance(value, list):
        return ", ".join(_flat(inner, ", ") for inner in value)
    if isinstance(value, bool):
        return str(value).lower()  # as JSON has it, and the pages
    return f"{value:,}" if isinstance(value, int) else str(value)
