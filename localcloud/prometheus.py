"""A real Prometheus on a free loopback port: starts empty, scrapes nothing, takes pushes."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import urllib3

from localcloud.http_api import ask, ask_range
from localcloud.processes import Process, Program, StartError, serve

PROJECT = Path(__file__).resolve().parents[1]
CACHE = PROJECT / "build" / "prometheus"
OLDEST = (2, 39)  # the first with storage.tsdb.out_of_order_time_window
HOW_TO_INSTALL = "install Prometheus 2.39 or later so that `prometheus` is on PATH, and try again"

# Nothing is scraped. The window lets a pusher send any part of the history at any time.
CONFIG = """\
global:
  scrape_interval: 60s
storage:
  tsdb:
    out_of_order_time_window: 45d
"""


@dataclass(frozen=True)
class Login:
    """Basic authentication, as the server's file of users and as the client's header.

    `bcrypt` is the password's hash, as `htpasswd -nB` prints it.
    """

    username: str
    password: str
    bcrypt: str

    @property
    def header(self) -> dict[str, str]:
        return urllib3.make_headers(basic_auth=f"{self.username}:{self.password}")

    @property
    def web_config(self) -> str:
        return f"basic_auth_users:\n  {self.username}: {self.bcrypt}\n"


# The cheapest hash there is: it guards made-up numbers on the loopback interface.
DEMO_LOGIN = Login(
    username="exporter",
    password="three-days-of-metrics",  # noqa: S106 - of made-up numbers
    bcrypt="$2b$04$Uk/UbFFmXcQ2HCIEEoclbOCjPPlKIFIcLByjo/0DOo4fcOTsUE6n.",
)


@dataclass(frozen=True)
class Prometheus:
    """A running server. `url` ends with the path prefix, without a slash."""

    port: int
    path_prefix: str
    server: Process
    login: Login | None = None

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.login is None else self.login.header

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path_prefix}"

    @property
    def write_url(self) -> str:
        return f"{self.url}/api/v1/write"

    def query(self, promql: str, at_s: float) -> list[dict[str, Any]]:
        """The instant vector at a unix time: elements with `metric` and `value`."""
        fields = {"query": promql, "time": repr(at_s)}
        answer = json.loads(ask("Prometheus", f"{self.url}/api/v1/query", fields, self.headers))
        vector: list[dict[str, Any]] = answer["data"]["result"]
        return vector

    def query_range(self, promql: str, first_s: int, last_s: int, step_s: int) -> bytes:
        """The body of a query_range answer over [first, last], both ends included."""
        query = (promql, first_s, last_s, step_s)
        return ask_range("Prometheus", self.url, query, headers=self.headers)


@contextlib.contextmanager
def running_prometheus(
    path_prefix: str = "/prometheus",
    *,
    login: Login | None = None,
    max_samples: int | None = None,
    native_histograms: bool = False,
) -> Iterator[Prometheus]:
    """Run an empty Prometheus until the block ends; its data goes with it.

    With credentials every request needs it. `max_samples` is how many samples a query may hold in
    memory, past which Prometheus refuses it with 422. `native_histograms` are not taken unless
    asked for. Raises StartError.
    """
    binary = find_prometheus()
    with tempfile.TemporaryDirectory(prefix="prometheus-", ignore_cleanup_errors=True) as folder:
        config = Path(folder, "prometheus.yml")
        config.write_text(CONFIG, "utf-8")

        def make(port: int) -> Program:
            argv = [
                str(binary),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder}/data",
                "--storage.tsdb.retention.time=10y",
                f"--web.listen-address=127.0.0.1:{port}",
                f"--web.external-url=http://127.0.0.1:{port}{path_prefix}",
                f"--web.route-prefix={path_prefix or '/'}",
                "--web.enable-remote-write-receiver",
                "--log.level=warn",
            ]
            if max_samples is not None:
                argv.append(f"--query.max-samples={max_samples}")
            if native_histograms:
                argv.append("--enable-feature=native-histograms")
            if login is not None:
                Path(folder, "web.yml").write_text(login.web_config, "utf-8")
                argv.append(f"--web.config.file={folder}/web.yml")
            assets = CACHE / "usr/share/prometheus/web"
            if binary.is_relative_to(CACHE) and assets.is_dir():
                argv.append(f"--web.local-assets={assets}")  # a flag of Debian's build only
            return Program(
                name="Prometheus",
                argv=argv,
                env=dict(os.environ),
                ready_url=f"http://127.0.0.1:{port}{path_prefix}/-/ready",
                ready_headers={} if login is None else login.header,
                log=Path(folder, "prometheus.log"),
                scratch=Path(folder),
            )

        with serve(make) as (server, port):
            yield Prometheus(port, path_prefix, server, login)


def find_prometheus() -> Path:
    """Prometheus from PATH, else from the distribution's package, unpacked under build/.

    `apt-get download` and `dpkg -x` need no root and start no service, unlike `apt-get install`,
    which leaves a daemon on port 9090. Raises StartError with one sentence.
    """
    on_path = shutil.which("prometheus")
    if on_path is not None:
        return _checked(Path(on_path))
    cached = CACHE / "usr/bin/prometheus"
    if not cached.exists():
        _unpack_from_distribution()
    return _checked(cached)


def _unpack_from_distribution() -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise StartError(f"Prometheus is not on PATH and this is no Debian: {HOW_TO_INSTALL}.")
    if not _apt_knows_prometheus() and os.geteuid() == 0:
        _run(["apt-get", "update"])
    if not _apt_knows_prometheus():
        raise StartError(
            "Prometheus is not on PATH and apt has no package list with it: run "
            f"`sudo apt-get update` and try again, or {HOW_TO_INSTALL}."
        )
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as folder:
        # As root apt would drop to the user _apt, who may not write here.
        sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
        _run(["apt-get", *sandbox, "download", "prometheus"], cwd=Path(folder))
        (package,) = Path(folder).glob("prometheus_*.deb")
        _run(["dpkg", "-x", str(package), str(CACHE)])


def _apt_knows_prometheus() -> bool:
    answer = subprocess.run(
        ["apt-cache", "show", "prometheus"], capture_output=True, text=True, check=False
    )
    return answer.returncode == 0 and "Filename:" in answer.stdout


def _run(argv: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())[-300:]
        raise StartError(f"`{' '.join(argv)}` failed ({said}): {HOW_TO_INSTALL}.")


def _checked(binary: Path) -> Path:
    """The binary itself, if it runs here and is new enough."""
    version = version_of(binary)
    if version < OLDEST:
        raise StartError(f"{binary} is version {version[0]}.{version[1]}: {HOW_TO_INSTALL}.")
    return binary


@cache
def version_of(binary: Path) -> tuple[int, int]:
    """The version that Prometheus says it is. Raises StartError where it does not run here."""
    try:
        done = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise StartError(f"{binary} does not run here ({error}): {HOW_TO_INSTALL}.") from error
    found = re.search(r"version (\d+)\.(\d+)", done.stdout + done.stderr)
    if found is None:
        said = " ".join(done.stderr.split())[-300:]
        raise StartError(f"{binary} does not run here ({said}): {HOW_TO_INSTALL}.")
    return int(found[1]), int(found[2])
