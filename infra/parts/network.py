"""Where the functions are in the network, and what they may reach from there."""

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aws_cdk import Token
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from ..deployment.fit import is_address

DNS = 53
HTTPS = 443
EVERYWHERE = (ec2.Peer.any_ipv4(), ec2.Peer.any_ipv6())


@dataclass(frozen=True)
class Egress:
    """What the functions reach, for a security group that is made for them.

    `networks` are the CIDR blocks of Mimir's addresses; without any, `host` itself where it is an
    address, otherwise anywhere. `dns_servers` are CIDR blocks or addresses.
    """

    host: str
    port: float  # what a number that is a token is to the CDK
    networks: Sequence[str] = ()
    dns_servers: Sequence[str] = ()
    ipv6: bool = False

    def rules(self) -> Iterator[tuple[ec2.IPeer, ec2.Port, str]]:
        for peer in self._mimir():
            yield peer, ec2.Port.tcp(self.port), "Mimir"
        # S3's gateway endpoint leaves S3 its public addresses, so 443 cannot be narrowed to the
        # VPC; the endpoint's prefix list has another id in each region. AWS is asked over IPv4.
        yield ec2.Peer.any_ipv4(), ec2.Port.tcp(HTTPS), "AWS"
        # Security groups do not apply to the VPC's own resolver, but to any other.
        for server in self.dns_servers:
            for port in (ec2.Port.tcp(DNS), ec2.Port.udp(DNS)):
                yield peer_of(server), port, "DNS"

    def _mimir(self) -> list[ec2.IPeer]:
        if self.networks:
            return [peer_of(network) for network in self.networks]
        if not Token.is_unresolved(self.host) and is_address(self.host):
            return [peer_of(self.host)]
        anywhere = EVERYWHERE if self.ipv6 else EVERYWHERE[:1]
        # The rule for AWS lets it through already.
        return list(anywhere) if self.port != HTTPS else list(anywhere[1:])


class Network(Construct):
    """The functions' subnets, and their security group: given, or made with no way in."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc,
        subnets: ec2.SubnetSelection | None,
        security_groups: Sequence[ec2.ISecurityGroup],
        egress: Egress,
    ) -> None:
        super().__init__(scope, construct_id)
        self.vpc = vpc
        self.subnets = subnets or ec2.SubnetSelection()
        self.ipv6 = egress.ipv6
        self.security_groups = list(security_groups) or [self._make_security_group(egress)]

    def outlast(self, policy: iam.Policy) -> None:
        """Delete the group before the policy, by which Lambda removes its interfaces in it."""
        self.node.add_dependency(policy)

    def _make_security_group(self, egress: Egress) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(
            self,
            "SecurityGroup",
            vpc=self.vpc,
            description="Exporter functions: out to Mimir and AWS, nothing in",
            allow_all_outbound=False,
        )
        for peer, port, description in egress.rules():
            group.add_egress_rule(peer, port, description)
        return group


def peer_of(network: str) -> ec2.IPeer:
    """A CIDR block, or one address. Raises ValueError for anything else."""
    block = ipaddress.ip_network(network)
    return ec2.Peer.ipv6(str(block)) if block.version == 6 else ec2.Peer.ipv4(str(block))
