"""The whole way, from a server's socket to an object, and what gzip on the wire costs a server."""

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from bench.answers import SAMPLES, STEP_S, Shape
from bench.measure import Usage, cpu_of_children, cpu_s, interleave, ratio, wall_s
from localcloud.aws import Cloud, clean_environment
from localcloud.processes import Program, serve
from localcloud.prometheus import Prometheus, running_prometheus
from localcloud.remote_write import Batch, RemoteWriter

PROJECT = Path(__file__).resolve().parents[1]
SHAPE = Shape("usual", 40_000, 20)
ROUNDS = 5
BUCKET = "bench"
SERVER_SERIES = 7_500  # an answer of 16 MB from the real Prometheus


@dataclass(frozen=True)
class Way:
    """CPU and clock seconds of the exporter and of `curl | igzip`; None where these are missing."""

    gzip: bool
    cpu_s: float
    wall_s: float
    programs_cpu_s: float | None
    ratio: float | None


@dataclass(frozen=True)
class Wire:
    """What one answer costs a real Prometheus, with and without gzip: [plain, gzip]."""

    version: str
    size_mb: tuple[float, float]
    server_cpu_s: tuple[float, float]
    wall_s: tuple[float, float]


@contextlib.contextmanager
def running_server() -> Iterator[str]:
    """bench.server on a free port; its address."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:

        def make(port: int) -> Program:
            return Program(
                name="the bench's server",
                argv=[sys.executable, "-m", "bench.server", str(port)],
                env=python_environment(),
                ready_url=f"http://127.0.0.1:{port}/ready",
                log=Path(folder, "server.log"),
                cwd=PROJECT,
            )

        with serve(make) as (_, port):
            yield f"http://127.0.0.1:{port}"


def python_environment(cloud: Cloud | None = None) -> dict[str, str]:
    """For programs of this project, which may use a cloud: its packages on the path, and bytecode
    kept between runs."""
    env = (cloud.env if cloud else clean_environment()) | {
        "PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'lambda'}",
        "POWERTOOLS_METRICS_NAMESPACE": "bench",
        "POWERTOOLS_SERVICE_NAME": "bench",
    }
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env


def run_module(
    env: Mapping[str, str], module: str, *arguments: str, before: Sequence[str] = ()
) -> dict[str, Any]:
    """The last line of what a module of this folder prints: JSON. Raises RuntimeError."""
    done = subprocess.run(
        [*before, sys.executable, "-m", module, *arguments],
        env=env,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{module} failed: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def run_client(server: str, path: str, env: dict[str, str], *, gzip: bool = True) -> dict[str, Any]:
    """Run bench.client against a server's path; what it printed."""
    host, _, port = server.removeprefix("http://").partition(":")
    client = {
        "HOSTNAME": host,
        "PORT": port,
        "PATH_PREFIX": path,
        "S3_BUCKET": BUCKET,
        "S3_PREFIX": "k8s/prometheus",
        "CLUSTER_NAME": "central",
        "QUERY_DELAY": "0",
        "WIRE_GZIP": str(gzip).lower(),
    }
    return run_module(env | client, "bench.client")


def measure_way(server: str, cloud: Cloud) -> list[Way]:
    """Both wires, the exporter and the two programs in turns."""
    cloud.create_bucket(BUCKET)
    path = f"/kept-{SHAPE.name}"

    def exporter(gzip: bool) -> Callable[[], Usage]:
        def contender() -> Usage:
            result = run_client(server, path, python_environment(cloud), gzip=gzip)
            assert result["series"] == SHAPE.series
            return Usage(result["cpu_s"], result["wall_s"])

        return contender

    contenders = {"gzip": exporter(True), "plain": exporter(False)}
    have_programs = bool(shutil.which("curl") and shutil.which("igzip"))
    if have_programs:
        url = f"{server}{path}/api/v1/query_range"
        contenders |= {"curl gzip": _programs(url, True), "curl plain": _programs(url, False)}
    for contender in contenders.values():
        contender()  # the server makes and keeps both bodies
    runs = interleave(contenders, ROUNDS)
    return [
        Way(
            name == "gzip",
            cpu_s(runs[name]),
            wall_s(runs[name]),
            cpu_s(runs[f"curl {name}"]) if have_programs else None,
            ratio(runs[name], runs[f"curl {name}"]) if have_programs else None,
        )
        for name in ("gzip", "plain")
    ]


def _programs(url: str, gzip: bool) -> Callable[[], Usage]:
    def contender() -> Usage:
        with tempfile.TemporaryFile() as file:
            cpu, wall = cpu_of_children(), time.perf_counter()
            curl = subprocess.Popen(
                ["curl", "--silent", *(["--compressed"] if gzip else []), "--data", "x=y", url],
                stdout=subprocess.PIPE,
            )
            igzip = subprocess.Popen(["igzip", "-1", "-c", "-"], stdin=curl.stdout, stdout=file)
            assert curl.stdout is not None
            curl.stdout.close()
            assert (igzip.wait(), curl.wait()) == (0, 0)
            return Usage(cpu_of_children() - cpu, time.perf_counter() - wall)

    return contender


def measure_wire() -> Wire:
    """Ask a real Prometheus for one answer both ways, in turns."""
    with running_prometheus() as prometheus:
        first = int(time.time()) // 60 * 60 - SAMPLES * STEP_S
        _load(prometheus, first)
        pool = urllib3.PoolManager(retries=False)
        sizes: dict[str, float] = {}
        server_cpu: dict[str, list[float]] = {"identity": [], "gzip": []}

        def ask(encoding: str) -> Callable[[], Usage]:
            def contender() -> Usage:
                before, wall = _server_cpu_s(prometheus), time.perf_counter()
                body = pool.request(
                    "GET",
                    f"{prometheus.url}/api/v1/query_range",
                    fields={
                        "query": "bench_cpu",
                        "step": str(STEP_S),
                        "start": str(first),
                        "end": str(first + (SAMPLES - 1) * STEP_S),
                    },
                    headers={"Accept-Encoding": encoding},
                    decode_content=False,
                ).data
                wall = time.perf_counter() - wall
                sizes[encoding] = len(body) / 1e6
                server_cpu[encoding].append(_server_cpu_s(prometheus) - before)
                return Usage(0.0, wall)

            return contender

        runs = interleave({name: ask(name) for name in server_cpu}, ROUNDS)
        (build,) = prometheus.query("prometheus_build_info", time.time()) or [{"metric": {}}]
        version = build["metric"].get("version") or _version(prometheus)
        names = ("identity", "gzip")
        median = statistics.median
        return Wire(
            version,
            (sizes[names[0]], sizes[names[1]]),
            (median(server_cpu[names[0]]), median(server_cpu[names[1]])),
            (wall_s(runs[names[0]]), wall_s(runs[names[1]])),
        )


def _load(prometheus: Prometheus, first: int) -> None:
    times = [(first + n * STEP_S) * 1000 for n in range(SAMPLES)]
    writer = RemoteWriter(prometheus.write_url, prometheus.headers)
    batches = [
        Batch.of(
            {
                "__name__": "bench_cpu",
                "cluster": f"prod-{number * 20 // SERVER_SERIES:04}",
                "container": "app",
                "namespace": f"team-{number % 41}",
                "pod": f"web-{number * 7919:08x}",
            },
            times,
            [(number * 7919 + n * n * 104_729) % 1_000_003 / 999_983 for n in range(SAMPLES)],
        )
        for number in range(SERVER_SERIES)
    ]
    for at in range(0, len(batches), 500):
        writer.send(batches[at : at + 500])


def _server_cpu_s(prometheus: Prometheus) -> float:
    text = urllib3.request("GET", f"{prometheus.url}/metrics").data.decode()
    line = next(one for one in text.splitlines() if one.startswith("process_cpu_seconds_total "))
    return float(line.split()[1])


def _version(prometheus: Prometheus) -> str:
    body = urllib3.request("GET", f"{prometheus.url}/api/v1/status/buildinfo").json()
    return str(body["data"]["version"])
