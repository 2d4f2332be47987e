"""A function of the exporter, with its role and its log."""

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import Duration, Size, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from .console import console_page
from .logs import make_log_group
from .nag import accept, accept_wildcard
from .network import Network

ARCHITECTURE = {"arm64": lambda_.Architecture.ARM_64, "x86_64": lambda_.Architecture.X86_64}


VPC_ACTIONS = [
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
]


@dataclass(frozen=True)
class FunctionSettings:
    """What the exporter's functions have in common."""

    code: lambda_.Code
    python_version: str
    architecture: str
    memory_mb: int
    ephemeral_storage_mb: int
    timeout: Duration
    log_retention_days: int
    environment: Mapping[str, str]


class ExporterFunction(Construct):
    """A function that may write its own log, be in the VPC, and nothing else until granted."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        handler: str,
        description: str,
        settings: FunctionSettings,
        network: Network | None,
    ) -> None:
        super().__init__(scope, construct_id)
        self._timeout = settings.timeout
        self.log_group = make_log_group(self, "Log", retention_days=settings.log_retention_days)
        # The managed policies for Lambda open every log group of the account.
        self.role = iam.Role(
            self,
            "Role",
            description=f"{description} (role of the function)",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
        )
        self.log_group.grant_write(self.role)
        self.interfaces = self._allow_network_interfaces() if network else None
        self.function = lambda_.Function(
            self,
            "Function",
            description=description,
            handler=handler,
            code=settings.code,
            runtime=lambda_.Runtime(
                f"python{settings.python_version}", lambda_.RuntimeFamily.PYTHON
            ),
            architecture=ARCHITECTURE[settings.architecture],
            memory_size=settings.memory_mb,
            ephemeral_storage_size=Size.mebibytes(settings.ephemeral_storage_mb),
            timeout=settings.timeout,
            environment=dict(settings.environment),
            role=self.role,
            log_group=self.log_group,
            vpc=network.vpc if network else None,
            vpc_subnets=network.subnets if network else None,
            security_groups=network.security_groups if network else None,
            ipv6_allowed_for_dual_stack=True if network and network.ipv6 else None,
        )
        if network and self.interfaces:
            self.function.node.add_dependency(self.interfaces)
            network.outlast(self.interfaces)
        accept(
            self,
            "AwsSolutions-L1",
            "The runtime is a deployment setting; its default, 3.14, is supported until June 2029.",
        )

    def _allow_network_interfaces(self) -> iam.Policy:
        """What Lambda needs to put the function into a VPC; these actions know no single resource.

        Lambda makes the interfaces with the function, and removes them with the role some time
        after the function left the VPC. So this is a policy of its own, which comes before the
        function and goes after the function, the security group and the subnets: the role's
        default policy goes before the function, and would strand the interfaces
        (aws/aws-cdk#34400, #6701).
        """
        policy = iam.Policy(
            self,
            "NetworkInterfaces",
            statements=[
                iam.PolicyStatement(sid="StandInTheVpc", actions=VPC_ACTIONS, resources=["*"]),
                # Lambda's own calls have no source function; those of the code in it have.
                # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
                iam.PolicyStatement(
                    sid="NotForTheCode",
                    effect=iam.Effect.DENY,
                    actions=VPC_ACTIONS,
                    resources=["*"],
                    conditions={"Null": {"lambda:SourceFunctionArn": "false"}},
                ),
            ],
            roles=[self.role],
        )
        accept_wildcard(
            policy,
            "*",
            "Lambda makes and removes the function's network interfaces with the role; these EC2 "
            "actions are granted for all of them, as in AWS's own policy for functions in a VPC.",
        )
        return policy

    def invoke_command(self, event: str) -> str:
        """The command that sends this event, JSON without a single quote, and prints the answer."""
        # A run may take the function's whole time. By itself the AWS CLI would give up after 60 s
        # and send the event again.
        return (
            f"aws lambda invoke --region {Stack.of(self).region} "
            f"--function-name {self.function.function_name} "
            f"--cli-read-timeout {int(self._timeout.to_seconds()) + 30} "
            f"--cli-binary-format raw-in-base64-out --payload '{event}' /dev/stdout"
        )

    @property
    def console_url(self) -> str:
        """The function's page, where the Test button is."""
        return console_page(self, "lambda", f"/functions/{self.function.function_name}")

    @property
    def log_url(self) -> str:
        """The page of the function's log group. Its name has nothing that needs escaping."""
        group = self.log_group.log_group_name
        return console_page(self, "cloudwatch", f"logsV2:log-groups/log-group/{group}")
