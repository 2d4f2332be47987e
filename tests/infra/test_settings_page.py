"""docs/settings.md, cdk.json and README's rows are what the tables of settings say."""

import json

import pytest

from infra import ROOT
from infra.deployment.table import BY_KEY
from mimir_exporter.settings.rows import Place
from mimir_exporter.settings.settings import ROWS
from release.settings_page import PAGE, made


@pytest.mark.parametrize("name", made())
def test_what_is_made_from_the_tables_is_up_to_date(name: str) -> None:
    assert (ROOT / name).read_text("utf-8") == made()[name], "run `make docs`"


def test_every_setting_is_on_the_page() -> None:
    page = PAGE.read_text("utf-8")
    for key in BY_KEY:
        assert f"| `{key}` |" in page
    for name in ROWS:
        assert f"| `{name}` |" in page


def test_cdk_json_has_every_deployment_setting_and_no_secret() -> None:
    context = json.loads((ROOT / "cdk.json").read_text("utf-8"))["context"]
    assert {key for key in context if "@" not in key} == set(BY_KEY)
    assert not {row.key for row in ROWS.values() if row.place is Place.SECRET} & set(context)
