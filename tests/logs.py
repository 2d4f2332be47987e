"""What a line of the log may have, as log.py says."""

from mimir_exporter import log

MESSAGES = log.messages()
# Of every line; the last ones are Powertools'.
COMMON = frozenset(
    (
        "message",
        "run",
        "level",
        "location",
        "timestamp",
        "service",
        "cold_start",
        "function_name",
        "function_arn",
        "function_memory_size",
        "function_request_id",
        "xray_trace_id",
    )
)


def allowed_fields(message: log.Message) -> frozenset[str]:
    """What a line of this message may have beside COMMON."""
    return frozenset((*message.fields, *message.about, *message.optional))
