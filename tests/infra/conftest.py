"""Synthesizes the stack in this process: jsii is slow, so each variant is made once a module."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from aws_cdk import App, Environment
from aws_cdk.assertions import Template

from infra import ROOT
from infra.deployment import read_deployment
from infra.package import Package
from infra.stack import ExporterStack

GIVEN = {"cluster_name": "prod", "hostname": "mimir.example.com"}
Synthesize = Callable[..., Template]


def context(**settings: object) -> dict[str, object]:
    """cdk.json's context with what every deployment must give, and with these settings."""
    defaults = json.loads((ROOT / "cdk.json").read_text())["context"]
    return {**defaults, **GIVEN, **settings}


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A folder that stands for the built one: the template holds no more of it than its hash."""
    folder: Path = tmp_path_factory.mktemp("package")
    (folder / "handler.py").write_text("")
    return Package(folder, "0" * 64)


@pytest.fixture(scope="session")
def make_stack(package: Package) -> Callable[..., ExporterStack]:
    """Builds the stack as app.py does, from cdk.json and these settings."""

    def make(**settings: object) -> ExporterStack:
        deployment = read_deployment(context(**settings), {})
        return ExporterStack(
            App(),
            deployment.stack_name,
            deployment=deployment,
            package=package,
            env=Environment(account=deployment.account, region=deployment.region)
            if deployment.needs_lookup
            else None,
        )

    return make


@pytest.fixture(scope="session")
def synthesize(make_stack: Callable[..., ExporterStack]) -> Synthesize:
    """The template of the stack with these settings."""
    return lambda **settings: Template.from_stack(make_stack(**settings))
