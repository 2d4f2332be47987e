"""Synthesizes the stack in this process: jsii is slow, so each variant is made once a session."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk import App, Environment
from aws_cdk.assertions import Template

from infra.deployment.read import read_deployment
from infra.package import Package
from infra.stack import ExporterStack
from tests.infra.base_settings import context, flags

MakeStack = Callable[..., ExporterStack]
Synthesize = Callable[..., Template]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A folder in place of the built one: the template holds no more of it than its hash."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "handler.py").write_text("", "utf-8")
    return Package(folder, "0" * 64)


@pytest.fixture(scope="session")
def make_stack(package: Package) -> MakeStack:
    """Builds the stack as app.py does, from cdk.json and these settings, in an app of its own."""

    def make(app: App | None = None, **settings: object) -> ExporterStack:
        deployment = read_deployment(context(**settings), {})
        return ExporterStack(
            app or App(context=flags()),
            deployment.stack_name,
            deployment=deployment,
            package=package,
            env=Environment(account=deployment.account or None, region=deployment.region or None),
        )

    return make


@pytest.fixture(scope="session")
def synthesize(make_stack: MakeStack) -> Synthesize:
    """The template of the stack with these settings, made once a session: it takes a second."""
    made: dict[str, Template] = {}

    def synthesize_once(**settings: object) -> Template:
        key = json.dumps(settings, sort_keys=True)
        if key not in made:
            made[key] = Template.from_stack(make_stack(**settings))
        return made[key]

    return synthesize_once


@pytest.fixture(scope="session")
def template(synthesize: Synthesize) -> Template:
    """The template as cdk.json has it: VPC, bucket and secret made by the stack."""
    return synthesize()


@pytest.fixture(scope="session")
def resources(template: Template) -> dict[str, dict[str, Any]]:
    """Every resource of `template` by its logical id."""
    found: dict[str, dict[str, Any]] = template.to_json()["Resources"]
    return found
