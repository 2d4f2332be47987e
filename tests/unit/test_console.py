"""What a person sees of a run on this machine."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from aws_lambda_powertools import Logger

from mimir_exporter.console import Bar, Console, readable

FIELDS = {"window": "one", "metric": "cpu_usage", "samples": 1200}
STEP = {"message": "metric exported", **FIELDS}


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal of whoever runs the tests may be narrow."""
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def logger() -> Iterator[Logger]:
    """The package's, without what an invocation before left in it; its handlers are put back."""
    logger = Logger()
    logger.clear_state()
    handlers = logging.getLogger(logger.name).handlers[:]
    yield logger
    logging.getLogger(logger.name).handlers[:] = handlers


def shown(stream: io.StringIO) -> list[str]:
    """The lines of a terminal, each as it is after all that was written over it."""
    return [line.split("\x1b[K")[-1] for line in stream.getvalue().replace("\r", "").split("\n")]


def test_a_terminal_shows_text_and_a_bar_below_it(logger: Logger) -> None:
    stream = io.StringIO()
    console = Console(stream, as_json=False)
    logger.info("run planned", extra={"windows": 2, "metric_windows": 4})
    for window in ("one", "two"):
        logger.info("metric exported", extra={**FIELDS, "window": window})
    logger.error("metric failed", extra={"window": "two", "metric": "pod_info", "summary": "why"})
    first, bar = shown(stream)
    assert first.endswith(" ERROR metric failed window=two metric=pod_info summary=why")
    assert bar.startswith("windows 2/2 ############.... pod_info, 2,400 samples, ")
    console.end()
    assert shown(stream)[-1] == ""


def test_verbose_shows_every_line(logger: Logger) -> None:
    stream = io.StringIO()
    Console(stream, as_json=False, verbose=True)
    logger.info("run planned", extra={"windows": 1, "metric_windows": 1})
    logger.info("metric exported", extra=FIELDS)
    assert shown(stream)[0].endswith("metric exported window=one metric=cpu_usage samples=1200")


def test_lines_are_json_elsewhere(logger: Logger) -> None:
    stream = io.StringIO()
    Console(stream, as_json=True)
    logger.info("run planned", extra={"windows": 1, "metric_windows": 1})
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["windows"] == 1
    assert json.loads(line)["service"] == "mimir-exporter"


def test_an_error_shows_where_it_came_from(logger: Logger) -> None:
    stream = io.StringIO()
    Console(stream, as_json=False)
    try:
        raise ValueError("unforeseen")
    except ValueError:
        logger.exception("internal error")
    assert "Traceback" in stream.getvalue()
    assert "ValueError: unforeseen" in stream.getvalue()


def test_a_bar_never_runs_over() -> None:
    bar = Bar(1, 2)
    assert str(bar) == "windows 0/1 ................ waiting for the first answer"
    for _ in range(3):
        assert bar.advance(STEP)
    assert str(bar).startswith("windows 1/1 ################ cpu_usage, 3,600 samples, 0 s left")
    assert not bar.advance({"message": "execution ended"})


def test_a_report_is_shown_as_it_is() -> None:
    report = ["ok       endpoint            ready", "cpu_usage          2 series"]
    result = {"outcome": "ready", "message": "Ready.", "report": report, "findings": [{}]}
    assert readable(result).splitlines() == ["Ready.", "", *report]


def test_a_result_reads_from_its_sentence_down() -> None:
    result = {
        "outcome": "ready",
        "message": "Ready.",
        "metrics": {"cpu_usage": {"series": 1234, "by_cluster": {"prod": 1200, "dev": 34}}},
        "failures": [],
        "files": {"prod": {"objects": 2, "bytes": 9000}},
        "whole": True,
        "coverage": [
            {"metrics": ["a", "b"], "missing": []},
            {"metrics": ["c", "d"], "exported": ["x", "y"], "missing": ["z"]},
        ],
        "execution": None,
        "seconds": 1.5,
    }
    assert readable(result).splitlines() == [
        "Ready.",
        "  metrics:",
        "    cpu_usage:",
        "      series: 1,234",
        "      by_cluster: prod 1,200, dev 34",
        "  files:",
        "    prod: objects 2, bytes 9,000",
        "  whole: true",
        "  coverage:",
        "    - metrics a, b",
        "    - metrics: c, d",
        "      exported: x, y",
        "      missing: z",
        "  seconds: 1.5",
    ]
