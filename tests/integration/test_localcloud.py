"""The local cloud itself: what the other tests rest on."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from localcloud.aws import Cloud
from localcloud.history import History, make_history
from localcloud.processes import Process, Program, StartError, run, serve
from localcloud.prometheus import Prometheus
from mimir_exporter.catalog.metrics import Metric, load_catalog
from tests.conftest import MakeCloud
from tests.policies import as_policy, documented

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("metric", load_catalog(), ids=lambda metric: metric.name)
def test_every_metric_of_the_catalogue_has_series(
    metric: Metric, prometheus: Prometheus, history: History
) -> None:
    noon = history.end_s - 86_400
    promql = metric.promql("cluster")
    if metric.name in ("pod_completion_time", "container_end_time"):
        promql = f"max_over_time(({promql})[1d:10m])"  # not of every cluster at every moment
    found = {series["metric"].get("cluster") for series in prometheus.query(promql, noon)}
    everywhere = {cluster.name for cluster in history.clusters}
    if metric.name == "gpu_requests":
        assert found == {"prod-eu"}
    elif metric.name == "container_end_time":  # of what has restarted
        assert found
        assert found <= everywhere
    elif metric.name.startswith(("pvc_", "pv_")):
        assert found == everywhere - {None}
    else:
        assert found == everywhere


@pytest.mark.parametrize(
    ("what", "promql", "at_least"),
    [
        ("counters that begin again", "resets(container_cpu_usage_seconds_total[3d]) > 0", 3),
        ("pods that have gone", "kube_pod_info offset 2d unless kube_pod_info", 10),
        ("finished pods that report requests", 'kube_pod_status_phase{phase="Succeeded"} == 1', 1),
        ("pods in the host's network", 'kube_pod_info{host_network="true"}', 10),
        ("series without a cluster label", '{__name__=~"kube_.+", cluster=""}', 30),
        ("scrapes that failed", "count_over_time(kubelet_volume_stats_used_bytes[3d]) < 4310", 1),
    ],
)
def test_the_history_is_as_awkward_as_a_real_one(
    what: str, promql: str, at_least: int, prometheus: Prometheus, history: History
) -> None:
    # Reports run at noon and midnight too: look while a finished one is still there.
    moments = [history.end_s - 60 - hour * 3600 for hour in range(6)]
    assert max(len(prometheus.query(promql, at)) for at in moments) >= at_least, what


def test_a_series_ends_when_its_pod_ends(prometheus: Prometheus, history: History) -> None:
    """Without stale markers Prometheus would show a series for five minutes after its end."""
    run_that_ends = next(
        made
        for made in make_history(history)
        if made.labels["__name__"] == "kube_pod_info" and made.last < history.grid.length - 10
    )
    name = run_that_ends.labels["pod"]
    last_s = history.grid.start_s + (run_that_ends.last - 1) * history.grid.interval_s
    promql = f'kube_pod_info{{pod="{name}"}}'
    # A scrape comes up to a minute after its tick, and so does the marker after it.
    assert len(prometheus.query(promql, last_s + 60)) == 1
    assert prometheus.query(promql, last_s + 120) == []


def test_the_cloud_keeps_objects_conditionally(cloud: Cloud) -> None:
    cloud.create_bucket("conditional")
    cloud.s3.put_object(Bucket="conditional", Key="a", Body=b"1", IfNoneMatch="*")
    with pytest.raises(cloud.s3.exceptions.ClientError, match="PreconditionFailed"):
        cloud.s3.put_object(Bucket="conditional", Key="a", Body=b"2", IfNoneMatch="*")


def test_iam_is_enforced_with_its_conditions(make_cloud: MakeCloud) -> None:
    """The end-to-end test rests on this: what a role may not do is refused."""
    cloud = make_cloud(enforce_iam=True)
    iam = cloud.session.client("iam", **cloud.where)
    cloud.create_bucket("guarded")
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    iam.create_role(RoleName="lister", AssumeRolePolicyDocument=as_policy(trust))
    may_list, _ = documented("guarded", "k8s/prometheus")
    iam.put_role_policy(RoleName="lister", PolicyName="list", PolicyDocument=as_policy(may_list))
    keys = cloud.sts.assume_role(
        RoleArn="arn:aws:iam::000000000000:role/lister", RoleSessionName="test"
    )["Credentials"]
    lister = boto3.client(
        "s3",
        **cloud.where,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
    lister.list_objects_v2(Bucket="guarded", Prefix="k8s/prometheus/", Delimiter="/")
    with pytest.raises(ClientError, match="AccessDenied"):
        lister.list_objects_v2(Bucket="guarded", Prefix="k8s/prometheus/")
    with pytest.raises(ClientError, match="AccessDenied"):
        lister.put_object(Bucket="guarded", Key="k8s/prometheus/a", Body=b"")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_servers_end_with_whoever_started_them(number: signal.Signals) -> None:
    code = (
        "import time\n"
        "from localcloud.aws import running_cloud\n"
        "from localcloud.processes import leave_on_sigterm\n"
        "leave_on_sigterm()\n"
        "with running_cloud() as cloud:\n"
        "    log = cloud.server.program.log\n"
        "    print(cloud.endpoint.rpartition(':')[2], cloud.server.pid, log, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(  # noqa: S603 - this very Python
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    ) as owner:
        assert owner.stdout is not None
        told = owner.stdout.readline().split()
        port, keeper, folder = int(told[0]), int(told[1]), Path(told[2]).parent
        assert answers(port)
        assert folder.is_dir()
        owner.send_signal(number)
    wait_until(lambda: not answers(port) and not is_running(keeper))
    assert not folder.exists()


def test_what_a_server_started_ends_with_it(tmp_path: Path) -> None:
    """MiniStack starts workers, and the CDK CLI starts the app."""
    workers = tmp_path / "worker.pid"
    script = f"sleep 600 & echo $! > {workers}; exec sleep 600"
    process = Process(program(["sh", "-c", script], tmp_path))
    wait_until(lambda: workers.exists() and workers.read_text("utf-8").endswith("\n"))
    worker = int(workers.read_text("utf-8"))
    os.kill(worker, 0)
    process.stop()
    wait_until(lambda: not is_running(worker))
    assert not process.alive


def test_a_server_that_does_not_start_says_what_it_wrote(tmp_path: Path) -> None:
    failing = program(["sh", "-c", "echo the disk is full; exit 3"], tmp_path)
    with (
        pytest.raises(StartError, match=r"ended before it was ready[\s\S]*the disk is full"),
        serve(lambda _port: failing),
    ):
        pass


def test_a_command_that_fails_says_what_it_wrote(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"status 3[\s\S]*no such stack"):
        run(program(["sh", "-c", "echo no such stack; exit 3"], tmp_path))
    with pytest.raises(StartError, match="cannot run no-such-program"):
        run(program(["no-such-program"], tmp_path))


def program(argv: list[str], folder: Path) -> Program:
    return Program(
        name="it",
        argv=argv,
        env=dict(os.environ),
        log=folder / "log",
        ready_url="http://127.0.0.1:9/",
    )


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_running(pid: int) -> bool:
    """Whether the process lives; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition: object, timeout_s: float = 60.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
