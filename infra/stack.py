"""The stack: makes the parts, joins them, and says what a person needs next."""

from aws_cdk import Duration, Environment, Fn, IStackSynthesizer, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from mimir_exporter.storage.layout import CHECKPOINT, state_key

from .deployment.read import Deployment
from .monitoring.alarms import Alarms
from .monitoring.dashboard import Dashboard
from .monitoring.metrics import NAMESPACE, ExporterMetrics
from .monitoring.queries import SavedQueries
from .outputs import add_outputs
from .package import Package
from .parts.backfill import Backfill
from .parts.bucket import DataBucket
from .parts.coverage import CoverageMap
from .parts.function import ExporterFunction, FunctionSettings
from .parts.login import LoginSecret
from .parts.network import Network
from .parts.reader import ReaderRole
from .parts.schedule import RegularRun
from .parts.workspace import grant_queries


class ExporterStack(Stack):
    """Everything that one exporter needs."""

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
        self.metrics = ExporterMetrics(service=deployment.stack_name)
        self.network = self._make_network()
        self.bucket = DataBucket(
            self,
            "Data",
            bucket_name=deployment.bucket_name,
            prefix=deployment.settings.prefix,
            role_arn=deployment.settings.role_arn,
            kms_key_arn=deployment.bucket_kms_key_arn,
        )
        self.login = (
            LoginSecret(
                self,
                "Login",
                secret_arn=deployment.secret_arn,
                kms_key_arn=deployment.secret_kms_key_arn,
            )
            if deployment.has_secret
            else None
        )
        self.timeout = Duration.seconds(deployment.timeout_s)
        code = lambda_.Code.from_asset(str(package.path), asset_hash=package.hash)
        settings = self._function_settings(code)
        self.backfill_function = self._make_function(
            "Backfill", "backfill", "Exports one window of a backfill", settings
        )
        self.backfill = Backfill(
            self,
            "BackfillMachine",
            function=self.backfill_function.function,
            function_timeout=self.timeout,
            concurrency=deployment.backfill_concurrency,
            log_retention_days=deployment.log_retention_days,
        )
        self.exporter = self._make_function(
            "Export", "export", "Exports Kubernetes metrics from Mimir to S3", settings
        )
        self._let_exporter_hand_over()
        self.regular_run = RegularRun(
            self,
            "RegularRun",
            exporter=self.exporter,
            every=Duration.minutes(deployment.schedule_minutes),
        )
        self.alarms = Alarms(
            self,
            "Alarms",
            topic_arn=deployment.alarm_topic_arn,
            email=deployment.alarm_email,
            lag_limit_s=deployment.alarm_lag_s,
            every=Duration.minutes(deployment.schedule_minutes),
            metrics=self.metrics,
            exporter=self.exporter,
            backfill_function=self.backfill_function,
            backfill=self.backfill,
            regular_run=self.regular_run,
        )
        self.coverage = CoverageMap(
            self,
            "Coverage",
            settings=settings,
            network=self.network,
            bucket=self.bucket,
            checkpoint_key=state_key(
                deployment.settings.prefix, deployment.settings.cluster_name, CHECKPOINT
            ),
        )
        self.dashboard = self._make_dashboard() if deployment.dashboard else None
        self.reader = (
            ReaderRole(
                self,
                "Reader",
                principal=deployment.reader_principal,
                external_id=deployment.reader_external_id,
                bucket=self.bucket,
            )
            if deployment.reader_principal
            else None
        )
        if deployment.saved_queries:
            groups = [made.log_group for made in (self.exporter, self.backfill_function)]
            SavedQueries(self, "SavedQueries", log_groups=groups)
        add_outputs(
            self,
            exporter=self.exporter,
            backfill_function=self.backfill_function,
            backfill=self.backfill,
            regular_run=self.regular_run,
            bucket=self.bucket,
            login=self.login,
            alarms=self.alarms,
            coverage=self.coverage,
            dashboard=self.dashboard,
            reader=self.reader,
            role_arn=deployment.settings.role_arn,
        )

    @property
    def availability_zones(self) -> list[str]:
        """Two that CloudFormation chooses: with an account and a region the CDK would look up
        their names, for which synth needs credentials."""
        return [Fn.select(number, Fn.get_azs()) for number in (0, 1)]

    def _make_network(self) -> Network | None:
        deployment = self._deployment
        if deployment.vpc_id == "none":
            return None
        services = [ec2.InterfaceVpcEndpointAwsService.STEP_FUNCTIONS]
        if deployment.has_secret:
            services.append(ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER)
        if deployment.settings.sigv4_region:
            services.append(ec2.InterfaceVpcEndpointAwsService.PROMETHEUS_WORKSPACES)
        if deployment.settings.role_arn or deployment.settings.sigv4_role_arn:
            services.append(ec2.InterfaceVpcEndpointAwsService.STS)
        return Network(
            self,
            "Network",
            vpc_id=deployment.vpc_id,
            subnet_ids=deployment.subnet_ids,
            security_group_id=deployment.security_group_id,
            mimir_host=deployment.settings.hostname,
            mimir_port=deployment.settings.port,
            services=services,
        )

    def _function_settings(self, code: lambda_.Code) -> FunctionSettings:
        deployment = self._deployment
        environment = {
            **deployment.environment,
            "S3_BUCKET": self.bucket.name,
            # The dimension of every metric, and a field of every line of the log.
            "POWERTOOLS_SERVICE_NAME": self.metrics.service,
            "POWERTOOLS_METRICS_NAMESPACE": NAMESPACE,
        }
        if self.login:
            environment["AUTH_SECRET_ARN"] = self.login.arn
        return FunctionSettings(
            code=code,
            python_version=deployment.python_version,
            architecture=deployment.architecture,
            memory_mb=deployment.memory_mb,
            ephemeral_storage_mb=deployment.ephemeral_storage_mb,
            timeout=self.timeout,
            log_retention_days=deployment.log_retention_days,
            environment=environment,
        )

    def _make_function(
        self, construct_id: str, entry_point: str, description: str, settings: FunctionSettings
    ) -> ExporterFunction:
        made = ExporterFunction(
            self,
            construct_id,
            handler=f"mimir_exporter.handler.{entry_point}",
            description=description,
            settings=settings,
            network=self.network,
        )
        self.bucket.grant(made.role)
        if self.login:
            self.login.grant(made.role)
        grant_queries(made.role, self._deployment.settings)
        return made

    def _let_exporter_hand_over(self) -> None:
        machine = self.backfill.state_machine
        self.exporter.function.add_environment(
            "BACKFILL_STATE_MACHINE_ARN", machine.state_machine_arn
        )
        self.backfill.grant_hand_over(self.exporter.role)

    def _make_dashboard(self) -> Dashboard:
        deployment = self._deployment
        return Dashboard(
            self,
            "Overview",
            every=Duration.minutes(deployment.schedule_minutes),
            lag_limit_s=deployment.alarm_lag_s,
            memory_mb=deployment.memory_mb,
            metrics=self.metrics,
            exporter=self.exporter,
            backfill_function=self.backfill_function,
            backfill=self.backfill,
            alarms=self.alarms,
            coverage_function=self.coverage.function,
        )
