"""No call outlasts the invocation, whatever the other side does."""

import time
from collections.abc import Iterator
from functools import partial
from threading import Event, get_ident
from typing import cast

import pytest

from mimir_exporter.errors import OutOfTimeError, StopRunError
from mimir_exporter.errors import runs as errors
from mimir_exporter.source.api import Mimir
from mimir_exporter.source.secret import CredentialSource
from mimir_exporter.storage.bounded import BoundedStore
from mimir_exporter.storage.objects import ObjectStore
from mimir_exporter.timeline.bounded import HANGS_S, call_within
from mimir_exporter.timeline.deadline import Deadline
from mimir_exporter.timeline.workers import Workers
from tests.raised import raises
from tests.unit.checkpoints import configure


class Hanging:
    """A store that answers nothing until it is released."""

    def __init__(self) -> None:
        self.release = Event()

    def where(self, key: str) -> str:
        return f"s3://bucket/{key}"

    def get(self, _key: str) -> None:
        self.release.wait(60)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    store = Hanging()
    yield store
    store.release.set()


class Clock:
    """Runs at the pace of the real time, from where it was put."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


def test_an_answer_is_handed_on() -> None:
    assert call_within(Deadline(60), lambda: 7, "It") == 7


@pytest.mark.parametrize("error", [StopRunError("no"), TimeoutError("its own"), ValueError("x")])
def test_an_error_is_handed_on(error: Exception) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        call_within(Deadline(60), fail, "It")
    assert caught.value is error


def test_where_just_the_time_was_short_it_is_for_later(hanging: Hanging) -> None:
    store = BoundedStore(cast("ObjectStore", hanging), Deadline(0.05))
    with raises(errors.OUT_OF_TIME):
        store.get("a")


def test_a_call_that_times_out_stops_the_run(
    hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mimir_exporter.timeline.bounded.HANGS_S", 0.05)
    store = BoundedStore(cast("ObjectStore", hanging), Deadline(0.1))
    with raises(errors.CALL_TIMED_OUT) as caught:
        store.get("a")
    assert caught.value.details.summary == (
        "The request to read s3://bucket/a timed out after 0 s, and the invocation time budget is "
        "exhausted"
    )


def test_after_the_work_there_is_the_reserve_and_then_nothing(hanging: Hanging) -> None:
    clock = Clock()
    deadline = Deadline(10, clock, reserve_s=0.1)
    store = BoundedStore(cast("ObjectStore", hanging), deadline)
    clock.ahead = 10
    for _ in range(3):  # the first one takes what there is
        with raises(errors.CALL_TIMED_OUT):
            store.get("a")
    clock.ahead = 100
    assert deadline.reserve_s() == 0


def test_a_deadline_that_is_none_can_be_waited_for() -> None:
    """A hundred years are no more than a lock can wait for."""
    assert call_within(Deadline.open_ended(), lambda: 1, "It") == 1
    assert HANGS_S == 10


def test_a_secret_that_never_arrives_holds_no_run() -> None:
    """As where the VPC has no endpoint for Secrets Manager, near the end of a run."""
    release = Event()

    def read(_force: bool) -> str:
        release.wait(60)
        return "{}"

    source = CredentialSource({}, "arn:aws:secretsmanager:eu-central-1:1:secret:x", read)
    mimir = Mimir(configure(HOSTNAME="127.0.0.1"), source, Deadline(0.2))
    try:
        with pytest.raises(OutOfTimeError):
            mimir.find_ready()
        assert not release.is_set()
    finally:
        release.set()
        mimir.close()


def test_a_name_that_is_never_resolved_holds_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver has time-outs of its own, of half a minute and more."""
    release = Event()

    def resolve(*_: object, **__: object) -> list[object]:
        release.wait(60)
        return []

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    mimir = Mimir(
        configure(HOSTNAME="mimir.example"),
        CredentialSource({}, "", lambda _force: ""),
        Deadline(0.2),
    )
    try:
        with pytest.raises(OutOfTimeError):
            mimir.find_ready()
        assert not release.is_set()
    finally:
        release.set()
        mimir.close()


def test_threads_are_kept_and_bounded() -> None:
    workers = Workers(limit=3)
    seen: set[int] = set()

    def job() -> None:
        seen.add(get_ident())
        time.sleep(0.01)

    for future in [workers.submit(job) for _ in range(30)]:
        future.result(5)
    assert len(seen) == 3


def test_one_after_another_takes_one_thread() -> None:
    workers = Workers()
    assert len({workers.submit(get_ident).result(5) for _ in range(20)}) == 1


def test_a_thread_that_hangs_is_replaced(hanging: Hanging) -> None:
    """Or the calls of the next invocation would wait for what the last one abandoned."""
    workers = Workers(limit=1)
    stuck = workers.submit(lambda: hanging.get("a"))
    waiting = workers.submit(get_ident)
    workers.give_up(stuck)
    assert workers.submit(lambda: 7).result(5) == 7
    assert waiting.result(5) != get_ident()
    hanging.release.set()
    stuck.result(5)
    assert [workers.submit(partial(pow, n, 1)).result(5) for n in range(5)] == [*range(5)]


def test_a_call_within_a_call_takes_no_other_thread() -> None:
    deadline = Deadline(60)

    def outer() -> bool:
        return call_within(deadline, get_ident, "inner") == get_ident()

    assert call_within(deadline, outer, "outer")
