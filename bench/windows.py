"""Whole windows through the handler, beside the floor under them: what a fleet really takes."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.answers import Shape
from bench.way import BUCKET, python_environment, run_module
from localcloud.aws import Cloud

# Series of one metric, and clusters; every metric of the catalogue gets the same answer.
SIZES = ((2_000, 20), (6_000, 300), (20_000, 1_000))


@dataclass(frozen=True)
class WholeWindow:
    """A window through the handler in a process of its own, its start included.

    `parts` are seconds of CPU: of a second run that counts them, and takes a little more for it.
    `floor_*` is raw ISA-L of level 1 on the same answers, and as many PUTs by obstore of files of
    the average size. `load_1m` is what else was at work on the machine.
    """

    clusters: int
    series: int
    size_mb: float
    objects: int
    metrics: int
    cpu_s: float
    wall_s: float
    peak_mb: float
    parts: Mapping[str, float]
    floor_compress_s: float
    floor_put_s: float
    load_1m: float
    date: str

    @property
    def ratio(self) -> float:
        """CPU to the floor's."""
        return self.cpu_s / (self.floor_compress_s + self.floor_put_s)


def measure_windows(server: str, cloud: Cloud) -> list[WholeWindow]:
    """All sizes, against MiniStack: every write is signed and conditional, as at S3."""
    existing = {one["Name"] for one in cloud.s3.list_buckets()["Buckets"]}
    if BUCKET not in existing:
        cloud.s3.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
    return [_measure(Shape("usual", *size), server, cloud) for size in SIZES]


def _measure(shape: Shape, server: str, cloud: Cloud) -> WholeWindow:
    host, _, port = server.removeprefix("http://").partition(":")
    env = cloud.env | {
        "PYTHONPATH": python_environment()["PYTHONPATH"],
        "HOSTNAME": host,
        "PORT": port,
        "PATH_PREFIX": f"/kept-{shape.name}",
        "S3_BUCKET": BUCKET,
        "CLUSTER_NAME": "central",
        "QUERY_DELAY": "0",
        "BACKFILL_DAYS": "1h",
        "RETENTION_DAYS": "0",
        "POWERTOOLS_METRICS_NAMESPACE": "bench",
        "POWERTOOLS_SERVICE_NAME": "bench",
    }
    prefix = f"whole-{shape.clusters}"
    load_1m = float(Path("/proc/loadavg").read_text("utf-8").split()[0])
    window = run_module({**env, "S3_PREFIX": prefix}, "bench.window_client")
    size = window["bytes"] // window["objects"]
    counts = (window["metrics"], window["objects"], size)
    floor = run_module(env, "bench.floor", shape.name, *map(str, counts))
    counted = run_module(
        {**env, "S3_PREFIX": f"{prefix}-parts", "PARTS": "1"}, "bench.window_client"
    )
    parts = {"start": counted["start_s"], **counted["parts"]}
    parts["the rest, and obstore's own threads"] = counted["cpu_s"] - sum(parts.values())
    return WholeWindow(
        clusters=shape.clusters,
        series=window["series"],
        size_mb=window["raw_bytes"] / 1e6,
        objects=window["objects"],
        metrics=window["metrics"],
        cpu_s=window["cpu_s"],
        wall_s=window["wall_s"],
        peak_mb=window["peak_mb"],
        parts=parts,
        floor_compress_s=floor["compress_s"],
        floor_put_s=floor["put_s"],
        load_1m=load_1m,
        date=time.strftime("%Y-%m-%d", time.gmtime()),
    )
