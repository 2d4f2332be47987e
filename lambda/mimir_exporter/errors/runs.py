"""Errors of a run: its time, its checkpoint, its executions, and what it abandons."""

from . import (
    CheckpointError,
    ErrorKind,
    ExportError,
    OutOfTimeError,
    RejectedError,
    SettingsError,
    StopRunError,
)

OUT_OF_TIME = ErrorKind(
    "out_of_time",
    OutOfTimeError,
    "Invocation time budget exhausted",
    "no action needed: the next run continues",
)
CALL_TIMED_OUT = ErrorKind(
    "call_timed_out",
    StopRunError,
    "{call} timed out after {seconds:.0f} s, and the invocation time budget is exhausted",
    "no action needed if it passes: the next run continues; otherwise check the route from the "
    "function's subnets to that service",
    "S3, Step Functions, Secrets Manager or STS does not answer: an endpoint is missing in the VPC",
)
CONSECUTIVE_FAILURES = ErrorKind(
    "consecutive_failures",
    StopRunError,
    "Aborted: {count} consecutive metrics failed with retryable errors",
    "no action needed if Mimir recovers: retried at the next run; otherwise {remedy}",
    "Mimir is down or overloaded: a longer `query_delay`, a lower `backfill_concurrency`",
)
METRIC_WINDOW_TOO_SLOW = ErrorKind(
    "metric_window_too_slow",
    RejectedError,
    "One metric-window does not fit into one invocation",
    "set a smaller TIME_FRAME, a longer timeout_s or more memory_mb",
)
FEWER_SAMPLES = ErrorKind(
    "fewer_samples",
    ExportError,
    "Kept the existing files: they have more samples than Mimir returns now",
    "no action needed past Mimir's retention; to replace them, invoke the function with {event}",
)
RETENTION_LOWERED = ErrorKind(
    "retention_lowered",
    ExportError,
    "{setting} is lowered from {before} to {value}: from {at} on the files of windows before "
    "{until} are deleted, {count} exported metric-windows",
    "no action needed if that is meant; otherwise set it back before then",
)
LAYOUT_CHANGED = ErrorKind(
    "layout_changed",
    ExportError,
    "{setting} is changed from {before} to {value}: new windows follow; the files of {count} "
    "metric-windows before {until} stay in the older layout until they are exported again, which "
    "waits until {at}",
    "reexport them after that, or with force at once; if it is not meant, set it back before then",
)
INTERNAL_ERROR = ErrorKind(
    "internal_error",
    ExportError,
    "Internal error: {kind}",
    "exported data is intact; report this with the log",
)

# The checkpoint.
NO_CHECKPOINT = ErrorKind(
    "no_checkpoint",
    CheckpointError,
    "No checkpoint: no run has completed, or it was deleted",
    'rebuild it from the manifests with {{"action": "rebuild"}}; or invoke the function with {{}}, '
    "which begins as a first run",
)
INVALID_CHECKPOINT = ErrorKind(
    "invalid_checkpoint",
    CheckpointError,
    "Invalid checkpoint {where}",
    "restore it from an older version of the object or from a copy; without one, delete it: the "
    "next run begins as a first run and writes the same files again. Nothing was exported, and the "
    "object is unchanged",
    "it was edited or truncated: [restore it](operations.md#restore-the-checkpoint)",
)
CHECKPOINT_TOO_NEW = ErrorKind(
    "checkpoint_too_new",
    CheckpointError,
    "The checkpoint {where} has version {version}, and this exporter reads versions up to {known}",
    "deploy the newer exporter that wrote it",
)
CHECKPOINT_CONFLICTS = ErrorKind(
    "checkpoint_conflicts",
    CheckpointError,
    "{count} write conflicts while updating the checkpoint {key}",
    "check that no other exporter has the same S3_PREFIX and CLUSTER_NAME",
    "two exporters share `S3_PREFIX` and `CLUSTER_NAME`",
)
ANOTHER_EXPORTER = ErrorKind(
    "another_exporter",
    CheckpointError,
    "The checkpoint was last written by an exporter with the state machine {state_machine}",
    "no action needed if that exporter is gone, as after a change of the stack's name; otherwise "
    "give one of the two a CLUSTER_NAME of its own: they take each other's work",
)

CHECKPOINT_DELETED = ErrorKind(
    "checkpoint_deleted",
    CheckpointError,
    "The checkpoint was deleted while a run was at work",
    "no action needed: the next run begins as a first run and writes the same files again",
)
CHECKPOINT_AHEAD = ErrorKind(
    "checkpoint_ahead",
    CheckpointError,
    "The checkpoint has windows up to {until}, and the clock of this machine has {now}",
    "synchronize the clock (NTP); if it is right, the clock of an earlier run was ahead: restore "
    "an older checkpoint, or delete it: the next run begins as a first run",
)
TOO_MANY_SCHEDULES = ErrorKind(
    "too_many_schedules",
    SettingsError,
    "TIME_FRAME or QUERY_STEP changed {count} times since {since}, and windows keep the ones they "
    "had",
    "set TIME_FRAME back to {time_frame} and QUERY_STEP to {query_step}, and check that no other "
    "exporter has the same S3_PREFIX and CLUSTER_NAME",
)
TOO_MANY_REEXPORTS = ErrorKind(
    "too_many_reexports",
    SettingsError,
    "{count} ranges are queued for reexport already, and nothing was recorded",
    "submit the event again once the status shows fewer, or one for a longer range",
)
ERROR_NOT_KEPT = ErrorKind(
    "error_not_kept",
    ExportError,
    "The cause is not known any more: there were too many different ones to keep them all",
    "see `metric failed` in the log of the last attempt",
)
CHECKPOINT_EXISTS = ErrorKind(
    "checkpoint_exists",
    SettingsError,
    "There is a checkpoint, and it is not rebuilt",
    "to take what the manifests say into it all the same, invoke the function with {event}",
    "a run since the loss began a new one, or nothing was lost",
)
NO_MANIFESTS = ErrorKind(
    "no_manifests",
    SettingsError,
    "There are no manifests in {where}",
    "check S3_PREFIX and CLUSTER_NAME; without manifests the next run begins as a first run",
)
REBUILD_UNFINISHED = ErrorKind(
    "rebuild_unfinished",
    SettingsError,
    "The checkpoint is being rebuilt, as far as {day} by now",
    "no action needed: the next run continues; submit the event again once it has finished",
)
TOO_MANY_TASKS = ErrorKind(
    "too_many_tasks",
    SettingsError,
    "{count} ranges are queued for repair or audit already, and nothing was recorded",
    "submit the event again once the status shows fewer, or one for a longer range",
)

# Step Functions.
STEP_FUNCTIONS_DENIED = ErrorKind(
    "step_functions_denied",
    StopRunError,
    "Access denied: Step Functions did not {verb} the execution {name} of {state_machine}",
    "check that the function's role may {verb} executions of it",
)
STEP_FUNCTIONS_UNREACHABLE = ErrorKind(
    "step_functions_unreachable",
    StopRunError,
    "Cannot connect to Step Functions to {verb} the execution {name} of {state_machine}",
    "check that the VPC has an endpoint for states, and its security group",
)
STEP_FUNCTIONS_ERROR = ErrorKind(
    "step_functions_error",
    StopRunError,
    "Step Functions failed to {verb} the execution {name} of {state_machine}",
    "check BACKFILL_STATE_MACHINE_ARN, and see the error code in the documentation of Step "
    "Functions; retried at the next run",
)
EXECUTION_ENDED = ErrorKind(
    "execution_ended",
    ExportError,
    "The execution {name} ended as {status} before it exported the window",
    "see the execution in Step Functions; no action needed: the next run exports the window",
)
