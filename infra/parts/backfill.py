"""The state machine that exports what a regular run had no time for."""

from aws_cdk import ArnFormat, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from .console import console_page
from .logs import make_log_group
from .nag import accept, accept_wildcard

# 200 windows, two at once, take a day if each needs a whole invocation. What an execution leaves
# behind, for whatever reason, the next regular run hands over again.
EXECUTION_TIMEOUT = Duration.days(7)
# Throttling is no failure of a window, five of which make it a gap: an item waits as long as its
# execution may. A wait is half of the longest on average, and one has some four of the 25,000
# events of an execution's history.
THROTTLE_WAIT = Duration.minutes(5)
THROTTLE_RETRIES = EXECUTION_TIMEOUT.to_minutes() // (THROTTLE_WAIT.to_minutes() / 2)


class Backfill(Construct):
    """Input {"windows": [{"start": …, "end": …}, …]}, unix seconds: each is an item, a window or
    the neighbours that QUERY_WINDOWS lets one query cover.

    An item's function is called until it says `finished`. A failed item leaves the others alone;
    the execution ends as failed once they are done. So it succeeds only if every window did.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        function: lambda_.IFunction,
        function_timeout: Duration,
        concurrency: int,
        log_retention_days: int,
        log_name: str,
    ) -> None:
        """`log_name` is a log group's, below /aws/vendedlogs/."""
        super().__init__(scope, construct_id)
        each_window = sfn.DistributedMap(
            self,
            "EachWindow",
            items_path="$.windows",
            # The execution's name goes with each window, for the log. Within an item the context
            # names the item's own execution.
            item_selector={
                "start": sfn.JsonPath.number_at("$$.Map.Item.Value.start"),
                "end": sfn.JsonPath.number_at("$$.Map.Item.Value.end"),
                "execution": sfn.JsonPath.execution_name,
            },
            max_concurrency=concurrency,
            # One item may take many invocations of 15 minutes; an express child ends after five.
            map_execution_type=sfn.StateMachineType.STANDARD,
            # Without this the first failed item would stop all others.
            tolerated_failure_percentage=100,
            # Only a finished item has an output with `start` in it. 200 outputs are 8 KB of the
            # 256 KB that a state may hand on.
            result_selector={"exported.$": "$[*].start"},
            result_path="$.result",
        )
        each_window.item_processor(self._export_window(function, function_timeout))
        count = sfn.Pass(
            self,
            "CountWindows",
            parameters={
                "windows.$": "States.ArrayLength($.windows)",
                "exported.$": "States.ArrayLength($.result.exported)",
            },
        )
        all_exported = sfn.Choice(self, "AllExported?").when(
            sfn.Condition.number_equals_json_path("$.exported", "$.windows"),
            sfn.Succeed(self, "Complete"),
        )
        all_exported.otherwise(
            sfn.Fail(
                self,
                "Incomplete",
                error="WindowsFailed",
                cause_path=(
                    "States.Format('{} of {} windows were exported. The Map run lists the failed "
                    "ones; the next regular run hands them over again.', $.exported, $.windows)"
                ),
            )
        )
        self.state_machine = sfn.StateMachine(
            self,
            "StateMachine",
            comment="Exports windows that the regular run had no time for",
            definition_body=sfn.DefinitionBody.from_chainable(
                each_window.next(count).next(all_exported)
            ),
            timeout=EXECUTION_TIMEOUT,
            logs=sfn.LogOptions(
                # Step Functions writes its logs by a policy on the log groups that is full after a
                # few of them; groups under this path share one entry in it.
                destination=make_log_group(
                    self,
                    "Log",
                    retention_days=log_retention_days,
                    name=log_name,
                ),
                level=sfn.LogLevel.ERROR,
                include_execution_data=True,
            ),
        )
        self._accept_findings(function)

    def _export_window(self, function: lambda_.IFunction, timeout: Duration) -> sfn.IChainable:
        """Call the function for one window until it has finished; fail if it says so."""
        export = tasks.LambdaInvoke(
            self,
            "ExportWindow",
            lambda_function=function,
            payload=sfn.TaskInput.from_object(
                {
                    "start": sfn.JsonPath.number_at("$.start"),
                    "end": sfn.JsonPath.number_at("$.end"),
                    "execution": sfn.JsonPath.string_at("$.execution"),
                }
            ),
            result_selector={
                "finished.$": "$.Payload.finished",
                "failed.$": "$.Payload.failed",
            },
            result_path="$.answer",
            task_timeout=sfn.Timeout.duration(timeout),
        )
        # Beside the service's own hiccups, which the CDK retries: the account's concurrency may be
        # used up for a while. An error of the function itself is not retried here; the function
        # has its own retries, and the window comes back with the next regular run.
        export.add_retry(
            errors=["Lambda.TooManyRequestsException"],
            interval=Duration.seconds(30),
            max_attempts=int(THROTTLE_RETRIES),
            backoff_rate=1.5,
            max_delay=THROTTLE_WAIT,
            jitter_strategy=sfn.JitterType.FULL,
        )
        finished = sfn.Choice(self, "Finished?")
        # A metric that failed does not end the item while others of its window are still to do.
        finished.when(sfn.Condition.boolean_equals("$.answer.finished", False), export)
        finished.when(
            sfn.Condition.boolean_equals("$.answer.failed", False),
            sfn.Pass(
                self,
                "WindowExported",
                parameters={"start.$": "$.start", "end.$": "$.end"},
            ),
        )
        finished.otherwise(
            sfn.Fail(
                self,
                "WindowFailed",
                error="WindowFailed",
                cause="A metric of this window could not be exported; the function's log says why.",
            )
        )
        return export.next(finished)

    def grant_hand_over(self, role: iam.Role) -> None:
        """Let a function's role start executions and ask what became of them."""
        self.state_machine.grant_start_execution(role)
        self.state_machine.grant_execution(role, "states:DescribeExecution")
        accept_wildcard(
            role, f"{self._executions_arn}:*", "The executions of this state machine alone."
        )

    def statements(self) -> list[iam.PolicyStatement]:
        """What `grant_hand_over` grants."""
        return [
            iam.PolicyStatement(
                actions=["states:StartExecution"],
                resources=[self.state_machine.state_machine_arn],
            ),
            iam.PolicyStatement(
                actions=["states:DescribeExecution"], resources=[f"{self._executions_arn}:*"]
            ),
        ]

    @property
    def console_url(self) -> str:
        """The page of its executions."""
        machine = self.state_machine.state_machine_arn
        return console_page(self, "states", f"/statemachines/view/{machine}")

    @property
    def _executions_arn(self) -> str:
        stack = Stack.of(self)
        name = stack.split_arn(
            self.state_machine.state_machine_arn, ArnFormat.COLON_RESOURCE_NAME
        ).resource_name
        return stack.format_arn(
            service="states",
            resource="execution",
            resource_name=name,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )

    def _accept_findings(self, function: lambda_.IFunction) -> None:
        for suffix in (":*", "/*:*"):
            accept_wildcard(
                self,
                f"{self._executions_arn}{suffix}",
                "A distributed Map starts, watches and stops executions of its own machine.",
            )
        accept_wildcard(
            self, f"{function.function_arn}:*", "The function's own versions and aliases."
        )
        accept_wildcard(
            self,
            "*",
            "Log delivery of Step Functions is set up by actions that know no single resource.",
        )
        accept(
            self,
            "AwsSolutions-SF1",
            "Errors are logged here; what happened to each window is in the function's log, and "
            "Step Functions keeps every event of an execution for 90 days by itself.",
        )
        accept(
            self,
            "AwsSolutions-SF2",
            "One function called in a loop gives traces with one span; the log lines of a window "
            "tell more, and X-Ray would need rights on all resources.",
        )
