"""The exporter's own metrics in CloudWatch, as its functions publish them."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

NAMESPACE = "MimirExporter"


class ExporterMetrics:
    """Metrics of one exporter. `service` is the stack's name, so that those of two stay apart."""

    def __init__(self, *, service: str) -> None:
        self.service = service

    def metric(
        self, name: str, statistic: str, period: Duration, label: str | None = None
    ) -> cloudwatch.Metric:
        """The metric of this name; both functions publish into it."""
        return cloudwatch.Metric(
            namespace=NAMESPACE,
            metric_name=name,
            dimensions_map={"service": self.service},
            statistic=statistic,
            period=period,
            label=label,
        )
