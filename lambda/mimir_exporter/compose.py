"""Makes the context of a run from the settings: the one place that knows every part.

Nothing but the entry points imports it. A test that has to control the time, the catalogue, a
client or a wait passes its own `Dependencies`.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from .catalog.metrics import Metric, catalog_text, load_catalog
from .checkpoint.store import CheckpointStore
from .runs.ahead import Ahead
from .runs.context import CommandOptions, RunContext
from .runs.cycle import Exporter
from .runs.machine import StateMachine
from .runs.neighbours import Neighbours
from .runs.parts import PartsKeeper
from .settings.load import refuse_future
from .settings.settings import Settings
from .source.api import Mimir
from .source.counts import RawCounter
from .source.fetch import Fetcher
from .source.look import SeriesLook
from .source.secret import CredentialSource, credential_source
from .storage.bounded import BoundedStore
from .storage.client_config import CLIENT_CONFIG, INTERACTIVE_CONFIG, ClientConfig
from .storage.connection import S3Connection
from .storage.fast_bucket import FastBucket
from .storage.manifest import Layout, ManifestStore
from .storage.objects import ObjectStore
from .storage.started import StartedStore
from .storage.write import Writer
from .timeline.deadline import Deadline

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

    from .source.sigv4 import Signer


def open_bucket(settings: Settings, config: ClientConfig) -> ObjectStore:
    """The bucket of S3_BUCKET. Its clients are made at the first use, once for each process."""
    role = (settings.role_arn, settings.role_external_id)
    connection = _s3_connection(settings.bucket, config, *role, settings.bucket_kms_key_arn)
    if config.by_boto3:
        from .storage.bucket import Bucket  # noqa: PLC0415 - imports boto3

        return Bucket(lambda: connection.client, settings.bucket, settings.role_arn)
    return FastBucket(connection, settings.bucket, settings.role_arn)


def open_machine(settings: Settings, config: ClientConfig) -> StateMachine | None:
    """The backfill's state machine; None where the settings name none."""
    arn = settings.state_machine_arn
    return StateMachine(lambda: _stepfunctions_client(config), arn) if arn else None


def catalog_of(settings: Settings) -> tuple[Metric, ...]:
    """The metrics that these settings export. Raises SettingsError."""
    return load_catalog(
        settings.extra_metrics,
        rate_range_s=settings.rate_range_s,
        text=catalog_text(settings.catalog),
    )


@dataclass(frozen=True)
class Dependencies:
    """What a context is made of beside the settings.

    `client_config` is how long and how often the clients of AWS try, `interactive_config` the same
    where an operator waits for the answer.
    """

    clock: Callable[[], float] = time.time
    jitter: Callable[[], float] = random.random
    load_catalog: Callable[[Settings], tuple[Metric, ...]] = catalog_of
    credential_source: Callable[[str], CredentialSource] = credential_source
    open_bucket: Callable[[Settings, ClientConfig], ObjectStore] = open_bucket
    open_machine: Callable[[Settings, ClientConfig], StateMachine | None] = open_machine
    client_config: ClientConfig = CLIENT_CONFIG
    interactive_config: ClientConfig = INTERACTIVE_CONFIG


DEPENDENCIES = Dependencies()


@contextmanager
def create_context(
    settings: Settings,
    deadline: Deadline,
    *,
    run_id: str,
    interactive: bool = False,
    command: CommandOptions | None = None,
    dependencies: Dependencies = DEPENDENCIES,
) -> Iterator[RunContext]:
    """The context of one run; what it opened is closed at the end. Raises SettingsError."""
    made = dependencies
    refuse_future(settings, made.clock())
    config = made.interactive_config if interactive else made.client_config
    catalog = made.load_catalog(settings)
    bucket = BoundedStore(made.open_bucket(settings, config), deadline)
    machine = made.open_machine(settings, config)
    credentials = made.credential_source(settings.auth_secret_arn)
    store = CheckpointStore(
        bucket, settings.prefix, settings.cluster_name, clock=made.clock, jitter=made.jitter
    )
    layout = Layout(settings.cluster_label, settings.cluster_name, settings.split_by_cluster)
    writer = Writer(
        bucket,
        settings.prefix,
        layout,
        deadline,
        pause_s=settings.query_delay_s,
        clock=made.clock,
    )
    mimir = Mimir(settings, credentials, deadline, _open_signer(settings))
    fetcher = Fetcher(settings, mimir, deadline, jitter=made.jitter)
    counter = RawCounter(mimir, settings.cluster_label)
    counted = counter if settings.audit_after_s else None
    started = StartedStore(bucket, settings.prefix, settings.cluster_name, made.clock)
    try:
        yield RunContext(
            settings=settings,
            catalog=catalog,
            bucket=bucket,
            store=store,
            credentials=credentials,
            mimir=mimir,
            counter=counter,
            started=started,
            manifests=ManifestStore(bucket, settings.prefix, settings.cluster_name),
            exporter=Exporter(
                *(catalog, fetcher, writer, store, deadline),
                look=SeriesLook(settings, mimir, deadline, jitter=made.jitter),
                parts=PartsKeeper(
                    *(fetcher, started, layout),
                    counted,
                    Ahead(fetcher, counted, settings.query_windows),
                    made.clock,
                ),
                neighbours=Neighbours(writer.manifests, is_audited=settings.audit_after_s > 0),
                clock=made.clock,
            ),
            deadline=deadline,
            machine=machine.within(deadline) if machine else None,
            run_id=run_id,
            clock=made.clock,
            jitter=made.jitter,
            command=command,
        )
    finally:
        mimir.close()


def _open_signer(settings: Settings) -> "Signer | None":
    if not settings.sigv4_region:
        return None
    from .source.sigv4 import open_signer  # noqa: PLC0415 - imports botocore

    return open_signer(settings)


@lru_cache(maxsize=2)
def _s3_connection(
    bucket: str, config: ClientConfig, role_arn: str, external_id: str, kms_key_arn: str
) -> S3Connection:
    return S3Connection(bucket, config, role_arn, external_id, kms_key_arn)


@lru_cache(maxsize=2)
def _stepfunctions_client(config: ClientConfig) -> "SFNClient":
    import boto3  # noqa: PLC0415 - takes longer than the rest of a start

    return boto3.client("stepfunctions", config=config.of_boto3)
