"""Files of the person who deploys that lie beside the package of the functions."""

from pathlib import Path

from mimir_exporter.catalog.tables import SETS

from ..errors import INVALID_DEPLOYMENT_VALUE
from .certificates import CA_BUNDLE_FILE

# Where the function finds it: CATALOG.
CATALOG_FILE = "catalog.toml"


def read_catalog_file(given: str) -> str:
    """The text of the catalogue at the path `given`; the name of a set that ships stays as it is.

    Read here and shipped, so that synth checks what the function will load, a change of it is a
    deployment, and nothing has to be allowed or reached at run time. Raises DeploymentError.
    """
    if given in SETS:
        return given
    try:
        return Path(given).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise INVALID_DEPLOYMENT_VALUE(
            name="catalog",
            shown=f"{given!r} ({why})",
            expected=f"{', '.join(SETS)}, or a file in the format of catalog.toml",
        ) from error


def catalog_variable(catalog: str) -> str:
    """CATALOG for a set's name or a catalogue's text; "" for the default."""
    if catalog in SETS:
        return "" if catalog == "default" else catalog
    return CATALOG_FILE


def files_beside(ca_bundle: str, catalog: str) -> dict[str, str]:
    """What ships beside the package: text by name."""
    found = {CA_BUNDLE_FILE: ca_bundle} if ca_bundle else {}
    return found if catalog in SETS else {**found, CATALOG_FILE: catalog}
