"""What runs in a made-up cluster: nodes, and pods with a beginning and an end.

Times are indexes on the scrape grid: 0 is the first scrape of the history, `length` is one past
the last. Everything follows from the seed.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from localcloud.scrapes import Grid

GIB = 1024**3


@dataclass(frozen=True)
class Cluster:
    """How a cluster is made. `name` None is a cluster whose agent sets no cluster label.

    An `ha_pair` are two Prometheus that both send all of it.
    """

    name: str | None
    nodes: int
    replicas: int  # of each Deployment
    gpu: bool = False
    persistent: bool = True
    ha_pair: bool = False


@dataclass(frozen=True)
class Node:
    name: str
    ip: str
    zone: str
    gpus: int


@dataclass(frozen=True)
class Container:
    name: str
    cpu: float  # cores requested
    memory: float  # bytes requested
    gpus: int = 0
    sidecar: bool = False  # an init container that stays


@dataclass(frozen=True)
class Phase:
    """`phase` holds in [first, last)."""

    phase: str
    first: int
    last: int


@dataclass(frozen=True)
class Claim:
    """A PersistentVolumeClaim and the volume bound to it."""

    name: str
    volume: str
    size: float


@dataclass(frozen=True)
class Pod:
    namespace: str
    name: str
    node: Node
    containers: tuple[Container, ...]
    owner_kind: str
    owner_name: str
    labels: Mapping[str, str]
    phases: tuple[Phase, ...]
    restarts: tuple[int, ...] = ()  # scrapes at which its counters begin again at zero
    host_network: bool = False
    claim: Claim | None = None

    @property
    def first(self) -> int:
        return self.phases[0].first

    @property
    def span(self) -> tuple[int, int]:
        return self.phases[0].first, self.phases[-1].last


@dataclass(frozen=True)
class ReplicaSet:
    namespace: str
    name: str
    deployment: str
    first: int
    last: int


@dataclass(frozen=True)
class Workloads:
    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...]
    replica_sets: tuple[ReplicaSet, ...]


@dataclass
class _Maker:
    cluster: Cluster
    grid: Grid
    dice: random.Random
    nodes: tuple[Node, ...]
    pods: list[Pod] = field(default_factory=list)
    replica_sets: list[ReplicaSet] = field(default_factory=list)
    _next_node: int = 0

    def node(self) -> Node:
        self._next_node += 1
        return self.nodes[self._next_node % len(self.nodes)]

    def suffix(self, length: int) -> str:
        return "".join(self.dice.choice("bcdfghjklmnpqrstvwxz2456789") for _ in range(length))

    def alive(self, first: int, last: int) -> tuple[Phase, ...]:
        """Pending for two minutes, then Running, cut to the history."""
        running = min(first + self.grid.ticks(2), last)
        phases = (Phase("Pending", first, running), Phase("Running", running, last))
        cut = (
            replace(p, first=max(p.first, 0), last=min(p.last, self.grid.length)) for p in phases
        )
        return tuple(phase for phase in cut if phase.first < phase.last)

    def deployment(self, namespace: str, name: str, containers: tuple[Container, ...]) -> None:
        """Rolled out anew about once a day: the old replica set's pods end, others begin."""
        rollouts = list(self._rollouts())
        for first, last in zip(rollouts, [*rollouts[1:], self.grid.length], strict=True):
            replica_set = f"{name}-{self.suffix(10)}"
            self.replica_sets.append(
                ReplicaSet(namespace, replica_set, name, max(first, 0), self.grid.length)
            )
            for number in range(self.cluster.replicas):
                # Pods are replaced one after another, and the old one stays until the new is up.
                begin = first + number * self.grid.ticks(3)
                end = min(last + (number + 1) * self.grid.ticks(3), self.grid.length)
                phases = self.alive(begin, self.grid.length if last == self.grid.length else end)
                if phases:
                    self.pods.append(
                        Pod(
                            namespace=namespace,
                            name=f"{replica_set}-{self.suffix(5)}",
                            node=self.node(),
                            containers=containers,
                            owner_kind="ReplicaSet",
                            owner_name=replica_set,
                            labels={
                                "app_kubernetes_io_name": name,
                                "pod_template_hash": replica_set.rpartition("-")[2],
                                "team": self.dice.choice(["payments", "search", "platform"]),
                            },
                            phases=phases,
                            restarts=self._restarts(phases),
                        )
                    )

    def _rollouts(self) -> Iterator[int]:
        yield -self.grid.ticks(60)
        at = self.grid.ticks(self.dice.uniform(120, 1200))
        while at < self.grid.length:
            yield at
            at += self.grid.ticks(self.dice.uniform(900, 2400))

    def _restarts(self, phases: tuple[Phase, ...]) -> tuple[int, ...]:
        first, last = phases[-1].first, phases[-1].last
        if self.dice.random() < 0.6 or last - first < 3:
            return ()
        return tuple(sorted({self.dice.randrange(first + 1, last) for _ in range(2)}))

    def daemon_set(self, namespace: str, name: str, container: Container) -> None:
        for node in self.nodes:
            self.pods.append(
                Pod(
                    namespace=namespace,
                    name=f"{name}-{self.suffix(5)}",
                    node=node,
                    containers=(container,),
                    owner_kind="DaemonSet",
                    owner_name=name,
                    labels={"app_kubernetes_io_name": name},
                    phases=self.alive(-self.grid.ticks(60), self.grid.length),
                    host_network=True,
                )
            )

    def stateful_set(self, namespace: str, name: str, container: Container) -> None:
        for number in range(2):
            volume = f"pvc-{self.suffix(8)}-{self.suffix(4)}-{self.suffix(12)}"
            claim = Claim(f"data-{name}-{number}", volume, 20 * GIB)
            self.pods.append(
                Pod(
                    namespace=namespace,
                    name=f"{name}-{number}",
                    node=self.node(),
                    containers=(container,),
                    owner_kind="StatefulSet",
                    owner_name=name,
                    labels={"app_kubernetes_io_name": name, "statefulset": name},
                    phases=self.alive(-self.grid.ticks(60), self.grid.length),
                    claim=claim,
                )
            )

    def cron_job(self, namespace: str, name: str, container: Container, every_min: int) -> None:
        """Runs 25 minutes, then stays Succeeded for an hour: its requests must not count then."""
        for first in range(-self.grid.ticks(10), self.grid.length, self.grid.ticks(every_min)):
            job = f"{name}-{29_000_000 + first}"
            end = first + self.grid.ticks(27)
            done = Phase("Succeeded", end, min(end + self.grid.ticks(60), self.grid.length))
            phases = self.alive(first, end)
            if done.first < done.last:
                phases += (done,)
            self.pods.append(
                Pod(
                    namespace=namespace,
                    name=f"{job}-{self.suffix(5)}",
                    node=self.node(),
                    containers=(container,),
                    owner_kind="Job",
                    owner_name=job,
                    labels={"job_name": job, "batch_kubernetes_io_controller_uid": self.suffix(12)},
                    phases=phases,
                )
            )


def make_workloads(cluster: Cluster, grid: Grid, seed: int) -> Workloads:
    """All that ran in the cluster during the grid's ticks."""
    dice = random.Random(f"{seed}/{cluster.name}")  # noqa: S311 - to be repeatable
    network = 10 + dice.randrange(200)
    nodes = tuple(
        Node(
            name=f"ip-10-{network}-1-{10 + number}.eu-central-1.compute.internal",
            ip=f"10.{network}.1.{10 + number}",
            zone=f"eu-central-1{'abc'[number % 3]}",
            gpus=4 if cluster.gpu and number == 0 else 0,
        )
        for number in range(cluster.nodes)
    )
    make = _Maker(cluster, grid, dice, nodes)
    make.deployment("shop", "web", (Container("nginx", 0.1, 0.125 * GIB),))
    make.deployment(
        "shop",
        "checkout",
        (Container("app", 0.5, GIB), Container("envoy", 0.1, 2**27, sidecar=True)),
    )
    make.daemon_set("monitoring", "node-exporter", Container("node-exporter", 0.05, 2**26))
    make.cron_job("batch", "report", Container("report", 1.0, 2 * GIB), every_min=360)
    if cluster.persistent:
        make.stateful_set("data", "postgres", Container("postgres", 1.0, 4 * GIB))
    if cluster.gpu:
        make.deployment("ml", "inference", (Container("model", 4.0, 16 * GIB, gpus=1),))
    return Workloads(nodes, tuple(make.pods), tuple(make.replica_sets))
