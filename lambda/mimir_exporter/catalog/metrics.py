"""The metrics: those of the chosen catalogue and the user's own."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from ..errors import SettingsError
from ..errors.settings import INVALID_CATALOG, INVALID_EXTRA_METRICS
from .pieces import Pieces
from .selectors import find_selectors
from .tables import SETS, read_set, read_tables

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
_WITHOUT = re.compile(r"without \(([^()]*)\)")
_DURATION = re.compile(r"([0-9]+)(ms|[smhdwy])|(?:[\[:]|offset)\s*([0-9]+)\b")
_UNIT_S = {"ms": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
# An instant vector looks back five minutes, or as long as the server is set.
INSTANT_S = 3600
# PromQL's own dependence on the range that is asked for.
_RANGE_BOUND = re.compile(r"@\s*(?:start|end)\s*\(")
# The checkpoint has room for what may happen to so many; see compact.py.
METRICS = 100


@dataclass(frozen=True)
class Metric:
    """One metric. `query` is PromQL with the tokens that catalog.toml explains.

    `key` are the labels that identify one thing, "cluster" for the cluster label: at each step the
    query yields one series for each key. Empty where it is not known, as of EXTRA_METRICS.
    `same_as` names the metric of which it is another name, "" for none: both have one query, and a
    run queries it once. `pitfalls` says what can be wrong and how one sees it, in Markdown. Of a
    `fleeting` one a healthy cluster may have none for a while.
    """

    name: str
    query: str
    unit: str = ""
    description: str = ""
    key: tuple[str, ...] = ()
    same_as: str = ""
    pitfalls: str = ""
    fleeting: bool = False

    @property
    def can_cut_by_cluster(self) -> bool:
        """Whether the query says where a cluster's matcher goes."""
        return MATCHERS in self.query

    @property
    def is_by_step(self) -> bool:
        """Whether each step's value is known to be the same whatever range is asked for.

        A query of the user's own may hold what depends on the range, such as VictoriaMetrics'
        `range_avg` (https://docs.victoriametrics.com/victoriametrics/metricsql/#transform-functions).
        """
        return bool(self.key) and not _RANGE_BOUND.search(self.query)

    @property
    def reads(self) -> tuple[str, ...]:
        """Every selector of the query with its tokens, those without a place for matchers too."""
        return find_selectors(self.query)

    @cached_property
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
        query = self._by_label(cluster_label)
        return matchers.join(query.split(MATCHERS)).strip()

    def selectors(self, cluster_label: str, matchers: str = "") -> tuple[str, ...]:
        """The selectors that have a place for `matchers`, with these; each once."""
        found = _selectors_in(self._by_label(cluster_label))
        return tuple(f"{name}{{{matchers}{others}}}" for name, others in found)

    def _by_label(self, cluster_label: str) -> str:
        query = self.query
        if self.key:
            # The label of the clusters may be one that the catalogue drops as one of the scrape's,
            # such as `prometheus`: that would merge all clusters. A user's own query is their own.
            query = _WITHOUT.sub(lambda found: _keep(found, cluster_label), query)
        return query.replace(CLUSTER_LABEL, label_in_promql(cluster_label))


@lru_cache(maxsize=METRICS)  # a metric's are asked for several times in each window
def _selectors_in(query: str) -> tuple[tuple[str, str], ...]:
    """Name and own matchers of each selector that has a place for more, each once."""
    found = _SELECTOR.findall(query)
    return tuple(dict.fromkeys((name, others.strip()) for name, others in found if name or others))


def _keep(without: re.Match[str], label: str) -> str:
    """The `without (…)` of a query, but for this label."""
    names = [name for name in without[1].split(",") if name.strip() != label]
    return f"without ({','.join(names)})"


def label_in_promql(label: str) -> str:
    """The label's name as a selector and a grouping spell it: quoted where it is not of Prometheus'
    classic names (https://prometheus.io/docs/guides/utf8/)."""
    return label if _LEGACY_LABEL.fullmatch(label) else string_in_promql(label)


def string_in_promql(text: str) -> str:
    """A JSON string is a PromQL string: both escape as Go does. Its lexer takes U+FFFD for broken
    UTF-8, unless it is escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\ufffd", "\\ufffd")


def catalog_text(value: str) -> str:
    """The text of a catalogue: of a set that ships, or of the file at a path.

    Raises SettingsError where there is none.
    """
    if value in SETS:
        return read_set(value)
    try:
        return Path(value).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid(getattr(error, "strerror", None) or "it is no UTF-8 text", value) from error


def load_catalog(
    extra_metrics: Mapping[str, str] | None = None,
    *,
    rate_range_s: int = RATE_RANGE_S,
    text: str | None = None,
) -> tuple[Metric, ...]:
    """Every metric to export, in the order of export: the catalogue `text`, by default the set
    "default", then the user's own.

    Raises SettingsError when `text` is no catalogue, one of the user's own takes a name of the
    catalogue, or there are more than METRICS.
    """
    try:
        own = read_catalog(read_set("default") if text is None else text, rate_range_s=rate_range_s)
        if len(own) > METRICS:
            raise ValueError(f"{len(own)} metrics, of which there may be {METRICS}")
    except ValueError as error:
        raise _invalid(str(error)) from error
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


def _invalid(problem: str, value: str = "") -> SettingsError:
    named = f" {value!r}" if value else ""
    return INVALID_CATALOG(value=named, problem=problem, sets=", ".join(SETS))


def read_catalog(text: str, *, rate_range_s: int = RATE_RANGE_S) -> tuple[Metric, ...]:
    """The metrics of a file in the format of catalog.toml. Raises ValueError where it is not."""
    tables = read_tables(text)
    # A shape is a word too, so that a query may hold one.
    pieces = Pieces({**tables.shapes, **tables.words}, tables.functions)
    return tuple(
        _read_metric(table, pieces, tables.shapes, rate_range_s)
        for table in tables.metrics.values()
    )


def _read_metric(
    table: Mapping[str, Any], pieces: Pieces, shapes: Mapping[str, str], rate_range_s: int
) -> Metric:
    name, key = table["name"], tuple(table.get("key", ()))
    labels = ",".join(CLUSTER_LABEL if label == CLUSTER else label for label in key)
    fields = {other: value for other, value in table.items() if isinstance(value, str)}
    query = table.get("query") or shapes.get(table.get("shape", ""))
    if not query:
        raise ValueError(f"metric {name!r} has no query and no shape that there is")
    expanded = pieces.expand(query, {**fields, "key": labels})
    expanded = expanded.replace(RATE_RANGE, f"{rate_range_s}s").strip()
    for token in re.findall(r"\$[a-z_]+", re.sub(_STRING, "", expanded)):
        if token not in (MATCHERS, CLUSTER_LABEL):
            raise ValueError(f"the query of {name!r} holds {token}, which is no piece")
    return Metric(
        name=name,
        query=expanded,
        unit=table.get("unit", ""),
        description=table.get("description", ""),
        key=key,
        same_as=table.get("same_as", ""),
        pitfalls=table.get("pitfalls", ""),
        fleeting=table.get("fleeting", "") == "true",
    )
