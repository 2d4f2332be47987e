"""Errors of settings, of events and of the command line."""

from . import ErrorKind, SettingsError

SETTING_REQUIRED = ErrorKind(
    "setting_required",
    SettingsError,
    "Missing {name}: it is required",
    "set it: {meaning}",
)
INVALID_VALUE = ErrorKind(
    "invalid_value",
    SettingsError,
    "Invalid {name} {shown}: expected {expected}",
    "correct {name}",
    "a setting, a key of an event or an option of the command line",
)
CONFLICTING_SETTINGS = ErrorKind(
    "conflicting_settings",
    SettingsError,
    "Conflicting settings: {problem}",
    "{change}",
)
INVALID_EXTRA_METRICS = ErrorKind(
    "invalid_extra_metrics",
    SettingsError,
    "Invalid EXTRA_METRICS: {problem}",
    "set it to a JSON object of names and PromQL such as "
    '{{"my_metric": "sum by (cluster)(x)"}}, {rule}',
)
INVALID_CATALOG = ErrorKind(
    "invalid_catalog",
    SettingsError,
    "Invalid CATALOG{value} (cdk.json: catalog): {problem}",
    "set it to one of {sets}, or to a file in the format of catalog.toml",
    "a typing error in the file, or a path that is not on this machine",
)
UNKNOWN_ACTION = ErrorKind(
    "unknown_action",
    SettingsError,
    "Unknown action {action!r} in the event",
    "use {{}} for a regular run, or one of the actions {known}",
    "a typing error: one of [these](events.md)",
)
UNKNOWN_EVENT_KEY = ErrorKind(
    "unknown_event_key",
    SettingsError,
    "Unknown key {key!r} in the event",
    "{allowed}",
    "a typing error, or the console's own example event: one of [these](events.md)",
)
CONFLICTING_EVENT = ErrorKind(
    "conflicting_event",
    SettingsError,
    "Conflicting keys in the event: {keys}",
    "give one or the other",
)
USE_OTHER_ACTION = ErrorKind(
    "use_other_action",
    SettingsError,
    "{action} takes no {key!r}: it exports only what the range lacks",
    "use {other}, which exports all of the range again",
    "an event or a command of an older version",
)
INVALID_RANGE = ErrorKind(
    "invalid_range",
    SettingsError,
    "Invalid range {range}: {problem}",
    "{change}",
)
NO_COMPLETE_WINDOW = ErrorKind(
    "no_complete_window",
    SettingsError,
    "No complete window older than SETTLE_TIME ({seconds} s) in {range}",
    "widen the range to whole windows, or invoke the function again later",
)
RANGE_PAST_RETENTION = ErrorKind(
    "range_past_retention",
    SettingsError,
    "{range} begins before {kept}, and RETENTION_DAYS deletes files of older days",
    "raise RETENTION_DAYS, or set it to 0 to keep all files, and export again",
)
UNKNOWN_METRIC = ErrorKind(
    "unknown_metric",
    SettingsError,
    "Unknown metric {name!r} in the event",
    "use names of the catalogue: {known}",
)
TOO_MANY_ACCEPTANCES = ErrorKind(
    "too_many_acceptances",
    SettingsError,
    "{count} acceptances fill the room that the checkpoint has for them",
    "accept one longer range instead of several short ones",
)
NOTHING_TO_ACCEPT = ErrorKind(
    "nothing_to_accept",
    SettingsError,
    "Nothing is missing for good in {range}",
    'use a range with gaps: {{"action": "status"}} lists them',
    "a gap that was exported meanwhile, or a range without one",
)

# The command line.
RETENTION_BY_COMMAND = ErrorKind(
    "retention_by_command",
    SettingsError,
    "Retention runs in the function only",
    "add --dry-run to see what it would delete, or invoke the function with {event}",
    "the command may run without the deployment's RETENTION_DAYS",
)
LAYOUT_DIFFERS = ErrorKind(
    "layout_differs",
    SettingsError,
    "The checkpoint's layout differs from this command's settings: {differences}",
    "set the same as the checkpoint; {otherwise}",
    "the command runs without the deployment's settings",
)
NO_BUCKET_OR_FOLDER = ErrorKind(
    "no_bucket_or_folder",
    SettingsError,
    "S3_BUCKET is not set",
    "set it, or give a folder of this machine with --folder",
)
AWS_CREDENTIALS_INVALID = ErrorKind(
    "aws_credentials_invalid",
    SettingsError,
    "The AWS credentials cannot be used",
    "log in again or check AWS_PROFILE, or export into a folder of this machine with --folder",
)
AWS_CREDENTIALS_MISSING = ErrorKind(
    "aws_credentials_missing",
    SettingsError,
    "No AWS credentials found",
    "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or export into a folder of "
    "this machine with --folder",
)
AWS_REGION_MISSING = ErrorKind(
    "aws_region_missing",
    SettingsError,
    "No AWS region found",
    "set AWS_REGION to the bucket's, or export into a folder of this machine with --folder",
)
