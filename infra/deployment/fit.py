"""Settings that have to fit together: the same checks for the stack and for the construct."""

import ipaddress

from aws_cdk import Token

from mimir_exporter.settings.settings import Settings

from ..errors import CONFLICTING_DEPLOYMENT_SETTINGS, INVALID_DEPLOYMENT_VALUE, IPV6_HOST

# The lag at which an alarm fires is by default what so many runs leave that exported nothing.
MISSED_RUNS = 3


def is_address(host: str) -> bool:
    """Whether a host is an IP address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def check_ipv6(host: str, *, ipv6: bool, in_existing_vpc: bool) -> None:
    """Raises DeploymentError where the functions would not reach an IPv6 address."""
    if ipv6 and not in_existing_vpc:
        raise CONFLICTING_DEPLOYMENT_SETTINGS(
            problem="ipv6 is set without an existing VPC",
            change="give one whose subnets have dual stack; the functions reach IPv6 only there",
        )
    if not Token.is_unresolved(host) and is_address(host) and ":" in host and not ipv6:
        raise IPV6_HOST(host=host)


def choose_lag_s(settings: Settings, every_s: int, given_s: int | None) -> int:
    """The lag at which an alarm fires, in seconds; `every_s` is between two runs.

    Raises DeploymentError for one that is reached in normal operation.
    """
    # How far behind the exporter is in normal operation, just before a run ends.
    usual_s = settings.time_frame_s + settings.settle_time_s + every_s
    if given_s is None:
        return usual_s + MISSED_RUNS * every_s
    if given_s <= usual_s:
        raise INVALID_DEPLOYMENT_VALUE(
            name="alarm_lag_s",
            shown=given_s,
            expected=f"more than {usual_s} s (TIME_FRAME + SETTLE_TIME + the schedule), as a lower "
            "threshold fires in normal operation",
        )
    return given_s
