"""The deployment settings, poured into the construct."""

from aws_cdk import Duration, Environment, Fn, IStackSynthesizer, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from constructs import Construct

from .deployment.read import Deployment
from .deployment.table import PASSED_ON
from .exporter import MimirExporter
from .outputs import add_outputs
from .package import Package
from .parts.reader import ReaderRole
from .parts.vpc import ExistingVpc, IsolatedVpc, Statements
from .parts.workspace import ACTIONS as QUERY_ACTIONS

ENDPOINT = ec2.InterfaceVpcEndpointAwsService


class ExporterStack(Stack):
    """One exporter, with what the settings have made around it: a VPC, the reader's role, outputs.

    The construct has the id `Default`, which the CDK leaves out of logical ids.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        deployment: Deployment,
        package: Package,
        env: Environment | None = None,
        synthesizer: IStackSynthesizer | None = None,
    ) -> None:
        """`env` names account and region where the settings do, or a VPC has to be looked up."""
        super().__init__(
            scope,
            construct_id,
            description="Exports Kubernetes cost metrics from Grafana Mimir to S3",
            env=env,
            synthesizer=synthesizer,
        )
        self._deployment = deployment
        self.vpc = self._find_vpc()
        self.exporter = self._make_exporter(package)
        if isinstance(self.vpc, IsolatedVpc):
            self._connect_to_aws(self.vpc)
        self.reader = (
            ReaderRole(
                self,
                "Reader",
                principal=deployment.reader_principal,
                external_id=deployment.reader_external_id,
                bucket=self.exporter.data,
            )
            if deployment.reader_principal
            else None
        )
        add_outputs(
            self,
            exporter=self.exporter,
            reader=self.reader,
            role_arn=deployment.settings.role_arn,
        )

    @property
    def availability_zones(self) -> list[str]:
        """Two that CloudFormation chooses: with an account and a region the CDK would look up
        their names, for which synth needs credentials."""
        return [Fn.select(number, Fn.get_azs()) for number in (0, 1)]

    def _find_vpc(self) -> ExistingVpc | IsolatedVpc | None:
        deployment = self._deployment
        match deployment.vpc_id:
            case "none":
                return None
            case "new":
                return IsolatedVpc(self, "Network", cidr=deployment.vpc_cidr)
        return ExistingVpc(
            self, "Network", vpc_id=deployment.vpc_id, subnet_ids=deployment.subnet_ids
        )

    def _make_exporter(self, package: Package) -> MimirExporter:
        deployment, settings = self._deployment, self._deployment.settings
        group_id = deployment.security_group_id
        return MimirExporter(
            self,
            "Default",
            name=deployment.stack_name,
            hostname=settings.hostname,
            cluster_name=settings.cluster_name,
            s3_prefix=settings.prefix,
            settings={key: deployment.environment.get(row.name) for key, row in PASSED_ON.items()},
            vpc=self.vpc.vpc if self.vpc else None,
            vpc_subnets=self.vpc.subnets if isinstance(self.vpc, ExistingVpc) else None,
            security_groups=[
                ec2.SecurityGroup.from_security_group_id(
                    self, "SecurityGroup", group_id, mutable=False
                )
            ]
            if group_id
            else [],
            mimir_cidrs=deployment.mimir_cidrs,
            dns_servers=deployment.dns_servers,
            ipv6=deployment.ipv6,
            bucket=self._bucket(),
            bucket_key=self._key("BucketKey", deployment.bucket_kms_key_arn),
            secret=self._secret(),
            secret_key=self._key("SecretKey", deployment.secret_kms_key_arn),
            credentials=deployment.has_secret,
            ca_bundle=deployment.ca_bundle,
            catalog=deployment.catalog,
            code=lambda_.Code.from_asset(str(package.path), asset_hash=package.hash),
            architecture=deployment.architecture,
            python_version=deployment.python_version,
            memory_mb=deployment.memory_mb,
            ephemeral_storage_mb=deployment.ephemeral_storage_mb,
            timeout=Duration.seconds(deployment.timeout_s),
            log_level=deployment.log_level,
            log_retention_days=deployment.log_retention_days,
            schedule=Duration.minutes(deployment.schedule_minutes),
            schedule_enabled=deployment.schedule_enabled,
            backfill_concurrency=deployment.backfill_concurrency,
            alarm_topic=sns.Topic.from_topic_arn(self, "Topic", deployment.alarm_topic_arn)
            if deployment.alarm_topic_arn
            else None,
            alarm_email=deployment.alarm_email,
            alarm_lag=Duration.seconds(deployment.alarm_lag_s),
            dashboard=deployment.dashboard,
            saved_queries=deployment.saved_queries,
        )

    def _bucket(self) -> s3.IBucket | None:
        name = self._deployment.bucket_name
        return s3.Bucket.from_bucket_name(self, "ExistingBucket", name) if name else None

    def _secret(self) -> secretsmanager.ISecret | None:
        arn = self._deployment.secret_arn
        return (
            secretsmanager.Secret.from_secret_complete_arn(self, "ExistingSecret", arn)
            if arn
            else None
        )

    def _key(self, construct_id: str, arn: str) -> kms.IKey | None:
        return kms.Key.from_key_arn(self, construct_id, arn) if arn else None

    def _connect_to_aws(self, vpc: IsolatedVpc) -> None:
        exporter = self.exporter
        assert exporter.network is not None  # noqa: S101 - it is in this VPC
        for function in exporter.functions:
            assert function.interfaces is not None  # noqa: S101
            vpc.outlast(function.interfaces)
        vpc.add_endpoints(
            security_groups=exporter.network.security_groups,
            s3=[for_anyone(statement) for statement in exporter.data.statements()],
            services=self._services(),
            zones=self._deployment.vpc_endpoint_zones,
        )

    def _services(self) -> Statements:
        """What the functions call beside S3, and what they may call there through the VPC."""
        exporter, settings = self.exporter, self._deployment.settings
        services = {ENDPOINT.STEP_FUNCTIONS: exporter.backfill.statements()}
        if exporter.credentials:
            services[ENDPOINT.SECRETS_MANAGER] = [exporter.credentials.read_statement()]
        if settings.sigv4_region:
            # Whose workspace it is, only the role in its account knows.
            workspaces = f"arn:{self.partition}:aps:{settings.sigv4_region}:*:workspace/*"
            services[ENDPOINT.PROMETHEUS_WORKSPACES] = [
                iam.PolicyStatement(actions=QUERY_ACTIONS, resources=[workspaces])
            ]
        roles = [arn for arn in (settings.role_arn, settings.sigv4_role_arn) if arn]
        if roles:
            services[ENDPOINT.STS] = [
                iam.PolicyStatement(actions=["sts:AssumeRole"], resources=roles)
            ]
        return {
            service: [for_anyone(statement) for statement in statements]
            for service, statements in services.items()
        }


def for_anyone(statement: iam.PolicyStatement) -> iam.PolicyStatement:
    """The same for an endpoint's policy, which only bounds what the roles have."""
    return iam.PolicyStatement(
        principals=[iam.AnyPrincipal()],
        actions=statement.actions,
        resources=statement.resources,
    )
