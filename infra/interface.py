"""What an exporter shows to other constructs: its resources, rights on them, and its metrics."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from .monitoring.alarms import Alarms
from .monitoring.metrics import ExporterMetrics
from .parts.backfill import Backfill
from .parts.bucket import DataBucket
from .parts.coverage import CoverageMap
from .parts.credentials import CredentialsSecret
from .parts.function import ExporterFunction
from .parts.network import Network


class ExporterInterface(Construct):
    """The parts are made by the construct itself; see `MimirExporter`."""

    exporter: ExporterFunction
    backfiller: ExporterFunction
    backfill: Backfill
    coverage: CoverageMap
    data: DataBucket
    credentials: CredentialsSecret | None
    network: Network | None
    alarms: Alarms
    metrics: ExporterMetrics
    _schedule: Duration

    @property
    def export_function(self) -> lambda_.Function:
        """The function of the regular run, and of every event that is sent by hand."""
        return self.exporter.function

    @property
    def backfill_function(self) -> lambda_.Function:
        """The function that exports one window of a backfill."""
        return self.backfiller.function

    @property
    def state_machine(self) -> sfn.StateMachine:
        """The backfill."""
        return self.backfill.state_machine

    @property
    def bucket(self) -> s3.IBucket:
        return self.data.bucket

    @property
    def secret(self) -> secretsmanager.ISecret | None:
        """None without credentials."""
        return self.credentials.secret if self.credentials else None

    @property
    def alarm_topic(self) -> sns.ITopic:
        return self.alarms.topic

    @property
    def connections(self) -> ec2.Connections:
        """For rules of other security groups, such as `mimir.connections.allow_from(exporter, …)`.

        Without a VPC there are no security groups in it.
        """
        return ec2.Connections(security_groups=self.network.security_groups if self.network else [])

    @property
    def functions(self) -> tuple[ExporterFunction, ...]:
        """All of them, each with its role and log."""
        return self.exporter, self.backfiller, self.coverage.made

    # Rights for others.

    def grant_read_files(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let a principal list and read the files; not with a `role_arn`: its account grants it."""
        return self.data.grant_read_files(grantee)

    def grant_invoke(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let a principal start runs and send events."""
        return self.export_function.grant_invoke(grantee)

    # Metrics of the exporter; `status` shows the same figures.

    def metric(
        self, metric_name: str, *, statistic: str = "Sum", period: Duration | None = None
    ) -> cloudwatch.Metric:
        """A metric by its name in the namespace `MimirExporter`."""
        return self.metrics.metric(metric_name, statistic, period or self._schedule)

    def metric_runs_succeeded(self, *, period: Duration | None = None) -> cloudwatch.Metric:
        return self.metric("RunsSucceeded", period=period)

    def metric_runs_failed(self, *, period: Duration | None = None) -> cloudwatch.Metric:
        return self.metric("RunsFailed", period=period)

    def metric_lag(self, *, period: Duration | None = None) -> cloudwatch.Metric:
        """Seconds since the end of the newest exported window of the slowest metric."""
        return self.metric("LagSeconds", statistic="Maximum", period=period)

    def metric_gaps(self, *, period: Duration | None = None) -> cloudwatch.Metric:
        return self.metric("Gaps", statistic="Maximum", period=period)

    def metric_pending_windows(self, *, period: Duration | None = None) -> cloudwatch.Metric:
        return self.metric("PendingWindows", statistic="Maximum", period=period)

    def metric_bytes_written(self, *, period: Duration | None = None) -> cloudwatch.Metric:
        return self.metric("BytesWritten", period=period)
