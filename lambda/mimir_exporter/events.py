"""What the functions and the command line take and return: events and results, typed.

An event is a dataclass whose fields are its keys; `actions.py` has the table of what each one does.
A result is JSON: values that programs read are words with underscores, sentences are in `message`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, NotRequired, TypedDict, TypeVar, cast

from .errors.settings import INVALID_VALUE
from .settings.parsers import parse_flag, parse_month, parse_time

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
D = TypeVar("D")
E = TypeVar("E", bound="DataclassInstance")

TEXT_CHARACTERS = 300
# As it came from JSON.
Json = Mapping[str, object]


# Events


@dataclass(frozen=True)
class Key(Generic[T]):
    """How a key of an event is read, and how the command line calls it.

    `parse` takes the key's name and its value in JSON and raises SettingsError. `option` is the
    name on the command line without dashes, by default the key's; `metavar` is empty for a flag.
    """

    parse: Callable[[str, object], T]
    help: str
    option: str = ""
    metavar: str = ""
    required: bool = False


def _required(key: Key[T]) -> T:
    """A field of an event that has to be given."""
    return cast(T, field(metadata={"key": replace(key, required=True)}))


def _optional(key: Key[T], default: D) -> T | D:
    """A field of an event that may be left out."""
    return field(default=default, metadata={"key": key})


def keys_of(event_type: "type[DataclassInstance]") -> dict[str, Key[object]]:
    """The keys that an event may have beside `action`."""
    return {field.name: field.metadata["key"] for field in fields(event_type)}


def parse_moment(name: str, value: object) -> int:
    """Unix seconds from ISO 8601 or unix seconds. Raises SettingsError."""
    return int(parse_time(name, value).timestamp())


def parse_names(name: str, value: object) -> tuple[str, ...]:
    """A list of metric names. Raises SettingsError."""
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise INVALID_VALUE(name=name, shown=repr(value), expected="a list of metric names")


def parse_text(name: str, value: object) -> str:
    """A text of up to TEXT_CHARACTERS. Raises SettingsError."""
    if isinstance(value, str) and 0 < len(value.strip()) <= TEXT_CHARACTERS:
        return value.strip()
    expected = f"a text of up to {TEXT_CHARACTERS} characters"
    raise INVALID_VALUE(name=name, shown=repr(value), expected=expected)


_TIME = "2026-10-31, 2026-10-31T06:00:00Z or unix seconds; UTC"
_START = Key(parse_moment, _TIME, option="from", metavar="TIME")
_END = Key(parse_moment, "the range's end", option="to", metavar="TIME")
_METRICS = Key(parse_names, "only these of the catalogue", metavar="A,B")
_FORCE = Key(parse_flag, "also where files get fewer samples")
_BY = Key(parse_text, "who accepts it", metavar="NAME")
_REASON = Key(parse_text, "why it is accepted", metavar="TEXT")
_DRY_RUN = Key(parse_flag, "only say what it would do")
_MERGE = Key(parse_flag, "also into a checkpoint that exists")
_MONTH = Key(parse_month, "instead of a range", metavar="2026-10")
_FILES = Key(parse_flag, "count all files of the range")
_EXECUTION = Key(lambda _name, value: str(value), "the execution's name")


@dataclass(frozen=True)
class RunEvent:
    """The regular run."""


@dataclass(frozen=True)
class CheckEvent:
    """The check."""


@dataclass(frozen=True)
class ExportEvent:
    """Exports what [start, end) lacks, in unix seconds; of all metrics where `metrics` is None."""

    # Keys of another action, which this one refuses by its name.
    REFUSED: ClassVar[Mapping[str, str]] = {"again": "reexport", "force": "reexport"}

    start: int = _required(_START)
    end: int = _required(_END)
    metrics: tuple[str, ...] | None = _optional(_METRICS, None)


@dataclass(frozen=True)
class ReexportEvent:
    """Exports all of [start, end) again. `force` lets files get fewer samples than they have;
    `dry_run` says what it would do, and writes nothing."""

    start: int = _required(_START)
    end: int = _required(_END)
    metrics: tuple[str, ...] | None = _optional(_METRICS, None)
    force: bool = _optional(_FORCE, False)
    dry_run: bool = _optional(_DRY_RUN, False)


@dataclass(frozen=True)
class RepairEvent:
    """Holds the files of [start, end) against their manifests, and exports again what is missing or
    has changed; `dry_run` as in ReexportEvent."""

    start: int = _required(_START)
    end: int = _required(_END)
    metrics: tuple[str, ...] | None = _optional(_METRICS, None)
    dry_run: bool = _optional(_DRY_RUN, False)


@dataclass(frozen=True)
class AuditEvent:
    """Counts the samples of [start, end) again at the source, and exports what it has more of."""

    start: int = _required(_START)
    end: int = _required(_END)
    metrics: tuple[str, ...] | None = _optional(_METRICS, None)


@dataclass(frozen=True)
class RebuildEvent:
    """Rebuilds a lost checkpoint from the manifests; `merge` also takes what they say into one that
    exists."""

    merge: bool = _optional(_MERGE, False)


@dataclass(frozen=True)
class RetentionEvent:
    """Deletes the files of days older than RETENTION_DAYS; `dry_run` as in ReexportEvent."""

    dry_run: bool = _optional(_DRY_RUN, False)


@dataclass(frozen=True)
class AcceptEvent:
    """Accepts the gaps of [start, end), in unix seconds, as missing: who does, and why."""

    start: int = _required(_START)
    end: int = _required(_END)
    by: str = _required(_BY)
    reason: str = _required(_REASON)
    metrics: tuple[str, ...] | None = _optional(_METRICS, None)


@dataclass(frozen=True)
class StatusEvent:
    """Reports on `month`, or on [start, end), in unix seconds; by default on all that is due.

    `files` counts all files of the range, however long that takes.
    """

    month: tuple[int, int] | None = _optional(_MONTH, None)
    start: int | None = _optional(_START, None)
    end: int | None = _optional(_END, None)
    files: bool = _optional(_FILES, False)


@dataclass(frozen=True)
class BackfillItem:
    """An item of the Map: the windows of [start, end) in unix seconds, and the execution's name."""

    start: int = _required(_START)
    end: int = _required(_END)
    execution: str = _optional(_EXECUTION, "")


def parse_event(event_type: type[E], event: Json) -> E:
    """The event in its type. Keys that are null count as absent; a required one must not be.

    Raises SettingsError for a value that is not allowed. Unknown keys are for the caller to refuse.
    """
    values = {
        name: key.parse(name, event.get(name))
        for name, key in keys_of(event_type).items()
        if key.required or event.get(name) is not None
    }
    return event_type(**values)


def read_item(event: object) -> BackfillItem:
    """The event of the backfill function. Raises SettingsError."""
    return parse_event(BackfillItem, event if isinstance(event, Mapping) else {})


# Results

RunOutcome = Literal["complete", "unfinished", "handed_over", "stopped", "skipped"]
CheckOutcome = Literal["ready", "not_ready"]
StatusOutcome = Literal[
    "complete",  # nothing of the range is missing, or ever will be
    "complete_so_far",  # its end is still to come
    "partial",  # its beginning, or what lies between exports by hand, was never due or is deleted
    "incomplete",
    "empty",  # exported, and without any series
    "deleted",
    "not_wanted",
    "not_due",
    "nothing_yet",  # before the first run
]


class WindowCounts(TypedDict):
    """Windows of a run; `failed` have a metric that failed."""

    planned: int
    exported: int
    failed: int
    handed_over: int
    pending: int


class FailureResult(TypedDict):
    """A metric-window that failed in a run."""

    metric: str
    window: str
    code: str
    summary: str
    cause: str
    remedy: str


class DayResult(TypedDict):
    """What a look at one day came to: metric-windows that were looked at, and of these the files,
    or what else `found` counts; `keys` are the first of the files that are not as they should be.
    """

    day: str
    metric_windows: int
    found: dict[str, int]
    keys: list[str]


class RunResult(TypedDict):
    """What `run`, `export` and `reexport` return. `bytes` are compressed; `days` are those that a
    repair or an audit looked at."""

    outcome: RunOutcome
    message: str
    windows: WindowCounts
    objects: int
    series: int
    samples: int
    bytes: int
    raw_bytes: int
    lag_s: int
    gaps: int
    execution: str | None
    deleted: int
    seconds: float
    query_s: float
    failures: list[FailureResult]
    days: NotRequired[list[DayResult]]


class DryRunResult(TypedDict):
    """What an action with `dry_run` returns: what it would do. `first` are the first of the windows
    or keys that it is about, `counted_whole` whether the time sufficed to count all."""

    outcome: Literal["dry_run"]
    message: str
    range: NotRequired[str]
    counts: dict[str, int]
    first: list[str]
    days: NotRequired[list[DayResult]]
    counted_whole: bool


class RebuildResult(TypedDict):
    """What `rebuild` returns: what the manifests had, and what they cannot know. `missing` counts
    metric-windows without a manifest by metric: they are pending again."""

    outcome: Literal["complete", "unfinished"]
    message: str
    range: str
    metric_windows: int
    days: list[DayResult]
    missing: dict[str, int]
    not_rebuilt: list[str]


class RetentionResult(TypedDict):
    """What `retention` returns."""

    outcome: Literal["complete", "unfinished"]
    message: str
    deleted: int


class AcceptResult(TypedDict):
    """What `accept` returns: the ranges of each group of metrics, and the gaps that remain."""

    outcome: Literal["accepted"]
    message: str
    accepted: list[dict[str, object]]
    gaps: int


class ItemResult(TypedDict):
    """What the backfill function returns. `finished` false: to be invoked again with the item."""

    start: int
    end: int
    finished: bool
    failed: bool
    metrics: int
    samples: int
    failures: list[str]


class FindingResult(TypedDict):
    """One thing that the check looked at; `remedy` is empty when all is well.

    `code` and `cause` are of the error that was met, and empty without one.
    """

    level: Literal["ok", "warning", "error"]
    what: str
    code: str
    summary: str
    cause: str
    remedy: str


class MetricCount(TypedDict):
    """The series of a metric; `by_cluster` has the largest clusters."""

    series: int
    clusters: int
    by_cluster: dict[str, int]
    seconds: float


class NotCounted(TypedDict):
    """Why a metric could not be counted."""

    error: str


class CheckResult(TypedDict):
    """What `check` returns. `report` is for reading: lines of text."""

    outcome: CheckOutcome
    message: str
    report: list[str]
    findings: list[FindingResult]
    metrics: NotRequired[dict[str, MetricCount | NotCounted]]


class StatusResult(TypedDict):
    """What `status` returns; before the first run `outcome` and `message` only."""

    outcome: StatusOutcome
    message: str
    range: NotRequired[str]
    covered: NotRequired[list[str]]
    lag_s: NotRequired[int]
    pending_windows: NotRequired[int]
    metric_windows: NotRequired[dict[str, int]]
    audited_until: NotRequired[str | None]
    reexports: NotRequired[list[dict[str, object]]]
    accepted: NotRequired[list[dict[str, object]]]
    coverage: NotRequired[list[dict[str, object]]]
    changes: NotRequired[list[dict[str, object]]]
    unconfirmed: NotRequired[list[dict[str, object]]]
    in_part: NotRequired[list[dict[str, object]]]
    failures: NotRequired[list[dict[str, object]]]
    executions: NotRequired[list[dict[str, object]]]
    files: NotRequired[dict[str, object]]
