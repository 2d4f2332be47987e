"""Says whether everything the exporter needs is there, and what to change where it is not.

Each thing is tried once, the quick ones first; none takes so long that the others have no turn.
`findings` is what a thing found is, the other files are what is looked at: `places` the bucket,
the checkpoint and the state machine, `endpoint` who we are and who answers, `metrics` what it
has, and `amounts` how much of it, how late and how far back.
"""

from typing import Any

from .. import __version__
from ..runs.context import RunContext
from ..storage.layout import state_key
from .amounts import look_at_amounts
from .endpoint import look_at_endpoint, look_at_login
from .findings import Findings, some
from .metrics import look_at_metrics
from .places import look_at_places
from .questions import Questions


def run_check(context: RunContext) -> dict[str, Any]:
    """The findings, as JSON and as lines of text. Writes nothing but a probe that it removes."""
    settings = context.settings
    findings = Findings()
    findings.add(
        "ok",
        "exporter",
        f"{__version__}; {len(context.catalog)} metrics from {settings.origin}"
        f"{settings.path_prefix} to "
        f"{context.bucket.where(state_key(settings.prefix, settings.cluster_name, ''))}",
    )
    checkpoint = look_at_places(context, findings)
    metrics: dict[str, Any] = {}
    if look_at_login(context, findings) and look_at_endpoint(context, findings):
        questions = Questions(context)
        counts = look_at_metrics(context, questions, findings)
        look_at_amounts(context, questions, counts, checkpoint, findings)
        metrics = {name: count.as_dict() for name, count in counts.items()}
    result = findings.as_dict()
    result["report"] += [_line(name, metric) for name, metric in metrics.items()]
    return result | {"metrics": metrics}


def _line(name: str, metric: dict[str, Any]) -> str:
    """A metric in the report: its series by cluster, the largest first, and the time it took."""
    if "error" in metric:
        return f"{name:<18} not counted"
    clusters = some(f"{cluster} {series}" for cluster, series in metric["by_cluster"].items())
    of_them = f": {clusters}" if clusters else ""
    return f"{name:<18} {metric['series']} series, {metric['seconds']:.2f} s{of_them}"
