"""The checkpoint in a real S3 API: changed by many at once, lost, spoilt, or of a newer one."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from localcloud.aws import Cloud
from localcloud.prometheus import Prometheus
from mimir_exporter.checkpoint.adopt import adopt_settings
from mimir_exporter.checkpoint.document import VERSION
from mimir_exporter.checkpoint.outcomes import mark_exported
from mimir_exporter.checkpoint.state import Checkpoint
from mimir_exporter.checkpoint.store import CheckpointStore
from mimir_exporter.errors import CheckpointError
from mimir_exporter.errors import runs as errors
from mimir_exporter.settings.load import load_settings
from mimir_exporter.storage.bucket import Bucket
from mimir_exporter.timeline.windows import Window
from tests.integration import faults
from tests.integration.conftest import MakeFunction, MakeProxy
from tests.integration.deployment import CENTRAL, FEW, HOUR_S, LAST_END, NOW, PREFIX, Function
from tests.integration.faults import Exchange, Proxy
from tests.integration.sandbox import Event
from tests.raised import raises


def test_no_change_is_lost_among_many_writers(function: Function) -> None:
    """Six writers, five changes each, every one of another window."""
    store = store_of(function)
    settings = load_settings(function.env)
    store.update(lambda fresh: adopt_settings(fresh, settings, ["node_info"], NOW))

    def write(writer: int) -> None:
        own = store_of(function)
        for turn in range(5):
            start = LAST_END - (2 * (5 * writer + turn) + 1) * HOUR_S
            window = Window(start, start + HOUR_S, 60)
            own.update(lambda fresh: mark_exported(fresh, "node_info", window, empty=False))  # noqa: B023 - now

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    exported = store.read().metrics["node_info"].exported
    assert len(exported) == 30
    assert sum(end - start for start, end in exported) == 30 * HOUR_S


def store_of(function: Function) -> CheckpointStore:
    return CheckpointStore(Bucket(function.cloud.s3, function.bucket), PREFIX, CENTRAL)


def without(name: str) -> Callable[[bytes], bytes]:
    def change(text: bytes) -> bytes:
        document = json.loads(text)
        del document[name]
        return json.dumps(document).encode()

    return change


UNREADABLE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut off": (lambda text: text[: len(text) // 2], "invalid_checkpoint"),
    "empty": (lambda _: b"", "invalid_checkpoint"),
    "not JSON": (lambda _: b"<html>", "invalid_checkpoint"),
    "not UTF-8": (lambda text: text.replace(b"central", b"\xff\xfe"), "invalid_checkpoint"),
    "another document": (lambda _: b'{"version": 1}', "invalid_checkpoint"),
    "a list": (lambda _: b"[]", "invalid_checkpoint"),
    "a part missing": (without("executions"), "invalid_checkpoint"),
    "of a newer exporter": (
        lambda text: text.replace(b'"version": %d' % VERSION, b'"version": %d' % (VERSION + 1)),
        "checkpoint_too_new",
    ),
    "ranges that are none": (lambda text: text.replace(b"/2025-", b"-2025-"), "invalid_checkpoint"),
}


@pytest.mark.parametrize("way", ["run", "status", "export", "item"])
def test_an_unreadable_checkpoint_stops_everything_and_is_left_as_it_was(
    way: str, small: Function
) -> None:
    small = replace(small, metrics=("node_info",))
    small.export()
    small.clock.advance(HOUR_S)
    span = {"start": LAST_END - HOUR_S, "end": LAST_END}
    ways: dict[str, Callable[[], Event]] = {
        "run": small.export,
        "status": lambda: small.export({"action": "status"}),
        "export": lambda: small.export({"action": "reexport", **span}),
        "item": lambda: small.backfill(span),
    }
    whole = small.read(small.checkpoint_key)
    for how, (change, code) in UNREADABLE.items():
        small.put(small.checkpoint_key, change(whole))
        before = small.keys()
        with pytest.raises(CheckpointError) as caught:
            ways[way]()
        assert caught.value.details.code == code, how
        assert small.checkpoint_key in str(caught.value)
        assert "\n" not in str(caught.value)
        assert small.keys() == before, how
        assert small.read(small.checkpoint_key) == change(whole)
    # Put back, as the message says, the export resumes.
    small.put(small.checkpoint_key, whole)
    assert small.export()["windows"]["exported"] == 1


def test_without_its_checkpoint_a_run_is_a_first_run_that_writes_the_same_files(
    small: Function, mimir: Prometheus
) -> None:
    small.export()
    before = small.file_keys()
    small.delete(small.checkpoint_key)
    assert small.export({"action": "status"})["outcome"] == "nothing_yet"
    result = small.export()
    assert (result["outcome"], result["windows"]["exported"]) == ("complete", 3)
    assert small.file_keys() == before
    assert small.differences(mimir, 3) == []


@pytest.fixture
def s3(make_proxy: MakeProxy, cloud: Cloud) -> Proxy:
    return make_proxy(cloud.endpoint)


@pytest.mark.parametrize("kind", ["run", "item"])
def test_a_checkpoint_deleted_during_a_run_stops_it_with_a_sentence(
    kind: str, make_function: MakeFunction, s3: Proxy, mimir: Prometheus
) -> None:
    """What the run did is written, but not noted: the next one begins as a first run does."""
    function = replace(make_function(AWS_ENDPOINT_URL=s3.url, BACKFILL_DAYS="2h"), metrics=FEW)
    function.export()
    function.clock.advance(HOUR_S)

    def delete_checkpoint(exchange: Exchange) -> None:
        function.delete(function.checkpoint_key)
        exchange.send(exchange.forward())

    s3.spoil(delete_checkpoint, lambda r: r.method == "PUT" and "pod_info" in r.path, times=1)
    item = {"start": LAST_END, "end": LAST_END + HOUR_S}
    ways: dict[str, Callable[[], Event]] = {
        "run": function.export,
        "item": lambda: function.backfill(item),
    }
    with raises(errors.CHECKPOINT_DELETED) as caught:
        ways[kind]()
    assert "\n" not in str(caught.value)
    assert function.export()["outcome"] == "complete"
    files = {key: body for key, body in function.files().items() if f"/{LAST_END}_" not in key}
    assert function.differences(mimir, 2, files=files) == []


def test_an_item_without_a_checkpoint_is_refused_with_a_sentence(small: Function) -> None:
    """An operator deleted it while an execution was running."""
    with raises(errors.NO_CHECKPOINT) as caught:
        small.backfill({"start": LAST_END - HOUR_S, "end": LAST_END})
    assert str(caught.value).startswith("No checkpoint: ")
    assert small.keys() == {}


def test_a_checkpoint_that_changes_without_end_stops_the_run(
    make_function: MakeFunction, s3: Proxy
) -> None:
    function = make_function(AWS_ENDPOINT_URL=s3.url)
    s3.spoil(
        faults.answer(412, "<Error><Code>PreconditionFailed</Code></Error>"),
        lambda r: r.method == "PUT",
    )
    with raises(errors.CHECKPOINT_CONFLICTS):
        function.export()


def test_a_checkpoint_is_small_and_readable(small: Function) -> None:
    small.export()
    document = small.checkpoint()
    assert len(small.read(small.checkpoint_key)) < 2000
    (group,) = document["progress"]
    assert group["metrics"] == list(FEW)
    assert group["exported"] == ["2025-03-01T09:00:00Z/2025-03-01T12:00:00Z"]
    assert document["updated"].startswith("2025-03-01T12:2")
    assert isinstance(store_of(small).read(), Checkpoint)
