"""One page that says how the exporter does."""

from collections.abc import Sequence

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from ..parts.backfill import Backfill
from ..parts.console import console_page
from ..parts.function import ExporterFunction
from .alarms import Alarms
from .metrics import ExporterMetrics
from .queries import FAILURES_BY_CODE, SLOWEST_METRICS, Query

WIDTH = 24  # of every dashboard, in the grid's units
HEIGHT = 6
COVERAGE_HEIGHT = 12


class Dashboard(Construct):
    """From what matters to what explains it: alarms, coverage, exports, queries, functions."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        every: Duration,
        lag_limit_s: int,
        memory_mb: int,
        metrics: ExporterMetrics,
        exporter: ExporterFunction,
        backfill_function: ExporterFunction,
        backfill: Backfill,
        alarms: Alarms,
        coverage_function: lambda_.IFunction | None,
    ) -> None:
        """`every` is the time between two runs: a point of most graphs is one run.

        `coverage_function` serves the map of hours by days as a custom widget, if there is one.
        """
        super().__init__(scope, construct_id)
        self._every = every
        self._metrics = metrics
        self._functions = {"export": exporter, "backfill": backfill_function}
        self.dashboard = cloudwatch.Dashboard(
            self,
            "Dashboard",
            # Dashboards are global in an account, unlike everything else that has a name here: a
            # second region's exporter of the same name needs one of its own.
            dashboard_name=f"{metrics.service}-{Stack.of(self).region}",
            default_interval=Duration.days(3),
        )
        rows = [
            [self._links(exporter, backfill), self._alarm_states(alarms)],
            [self._lag(lag_limit_s), self._windows(), self._pending()],
        ]
        if coverage_function is not None:
            rows.append([self._coverage(coverage_function)])
        rows += [
            [self._volume(), self._failures(), self._cost(memory_mb)],
            [
                self._ask("Query time by metric", SLOWEST_METRICS),
                self._ask("Failures by code", FAILURES_BY_CODE),
            ],
            [self._runs_of_functions(), self._health_of_functions(), self._executions(backfill)],
        ]
        for row in rows:
            self.dashboard.add_widgets(*row)

    @property
    def console_url(self) -> str:
        """The dashboard's page."""
        name = self.dashboard.dashboard_name
        return console_page(self, "cloudwatch", f"dashboards/dashboard/{name}")

    def _links(self, exporter: ExporterFunction, backfill: Backfill) -> cloudwatch.IWidget:
        service = self._metrics.service
        return cloudwatch.TextWidget(
            width=6,
            height=HEIGHT,
            markdown=(
                f"# {service}\n"
                f"[Test and invoke]({exporter.console_url}) · [Log]({exporter.log_url}) · "
                f"[Backfills]({backfill.console_url})\n\n"
                'Ask `{"action": "status"}` what is missing, and `{"action": "check"}` what is '
                "wrong.\n\nAll times of windows are UTC."
            ),
        )

    def _alarm_states(self, alarms: Alarms) -> cloudwatch.IWidget:
        return cloudwatch.AlarmStatusWidget(
            title="Alarms", alarms=alarms.alarms, width=WIDTH - 6, height=HEIGHT
        )

    def _coverage(self, function: lambda_.IFunction) -> cloudwatch.IWidget:
        return cloudwatch.CustomWidget(
            title="Coverage: hours by days",
            function_arn=function.function_arn,
            width=WIDTH,
            height=COVERAGE_HEIGHT,
        )

    def _lag(self, limit_s: int) -> cloudwatch.IWidget:
        return self._graph(
            "How far behind",
            [self._metrics.metric("LagSeconds", "Maximum", self._every, "seconds")],
            unit="seconds",
            limit=cloudwatch.HorizontalAnnotation(
                value=limit_s, label="alarm", color=cloudwatch.Color.RED
            ),
        )

    def _windows(self) -> cloudwatch.IWidget:
        return self._graph(
            "Windows and metrics exported",
            [self._sum("WindowsExported", "windows")],
            right=[self._sum("MetricsExported", "metric-windows")],
        )

    def _pending(self) -> cloudwatch.IWidget:
        return self._graph(
            "Still to do, and audits",
            [
                self._metrics.metric("PendingWindows", "Maximum", self._every, "pending windows"),
                self._metrics.metric("Gaps", "Maximum", self._every, "gaps"),
                self._metrics.metric("InPart", "Maximum", self._every, "exported in part"),
            ],
            right=[
                self._sum("MetricsAudited", "audited metrics"),
                self._sum("MetricsIncomplete", "metrics with late data"),
                self._sum("MetricsUnauditable", "metrics not auditable"),
            ],
        )

    def _volume(self) -> cloudwatch.IWidget:
        return self._graph(
            "Samples and bytes written",
            [self._sum("SamplesExported", "samples")],
            right=[self._sum("BytesWritten", "bytes in gzip")],
        )

    def _failures(self) -> cloudwatch.IWidget:
        return self._graph(
            "Failures, retries and cuts",
            [
                self._sum("RunsFailed", "failed runs"),
                self._sum("MetricsFailed", "failed metrics"),
                self._sum("QueryRetries", "retried queries"),
                self._sum("QueryCuts", "cut queries"),
            ],
        )

    def _cost(self, memory_mb: int) -> cloudwatch.IWidget:
        """What is paid by use: S3 asks a price for each object, Lambda for memory and time."""
        spent = cloudwatch.MathExpression(
            expression=f"(export + backfill) / 1000 * {memory_mb} / 1024",
            using_metrics={
                name: made.function.metric_duration(statistic="Sum", period=self._every)
                for name, made in self._functions.items()
            },
            period=self._every,
            label="Lambda GB-seconds",
        )
        return self._graph(
            "What is paid by use", [self._sum("ObjectsWritten", "objects written")], right=[spent]
        )

    def _ask(self, title: str, query: Query) -> cloudwatch.IWidget:
        """Of the log rather than a metric for each of twenty metrics, which would cost more."""
        return cloudwatch.LogQueryWidget(
            title=title,
            log_group_names=[made.log_group.log_group_name for made in self._functions.values()],
            query_string=query.text,
            view=cloudwatch.LogQueryVisualizationType.TABLE,
            width=WIDTH // 2,
            height=HEIGHT,
        )

    def _runs_of_functions(self) -> cloudwatch.IWidget:
        period = self._every
        return self._graph(
            "Functions: invocations and longest",
            [
                made.function.metric_invocations(period=period, label=name)
                for name, made in self._functions.items()
            ],
            right=[
                made.function.metric_duration(
                    period=period, statistic="Maximum", label=f"{name}, longest"
                )
                for name, made in self._functions.items()
            ],
        )

    def _health_of_functions(self) -> cloudwatch.IWidget:
        period = self._every
        return self._graph(
            "Functions: errors and throttles",
            [
                metric
                for name, made in self._functions.items()
                for metric in (
                    made.function.metric_errors(period=period, label=f"{name}, errors"),
                    made.function.metric_throttles(period=period, label=f"{name}, throttles"),
                )
            ],
        )

    def _executions(self, backfill: Backfill) -> cloudwatch.IWidget:
        machine, period = backfill.state_machine, self._every
        return self._graph(
            "Step Functions: backfills",
            [
                machine.metric_started(period=period, label="started"),
                machine.metric_succeeded(period=period, label="succeeded"),
                machine.metric_failed(period=period, label="failed"),
                machine.metric_timed_out(period=period, label="timed out"),
                machine.metric_aborted(period=period, label="aborted"),
            ],
        )

    def _sum(self, name: str, label: str) -> cloudwatch.Metric:
        return self._metrics.metric(name, "Sum", self._every, label)

    def _graph(
        self,
        title: str,
        left: Sequence[cloudwatch.IMetric],
        *,
        right: Sequence[cloudwatch.IMetric] = (),
        unit: str = "",
        limit: cloudwatch.HorizontalAnnotation | None = None,
    ) -> cloudwatch.IWidget:
        return cloudwatch.GraphWidget(
            title=title,
            left=list(left),
            right=list(right),
            left_y_axis=cloudwatch.YAxisProps(min=0, label=unit or None, show_units=not unit),
            right_y_axis=cloudwatch.YAxisProps(min=0) if right else None,
            left_annotations=[limit] if limit else None,
            width=WIDTH // 3,
            height=HEIGHT,
        )
