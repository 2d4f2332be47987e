"""What goes to S3 by obstore: over TLS, through a proxy, to a bucket in a host's name, and within
the bucket policy; and what boto3 does again where obstore fails."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
import urllib3

from localcloud.aws import Cloud
from mimir_exporter.errors import ConditionFailedError, StopRunError
from mimir_exporter.errors.storage import S3_BUSY
from mimir_exporter.storage.client_config import ClientConfig
from mimir_exporter.storage.connection import S3Connection
from mimir_exporter.storage.fast_bucket import FastBucket
from tests.conftest import MakeCloud
from tests.integration import faults
from tests.integration.conftest import MakeProxy
from tests.integration.faults import Proxy, Request
from tests.raised import raises
from tests.some import some

BUCKET = "fast"
KEY = "k8s/prometheus/prod%2Feu/end=20250401/day=1/metric=node_info/1740826800_node_info.json.gz"
FEW_TRIES = ClientConfig(attempts=2, connect_s=2, read_s=2)
S3_ERROR = "<Error><Code>{}</Code><Message>{}</Message></Error>"


def connect(config: ClientConfig = FEW_TRIES, bucket: str = BUCKET) -> FastBucket:
    """A bucket as the environment names it."""
    connection = S3Connection(bucket, config)
    return FastBucket(connection, bucket)


@pytest.fixture
def s3(make_proxy: MakeProxy, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    """A way to the bucket that a test can spoil, and that the environment names."""
    make_bucket(cloud)
    proxy = make_proxy(cloud.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    return proxy


def make_bucket(cloud: Cloud) -> None:
    with suppress(cloud.s3.exceptions.BucketAlreadyOwnedByYou):
        cloud.create_bucket(BUCKET)
    for stored in cloud.s3.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        cloud.s3.delete_object(Bucket=BUCKET, Key=stored["Key"])


def puts(request: Request) -> bool:
    return request.method == "PUT"


def by_obstore(request: Request) -> bool:
    return request.headers.get("user-agent", "").startswith("mimir-exporter/")


def test_a_conflict_of_writes_is_no_object_yet(s3: Proxy) -> None:
    """S3's 409 says that another write is at work: obstore calls that one written."""
    s3.spoil(faults.answer(409, S3_ERROR.format("ConditionalRequestConflict", "wait")), puts)
    bucket = connect()
    with pytest.raises(ConditionFailedError):
        bucket.put(KEY, b"mine", if_none_match="*")
    assert bucket.head(KEY) is None


@pytest.mark.parametrize(
    ("fault", "tries"), [(faults.lose_answer, 2), (faults.reset, 2), (faults.hang_up, 2)]
)
def test_a_write_whose_answer_was_lost_is_made_again(
    fault: faults.Fault, tries: int, s3: Proxy
) -> None:
    """What comes of it is certain: written, or found to be there already."""
    s3.spoil(fault, puts, times=1)
    bucket = connect()
    try:
        bucket.put(KEY, b"mine", if_none_match="*")
    except ConditionFailedError:
        assert fault is faults.lose_answer
    assert len([request for request in s3.requests if puts(request)]) == tries
    assert (bucket.get(KEY) or (b"",))[0] == b"mine"


def test_a_refusal_keeps_what_s3_said(s3: Proxy) -> None:
    """Which policy denied is in S3's message alone."""
    said = "User: arn:aws:sts::1:assumed-role/x is not authorized, with an explicit deny"
    s3.spoil(faults.answer(403, S3_ERROR.format("AccessDenied", said)), puts)
    with pytest.raises(StopRunError) as caught:
        connect().put(KEY, b"mine")
    assert "AccessDenied" in str(caught.value)
    assert said in str(caught.value)
    assert "SignedHeaders" not in str(caught.value)


def test_a_busy_s3_is_tried_again_within_a_budget(s3: Proxy) -> None:
    s3.spoil(faults.answer(503, S3_ERROR.format("SlowDown", "reduce")), puts, times=1)
    connect().put(KEY, b"mine")
    assert all(by_obstore(request) for request in some(s3.requests) if puts(request))
    s3.heal()
    s3.spoil(faults.answer(503, S3_ERROR.format("SlowDown", "reduce")), puts)
    with raises(S3_BUSY) as caught:
        connect().put(KEY, b"mine")
    assert caught.value.details.cause == "SlowDown"
    assert KEY in caught.value.details.summary
    assert len([request for request in s3.requests if puts(request)]) == 4


def test_an_answer_without_an_etag_is_none(s3: Proxy) -> None:
    s3.spoil(faults.answer(200, "<html>"), puts, times=1)
    assert connect().put(KEY, b"mine") == (connect().get(KEY) or ("", ""))[1]


def test_listing_asks_for_one_folder(s3: Proxy) -> None:
    """As the bucket policy demands; a name that obstore cannot take is listed all the same."""
    bucket = connect()
    for key in ("k8s/a", "k8s/b/c"):
        bucket.put(key, b"x")
    assert bucket.list("k8s/").folders == ("k8s/b/",)
    assert list(bucket.list("k8s/").keys) == ["k8s/a"]
    bucket.put("k8s/d//e", b"x")
    assert bucket.list("k8s/d/").folders == ("k8s/d//",)
    assert bucket.list("k8s/d//").keys.keys() == {"k8s/d//e"}
    listed = [request for request in s3.requests if "list-type" in request.fields]
    assert {request.fields["delimiter"] for request in listed} == {"/"}
    assert {request.fields["prefix"] for request in listed} == {"k8s/", "k8s/d/", "k8s/d//"}


def test_a_file_goes_in_one_piece(s3: Proxy) -> None:
    body = bytes(range(256)) * 40_000
    bucket = connect(ClientConfig())
    bucket.put(KEY, BytesIO(body), metadata={"samples": "7"}, if_none_match="*")
    assert [request.method for request in s3.requests].count("PUT") == 1
    assert (bucket.get(KEY) or (b"",))[0] == body


def test_keys_are_asked_for_again_before_they_end(
    s3: Proxy, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As of a role: botocore knows when to renew, here a program's that gives a new one a time."""
    program = tmp_path / "keys.py"
    program.write_text(
        "import json, pathlib, datetime\n"
        f"count = pathlib.Path({str(tmp_path / 'count')!r})\n"
        "n = int(count.read_text()) + 1 if count.exists() else 1\n"
        "count.write_text(str(n))\n"
        "soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=30)\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': f'AKID{n}', 'SecretAccessKey': 's',\n"
        "                  'SessionToken': f'T{n}', 'Expiration': soon.isoformat()}))\n"
    )
    config = tmp_path / "config"
    config.write_text(
        f"[default]\nregion = eu-central-1\ncredential_process = {sys.executable} {program}\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    bucket = connect()
    for _ in range(3):
        bucket.put(KEY, b"mine")
        time.sleep(0.2)  # obstore asks no more often
    tokens = {request.headers["x-amz-security-token"] for request in s3.requests if puts(request)}
    assert len(tokens) > 1


def test_an_authority_of_ones_own_is_trusted_and_no_other(
    make_cloud: MakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = make_cloud(enforce_iam=True)
    make_bucket(strict)
    monkeypatch.setenv("AWS_ENDPOINT_URL", strict.endpoint)
    with pytest.raises(StopRunError, match="SSLError"):
        connect().put(KEY, b"mine")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(strict.certificate))
    bucket = connect()
    etag = bucket.put(KEY, b"mine", metadata={"samples": "60"}, if_none_match="*")
    assert bucket.get(KEY) == (b"mine", etag)
    assert bucket.list(f"{KEY.rpartition('/')[0]}/").keys[KEY].etag == etag


class _Forwarder(BaseHTTPRequestHandler):
    """Passes on what is asked of it as a proxy, to the one server there is."""

    protocol_version = "HTTP/1.1"
    upstream = ""
    asked: list[str]

    def do_PUT(self) -> None:
        target = urlsplit(self.path)
        self.asked.append(f"{target.scheme}://{target.netloc}")
        # With its Host header, in which the server finds the bucket.
        path = f"{target.path}?{target.query}"
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        answer = urllib3.request(
            self.command, self.upstream + path, headers=dict(self.headers), body=body
        )
        self.send_response_only(answer.status)
        for name in ("ETag", "Date"):
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(answer.data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.data)

    def do_HEAD(self) -> None:
        self.do_PUT()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def forwarding(upstream: str) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    handler = type("Handler", (_Forwarder,), {"upstream": upstream, "asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


def test_a_proxy_of_the_environment_is_used_and_the_bucket_is_in_the_host_s_name(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As without an endpoint of one's own, but for TLS."""
    make_bucket(cloud)
    host = f"http://{BUCKET}.s3.eu-central-1.amazonaws.com"
    with forwarding(cloud.endpoint) as (proxy, asked):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setenv("NO_PROXY", "localhost")
        monkeypatch.setenv("no_proxy", "localhost")
        monkeypatch.setattr(
            "mimir_exporter.storage.connection.find_endpoint", lambda *_: endpoint_of(host)
        )
        connect().put(KEY, b"mine")
    assert asked == ["http://s3.eu-central-1.amazonaws.com", host]
    assert cloud.s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == b"mine"


def endpoint_of(url: str) -> object:
    from mimir_exporter.storage.connection import Endpoint  # noqa: PLC0415

    return Endpoint(url, "eu-central-1", True)


def test_a_file_is_written_without_boto3(s3: Proxy) -> None:
    """Its import and first client take longer than all the rest of a start."""
    program = (
        "import sys\n"
        "from mimir_exporter.storage.connection import S3Connection\n"
        "from mimir_exporter.storage.fast_bucket import FastBucket\n"
        f"connection = S3Connection({BUCKET!r})\n"
        f"bucket = FastBucket(connection, {BUCKET!r})\n"
        f"etag = bucket.put({KEY!r}, b'mine', if_none_match='*')\n"
        f"assert bucket.get({KEY!r}) == (b'mine', etag)\n"
        f"assert bucket.head({KEY!r}).etag == etag\n"
        "assert bucket.list('k8s/').folders\n"
        "assert not {'boto3', 'botocore'} & sys.modules.keys()\n"
    )
    done = subprocess.run(  # noqa: S603 - a program of this file
        [sys.executable, "-c", program],
        env={**cloud_environment(s3), "PYTHONPATH": "lambda:."},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def cloud_environment(s3: Proxy) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": s3.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "NO_PROXY": "127.0.0.1",
    }


def test_where_obstore_gets_no_answer_boto3_does_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each request would cost all of obstore's retries first."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nothing listens there
    connection = S3Connection(BUCKET, ClientConfig(connect_s=1, read_s=1, attempts=1))
    assert connection.store is not None
    for _ in range(3):
        assert FastBucket(connection, BUCKET)._ready() is not None
        with pytest.raises(StopRunError):
            FastBucket(connection, BUCKET).get("a/key")
    assert FastBucket(connection, BUCKET)._ready() is None


def asked_by_obstore(request: Request) -> bool:
    return request.headers.get("user-agent", "").startswith("mimir-exporter/")


@pytest.mark.parametrize(
    "ask",
    [
        lambda bucket: bucket.list("k8s/"),
        lambda bucket: bucket.head("k8s/none"),
        lambda bucket: bucket.get("k8s/none"),
        lambda bucket: bucket.put("k8s/one", b"1"),
    ],
    ids=["list", "head", "get", "put"],
)
def test_one_answer_is_enough_to_continue_with_obstore(
    ask: Callable[[FastBucket], object], s3: Proxy
) -> None:
    """Only requests in a row without an answer lead to boto3; any answer ends the row."""
    bucket = connect()
    for unanswered in (2, 1):
        for _ in range(unanswered):
            s3.spoil(faults.hang_up, asked_by_obstore)
            assert bucket.get("k8s/none") is None
        s3.heal()
        ask(bucket)
    s3.heal()
    assert bucket.get("k8s/none") is None
    assert all(asked_by_obstore(request) for request in some(s3.requests))
