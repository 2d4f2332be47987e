"""A real Cortex, in one process on loopback ports: starts empty, takes pushes.

No distribution has it: it is driven where `cortex` is on PATH
(https://cortexmetrics.io/docs/getting-started/).
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from localcloud.http_api import ask_range
from localcloud.processes import Process, Program, StartError, free_port, serve

TENANT = "team-a"
HEADERS = {"X-Scope-OrgID": TENANT}

# What takes samples and what answers queries; no rules, no alerts.
TARGET = "distributor,ingester,query-frontend,querier,store-gateway"
CONFIG = """\
auth_enabled: true
server:
  http_listen_address: 127.0.0.1
  http_listen_port: {port}
  grpc_listen_address: 127.0.0.1
  grpc_listen_port: {grpc_port}
  log_level: error
distributor: {{shard_by_all_labels: true}}
ingester:
  lifecycler:
    address: 127.0.0.1
    min_ready_duration: 0s
    final_sleep: 0s
    ring: {{kvstore: {{store: inmemory}}, replication_factor: 1}}
querier: {{store_gateway_addresses: "127.0.0.1:{grpc_port}"}}
frontend_worker: {{frontend_address: "127.0.0.1:{grpc_port}"}}
blocks_storage:
  backend: filesystem
  filesystem: {{dir: {folder}/blocks}}
  tsdb: {{dir: {folder}/tsdb, retention_period: 8760h}}
  bucket_store: {{sync_dir: {folder}/sync}}
limits:
  ingestion_rate: 1e9
  ingestion_burst_size: 1000000000
"""


@dataclass(frozen=True)
class Cortex:
    """A running server with one tenant's data."""

    port: int
    server: Process
    path_prefix: str = "/prometheus"

    @property
    def write_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1/push"

    def query_range(self, promql: str, first_s: int, last_s: int, step_s: int) -> bytes:
        """The body of a query_range answer over [first, last], both ends included."""
        url = f"http://127.0.0.1:{self.port}{self.path_prefix}"
        return ask_range("Cortex", url, (promql, first_s, last_s, step_s), headers=HEADERS)


@contextlib.contextmanager
def running_cortex(limits: Mapping[str, str | int] | None = None) -> Iterator[Cortex]:
    """Run an empty Cortex until the block ends; its data goes with it.

    `limits` are a tenant's, as max_query_length. Raises StartError.
    """
    binary = shutil.which("cortex")
    if binary is None:
        raise StartError("cortex is not on PATH.")
    with tempfile.TemporaryDirectory(prefix="cortex-", ignore_cleanup_errors=True) as folder:

        def make(port: int) -> Program:
            text = CONFIG.format(port=port, grpc_port=free_port(), folder=folder)
            text += "".join(f"  {name}: {value}\n" for name, value in (limits or {}).items())
            config = Path(folder, "cortex.yaml")
            config.write_text(text, "utf-8")
            return Program(
                name="Cortex",
                argv=[binary, f"-target={TARGET}", f"-config.file={config}"],
                env=dict(os.environ),
                ready_url=f"http://127.0.0.1:{port}/ready",
                log=Path(folder, "cortex.log"),
                cwd=Path(folder),  # where it notes the queries that it is at
                scratch=Path(folder),
            )

        with serve(make) as (server, port):
            yield Cortex(port, server)
