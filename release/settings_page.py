"""docs/settings.md, made from the settings of the code: `python -m release.settings_page`."""

import json
from collections.abc import Iterable, Mapping

from infra import ROOT
from infra.deployment import settings
from infra.deployment.settings import OWN, PASSED_ON
from mimir_exporter.settings import variables
from mimir_exporter.settings.variables import Variable

PAGE = ROOT / "docs" / "settings.md"

HEAD = """\
# Settings

Made by `make docs` from [variables.py](../lambda/mimir_exporter/settings/variables.py),
[settings.py](../infra/deployment/settings.py) and [cdk.json](../cdk.json).

A setting of the deployment stands in `cdk.json`, or behind `-c` on the command line:
`npx cdk deploy -c time_frame=1800`. Most become a variable of the functions' environment, whose
name is the same in capitals. These are the names of the CronJob that this exporter replaces; the
command line of [local use](local.md) reads the same variables.

A wrong value stops `cdk synth`, or the function's start, with one sentence that names the setting,
the value and what is allowed. An empty value counts as absent. A number of seconds or days may be
written as a duration too: `90m`, `72h`, `3d`, `2w`.
"""


def render() -> str:
    """The page."""
    context = json.loads((ROOT / "cdk.json").read_text("utf-8"))["context"]
    return "\n".join(
        [
            HEAD,
            *_variables("Where Mimir is", variables.ENDPOINT, context),
            *_variables("Which files", variables.FILES, context),
            *_variables("Which time", variables.TIME, context),
            *_variables("Which metrics", variables.METRICS, context),
            *_variables(
                "The login",
                variables.LOGIN,
                context,
                "A secret is never a deployment setting, as it would stand in the template: token "
                "and password\nbelong into the secret, under their names here. A rotated one is "
                "picked up without a deployment:\nwhen Mimir answers 401, the secret is read "
                "again.\n",
            ),
            *_variables("Amazon Managed Service for Prometheus", variables.SIGNATURE, context),
            *_own("What is made, and what is yours", settings.THINGS, context),
            *_own("Where it stands", settings.PLACE, context),
            *_own("The functions", settings.FUNCTIONS, context),
            *_own("Watching it", settings.WATCHING, context),
            *_own("Who reads the files", settings.READING, context),
        ]
    )


def _variables(
    title: str, group: Iterable[Variable], context: Mapping[str, object], text: str = ""
) -> list[str]:
    rows = [
        f"| `{one.name}` | {_origin(one.name)} | {_defaults(one, context)} | {one.unit} "
        f"| {one.meaning} |"
        for one in group
    ]
    head = [
        "| variable | in `cdk.json` | default | unit | meaning |",
        "| --- | --- | --- | --- | --- |",
    ]
    return [f"## {title}\n", *([text] if text else []), *head, *rows, ""]


def _own(title: str, group: Mapping[str, str], context: Mapping[str, object]) -> list[str]:
    rows = [f"| `{name}` | {_default(context[name])} | {text} |" for name, text in group.items()]
    head = ["| in `cdk.json` | default | meaning |", "| --- | --- | --- |"]
    return [f"## {title}\n", *head, *rows, ""]


def _passed(one: Variable, context: Mapping[str, object]) -> object:
    """A variable's default: what cdk.json gives it, where that is more than the function's own."""
    given = context.get(one.name.lower()) if one.name.lower() in PASSED_ON else None
    return one.default if given in (None, "", {}) else given


def _defaults(one: Variable, context: Mapping[str, object]) -> str:
    """Also what the stack takes in its place, such as a bucket of its own."""
    made = context.get(one.name.lower()) if one.name.lower() in OWN else None
    here = _default(_passed(one, context))
    return f"{here}; {_default(made)} to deploy" if made else here


def _origin(name: str) -> str:
    lower = name.lower()
    if lower in PASSED_ON or lower in OWN:
        return f"`{lower}`"
    return "set by the stack" if name in _OF_THE_STACK else "in the secret"


_OF_THE_STACK = {one.name for one in variables.SET_BY_THE_STACK}


def _default(value: object) -> str:
    if value is None:
        return "required"
    if value in ("", "{}", {}):
        return "none"
    text = json.dumps(value) if isinstance(value, bool) else str(value)
    return f"`{text}`"


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
