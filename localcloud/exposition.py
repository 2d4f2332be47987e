"""What kube-state-metrics, cAdvisor and the kubelet of a made-up cluster expose.

Every source series that the catalogue's queries read is here, with what makes real ones awkward:
pods that come and go (with stale markers), counters that begin again, a node whose kubelet is
silent for a while, finished pods that still report requests, native sidecars, pods in the host's
network, an HA pair of Prometheus whose series are not made one, and, for a cluster without a
name, series without a cluster label.
"""

import math
import random
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import accumulate, pairwise

from localcloud.scrapes import Grid, Run, Target, scrape
from localcloud.workloads import GIB, Cluster, Container, Node, Pod, make_workloads

PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")


class Exposition:
    """One cluster's series over the grid."""

    def __init__(self, grid: Grid, cluster: Cluster, cluster_label: str, seed: int) -> None:
        self._grid = grid
        self._workloads = make_workloads(cluster, grid, seed)
        self._common = {} if cluster.name is None else {cluster_label: cluster.name}
        self._ha_pair = cluster.ha_pair
        self._dice = random.Random(f"{seed}/{cluster.name}/values")  # noqa: S311 - to be repeatable
        # Drawn once and read from different places: drawing each sample anew would take longest.
        self._noise = [self._dice.gauss(0, 1) for _ in range(2 * grid.length)]
        per_day = 86400 / grid.interval_s
        self._daily = [math.sin(2 * math.pi * tick / per_day) for tick in range(grid.length)]

    def runs(self) -> Iterator[Run]:
        workloads = self._workloads
        ksm = self._target(job="kube-state-metrics", instance="10.0.0.7:8080")
        kubelets = {
            node.name: self._target(
                # The second node's kubelet does not answer for a quarter of an hour.
                gap=self._quarter_of_an_hour() if number == 1 else (0, 0),
                job="kubelet",
                instance=f"{node.ip}:10250",
                node=node.name,
            )
            for number, node in enumerate(workloads.nodes)
        }
        for node in workloads.nodes:
            yield from self._node(ksm, node)
        for namespace in sorted({pod.namespace for pod in workloads.pods}):
            labels = {"namespace": namespace, "label_kubernetes_io_metadata_name": namespace}
            yield from self._always(ksm, "kube_namespace_labels", labels)
        for owned in workloads.replica_sets:
            labels = {
                "namespace": owned.namespace,
                "replicaset": owned.name,
                "owner_kind": "Deployment",
                "owner_name": owned.deployment,
                "owner_is_controller": "true",
            }
            yield from self._gauge(
                ksm, "kube_replicaset_owner", labels, 1, span=(owned.first, owned.last)
            )
        for pod in workloads.pods:
            yield from self._pod(ksm, pod)
            yield from self._volume(ksm, kubelets[pod.node.name], pod)
            for phase in pod.phases:
                if phase.phase == "Running":
                    kubelet = kubelets[pod.node.name]
                    yield from self._usage(kubelet, pod, phase.first, phase.last)

    def _node(self, ksm: Target, node: Node) -> Iterator[Run]:
        name = {"node": node.name}
        info = {
            "provider_id": f"aws:///{node.zone}/i-{node.ip.replace('.', '')}",
            "system_uuid": f"ec2{node.ip.replace('.', '')}",
            "internal_ip": node.ip,
            "kubelet_version": "v1.33.4",
            "os_image": 'Amazon Linux 2023.8 "ECS\\EKS"',
        }
        yield from self._always(ksm, "kube_node_info", name | info)
        labels = {
            "label_topology_kubernetes_io_zone": node.zone,
            "label_node_kubernetes_io_instance_type": "g5.12xlarge" if node.gpus else "m7g.xlarge",
            "label_eks_amazonaws_com_nodegroup": "gpu" if node.gpus else "général",
        }
        yield from self._always(ksm, "kube_node_labels", name | labels)
        for status in ("true", "false", "unknown"):
            for condition, now in (("Ready", "true"), ("MemoryPressure", "false")):
                labels = name | {"condition": condition, "status": status}
                holds = float(status == now)
                yield from self._always(ksm, "kube_node_status_condition", labels, holds)
        resources = [("cpu", "core", 4.0), ("memory", "byte", 16.0 * GIB)]
        if node.gpus:
            resources.append(("nvidia_com_gpu", "integer", float(node.gpus)))
        for resource, unit, amount in resources:
            labels = name | {"resource": resource, "unit": unit}
            kept = 1.0 if unit == "integer" else 0.94
            yield from self._always(ksm, "kube_node_status_capacity", labels, amount)
            yield from self._always(ksm, "kube_node_status_allocatable", labels, amount * kept)

    def _pod(self, ksm: Target, pod: Pod) -> Iterator[Run]:
        name = {"namespace": pod.namespace, "pod": pod.name, "uid": f"uid-{pod.name}"}
        info = {
            "node": pod.node.name,
            "host_ip": pod.node.ip,
            "host_network": str(pod.host_network).lower(),
            "created_by_kind": pod.owner_kind,
            "created_by_name": pod.owner_name,
        }
        owner = {
            "owner_kind": pod.owner_kind,
            "owner_name": pod.owner_name,
            "owner_is_controller": "true",
        }
        labels = {f"label_{key}": value for key, value in pod.labels.items()}
        yield from self._gauge(ksm, "kube_pod_info", name | info, 1, span=pod.span)
        yield from self._gauge(ksm, "kube_pod_owner", name | owner, 1, span=pod.span)
        yield from self._gauge(ksm, "kube_pod_labels", name | labels, 1, span=pod.span)
        for phase in PHASES:
            values = array("d")
            for part in pod.phases:
                values.extend([float(part.phase == phase)] * (part.last - part.first))
            yield from self._series(
                ksm, "kube_pod_status_phase", name | {"phase": phase}, pod.first, values
            )
        yield from self._gauge(
            ksm, "kube_pod_start_time", name, self._at_s(pod.first), span=pod.span
        )
        done = pod.phases[-1]
        if done.phase in ("Succeeded", "Failed"):
            ended = self._at_s(done.first)
            span = (done.first, done.last)
            yield from self._gauge(ksm, "kube_pod_completion_time", name, ended, span=span)
        for container in pod.containers:
            yield from self._container(ksm, pod, container, name)

    def _container(
        self, ksm: Target, pod: Pod, container: Container, name: Mapping[str, str]
    ) -> Iterator[Run]:
        which = {**name, "container": container.name}
        family = "kube_pod_init_container" if container.sidecar else "kube_pod_container"
        always = {"restart_policy": "Always"} if container.sidecar else {}
        yield from self._gauge(ksm, f"{family}_info", which | always, 1, span=pod.span)
        for resource, unit, amount in _requests(container):
            labels = which | {"node": pod.node.name, "resource": resource, "unit": unit}
            requests = f"{family}_resource_requests"
            yield from self._gauge(ksm, requests, labels, amount, span=pod.span)
        if container.sidecar:
            return
        starts = [pod.first, *pod.restarts]
        for number, (first, last) in enumerate(pairwise([*starts, pod.span[1]])):
            span = (first, last)
            started = "kube_pod_container_state_started"
            yield from self._gauge(ksm, started, which, self._at_s(first), span=span)
            if number:
                ended = "kube_pod_container_status_last_terminated_timestamp"
                yield from self._gauge(ksm, ended, which, self._at_s(first), span=span)

    def _at_s(self, tick: int) -> float:
        """Unix seconds of a tick."""
        return float(self._grid.start_s + tick * self._grid.interval_s)

    def _volume(self, ksm: Target, kubelet: Target, pod: Pod) -> Iterator[Run]:
        claim = pod.claim
        if claim is None:
            return
        name = {"namespace": pod.namespace, "persistentvolumeclaim": claim.name}
        info = {"volumename": claim.volume, "storageclass": "gp3", "volumemode": "Filesystem"}
        size = "kube_persistentvolumeclaim_resource_requests_storage_bytes"
        yield from self._always(ksm, "kube_persistentvolumeclaim_info", name | info)
        yield from self._always(ksm, size, name, claim.size)
        volume = {"persistentvolume": claim.volume}
        yield from self._always(ksm, "kube_persistentvolume_capacity_bytes", volume, claim.size)
        used = self._usage_curve(0, self._grid.length, claim.size * 0.4, swing=0.05, whole=True)
        yield from self._series(kubelet, "kubelet_volume_stats_used_bytes", name, 0, used)

    def _usage(self, kubelet: Target, pod: Pod, first: int, last: int) -> Iterator[Run]:
        name = {"namespace": pod.namespace, "pod": pod.name, "metrics_path": "/metrics/cadvisor"}
        # cAdvisor also reports the pod's own cgroup, without a container: queries must skip it.
        parts = [*pod.containers, Container("", sum(c.cpu for c in pod.containers), GIB)]
        for part in parts:
            where = name | {"container": part.name, "id": f"/kubepods/{pod.name}/{part.name}"}
            cores = self._usage_curve(first, last, part.cpu * 0.6, swing=0.4)
            seconds = self._counter(cores, first, pod.restarts)
            yield from self._series(
                kubelet, "container_cpu_usage_seconds_total", where, first, seconds
            )
            memory = self._usage_curve(first, last, part.memory * 0.7, swing=0.1, whole=True)
            yield from self._series(
                kubelet, "container_memory_working_set_bytes", where, first, memory
            )
        for direction, rate in (("receive", 40e3), ("transmit", 25e3)):
            bytes_s = self._usage_curve(first, last, rate, swing=0.5, whole=True)
            total = self._counter(bytes_s, first, ())
            labels = name | {"interface": "eth0", "id": f"/kubepods/{pod.name}"}
            yield from self._series(
                kubelet, f"container_network_{direction}_bytes_total", labels, first, total
            )

    def _usage_curve(
        self, first: int, last: int, base: float, swing: float, *, whole: bool = False
    ) -> "array[float]":
        """A gauge that follows the day, with noise, never negative."""
        begin = self._dice.randrange(self._grid.length)
        noise = self._noise[begin : begin + last - first]
        values = (
            max(0.0, base * (1 + swing * day + 0.1 * swing * jitter))
            for day, jitter in zip(self._daily[first:last], noise, strict=True)
        )
        return array("d", map(float, map(int, values)) if whole else values)

    def _counter(
        self, rates: "array[float]", first: int, restarts: tuple[int, ...]
    ) -> "array[float]":
        """The total of a rate a second, beginning again at zero after each restart."""
        total = array("d")
        bounds = [0, *(at - first for at in restarts if 0 < at - first < len(rates)), len(rates)]
        for begin, end in pairwise(bounds):
            total.extend(accumulate(rate * self._grid.interval_s for rate in rates[begin:end]))
        return total

    def _always(
        self, target: Target, metric: str, labels: Mapping[str, str], value: float = 1
    ) -> Iterator[Run]:
        return self._gauge(target, metric, labels, value, span=(0, self._grid.length))

    def _gauge(
        self,
        target: Target,
        metric: str,
        labels: Mapping[str, str],
        value: float,
        *,
        span: tuple[int, int],
    ) -> Iterator[Run]:
        """A constant in [first, last)."""
        first, last = span
        return self._series(target, metric, labels, first, array("d", [value]) * (last - first))

    def _series(
        self,
        target: Target,
        metric: str,
        labels: Mapping[str, str],
        first: int,
        values: "array[float]",
    ) -> Iterator[Run]:
        # As with honor_labels: what the target exposes wins over what the scrape adds.
        every = {**self._common, **target.labels, **labels, "__name__": metric}
        named = {name: value for name, value in every.items() if value != ""}
        yield from scrape(target, named, first, values.tobytes())
        if target.other:
            replica = named | {"prometheus_replica": "prometheus-1"}
            yield from scrape(target.other, replica, first, values.tobytes())

    def _target(self, gap: tuple[int, int] = (0, 0), **labels: str) -> Target:
        interval_ms = self._grid.interval_s * 1000
        late_ms = self._dice.randrange(interval_ms)
        if self._ha_pair:
            labels["prometheus_replica"] = "prometheus-0"
        target = Target.on(self._grid, labels, late_ms, gap)
        # The other one of the pair scrapes at another time.
        other = Target.on(self._grid, labels, (late_ms + interval_ms // 3) % interval_ms, gap)
        return replace(target, other=other) if self._ha_pair else target

    def _quarter_of_an_hour(self) -> tuple[int, int]:
        begin = self._dice.randrange(self._grid.length // 2, self._grid.length * 3 // 4)
        return begin, begin + self._grid.ticks(minutes=15)


def _requests(container: Container) -> list[tuple[str, str, float]]:
    amounts = [("cpu", "core", container.cpu), ("memory", "byte", container.memory)]
    if container.gpus:
        amounts.append(("nvidia_com_gpu", "integer", float(container.gpus)))
    return amounts
