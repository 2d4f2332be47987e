"""The construct: everything that one exporter needs, for any app of the CDK."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from aws_cdk import Annotations, Duration, Names
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from constructs import Construct

from .deployment.certificates import CA_BUNDLE_FILE
from .deployment.environment import LATER, read_environment
from .deployment.fit import check_ipv6, choose_lag_s
from .deployment.shipped_files import files_beside
from .deployment.workspace import workspace_of
from .interface import ExporterInterface
from .monitoring.alarms import Alarms
from .monitoring.dashboard import Dashboard
from .monitoring.metrics import NAMESPACE, ExporterMetrics
from .monitoring.queries import SavedQueries
from .package import build_package
from .parts.backfill import Backfill
from .parts.bucket import DataBucket
from .parts.coverage import CoverageMap
from .parts.credentials import CredentialsSecret
from .parts.function import ExporterFunction, FunctionSettings
from .parts.network import Egress, Network
from .parts.schedule import RegularRun
from .parts.workspace import query_statement

HALF_AN_HOUR = Duration.minutes(30)
NONE: Mapping[str, object] = MappingProxyType({})
# Alarms and the dashboard have names of their own in front of the exporter's.
LONGEST_NAME = 128


class MimirExporter(ExporterInterface):
    """Exports Kubernetes cost metrics from Grafana Mimir to S3, on a schedule.

    Takes what exists, and makes what it is not given: a bucket that outlives the stack, an empty
    secret, a topic, a security group. Without `vpc` the functions are in none. It reads neither
    the context nor the environment, and can be there twice in one stack.

        MimirExporter(
            self,
            "MimirExporter",
            hostname="mimir-query-frontend.example.internal",
            cluster_name="central",
            scheme="https",
            port=443,
            vpc=vpc,
            settings={"time_frame": 1800},
        )
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        hostname: str,
        cluster_name: str,
        port: float | None = None,
        scheme: str | None = None,
        path_prefix: str | None = None,
        s3_prefix: str = "k8s/prometheus",
        settings: Mapping[str, object] = NONE,
        name: str | None = None,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] = (),
        mimir_cidrs: Sequence[str] = (),
        dns_servers: Sequence[str] = (),
        ipv6: bool = False,
        bucket: s3.IBucket | None = None,
        bucket_key: kms.IKey | None = None,
        secret: secretsmanager.ISecret | None = None,
        secret_key: kms.IKey | None = None,
        credentials: bool = True,
        ca_bundle: str = "",
        catalog: str = "default",
        code: lambda_.Code | None = None,
        architecture: str = "arm64",
        python_version: str = "3.14",
        memory_mb: int = 256,
        ephemeral_storage_mb: int = 512,
        timeout: Duration | None = None,
        log_level: str = "INFO",
        log_retention_days: int = 90,
        schedule: Duration = HALF_AN_HOUR,
        schedule_enabled: bool = True,
        backfill_concurrency: int = 2,
        alarm_topic: sns.ITopic | None = None,
        alarm_email: str = "",
        alarm_lag: Duration | None = None,
        dashboard: bool = True,
        saved_queries: bool = True,
    ) -> None:
        """`settings` are any others of docs/settings.md that become variables of the functions, by
        their names in lower case.

        `name` is in the names of alarms, dashboard and logs, and the `service` of the metrics; by
        default it follows from the construct's path. Security groups and the rules for Mimir
        (`mimir_cidrs`) and DNS (`dns_servers`) count within `vpc` only: with groups of your own
        none is made. `ipv6` lets the functions use IPv6 in a VPC with dual stack.

        `bucket_key` and `secret_key` encrypt what is made; for a bucket or secret that exists they
        are only needed if it does not know its key. Without `credentials` there is no secret, for
        a Mimir that asks for none. With a `role_arn` among `settings` that role has to have the
        rights on `bucket`. `ca_bundle` is PEM text, `catalog` a set's name or the text of a file.
        `code` replaces the package that is built here, and has to hold what both say; else it is
        built with pip, from wheels for `architecture` and `python_version`.

        `alarm_lag` is by default what three runs leave that exported nothing.

        Raises DeploymentError for a setting that is unknown, wrong, or does not fit to another.
        """
        super().__init__(scope, construct_id)
        self.name = name or Names.unique_resource_name(self, separator="-", max_length=LONGEST_NAME)
        self._environment = read_environment(
            {
                **settings,
                "hostname": hostname,
                "cluster_name": cluster_name,
                "s3_prefix": s3_prefix,
                **_given(port=port, scheme=scheme, path_prefix=path_prefix),
            },
            secret_arn=LATER if credentials else "",
            ca_bundle_file=CA_BUNDLE_FILE if ca_bundle else "",
            catalog=catalog,
        )
        self._settings = self._environment.settings
        self._workspace = workspace_of(self._settings)
        self.metrics = ExporterMetrics(service=self.name)
        self._schedule = schedule
        given_s = None if alarm_lag is None else int(alarm_lag.to_seconds())
        self.alarm_lag = Duration.seconds(
            choose_lag_s(self._settings, int(schedule.to_seconds()), given_s)
        )
        self._backfill_concurrency = backfill_concurrency
        self._log_retention_days = log_retention_days
        self.network = self._make_network(
            vpc,
            vpc_subnets,
            security_groups,
            Egress(
                host=hostname,
                port=self._settings.port if port is None else port,
                networks=mimir_cidrs,
                dns_servers=dns_servers,
                ipv6=ipv6,
            ),
        )
        self.data = DataBucket(
            self,
            "Data",
            bucket=bucket,
            prefix=self._environment.prefix,
            role_arn=self._settings.role_arn,
            key=bucket_key,
        )
        self.credentials = (
            CredentialsSecret(self, "Login", secret=secret, key=secret_key) if credentials else None
        )
        self._warn_of_plain_http()
        function_settings = FunctionSettings(
            code=code
            or self._bundle(architecture, python_version, files_beside(ca_bundle, catalog)),
            python_version=python_version,
            architecture=architecture,
            memory_mb=memory_mb,
            ephemeral_storage_mb=ephemeral_storage_mb,
            timeout=timeout or Duration.minutes(15),
            log_retention_days=log_retention_days,
            environment=self._variables(log_level)
            | ({"S3_KMS_KEY_ARN": bucket_key.key_arn} if bucket_key and bucket else {}),
        )
        self._make_functions(function_settings, schedule_enabled=schedule_enabled)
        self.alarms = Alarms(
            self,
            "Alarms",
            topic=alarm_topic,
            email=alarm_email,
            lag_limit_s=int(self.alarm_lag.to_seconds()),
            every=schedule,
            metrics=self.metrics,
            exporter=self.exporter,
            backfill_function=self.backfiller,
            backfill=self.backfill,
            regular_run=self.regular_run,
        )
        self.coverage = CoverageMap(
            self,
            "Coverage",
            settings=function_settings,
            network=self.network,
            bucket=self.data,
            checkpoint_key=self._environment.checkpoint_key,
        )
        self.dashboard = self._make_dashboard(memory_mb) if dashboard else None
        if saved_queries:
            groups = [made.log_group for made in (self.exporter, self.backfiller)]
            SavedQueries(self, "SavedQueries", folder=self.name, log_groups=groups)

    # How it is made.

    def _make_network(
        self,
        vpc: ec2.IVpc | None,
        subnets: ec2.SubnetSelection | None,
        security_groups: Sequence[ec2.ISecurityGroup],
        egress: Egress,
    ) -> Network | None:
        check_ipv6(egress.host, ipv6=egress.ipv6, in_existing_vpc=vpc is not None)
        if vpc is None:
            return None
        return Network(
            self,
            "Network",
            vpc=vpc,
            subnets=subnets,
            security_groups=security_groups,
            egress=egress,
        )

    def _bundle(
        self, architecture: str, python_version: str, beside: Mapping[str, str]
    ) -> lambda_.Code:
        package = build_package(
            architecture=architecture,
            python_version=python_version,
            beside=beside,
        )
        return lambda_.Code.from_asset(str(package.path), asset_hash=package.hash)

    def _variables(self, log_level: str) -> dict[str, str]:
        variables = {
            **self._environment.variables,
            "LOG_LEVEL": log_level,  # for Powertools
            "S3_BUCKET": self.data.name,
            # The dimension of every metric, and a field of every line of the log.
            "POWERTOOLS_SERVICE_NAME": self.metrics.service,
            "POWERTOOLS_METRICS_NAMESPACE": NAMESPACE,
        }
        if self.credentials:
            variables["AUTH_SECRET_ARN"] = self.credentials.arn
        return variables

    def _make_functions(self, settings: FunctionSettings, *, schedule_enabled: bool) -> None:
        self.backfiller = self._make_function(
            "Backfill", "backfill", "Exports one window of a backfill", settings
        )
        self.backfill = Backfill(
            self,
            "BackfillMachine",
            function=self.backfiller.function,
            function_timeout=settings.timeout,
            concurrency=self._backfill_concurrency,
            log_retention_days=self._log_retention_days,
            log_name=f"/aws/vendedlogs/states/{self.name}-backfill",
        )
        self.exporter = self._make_function(
            "Export", "export", "Exports Kubernetes metrics from Mimir to S3", settings
        )
        self.exporter.function.add_environment(
            "BACKFILL_STATE_MACHINE_ARN", self.backfill.state_machine.state_machine_arn
        )
        self.backfill.grant_hand_over(self.exporter.role)
        self.regular_run = RegularRun(
            self,
            "RegularRun",
            exporter=self.exporter,
            every=self._schedule,
            enabled=schedule_enabled,
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
        self.data.grant(made.role)
        if self.credentials:
            self.credentials.grant(made.role)
        if self._workspace:
            made.role.add_to_policy(query_statement(self, self._workspace))
        return made

    def _make_dashboard(self, memory_mb: int) -> Dashboard:
        return Dashboard(
            self,
            "Overview",
            every=self._schedule,
            lag_limit_s=int(self.alarm_lag.to_seconds()),
            memory_mb=memory_mb,
            metrics=self.metrics,
            exporter=self.exporter,
            backfill_function=self.backfiller,
            backfill=self.backfill,
            alarms=self.alarms,
            coverage_function=self.coverage.function,
        )

    def _warn_of_plain_http(self) -> None:
        if self.credentials and self._settings.scheme == "http":
            Annotations.of(self).add_warning_v2(
                "mimir-exporter:credentials-over-http",
                "The credentials of the secret go to Mimir unencrypted, as scheme is http: set "
                "scheme=https where Mimir or a proxy before it supports HTTPS, or use no secret "
                "(auth_secret_arn=none) where Mimir asks for no credentials.",
            )


def _given(**values: object) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}
