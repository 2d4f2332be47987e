"""The VPC of a deployment: one that exists, or one made here with a way to AWS only."""

from collections.abc import Mapping, Sequence

from aws_cdk import Annotations
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from ..errors import NO_PRIVATE_SUBNET
from .nag import accept

Statements = Mapping[ec2.InterfaceVpcEndpointAwsService, Sequence[iam.PolicyStatement]]


class ExistingVpc(Construct):
    """A VPC by its id, with the subnets given or looked up by synth."""

    def __init__(
        self, scope: Construct, construct_id: str, *, vpc_id: str, subnet_ids: Sequence[str]
    ) -> None:
        """Raises DeploymentError if no subnet is given, and none that is private is found."""
        super().__init__(scope, construct_id)
        if subnet_ids:
            # Functions need no zones: these are only here because the CDK wants to see some.
            self.vpc: ec2.IVpc = ec2.Vpc.from_vpc_attributes(
                self, "Vpc", vpc_id=vpc_id, availability_zones=["given-by-the-subnets"]
            )
            subnets = [
                self._given_subnet(f"Subnet{number}", subnet_id)
                for number, subnet_id in enumerate(subnet_ids, 1)
            ]
        else:
            self.vpc = ec2.Vpc.from_lookup(self, "Vpc", vpc_id=vpc_id)
            subnets = self._private_subnets(vpc_id)
        self.subnets = ec2.SubnetSelection(subnets=subnets)

    def _given_subnet(self, construct_id: str, subnet_id: str) -> ec2.ISubnet:
        subnet = ec2.Subnet.from_subnet_id(self, construct_id, subnet_id)
        # Nothing here asks for its route table; the warning would only frighten.
        Annotations.of(subnet).acknowledge_warning("@aws-cdk/aws-ec2:noSubnetRouteTableId")
        return subnet

    def _private_subnets(self, vpc_id: str) -> list[ec2.ISubnet]:
        """Those behind a NAT, otherwise those without a way out: a function has no address of its
        own on the internet, so a public subnet would be no use to it."""
        subnets = self.vpc.private_subnets or self.vpc.isolated_subnets
        if not subnets:
            raise NO_PRIVATE_SUBNET(vpc_id=vpc_id)
        return subnets


class IsolatedVpc(Construct):
    """Two isolated subnets and no NAT: nothing in it reaches the internet.

    AWS is reached through endpoints, and Mimir once you have added a peering, a transit gateway
    attachment or an endpoint to it. It is for trying the stack beside everything else that the
    account has, and for accounts in which the exporter is to have a VPC of its own.
    """

    def __init__(self, scope: Construct, construct_id: str, *, cidr: str) -> None:
        super().__init__(scope, construct_id)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(cidr),
            max_azs=2,
            nat_gateways=0,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="Exporter", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24
                )
            ],
            # Nothing is in the default group, and the CDK would need a function with rights of
            # its own to take its rules away.
            restrict_default_security_group=False,
        )
        self._s3 = self.vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        accept(
            self.vpc,
            "AwsSolutions-VPC7",
            "A VPC without a way to the internet; flow logs would record nothing but the "
            "exporter's own calls. Production gives an existing VPC with its own flow logs.",
        )

    def outlast(self, policy: iam.Policy) -> None:
        """Delete the subnets before the policy, by which Lambda removes its interfaces in them."""
        self.node.add_dependency(policy)

    def add_endpoints(
        self,
        *,
        security_groups: Sequence[ec2.ISecurityGroup],
        s3: Sequence[iam.PolicyStatement],
        services: Statements,
        zones: int,
    ) -> None:
        """Ways to S3 and to `services` for what `security_groups` are of, for these calls alone.

        An interface endpoint is paid by the hour in each of its `zones`, and reached from all.
        """
        for statement in s3:
            self._s3.add_to_policy(statement)
        group = self._make_group(security_groups)
        for service, statements in services.items():
            endpoint = self.vpc.add_interface_endpoint(
                service.short_name,
                service=service,
                security_groups=[group],
                open=False,
                subnets=ec2.SubnetSelection(subnets=self.vpc.isolated_subnets[:zones]),
            )
            for statement in statements:
                endpoint.add_to_policy(statement)

    def _make_group(self, sources: Sequence[ec2.ISecurityGroup]) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(
            self,
            "EndpointSecurityGroup",
            vpc=self.vpc,
            description="AWS endpoints: in from the exporter functions",
            allow_all_outbound=False,
        )
        # The rule is in the group itself rather than as a resource of its own: one thing less
        # that can be left behind, and CloudFormation look-alikes know it.
        resource = group.node.default_child
        assert isinstance(resource, ec2.CfnSecurityGroup)  # noqa: S101 - what an L2 group is made of
        resource.security_group_ingress = [
            ec2.CfnSecurityGroup.IngressProperty(
                ip_protocol="tcp",
                from_port=443,
                to_port=443,
                source_security_group_id=source.security_group_id,
                description="Exporter functions",
            )
            for source in sources
        ]
        return group
