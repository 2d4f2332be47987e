"""CDK app: deployment settings in, stack out. `cdk synth` needs no AWS credentials."""

import os
import sys
from pathlib import Path

# The CDK CLI starts the `python3` of the PATH. Where that one has no CDK, the virtual environment
# of this checkout has: it need not be activated.
OWN_PYTHON = Path(__file__).resolve().parent / ".venv" / "bin" / "python3"

try:
    from aws_cdk import App, CliCredentialsStackSynthesizer, Environment

    from infra.deployment.read import read_deployment
    from infra.deployment.shipped_files import files_beside
    from infra.errors import DeploymentError, PackageError
    from infra.package import build_package
    from infra.stack import ExporterStack
except ModuleNotFoundError as missing:
    if OWN_PYTHON.exists() and Path(sys.executable) != OWN_PYTHON:
        os.execv(OWN_PYTHON, [str(OWN_PYTHON), *sys.argv])  # noqa: S606 - our own, no shell
    sys.exit(f"{missing.name} is not installed for {sys.executable}; run `make install` first.")


def main() -> None:
    """Ends the process with one sentence and exit code 1 if a setting is wrong."""
    app = App()
    try:
        deployment = read_deployment(app.node.get_all_context(), os.environ)
        ExporterStack(
            app,
            deployment.stack_name,
            deployment=deployment,
            package=build_package(
                architecture=deployment.architecture,
                python_version=deployment.python_version,
                beside=files_beside(deployment.ca_bundle, deployment.catalog),
            ),
            # Without an account and a region in it, the template fits any.
            env=Environment(account=deployment.account or None, region=deployment.region or None),
            # Publishes with the caller's own rights where no roles of `cdk bootstrap` are wanted.
            synthesizer=CliCredentialsStackSynthesizer() if deployment.cli_credentials else None,
        )
    except (DeploymentError, PackageError) as error:
        sys.exit(str(error))
    app.synth()


if __name__ == "__main__":
    main()
