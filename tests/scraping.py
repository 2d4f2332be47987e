"""Ways in which people scrape a cluster: what is exposed -> the series that Prometheus stores.

Label conflicts, stale markers and the times of scrapes are Prometheus' own rules
(https://prometheus.io/docs/prometheus/latest/configuration/configuration/#scrape_config).
"""

import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from localcloud.remote_write import STALE, Batch, encode_times
from tests.known_cluster import Container, KnownCluster, Labels, Node, Pod, Value

PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")


@dataclass(frozen=True)
class Exposed:
    """One series of an exporter, there in [start, end)."""

    labels: Mapping[str, str]
    value: float | Value
    start: float = -math.inf
    end: float = math.inf


@dataclass(frozen=True)
class Scrape:
    """A scrape job's target. Without `stale` the samples have times of their own, as cAdvisor's
    may, and Prometheus marks no end of a series."""

    labels: Labels
    offset_s: float = 17.0
    interval_s: float = 60.0
    honor_labels: bool = False
    stale: bool = True
    drop: tuple[str, ...] = ()

    def store(self, exposed: Iterable[Exposed], begin: float, end: float) -> Iterator[Batch]:
        """What it makes of an exporter's series in [begin, end), which may be a part of more: the
        length is a multiple of the interval."""
        count = math.ceil((end - begin - self.offset_s) / self.interval_s)
        ticks = [begin + self.offset_s + n * self.interval_s for n in range(count)]
        before = begin + self.offset_s - self.interval_s
        for one in exposed:
            inside = [at for at in ticks if one.start <= at < one.end]
            known = inside or one.start <= before < one.end
            after = [at for at in ticks if at >= one.end][:1] if self.stale and known else []
            if times := [round(at * 1000) for at in [*inside, *after]]:
                values = b"".join(struct.pack("<d", _value(one.value, at)) for at in inside)
                values += STALE * len(after)
                yield Batch(self.merge(one.labels), encode_times(times), values)

    def merge(self, exposed: Mapping[str, str]) -> Labels:
        """The stored labels. A target's label wins unless labels are honored; an empty exposed
        label is none."""
        merged = dict(self.labels)
        for name, value in exposed.items():
            if value == "" or name in self.drop:
                continue
            if name in self.labels and not self.honor_labels:
                merged[f"exported_{name}"] = value
            else:
                merged[name] = value
        return merged


def _value(value: float | Value, at: float) -> float:
    if callable(value):
        found = value(at)
        return math.nan if found is None else found
    return value


def cadvisor(cluster: KnownCluster, node: Node) -> Iterator[Exposed]:
    """The kubelet's /metrics/cadvisor; a Windows node has none."""
    if node.windows:
        return
    yield Exposed(_named("container_cpu_usage_seconds_total", id="/", cpu="total"), lambda at: at)
    for pod in cluster.pods:
        if pod.node != node:
            continue
        where = {"namespace": pod.namespace, "pod": pod.name}
        group = f"/kubepods/burstable/pod{pod.uid}"
        for number, (start, end) in enumerate(pod.lives()):
            running = [one for one in pod.containers if one.runs]
            for one in running:
                name = f"{pod.uid[:8]}{number:024x}{abs(hash(one.name)) % 10**8:032d}"
                labels = {
                    **where,
                    "container": one.name,
                    "id": f"{group}/{name}",
                    "name": name,
                    "image": f"registry.example.com/{one.name}:1",
                }
                yield from _container(labels, _cpu([one], start), _memory([one]), start, end)
            yield from _container(
                {**where, "id": group}, _cpu(running, start), _memory(running), start, end
            )
        sandbox = {**where, "id": f"{group}/sandbox", "name": "sandbox", "image": "pause:3.10"}
        for direction, rate in (("receive", pod.received), ("transmit", pod.transmitted)):
            for interface, share in (("eth0", 0.75), ("eth1", 0.25)):
                labels = _named(
                    f"container_network_{direction}_bytes_total", **sandbox, interface=interface
                )
                yield Exposed(labels, _counter(rate * share, pod.start), pod.start, pod.end)


def resource(cluster: KnownCluster, node: Node) -> Iterator[Exposed]:
    """The kubelet's /metrics/resource: the same names, without cgroups, images and network."""
    for pod in cluster.pods:
        if pod.node != node:
            continue
        for one in pod.containers:
            if not one.runs:
                continue
            labels = {"namespace": pod.namespace, "pod": pod.name, "container": one.name}
            lives = list(pod.lives())

            def seconds(
                at: float, lives: list[tuple[float, float]] = lives, c: Container = one
            ) -> float:
                start = max(start for start, _ in lives if start <= at)
                return c.cpu_seconds(at - start)

            yield Exposed(
                _named("container_cpu_usage_seconds_total", **labels), seconds, pod.start, pod.end
            )
            yield Exposed(
                _named("container_memory_working_set_bytes", **labels),
                one.memory_at,
                pod.start,
                pod.end,
            )


def volumes(cluster: KnownCluster, node: Node) -> Iterator[Exposed]:
    """Of the kubelet's /metrics."""
    for pod in cluster.pods:
        if pod.node == node and pod.claim:
            labels = {"namespace": pod.namespace, "persistentvolumeclaim": pod.claim}
            yield Exposed(
                _named("kubelet_volume_stats_used_bytes", **labels), 7e9, pod.start, pod.end
            )


def _named(family: str, /, **labels: str) -> Labels:
    return {"__name__": family, **labels}


def _container(
    labels: Labels, seconds: Value, memory: Value, start: float, end: float
) -> Iterator[Exposed]:
    cpu = _named("container_cpu_usage_seconds_total", **labels, cpu="total")
    yield Exposed(cpu, seconds, start, end)
    yield Exposed(_named("container_memory_working_set_bytes", **labels), memory, start, end)


def _cpu(containers: Sequence[Container], start: float) -> Callable[[float], float]:
    return lambda at: sum(one.cpu_seconds(at - start) for one in containers)


def _memory(containers: Sequence[Container]) -> Callable[[float], float]:
    return lambda at: sum(one.memory_at(at) for one in containers)


def _counter(rate: float, start: float) -> Callable[[float], float]:
    return lambda at: rate * (at - start)


def kube_state_metrics(
    cluster: KnownCluster, *, labels_allowed: bool = True, old: bool = False
) -> Iterator[Exposed]:
    """kube-state-metrics 2.x; `old` is one before host_network and system_uuid were labels."""
    for node in cluster.nodes:
        yield from _ksm_node(node, old)
    for namespace in sorted({pod.namespace for pod in cluster.pods}):
        more = {"label_kubernetes_io_metadata_name": namespace} if labels_allowed else {}
        yield Exposed(_named("kube_namespace_labels", namespace=namespace, **more), 1)
    for owner in sorted({pod.owner for pod in cluster.pods if pod.owner}):
        if owner[0] == "ReplicaSet":
            labels = {"replicaset": owner[1], "namespace": "shop", "owner_is_controller": "true"}
            deployment = {"owner_kind": "Deployment", "owner_name": owner[1].rpartition("-")[0]}
            yield Exposed(_named("kube_replicaset_owner", **labels, **deployment), 1)
    for claim in sorted({pod.claim for pod in cluster.pods if pod.claim}):
        labels = {"namespace": "data", "persistentvolumeclaim": claim}
        info = {"volumename": f"pv-{claim}", "storageclass": "gp3", "access_mode": "ReadWriteOnce"}
        size = "kube_persistentvolumeclaim_resource_requests_storage_bytes"
        yield Exposed(_named("kube_persistentvolumeclaim_info", **labels, **info), 1)
        yield Exposed(_named(size, **labels), 20e9)
        volume = _named("kube_persistentvolume_capacity_bytes", persistentvolume=f"pv-{claim}")
        yield Exposed(volume, 20e9)
    for pod in cluster.pods:
        yield from _ksm_pod(pod, labels_allowed, old)


def _ksm_node(node: Node, old: bool) -> Iterator[Exposed]:
    info = {
        "provider_id": f"aws:///eu-central-1a/i-{node.ip.replace('.', '')}",
        "internal_ip": node.ip,
        "kubelet_version": "v1.34.1",
        "os_image": "Windows Server 2022 Datacenter" if node.windows else "Amazon Linux 2023",
        "container_runtime_version": "containerd://2.1.4",
    }
    if not old:
        info["system_uuid"] = f"ec2{node.ip.replace('.', '')}"
    yield Exposed(_named("kube_node_info", node=node.name, **info), 1)
    kind = {"label_node_kubernetes_io_instance_type": "m7g.xlarge"}
    yield Exposed(_named("kube_node_labels", node=node.name, **kind), 1)
    for status in ("true", "false", "unknown"):
        for condition, holds in (("Ready", "true"), ("MemoryPressure", "false")):
            labels = {"node": node.name, "condition": condition, "status": status}
            yield Exposed(_named("kube_node_status_condition", **labels), float(status == holds))
    amounts = [("cpu", "core", 8.0), ("memory", "byte", 32.0 * 1024**3), ("pods", "integer", 110.0)]
    amounts += [(name, "integer", float(count)) for name, count in node.devices.items()]
    for name, unit, amount in amounts:
        labels = {"node": node.name, "resource": name, "unit": unit}
        yield Exposed(_named("kube_node_status_capacity", **labels), amount)
        yield Exposed(_named("kube_node_status_allocatable", **labels), amount)


def _ksm_pod(pod: Pod, labels_allowed: bool, old: bool) -> Iterator[Exposed]:
    there = {"start": pod.start, "end": pod.gone}
    name = {"namespace": pod.namespace, "pod": pod.name, "uid": pod.uid}
    node = pod.node.name if pod.node else ""
    kind, owner = pod.owner or ("", "")
    info = {
        "node": node,
        "host_ip": pod.node.ip if pod.node else "",
        "pod_ip": "10.2.0.1",
        "created_by_kind": kind,
        "created_by_name": owner,
        "priority_class": "default",
    }
    if not old:
        info["host_network"] = str(pod.host_network).lower()
    yield Exposed(_named("kube_pod_info", **name, **info), 1, **there)
    controller = "true" if pod.owner else ""
    owned = {"owner_kind": kind, "owner_name": owner, "owner_is_controller": controller}
    yield Exposed(_named("kube_pod_owner", **name, **owned), 1, **there)
    labels = {f"label_{key}": value for key, value in pod.labels.items()} if labels_allowed else {}
    yield Exposed(_named("kube_pod_labels", **name, **labels), 1, **there)
    yield Exposed(_named("kube_pod_start_time", **name), pod.start, **there)
    if pod.finished:
        done = _named("kube_pod_completion_time", **name)
        yield Exposed(done, pod.end, pod.end, pod.gone)
    if pod.node is None:
        yield Exposed(_named("kube_pod_status_unschedulable", **name), 1, **there)
    for phase in PHASES:
        value = _phase(pod, phase)
        yield Exposed(_named("kube_pod_status_phase", **name, phase=phase), value, **there)
    for one in pod.containers:
        which = {**name, "container": one.name}
        family = "kube_pod_init_container" if one.kind else "kube_pod_container"
        always = {"restart_policy": "Always"} if one.kind == "sidecar" else {}
        yield Exposed(_named(f"{family}_info", **which, image=one.name, **always), 1, **there)
        for resource_name, unit, amount in one.requests:
            labels = {**which, "node": node, "resource": resource_name, "unit": unit}
            yield Exposed(_named(f"{family}_resource_requests", **labels), amount, **there)
        if not one.kind and pod.node:
            started = _named("kube_pod_container_state_started", **which)
            lives = list(pod.lives())
            yield Exposed(started, _last_start(lives), **there)
            ended = _named("kube_pod_container_status_last_terminated_timestamp", **which)
            if pod.restarts:
                yield Exposed(ended, _last_start(lives), pod.restarts[0], pod.gone)


def _last_start(lives: Sequence[tuple[float, float]]) -> Callable[[float], float]:
    return lambda at: max(start for start, _ in lives if start <= at)


def _phase(pod: Pod, phase: str) -> Callable[[float], float]:
    def value(at: float) -> float:
        now = "Pending" if pod.node is None else "Running" if at < pod.end else "Succeeded"
        return float(now == phase)

    return value


def opencost(cluster: KnownCluster) -> Iterator[Exposed]:
    """The families of kube-state-metrics that OpenCost and Kubecost emit themselves."""
    families = (
        "kube_pod_container_resource_requests", "kube_pod_status_phase", "kube_pod_labels",
        "kube_pod_owner", "kube_node_status_capacity", "kube_node_status_allocatable",
        "kube_node_labels", "kube_namespace_labels", "kube_persistentvolume_capacity_bytes",
        "kube_persistentvolumeclaim_info",
        "kube_persistentvolumeclaim_resource_requests_storage_bytes",
    )  # fmt: skip
    for one in kube_state_metrics(cluster):
        if one.labels["__name__"] in families:
            yield one


@dataclass(frozen=True)
class Way:
    """How a cluster is scraped; each field may hold several targets for the same exporter.

    `node_label` says how a kubelet's targets call the node: by `node`, by `address`, `address6`
    (instance alone, with a port), by `name` (instance is the node's name).
    """

    kubelet: tuple[Scrape, ...] = ()
    resource: tuple[Scrape, ...] = ()
    state: tuple[Scrape, ...] = ()
    other_state: tuple[Scrape, ...] = ()
    opencost: tuple[Scrape, ...] = ()
    old_state: tuple[Scrape, ...] = ()
    without: tuple[str, ...] = ()

    def store(self, cluster: KnownCluster, name: str, begin: float, end: float) -> Iterator[Batch]:
        """All series of the cluster, which is called `name`."""
        for node in cluster.nodes:
            for scrape in self.kubelet:
                at_node = _at(scrape, node, name)
                yield from at_node.store(cadvisor(cluster, node), begin, end)
                yield from at_node.store(volumes(cluster, node), begin, end)
            # Where cAdvisor is scraped alone, Windows nodes still have nothing but this.
            for scrape in self.resource or (self.kubelet if node.windows else ()):
                yield from _at(scrape, node, name).store(resource(cluster, node), begin, end)
        sources = (
            (self.state, list(kube_state_metrics(cluster))),
            (self.other_state, list(kube_state_metrics(cluster, labels_allowed=False))),
            (self.old_state, list(kube_state_metrics(cluster, old=True))),
            (self.opencost, list(opencost(cluster))),
        )
        for scrapes, exposed in sources:
            kept = [one for one in exposed if one.labels["__name__"] not in self.without]
            for scrape in scrapes:
                named = replace(scrape, labels={**scrape.labels, "cluster": name})
                yield from named.store(kept, begin, end)


def _at(scrape: Scrape, node: Node, cluster: str) -> Scrape:
    """The target of one node: `{name}`, `{ip}` and `{ip6}` in its labels are the node's."""
    filled = {
        name: value.format(name=node.name, ip=node.ip, ip6=node.ip6)
        for name, value in scrape.labels.items()
    }
    return replace(scrape, labels={**filled, "cluster": cluster})
