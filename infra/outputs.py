"""What a person needs next, printed by `cdk deploy` and kept as the stack's outputs."""

from aws_cdk import CfnOutput, Stack

from .exporter import MimirExporter
from .parts.reader import ReaderRole

# CloudFormation makes the names of roles of the stack's name, the role's logical id and twelve
# characters, and cuts the first two so that 64 suffice; 24 characters of the stack's name stay.
KEPT_OF_STACK_NAME = 24


def trust_policy(stack: Stack) -> str:
    """Trusts this account, and in it the roles of this stack: their ARNs change when the stack is
    made anew, and a trust policy that names one is void then."""
    name = stack.stack_name
    pattern = f"{name}-*" if len(name) <= KEPT_OF_STACK_NAME else f"{name[:KEPT_OF_STACK_NAME]}*"
    account = f"arn:{stack.partition}:iam::{stack.account}"
    return stack.to_json_string(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": f"{account}:root"},
                    "Action": "sts:AssumeRole",
                    "Condition": {
                        "StringEquals": {"sts:ExternalId": "<role_external_id>"},
                        "ArnLike": {"aws:PrincipalArn": f"{account}:role/{pattern}"},
                    },
                }
            ],
        }
    )


def add_outputs(
    stack: Stack, *, exporter: MimirExporter, reader: ReaderRole | None, role_arn: str
) -> None:
    """Names, console pages and commands to paste."""
    region = stack.region
    credentials, run, log = exporter.credentials, exporter.exporter, exporter.exporter.log_group

    def say(key: str, description: str, value: str) -> None:
        CfnOutput(stack, key, description=description, value=value)

    if credentials and credentials.is_made_here:
        say(
            "SecretCommand",
            "Puts the credentials for Mimir into the secret; other keys are PROMETHEUS_AUTH_TOKEN, "
            "PROMETHEUS_USERNAME with PROMETHEUS_PASSWORD, and PROMETHEUS_X_SCOPE_ORGID",
            f"aws secretsmanager put-secret-value --region {region} --secret-id {credentials.arn} "
            '--secret-string \'{"PROMETHEUS_BEARER_AUTH_TOKEN": "<token>"}\'',
        )
    say(
        "CheckCommand",
        "Run this first: says whether everything works, and what to change",
        run.invoke_command('{"action": "check"}'),
    )
    say(
        "InvokeCommand",
        "Starts a regular run now, as the schedule does",
        run.invoke_command("{}"),
    )
    say(
        "LogCommand",
        "Follows the export function's log in a terminal",
        f"aws logs tail --region {region} --follow {log.log_group_name}",
    )
    say(
        "FunctionName",
        "The export function, for the commands of the documentation",
        run.function.function_name,
    )
    say("FunctionConsole", "The export function's page, with the Test button", run.console_url)
    if exporter.dashboard:
        say(
            "DashboardConsole",
            "The dashboard: coverage map, lag, failures, backfill, health",
            exporter.dashboard.console_url,
        )
    say("LogConsole", "The export function's log", run.log_url)
    say("BackfillLogConsole", "The backfill function's log", exporter.backfiller.log_url)
    say(
        "StateMachine",
        "The state machine that exports windows that do not fit into a run",
        exporter.state_machine.state_machine_arn,
    )
    say("StateMachineConsole", "The backfill's executions", exporter.backfill.console_url)
    say(
        "CoverageFunction",
        "Draws the coverage map, for a custom widget of any dashboard",
        exporter.coverage.function.function_name,
    )
    say("Bucket", "Where the files go; the cost platform's field Bucket Name", exporter.data.name)
    if role_arn:
        say(
            "BucketRoleTrust",
            f"The trust policy that {role_arn} needs",
            trust_policy(stack),
        )
    say("Region", "Where the stack and its bucket are; the cost platform's field Region", region)
    if reader:
        say(
            "ReaderRole",
            "The role that the cost platform assumes; its field ARN Role",
            reader.role.role_arn,
        )
    say(
        "DeadLetterQueue",
        "Events of scheduled runs that failed or could not be started",
        exporter.regular_run.dead_letters.queue_url,
    )
    say(
        "AlarmTopic",
        "Where alarms go; to be told of them: aws sns subscribe --topic-arn <this> "
        "--protocol email --notification-endpoint <address>",
        exporter.alarm_topic.topic_arn,
    )
