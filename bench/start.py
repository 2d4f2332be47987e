"""A cold start: from a new process to the first query, beside boto3 and one client."""

import subprocess
import sys
import time
from dataclasses import dataclass

from bench.measure import (
    Usage,
    cpu_of_children,
    cpu_s,
    describe_machine,
    interleave,
    ratio,
    wall_s,
)
from bench.way import BUCKET, PROJECT, python_environment
from localcloud.aws import KEYS, REGION

ROUNDS = 15

BOTO3 = "import boto3; boto3.client('s3')"
# What the function does until its first query has been answered.
FUNCTION = """
import os
from mimir_exporter import handler
with handler.create_context(
    handler.load_settings(os.environ), handler.Deadline(60), run_id="bench"
) as context:
    context.mimir.query("vector(1)")
"""
IMPORT = "from mimir_exporter import handler"
# What of it is not ours.
LIBRARIES = "import aws_lambda_powertools.metrics, obstore.store, urllib3"
# The package that ships has no bytecode: what a start compiles, once more.
COMPILE = """
from mimir_exporter import handler
import sys
for module in list(sys.modules.values()):
    path = getattr(module, "__file__", None) or ""
    if path.endswith(".py") and ("site-packages" in path or "mimir_exporter" in path):
        with open(path, "rb") as file:
            compile(file.read(), path, "exec")
"""


@dataclass(frozen=True)
class Start:
    """Seconds of CPU (and clock) of whole processes; `ratio` is that of CPU.

    All with bytecode at hand; `compile_s` is what compiling comes to where there is none.
    """

    boto3_s: float
    libraries_s: float
    import_s: float
    function_s: float
    boto3_wall_s: float
    function_wall_s: float
    ratio: float
    compile_s: float
    date: str = ""
    machine: str = ""


def measure_start(server: str) -> Start:
    """The first round, which may write bytecode, does not count."""
    host, _, port = server.removeprefix("http://").partition(":")
    env = python_environment() | {
        **KEYS,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOSTNAME": host,
        "PORT": port,
        "S3_BUCKET": BUCKET,
        "S3_PREFIX": "k8s/prometheus",
        "CLUSTER_NAME": "central",
        "AWS_ENDPOINT_URL": server,
    }

    def contender(code: str) -> Usage:
        cpu = cpu_of_children()
        wall = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], env=env, cwd=PROJECT, check=True)
        return Usage(cpu_of_children() - cpu, time.perf_counter() - wall)

    contenders = {
        "boto3": lambda: contender(BOTO3),
        "libraries": lambda: contender(LIBRARIES),
        "import": lambda: contender(IMPORT),
        "function": lambda: contender(FUNCTION),
        "compile": lambda: contender(COMPILE),
    }
    interleave(contenders, 1)
    runs = interleave(contenders, ROUNDS)
    return Start(
        cpu_s(runs["boto3"]),
        cpu_s(runs["libraries"]),
        cpu_s(runs["import"]),
        cpu_s(runs["function"]),
        wall_s(runs["boto3"]),
        wall_s(runs["function"]),
        ratio(runs["function"], runs["boto3"]),
        cpu_s(runs["compile"]) - cpu_s(runs["import"]),
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        machine=describe_machine(),
    )
