"""One value of the CDK context -> a typed value, or one sentence about what is wrong with it.

Values come from cdk.json as JSON and from `cdk -c name=value` as text; both forms are taken.
"""

import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

# The CDK keeps its own things in the context: feature flags (`@aws-cdk/…`), switches of its CLI
# (`aws:cdk:…`), and what it looked up (`vpc-provider:account=…`). Ours are plain names.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]+")


class DeploymentError(ValueError):
    """A deployment setting cannot be used. str() is one sentence that never holds a secret."""


class Context:
    """The deployment settings by name. Every reader raises DeploymentError."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def refuse_unknown(self, known: Iterable[str], secret: Iterable[str]) -> None:
        """Stop at a name that is not a setting, and at one whose value is a secret.

        Values are never quoted here: the wrong name may well hold a password.
        """
        known, secret = sorted(known), frozenset(secret)
        for name in filter(_PLAIN_NAME.fullmatch, self._values):
            if name.lower() in secret:
                raise DeploymentError(
                    f"{name} is a secret and must not stand in a template; put it into the secret "
                    "under its name in capitals, as the output SecretCommand shows after the "
                    "deployment."
                )
            if name not in known:
                near = get_close_matches(name.lower(), known, n=1)
                hint = f"did you mean {near[0]}?" if near else "cdk.json lists all there are."
                raise DeploymentError(f"{name} is not a deployment setting; {hint}")

    def text(self, name: str, pattern: str = "", allowed: str = "") -> str:
        """The value as a function's environment holds it; "" for none.

        With a pattern, what does not match it whole is refused; `allowed` tells what would do.
        """
        value = _as_text(name, self._values.get(name))
        if pattern and not re.fullmatch(pattern, value):
            raise DeploymentError(f"{name} is {value!r}; {allowed} is allowed.")
        return value

    def number(self, name: str, low: int, high: int) -> int:
        """A whole number within [low, high]."""
        value = self.text(name)
        if not re.fullmatch(r"[0-9]{1,9}", value) or not low <= int(value) <= high:
            raise DeploymentError(
                f"{name} is {value!r}; a whole number from {low} to {high} is allowed."
            )
        return int(value)

    def choice(self, name: str, allowed: Iterable[str]) -> str:
        """One of a few words."""
        value, words = self.text(name), list(allowed)
        if value not in words:
            raise DeploymentError(f"{name} is {value!r}; one of {', '.join(words)} is allowed.")
        return value

    def flag(self, name: str) -> bool:
        """true or false."""
        return self.choice(name, ("true", "false")) == "true"

    def words(self, name: str) -> tuple[str, ...]:
        """The parts of a list, or of a text with commas between them."""
        value = self._values.get(name)
        parts = value if isinstance(value, list) else self.text(name).split(",")
        return tuple(word for part in parts if (word := _as_text(name, part)))


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
    raise DeploymentError(f"{name} is a {type(value).__name__}; a single value is allowed.")
