"""Text -> a typed value, for settings and for the fields of an event. Pure.

A parser takes the text of one value and raises InvalidValueError, which says what was expected.
It knows no setting's name: whoever called it adds that.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from ..errors.settings import INVALID_VALUE

T = TypeVar("T")
Parser = Callable[[str], T]

DAY_S = 86_400
LABEL_BYTES = 200
CENTURY_S = 36_500 * DAY_S
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": DAY_S, "w": 7 * DAY_S}
_METRIC_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_MOMENT = "a time such as 2026-10-31, 2026-10-31T06:00:00Z or unix seconds"
_EXTRA_METRICS = 'a JSON object of names and PromQL such as {"my_metric": "sum by (cluster)(x)"}'


class InvalidValueError(ValueError):
    """`expected` completes "expected …". `shown` is the value as a message may quote it; None
    where the value itself may be quoted."""

    def __init__(self, expected: str, shown: str | None = None) -> None:
        super().__init__(expected)
        self.expected = expected
        self.shown = shown


def parse(name: str, parser: Parser[T], value: str) -> T:
    """The parsed value. Raises SettingsError, which names what `name` says and quotes the value."""
    try:
        return parser(value)
    except InvalidValueError as error:
        shown = repr(value) if error.shown is None else error.shown
        raise INVALID_VALUE(name=name, shown=shown, expected=error.expected) from None


def any_text(value: str) -> str:
    """The text as it is."""
    return value


def whole_number(low: int, high: int) -> Parser[int]:
    """A parser of whole numbers from `low` to `high`."""

    def read(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", value) or not low <= int(value) <= high:
            raise InvalidValueError(f"a whole number from {low} to {high}")
        return int(value)

    return read


def boolean(value: str) -> bool:
    """true or false; the spellings of shells and YAML files too."""
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if value.lower() not in words:
        raise InvalidValueError("true or false")
    return words[value.lower()]


def one_of(*words: str) -> Parser[str]:
    """A parser of a few words, in any case."""

    def read(value: str) -> str:
        match = {word.lower(): word for word in words}.get(value.lower())
        if match is None:
            raise InvalidValueError(
                f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]
            )
        return match

    return read


def matching(pattern: str, expected: str) -> Parser[str]:
    """A parser of texts that match the pattern as a whole."""
    compiled = re.compile(pattern)

    def read(value: str) -> str:
        if not compiled.fullmatch(value):
            raise InvalidValueError(expected)
        return value

    return read


def label_name(value: str) -> str:
    """A label's name: a classic one of Prometheus, or another in UTF-8, as Prometheus 3 takes it.

    Not the metric's own name, by which each metric would be a cluster of its own; and nothing that
    looks like a selector, as `x="y"` does.
    """
    size = len(value.encode("utf-8", "replace"))
    odd = re.search(r"""[\s"'`\\{}()=,\x00-\x1f\x7f\ud800-\udfff]""", value)
    if not 0 < size <= LABEL_BYTES or odd or value == "__name__":
        raise InvalidValueError(
            f"a label name of {LABEL_BYTES} bytes at most, without spaces, quotes, brackets, "
            "commas, = and \\, and not __name__"
        )
    return value


def duration(unit: str) -> Parser[float]:
    """A parser of durations such as `3d`, `72h`, `90m`, or of a bare number of `unit`, in seconds.

    `unit` is its English name in the plural, such as "days".
    """

    def read(value: str) -> float:
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([smhdw]?)", value.strip().lower())
        if not match or len(match[1]) > 12:
            raise InvalidValueError(f"a number of {unit}, or a duration such as 90m, 72h, 3d or 2w")
        return float(match[1]) * _UNITS_S[match[2] or unit[0]]

    return read


def whole_seconds(unit: str) -> Parser[int]:
    """A parser of durations of whole seconds, 100 years at most."""
    read_duration = duration(unit)

    def read(value: str) -> int:
        value_s = read_duration(value)
        if value_s != int(value_s) or value_s > CENTURY_S:
            raise InvalidValueError("whole seconds, and 100 years at most")
        return int(value_s)

    return read


def rate_range(value: str) -> int:
    """Whole seconds from a minute to a day. Raises InvalidValueError."""
    expected = "60 seconds to 1 day, such as 300, 10m or 1h"
    try:
        seconds = whole_seconds("seconds")(value)
    except InvalidValueError as error:
        raise InvalidValueError(expected) from error
    if not 60 <= seconds <= 86_400:
        raise InvalidValueError(expected)
    return seconds


def short_delay(value: str) -> float:
    """Seconds to wait between queries, which may have fractions: up to five minutes."""
    value_s = duration("seconds")(value)
    if value_s > 300:
        raise InvalidValueError("at most 300 s")
    return value_s


def moment(value: str) -> datetime:
    """A moment in UTC from ISO 8601 (UTC unless it says otherwise) or from unix seconds.

    A text of eight digits is a date: as unix seconds it would lie in 1970.
    """
    text = value.strip()
    if re.fullmatch(r"[0-9]{9,}", text):
        return _from_unix(text)
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidValueError(_MOMENT) from None


def _from_unix(seconds: str) -> datetime:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidValueError(_MOMENT) from None


def hostname(value: str) -> str:
    """A host name or an address, without the brackets of an IPv6 address."""
    # An IPv6 address has two colons at least: with one it is a host and a port.
    host = r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*"
    if not re.fullmatch(host, value):
        raise InvalidValueError(
            "a host name or an address alone; scheme, port and path have the settings SCHEME, "
            "PORT and PATH_PREFIX",
            # People paste whole addresses, with a password in front of the host too.
            repr(re.sub(r".*@", "…@", value, flags=re.DOTALL)),
        )
    return value.strip("[]")


def url_path(value: str) -> str:
    """A path with a leading slash and without one at its end; "" for the root."""
    path = "/" + value.strip("/")
    if not re.fullmatch(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*", path) or "//" in path:
        raise InvalidValueError("a URL path such as /prometheus")
    return "" if path == "/" else path


def key_prefix(value: str) -> str:
    """The beginning of object keys, without slashes at its ends."""
    prefix = value.strip("/")
    parts = prefix.split("/")
    if not prefix or not prefix.isprintable() or any(part in ("", ".", "..") for part in parts):
        raise InvalidValueError("a path such as k8s/prometheus")
    if len(prefix.encode()) > 200:
        raise InvalidValueError(
            "200 bytes at most, as S3 keys end at 1,024", f"of {len(prefix.encode())} bytes"
        )
    return prefix


def folder_name(value: str) -> str:
    """Any printable name; it is percent-encoded in keys."""
    if not value.isprintable() or len(value.encode()) > 200:
        raise InvalidValueError("printable characters, 200 bytes at most")
    return value


def extra_metrics(value: str) -> dict[str, str]:
    """Names and PromQL of the user's own metrics, from a JSON object."""
    try:
        metrics = json.loads(value, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        shown = f"{value[:60]!r} ({error})"
        raise InvalidValueError(_EXTRA_METRICS, shown) from None
    if not isinstance(metrics, dict):
        raise InvalidValueError(_EXTRA_METRICS)
    for name, query in metrics.items():
        if not _METRIC_NAME.fullmatch(name):
            raise InvalidValueError(
                "names of letters, digits and _, no digit first, 100 characters at most",
                f"name {name!r}",
            )
        if not isinstance(query, str) or not query.strip():
            raise InvalidValueError(_EXTRA_METRICS, f"PromQL for {name!r}")
    return metrics


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"duplicate key {name!r}")
    return dict(pairs)


# Fields of an event and options of the command line, whose values JSON has typed already.


def parse_flag(name: str, value: object) -> bool:
    """true or false, as JSON has them. Raises SettingsError."""
    if not isinstance(value, bool):
        raise INVALID_VALUE(name=name, shown=repr(value), expected="true or false")
    return value


def parse_time(name: str, value: object) -> datetime:
    """A moment in UTC, as `moment` reads it, or from unix seconds as a number.

    Raises SettingsError.
    """
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return _from_unix(str(value))
        return moment(value if isinstance(value, str) else "")
    except InvalidValueError as error:
        raise INVALID_VALUE(name=name, shown=repr(value), expected=error.expected) from None


def parse_month(name: str, value: object) -> tuple[int, int]:
    """The month `2026-10` in unix seconds, from its first midnight to the next month's, UTC.

    Raises SettingsError.
    """
    text = value if isinstance(value, str) else ""
    match = re.fullmatch(r"(19[7-9][0-9]|[2-8][0-9]{3})-(0[1-9]|1[0-2])", text)
    if not match:
        raise INVALID_VALUE(name=name, shown=repr(value), expected="a month such as 2026-10")
    first = datetime(int(match[1]), int(match[2]), 1, tzinfo=UTC)
    following = (first + timedelta(days=31)).replace(day=1)
    return int(first.timestamp()), int(following.timestamp())


def duration_s(name: str, value: str, unit: str) -> float:
    """Seconds, as `duration` reads them. Raises SettingsError."""
    return parse(name, duration(unit), value)
