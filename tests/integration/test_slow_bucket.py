"""An S3 that hangs: the function ends by itself, reports it, and the next run resumes."""

import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate

import pytest

from localcloud.aws import Cloud
from localcloud.prometheus import Prometheus
from mimir_exporter.errors import ExportError
from mimir_exporter.errors import runs as errors
from mimir_exporter.timeline import bounded
from tests.integration import faults
from tests.integration.conftest import MakeFunction, MakeProxy
from tests.integration.deployment import FEW, HOUR_S, LAST_END, Function
from tests.integration.faults import Exchange, Fault, Proxy, Request
from tests.integration.short_runs import races_the_clock
from tests.raised import raises

pytestmark = races_the_clock

SECONDS = 7.0  # of which five are the reserve, and the last one and a half for nothing but words


@pytest.fixture
def s3(make_proxy: MakeProxy, cloud: Cloud) -> Proxy:
    return make_proxy(cloud.endpoint)


@pytest.fixture
def function(make_function: MakeFunction, s3: Proxy, monkeypatch: pytest.MonkeyPatch) -> Function:
    """A few metrics, two windows; two seconds without an answer are a long time."""
    monkeypatch.setattr(bounded, "HANGS_S", 0.5)
    return replace(make_function(AWS_ENDPOINT_URL=s3.url, BACKFILL_DAYS="2h"), metrics=FEW)


def to_checkpoint(method: str) -> Callable[[Request], bool]:
    return lambda r: r.method == method and r.path.endswith("checkpoint.json")


def to_file(request: Request) -> bool:
    return request.method == "PUT" and "node_info" in request.path


def anything(_: Request) -> bool:
    return True


HANGS: list[tuple[str, Fault, Callable[[Request], bool]]] = [
    ("all of it", faults.never_answer, anything),
    ("a file's write", faults.never_answer, to_file),
    ("a file's write, whose answer drips", faults.drip_head, to_file),
    ("the checkpoint's write", faults.never_answer, to_checkpoint("PUT")),
    ("the checkpoint's read", faults.never_answer, to_checkpoint("GET")),
]


@pytest.mark.parametrize(
    ("fault", "when"), [one[1:] for one in HANGS], ids=[one[0] for one in HANGS]
)
def test_an_s3_that_hangs_does_not_hold_the_run(
    fault: Fault, when: Callable[[Request], bool], function: Function, s3: Proxy, mimir: Prometheus
) -> None:
    s3.spoil(fault, when)
    began = time.monotonic()
    with raises(errors.CALL_TIMED_OUT) as caught:
        function.export(seconds=SECONDS)
    # By itself, before Lambda would have ended it.
    assert time.monotonic() - began < SECONDS
    assert function.bucket in caught.value.details.summary
    (line,) = function.messages("run failed")
    assert line["summary"] == caught.value.details.summary
    s3.heal()
    function.clock.advance(300)  # past the lease, which could not be given back
    assert function.export()["outcome"] == "complete"
    assert function.differences(mimir, 2) == []


def test_a_run_that_could_not_note_its_end_says_what_it_did(function: Function, s3: Proxy) -> None:
    """The files of both windows are there; the second one is not noted.

    Noted are the lease, what retention does and has done, and the first window.
    """
    noted = iter(range(100))
    s3.spoil(faults.never_answer, lambda r: to_checkpoint("PUT")(r) and next(noted) >= 4)
    with raises(errors.CALL_TIMED_OUT):
        function.export(seconds=SECONDS)
    (line,) = function.messages("run finished")
    assert (line["outcome"], line["windows_planned"]) == ("stopped", 2)
    assert line["samples"] > 0
    assert "windows exported; The request to" in line["summary"]


def test_an_item_ends_by_itself_too(function: Function, s3: Proxy) -> None:
    function.export()
    function.clock.advance(HOUR_S)
    s3.spoil(faults.never_answer, to_file)
    item = {"start": LAST_END, "end": LAST_END + HOUR_S}
    began = time.monotonic()
    with raises(errors.CALL_TIMED_OUT):
        function.backfill(item, seconds=SECONDS)
    assert time.monotonic() - began < SECONDS
    s3.heal()
    assert function.backfill(item)["finished"]


def test_a_clock_that_is_wrong_stops_everything(function: Function, s3: Proxy) -> None:
    """Ahead or behind, and whoever of the two is wrong."""
    function.export()
    before = function.keys()
    for days in (400, -3000):
        s3.heal()
        s3.spoil(dated(formatdate(time.time() + days * 86_400, usegmt=True)), anything)
        with pytest.raises(ExportError, match=r"Clock skew .* against S3.*synchronize the clock"):
            function.export()
        assert function.keys() == before


def test_a_clock_that_is_ahead_by_less_than_the_settle_time_is_wrong_too(
    function: Function, s3: Proxy
) -> None:
    """With six of its ten minutes there would be four left for late samples, and soon none."""
    for behind_s, fits in ((360, False), (200, True), (-360, True)):
        s3.heal()
        s3.spoil(dated(formatdate(time.time() - behind_s, usegmt=True)), anything)
        if fits:
            assert function.export()["outcome"] == "complete"
        else:
            with pytest.raises(ExportError, match=r"Clock skew .* against S3"):
                function.export()


def dated(date: str) -> Fault:
    """The real answer, with another time in its head."""

    def fault(exchange: Exchange) -> None:
        whole = exchange.forward()
        exchange.send_head(whole, f"Content-Length: {len(whole.body)}", f"Date: {date}")
        if exchange.request.method != "HEAD":
            exchange.connection.sendall(whole.body)

    return fault
