"""See the exporter work on this machine: `make demo`, or `make demo KEEP=1` to look around."""

import os
import signal
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from localcloud import views
from localcloud.aws import Cloud, running_cloud
from localcloud.cdk import Cdk, install_cli
from localcloud.coverage_page import write_page
from localcloud.exporter import Exporter, InvocationError, deploy_exporter
from localcloud.history import CLUSTERS, History, Outage, load_steps, send_late
from localcloud.processes import StartError, leave_on_sigterm
from localcloud.prometheus import DEMO_LOGIN, Prometheus, find_prometheus, running_prometheus
from localcloud.remote_write import RemoteWriter

PACKAGE = Path(__file__).resolve().parents[1] / "lambda" / "mimir_exporter"
CATALOG = PACKAGE / "catalog" / "catalog.toml"
COVERAGE_PAGE = Path(__file__).resolve().parents[1] / "build" / "coverage.html"
DAYS = 3
HOUR_S, DAY_S = 3600, 86_400
# Of the day before: a cluster's agent has no connection, and sends what it has later.
CUT_OFF, OUTAGE_HOURS = "prod-us", (9, 12)
TIMEOUT_S = 15  # not enough for three days, so that the rest goes to Step Functions
BACKFILL_TIMEOUT_S = 900
SETTINGS = {
    "timeout_s": "60",
    "backfill_days": f"{DAYS}d",
    "backfill_concurrency": "2",
    "retention_days": "30",
}


class Demo:
    """The demo, step by step. Each step prints what it does and what came out of it."""

    def __init__(self, console: Console) -> None:
        self._say = console
        self._began = time.monotonic()
        # An hour more than is asked for: what is exported begins on the full hour before.
        self._history = History(end_s=int(time.time()) // 60 * 60, days=DAYS + 1 / 24)
        day = self._history.end_s // DAY_S * DAY_S - DAY_S
        self._outage = Outage(CUT_OFF, *(day + hour * HOUR_S for hour in OUTAGE_HOURS))

    def run(self, *, keep: bool) -> None:
        self._announce()
        with ExitStack() as running:
            self._install()
            prometheus, cloud = self._start(running)
            self._load(prometheus)
            exporter = self._deploy(cloud, prometheus)
            self._export(exporter)
            self._heal(exporter, prometheus)
            self._show(exporter)
            if keep:
                self._wait(exporter, prometheus)
        seconds = time.monotonic() - self._began
        self._say.print(
            f"\nDone after {seconds:.0f} s; all that was started is stopped and removed."
        )
        if not keep:
            self._say.print("`make demo KEEP=1` leaves it running, to look around.")

    def _announce(self) -> None:
        names = ", ".join(cluster.name or "one without a cluster label" for cluster in CLUSTERS)
        self._say.print(
            "[bold]Kubernetes metrics from Prometheus to S3, on this machine alone[/bold]\n\n"
            "1. start Prometheus, and MiniStack in the place of AWS, on free loopback ports\n"
            f"2. push {DAYS} days of metrics of {len(CLUSTERS)} clusters:\n   {names}\n"
            "3. deploy the stack with the CDK CLI, and put the login into its secret\n"
            f"4. invoke the export function, whose time is cut to {TIMEOUT_S} s here, and follow\n"
            "   the rest through Step Functions\n"
            f"5. let {CUT_OFF}, which was cut off for some hours, catch up: the audit finds it,\n"
            "   and exports these windows again\n"
            "6. look at the files, at the map of what they cover, and at the log",
            highlight=False,
        )

    def _install(self) -> None:
        with self._step("Looking for Prometheus and the CDK CLI") as told:
            told.append(f"{find_prometheus()}\n{install_cli()}")

    def _start(self, running: ExitStack) -> tuple[Prometheus, Cloud]:
        with self._step("Starting Prometheus and MiniStack") as told:
            prometheus = running.enter_context(running_prometheus(login=DEMO_LOGIN))
            cloud = running.enter_context(running_cloud())
            told.append(f"Prometheus  {prometheus.url}\nAWS         {cloud.endpoint}")
        return prometheus, cloud

    def _load(self, prometheus: Prometheus) -> None:
        writer = RemoteWriter(prometheus.write_url, prometheus.headers)
        with self._step(f"Pushing {DAYS} days of metrics") as told:
            samples = sum(load_steps(self._history, writer, self._outage))
            told.append(
                f"{samples:,} samples, one a minute of each series; {CUT_OFF} is cut off from "
                f"{self._cut_off}"
            )

    def _deploy(self, cloud: Cloud, prometheus: Prometheus) -> Exporter:
        cdk = Cdk(cloud)
        with self._step("cdk bootstrap"):
            cdk.bootstrap()
        with self._step("cdk deploy") as told:
            exporter = deploy_exporter(cdk, cloud, prometheus, SETTINGS)
            exporter.limit_time(TIMEOUT_S)
            told.append(f"function  {exporter.function_name}\nbucket    {exporter.bucket}")
        return exporter

    def _export(self, exporter: Exporter) -> None:
        with self._step("Invoking the function with the event {}") as told:
            result = exporter.invoke()
            told.append(self._result(result))
        rounds = 0
        while result["outcome"] != "complete":
            rounds += 1
            if rounds > 5:
                raise InvocationError(f"not complete after {rounds} runs: {result['message']}")
            if result["execution"]:
                self._follow(exporter, result["execution"])
            with self._step("Invoking it again, as the schedule does every 30 minutes") as told:
                result = exporter.invoke()
                told.append(self._result(result))

    def _follow(self, exporter: Exporter, execution: str) -> None:
        self._say.print("\n[bold]The backfill in Step Functions[/bold]")
        columns = [TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn()]
        with Progress(*columns, TimeElapsedColumn(), console=self._say) as bars:
            now = exporter.progress(execution)
            bar = bars.add_task("windows", total=now.windows)
            deadline = time.monotonic() + BACKFILL_TIMEOUT_S
            while now.running and time.monotonic() < deadline:
                bars.update(bar, completed=now.done)
                time.sleep(0.5)
                now = exporter.progress(execution)
            bars.update(bar, completed=now.done)
        self._say.print(f"{now.status}: {now.done} windows, {now.failed} failed")

    @property
    def _cut_off(self) -> str:
        begin, end = (
            datetime.fromtimestamp(moment, UTC)
            for moment in (self._outage.start_s, self._outage.end_s)
        )
        return f"{begin:%Y-%m-%d %H:%M} to {end:%H:%M} UTC"

    def _heal(self, exporter: Exporter, prometheus: Prometheus) -> None:
        """The agent catches up after its windows were exported: only an audit can see that."""
        between = {
            "start": self._outage.start_s,
            "end": self._outage.end_s,
        }
        with self._step(f"Asking for the status of {self._cut_off}") as told:
            told.append(exporter.invoke({"action": "status", **between})["message"])
            told.append(f"files of {CUT_OFF}: {self._held(exporter)}")
        with self._step(f"The agent of {CUT_OFF} is back, and sends what it kept") as told:
            writer = RemoteWriter(prometheus.write_url, prometheus.headers)
            told.append(f"{send_late(self._history, writer, self._outage):,} samples")
        with self._step("Auditing these hours, as a run does a day after the export") as told:
            result = exporter.invoke({"action": "audit", **between})
            told.append(self._result(result))
            told.append(f"files of {CUT_OFF}: {self._held(exporter)}")
        with self._step("Asking for the status again") as told:
            told.append(exporter.invoke({"action": "status", **between})["message"])

    def _held(self, exporter: Exporter) -> str:
        """What the bucket has of the cluster's CPU usage in the outage."""
        keys = [
            key
            for key in exporter.list_keys()
            if f"/{CUT_OFF}/" in key
            and "/metric=cpu_usage/" in key
            and self._outage.start_s <= start_of(key) < self._outage.end_s
        ]
        samples = sum(exporter.describe(key)[2] for key in keys)
        return f"{len(keys)} of cpu_usage, {samples:,} samples"

    def _show(self, exporter: Exporter) -> None:
        keys = exporter.list_keys()
        files = [key for key in keys if key.endswith(".json.gz")]
        self._say.print(f"\n[bold]The bucket: {len(files):,} files[/bold]")
        self._say.print(views.folder_tree(exporter.bucket, exporter.prefix, keys))
        clusters = Counter(key.removeprefix(exporter.prefix).split("/")[1] for key in files)
        largest = clusters.most_common(1)[0][0]
        example = [key for key in files if f"/{largest}/" in key and "=cpu_usage/" in key][-1]
        self._say.print(f"\n[bold]One file[/bold]\n{example}", soft_wrap=True, highlight=False)
        self._say.print(views.file_content(exporter.read(example)))
        self._say.print("\n[bold]Coverage by metric and cluster[/bold]")
        metrics = [metric["name"] for metric in tomllib.loads(CATALOG.read_text("utf-8"))["metric"]]
        with ThreadPoolExecutor(4) as pool:
            described = list(pool.map(exporter.describe, files))
        self._say.print(views.coverage(described, metrics))
        self._show_coverage(exporter, newest_start(files))
        self._say.print("\n[bold]The end of the function's log[/bold]")
        for event in list(exporter.log_events())[-4:]:
            self._say.print(views.log_line(event))

    def _show_coverage(self, exporter: Exporter, newest: datetime) -> None:
        # In the first hour of a month nothing of it is due: the one before has all.
        month = newest.strftime("%Y-%m")
        answer = exporter.invoke({"action": "status", "month": month})["message"]
        write_page(exporter, month, COVERAGE_PAGE)
        self._say.print(f"\n[bold]Is {newest:%B %Y} complete?[/bold]")
        self._say.print(
            f"{answer}\nThe coverage map, for a browser: {COVERAGE_PAGE.as_uri()}",
            highlight=False,
            soft_wrap=True,
        )

    def _wait(self, exporter: Exporter, prometheus: Prometheus) -> None:
        env = (
            "AWS_ENDPOINT_URL",
            "AWS_DEFAULT_REGION",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
        )
        lines = [f"export {name}={exporter.cloud.env[name]}" for name in env]
        function, bucket, login = exporter.function_name, exporter.bucket, DEMO_LOGIN
        self._say.print("\n[bold]To look further, in another terminal[/bold]")
        self._say.print(
            "\n".join(lines)
            + f"\naws s3 ls --recursive s3://{bucket}/ | head"
            + f"\naws lambda invoke --function-name {function} \\"
            + "\n    --cli-binary-format raw-in-base64-out \\"
            + """\n    --payload '{"action": "check"}' /dev/stdout"""
            + "\n\nwithout the AWS CLI:"
            + f"\n{sys.executable} -c 'import boto3"
            + f'\nfor file in boto3.resource("s3").Bucket("{bucket}").objects.limit(9):'
            + "\n    print(file.size, file.key)'"
            + f"\n{sys.executable} -c 'import boto3, json"
            + """\nevent = json.dumps({"action": "check"})"""
            + f'\nanswer = boto3.client("lambda").invoke(FunctionName="{function}", Payload=event)'
            + """\nprint(json.dumps(json.load(answer["Payload"]), indent=2))'"""
            + "\n\nother events: {}, "
            + """{"action": "status"}, and those in events/"""
            + "\n\nthe same from this Prometheus into a folder, without the function:"
            + f"\nexport PYTHONPATH={CATALOG.parents[1]} HOSTNAME=127.0.0.1 "
            + f"PORT={prometheus.port} PATH_PREFIX=prometheus \\"
            + f"\n    PROMETHEUS_USERNAME={login.username} PROMETHEUS_PASSWORD={login.password} \\"
            + "\n    CLUSTER_NAME=central QUERY_DELAY=0"
            + f"\n{sys.executable} -m mimir_exporter export --from {datetime.now(UTC):%Y-%m-%d} "
            + "--folder exports"
            + f"\n\nPrometheus: {prometheus.url}/graph  ({login.username}, {login.password})"
            + "\nIts metrics end when the demo began: nothing is scraped here.",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
        self._say.print("\nCtrl-C stops and removes everything.")
        try:
            while exporter.cloud.alive and prometheus.server.alive:
                time.sleep(0.5)
        except KeyboardInterrupt:
            self._say.print()

    def _result(self, result: dict[str, Any]) -> str:
        windows = ", ".join(
            f"{count} {name.replace('_', ' ')}" for name, count in result["windows"].items()
        )
        return f"{result['outcome']}: {result['message']}\nwindows: {windows}"

    @contextmanager
    def _step(self, title: str) -> Iterator[list[str]]:
        """Print the title, how long the block took, and what it appended."""
        began = time.monotonic()
        told: list[str] = []
        clock = datetime.now(UTC).strftime("%H:%M:%S")
        self._say.print()
        with self._say.status(title):
            yield told
        self._say.print(
            f"[bold]{title}[/bold] [dim]({time.monotonic() - began:.1f} s, {clock})[/dim]",
            highlight=False,
        )
        for text in told:
            self._say.print(text, highlight=False, soft_wrap=True, markup=False)


def newest_start(keys: Sequence[str]) -> datetime:
    """When the newest window of these files begins; it is in a file's name."""
    return datetime.fromtimestamp(max(map(start_of, keys)), UTC)


def start_of(key: str) -> int:
    """When the window of a file begins, unix seconds."""
    return int(key.rpartition("/")[2].partition("_")[0])


def main() -> int:
    leave_on_sigterm()
    # Also where a script started it in the background, and so with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    console = Console(stderr=False)
    try:
        Demo(console).run(keep=os.environ.get("KEEP", "") not in ("", "0"))
    except (StartError, InvocationError) as error:
        console.print(f"\n{error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("\nInterrupted. Everything that was started has been stopped and removed.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
