"""What the end-to-end tests share: an exporter, a second one beside it, and times on the grid."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from localcloud.aws import Cloud
from localcloud.cdk import Cdk
from localcloud.exporter import Exporter
from localcloud.history import CLUSTERS
from localcloud.prometheus import Prometheus
from localcloud.workloads import Cluster

DAY_S = 86_400
DAYS = 2
TIME_FRAME_S = 3600
SETTLE_TIME_S = 600
TOGETHER = 3  # windows in one query, and so in an item of the Map
FIRST_RUN_S = 20  # of it 5 are the reserve; a busy machine needs some for the first window
PREFIX = "k8s/prometheus"

# A name that has to be encoded to be a folder, and the exporter's own CLUSTER_NAME, whose file
# also holds the series without a cluster label.
OWN_CLUSTERS = (
    *CLUSTERS,
    Cluster("dev/eu west \N{LATIN SMALL LETTER O WITH DIAERESIS}", nodes=1, replicas=1),
    Cluster("monitoring", nodes=1, replicas=1, persistent=False),
)
SECOND_CLUSTERS = (
    Cluster("apac", nodes=1, replicas=1),
    Cluster(None, nodes=1, replicas=1, persistent=False),
)
# A metric that has exported nothing lags by as much, or by up to an hour more: always over the
# limit of the alarm, which is 3 h 10 min with these times, whatever the minute of the hour is.
SECOND_HOURS = 4
READER_ID = "made-up-id-of-the-platform"
WRITER_ID = "made-up-id-of-the-writer"


@dataclass
class Deployed:
    """An exporter and its Mimir. `first_s` and `last_s` are when the first and last run began.

    `results` has the first run's, once there was one, `before` the objects under the prefix and
    their ETags before it.
    """

    exporter: Exporter
    prometheus: Prometheus
    cdk: Cdk
    settings: Mapping[str, str]
    first_s: float = 0.0
    last_s: float = 0.0
    results: list[dict[str, Any]] = field(default_factory=list)
    before: Mapping[str, str] = field(default_factory=dict)

    @property
    def cloud(self) -> Cloud:
        assert isinstance(self.exporter.cloud, Cloud)
        return self.exporter.cloud

    def destroy(self) -> None:
        self.cdk.destroy(
            {"hostname": "127.0.0.1", "cluster_name": "any", "vpc_id": "none", **self.settings}
        )


def versions(exporter: Exporter) -> dict[str, str]:
    """Every object under the prefix, with its ETag."""
    pages = exporter.cloud.s3.get_paginator("list_objects_v2").paginate(
        Bucket=exporter.bucket, Prefix=f"{PREFIX}/"
    )
    return {item["Key"]: item["ETag"] for page in pages for item in page.get("Contents", [])}


def catch_up(made: Deployed) -> dict[str, Any]:
    """Export what has become due since the last run; its result."""
    wait_off_the_border()
    made.last_s = time.time()
    return made.exporter.invoke()


def wait_off_the_border() -> None:
    """Do not begin a run in the half minute before a window becomes due, or too old for DAYS."""
    for offset in (0, SETTLE_TIME_S):
        left_s = TIME_FRAME_S - (time.time() - offset) % TIME_FRAME_S
        if left_s < 30:
            time.sleep(left_s + 1)


def on_border(moment_s: float) -> int:
    return int(moment_s) // TIME_FRAME_S * TIME_FRAME_S
