"""The log lines of the cycle: the state of a window, and what a metric of it came to."""

import heapq
import json
from collections.abc import Iterable

from .. import log
from ..answer.spool import Spool
from ..errors import runs as errors
from ..source.splitting import FetchStats
from ..storage.write import WriteStats
from ..timeline.windows import Window
from .totals import Totals

# The largest clusters, which a metric's log line names with their bytes.
TOP_CLUSTERS = 5


def log_window(
    catalog: Iterable[str],
    totals: Totals,
    window: Window,
    done: list[str],
    failed: list[str],
    before: Totals,
    seconds: float,
) -> None:
    """One line of the state of the window; `before` are the totals without it."""
    fields: log.Fields = {
        "metric_windows": len(done),
        "objects": totals.objects - before.objects,
        "series": totals.series - before.series,
        "samples": totals.samples - before.samples,
        "bytes": totals.bytes - before.bytes,
        "seconds": round(seconds, 3),
    }
    remaining = [name for name in catalog if name in totals.remaining[window]]
    if not remaining and done:
        log.WINDOW_EXPORTED(**fields)
    elif remaining:
        untried = [name for name in remaining if name not in failed]
        fields |= {"failed_metrics": failed, "remaining_metrics": untried}
        log.WINDOW_INCOMPLETE(**fields)


def log_metric(spool: Spool, fetched: FetchStats, written: WriteStats, seconds: float) -> None:
    largest = heapq.nlargest(
        TOP_CLUSTERS, written.by_cluster.items(), key=lambda item: (item[1], item[0])
    )
    fields: log.Fields = {
        "clusters": len(spool.clusters),
        "series": spool.series,
        "samples": spool.samples,
        "bytes": written.bytes,
        "raw_bytes": spool.raw_bytes,
        "objects": written.objects,
        "query_s": round(fetched.query_s, 3),
        "seconds": round(seconds, 3),
        "parts": fetched.parts,
        "retries": fetched.retries,
        "splits": fetched.cuts,
        # A list, because Logs Insights groups by a value and not by a field's name.
        "top_clusters": [{"cluster": name, "bytes": size} for name, size in largest],
    }
    if fetched.infos:
        fields["annotations"] = sorted(set(fetched.infos))[:5]
    log.METRIC_EXPORTED(**fields)
    if written.kept:
        event = json.dumps({"action": "reexport", "force": True, "start": "…", "end": "…"})
        log.FILES_KEPT(
            objects=written.kept,
            cluster_names=list(written.lost[:TOP_CLUSTERS]),
            error=errors.FEWER_SAMPLES.details(event=event),
        )
    if written.changed:
        log.WINDOW_REPLACED(revision=written.revision, deleted=written.removed)
