"""Exports Kubernetes cost metrics from Grafana Mimir (or any Prometheus HTTP API) to S3."""

from pathlib import Path


def _read_version() -> str:
    """The version of pyproject.toml, which has the only one.

    Installed, and in the function's package, it is in the name of the folder that an installer
    makes; importlib.metadata would read the files of all packages to find it.
    """
    package = Path(__file__).resolve().parent
    for info in package.parent.glob("mimir_s3_exporter-*.dist-info"):
        return info.name.removesuffix(".dist-info").partition("-")[2]
    import tomllib  # noqa: PLC0415 - only in a checkout

    project = tomllib.loads((package.parents[1] / "pyproject.toml").read_text("utf-8"))
    return str(project["project"]["version"])


__version__ = _read_version()
