"""The exporter's settings, by the names of cdk.json -> the environment of its functions.

They are checked by the function's own code, so that what synth accepts, the function can start
with.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import Token, Tokenization

from mimir_exporter.catalog.metrics import load_catalog
from mimir_exporter.catalog.tables import SETS, read_set
from mimir_exporter.errors import SettingsError
from mimir_exporter.settings.load import load_settings, refuse_future
from mimir_exporter.settings.settings import Settings
from mimir_exporter.storage.layout import CHECKPOINT, state_key

from ..errors import (
    ENVIRONMENT_TOO_LARGE,
    INVALID_DEPLOYMENT_VALUE,
    MISSING_DEPLOYMENT_SETTING,
    DeploymentError,
)
from .context import Context
from .shipped_files import catalog_variable
from .table import PASSED_ON

# For what is known only once CloudFormation has made it, or been given it as a parameter.
LATER = "known-to-cloudformation"
# Lambda takes 4 KB of environment, names and values together; the stack adds ARNs and names.
ENVIRONMENT_BYTES = 4096 - 700


@dataclass(frozen=True)
class Environment:
    """Variables of the functions. A value may be a token of the CDK; it is in `variables` as it
    is, and in `settings` as the default, or as a stand-in where there is none."""

    variables: Mapping[str, str]
    settings: Settings

    @property
    def prefix(self) -> str:
        """Of every key in the bucket, without a slash at its end."""
        return self._token("S3_PREFIX") or self.settings.prefix

    @property
    def checkpoint_key(self) -> str:
        """Of the exporter's state. A name that is a token has to need no encoding."""
        name = self._token("CLUSTER_NAME")
        if name:
            return f"{self.prefix}/{name}/{CHECKPOINT}"
        return state_key(self.prefix, self.settings.cluster_name, CHECKPOINT)

    def _token(self, variable: str) -> str:
        """The token of a variable; "" if it is none."""
        value = self.variables.get(variable, "")
        return value if Token.is_unresolved(value) else ""


def read_environment(
    values: Mapping[str, object],
    *,
    bucket_name: str = LATER,
    secret_arn: str = LATER,
    ca_bundle_file: str = "",
    catalog: str = "default",
) -> Environment:
    """Check settings by their names in cdk.json; None and "" count as absent.

    `bucket_name` and `secret_arn` are checked with them and not passed on, as the stack has the
    references; `secret_arn` is "" where there is no secret. `catalog` is a set's name, or the text
    of a file. Raises DeploymentError.
    """
    tokens = {
        PASSED_ON[key].name: _as_text(value)
        for key, value in values.items()
        if key in PASSED_ON and Token.is_unresolved(value)
    }
    plain = _plain_variables(values, given=tokens)
    if ca_bundle_file:
        plain["CA_BUNDLE"] = ca_bundle_file
    if variable := catalog_variable(catalog):
        plain["CATALOG"] = variable
    stand_ins = {"S3_BUCKET": bucket_name}
    if secret_arn:
        stand_ins["AUTH_SECRET_ARN"] = secret_arn
    stand_ins |= {
        row.name: LATER for row in PASSED_ON.values() if row.name in tokens and not row.default
    }
    try:
        settings = load_settings({**plain, **stand_ins})
        refuse_future(settings, time.time())
        # The function's file is not here: the text is what it will read.
        text = read_set(catalog) if catalog in SETS else catalog
        load_catalog(settings.extra_metrics, rate_range_s=settings.rate_range_s, text=text)
    except SettingsError as error:
        raise DeploymentError(error.details) from error
    return Environment({**plain, **tokens}, settings)


def _plain_variables(values: Mapping[str, object], *, given: Mapping[str, str]) -> dict[str, str]:
    """Those that are no tokens. Raises DeploymentError for one that is missing."""
    context = Context(
        {key: value for key, value in values.items() if not Token.is_unresolved(value)}
    )
    context.refuse_unknown(PASSED_ON, ())
    variables: dict[str, str] = {}
    for row in PASSED_ON.values():
        if row.name in given:
            continue
        # A default that is the function's own need not be passed on.
        default = row.deployed if row.deployed != row.default else None
        value = context.text(row.key) or default or ""
        if row.deployed is None and not value:
            raise MISSING_DEPLOYMENT_SETTING(name=row.key, meaning=row.meaning)
        if value:
            variables[row.name] = value
    _check_prefix(variables.get("S3_PREFIX", ""))
    size = sum(len(f"{name}{value}".encode()) for name, value in variables.items())
    if size > ENVIRONMENT_BYTES:
        raise ENVIRONMENT_TOO_LARGE(size=size, limit=ENVIRONMENT_BYTES)
    return variables


def _check_prefix(prefix: str) -> None:
    if re.search(r"[*?$]", prefix):
        raise INVALID_DEPLOYMENT_VALUE(
            name="s3_prefix",
            shown=repr(prefix),
            expected="a path without *, ? and $ (they mean something else in the role's policy)",
        )


def _as_text(token: object) -> str:
    if isinstance(token, int | float):
        return Tokenization.stringify_number(token)
    return str(token)
