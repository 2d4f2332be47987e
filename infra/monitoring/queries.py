"""Questions to the logs, in the language of CloudWatch Logs Insights."""

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import aws_logs as logs
from constructs import Construct


@dataclass(frozen=True)
class Query:
    """A question and how it is asked."""

    name: str
    text: str


SLOWEST_METRICS = Query(
    "Slowest metrics",
    """\
filter message = "metric exported"
| stats count(*) as times, sum(query_s) as all_s, avg(query_s) as average_s,
    max(query_s) as longest_s, sum(retries) as retried, sum(raw_bytes) as answered_bytes
  by metric
| sort all_s desc""",
)
FAILURES_BY_CODE = Query(
    "Failures by code",
    """\
filter message in ["metric failed", "run failed"]
| stats count(*) as times, min(@timestamp) as first, max(@timestamp) as last,
    latest(window) as last_window, latest(summary) as last_summary,
    latest(cause) as last_cause, latest(remedy) as last_remedy
  by metric, code
| sort last desc""",
)
LARGEST_CLUSTERS = Query(
    "Volume by cluster",
    """\
# Of the five largest clusters of each metric and window, as written. A day at a time is quick.
filter message = "metric exported"
| fields jsonParse(@message) as line
| unnest line.top_clusters into largest
| stats sum(largest.bytes) as bytes, count(*) as files by largest.cluster
| sort bytes desc""",
)
ONE_WINDOW = Query(
    "History of one window",
    """\
# Put in the window's start. `run` is one invocation, `execution` one of Step Functions.
fields @timestamp, level, message, metric, code, summary, attempt, samples, bytes, query_s, run,
    execution
| filter window like "2026-10-31T06:00:00Z/"
| sort @timestamp asc""",
)
LAST_RUNS = Query(
    "Last runs",
    """\
fields @timestamp, outcome, code, summary, windows_planned, windows_exported, windows_failed,
    windows_handed_over, windows_pending, lag_s, gaps, seconds
| filter message in ["run finished", "run failed"]
| sort @timestamp desc
| limit 100""",
)
QUERIES = (LAST_RUNS, FAILURES_BY_CODE, SLOWEST_METRICS, LARGEST_CLUSTERS, ONE_WINDOW)


class SavedQueries(Construct):
    """The queries in a folder of Logs Insights, on the logs of all functions."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        folder: str,
        log_groups: Sequence[logs.LogGroup],
    ) -> None:
        super().__init__(scope, construct_id)
        for query in QUERIES:
            logs.CfnQueryDefinition(
                self,
                "".join(filter(str.isalpha, query.name.title())),
                name=f"{folder}/{query.name}",
                query_string=query.text,
                log_group_names=[group.log_group_name for group in log_groups],
            )
