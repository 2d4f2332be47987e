"""Says whether everything the exporter needs is there, and what to change where it is not."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .catalog import Metric
from .errors import ExportError, StopRunError
from .layout import PROBE, state_key
from .runs import wait_until_ready
from .store import CheckpointStore
from .tools import Tools

TOP_CLUSTERS = 20


@dataclass(frozen=True)
class Finding:
    """`level` is ok, warning or error; `change` is empty when all is well."""

    level: str
    what: str
    found: str
    change: str = ""


def run_check(tools: Tools, login: Callable[[], str]) -> dict[str, Any]:
    """Try each thing once. Writes nothing but a probe object that it removes.

    `login` says who we are to the endpoint, without any secret in it.
    """
    findings = [_try("settings", lambda: f"{tools.settings.origin}{tools.settings.path_prefix}")]
    findings.append(_try("login", login))
    endpoint = _try("endpoint", lambda: f"ready, says {wait_until_ready(tools)}")
    findings.append(endpoint)
    metrics: dict[str, Any] = {}
    if endpoint.level == "ok":
        info = tools.mimir.build_info()
        server = f"{info.get('application', 'Prometheus API')} {info.get('version', '')}".strip()
        findings.append(Finding("ok", "server", server))
        for metric in tools.catalog:
            finding, metrics[metric.name] = _check_metric(tools, metric)
            if finding:
                findings.append(finding)
            if finding and finding.what == "query API":
                break
        findings += _unlabelled(tools, metrics)
    findings += [_try(f"bucket {verb}", step) for verb, step in _bucket_steps(tools).items()]
    findings.append(_try("checkpoint", lambda: _describe_checkpoint(tools.store)))
    findings.append(_try("state machine", lambda: _describe_machine(tools)))
    errors = [one for one in findings if one.level == "error"]
    warnings = [one for one in findings if one.level == "warning"]
    message = "Fit to run." if not errors else f"Not fit to run: {errors[0].found}"
    if warnings and not errors:
        message = f"Fit to run; {len(warnings)} to look at, the first: {warnings[0].found}."
    return {
        "outcome": "unfit" if errors else "fit",
        "message": message,
        "findings": [asdict(one) for one in findings],
        "metrics": metrics,
    }


def _try(what: str, step: Callable[[], str]) -> Finding:
    try:
        return Finding("ok", what, step())
    except ExportError as error:
        # Every message of ours ends with what to change.
        text, _, change = str(error).partition("; ")
        return Finding("error", what, text, change)


def _check_metric(tools: Tools, metric: Metric) -> tuple[Finding | None, dict[str, Any]]:
    """How many series the metric has now, by cluster, and how long that took."""
    label = tools.settings.cluster_label
    moment = tools.now() - tools.settings.settle_time_s
    started = time.monotonic()
    try:
        result = tools.mimir.query(f"count by ({label})({metric.promql(label)})", moment)
    except StopRunError as error:
        return Finding("error", "query API", str(error)), {"error": str(error)}
    except ExportError as error:
        return Finding("error", f"metric {metric.name}", str(error)), {"error": str(error)}
    by_cluster = {one["metric"].get(label, ""): int(float(one["value"][1])) for one in result}
    top = sorted(by_cluster.items(), key=lambda item: -item[1])[:TOP_CLUSTERS]
    found = {
        "series": sum(by_cluster.values()),
        "clusters": len([name for name in by_cluster if name]),
        "by_cluster": {name or _no_label(label): count for name, count in top},
        "seconds": round(time.monotonic() - started, 3),
    }
    if not by_cluster:
        return (
            Finding(
                "warning",
                f"metric {metric.name}",
                f"{metric.name} has no series now",
                "check that its source is scraped and that the tenant is the right one; if the "
                "clusters have nothing of the kind, leave it",
            ),
            found,
        )
    return None, found


def _unlabelled(tools: Tools, metrics: Mapping[str, Any]) -> list[Finding]:
    """One finding for all series without the cluster label, if there are any."""
    label = tools.settings.cluster_label
    counts = {
        name: found["by_cluster"][_no_label(label)]
        for name, found in metrics.items()
        if _no_label(label) in found.get("by_cluster", {})
    }
    if not counts:
        return []
    return [
        Finding(
            "warning",
            "cluster label",
            f"{sum(counts.values())} series of {len(counts)} metrics have no label {label}",
            f"they go to {tools.settings.cluster_name}; add the label where they are scraped, or "
            "set CLUSTER_LABEL_NAME to the label that names the cluster",
        )
    ]


def _no_label(label: str) -> str:
    return f"(no {label} label)"


def _bucket_steps(tools: Tools) -> dict[str, Callable[[], str]]:
    bucket, settings = tools.bucket, tools.settings
    key = state_key(settings.prefix, settings.cluster_name, PROBE)

    def write() -> str:
        bucket.put(key, b'{"probe": true}')
        return bucket.where(key)

    def list_folder() -> str:
        folders = bucket.list(f"{settings.prefix}/").folders
        return f"{len(folders)} folders under {settings.prefix}/"

    def delete() -> str:
        bucket.delete(key)
        return "the probe is gone"

    return {"write": write, "list": list_folder, "delete": delete}


def _describe_checkpoint(store: CheckpointStore) -> str:
    checkpoint = store.read()
    if not checkpoint.metrics:
        return "none yet: the next run is the first one"
    return f"{len(checkpoint.metrics)} metrics, {len(checkpoint.handovers)} executions pending"


def _describe_machine(tools: Tools) -> str:
    if tools.machine is None:
        return "none: what does not fit into a run waits for the next one"
    # There is no execution of this name; that the answer says so shows that asking is allowed.
    tools.machine.ending("permission-probe")
    return "executions can be described"
