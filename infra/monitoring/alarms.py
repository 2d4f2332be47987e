"""The alarms: what fires when an operator has to act, and what to do then."""

from aws_cdk import ArnFormat, Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from ..parts.backfill import Backfill
from ..parts.function import ExporterFunction
from ..parts.schedule import RegularRun
from .metrics import ExporterMetrics

LESS = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
MORE = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
# Missing data keeps the previous state: without a run nothing is known, and missing runs have an
# alarm of their own.
KEEP_STATE_ON_MISSING = cloudwatch.TreatMissingData.IGNORE
NO_DATA_IS_OK = cloudwatch.TreatMissingData.NOT_BREACHING


class Alarms(Construct):
    """Alarms on one exporter, all to one topic.

    Each has one metric of its own rather than a sum of several: its name then says what happened.
    None is on the scheduler's metrics, which know only its group: an event that could not be
    delivered is in the dead-letter queue, and a schedule that has stopped is a missing run.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        topic: sns.ITopic | None,
        email: str,
        lag_limit_s: int,
        every: Duration,
        metrics: ExporterMetrics,
        exporter: ExporterFunction,
        backfill_function: ExporterFunction,
        backfill: Backfill,
        regular_run: RegularRun,
    ) -> None:
        """Without `topic` one is made, with `email` (or "") as its subscriber.

        `every` is the time between two regular runs.
        """
        super().__init__(scope, construct_id)
        self._name = metrics.service
        self.topic = topic or self._make_topic(email)
        # Long enough to hold a run, and with the usual schedule two.
        self._pace = Duration.minutes(max(60, every.to_minutes()))
        self._exporter = exporter
        self.alarms: list[cloudwatch.Alarm] = []
        self._watch_runs(metrics, lag_limit_s)
        self._watch_errors(exporter)
        for function, what in ((exporter, "export"), (backfill_function, "backfill")):
            self._watch_throttles(function, what)
        self._watch_backfill(backfill)
        self._watch_dead_letters(regular_run)

    def _watch_runs(self, metrics: ExporterMetrics, lag_limit_s: int) -> None:
        hours = 2 * int(self._pace.to_minutes()) / 60
        check = self._exporter.invoke_command('{"action": "check"}')
        status = self._exporter.invoke_command('{"action": "status"}')
        self._add_alarm(
            "NoSuccessfulRun",
            metrics.metric("RunsSucceeded", "Sum", self._pace),
            LESS,
            1,
            f"No run has succeeded for {hours:g} hours. No data is lost yet, but Mimir deletes "
            "what is older than its retention. After a deployment this fires until the first run "
            f"has succeeded. What is wrong: {check} and read the line `run failed` of the log: "
            f"{self._exporter.log_url}",
            periods=2,
            missing=cloudwatch.TreatMissingData.BREACHING,
        )
        self._add_alarm(
            "LagTooLong",
            # The least of what the runs of this time said: the first run after an outage still
            # begins far behind.
            metrics.metric("LagSeconds", "Minimum", self._pace),
            MORE,
            lag_limit_s,
            f"A metric's newest exported window ended more than {lag_limit_s / 60:.0f} minutes "
            "ago, though runs succeed: its query fails, or Mimir is too slow for all metrics. "
            f"Which one: {status} where `failures` has the reasons, and see the dashboard.",
        )
        self._add_alarm(
            "WindowGivenUp",
            metrics.metric("Gaps", "Maximum", self._pace),
            MORE,
            0,
            "A metric failed 5 times for a window, or was exported in part; its data is missing in "
            f"S3, and it is retried once a day. Which one, and why: {status} where `failures` has "
            "it with `gap` true. "
            "Correct the cause, then export the range with the event of events/export.json. "
            "Act before Mimir's retention has passed it.",
        )

    def _watch_errors(self, exporter: ExporterFunction) -> None:
        """Of the export function alone: an error of the backfill function fails its execution,
        which has an alarm of its own."""
        self._add_alarm(
            "ExportFunctionErrors",
            exporter.function.metric_errors(period=self._pace),
            MORE,
            0,
            "The export function failed. The next run takes up its work, so one failure needs no "
            "action; if it fires again, read the line `run failed` of the log, whose `remedy` "
            f"says what to do: {exporter.log_url}",
            missing=NO_DATA_IS_OK,
        )

    def _watch_throttles(self, function: ExporterFunction, what: str) -> None:
        self._add_alarm(
            f"{what.capitalize()}FunctionThrottled",
            function.function.metric_throttles(period=self._pace),
            MORE,
            0,
            f"Lambda refused to run the {what} function: the account's concurrency in this "
            "region was used up. Find what uses it (Lambda console, Dashboard, Concurrent "
            "executions), have the quota raised, or lower backfill_concurrency.",
            missing=NO_DATA_IS_OK,
        )

    def _watch_backfill(self, backfill: Backfill) -> None:
        machine = backfill.state_machine

        def watch(name: str, metric: cloudwatch.Metric, text: str) -> None:
            text = f"{text} Executions: {backfill.console_url}"
            self._add_alarm(name, metric, MORE, 0, text, missing=NO_DATA_IS_OK)

        watch(
            "BackfillFailed",
            machine.metric_failed(period=self._pace),
            "Windows of a backfill failed. The next run hands them over again, so one failure "
            "needs no action; if it fires again, open the failed execution and its Map run: the "
            "input of a failed item is its time, the backfill function's log has the reason.",
        )
        watch(
            "BackfillTimedOut",
            machine.metric_timed_out(period=self._pace),
            "A backfill was not finished after seven days. The next run hands the rest over "
            "again, which will not be faster: raise query_windows or backfill_concurrency, or "
            "lower query_delay, if Mimir can bear it.",
        )
        watch(
            "BackfillAborted",
            machine.metric_aborted(period=self._pace),
            "A backfill was stopped by a person or a program, not by the exporter; the next run "
            "hands the rest over again. To end it for good, disable the schedule first.",
        )

    def _watch_dead_letters(self, regular_run: RegularRun) -> None:
        url = regular_run.dead_letters.queue_url
        region = Stack.of(self).region
        self._add_alarm(
            "DeadLetters",
            # Sent, not visible: messages stay for days, and the alarm is to end by itself.
            regular_run.dead_letters.metric_number_of_messages_sent(
                period=self._pace, statistic="Sum"
            ),
            MORE,
            0,
            "EventBridge Scheduler could not start a run. The next run takes up its work, so the "
            "event need not be sent again. The message's attributes have the reason: aws sqs "
            f"receive-message --region {region} --queue-url {url} --message-attribute-names All",
            missing=NO_DATA_IS_OK,
        )

    def _add_alarm(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        comparison: cloudwatch.ComparisonOperator,
        threshold: float,
        text: str,
        *,
        periods: int = 1,
        missing: cloudwatch.TreatMissingData = KEEP_STATE_ON_MISSING,
    ) -> None:
        alarm = cloudwatch.Alarm(
            self,
            name,
            # The subject of the mail; the exporter's name keeps two of them apart.
            alarm_name=f"{self._name}-{name}",
            alarm_description=text,
            metric=metric,
            comparison_operator=comparison,
            threshold=threshold,
            evaluation_periods=periods,
            treat_missing_data=missing,
        )
        to_topic = actions.SnsAction(self.topic)
        alarm.add_alarm_action(to_topic)
        # Also once after a deployment, when the first data arrives.
        alarm.add_ok_action(to_topic)
        self.alarms.append(alarm)

    def _make_topic(self, email: str) -> sns.Topic:
        # Not encrypted with a key: AWS's own does not let CloudWatch in, and one made for this
        # would cost more than all alarms, for messages that say no more than the log's names.
        topic = sns.Topic(
            self,
            "Topic",
            # SNS takes 100 characters.
            display_name=f"{self._name} alarms"[:100],
            enforce_ssl=True,
        )
        stack = Stack.of(self)
        own_alarms = stack.format_arn(
            service="cloudwatch",
            resource="alarm",
            resource_name=f"{self._name}-*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsOfThisExporter",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={
                    "ArnLike": {"aws:SourceArn": own_alarms},
                    "StringEquals": {"aws:SourceAccount": stack.account},
                },
            )
        )
        if email:
            topic.add_subscription(subscriptions.EmailSubscription(email))
        return topic
