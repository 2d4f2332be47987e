"""How long and how often the clients of AWS try."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.config import Config


@dataclass(frozen=True)
class ClientConfig:
    """How long and how often a client of AWS tries, and whether S3's is boto3's alone."""

    attempts: int = 5
    connect_s: float = 5
    read_s: float = 20
    by_boto3: bool = False

    @property
    def of_boto3(self) -> "Config":
        """The same for boto3.

        Each write carries the CRC-32 of its body, as botocore does by itself: S3 stores what was
        sent, or refuses it. Over TLS a file's comes after its body, so that it is read once.
        """
        from botocore.config import Config  # noqa: PLC0415 - with boto3 alone

        return Config(
            retries={"mode": "standard", "total_max_attempts": self.attempts},
            connect_timeout=self.connect_s,
            read_timeout=self.read_s,
            tcp_keepalive=True,
            max_pool_connections=10,
        )


CLIENT_CONFIG = ClientConfig()
# Where an operator waits for the answer: what did not answer twice is reported as such, and each
# of S3's answers in its own words.
INTERACTIVE_CONFIG = ClientConfig(attempts=2, read_s=10, by_boto3=True)
