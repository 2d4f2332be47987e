"""Every line that the log can have: its message, its level and its fields, with their types.

A field has one type and one meaning in all messages, so that a query over them can rely on it.
docs/logs.md is made from this file. A module logs with `log.RUN_PLANNED(windows=3)`.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated, TypedDict, Unpack

from aws_lambda_powertools import Logger

from .errors import ErrorDetails, ExportError

logger = Logger()


class Fields(TypedDict, total=False):
    """What a line may have beside its message. Ranges and moments are ISO 8601, UTC."""

    run: Annotated[str, "the request id of the invocation: all that one run did"]
    window: Annotated[str, "a window's start and end, `2026-10-31T06:00:00Z/2026-10-31T07:00:00Z`"]
    metric: Annotated[str, "a metric's name in the catalogue"]
    execution: Annotated[str, "the name of a Step Functions execution"]
    code: Annotated[str, "which error it is: its row of [troubleshooting](troubleshooting.md)"]
    summary: Annotated[str, "one sentence: what happened, to what, with which value"]
    cause: Annotated[str, "what the other side said, in its own words; empty without another side"]
    remedy: Annotated[str, "what to do; empty where no action is needed"]
    action: Annotated[str, "the event's action"]
    annotations: Annotated[list[str], "what Mimir notes on the query itself, five at most"]
    attempt: Annotated[int, "how often it was tried, this one included where it counts"]
    audited: Annotated[int, "metric-windows that an audit found whole"]
    broken: Annotated[int, "metric-windows whose files are not as their manifest says"]
    by: Annotated[str, "who accepted a gap"]
    bytes: Annotated[int, "compressed bytes, as written"]
    changed_files: Annotated[int, "files that are not as their manifest says"]
    cluster_names: Annotated[list[str], "names of the clusters that it is about, five at most"]
    clusters: Annotated[int, "number of clusters"]
    deleted: Annotated[int, "number of files that were deleted"]
    execution_status: Annotated[str, "Step Functions' word for how it ended, or `never started`"]
    failed_metrics: Annotated[list[str], "names of the metrics that failed"]
    failures: Annotated[
        Sequence[Mapping[str, object]],
        "the first 20 failed metric-windows, each with `metric`, `window`, `code`, `summary`, "
        "`cause`, `remedy`",
    ]
    fewer: Annotated[int, "metric-windows of which the source has fewer samples than before"]
    finding: Annotated[str, "which part of the check it is of"]
    gap: Annotated[bool, "whether it failed so often that only a daily try is left"]
    gaps: Annotated[int, "number of gaps in the checkpoint"]
    incomplete: Annotated[int, "metric-windows of which the source has more samples than before"]
    lag_s: Annotated[int, "age in seconds of the newest moment up to which all is exported"]
    metric_windows: Annotated[int, "number of metric-windows (one metric in one window)"]
    metrics: Annotated[list[str], "names of metrics"]
    missing_files: Annotated[int, "files that a manifest lists and the bucket does not have"]
    objects: Annotated[int, "number of files"]
    outcome: Annotated[str, "how a run, a check or a status ended, as in its result"]
    part_s: Annotated[int, "seconds of one part of a query"]
    parts: Annotated[int, "number of parts of a query"]
    path: Annotated[str, "path of the endpoint"]
    query_s: Annotated[float, "seconds from each request to Mimir to the last byte of its answer"]
    range: Annotated[str, "start and end of a time range"]
    ranges: Annotated[list[str], "time ranges"]
    raw_bytes: Annotated[int, "uncompressed bytes, as Mimir sent them"]
    reason: Annotated[str, "why an operator accepted a gap"]
    remaining_metrics: Annotated[list[str], "names of the metrics that were not tried yet"]
    requeued_windows: Annotated[int, "windows that an execution left and the next run exports"]
    retries: Annotated[int, "queries that were sent again"]
    revision: Annotated[int, "number of the manifest's version, from 1 on"]
    retry: Annotated[str, "when it is tried again: `next_run`, `daily` or `on_request`"]
    samples: Annotated[int, "number of samples"]
    samples_before: Annotated[int, "raw samples just before the export"]
    samples_now: Annotated[int, "raw samples when the audit counted them"]
    seconds: Annotated[float, "how long all of it took"]
    series: Annotated[int, "number of series"]
    split: Annotated[str, "how a query was split: `by_time` or `by_cluster`"]
    splits: Annotated[int, "queries that were split"]
    state_machine: Annotated[str, "ARN of a state machine"]
    top_clusters: Annotated[
        list[dict[str, str | int]], "the five largest clusters, each with `cluster` and `bytes`"
    ]
    tried: Annotated[list[str], "paths that were queried before, with their answers"]
    unauditable: Annotated[int, "metric-windows that cannot be audited any more"]
    unfinished: Annotated[bool, "whether more of it remains for the next run"]
    wait_s: Annotated[float, "seconds until the next attempt"]
    windows: Annotated[int, "number of windows that the line is about"]
    windows_exported: Annotated[int, "windows of a run that are exported"]
    windows_failed: Annotated[int, "windows of a run with a failed metric"]
    windows_handed_over: Annotated[int, "windows of a run that executions have"]
    windows_pending: Annotated[int, "windows that still lack a metric"]
    windows_planned: Annotated[int, "windows that a run had to export"]


@dataclass(frozen=True)
class Message:
    """A line: `log.MESSAGE(field=value)`.

    `fields` are given with it; `about` come from the context it is logged in. `levels` has the
    usual one first. `when` and `action` are for docs/logs.md.
    """

    text: str
    levels: tuple[str, ...]
    when: str
    fields: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    action: str = ""
    optional: tuple[str, ...] = ()
    traceback: bool = False

    def __call__(
        self,
        *,
        level: str = "",
        error: ErrorDetails | ExportError | None = None,
        **fields: Unpack[Fields],
    ) -> None:
        """Log it. `error` gives `code`, `summary`, `cause` and `remedy`."""
        details = error.details if isinstance(error, ExportError) else error
        write = getattr(logger, (level or self.levels[0]).lower())
        extra = {**fields, **(details.as_dict() if details else {})}
        # `location` is the caller's: one frame further up than from a logger's own method.
        write(self.text, extra=extra, exc_info=self.traceback, stacklevel=3)


def about(**fields: Unpack[Fields]) -> AbstractContextManager[None]:
    """Every line logged in this context has these fields."""
    return logger.append_context_keys(**fields)


ERROR_PARTS = ("code", "summary", "cause", "remedy")
_COUNTS = ("objects", "series", "samples", "bytes", "seconds")

# A run, in the order in which it logs them.
WINDOW_REQUEUED = Message(
    "window requeued",
    ("WARNING",),
    "an execution ended and had not exported this window",
    ("window", "execution", "execution_status"),
    action="none: the run exports it; if it repeats, see `window failed`",
)
EXECUTION_ENDED = Message(
    "execution ended",
    ("INFO", "WARNING"),
    "an execution that had windows ended; WARNING where it left some",
    ("execution", "execution_status", "requeued_windows"),
    action="as above",
)
SETTING_CHANGED = Message(
    "setting changed",
    ("WARNING",),
    "a changed setting deletes or renames what is there, a day after it was first seen",
    ERROR_PARTS,
    action="what `remedy` says",
)
ENDPOINT_NOT_READY = Message(
    "endpoint not ready",
    ("WARNING",),
    "the endpoint is not ready, and is queried again after `wait_s`",
    ("attempt", "wait_s", *ERROR_PARTS),
    action="none, unless the run fails",
)
ENDPOINT_READY = Message(
    "endpoint ready", ("INFO",), "the endpoint is ready, as `path` answered", ("path", "tried")
)
EXPIRED_FILES_DELETED = Message(
    "expired files deleted",
    ("INFO",),
    "RETENTION_DAYS has passed for these files",
    ("deleted", "unfinished"),
)
MANIFEST_NOT_READ = Message(
    "manifest not read",
    ("WARNING",),
    "a manifest cannot be read: files of an expired day are found by listing, and a metric-window "
    "that was to be audited cannot be",
    ERROR_PARTS,
    action="what `remedy` says",
)
RUN_PLANNED = Message(
    "run planned",
    ("INFO",),
    "the windows that are due, and the metric-windows that they lack; `range` is from the oldest's "
    "start to the newest's end",
    ("windows", "metric_windows"),
    optional=("range",),
)
CREDENTIALS_CORRECTED = Message(
    "credentials corrected",
    ("INFO",),
    "a value had more than it should, such as `Bearer ` before a token, and is used without it",
    ("summary",),
)
CREDENTIALS_RELOADED = Message(
    "credentials reloaded",
    ("INFO",),
    "the endpoint answered 401, and the secret holds other credentials than before",
    about=("window", "metric", "execution"),
)
QUERY_RETRIED = Message(
    "query retried",
    ("WARNING",),
    "a query failed and is sent again after `wait_s`; five at most are logged for a metric-window, "
    "all are counted in `retries`",
    ("attempt", "wait_s", *ERROR_PARTS),
    ("window", "metric", "execution"),
    action="none; if it is frequent, what `remedy` says",
)
QUERY_SPLIT = Message(
    "query split",
    ("INFO",),
    "Mimir finds a query too large: it is split into `parts` of `part_s` seconds; each smaller "
    "size is logged once, all are counted in `splits`",
    ("split", "parts", "part_s", *ERROR_PARTS),
    ("window", "metric", "execution"),
    action="none; a smaller `TIME_FRAME` or a higher limit in Mimir saves the rejected queries",
)
WINDOWS_QUERIED_ALONE = Message(
    "windows queried alone",
    ("INFO",),
    "a query for several windows failed, or its answer cannot be split by window: from now on in "
    "this run the metric is queried window by window",
    ERROR_PARTS,
    ("window", "metric", "execution"),
    action="none; a lower `QUERY_WINDOWS` saves the refused queries",
)
PARTS_RESUMED = Message(
    "parts resumed",
    ("INFO",),
    "an earlier invocation fetched a part of the metric-window; `parts` remain",
    ("parts",),
    ("window", "metric", "execution"),
)
PARTS_NOT_KEPT = Message(
    "parts not kept",
    ("WARNING",),
    "the time is up, and what was fetched of the metric-window could not be kept: the next "
    "invocation fetches it again",
    ERROR_PARTS,
    ("window", "metric", "execution"),
    action="what `remedy` says, if it repeats",
)
METRIC_NOT_SPLIT = Message(
    "metric not split",
    ("WARNING",),
    "a query for some clusters returned others, so the metric is split in time only from now on in "
    "this run",
    ERROR_PARTS,
    ("window", "metric", "execution"),
    action="keep the cluster label in the result of a query of your own, or leave `$matchers` out "
    "of it",
)
METRIC_EXPORTED = Message(
    "metric exported",
    ("INFO",),
    "all files of a metric-window are written",
    (
        *("clusters", *_COUNTS, "raw_bytes", "query_s", "parts", "retries", "splits"),
        "top_clusters",
    ),
    ("window", "metric", "execution"),
    optional=("annotations",),
)
NOTHING_LEFT_TO_EXPORT = Message(
    "nothing left to export",
    ("ERROR",),
    "Mimir answers without series because it has forgotten that time: the metric-window is missing "
    "for good",
    ERROR_PARTS,
    ("window", "metric", "execution"),
    action="raise Mimir's retention and export the window again, or "
    "[accept the gap](operations.md#accept-a-gap)",
)
SAMPLES_NOT_COUNTED = Message(
    "samples not counted",
    ("INFO",),
    "the source's raw samples of a metric-window could not be counted",
    ERROR_PARTS,
    ("window", "metric", "execution"),
    action="none: it is exported all the same, and audited by its answers",
)
WINDOW_REPLACED = Message(
    "window replaced",
    ("INFO",),
    "a metric-window has other files than before: the `revision` of its manifest; `deleted` files "
    "of before are gone",
    ("revision", "deleted"),
    ("window", "metric", "execution"),
    action="whoever has read its files reads them again",
)
CLUSTERS_NEW = Message(
    "clusters new",
    ("INFO",),
    "a metric-window has clusters that the window before has not",
    ("clusters", "cluster_names"),
    ("window", "metric", "execution"),
)
CLUSTERS_VANISHED = Message(
    "clusters vanished",
    ("WARNING",),
    "a metric-window lacks clusters that the window before has, or all of them: the next run "
    "exports it once more, and it counts as complete once an audit has confirmed it",
    ("clusters", "cluster_names"),
    ("window", "metric", "execution"),
    action="none, unless they should be there: then see whether their agents reach Mimir",
)
FILES_KEPT = Message(
    "files kept",
    ("WARNING",),
    "files of a metric-window stayed as they were, because Mimir has fewer samples now",
    ("objects", "cluster_names", *ERROR_PARTS),
    ("window", "metric", "execution"),
    action="none, unless the new ones are the right ones: then what `remedy` says",
)
METRIC_FAILED = Message(
    "metric failed",
    ("WARNING", "ERROR"),
    "a metric-window failed, and it is known that it is not the endpoint that fails; ERROR where "
    "waiting does not fix it",
    ("window", "metric", "attempt", "gap", "retry", *ERROR_PARTS),
    ("execution",),
    action="what `remedy` says; `retry` says when it is tried again",
)
WINDOW_EXPORTED = Message(
    "window exported",
    ("INFO",),
    "all that the window lacked is exported",
    ("metric_windows", *_COUNTS),
    ("window", "execution"),
)
WINDOW_INCOMPLETE = Message(
    "window incomplete",
    ("INFO",),
    "a part of it is exported; each failed metric has a line of its own",
    ("metric_windows", *_COUNTS, "failed_metrics", "remaining_metrics"),
    ("window", "execution"),
    action="none: the window stays pending",
)
WINDOW_EMPTY = Message(
    "window empty",
    ("WARNING",),
    "no metric of the window had a single series",
    ("metric_windows",),
    ("window", "execution"),
    action="check the tenant and the source, then export the window again",
)
HANDED_OVER = Message(
    "handed over",
    ("INFO",),
    "an execution has the windows for which the run had no time",
    ("execution", "windows", "range"),
)
WINDOW_HANDED_OVER = Message(
    "window handed over", ("INFO",), "the same, one line for each window", ("window", "execution")
)
EXECUTION_LIMIT_REACHED = Message(
    "execution limit reached",
    ("INFO",),
    "an execution is at work, and there is one at a time: the remaining windows wait",
    ("execution", "windows"),
    action="none: later runs export them, or hand them over once the execution has ended",
)
CHECKPOINT_OF_ANOTHER_EXPORTER = Message(
    "checkpoint of another exporter",
    ("WARNING",),
    "another stack's exporter wrote the checkpoint last",
    ("state_machine", *ERROR_PARTS),
    action="what `remedy` says",
)
RECEIPT_NOT_WRITTEN = Message(
    "receipt not written",
    ("WARNING",),
    "the receipts of days that have changed could not be written; files and manifests are there",
    ERROR_PARTS,
    action="none: the next run writes them",
)
LEASE_NOT_RELEASED = Message(
    "lease not released",
    ("WARNING",),
    "the checkpoint could not be written at the run's end",
    ERROR_PARTS,
    action="none: the lease ends by itself",
)
MORE_SAMPLES_AT_SOURCE = Message(
    "more samples at source",
    ("INFO",),
    "an audit found more raw samples than just before the export: late data",
    ("window", "metric", "samples_before", "samples_now", "cluster_names"),
    action="none: the metric-window is exported again",
)
FEWER_SAMPLES_AT_SOURCE = Message(
    "fewer samples at source",
    ("WARNING",),
    "twice `AUDIT_AFTER` after the export an audit still found fewer; the files keep what they "
    "have, and count as audited",
    ("window", "metric", "samples_before", "samples_now", "cluster_names"),
    action="see whether the source loses data, as past its retention",
)
WINDOWS_AUDITED = Message(
    "windows audited",
    ("INFO",),
    "metric-windows of a day whose raw samples were counted again",
    ("range", "audited", "incomplete", "fewer", "unauditable"),
)
WINDOWS_NOT_AUDITABLE = Message(
    "windows not auditable",
    ("WARNING",),
    "metric-windows of a day of which the source does not know any more whether they are whole",
    ("range", "unauditable", "summary"),
    action="as `summary` says; a smaller `AUDIT_AFTER` where the source has forgotten them",
)
CHECKPOINT_REBUILT = Message(
    "checkpoint rebuilt",
    ("WARNING",),
    "what the manifests of `range` say was taken into the checkpoint; with `unfinished` the next "
    "run continues, and exports nothing before",
    ("range", "metric_windows", "unfinished"),
    action="send again what the result of `rebuild` names",
)
FILES_COMPARED = Message(
    "files compared",
    ("INFO",),
    "a repair held the files of a day, `range`, against their manifests; broken metric-windows are "
    "exported again",
    ("range", "metric_windows", "objects", "missing_files", "changed_files", "broken"),
)
REPAIR_INTERRUPTED = Message(
    "repair interrupted",
    ("WARNING",),
    "the bucket could not be held against the manifests",
    ERROR_PARTS,
    action="none: the next run continues",
)
AUDIT_INTERRUPTED = Message(
    "audit interrupted",
    ("WARNING",),
    "the source could not be queried",
    ERROR_PARTS,
    action="none: the next run continues",
)
RUN_FINISHED = Message(
    "run finished",
    ("INFO",),
    "the last line of a run: its whole result",
    (
        *("outcome", "summary", "windows_planned", "windows_exported", "windows_failed"),
        *("windows_handed_over", "windows_pending", *_COUNTS, "raw_bytes", "query_s", "lag_s"),
        *("gaps", "deleted", "failures"),
    ),
    optional=("execution",),
    action="none, unless `outcome` is `stopped`",
)

# An invocation of the backfill function, for one window.
WINDOW_STARTED = Message(
    "window started",
    ("INFO",),
    "an invocation of the backfill function exports a window; without a later line of the same "
    "`run` it was killed",
    ("window",),
    ("execution",),
)
WINDOW_FINISHED = Message(
    "window finished",
    ("INFO",),
    "the invocation exported all that the window lacked",
    ("window", "metric_windows", "samples"),
    ("execution",),
)
WINDOW_CONTINUED = Message(
    "window continued",
    ("INFO",),
    "the time budget is exhausted; the state machine invokes the function again",
    ("window", "metric_windows", "samples"),
    ("execution",),
)
WINDOW_FAILED = Message(
    "window failed",
    ("WARNING",),
    "metrics of the window failed; the next run exports the rest of it",
    ("window", "metric_windows", "samples", "failed_metrics"),
    ("execution",),
    action="see `metric failed` of the same `run`",
)

# Other actions, and failures of an invocation.
CHECK_FOUND = Message(
    "check found",
    ("WARNING", "ERROR"),
    "the check found something to change",
    ("finding", *ERROR_PARTS),
    action="what `remedy` says",
)
CHECK_FINISHED = Message(
    "check finished", ("INFO",), "the last line of a check", ("outcome", "summary")
)
STATUS_REPORTED = Message(
    "status reported", ("INFO",), "the last line of a status", ("outcome", "summary")
)
ACTION_FINISHED = Message(
    "action finished",
    ("INFO",),
    "the last line of any other action",
    ("action", "outcome", "summary"),
)
GAP_ACCEPTED = Message(
    "gap accepted",
    ("WARNING",),
    "an operator accepted these gaps as missing",
    ("metrics", "ranges", "by", "reason"),
    action="none",
)
COVERAGE_MAP_FAILED = Message(
    "coverage map failed",
    ("ERROR",),
    "the coverage map could not be drawn; the widget shows the same error",
    ERROR_PARTS,
    action="what `remedy` says",
)
INTERNAL_ERROR = Message(
    "internal error",
    ("ERROR",),
    "a bug, with its traceback",
    optional=("exception", "exception_name", "stack_trace"),
    about=("window", "metric", "execution"),
    action="report it with the log",
    traceback=True,
)
RUN_FAILED = Message(
    "run failed",
    ("ERROR",),
    "the invocation failed as a whole",
    ERROR_PARTS,
    ("execution",),
    action="what `remedy` says; exported data is intact",
)


def messages() -> Mapping[str, Message]:
    """Every message by its text, in the order of this file."""
    return {value.text: value for value in globals().values() if isinstance(value, Message)}
