"""Whole windows through the handler, beside the floor under them: what a fleet really takes."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.answers import Shape
from bench.measure import describe_machine
from bench.quota import running_with
from bench.way import BUCKET, python_environment, run_module
from localcloud.aws import Cloud

# Series of one metric, and clusters; every metric of the catalogue gets the same answer.
SIZES = ((2_000, 20), (6_000, 300), (20_000, 1_000))
# Between two queries, in place of the default's 5 s, and taken off the clock: without any, files
# would take as many connections as there are threads.
PAUSE_S = 0.5
# Pairs of a window and its floor.
ROUNDS = 5
# The largest of docs/cost.md.
FLEET = (400_000, 1_000)
# What Lambda gives a function of 256 MB.
SHARE = 0.15


@dataclass(frozen=True)
class WholeWindow:
    """A window through the handler in a process of its own, its start included.

    `parts` are seconds of CPU: of a second run that counts them, and takes a little more for it.
    `wall_s` is without waiting for the turn of the next query. `floor_*` is raw ISA-L of level 1 on
    the same answers, and as many PUTs by obstore of files of the average size. `load_1m`
    is what else was at work on the machine.
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
    machine: str

    @property
    def ratio(self) -> float:
        """CPU to the floor's."""
        return self.cpu_s / (self.floor_compress_s + self.floor_put_s)


@dataclass(frozen=True)
class Throttled:
    """The same window with SHARE of a CPU; `full_wall_s` is without that limit, just before.

    `longest_write_s` is the clock from the end of a metric's query until its files are written.
    """

    clusters: int
    size_mb: float
    objects: int
    cpu_s: float
    wall_s: float
    full_wall_s: float
    longest_write_s: float
    peak_mb: float
    date: str
    machine: str


def measure_windows(server: str, cloud: Cloud) -> list[WholeWindow]:
    """All sizes, against MiniStack: every write is signed and conditional, as at S3."""
    make_bucket(cloud)
    return [_measure(Shape("usual", *size), server, cloud, ROUNDS) for size in SIZES]


def measure_fleet(server: str, cloud: Cloud) -> WholeWindow:
    """One window of the largest fleet."""
    make_bucket(cloud)
    return _measure(Shape("usual", *FLEET), server, cloud, 1)


def measure_throttled(server: str, cloud: Cloud) -> list[Throttled]:
    """All sizes as a small function has them; none where this process may not limit another."""
    make_bucket(cloud)
    try:
        with running_with(SHARE) as before:
            return [_throttle(Shape("usual", *size), server, cloud, before) for size in SIZES]
    except PermissionError:
        return []


def _throttle(shape: Shape, server: str, cloud: Cloud, before: Sequence[str]) -> Throttled:
    env = make_environment(shape, server, cloud)
    prefix = f"throttled-{shape.clusters}"
    full, window = (
        run_module({**env, "S3_PREFIX": f"{prefix}-{n}"}, "bench.window_client", before=limit)
        for n, limit in enumerate(((), before))
    )
    return Throttled(
        clusters=shape.clusters,
        size_mb=window["raw_bytes"] / 1e6,
        objects=window["objects"],
        cpu_s=window["cpu_s"],
        wall_s=window["wall_s"] - window["waited_s"],
        full_wall_s=full["wall_s"] - full["waited_s"],
        longest_write_s=window["longest_write_s"],
        peak_mb=window["peak_mb"],
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        machine=describe_machine(),
    )


def make_bucket(cloud: Cloud) -> None:
    """The bench's bucket, where there is none yet."""
    existing = {one["Name"] for one in cloud.s3.list_buckets()["Buckets"]}
    if BUCKET not in existing:
        cloud.create_bucket(BUCKET)


def _empty(cloud: Cloud) -> None:
    """MiniStack holds the files in memory: those of the largest fleet are 7 GB."""
    pages = cloud.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    for page in pages:
        if "Contents" in page:
            cloud.s3.delete_objects(
                Bucket=BUCKET,
                Delete={"Objects": [{"Key": entry["Key"]} for entry in page["Contents"]]},
            )


def make_environment(shape: Shape, server: str, cloud: Cloud) -> dict[str, str]:
    """The window client's."""
    host, _, port = server.removeprefix("http://").partition(":")
    return python_environment(cloud) | {
        "HOSTNAME": host,
        "PORT": port,
        "PATH_PREFIX": f"/kept-{shape.name}",
        "S3_BUCKET": BUCKET,
        "CLUSTER_NAME": "central",
        "QUERY_DELAY": str(PAUSE_S),
        "BACKFILL_DAYS": "1h",
        "RETENTION_DAYS": "0",
    }


def _measure(shape: Shape, server: str, cloud: Cloud, rounds: int) -> WholeWindow:
    env = make_environment(shape, server, cloud)
    prefix = f"whole-{shape.clusters}"
    load_1m = float(Path("/proc/loadavg").read_text("utf-8").split()[0])
    pairs = []
    for number in range(rounds):
        window = run_module({**env, "S3_PREFIX": f"{prefix}-{number}"}, "bench.window_client")
        _empty(cloud)
        size = window["bytes"] // window["objects"]
        counts = (window["metrics"], window["objects"], size)
        floor = run_module(env, "bench.floor", shape.name, *map(str, counts))
        _empty(cloud)
        pairs.append((window, floor))
    pairs.sort(key=lambda pair: pair[0]["cpu_s"] / (pair[1]["compress_s"] + pair[1]["put_s"]))
    window, floor = pairs[rounds // 2]
    counted = run_module(
        {**env, "S3_PREFIX": f"{prefix}-parts", "PARTS": "1"}, "bench.window_client"
    )
    _empty(cloud)
    parts = {"start": counted["start_s"], **counted["parts"]}
    parts["the rest, and obstore's own threads"] = counted["cpu_s"] - sum(parts.values())
    return WholeWindow(
        clusters=shape.clusters,
        series=window["series"],
        size_mb=window["raw_bytes"] / 1e6,
        objects=window["objects"],
        metrics=window["metrics"],
        cpu_s=window["cpu_s"],
        wall_s=window["wall_s"] - window["waited_s"],
        peak_mb=window["peak_mb"],
        parts=parts,
        floor_compress_s=floor["compress_s"],
        floor_put_s=floor["put_s"],
        load_1m=load_1m,
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        machine=describe_machine(),
    )
