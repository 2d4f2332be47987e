"""The exporter as a command, without any cloud: a process of its own, as a person starts it."""

import itertools
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localcloud.aws import Cloud
from localcloud.prometheus import Prometheus
from mimir_exporter.catalog.metrics import load_catalog
from mimir_exporter.storage.folder import STATE
from tests.compare import Contract, compare
from tests.integration.deployment import CENTRAL, HOUR_S, LAST_END, PREFIX, asking

LAMBDA = Path(__file__).parents[2] / "lambda"
HOURS = 4
FROM = str(LAST_END - HOURS * HOUR_S)
RANGE = ("--from", FROM, "--to", "2025-03-01T12:00:00Z")
FEW = ("cpu_usage", "node_info", "pod_info")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Done:
    """What a command ended with. `said` are its log lines."""

    status: int
    result: dict[str, Any]
    errors: str

    @property
    def said(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.errors.splitlines() if line.startswith("{")]

    def messages(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.said if line["message"] == message]


@dataclass(frozen=True)
class Command:
    """`python -m mimir_exporter` with these variables."""

    env: Mapping[str, str]

    def start(self, *arguments: str, **env: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(  # noqa: S603 - a program of this project
            [sys.executable, "-m", "mimir_exporter", *arguments],
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **env: str) -> Done:
        process = self.start(*arguments, **env)
        try:
            out, errors = process.communicate(timeout=120)
        finally:
            process.kill()
        return Done(process.returncode, json.loads(out or "{}"), errors)


@pytest.fixture
def command(mimir: Prometheus) -> Command:
    usual = {
        "PYTHONPATH": str(LAMBDA),
        "PATH": os.environ["PATH"],
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        **asking(mimir),
    }
    return Command(usual)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file by its key, without the exporter's own."""
    found = (
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "_manifests" not in path.parts
    )
    keys = {path.relative_to(folder).as_posix(): path for path in found}
    return {
        key: path.read_bytes()
        for key, path in keys.items()
        if not key.startswith(STATE) and not key.endswith("/checkpoint.json")
    }


def differences(mimir: Prometheus, files: Mapping[str, bytes], *metrics: str) -> list[str]:
    return compare(
        mimir.query_range,
        files.items(),
        catalogue={
            one.name: one.promql("cluster")
            for one in load_catalog()
            if not metrics or one.name in metrics
        },
        start=int(FROM),
        end=LAST_END,
        contract=Contract(prefix=PREFIX, cluster_name=CENTRAL),
    )


def test_a_folder_gets_the_files_that_a_bucket_gets(
    command: Command, cloud: Cloud, mimir: Prometheus, tmp_path: Path
) -> None:
    local = command.run("export", *RANGE, "--folder", str(tmp_path))
    assert (local.status, local.result["outcome"]) == (0, "complete")
    done = "2025-03-01T08:00:00Z/2025-03-01T12:00:00Z is exported"
    assert local.result["message"].startswith(f"{HOURS}/{HOURS} windows exported; {done}")
    files = files_of(tmp_path)
    assert local.result["objects"] == len(files)
    assert differences(mimir, files) == []

    bucket = f"local-{next(_numbers)}"
    cloud.create_bucket(bucket)
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    where = {"AWS_ENDPOINT_URL": cloud.endpoint, "S3_BUCKET": bucket, "AWS_REGION": "eu-central-1"}
    remote = command.run("export", *RANGE, **keys, **where, RETENTION_DAYS="0")
    assert (remote.status, remote.result["outcome"]) == (0, "complete")
    pages = cloud.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    listed = [entry["Key"] for page in pages for entry in page["Contents"]]
    listed.remove(f"{PREFIX}/{CENTRAL}/checkpoint.json")
    listed = [key for key in listed if "/_manifests/" not in key]
    assert sorted(listed) == sorted(files)
    for key in listed:
        assert cloud.s3.get_object(Bucket=bucket, Key=key)["Body"].read() == files[key], key


def test_a_command_on_a_deployment_s_checkpoint_deletes_nothing_and_changes_no_setting(
    command: Command, tmp_path: Path
) -> None:
    """From a laptop, without the deployment's settings: RETENTION_DAYS=0, its label, its frame."""
    few = ("export", *RANGE, "--metrics", "node_info", "--folder", str(tmp_path))
    assert command.run(*few).status == 0
    before, key = files_of(tmp_path), tmp_path / PREFIX / CENTRAL / "checkpoint.json"
    document = json.loads(key.read_bytes())
    # As a deployment would have it, with a metric of its own whose gap is known.
    document["state_machine"] = "arn:aws:states:eu-central-1:000000000000:stateMachine:backfill"
    (group,) = (one for one in document["progress"] if "node_info" in one["metrics"])
    own = {**group, "metrics": ["my_metric"], "exported": [], "empty": []}
    document["progress"].append(own)
    document["errors"] = [
        {"code": "query_rejected", "summary": "no", "cause": "", "remedy": "correct it"}
    ]
    document["failures"] = [
        {
            "metric": "my_metric",
            "ranges": ["2025-03-01T08:00:00Z/2025-03-01T09:00:00Z"],
            "attempts": 5,
            "at": "2025-03-01T13:00:00Z",
            "error": 0,
        }
    ]
    key.write_text(json.dumps(document))
    other = {"CLUSTER_LABEL_NAME": "node", "SPLIT_BY_CLUSTER": "false", "TIME_FRAME": "30m"}
    ended = command.run("reexport", *few[1:], "--change-layout", **other)
    assert ended.status == 2
    assert "deploy the change instead" in ended.errors
    for name in other:
        assert f"{name} is " in ended.errors
    ended = command.run("reexport", *few[1:], RETENTION_DAYS="0")
    assert (ended.status, ended.result["deleted"]) == (0, 0)
    after = json.loads(key.read_bytes())
    for name in ("schedules", "partition", "failures", "state_machine", "deleted_until"):
        assert after[name] == document[name]
    assert own["since"] in {
        one["since"] for one in after["progress"] if "my_metric" in one["metrics"]
    }
    assert files_of(tmp_path) == before


def test_a_changed_layout_is_refused_unless_it_is_meant(command: Command, tmp_path: Path) -> None:
    few = ("export", *RANGE, "--metrics", "node_info", "--folder", str(tmp_path))
    assert command.run(*few).status == 0
    refused = command.run(*few, TIME_FRAME="30m")
    assert refused.status == 2
    assert "TIME_FRAME is 1800, not 3600" in refused.errors
    assert "add --change-layout" in refused.errors
    assert command.run(*few, "--change-layout", TIME_FRAME="30m").status == 0


def test_the_same_command_again_does_what_is_left(command: Command, tmp_path: Path) -> None:
    few = ("export", *RANGE, "--metrics", "node_info", "--folder", str(tmp_path))
    assert command.run(*few).result["windows"]["planned"] == HOURS
    before = files_of(tmp_path)
    again = command.run(*few)
    assert (again.status, again.result["windows"]["planned"]) == (0, 0)
    assert again.result["message"].endswith("to export it again, use reexport.")
    assert command.run("reexport", *few[1:]).result["windows"]["exported"] == HOURS
    assert files_of(tmp_path) == before
    other = command.run(*few[:-4], "--metrics", "node_info,pod_info", "--folder", str(tmp_path))
    assert {line["metric"] for line in other.messages("metric exported")} == {"pod_info"}


def test_what_ctrl_c_leaves_is_done_by_the_same_command(
    command: Command, mimir: Prometheus, tmp_path: Path
) -> None:
    few = ("export", *RANGE, "--metrics", ",".join(FEW), "--folder", str(tmp_path))
    process = command.start(*few, QUERY_DELAY="1")
    try:
        assert process.stderr is not None
        lines = (json.loads(line) for line in process.stderr)
        exported = (line for line in lines if line["message"] == "metric exported")
        assert len(list(itertools.islice(exported, 4))) == 4
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, "")
    assert errors.splitlines()[-1].startswith("Interrupted: ")
    assert errors.splitlines()[-1].endswith("run the same command again to continue.")
    rest = command.run(*few)
    assert (rest.status, rest.result["outcome"]) == (0, "complete")
    assert len(rest.messages("metric exported")) <= len(FEW) * HOURS - 4
    assert differences(mimir, files_of(tmp_path), *FEW) == []


def test_two_commands_at_once_do_no_harm(
    command: Command, mimir: Prometheus, tmp_path: Path
) -> None:
    few = ("export", *RANGE, "--metrics", ",".join(FEW), "--folder", str(tmp_path))
    both = [command.start(*few), command.start(*few)]
    for process in both:
        process.communicate(timeout=120)
        assert process.returncode in (0, 1)  # 1: the other one was at work
    assert command.run(*few).status == 0
    assert differences(mimir, files_of(tmp_path), *FEW) == []


def test_a_failed_metric_is_said_and_the_status_is_1(command: Command, tmp_path: Path) -> None:
    extra = json.dumps({"broken": "sum by (cluster)("})
    done = command.run(
        "export", *RANGE, "--metrics", "broken,node_info", "--folder", str(tmp_path),
        EXTRA_METRICS=extra,
    )  # fmt: skip
    assert (done.status, done.result["outcome"]) == (1, "unfinished")
    assert "failed: broken (" in done.result["message"]
    assert any("/metric=node_info/" in key for key in files_of(tmp_path))


def test_check_and_status_are_the_function_s(command: Command, tmp_path: Path) -> None:
    here = ("--folder", str(tmp_path))
    found = command.run("check", *here)
    # The history ends long before this process's clock: no series is a finding, and the only one.
    assert (found.status, found.result["outcome"]) == (1, "not_ready")
    assert {one["what"] for one in found.result["findings"] if one["level"] == "error"} == {
        "metrics"
    }
    assert f"{tmp_path}/{PREFIX}/{CENTRAL}/probe.json" in json.dumps(found.result)
    status = command.run("status", *here)
    assert (status.status, status.result["outcome"]) == (1, "nothing_yet")
    command.run("export", *RANGE, "--metrics", "node_info", *here)
    one = command.run("status", "--from", FROM, "--to", str(LAST_END), "--files", *here)
    assert one.status == (0 if one.result["outcome"] == "complete" else 1)
    month = command.run("status", "--month", "2025-03", *here)
    assert month.result["range"].startswith("2025-03-01T00:00:00Z/")
    assert one.result["files"]["objects"] == len(files_of(tmp_path))


NOWHERE = {"S3_BUCKET": "bucket-name", "AWS_REGION": "eu-central-1"}
WRONG: dict[str, tuple[tuple[str, ...], dict[str, str], str]] = {
    "no action": ((), {}, "The following arguments are required: ACTION; "),
    "no time": (("export",), {}, "The following arguments are required: --from; "),
    "a bad time": (
        ("export", "--from", "monday"),
        {},
        "Invalid --from 'monday': expected a time such as",
    ),
    "again": (("export", "--from", "2025-03-01", "--again"), {}, "export takes no 'again': "),
    "force": (("export", "--from", "2025-03-01", "--force"), {}, "export takes no 'force': "),
    "no place": (
        ("run",),
        {},
        "S3_BUCKET is not set; set it, or give a folder of this machine with ",
    ),
    "no credentials": (("run",), NOWHERE, "No AWS credentials found; set AWS_PROFILE, or "),
    "no such profile": (
        ("run",),
        {**NOWHERE, "AWS_PROFILE": "nobody"},
        "The AWS credentials cannot be used (The config profile (nobody) could not be found)",
    ),
    "no region": (
        ("run",),
        {"S3_BUCKET": "bucket-name", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"},
        "No AWS region found; set AWS_REGION to the bucket's, ",
    ),
    "a bad setting": (
        ("run",),
        {**NOWHERE, "TIME_FRAME": "soon"},
        "Invalid TIME_FRAME (cdk.json: time_frame) 'soon': expected a number",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_usage_is_one_sentence_and_status_2(case: str, command: Command) -> None:
    arguments, env, says = WRONG[case]
    done = command.run(*arguments, **env)
    assert done.status == 2
    assert done.errors.startswith(says)
    assert done.errors.count("\n") == 1
    assert done.result == {}


def test_an_endpoint_that_is_not_there_is_one_sentence_and_status_1(
    command: Command, tmp_path: Path
) -> None:
    done = command.run("export", *RANGE, "--folder", str(tmp_path), PORT="9")
    assert done.status == 1
    assert "127.0.0.1" in done.errors.splitlines()[-1]
    assert "Traceback" not in done.errors


@contextmanager
def terminal() -> Iterator[tuple[int, Callable[[], str]]]:
    """A terminal: where to write to, and what was written in all once that is closed."""
    ours, theirs = pty.openpty()

    def read() -> str:
        said = b""
        try:
            while block := os.read(ours, 65536):
                said += block
        except OSError:  # on Linux this means that no process writes any more
            pass
        return said.decode()

    try:
        yield theirs, read
    finally:
        os.close(ours)


def test_a_terminal_shows_a_bar_and_then_the_result(command: Command, tmp_path: Path) -> None:
    few = ("export", *RANGE, "--metrics", "node_info", "--folder", str(tmp_path))
    with terminal() as (theirs, read):
        process = subprocess.Popen(  # noqa: S603 - a program of this project
            [sys.executable, "-m", "mimir_exporter", *few],
            env={**command.env, "COLUMNS": "120"},
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        said = read()
        assert process.wait(timeout=120) == 0
    assert f"windows 2/{HOURS} ########........ node_info, " in said
    last = said.rpartition("\x1b[K")[2].splitlines()
    assert last[0].startswith(f"{HOURS}/{HOURS} windows exported; ")
    assert f"  windows: planned {HOURS}, exported {HOURS}, failed 0" in last[1]
