"""The metrics: those of catalog.toml and the user's own."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from ..errors.settings import INVALID_EXTRA_METRICS
from .pieces import Pieces
from .selectors import find_selectors

MATCHERS = "$matchers"
CLUSTER_LABEL = "$cluster_label"
RATE_RANGE = "$rate_range"
# A range of five minutes holds two samples of what is scraped every two minutes.
RATE_RANGE_S = 300
# How a key in a catalogue calls the cluster label, whatever its name is.
CLUSTER = "cluster"
_LEGACY_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STRING = r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`"""
_SELECTOR = re.compile(
    rf"([A-Za-z_:][A-Za-z0-9_:]*)?\s*\{{{re.escape(MATCHERS)}((?:{_STRING}|[^}}\"'`])*)\}}",
    re.DOTALL,
)
_DURATION = re.compile(r"([0-9]+)(ms|[smhdwy])|(?:[\[:]|offset)\s*([0-9]+)\b")
_UNIT_S = {"ms": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
# An instant vector looks back five minutes, or as long as the server is told.
INSTANT_S = 3600
# The checkpoint has room for what may happen to so many; see compact.py.
METRICS = 100


@dataclass(frozen=True)
class Metric:
    """One metric. `query` is PromQL with the tokens that catalog.toml explains.

    `key` are the labels that identify one thing, "cluster" for the cluster label: at each step the
    query yields one series for each key. Empty where it is not known, as of EXTRA_METRICS.
    """

    name: str
    query: str
    unit: str = ""
    description: str = ""
    key: tuple[str, ...] = ()

    @property
    def can_cut_by_cluster(self) -> bool:
        """Whether the query says where a cluster's matcher goes."""
        return MATCHERS in self.query

    @property
    def reads(self) -> tuple[str, ...]:
        """Every selector of the query with its tokens, those without a place for matchers too."""
        return find_selectors(self.query)

    @property
    def look_back_s(self) -> int:
        """How far before a step the query may look, at most: all durations in it, one after the
        other, as ranges, offsets and subqueries add up."""
        found = _DURATION.findall(self.query)
        return INSTANT_S + sum(
            int(seconds) if seconds else int(count) * _UNIT_S[unit]
            for count, unit, seconds in found
        )

    def promql(self, cluster_label: str, matchers: str = "") -> str:
        """The query to send; `matchers` (PromQL, with a comma behind each) narrow its selectors."""
        # The label's name first: a cluster's value may hold anything, a token too.
        query = self.query.replace(CLUSTER_LABEL, label_in_promql(cluster_label))
        return matchers.join(query.split(MATCHERS)).strip()

    def selectors(self, cluster_label: str, matchers: str = "") -> tuple[str, ...]:
        """The selectors that have a place for `matchers`, with these; each once."""
        query = self.query.replace(CLUSTER_LABEL, label_in_promql(cluster_label))
        found = _SELECTOR.findall(query)
        return tuple(
            dict.fromkeys(
                f"{name}{{{matchers}{others.strip()}}}" for name, others in found if name or others
            )
        )


def label_in_promql(label: str) -> str:
    """The label's name as a selector and a grouping spell it: quoted where it is not of Prometheus'
    classic names (https://prometheus.io/docs/guides/utf8/)."""
    return label if _LEGACY_LABEL.fullmatch(label) else string_in_promql(label)


def string_in_promql(text: str) -> str:
    """A JSON string is a PromQL string: both escape as Go does. Its lexer takes U+FFFD for broken
    UTF-8, unless it is escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\ufffd", "\\ufffd")


def load_catalog(
    extra_metrics: Mapping[str, str] | None = None, *, rate_range_s: int = RATE_RANGE_S
) -> tuple[Metric, ...]:
    """Every metric to export, in the order of export: catalog.toml, then the user's own.

    Raises SettingsError when one of the user's own takes a name of the catalogue, or there are
    more than METRICS.
    """
    text = files(__package__).joinpath("catalog.toml").read_text(encoding="utf-8")
    own = read_catalog(text, rate_range_s=rate_range_s)
    names = {metric.name for metric in own}
    for name in extra_metrics or {}:
        if name in names:
            raise INVALID_EXTRA_METRICS(
                problem=f"the catalogue has a metric {name!r} already", rule="under another name"
            )
    rate_range = f"{rate_range_s}s"
    extra = tuple(
        Metric(name, query.replace(RATE_RANGE, rate_range))
        for name, query in (extra_metrics or {}).items()
    )
    if len(own + extra) > METRICS:
        raise INVALID_EXTRA_METRICS(
            problem=f"{len(extra)} metrics", rule=f"at most {METRICS - len(own)} of them"
        )
    return own + extra


def read_catalog(text: str, *, rate_range_s: int = RATE_RANGE_S) -> tuple[Metric, ...]:
    """The metrics of a file in the format of catalog.toml.

    Raises ValueError, KeyError or TypeError where it is not in that format.
    """
    tables = tomllib.loads(text)
    pieces = Pieces(tables.get("words", {}), tables.get("functions", {}))
    shapes = tables.get("shapes", {})
    return tuple(_read_metric(table, pieces, shapes, rate_range_s) for table in tables["metric"])


def _read_metric(
    table: Mapping[str, Any], pieces: Pieces, shapes: Mapping[str, str], rate_range_s: int
) -> Metric:
    key = tuple(table.get("key", ()))
    labels = ",".join(CLUSTER_LABEL if name == CLUSTER else name for name in key)
    fields = {name: value for name, value in table.items() if isinstance(value, str)}
    query = table.get("query") or shapes[table["shape"]]
    return Metric(
        name=table["name"],
        query=pieces.expand(query, {**fields, "key": labels})
        .replace(RATE_RANGE, f"{rate_range_s}s")
        .strip(),
        unit=table.get("unit", ""),
        description=table.get("description", ""),
        key=key,
    )
