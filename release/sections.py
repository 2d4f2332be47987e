"""Parts of pages that are made from the code, between two comments in the page.

`python -m release.sections` writes them all; the rest of each page is written by hand.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from string import Formatter
from types import ModuleType
from typing import get_args, get_type_hints

from infra import ROOT
from infra import errors as deployment
from mimir_exporter import log
from mimir_exporter.errors import ErrorKind, ExportError, kinds_in, runs, settings, source, storage
from release.metrics_page import render_catalog

LOGS = ROOT / "docs" / "logs.md"
METRICS = ROOT / "docs" / "metrics.md"
TROUBLESHOOTING = ROOT / "docs" / "troubleshooting.md"

PARTS = Formatter().parse
TABLES: Mapping[str, ModuleType] = {
    "Deployment: `cdk synth` and `cdk deploy`": deployment,
    "Settings and events": settings,
    "The endpoint, and queries": source,
    "The bucket, or a folder": storage,
    "Runs, the checkpoint and Step Functions": runs,
}


def with_sections(page: str, sections: Mapping[str, str]) -> str:
    """The page with these sections, each between `<!-- NAME: made by … -->` and `<!-- end -->`."""
    for name, text in sections.items():
        mark = rf"(<!-- {name}: made by `make docs` -->\n).*?(\n<!-- end -->)"
        between = re.compile(mark, re.DOTALL)
        page, count = between.subn(lambda found: f"{found[1]}\n{text}{found[2]}", page)  # noqa: B023
        if count != 1:
            raise ValueError(f"the page has the section {name} {count} times")
    return page


def render_logs(page: str) -> str:
    """docs/logs.md with the fields and the messages of log.py."""
    hints = get_type_hints(log.Fields, include_extras=True)
    fields = _table(
        ("field", "type", "meaning"), (_field(name, hints[name]) for name in sorted(hints))
    )
    messages = _table(
        ("message", "level", "when", "fields", "action"), map(_message, log.messages().values())
    )
    return with_sections(page, {"fields": fields, "messages": messages})


def render_troubleshooting(page: str) -> str:
    """docs/troubleshooting.md with a row for each code."""
    texts = [
        f"### {title}\n\n" + _table(("code", "error", "remedy", "usual cause"), map(_error, kinds))
        for title, table in TABLES.items()
        if (kinds := kinds_in(vars(table)).values())
    ]
    return with_sections(page, {"errors": "\n".join(texts)})


def render_metrics(page: str) -> str:
    """docs/metrics.md with a section for each metric."""
    return with_sections(page, {"metrics": render_catalog()})


PAGES: Mapping[str, Callable[[str], str]] = {
    LOGS.name: render_logs,
    TROUBLESHOOTING.name: render_troubleshooting,
    METRICS.name: render_metrics,
}


def _field(name: str, hint: object) -> tuple[str, ...]:
    """A row of the table of fields."""
    kind, meaning = get_args(hint)
    return f"`{name}`", _type_name(kind), str(meaning)


def _type_name(kind: object) -> str:
    """A type in the words of JSON."""
    text = kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)
    words = {"str": "string", "int": "integer", "float": "number"}
    words |= {"bool": "boolean", "list[str]": "list of strings"}
    return words.get(text, "list of objects" if "dict" in text or "Mapping" in text else text)


def _message(message: log.Message) -> tuple[str, ...]:
    names = [*message.about, *message.fields, *message.optional]
    return (
        f"`{message.text}`",
        " ".join(message.levels),
        message.when,
        " ".join(f"`{name}`" for name in dict.fromkeys(names)),
        message.action,
    )


def _error(kind: ErrorKind[ExportError]) -> tuple[str, ...]:
    def shown(template: str) -> str:
        """The template with each field as its name in italics."""
        return "".join(
            f"{text}{f'*{name}*' if name else ''}" for text, name, _, _ in PARTS(template)
        )

    return f"`{kind.code}`", shown(kind.summary), shown(kind.remedy), kind.usually


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') or ' ' for cell in cells)} |\n"
        for cells in lines
    )


def main() -> None:
    """Write every page."""
    for name, render in PAGES.items():
        path = ROOT / "docs" / name
        path.write_text(render(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
