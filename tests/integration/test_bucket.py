"""What is in the bucket is never made less, whatever else writes, and whatever S3 answers."""

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import unquote

import pytest

from localcloud.aws import Cloud
from localcloud.prometheus import Prometheus
from mimir_exporter.errors import ExportError
from mimir_exporter.errors import storage as errors
from mimir_exporter.storage import parallel
from tests.integration import faults
from tests.integration.conftest import MakeFunction, MakeProxy
from tests.integration.deployment import FEW, LAST_END, PREFIX, Function
from tests.integration.faults import Exchange, Proxy, Request
from tests.integration.sandbox import Event
from tests.raised import raises

FILE = f"{PREFIX}/prod-eu/end=20250401/day=1/metric=node_info/1740826800_node_info.json.gz"
AGAIN = {"action": "reexport", "start": LAST_END - 3600, "end": LAST_END}
S3_ERROR = "<Error><Code>{}</Code><Message>{}</Message></Error>"


@pytest.fixture
def s3(make_proxy: MakeProxy, cloud: Cloud) -> Proxy:
    """A way to S3 that a test can spoil."""
    return make_proxy(cloud.endpoint)


@pytest.fixture
def function(make_function: MakeFunction, s3: Proxy) -> Function:
    """A few metrics, one window; writes to its bucket through `s3`."""
    return replace(make_function(AWS_ENDPOINT_URL=s3.url), metrics=FEW)


def puts(key: str) -> Callable[[Request], bool]:
    return lambda request: request.method == "PUT" and unquote(request.path).endswith(key)


def test_a_bucket_that_does_not_exist_is_named(function: Function) -> None:
    with raises(errors.BUCKET_NOT_FOUND) as caught:
        function.with_env(S3_BUCKET="nobodys-bucket").export()
    assert "nobodys-bucket" in caught.value.details.summary


def test_a_bucket_in_another_region_is_named(function: Function, s3: Proxy) -> None:
    body = S3_ERROR.format("PermanentRedirect", "The bucket must be addressed elsewhere.")
    s3.spoil(faults.answer(301, body, x_amz_bucket_region="eu-west-1"), lambda _: True)
    with raises(errors.BUCKET_IN_OTHER_REGION):
        function.export()


def test_a_bucket_that_may_not_be_written_is_named(function: Function, s3: Proxy) -> None:
    s3.spoil(faults.answer(403, S3_ERROR.format("AccessDenied", "no")), puts(FILE))
    with pytest.raises(
        ExportError, match=r"denied access to write s3://.*node_info.*bucket policy"
    ):
        function.export()
    # What was whole before is done; what was not, is not.
    exported = [group for group in function.checkpoint()["progress"] if group["exported"]]
    assert [group["metrics"] for group in exported] == [["cpu_usage"]]
    s3.heal()
    assert function.export()["outcome"] == "complete"


def test_a_busy_s3_loses_nothing(function: Function, s3: Proxy, mimir: Prometheus) -> None:
    s3.spoil(faults.answer(503, S3_ERROR.format("SlowDown", "reduce your rate")), puts(FILE))
    with raises(errors.S3_BUSY):
        function.export()
    s3.heal()
    assert function.export()["outcome"] == "complete"
    assert function.differences(mimir, 1) == []


@pytest.mark.parametrize("key", [FILE, "checkpoint.json"])
@pytest.mark.parametrize(
    "fault",
    [
        faults.lose_answer,
        faults.reset,
        faults.answer(500, S3_ERROR.format("InternalError", "We encountered an internal error.")),
        faults.answer(409, S3_ERROR.format("ConditionalRequestConflict", "Try again.")),
    ],
    ids=["answer lost after it was written", "reset", "500", "409"],
)
def test_a_write_of_unknown_outcome_is_made_certain(
    key: str, fault: faults.Fault, function: Function, s3: Proxy, mimir: Prometheus
) -> None:
    s3.spoil(fault, puts(key), times=1)
    assert function.export()["outcome"] == "complete"
    assert len([request for request in s3.requests if puts(key)(request)]) > 1
    assert function.differences(mimir, 1) == []
    assert function.export()["windows"]["planned"] == 0


def write_first(function: Function, **metadata: str) -> faults.Fault:
    """Another process writes the same object a moment before this request does."""

    def fault(exchange: Exchange) -> None:
        function.put(FILE, b"theirs", **metadata)
        exchange.send(exchange.forward())

    return fault


def test_a_race_is_lost_to_whom_has_more(function: Function, s3: Proxy) -> None:
    s3.spoil(write_first(function, samples="100000"), puts(FILE), times=1)
    result = function.export()
    assert result["outcome"] == "complete"
    assert function.read(FILE) == b"theirs"
    (line,) = function.messages("files kept")
    assert (line["metric"], line["objects"]) == ("node_info", 1)


def test_a_race_is_won_from_whom_has_less(function: Function, s3: Proxy, mimir: Prometheus) -> None:
    s3.spoil(write_first(function, samples="3"), puts(FILE), times=1)
    assert function.export()["outcome"] == "complete"
    assert function.differences(mimir, 1) == []


def test_a_race_can_be_lost_many_times(function: Function, s3: Proxy, mimir: Prometheus) -> None:
    s3.spoil(write_first(function, samples="3"), puts(FILE), times=5)
    assert function.export()["outcome"] == "complete"
    assert function.differences(mimir, 1) == []


def test_a_file_that_vanishes_during_a_race_is_written(
    function: Function, s3: Proxy, mimir: Prometheus
) -> None:
    """S3 answers If-Match with 404 where nothing is left."""
    function.put(FILE, b"theirs", samples="3")

    def delete_first(exchange: Exchange) -> None:
        function.delete(FILE)
        exchange.send(exchange.forward())

    s3.spoil(delete_first, lambda r: puts(FILE)(r) and "if-match" in r.headers, times=1)
    assert function.export()["outcome"] == "complete"
    assert function.differences(mimir, 1) == []


def export_again(function: Function, **event: object) -> Event:
    return function.export({**AGAIN, **event})


def test_a_file_with_more_samples_is_kept_but_for_force(
    function: Function, mimir: Prometheus
) -> None:
    """Mimir answers ranges past its retention with less, or with nothing."""
    function.export()
    more = gzip.compress(b'{"status":"success","data":{"resultType":"matrix","result":[]}}')
    function.put(FILE, more, samples="100000")
    assert export_again(function)["outcome"] == "complete"
    assert function.read(FILE) == more
    assert function.messages("files kept")
    assert export_again(function, force=True)["outcome"] == "complete"
    assert function.differences(mimir, 1) == []


@pytest.mark.parametrize("metadata", [{"samples": "3"}, {"samples": "many"}, {}])
def test_a_file_with_fewer_samples_is_replaced(
    metadata: dict[str, str], function: Function, mimir: Prometheus
) -> None:
    """Or with a number that is not known: files of the exporter before have none."""
    function.put(FILE, b"theirs", **metadata)
    assert function.export()["outcome"] == "complete"
    assert function.differences(mimir, 1) == []


def test_nothing_replaces_something_where_mimir_has_nothing_any_more(
    function: Function, mimir: Prometheus
) -> None:
    """A window that is exported again after the retention of Mimir: 200, and no series."""
    nothing = json.dumps({"none": 'kube_pod_info{pod="none"}'})
    function.export()
    before = function.file_keys()
    gone = function.with_env(CLUSTER_LABEL_NAME="cluster", EXTRA_METRICS=nothing)
    assert gone.export()["outcome"] == "complete"
    assert gone.file_keys() == before
    status = gone.export({"action": "status"})
    (group,) = (one for one in status["coverage"] if one["without_series"])
    assert group["metrics"] == ["none"]
    assert group["without_series"] == ["2025-03-01T11:00:00Z/2025-03-01T12:00:00Z"]


@pytest.mark.parametrize("small_bytes", [parallel.SMALL_BYTES, 0], ids=["bytes", "from the spool"])
def test_what_s3_stores_is_what_was_sent(
    small_bytes: int, function: Function, s3: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each object goes with its checksum, conditions or not: S3 refuses another body."""
    monkeypatch.setattr(parallel, "SMALL_BYTES", small_bytes)
    assert function.export()["outcome"] == "complete"
    assert export_again(function)["outcome"] == "complete"
    sent = [request for request in s3.requests if request.method == "PUT"]
    assert {"if-match", "if-none-match"} <= {name for one in sent for name in one.headers}
    for request in sent:
        assert request.has_checksum
    file = next(one for one in sent if puts(FILE)(one))
    assert function.read(FILE) == file.body


def test_a_body_that_changed_on_its_way_is_not_noted(
    function: Function, s3: Proxy, mimir: Prometheus
) -> None:
    s3.spoil(faults.answer(400, S3_ERROR.format("BadDigest", "not what it was")), puts(FILE))
    with pytest.raises(ExportError, match=r"failed to write s3://.*BadDigest"):
        function.export()
    s3.heal()
    assert function.export()["outcome"] == "complete"
    assert function.differences(mimir, 1) == []
