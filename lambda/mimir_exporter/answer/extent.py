"""When the samples of consecutive series begin and end, in the text that the server sent. Pure.

A manifest says it of each file. Reading every sample would cost more than compressing it, so the
text is only searched, at the two ends of each series; and where one series of a cluster has the
first and the last step of the window, no other series of the cluster can widen that.
"""

import json
from itertools import chain
from typing import Any

from .matrix import VALUES

_HISTOGRAMS = b'"histograms":'
_HISTOGRAM_LIST = b'},"histograms":[['

# First and last sample, unix seconds: int where they are whole.
Extent = tuple[float, float]


def has_first(text: bytes, moment: int) -> bool:
    """Whether a series begins at `moment`; False where that is not certain."""
    return b'%s%d,"' % (VALUES, moment) in text or b"%s%d,{" % (_HISTOGRAM_LIST, moment) in text


def has_last(text: bytes, moment: int) -> bool:
    """Whether a sample is of `moment`; False where that is not certain."""
    sample = b'[%d,"' % moment
    at = text.find(sample)
    # A label's value that ends so has a comma, a brace or a colon behind its quote.
    if at >= 0:
        return text[at + len(sample) : at + len(sample) + 1] not in (b"", b",", b"}", b":")
    return b'[%d,{"count' % moment in text


def find_extent(text: bytes, series: int) -> Extent | None:
    """First and last sample of `series` series, joined by commas; None where there is none."""
    found = None if _HISTOGRAMS in text else _search(text, series)
    return found or _parse(text)


def _search(text: bytes, series: int) -> Extent | None:
    """By searches, for the compact form without histograms; None for any other."""
    find = text.find
    firsts: list[bytes] = []
    lasts: list[bytes] = []
    at = find(VALUES)
    while at >= 0:
        begin = at + len(VALUES)
        end = find(b"]]", begin)
        sample = text.rfind(b"[", begin - 1, end) + 1
        if end < 0 or not sample:
            return None
        firsts.append(text[begin : find(b",", begin)])
        lasts.append(text[sample : find(b",", sample)])
        at = find(VALUES, end)
    if len(firsts) != series:
        return None
    try:
        return _whole(min(map(float, firsts))), _whole(max(map(float, lasts)))
    except ValueError:
        return None


def _parse(text: bytes) -> Extent | None:
    try:
        series: list[dict[str, Any]] = json.loads(b"[%s]" % text)
        moments = [
            float(sample[0])
            for each in series
            for sample in chain(each.get("values") or (), each.get("histograms") or ())
        ]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
    return (_whole(min(moments)), _whole(max(moments))) if moments else None


def _whole(moment: float) -> float:
    return int(moment) if moment == int(moment) else moment
