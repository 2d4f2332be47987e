"""The schedule of the regular run, and the queue of runs that could not be started."""

from aws_cdk import Duration, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from .function import ExporterFunction
from .nag import accept, accept_wildcard


class RegularRun(Construct):
    """Starts the export function on a schedule; what cannot be delivered goes to a queue.

    Nothing is repeated later: the next run takes up whatever an earlier one left, while a repeated
    old event would only run beside it. A run that failed is in the function's log and in its
    metric of errors; its event in the queue would only make a second alarm of it.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        exporter: ExporterFunction,
        every: Duration,
        enabled: bool = True,
    ) -> None:
        """`every` is the time between two runs; without `enabled` none is started."""
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
        self._never_repeat(exporter)
        # EventBridge Scheduler rather than a rule of EventBridge: AWS's advice for schedules, its
        # own metrics for deliveries that failed, and a role instead of a policy on the function.
        self.schedule = scheduler.Schedule(
            self,
            "Schedule",
            description="Regular run of the exporter",
            schedule=scheduler.ScheduleExpression.rate(every),
            enabled=enabled,
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
        # The CDK keeps one role for each target, in the stack.
        for child in Stack.of(self).node.children:
            if child.node.id.startswith("SchedulerRoleForTarget"):
                accept_wildcard(
                    child,
                    f"{exporter.function.function_arn}:*",
                    "The function's own versions and aliases, for the schedule alone.",
                )

    def _never_repeat(self, exporter: ExporterFunction) -> None:
        """Lambda would repeat a failed asynchronous invocation twice, for up to six hours."""
        lambda_.CfnEventInvokeConfig(
            self,
            "Asynchronous",
            function_name=exporter.function.function_name,
            qualifier="$LATEST",
            maximum_retry_attempts=0,
            maximum_event_age_in_seconds=60,
        )
