"""The deployment that the tests of the stack start from."""

import json

from infra import ROOT
from infra.deployment.context import PLAIN_NAME

BASE_SETTINGS = {
    "cluster_name": "prod",
    "hostname": "mimir.example.com",
    "vpc_id": "new",
}


def flags() -> dict[str, object]:
    """What cdk.json says to the CDK itself: its feature flags."""
    return {key: value for key, value in context().items() if not PLAIN_NAME.fullmatch(key)}


def context(**settings: object) -> dict[str, object]:
    """cdk.json's context with what every deployment must give, and with these settings."""
    defaults = json.loads((ROOT / "cdk.json").read_text("utf-8"))["context"]
    return {**defaults, **BASE_SETTINGS, **settings}
