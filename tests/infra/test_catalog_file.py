"""catalog: a set that ships, or a file of this machine that ships with the function."""

from pathlib import Path

import pytest

from infra.deployment.read import Deployment, read_deployment
from infra.deployment.shipped_files import CATALOG_FILE, files_beside
from infra.errors import DeploymentError
from mimir_exporter.catalog.tables import SETS
from tests.infra.base_settings import context

OWN = 'extends = "default"\nwithout = ["pod_labels"]\n'


def deploy(catalog: object) -> Deployment:
    return read_deployment(context(catalog=str(catalog)), {})


def test_a_file_ships_and_the_function_gets_its_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(OWN, "utf-8")
    deployment = deploy(path)
    assert deployment.environment["CATALOG"] == deployment.settings.catalog == CATALOG_FILE
    assert files_beside("", deployment.catalog) == {CATALOG_FILE: OWN}
    assert len(files_beside("PEM", deployment.catalog)) == 2


@pytest.mark.parametrize("name", SETS)
def test_of_a_set_only_the_name_is_passed_on(name: str) -> None:
    deployment = deploy(name)
    assert deployment.settings.catalog == name
    assert deployment.environment.get("CATALOG", "default") == name
    assert files_beside("", deployment.catalog) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "(No such file or directory): expected default, finout, opentelemetry"),
        (b"\xff\xfe", "(it is no UTF-8 text): expected"),
        (
            b"[[metric]]\nname = 'a'\n",
            "Invalid CATALOG (cdk.json: catalog): metric 'a' has neither",
        ),
        (b"x = 1", "unknown section 'x'"),
    ],
)
def test_one_that_the_function_could_not_read_stops_synth(
    tmp_path: Path, text: bytes | None, said: str
) -> None:
    path = tmp_path / "mine.toml"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(DeploymentError) as caught:
        deploy(path)
    assert said in str(caught.value)
