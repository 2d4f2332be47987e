"""The vector selectors of a PromQL query: what it reads, before it computes anything from that."""

import re

# Strings first, so that nothing in them is taken for syntax; Go reads all three kinds.
_TOKEN = re.compile(
    r"""
      (?P<string> "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | `[^`]*` )
    | (?P<comment> \#[^\n]* )
    | (?P<name> [A-Za-z_:][A-Za-z0-9_:]* )
    | (?P<number> [0-9][0-9A-Za-z_.]* )
    | (?P<mark> [{}()\[\]] )
    """,
    re.VERBOSE | re.DOTALL,
)
# What is before a list of labels; the list holds no series.
_GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_WORDS = {"and", "or", "unless", "atan2", "bool", "offset", "start", "end", "inf", "nan"}
_Token = tuple[str, str, int, int]


def find_selectors(promql: str) -> tuple[str, ...]:
    """The text of each vector selector, in the query's order, each once: `x{$matchers a="b"}`.

    Without range, offset and `@`, so that a count of its samples can be asked for. Tokens such
    as $matchers may be in its braces. A query that is no PromQL gives what looks like one.
    """
    tokens = _tokens(promql)
    found: dict[str, None] = {}
    at = 0
    while at < len(tokens):
        kind, text, begin, end = tokens[at]
        following = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        if kind == "name" and text.lower() in _GROUPING and following == "(":
            at = _closing(tokens, at + 1, ")")
        elif text == "[":
            at = _closing(tokens, at, "]")
        elif following == "{" and kind == "name":
            at = _closing(tokens, at + 1, "}")
            found[promql[begin : tokens[at][3]]] = None
        elif text == "{":
            at = _closing(tokens, at, "}")
            found[promql[begin : tokens[at][3]]] = None
        elif kind == "name" and following != "(" and not _is_word(text):
            found[promql[begin:end]] = None
        at += 1
    return tuple(found)


def _tokens(promql: str) -> list[_Token]:
    return [
        (str(match.lastgroup), match[0], *match.span())
        for match in _TOKEN.finditer(promql)
        if match.lastgroup != "comment"
    ]


def _is_word(name: str) -> bool:
    return name.lower() in _WORDS or name.lower() in _GROUPING or _is_aggregation(name)


def _is_aggregation(name: str) -> bool:
    """Of those that may be before `by (…)`, where no bracket follows them."""
    return name.lower() in {
        *("sum", "min", "max", "avg", "group", "stddev", "stdvar", "count", "count_values"),
        *("bottomk", "topk", "quantile", "limitk", "limit_ratio"),
    }


def _closing(tokens: list[_Token], at: int, mark: str) -> int:
    """Where what is opened at `at` is closed, or the last token."""
    opening = tokens[at][1]
    depth = 0
    for place in range(at, len(tokens)):
        text = tokens[place][1]
        depth += (text == opening) - (text == mark)
        if depth == 0:
            return place
    return len(tokens) - 1
