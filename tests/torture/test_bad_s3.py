"""An S3 that does everything wrong, one thing after another at random, over many windows.

Whatever it did, once it is left in peace the bucket holds exactly the samples that Mimir has.
"""

import time
from dataclasses import replace
from random import Random

import pytest

from localcloud.aws import Cloud
from localcloud.prometheus import Prometheus
from mimir_exporter.storage.client_config import ClientConfig
from mimir_exporter.timeline import bounded
from tests.integration import faults
from tests.integration.conftest import MakeFunction, MakeProxy
from tests.integration.deployment import FEW, Function
from tests.integration.faults import Exchange, Fault
from tests.torture.conftest import Record
from tests.torture.fault_injector import FaultInjector, export_somehow, pass_on

HOURS = 12
HOURS_QUICK = 4
# Five seconds are the reserve, so this is two of work.
SHORT_S = 7.0


def s3_error(status: int, code: str) -> Fault:
    body = f"<Error><Code>{code}</Code><Message>made up for a test</Message></Error>"
    return faults.answer(status, body, Content_Type="application/xml")


def on_conditions(fault: Fault) -> Fault:
    """Only what has a condition can fail one."""

    def spoil(exchange: Exchange) -> None:
        conditional = {"if-match", "if-none-match"} & exchange.request.headers.keys()
        (fault if conditional else pass_on)(exchange)

    return spoil


def on_reads(fault: Fault) -> Fault:
    def spoil(exchange: Exchange) -> None:
        (fault if exchange.request.method == "GET" else pass_on)(exchange)

    return spoil


FAULTS: dict[str, Fault] = {
    "503 SlowDown": s3_error(503, "SlowDown"),
    "500 InternalError": s3_error(500, "InternalError"),
    "400 RequestTimeout": s3_error(400, "RequestTimeout"),
    "403 AccessDenied": s3_error(403, "AccessDenied"),
    "409 ConditionalRequestConflict": on_conditions(s3_error(409, "ConditionalRequestConflict")),
    "412 PreconditionFailed": on_conditions(s3_error(412, "PreconditionFailed")),
    "answer lost": faults.lose_answer,
    "reset": faults.reset,
    "closed": faults.hang_up,
    "no answer": faults.never_answer,
    "answer cut off": on_reads(faults.cut_with_length),
    "half of it as the whole": on_reads(faults.alter(lambda body: body[: len(body) // 2])),
    "HTML with 200": on_reads(faults.answer(200, "<html>", ETag='"x"')),
    "late": faults.late(0.2),
}


def test_whatever_s3_does_nothing_is_lost_or_doubled(
    make_function: MakeFunction,
    make_proxy: MakeProxy,
    cloud: Cloud,
    mimir: Prometheus,
    seed: int,
    budget_s: float,
    is_long: bool,
    record: Record,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each round is a new bucket, and has its own share of faults. Now and then
    another process deletes the checkpoint."""
    # The same client, but less patient; and does not wait long for what hangs.
    impatient = ClientConfig(attempts=3, connect_s=1, read_s=0.4)
    monkeypatch.setattr(bounded, "HANGS_S", 0.5)
    random = Random(seed)
    hours = HOURS if is_long else HOURS_QUICK
    end = time.monotonic() + budget_s
    rounds = 0
    while not rounds or time.monotonic() < end:
        rounds += 1
        s3 = make_proxy(cloud.endpoint)
        function = replace(
            make_function(AWS_ENDPOINT_URL=s3.url, BACKFILL_DAYS=f"{hours}h"),
            metrics=FEW,
            patience={"client_config": impatient},
        )
        injector = FaultInjector(random, random.choice([0.02, 0.1, 0.3, 0.8]), FAULTS)
        s3.spoil(injector, lambda _: True)
        runs = 0
        for _ in range(random.randint(1, 5)):
            assert in_time(function) in ("complete", "unfinished", "skipped", "stopped")
            runs += 1
            if random.random() < 0.15:
                function.delete(function.checkpoint_key)
        requests = len(s3.requests)
        s3.heal()
        function.clock.advance(120)  # past a lease that could not be given back
        while function.export()["outcome"] != "complete":
            runs += 1
            assert runs < 20
        assert function.differences(mimir, hours) == []
        injector.record(record, windows=hours, runs=runs, requests=requests)


def in_time(function: Function) -> str:
    """A run among faults ends by itself, too."""
    began = time.monotonic()
    outcome = export_somehow(function, SHORT_S)
    assert time.monotonic() - began < SHORT_S
    return outcome
