"""CDK app: deployment settings in, stack out. `cdk synth` needs no AWS credentials."""

import os
import sys

try:
    from aws_cdk import App, CliCredentialsStackSynthesizer, Environment

    from infra.context import DeploymentError
    from infra.deployment import read_deployment
    from infra.package import PackageError, build_package
    from infra.stack import ExporterStack
except ModuleNotFoundError as error:
    sys.exit(f"{error.name} is not installed for {sys.executable}; run `make install` first.")

from mimir_exporter.errors import SettingsError


def main() -> None:
    """Ends the process with one sentence and exit code 1 if a setting is wrong."""
    app = App()
    try:
        deployment = read_deployment(app.node.get_all_context(), os.environ)
        package = build_package(
            architecture=deployment.architecture, python_version=deployment.python_version
        )
    except (DeploymentError, SettingsError, PackageError) as error:
        sys.exit(str(error))
    ExporterStack(
        app,
        deployment.stack_name,
        deployment=deployment,
        package=package,
        # Without an account and a region in it, the template fits any; only looking up needs them.
        env=Environment(account=deployment.account, region=deployment.region)
        if deployment.needs_lookup
        else None,
        # Publishes with the caller's own rights where the roles of `cdk bootstrap` are not allowed.
        synthesizer=CliCredentialsStackSynthesizer() if deployment.cli_credentials else None,
    )
    app.synth()


if __name__ == "__main__":
    main()
