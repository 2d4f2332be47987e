"""The function that draws the coverage map into a dashboard."""

from dataclasses import replace

from aws_cdk import Duration
from constructs import Construct

from .bucket import DataBucket
from .function import ExporterFunction, FunctionSettings
from .network import Network

# Memory buys the CPU that a first look waits for, and a dashboard is looked at seldom.
MEMORY_MB = 1024
TIMEOUT = Duration.seconds(30)


class CoverageMap(Construct):
    """A custom widget's function: it may read the exporter's checkpoint, and nothing else.

    It is in the network of the exporter, so that a bucket that lets only the VPC in lets it in.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: FunctionSettings,
        network: Network | None,
        bucket: DataBucket,
        checkpoint_key: str,
    ) -> None:
        """`checkpoint_key` is that of the exporter's state in `bucket`."""
        super().__init__(scope, construct_id)
        made = ExporterFunction(
            self,
            "Map",
            handler="mimir_exporter.widget.coverage",
            description="Draws the coverage of the export for a CloudWatch dashboard",
            settings=replace(
                settings, memory_mb=MEMORY_MB, ephemeral_storage_mb=512, timeout=TIMEOUT
            ),
            network=network,
        )
        bucket.grant_read_object(made.role, checkpoint_key)
        self.made = made
        self.function = made.function
