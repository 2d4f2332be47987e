"""docs/sources.md: its settings pass synth as they are."""

import re
from pathlib import Path

import pytest

from infra import ROOT
from infra.deployment.read import Deployment, read_deployment
from localcloud.certificates import make_authority
from mimir_exporter.errors import OutOfTimeError, SettingsError, kinds_in, source
from tests.conftest import NeedProgram
from tests.infra.base_settings import context

PAGE = (ROOT / "docs" / "sources.md").read_text("utf-8")
# Indented lines of `-c name=value`, joined where one ends with a backslash.
BLOCKS = re.findall(r"^    (-c .+(?:(?<=\\)\n    .+)*)", PAGE, flags=re.MULTILINE)


def read(block: str, **more: object) -> Deployment:
    settings = dict(re.findall(r"-c (\w+)=(\S+)", block))
    return read_deployment(context(**{**settings, **more}), {})


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split()[1])
def test_each_example_is_a_deployment(
    block: str, need_program: NeedProgram, tmp_path: Path
) -> None:
    if "ca_bundle" in block:
        need_program("openssl")
        authority = make_authority(tmp_path, "company").certificate
        deployment = read(block, ca_bundle=str(authority))
    else:
        deployment = read(block)
    settings = deployment.settings
    assert settings.scheme == ("https" if settings.port == 443 else "http")
    assert bool(settings.sigv4_region) == (settings.hostname.startswith("aps-workspaces"))


def test_every_source_of_the_table_has_an_example() -> None:
    first_table = PAGE.partition("\n## ")[0]
    named = re.findall(r"^\| ([A-Z][^|]+?) \|", first_table, flags=re.MULTILINE)
    for name in named:
        _, found, section = PAGE.partition(f"\n## {name}\n")
        assert found, name
        assert re.search(r"^    -c hostname=", section.partition("\n## ")[0], flags=re.MULTILINE)
    assert len(named) == 11
    assert len(BLOCKS) == len(named) + 2


def test_the_table_of_refusals_has_every_code() -> None:
    """Of an endpoint's answers; errors of settings and secrets are on their own pages."""
    table = PAGE.partition("\n## What fixes a refusal\n")[2]
    own = {"secret_unreadable", "signer_role_denied", "no_aws_credentials_to_sign"}
    own |= {"query_timed_out"}  # check's own patience
    for kind in kinds_in(vars(source)).values():
        if not issubclass(kind.error, SettingsError | OutOfTimeError) and kind.code not in own:
            assert f"`{kind.code}`" in table, kind.code
