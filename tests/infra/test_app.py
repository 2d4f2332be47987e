"""app.py as the CDK CLI starts it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra import ROOT
from tests.infra.base_settings import context


def start(folder: Path, **settings: object) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "CDK_CONTEXT_JSON": json.dumps(context(**settings)),
        "CDK_OUTDIR": str(folder),
    }
    return subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("settings", "environment"),
    [
        ({"account": "123456789012", "region": "eu-central-1"}, "123456789012/eu-central-1"),
        ({"region": "eu-central-1"}, "unknown-account/eu-central-1"),
        ({"account": "123456789012"}, "123456789012/unknown-region"),
        ({}, "unknown-account/unknown-region"),
    ],
)
def test_account_and_region_reach_the_manifest(
    tmp_path: Path, settings: dict[str, object], environment: str
) -> None:
    """Also where nothing has to be looked up: the CLI refuses to deploy into another account."""
    ended = start(tmp_path, vpc_id="new", **settings)
    assert ended.returncode == 0, ended.stderr
    manifest = json.loads((tmp_path / "manifest.json").read_text("utf-8"))
    stack = manifest["artifacts"]["MimirExporter"]
    assert stack["environment"] == f"aws://{environment}"
    # Nothing that would need credentials, such as the names of the region's zones.
    assert "missing" not in manifest


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"s3_bukcet": "x"},
            "Unknown deployment setting s3_bukcet; use s3_bucket [unknown_deployment_setting]",
        ),
        (
            {"port": 0},
            (
                "Invalid PORT (cdk.json: port) '0': expected a whole number from 1 to 65535; "
                "correct PORT (cdk.json: port) [invalid_value]"
            ),
        ),
    ],
)
def test_a_wrong_setting_stops_synth_with_one_line(
    tmp_path: Path, settings: dict[str, object], sentence: str
) -> None:
    ended = start(tmp_path, **settings)
    assert ended.returncode == 1
    assert ended.stderr == f"{sentence}\n"
    assert not ended.stdout
    assert not list(tmp_path.glob("*.template.json"))
