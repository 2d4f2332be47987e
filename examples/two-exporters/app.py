"""Two exporters in one stack of another app: one in its VPC, one for a Mimir on the internet."""

from aws_cdk import App, Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct
from mimir_exporter_cdk import MimirExporter


class CostStack(Stack):
    """What a platform team has already, and the exporters beside it."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        vpc = ec2.Vpc(self, "Vpc", max_azs=2)
        bucket = s3.Bucket(
            self,
            "Costs",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
        )
        own = MimirExporter(
            self,
            "Own",
            hostname="mimir-query-frontend.example.internal",
            port=8080,
            path_prefix="prometheus",
            cluster_name="own",
            vpc=vpc,
            bucket=bucket,
            credentials=False,
            settings={"time_frame": 1800, "retention_days": 60},
        )
        hosted = MimirExporter(
            self,
            "Hosted",
            hostname="prometheus-prod-01-eu-west-0.grafana.net",
            port=443,
            scheme="https",
            path_prefix="api/prom",
            cluster_name="hosted",
            bucket=bucket,
            alarm_topic=own.alarm_topic,
        )
        readers = iam.Role(self, "Readers", assumed_by=iam.AccountRootPrincipal())
        for exporter in (own, hosted):
            exporter.grant_read_files(readers)
        cloudwatch.Dashboard(
            self,
            "Costs at a glance",
            widgets=[
                [
                    cloudwatch.GraphWidget(
                        title="How far behind",
                        left=[
                            exporter.metric_lag(period=Duration.hours(1))
                            for exporter in (own, hosted)
                        ],
                    )
                ]
            ],
        )


app = App()
CostStack(app, "Costs")
app.synth()
