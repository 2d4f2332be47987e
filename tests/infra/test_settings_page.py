"""docs/settings.md is what the code says, and says something of every setting."""

from infra.deployment.settings import OWN, PASSED_ON
from mimir_exporter.settings.variables import VARIABLES
from release.settings_page import PAGE, render


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == render(), "run `make docs`"


def test_every_setting_is_on_the_page() -> None:
    page = PAGE.read_text("utf-8")
    named = {name for name in (*PASSED_ON, *OWN) if f"| `{name}` |" in page}
    assert named >= {*PASSED_ON, *OWN}
    assert {name for name in VARIABLES if f"| `{name}` |" in page} >= set(VARIABLES) - {
        "BACKFILL_STATE_MACHINE_ARN"
    }
