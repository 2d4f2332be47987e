"""What OpenTelemetry's collectors send of a known cluster, once it is stored as Prometheus' series.

Names, units and attributes are those of the documentation of the receivers kubeletstats and
k8s_cluster (github.com/open-telemetry/opentelemetry-collector-contrib), translated by
https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/. All attributes
are promoted to labels. What comes by OTLP has no markers for the end of a series.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from localcloud.remote_write import Batch
from tests.known_cluster import Container, KnownCluster, Labels, Node, Pod
from tests.scraping import Exposed, Scrape

PHASES = {"Pending": 1.0, "Running": 2.0, "Succeeded": 3.0}


@dataclass(frozen=True)
class Collector:
    """A collector on each node and one for the cluster, which send at the same interval.

    `suffixes`: names end in their unit. `node_named`: k8sattributes adds the node to what
    kubeletstats sends. `ids`: the attributes that tell pods and containers of one name apart.
    `workloads`: k8sattributes names the workload of a pod. `promoted`: attributes become labels.
    """

    scrape: Scrape = field(
        default_factory=lambda: Scrape({"job": "otel"}, offset_s=11, stale=False)
    )
    suffixes: bool = True
    node_named: bool = True
    ids: tuple[str, ...] = ("k8s_pod_uid", "container_id")
    workloads: bool = True
    promoted: bool = True

    def store(self, cluster: KnownCluster, name: str, begin: float, end: float) -> Iterator[Batch]:
        """All series of the cluster, which is called `name`."""
        scrape = Scrape(
            {**self.scrape.labels, "cluster": name},
            offset_s=self.scrape.offset_s,
            interval_s=self.scrape.interval_s,
            stale=False,
            drop=self._dropped(),
        )
        for node in cluster.nodes:
            yield from scrape.store(self._kubelet(cluster, node), begin, end)
        yield from scrape.store(self._cluster(cluster), begin, end)

    def _dropped(self) -> tuple[str, ...]:
        ids = {"k8s_pod_uid", "container_id"} - set(self.ids)
        if self.promoted:
            return tuple(ids)
        return (
            *("k8s_namespace_name", "k8s_pod_name", "k8s_container_name", "k8s_node_name"),
            *("k8s_pod_uid", "container_id", "k8s_deployment_name", "k8s_statefulset_name"),
            *("k8s_job_name", "k8s_daemonset_name", "k8s_replicaset_name"),
        )

    def _named(self, family: str, suffix: str, /, **labels: str) -> Labels:
        return {"__name__": family + (suffix if self.suffixes else ""), **labels}

    def _kubelet(self, cluster: KnownCluster, node: Node) -> Iterator[Exposed]:
        """kubeletstats on a node, with collect_all_network_interfaces."""
        of_node = {"k8s_node_name": node.name}
        yield Exposed(
            self._named("k8s_node_cpu_time", "_seconds_total", **of_node), lambda at: at * 3
        )
        where = of_node if self.node_named else {}
        for pod in cluster.pods:
            if pod.node != node:
                continue
            labels = {**_names(pod), **where}
            yield Exposed(
                self._named("k8s_pod_cpu_time", "_seconds_total", **labels),
                lambda at, start=pod.start: at - start,  # type: ignore[misc]
                pod.start,
                pod.end,
            )
            for one in pod.containers:
                if one.runs:
                    yield from self._container(pod, one, labels)
            if node.windows:
                continue
            for direction, rate in (("receive", pod.received), ("transmit", pod.transmitted)):
                for interface, share in (("eth0", 0.75), ("eth1", 0.25)):
                    flow = {"direction": direction, "interface": interface}
                    yield Exposed(
                        self._named("k8s_pod_network_io", "_bytes_total", **labels, **flow),
                        lambda at, start=pod.start, speed=rate * share: speed * (at - start),  # type: ignore[misc]
                        pod.start,
                        pod.end,
                    )

    def _container(self, pod: Pod, one: Container, labels: Labels) -> Iterator[Exposed]:
        for number, (start, end) in enumerate(pod.lives()):
            named = {
                **labels,
                "k8s_container_name": one.name,
                "container_id": f"{pod.uid}{one.name}{number}",
            }
            yield Exposed(
                self._named("container_cpu_time", "_seconds_total", **named),
                lambda at, start=start: one.cpu_seconds(at - start),  # type: ignore[misc]
                start,
                end,
            )
            yield Exposed(
                self._named("container_memory_working_set", "_bytes", **named),
                one.memory_at,
                start,
                end,
            )
            yield Exposed(self._named("container_cpu_usage", "", **named), 1.0, start, end)

    def _cluster(self, cluster: KnownCluster) -> Iterator[Exposed]:
        """k8s_cluster, with allocatable_types_to_report: [cpu, memory]."""
        for node in cluster.nodes:
            labels = {"k8s_node_name": node.name}
            yield Exposed(self._named("k8s_node_condition_ready", "", **labels), 1.0)
            yield Exposed(self._named("k8s_node_allocatable_cpu", "", **labels), 8.0)
            memory = self._named("k8s_node_allocatable_memory", "_bytes", **labels)
            yield Exposed(memory, 32.0 * 1024**3)
        for pod in cluster.pods:
            labels = _names(pod)
            if pod.node:
                labels["k8s_node_name"] = pod.node.name
            workload = _workload(pod) if self.workloads else {}
            yield Exposed(
                self._named("k8s_pod_phase", "", **labels, **workload),
                lambda at, pod=pod: PHASES[_phase(pod, at)],  # type: ignore[misc]
                pod.start,
                pod.gone,
            )
            for one in pod.containers:
                if one.kind:
                    continue  # it looks at no init containers, and so at no sidecars
                named = {
                    **labels,
                    "k8s_container_name": one.name,
                    "container_id": f"{pod.uid}{one.name}",
                }
                for family, suffix, value in (
                    ("k8s_container_cpu_request", "", one.cpu_request),
                    ("k8s_container_memory_request", "_bytes", one.memory_request),
                ):
                    yield Exposed(self._named(family, suffix, **named), value, pod.start, pod.gone)


def _names(pod: Pod) -> Labels:
    return {
        "k8s_namespace_name": pod.namespace,
        "k8s_pod_name": pod.name,
        "k8s_pod_uid": pod.uid,
    }


def _workload(pod: Pod) -> Labels:
    kind, name = pod.owner or ("", "")
    if kind == "ReplicaSet":
        return {"k8s_replicaset_name": name, "k8s_deployment_name": name.rpartition("-")[0]}
    return {f"k8s_{kind.lower()}_name": name} if kind else {}


def _phase(pod: Pod, at: float) -> str:
    if pod.node is None:
        return "Pending"
    return "Running" if at < pod.end else "Succeeded"
