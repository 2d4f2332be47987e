"""docs/permissions.md says what the roles may do: held against the template, action by action."""

import re
from typing import Any

import pytest

from infra import ROOT
from tests.infra.conftest import Synthesize
from tests.infra.variants import VARIANTS

PAGE = (ROOT / "docs" / "permissions.md").read_text("utf-8")


def granted(resources: dict[str, Any]) -> set[str]:
    """Every action that a role's policy allows."""
    actions: set[str] = set()
    for resource in resources.values():
        if resource["Type"] not in ("AWS::IAM::Policy", "AWS::IAM::Role"):
            continue
        properties = resource["Properties"]
        documents = [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
        documents += [one["PolicyDocument"] for one in properties.get("Policies", ())]
        for statement in (one for document in documents for one in document["Statement"]):
            if statement["Effect"] == "Deny":
                continue
            action = statement["Action"]
            actions |= {action} if isinstance(action, str) else set(action)
    return actions


@pytest.fixture(scope="module")
def actions(synthesize: Synthesize) -> set[str]:
    return {
        action
        for settings in VARIANTS.values()
        for action in granted(synthesize(**settings).to_json()["Resources"])
    }


def test_every_action_is_on_the_page(actions: set[str]) -> None:
    assert sorted(action for action in actions if f"`{action}`" not in PAGE) == []


def test_the_page_names_no_action_that_is_not_granted(actions: set[str]) -> None:
    tables = "\n".join(line for line in PAGE.splitlines() if line.startswith("|"))
    named = set(re.findall(r"`([a-z0-9]+:[A-Z]\w+)`", tables))
    assert named - actions == set()


def test_no_action_is_a_wildcard(actions: set[str]) -> None:
    assert not [action for action in actions if "*" in action]
