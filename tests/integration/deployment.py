"""A deployment to test: the function in a sandbox, and what it left in its bucket."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from localcloud.aws import Cloud
from localcloud.prometheus import Prometheus
from tests.compare import Contract, compare
from tests.integration.sandbox import Sandbox

# On the first day of a month, so that a day of history lies in two months; twenty minutes past
# the hour, so that the last whole window is settled and stays the last one.
NOW = 1740831600  # 2025-03-01T12:20:00Z
HOUR_S = 3600
LAST_END = 1740830400  # 2025-03-01T12:00:00Z, the end of the newest window that is due

PREFIX = "k8s/prometheus"
CENTRAL = "central"
CONTRACT = Contract(prefix=PREFIX, cluster_name=CENTRAL)
# One of each kind, in the catalogue's order: values that differ at every step, few series, more.
FEW = ("cpu_usage", "node_info", "pod_info")


def asking(mimir: Prometheus) -> dict[str, str]:
    """The variables of an exporter that asks it for the newest hour, without any delay."""
    return {
        "CLUSTER_NAME": CENTRAL,
        "HOSTNAME": "127.0.0.1",
        "PORT": str(mimir.port),
        "PATH_PREFIX": mimir.path_prefix,
        "QUERY_DELAY": "0",
        "BACKFILL_DAYS": "1h",
    }


class Source(Protocol):
    """A server that is asked for a whole range at once."""

    def query_range(self, promql: str, first_s: int, last_s: int, step_s: int) -> bytes:
        """The body of the answer over [first, last]."""


@dataclass(frozen=True, kw_only=True)
class Function(Sandbox):
    """A deployed function. `cloud` is where its bucket is; `env` may reach it through a proxy."""

    cloud: Cloud
    bucket: str

    def with_env(self, **env: str) -> Self:
        """Deployed anew with other settings, at the same time."""
        return replace(self, env={**self.env, **env}, logs=[])

    def with_layout(self, **env: str) -> Self:
        """Deployed with another layout a day ago, as far as a change of layout waits; no windows
        came since."""
        changed = self.with_env(**env)
        changed.export()
        checkpoint = changed.checkpoint()
        partition = checkpoint["partition"]
        partition["relabel_from"] = partition["since"]
        changed.put(self.checkpoint_key, json.dumps(checkpoint).encode())
        return changed

    def keys(self, prefix: str = "") -> dict[str, str]:
        """ETags by key, of everything in the bucket that begins so."""
        pages = self.cloud.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix
        )
        return {entry["Key"]: entry["ETag"] for page in pages for entry in page.get("Contents", ())}

    def read(self, key: str) -> bytes:
        return self.cloud.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def metadata(self, key: str) -> dict[str, str]:
        return self.cloud.s3.head_object(Bucket=self.bucket, Key=key)["Metadata"]

    def put(self, key: str, body: bytes = b"", **metadata: str) -> None:
        """As another client might write it."""
        self.cloud.s3.put_object(Bucket=self.bucket, Key=key, Body=body, Metadata=metadata)

    def delete(self, key: str) -> None:
        self.cloud.s3.delete_object(Bucket=self.bucket, Key=key)

    def file_keys(self) -> dict[str, str]:
        """As `keys`, without the checkpoint and the manifests."""
        return {
            key: tag
            for key, tag in self.keys().items()
            if key != self.checkpoint_key and not {"_manifests", "_started"} & set(key.split("/"))
        }

    def files(self) -> dict[str, bytes]:
        """All objects but the checkpoint and the manifests, with their bodies."""
        keys = self.file_keys()
        with ThreadPoolExecutor(4) as pool:
            return dict(zip(keys, pool.map(self.read, keys), strict=True))

    @property
    def checkpoint_key(self) -> str:
        return f"{PREFIX}/{self.env['CLUSTER_NAME']}/checkpoint.json"

    def checkpoint(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.read(self.checkpoint_key))
        return found

    def differences(
        self,
        mimir: Source,
        hours: float,
        *,
        until: int = LAST_END,
        contract: Contract = CONTRACT,
        files: Mapping[str, bytes] | None = None,
        only: tuple[str, ...] = (),
    ) -> list[str]:
        """What the files have wrong, compared with what Prometheus itself says of those hours.

        They must be all files that there are, unless `files` are given, or `only` some metrics.
        """
        files = self.files() if files is None else files
        if only:
            files = {key: body for key, body in files.items() if metric_of(key) in only}
        return compare(
            mimir.query_range,
            files.items(),
            catalogue={
                metric.name: metric.promql(contract.cluster_label)
                for metric in self.catalog
                if not only or metric.name in only
            },
            start=until - int(hours * HOUR_S),
            end=until,
            contract=contract,
        )


def metric_of(key: str) -> str:
    return key.partition("/metric=")[2].partition("/")[0]


def start_of(key: str) -> int:
    """The window's start that a file's key names."""
    return int(key.rpartition("/")[2].partition("_")[0])
