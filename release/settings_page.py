"""What is made from the tables of settings: docs/settings.md, cdk.json's defaults, README's rows.

`python -m release.settings_page` writes them.
"""

import json
import re
from collections.abc import Iterable

from infra import ROOT
from infra.deployment.context import PLAIN_NAME
from infra.deployment.table import BY_KEY, DEPLOYMENT_ROWS, PASSED_ON
from mimir_exporter.settings.rows import Place, Row
from mimir_exporter.settings.settings import CREDENTIALS, HANDOVER, ROWS

PAGE = ROOT / "docs" / "settings.md"
CDK_JSON = ROOT / "cdk.json"
README = ROOT / "README.md"

HEAD = """\
# Settings

For whoever deploys or changes the exporter's settings.

Made by `make docs` from the tables of the [function](../lambda/mimir_exporter/settings/settings.py)
and of the [deployment](../infra/deployment/table.py), as are the defaults of
[cdk.json](../cdk.json).

A setting of the deployment is in `cdk.json`, or behind `-c` on the command line:
`npx cdk deploy -c time_frame=1800`. Most become a variable of the functions' environment, whose
name is the same in capitals. These are the names of the CronJob that this exporter replaces; the
command line of [local use](local.md) reads the same variables.

Invalid settings fail at `cdk synth`, or at the function's start, with a one-line error that names
the setting, its value and what is expected. An empty value counts as absent. A number of seconds or
days may be written as a duration too: `90m`, `72h`, `3d`, `2w`. Where the last column is empty, a
setting can be changed at any time.
"""
CREDENTIALS_TEXT = """\
A secret is never a deployment setting, as it would be in the template: token and password
belong into the secret, under their names here. A rotated one is picked up without a deployment:
when Mimir answers 401, the secret is read again.
"""
# The rows of README's table: what most deployments give.
COMMON = (
    "hostname", "port", "path_prefix", "cluster_name", "vpc_id", "s3_bucket", "auth_secret_arn",
    "alarm_email",
)  # fmt: skip
_MARKED = re.compile(r"(<!-- settings: made by `make docs` -->\n).*?(<!-- end -->)", re.DOTALL)


def render_page() -> str:
    """docs/settings.md."""
    groups: dict[str, list[Row]] = {}
    for row in ROWS.values():
        groups.setdefault(row.group, []).append(row)
    handover = groups.pop(HANDOVER)
    parts = [HEAD]
    for title, rows in groups.items():
        text = CREDENTIALS_TEXT if title == CREDENTIALS else ""
        parts += _table(title, text, _VARIABLE_COLUMNS, map(_variable, rows))
    own: dict[str, list[Row]] = {}
    for row in DEPLOYMENT_ROWS.values():
        own.setdefault(row.group, []).append(row)
    for title, rows in own.items():
        parts += _table(title, "", _OWN_COLUMNS, map(_own, rows))
    parts += _table(HANDOVER, "", _VARIABLE_COLUMNS, map(_variable, handover))
    return "\n".join(parts)


def render_cdk_json(text: str) -> str:
    """cdk.json with the defaults of today; what is not a setting of ours stays as it is in `text`.

    A blank line is before each group.
    """
    document = json.loads(text)
    others = {k: v for k, v in document["context"].items() if not PLAIN_NAME.fullmatch(k)}
    groups: dict[str, list[str]] = {}
    for key, row in BY_KEY.items():
        entry = f"    {json.dumps(key)}: {json.dumps(_json_default(row))}"
        groups.setdefault(row.group, []).append(entry)
    for key, value in others.items():
        groups.setdefault("", []).append(f"    {json.dumps(key)}: {json.dumps(value)}")
    context = ",\n\n".join(",\n".join(entries) for entries in groups.values())
    head = {key: value for key, value in document.items() if key != "context"}
    lines = json.dumps(head, indent=2).removesuffix("\n}")
    return f'{lines},\n  "context": {{\n{context}\n  }}\n}}\n'


def render_readme(text: str) -> str:
    """The README with the rows of the settings that most deployments give."""
    rows = ["| in `cdk.json`, or with `-c` | default | meaning |", "| --- | --- | --- |"]
    rows += [
        f"| `{key}` | {_shown(BY_KEY[key].deployed)} | {BY_KEY[key].meaning} |" for key in COMMON
    ]
    body = "\n".join(rows).replace("](", "](docs/")
    found, count = _MARKED.subn(lambda match: f"{match[1]}{body}\n{match[2]}", text)
    assert count == 1  # noqa: S101 - the README without its markers is a mistake of ours
    return found


_VARIABLE_COLUMNS = ("variable", "in `cdk.json`", "default", "unit", "meaning", "a new value")
_OWN_COLUMNS = ("in `cdk.json`", "default", "meaning", "a new value")


def _table(
    title: str, text: str, columns: Iterable[str], rows: Iterable[Iterable[str]]
) -> list[str]:
    columns = tuple(columns)
    lines = [columns, ["---"] * len(columns), *rows]
    cells = [f"| {' | '.join(line)} |" for line in lines]
    return [f"## {title}\n", *([text] if text else []), *cells, ""]


def _variable(row: Row) -> tuple[str, ...]:
    default = _shown(row.deployed if row.key in PASSED_ON else row.default)
    if row.place is Place.MADE and (made := BY_KEY[row.key].default):
        default = f"{default}; `{made}` to deploy"
    if row.key in PASSED_ON and row.deployed is None and row.default is not None:
        default = f"`{row.default}`; required to deploy"
    return f"`{row.name}`", _origin(row), default, row.unit, row.meaning, row.change


def _own(row: Row) -> tuple[str, ...]:
    return f"`{row.key}`", _shown(row.default), row.meaning, row.change


def _origin(row: Row) -> str:
    if row.place is Place.STACK:
        return "set by the stack"
    return "in the secret" if row.place is Place.SECRET else f"`{row.key}`"


def _shown(default: str | None) -> str:
    if default is None:
        return "required"
    return "none" if default in ("", "{}") else f"`{default}`"


def _json_default(row: Row) -> object:
    text = row.deployed or ""
    if text in ("true", "false", "{}") or text.isdigit():
        return json.loads(text)
    return text


def made() -> dict[str, str]:
    """Each file's path from the project's folder, and its text as it should be."""
    return {
        "docs/settings.md": render_page(),
        "cdk.json": render_cdk_json(CDK_JSON.read_text("utf-8")),
        "README.md": render_readme(README.read_text("utf-8")),
    }


if __name__ == "__main__":
    for name, text in made().items():
        (ROOT / name).write_text(text, "utf-8")
