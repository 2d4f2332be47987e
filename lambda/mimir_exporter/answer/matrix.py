"""The series of a matrix in JSON text: where one ends, whose it is, how many samples it has.

Four ways, from the quickest to the one that is right for all JSON:

- `_walk`: many series in the compact form that Prometheus, Mimir and VictoriaMetrics send,
  `{"metric":{"a":"x",...},"values":[[1759622400,"0.5"],...]}`, by a few byte searches each.
- `_match_head`: one series whose labels need a closer look: escapes, braces, the cluster's label
  behind others; or one of histograms. An expression reads the labels, searches find the end.
- `match_whole`: one compact series that an expression reads to its last byte: the last of the list,
  and what has both values and histograms.
- `parse_series`: any JSON object, by Python's parser.

What the searches rest on. The text is valid JSON, and a series starts at `p`.

1. A quote with no backslash in front of it opens or closes a string. In `{"metric":` and in
   `},"values":[[` the first quote cannot close one, for the bare word behind it would not be JSON.
   So it opens one, and what is in front of it is no text but structure. A label's value that
   holds pieces of this syntax needs backslashes, or has no quotes; it matches neither.
2. From where the labels continue behind the cluster to the first `[` there is no brace but that of
   `},"values":[[`, whose first bracket this one is, and no backslash. Neither an object nor a list
   begins there, so this brace closes the labels, and nothing but labels is in them. Names are
   spelled as they are: whether the cluster's label is there again can be searched for.
3. From `"values":[[` to the next `:` the series has no other key and no object but an empty one.
   If this colon ends `"]]},{"metric":`, then by 1 these are brackets and braces, and the first
   brace closes an object that is not empty, the series, within a list, the result: the next
   series starts at the `{` behind it.
4. From `"histograms":[[` to the next `}]]},{"metric":{`, structure again by 1, letters, digits and
   `.+-` are taken out. Two quotes side by side are then a string of nothing else, for no string
   follows another at once. Are there no other quotes, every bracket and brace that is left is
   structure. The first brace opens an object; each `}` but the last is followed by `],[,{`, and
   there are as many of both: so the objects lie one behind the other, in lists of the same
   depth, and the last `}` closes the last of them. Behind it the series ends, as in 3.

So valid JSON is split as it should be. Text that is not JSON is noticed wherever it breaks this
order. What is not looked for is damage inside the text of labels (by `_walk`) or of samples (by
all searches): it stays inside its series and that one's file. Between two places where a series
starts there is never the beginning of another, so none is carried into a wrong file by what is
broken in front of it. Samples are counted by their brackets, histograms by their
braces.
"""

import json
import re
import string

from .jsontext import AnswerError, Members, decode_string, parse

START = b'{"metric":{'
VALUES = b'},"values":[['  # between labels and samples
_NEXT = b'"]]},{"metric":'  # ends with the colon that `_walk` and `_match_head` search for
_HISTOGRAMS_END = b"}]]},"  # and START behind it
_PLAIN = string.ascii_letters.encode() + string.digits.encode() + b".+-"
_HEADS = 4096  # beginnings of series remembered; more clusters than that only cost time

# Groups are atomic, (?>(?:...)*), and not possessive, (?:...)*+: before Python 3.11.5 a possessive
# group matches wrongly or without end (CPython gh-106052), and Debian 12 has 3.11.2.
_TEXT = rb'[^"\\\x00-\x1f]*+'
_STRING = rb'"%s(?>(?:\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})%s)*)"' % (_TEXT, _TEXT)
_NAME = rb'"%s"' % _TEXT  # of a label, without escapes: what it says is what it looks like
_NUMBER = rb"-?(?:0|[1-9][0-9]*+)(?>(?:\.[0-9]++)?)(?>(?:[eE][+-]?[0-9]++)?)"
_FIGURE = rb'"[0-9A-Za-z.+-]*+"'  # a sample's value
_SAMPLE = rb"\[%s,%s\]" % (_NUMBER, _FIGURE)
_BUCKETS = rb',"buckets":\[(?>(?:\[[0-9](?:,%s){3}\](?:,(?=\[)|(?=\])))*)\]' % _FIGURE
_HISTOGRAM = rb'\[%s,\{"count":%s,"sum":%s(?>(?:%s)?)\}\]' % (_NUMBER, _FIGURE, _FIGURE, _BUCKETS)
_LIST = rb"\[((?>(?:%s(?:,(?=\[)|(?=\])))*))\]"

# (cluster, start, end, series, samples): that many whole series, joined by single commas.
Run = tuple[str, int, int, int, int]
# What a series' beginning says: its cluster, its own length, how the next series begins if it is
# like this one, and how many brackets more than samples such a series has.
Head = tuple[str, int, bytes, int]


class SeriesReader:
    """Reads the series of one answer. `label` names the cluster's label; None: all is `default`.

    What is found goes to `runs`, in order; the caller takes it from there. Positions are into the
    text given to `open`. A series starts at its opening brace.
    """

    def __init__(self, label: str | None, default: str) -> None:
        self.runs: list[Run] = []
        self._label = label
        self._default = default
        name = _plain_name(label)
        # In what the searches may look at there is no backslash: so this one finds nothing.
        self._name = name or b"\\"
        here = rb"(?!)" if name is None else re.escape(name) + b":"
        self._heads: dict[bytes, Head] = {}
        self._no_head: Head = (default, len(START), _NEXT + b"{", 1)
        self._head = re.compile(
            # Behind its closing quote: a damaged one would end at the quote of the next name.
            rb'\{"metric":\{(?:(?!%(here)s)"__name__":%(name)s,)?%(here)s(%(name)s)(?=[,}])'
            % {b"here": here, b"name": _NAME}
        ).match
        labels = (
            rb'\{"metric":\{(?>(?:%(other)s(?:,(?=")|(?=\})))*)'
            rb"(?>(?:%(here)s(%(s)s)(?>(?:,%(other)s)*))?)\}"
            % {b"here": here, b"s": _STRING, b"other": rb"(?!%s)%s:%s" % (here, _NAME, _STRING)}
        )
        self._labels = re.compile(labels + rb',"(?:values|(histograms))":\[\[').match
        self._whole = re.compile(
            labels
            + rb'(?>(?:,"values":%s)?)(?>(?:,"histograms":%s)?)\}'
            % (_LIST % _SAMPLE, _LIST % _HISTOGRAM)
        ).match
        self._slash = -1

    def open(self, text: bytes) -> None:
        """Say that the positions from here on are in this text, and none of them is old."""
        self._slash = text.find(b"\\")

    def scan(self, text: bytes, p: int) -> tuple[int, bool]:
        """Find the series at `p` and those behind it, as far as searches can prove their ends.

        Returns where the first one starts that was not found, and whether that is for want of
        bytes. If any was found, a comma is in front of that place.
        """
        while True:
            p, short = self._walk(text, p)
            if short:
                return p, True
            start = p
            p, short = self._match_head(text, start)
            if p == start:
                return p, short

    def _walk(self, text: bytes, p: int) -> tuple[int, bool]:  # noqa: C901 - the one fast loop
        """As `scan`, for series that begin with their cluster and need no closer look."""
        # This loop is the exporter's speed. rfind, because it is the quicker one in a short text.
        find, starts = text.find, text.startswith
        name, values = self._name, VALUES
        if 0 <= self._slash < p:
            self._slash = find(b"\\", p)
        # The searches see nothing from the next backslash on.
        end = len(text) if self._slash < 0 else self._slash
        match, heads, runs, size = self._head, self._heads, self.runs, 0
        while True:
            # How it begins says whose the series is, as long as the next ones begin the same way.
            # Clusters' names are mostly of one length.
            known = heads.get(text[p : p + size])
            if known is None:
                found = match(text, p)
                if found is not None:
                    known = heads.get(found[0]) or self._learn_head(found)
                elif starts(START, p):
                    known = self._no_head
                else:
                    return p, False
            cluster, size, same, brackets = known
            first, series, body = p, 0, p + size
            ahead = size - 9  # from the colon to where the next series' labels continue
            while True:
                bracket = find(b"[", body, end)
                labels = text[body : bracket - 11]
                if (
                    not starts(values, bracket - 11)
                    or 0x7B in labels  # { and }: ints, for bytes are first tried as a number,
                    or 0x7D in labels  # which costs more than the search
                    or labels.rfind(name) >= 0
                ):
                    colon, short = -1, bracket < 0
                    break
                colon = find(b":", bracket + 2, end)
                if not starts(same, colon - 14):
                    short = colon < 0
                    break
                series += 1
                body = colon + ahead
            p = body - size
            # The last series of a run is followed by one with another beginning.
            proven = colon >= 0 and starts(_NEXT, colon - 14)
            if proven:
                series += 1
                p = colon - 9
            if series:
                samples = text.count(b"[", first, p) - series * brackets
                runs.append((cluster, first, p - 1, series, samples))
            if not proven and not (known is self._no_head and match(text, p)):
                return p, short and self._slash < 0
            # Here another beginning follows: of another cluster, or at last with the label.

    def _match_head(self, text: bytes, p: int) -> tuple[int, bool]:
        """As `scan`, for the one series at `p`, whose labels are read by an expression."""
        found = self._labels(text, p)
        if found is None or not _is_utf8(found[0]):
            return p, False
        begin = found.end()
        if found[2] is not None:
            # The start is searched for, and not what should be before it: it is never far.
            following = text.find(START, begin)
            last = following - 5 if following >= 0 else -1
            whole = following >= 0 and text.startswith(_HISTOGRAMS_END, last)
            samples = _count_histograms(text[begin : last + 1]) if whole else 0
        else:
            colon = text.find(b":", begin)
            last = colon - 14 if colon >= 0 else -1
            whole = text.startswith(_NEXT, last)
            samples = text.count(b"[", begin - 1, last) if whole else 0
        if samples:
            self.runs.append((self._cluster(found[1]), p, last + 4, 1, samples))
            p = last + 5
        return p, last < 0

    def match_whole(self, text: bytes, p: int) -> int:
        """Read the compact series at `p`: the position behind it, or `p` if it is not one."""
        found = self._whole(text, p)
        if found is None or not _is_utf8(found[0]):
            return p
        cluster, values, histograms = found.groups()
        samples = (values or b"").count(b"[") + (histograms or b"").count(b"{")
        self.runs.append((self._cluster(cluster), p, found.end(), 1, samples))
        return found.end()

    def parse_series(self, text: bytes, start: int, end: int) -> None:
        """Read the one series text[start:end], in any JSON. Raises AnswerError."""
        series = parse(text[start:end], "A series")
        metric = series.get("metric")
        if metric is None:
            metric = Members([])
        if not isinstance(metric, Members):
            raise AnswerError("The labels of a series are not an object.")
        cluster = None if self._label is None else metric.get(self._label)
        if cluster is not None and not isinstance(cluster, str):
            raise AnswerError(f"The label {self._label} of a series is not a string.")
        samples = 0
        for key in ("values", "histograms"):
            points = series.get(key)
            if points is not None and not isinstance(points, list):
                raise AnswerError(f"The {key} of a series are not a list.")
            samples += len(points or ())
        self.runs.append((cluster or self._default, start, end, 1, samples))

    def _learn_head(self, found: re.Match[bytes]) -> Head:
        """What a beginning says."""
        if len(self._heads) >= _HEADS:
            self._heads.clear()
        head = found[0]
        brackets = head.count(b"[") + 1
        known = (self._cluster(found[1]), len(head), _NEXT + head[10:], brackets)
        self._heads[head] = known
        return known

    def _cluster(self, token: bytes | None) -> str:
        """The cluster that a label's value names, given in its quotes."""
        if token is None:
            return self._default
        return decode_string(token, f"The label {self._label} of a series") or self._default


def _count_histograms(text: bytes) -> int:
    """The samples from behind `"histograms":[[` to the last one's brace; 0 if unsure (see 4)."""
    frame = text.translate(None, _PLAIN)
    count = frame.count(b"{")
    sure = (
        frame.startswith(b",{")
        and frame.count(b"}") == count == frame.count(b"}],[,{") + 1
        and frame.count(b'""') * 2 == frame.count(b'"')
    )
    return count if sure else 0


def _is_utf8(part: bytes) -> bool:
    try:
        return part.isascii() or bool(part.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def _plain_name(label: str | None) -> bytes | None:
    """The label's name in quotes, or None where it cannot be in JSON without a backslash."""
    try:
        name = json.dumps(label, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return None
    return None if label is None or b"\\" in name else name
