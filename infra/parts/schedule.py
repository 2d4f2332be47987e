"""The clock of the regular run, and what becomes of a run that could not be started or failed."""

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from .function import ExporterFunction
from .nag import accept, accept_wildcard


class RegularRun(Construct):
    """Starts the export function on a schedule and keeps what failed in a dead-letter queue.

    Nothing is repeated later: the next run takes up whatever an earlier one left, while a repeated
    old event would only run beside it.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, exporter: ExporterFunction, every: Duration
    ) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )
        accept(
            self.dead_letters, "AwsSolutions-SQS3", "This is the dead-letter queue of the exporter."
        )
        self._catch_failed_runs(exporter)
        # EventBridge Scheduler rather than a rule of EventBridge: AWS's advice for schedules, its
        # own metrics for deliveries that failed, and a role instead of a policy on the function.
        self.schedule = scheduler.Schedule(
            self,
            "Schedule",
            description="Regular run of the exporter",
            schedule=scheduler.ScheduleExpression.rate(every),
            time_window=scheduler.TimeWindow.off(),
            target=targets.LambdaInvoke(
                exporter.function,
                input=scheduler.ScheduleTargetInput.from_object({}),
                dead_letter_queue=self.dead_letters,
                # Delivery only: handing the event to Lambda's own queue.
                max_event_age=Duration.minutes(1),
                retry_attempts=3,
            ),
        )
        accept_wildcard(
            Stack.of(self),
            f"{exporter.function.function_arn}:*",
            "The function's own versions and aliases, for the schedule alone.",
        )

    def _catch_failed_runs(self, exporter: ExporterFunction) -> None:
        exporter.role.add_to_policy(
            iam.PolicyStatement(
                sid="KeepFailedRuns",
                actions=["sqs:SendMessage"],
                resources=[self.dead_letters.queue_arn],
            )
        )
        # Not the CDK's SqsDestination, which would let the role read the queue's attributes too.
        asynchronous = lambda_.CfnEventInvokeConfig(
            self,
            "Asynchronous",
            function_name=exporter.function.function_name,
            qualifier="$LATEST",
            maximum_retry_attempts=0,
            maximum_event_age_in_seconds=60,
            destination_config=lambda_.CfnEventInvokeConfig.DestinationConfigProperty(
                on_failure=lambda_.CfnEventInvokeConfig.OnFailureProperty(
                    destination=self.dead_letters.queue_arn
                )
            ),
        )
        # Lambda checks that the role may send to the queue.
        asynchronous.node.add_dependency(exporter.role)
