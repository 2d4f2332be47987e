"""Says whether everything the exporter needs is there, and what to change where it is not.

Each thing is tried once, the quick ones first; none takes so long that the others have no turn.
`findings` is what a thing found is, the other files are what is looked at: `bucket` the bucket,
the checkpoint and the state machine, `endpoint` who we are and who answers, `metrics` what it
has, by `counts`, and of `missing` why; `labels`, `scraping`, `pods` and `duplicates` whether that
can be right, and `size` how much of it, how late and how far back.
"""

from .. import __version__
from ..events import CheckResult
from ..runs.context import RunContext
from ..storage.layout import state_key
from .bucket import check_aws
from .counts import Count
from .duplicates import check_duplicates
from .endpoint import check_credentials, check_endpoint
from .findings import Findings, some
from .metrics import check_metrics
from .probe import Probe
from .size import check_size_and_history


def run_check(context: RunContext) -> CheckResult:
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
    checkpoint = check_aws(context, findings)
    counts: dict[str, Count] = {}
    if check_credentials(context, findings) and check_endpoint(context, findings):
        probe = Probe(context)
        counts = check_metrics(context, probe, findings)
        check_size_and_history(context, probe, counts, checkpoint, findings)
        if any(count.series for count in counts.values()):
            check_duplicates(context, probe, findings)
    result = findings.as_dict()
    width = max(map(len, counts), default=0)
    result["report"] += [f"{name:<{width}} {_words(count)}" for name, count in counts.items()]
    result["metrics"] = {name: count.as_dict() for name, count in counts.items()}
    return result


def _words(count: Count) -> str:
    """A metric's series by cluster, the largest first, and the time that counting took."""
    if count.error:
        return "not counted"
    clusters = some(f"{cluster} {series}" for cluster, series in count.largest.items())
    of_them = f": {clusters}" if clusters else ""
    return f"{count.series} series, {count.seconds:.2f} s{of_them}"
