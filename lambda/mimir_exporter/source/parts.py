"""The parts into which a metric-window is split: ranges of steps, and sets of clusters. Pure.

A list of clusters is never trusted to be whole: servers answer it from their newest data alone,
cut it off without a word, or lack what has ended. So the last part is always the complement of the
others, and the parts are the whole whatever the list lacked.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any
from urllib.parse import quote_plus

from ..catalog.metrics import label_in_promql, string_in_promql

# Of one query as a form or a URL carries it. nginx takes 8 kB in a request's first line, which
# holds the path and the other fields too; VictoriaMetrics takes 16 kB of query.
QUERY_BYTES = 7_500
# Where a query of the user's own is longer than that by itself.
LEAST_MATCHER_BYTES = 500
_META = re.compile(r"[\\.+*?()|\[\]{}^$]")  # what Go's regexp.QuoteMeta escapes
_ANYTHING = "(?s:.*)"  # a value may hold a line break, which Prometheus 2's dot leaves out


@dataclass(frozen=True)
class ClusterSet:
    """The clusters in `names`, or as a complement all others of its scope.

    The scope are the clusters that begin with one of `inside` (any, where it is empty) and with
    none of `outside`. Series without the label are in every complement whose scope has no
    `inside`.
    """

    names: tuple[str, ...]
    is_complement: bool = False
    inside: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()

    def __contains__(self, cluster: str) -> bool:
        if not self.is_complement:
            return cluster in self.names
        return (
            cluster not in self.names
            and (not self.inside or cluster.startswith(self.inside))
            and not cluster.startswith(self.outside)
        )

    def matchers(self, label: str) -> str:
        """PromQL that selects just these, each matcher with a comma behind it."""
        if not self.is_complement:
            return _matcher(label, "=~", _any_of(self.names))
        found = ""
        if self.inside:
            found += _matcher(label, "=~", _beginning(self.inside))
        if self.outside:
            found += _matcher(label, "!~", _beginning(self.outside))
        if self.names:
            found += _matcher(label, "!~", _any_of(self.names))
        return found

    def halves(self) -> "tuple[ClusterSet, ClusterSet] | None":
        """Two sets that make up this one; None for one name, and for a complement."""
        if self.is_complement or len(self.names) < 2:
            return None
        middle = (len(self.names) + 1) // 2
        return ClusterSet(self.names[:middle]), ClusterSet(self.names[middle:])

    def chunks(self, size: int) -> "list[ClusterSet]":
        """Sets of `size` at most that make up `names`."""
        return [
            ClusterSet(self.names[at : at + size]) for at in range(0, len(self.names), max(1, size))
        ]

    def without(
        self, names: Collection[str], label: str, limit: int
    ) -> "tuple[ClusterSet, ClusterSet]":
        """This complement without as many of `names` as its matchers have room for, and those."""
        new = [name for name in sorted(set(names)) if name in self and _fits(name, label, limit)]
        while True:
            rest = replace(self, names=tuple(sorted((*self.names, *new))))
            if len(new) < 2 or _sent_bytes(rest, label) <= limit:
                return rest, ClusterSet(tuple(new))
            new = new[: len(new) // 2]


EVERYTHING = ClusterSet((), is_complement=True)


@dataclass(frozen=True)
class Part:
    """An inclusive range of steps (unix seconds) of some clusters."""

    first: int
    last: int
    clusters: ClusterSet = EVERYTHING

    def in_time(self, step_s: int) -> "tuple[Part, ...]":
        """Two touching parts that make up this one; none for one step."""
        steps = (self.last - self.first) // step_s
        if steps < 1:
            return ()
        middle = self.first + steps // 2 * step_s
        return replace(self, last=middle), replace(self, first=middle + step_s)

    def pieces(self, span_s: int, step_s: int) -> "list[Part]":
        """Touching parts of `span_s` at most that make up this one; 0 leaves it whole."""
        if not span_s:
            return [self]
        return [
            replace(self, first=at, last=min(at + span_s - step_s, self.last))
            for at in range(self.first, self.last + 1, span_s)
        ]


def dump_parts(parts: Iterable[Part]) -> list[dict[str, Any]]:
    """As JSON."""
    return [asdict(part) for part in parts]


def load_parts(parts: Iterable[Mapping[str, Any]]) -> list[Part]:
    """From what `dump_parts` made. Raises LookupError, TypeError for what it has not."""
    return [
        Part(
            int(part["first"]),
            int(part["last"]),
            ClusterSet(
                tuple(map(str, part["clusters"]["names"])),
                bool(part["clusters"]["is_complement"]),
                tuple(map(str, part["clusters"]["inside"])),
                tuple(map(str, part["clusters"]["outside"])),
            ),
        )
        for part in parts
    ]


def matcher_bytes(query_bytes: int, selectors: int) -> int:
    """How long the matchers of one selector may be, as they are sent."""
    return max(LEAST_MATCHER_BYTES, (QUERY_BYTES - query_bytes) // max(1, selectors))


def complements(names: Collection[str], label: str, limit: int) -> list[ClusterSet]:
    """Complements whose names and scopes are disjoint, and with their names make up everything.

    One where the matchers of all names take up to `limit` bytes as they are sent; otherwise one
    for each group of prefixes, and for what begins with none of them. A name too long for that
    is in none of the lists, and so in a complement.
    """
    fitting = sorted({name for name in names if _fits(name, label, limit)})
    found: list[ClusterSet] = []
    waiting = [replace(EVERYTHING, names=tuple(fitting))]
    while waiting:
        whole = waiting.pop()
        if _sent_bytes(whole, label) <= limit or len(whole.names) < 2:
            found.append(whole)
            continue
        for chunk in _by_prefix(whole, label, limit):
            too_long = _sent_bytes(chunk, label) > limit and not chunk.outside
            (waiting if too_long else found).append(chunk)
    return found


def _by_prefix(whole: ClusterSet, label: str, limit: int) -> Iterator[ClusterSet]:
    """Complements within the scope of `whole`, the last one of what has none of the prefixes."""
    length = _common_length(whole.names[0], whole.names[-1]) + 1  # they are sorted
    # A name that is the common prefix itself belongs to the rest.
    loose = tuple(name for name in whole.names if len(name) < length)
    rest = replace(whole, names=loose)
    gathered = EVERYTHING
    for prefix, group in groupby(whole.names[len(loose) :], lambda name: name[:length]):
        less = replace(rest, outside=(*rest.outside, prefix))
        if _sent_bytes(less, label) > limit:
            break  # its names, and those that follow, are in the rest without being listed
        rest = less
        names = tuple(group)
        more = replace(gathered, names=(*gathered.names, *names), inside=(*gathered.inside, prefix))
        if gathered.inside and _sent_bytes(more, label) > limit:
            yield gathered
            more = replace(EVERYTHING, names=names, inside=(prefix,))
        gathered = more
    if gathered.inside:
        yield gathered
    yield rest


def _common_length(first: str, last: str) -> int:
    pairs = enumerate(zip(first, last, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(first), len(last)))


def _fits(name: str, label: str, limit: int) -> bool:
    """Whether it is short enough to be named beside its prefix, and others."""
    try:
        return bool(name) and 6 * _sent_bytes(ClusterSet((name,)), label) <= limit
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can spell
        return False


def _sent_bytes(clusters: ClusterSet, label: str) -> int:
    return len(quote_plus(clusters.matchers(label)))


def _matcher(label: str, operator: str, pattern: str) -> str:
    return f"{label_in_promql(label)}{operator}{string_in_promql(pattern)},"


def _any_of(names: Sequence[str]) -> str:
    return "|".join(_META.sub(r"\\\g<0>", name) for name in names)


def _beginning(prefixes: Sequence[str]) -> str:
    length = _common_length(min(prefixes), max(prefixes))
    common, ends = _any_of([prefixes[0][:length]]), [prefix[length:] for prefix in prefixes]
    return f"{common}(?:{_any_of(ends)}){_ANYTHING}"
