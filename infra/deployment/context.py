"""The CDK context -> the text of each deployment setting.

Values come from cdk.json as JSON and from `cdk -c name=value` as text; both forms are taken.
"""

import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from ..errors import INVALID_DEPLOYMENT_VALUE, SECRET_AS_SETTING, UNKNOWN_DEPLOYMENT_SETTING

# The CDK keeps its own things in the context: feature flags (`@aws-cdk/…`), switches of its CLI
# (`aws:cdk:…`), and what it looked up (`vpc-provider:account=…`). Ours are plain names.
PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]+")


class Context:
    """The deployment settings by name. Every reader raises DeploymentError."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def refuse_unknown(self, known: Iterable[str], secret: Iterable[str]) -> None:
        """Stop at a name that is not a setting, and at one whose value is a secret.

        Values are never quoted here: the wrong name may well hold a password.
        """
        known, secret = sorted(known), frozenset(secret)
        for name in filter(PLAIN_NAME.fullmatch, self._values):
            if name.lower() in secret:
                raise SECRET_AS_SETTING(name=name, variable=name.upper())
            if name not in known:
                near = get_close_matches(name.lower(), known, n=1)
                hint = f"use {near[0]}" if near else "use one of those that cdk.json lists"
                raise UNKNOWN_DEPLOYMENT_SETTING(name=name, hint=hint)

    def text(self, name: str) -> str:
        """The value as a function's environment holds it; "" for none."""
        value = self._values.get(name)
        if isinstance(value, list) and name.endswith("_ids"):
            return ",".join(_as_text(name, part) for part in value)
        return _as_text(name, value)

    def is_empty(self, name: str) -> bool:
        """Whether it is given and has no value, as from a variable of the shell that is not set."""
        return self._values.get(name) is not None and self.text(name) == ""


def _as_text(name: str, value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return value.strip()
        case int():
            return str(value)
        case float():
            # To JSON 3600.0 and 3600 are one number.
            return str(int(value)) if value.is_integer() else repr(value)
        case dict():
            return json.dumps(value, ensure_ascii=False) if value else ""
    raise INVALID_DEPLOYMENT_VALUE(
        name=name, shown=f"of type {type(value).__name__}", expected="a single value"
    )
