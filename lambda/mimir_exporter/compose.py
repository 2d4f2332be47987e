"""All that a run works with, made from the settings. Knows neither Lambda nor a command line."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .catalog.metrics import Metric, load_catalog
from .checkpoint.store import CheckpointStore
from .runs.backfill import StateMachine
from .runs.export import Exporter
from .settings.settings import Settings
from .source.auth import Credentials, credential_source
from .source.fetch import Fetcher
from .source.mimir import Mimir
from .source.sigv4 import open_signer
from .storage.bounded import BoundedStore
from .storage.objects import ObjectStore
from .storage.write import Writer
from .timeline.deadline import Deadline


@dataclass(frozen=True)
class Tools:
    """What one invocation has. `run_id` is its own; `machine` is None without one."""

    settings: Settings
    catalog: tuple[Metric, ...]
    bucket: ObjectStore
    store: CheckpointStore
    mimir: Mimir
    exporter: Exporter
    deadline: Deadline
    machine: StateMachine | None
    run_id: str
    clock: Callable[[], float] = time.time

    @property
    def names(self) -> tuple[str, ...]:
        """The catalogue's metric names."""
        return tuple(metric.name for metric in self.catalog)

    def now(self) -> int:
        """Unix seconds."""
        return int(self.clock())


@contextmanager
def open_tools(
    settings: Settings,
    bucket: ObjectStore,
    deadline: Deadline,
    *,
    run_id: str,
    machine: StateMachine | None = None,
    clock: Callable[[], float] = time.time,
) -> Iterator[Tools]:
    """Make the tools of one run, and close at the end what they opened. Raises SettingsError."""
    catalog = load_catalog(settings.extra_metrics)
    bucket = BoundedStore(bucket, deadline)
    store = CheckpointStore(bucket, settings.prefix, settings.cluster_name, clock=clock)
    mimir = Mimir(
        settings, credential_source(settings.auth_secret_arn), deadline, open_signer(settings)
    )
    writer = Writer(
        bucket,
        settings.prefix,
        settings.cluster_name,
        settings.cluster_label if settings.split_by_cluster else "",
        deadline,
    )
    fetcher = Fetcher(settings, mimir, deadline)
    try:
        yield Tools(
            settings=settings,
            catalog=catalog,
            bucket=bucket,
            store=store,
            mimir=mimir,
            exporter=Exporter(catalog, fetcher, writer, store, deadline, clock=clock),
            deadline=deadline,
            machine=machine.within(deadline) if machine else None,
            run_id=run_id,
            clock=clock,
        )
    finally:
        mimir.close()


def describe_login(settings: Settings) -> str:
    """Who we are to the endpoint, without any secret in it, as the secret is now; "" where there
    is a secret and nothing in it. Raises SettingsError, StopRunError."""
    if settings.sigv4_region:
        signer = settings.sigv4_role_arn or "the exporter's own role"
        return f"SigV4 in {settings.sigv4_region} as {signer}"
    credentials = credential_source(settings.auth_secret_arn).get(refresh=True)
    if settings.auth_secret_arn and credentials == Credentials():
        return ""
    source = settings.auth_secret_arn or "the environment"
    tenant = "with a tenant" if credentials.tenant else "without a tenant"
    return f"{credentials.method}, {tenant}, from {source}"
