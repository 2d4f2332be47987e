"""Whether each thing counts once: one series for each key, whatever is scraped more than once."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..catalog.metrics import Metric, label_in_promql, string_in_promql
from ..errors import ExportError
from ..runs.context import RunContext
from ..words import counted
from .findings import Findings, some
from .probe import Probe

EXAMPLES = 3  # clusters of which an example is looked at
CADVISOR = 'container!="",container!="POD",pod!=""'
_PORT = re.compile(r":[0-9]+$")
# What came without honor_labels has its own labels under these names.
_RENAMED = ("namespace", "pod", "container", "node")
# What tells pods apart in what OpenTelemetry's collectors send.
_COLLECTED = ("k8s_namespace_name", "k8s_pod_name", "k8s_pod_uid")
Labels = Mapping[str, str]


@dataclass(frozen=True)
class Family:
    """Series of one exporter, of which one thing has one: `key` tells the things of a cluster."""

    name: str
    matchers: str
    key: tuple[str, ...]

    @property
    def promql(self) -> str:
        """All of them, with the labels of what they are about."""
        query = f"{self.name}{{{self.matchers}}}"
        for label in _RENAMED:
            if label in self.key:
                query = f'label_replace({query},"{label}","$1","exported_{label}","(.+)")'
        return query


# A restarted container's cgroup is another one, and its series may linger for five minutes: `id`
# tells them apart. Of a pod that moved, `uid` does.
FAMILIES = (
    Family("container_cpu_usage_seconds_total", f'id!="",{CADVISOR}', ("id",)),
    Family(
        "container_cpu_usage_seconds_total", f'id="",{CADVISOR}', ("namespace", "pod", "container")
    ),
    Family("container_network_receive_bytes_total", 'id!="",pod!=""', ("id", "interface")),
    Family("kube_pod_info", "", ("namespace", "pod", "uid")),
    Family(
        "kube_pod_container_resource_requests",
        "",
        ("namespace", "pod", "uid", "container", "resource"),
    ),
    *(
        Family(name, 'k8s_container_name!=""', (*_COLLECTED, "k8s_container_name", "container_id"))
        for name in ("container_cpu_time", "container_cpu_time_seconds_total")
    ),
    Family("k8s_pod_phase", "", _COLLECTED),
)


@dataclass(frozen=True)
class Cause:
    """Why a thing has several series, and how they become one."""

    found: str
    remedy: str


# Where each cause was met: names of families, names of clusters, and how many clusters more.
Met = dict[Cause, tuple[list[str], list[str], int]]


def check_duplicates(context: RunContext, probe: Probe, findings: Findings) -> None:
    """Prove that the queries count each thing once, and name what is scraped more than once.

    It asks every query once more, so that it comes last: the others have had their time.
    """
    met: Met = {}
    try:
        wrong = _find_wrong(context, probe)
        for family in FAMILIES:
            _find_causes(context, probe, family, met)
        _find_resource(context, probe, met)
    except ExportError as error:
        findings.add_warning(
            "duplicate_series",
            "unknown: not all could be counted",
            error,
            "run the check again, with a longer timeout_s where the time ran out",
        )
        return
    causes = "; ".join(_describe(cause, *where) for cause, where in met.items())
    if wrong:
        several = "; ".join(
            f"{name} has several series for {counted(count, 'thing')}"
            for name, count in wrong.items()
        )
        findings.add(
            "error",
            "duplicate_series",
            f"sums would count things more than once: {several}" + (f". {causes}" if met else ""),
            "; ".join(dict.fromkeys(cause.remedy for cause in met))
            or "make each query yield one series for each key of its metric",
        )
    elif met:
        findings.add("ok", "duplicate_series", f"{causes}. The queries count each thing once")
    else:
        findings.add("ok", "duplicate_series", "none: each thing is scraped once")


def _describe(cause: Cause, families: list[str], clusters: list[str], more: int) -> str:
    others = f" and {counted(more, 'more cluster')}" if more else ""
    return f"in {some(clusters)}{others} {cause.found}: {some(dict.fromkeys(families))}"


def _find_wrong(context: RunContext, probe: Probe) -> dict[str, int]:
    """How many things have several series in a query's own result, by metric."""
    label = context.settings.cluster_label
    wrong: dict[str, int] = {}
    asked: dict[str, int] = {}
    for metric in context.catalog:
        query = metric.promql(label)
        if metric.key and query not in asked:
            asked[query] = sum(probe.count(f"{_by_key(metric, query, label)} > 1").values())
        if metric.key and asked[query]:
            wrong[metric.name] = asked[query]
    return wrong


def _by_key(metric: Metric, query: str, label: str) -> str:
    names = (label_in_promql(label if name == "cluster" else name) for name in metric.key)
    return f"count by ({','.join(names)})({query})"


def _find_causes(context: RunContext, probe: Probe, family: Family, met: Met) -> None:
    """Add the ways in which clusters have this family more than once."""
    label = context.settings.cluster_label
    grouped = ",".join((label_in_promql(label), *family.key))
    twice = f"count by ({grouped})({family.promql}) > 1"
    things = probe.count(twice)
    if not things:
        return
    examples = probe.labels(f"topk({EXAMPLES},topk by ({label_in_promql(label)})(1,{twice}))")
    for example in examples:
        cause = find_cause(family.name, _series_of(probe, family, example, label))
        # Those that are not looked at are most likely as the last one is.
        more = len(things) - len(examples) if example is examples[-1] else 0
        _note(met, cause, family, example.get(label, "") or f"those without {label}", more)


def _note(met: Met, cause: Cause, family: Family, cluster: str, more: int = 0) -> None:
    families, clusters, known = met.get(cause, ([], [], 0))
    here = clusters if cluster in clusters else [*clusters, cluster]
    met[cause] = ([*families, family.name], here, max(known, more))


def _find_resource(context: RunContext, probe: Probe, met: Met) -> None:
    """Containers of which there is a cgroup's series and one without: of /metrics/resource."""
    label = context.settings.cluster_label
    of_cgroups, without = (
        f"group by ({label_in_promql(label)},namespace,pod,container)"
        f"({family.name}{{{family.matchers}}})"
        for family in FAMILIES[:2]
    )
    cause = Cause(
        "the kubelet's /metrics/resource is scraped beside /metrics/cadvisor", "scrape one of them"
    )
    for cluster in sorted(probe.count(f"{of_cgroups} and {without}")):
        _note(met, cause, FAMILIES[0], cluster or f"those without {label}")


def _series_of(probe: Probe, family: Family, example: Labels, label: str) -> Sequence[Labels]:
    """The series of one thing, as they are stored."""
    cluster = f"{label_in_promql(label)}={string_in_promql(example.get(label, ''))}"
    plain = [name for name in family.key if name not in _RENAMED]
    fixed = "".join(f",{name}={string_in_promql(example.get(name, ''))}" for name in plain)
    if "pod" not in family.key:
        return probe.labels(f"{family.name}{{{cluster}{fixed}}}")
    pod = string_in_promql(example.get("pod", ""))
    found = probe.labels(
        f"{family.name}{{{cluster}{fixed},pod={pod}}} or "
        f"{family.name}{{{cluster}{fixed},exported_pod={pod}}}"
    )
    names = [name for name in family.key if name in _RENAMED]
    return [
        labels
        for labels in found
        if all(_own(labels, name) == example.get(name, "") for name in names)
        and bool(labels.get("id")) == ('id!=""' in family.matchers)
    ]


def _own(labels: Labels, name: str) -> str:
    """A label of what the series is about, also where it came without honor_labels."""
    return labels.get(f"exported_{name}", "") or labels.get(name, "")


def find_cause(name: str, series: Sequence[Labels]) -> Cause:
    """What tells the series of one thing apart, and how they become one."""
    names = sorted(set[str]().union(*series) - {"__name__"})
    values = {label: sorted({labels.get(label, "") for labels in series}) for label in names}
    differing = {label: found for label, found in values.items() if len(found) > 1}
    if name.startswith(("k8s_", "container_cpu_time")) and differing:
        label, found = next(iter(differing.items()))
        return Cause(
            f"several of OpenTelemetry's collectors send the same series ({label} is "
            f"{_listed(found)})",
            "run one collector on each node, and one with the receiver k8s_cluster",
        )
    if name.startswith("kube_") and "job" in differing:
        return Cause(
            f"several exporters make the same series (jobs {_listed(differing['job'])})",
            "keep kube_* of one job alone, and drop it of the others by relabelling",
        )
    if name.startswith("kube_") and "instance" in differing:
        return Cause(
            f"several kube-state-metrics run (instances {_listed(differing['instance'])})",
            "run one kube-state-metrics, or shards that share the objects",
        )
    if "job" in differing:
        return Cause(
            f"several jobs scrape the kubelets ({_listed(differing['job'])})",
            "remove all of these jobs but one",
        )
    if "instance" in differing:
        families = {_address_family(address) for address in differing["instance"]}
        kind = "by IPv4 and by IPv6" if families >= {4, 6} else "under several addresses"
        return Cause(
            f"the kubelets are scraped {kind}", "scrape the kubelets under one address alone"
        )
    if differing:
        label, found = next(iter(differing.items()))
        return Cause(
            f"several Prometheus send the same series (an HA pair: {label} is {_listed(found)})",
            f"let the endpoint de-duplicate by {label}, or send from one of them alone",
        )
    return Cause("nothing but their values tells series apart", "look at what sends them")


def _listed(values: Sequence[str]) -> str:
    return some(value or "none" for value in values)


def _address_family(instance: str) -> int:
    """4 or 6; 0 for a name."""
    host = instance[1:].partition("]")[0] if instance.startswith("[") else instance
    for text in (host, _PORT.sub("", host)):
        try:
            return ipaddress.ip_address(text).version
        except ValueError:
            continue
    return 0
