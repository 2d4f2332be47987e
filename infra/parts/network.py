"""Where the functions stand in the network, and what they may reach from there."""

import ipaddress
from collections.abc import Sequence

from aws_cdk import Annotations
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from ..deployment.context import DeploymentError
from .nag import accept


class Network(Construct):
    """An existing VPC, or one made for a trial, with the functions' security group.

    A made VPC has two isolated subnets and no NAT: nothing in it reaches the internet, AWS is
    reached through endpoints, and Mimir through whatever peering or link you add.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc_id: str,
        subnet_ids: Sequence[str],
        security_group_id: str,
        mimir_host: str,
        mimir_port: int,
        services: Sequence[ec2.InterfaceVpcEndpointAwsService],
    ) -> None:
        """`vpc_id` may be "new"; `services` are what its endpoints lead to, beside S3.

        Without `subnet_ids` an existing VPC's private subnets are looked up by synth.
        """
        super().__init__(scope, construct_id)
        self.subnets = ec2.SubnetSelection()
        if vpc_id == "new":
            self.vpc: ec2.IVpc = self._make_vpc()
        elif subnet_ids:
            # Functions need no zones: these are only here because the CDK wants to see some.
            self.vpc = ec2.Vpc.from_vpc_attributes(
                self, "Vpc", vpc_id=vpc_id, availability_zones=["given-by-the-subnets"]
            )
            self.subnets = ec2.SubnetSelection(
                subnets=[
                    self._given_subnet(f"Subnet{number}", subnet_id)
                    for number, subnet_id in enumerate(subnet_ids, 1)
                ]
            )
        else:
            self.vpc = ec2.Vpc.from_lookup(self, "Vpc", vpc_id=vpc_id)
            self.subnets = ec2.SubnetSelection(subnets=self._private_subnets(vpc_id))
        if security_group_id:
            self.security_group = ec2.SecurityGroup.from_security_group_id(
                self, "SecurityGroup", security_group_id, mutable=False
            )
        else:
            self.security_group = self._make_security_group(mimir_host, mimir_port)
        if vpc_id == "new":
            self._add_endpoints(services)

    def outlast(self, policy: iam.Policy) -> None:
        """Delete this network before the policy, by which Lambda removes its interfaces in it."""
        self.node.add_dependency(policy)

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
            raise DeploymentError(
                f"vpc_id is {vpc_id!r}, in which no private subnet was found; give subnet_ids or "
                "another VPC."
            )
        return subnets

    def _make_vpc(self) -> ec2.Vpc:
        vpc = ec2.Vpc(
            self,
            "Vpc",
            max_azs=2,
            nat_gateways=0,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="Exporter", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24
                )
            ],
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3)
            },
        )
        accept(
            vpc,
            "AwsSolutions-VPC7",
            "A VPC for a trial, without a way to the internet; flow logs would record nothing but "
            "the exporter's own calls. Production gives an existing VPC with its own flow logs.",
        )
        return vpc

    def _make_security_group(self, mimir_host: str, mimir_port: int) -> ec2.ISecurityGroup:
        """No way in; out only to Mimir's port and to AWS.

        Security groups do not apply to the VPC's own DNS resolver, so DNS needs no rule.
        """
        group = ec2.SecurityGroup(
            self,
            "SecurityGroup",
            vpc=self.vpc,
            description="Exporter functions: out to Mimir and AWS, nothing in",
            allow_all_outbound=False,
        )
        mimir = _peer_of(mimir_host)
        group.add_egress_rule(mimir, ec2.Port.tcp(mimir_port), "Mimir")
        # S3's gateway endpoint leaves S3 its public addresses, so 443 cannot be narrowed to the
        # VPC; the endpoint's prefix list has another id in each region.
        if mimir_port != 443 or mimir != ec2.Peer.any_ipv4():
            group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "AWS")
        return group

    def _add_endpoints(self, services: Sequence[ec2.InterfaceVpcEndpointAwsService]) -> None:
        group = ec2.SecurityGroup(
            self,
            "EndpointSecurityGroup",
            vpc=self.vpc,
            description="AWS endpoints: in from the exporter functions",
            allow_all_outbound=False,
        )
        # The rule stands in the group itself rather than as a resource of its own: one thing less
        # that can be left behind, and CloudFormation look-alikes know it.
        resource = group.node.default_child
        assert isinstance(resource, ec2.CfnSecurityGroup)  # noqa: S101 - what an L2 group is made of
        resource.security_group_ingress = [
            ec2.CfnSecurityGroup.IngressProperty(
                ip_protocol="tcp",
                from_port=443,
                to_port=443,
                source_security_group_id=self.security_group.security_group_id,
                description="Exporter functions",
            )
        ]
        for service in services:
            self.vpc.add_interface_endpoint(
                service.short_name, service=service, security_groups=[group], open=False
            )


def _peer_of(host: str) -> ec2.IPeer:
    """Mimir's own address where the setting is one, otherwise anywhere."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ec2.Peer.any_ipv4()
    if address.version == 6:
        return ec2.Peer.ipv6(f"{address}/128")
    return ec2.Peer.ipv4(f"{address}/32")
