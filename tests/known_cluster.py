"""A cluster of which everything is known, as kube-state-metrics and kubelets expose it.

The metric families and labels are those of kube-state-metrics 2.x (docs/metrics in its
repository) and of the kubelet's /metrics/cadvisor, /metrics/resource and /metrics. What is true
follows from the workloads alone, without any scrape: `truth` is what a metric's samples, one every
STEP_S, sum up to.

There is what makes real clusters awkward: usage in bursts, a rollout, a StatefulSet that moves to
another node, restarts, a finished job that stays listed, native sidecars, pods in the host's
network that are rolled out too, a Windows node, GPUs whole, sliced and as MIG, a pod without a
controller, and one that no node has room for.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

STEP_S = 60
GIB = 1024.0**3
SAWTOOTH_S = 1171.0
Labels = dict[str, str]
RATES = ("cpu_usage", "bytes_received", "bytes_transmitted")
# A value at a unix time, or None where it is not exposed then.
Value = Callable[[float], float | None]


@dataclass(frozen=True)
class Node:
    name: str
    ip: str
    ip6: str
    windows: bool = False
    devices: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Container:
    """`cores` all the time, and `burst` cores more in the fourth of every seven minutes."""

    name: str
    cores: float
    memory: float
    cpu_request: float
    memory_request: float
    burst: float = 0.0
    devices: Mapping[str, int] = field(default_factory=dict)
    # "" for a usual container, "init" for one that runs before, "sidecar" for one that stays.
    kind: str = ""

    @property
    def runs(self) -> bool:
        return self.kind != "init"

    @property
    def requests(self) -> Iterator[tuple[str, str, float]]:
        """Resource, unit and amount."""
        yield "cpu", "core", self.cpu_request
        yield "memory", "byte", self.memory_request
        for device, count in self.devices.items():
            yield device, "integer", float(count)

    def cpu_seconds(self, since_s: float) -> float:
        """What it has used so long after its start."""
        cycles, rest = divmod(since_s, 420)
        return self.cores * since_s + self.burst * (cycles * 60 + min(max(rest - 180, 0), 60))

    def memory_at(self, at_s: float) -> float:
        """A sawtooth, with a period that no interval of a scrape divides."""
        return self.memory * (0.8 + 0.4 * (at_s % SAWTOOTH_S) / SAWTOOTH_S)

    def memory_until(self, at_s: float) -> float:
        """The integral of `memory_at`, in byte-seconds."""
        cycles, rest = divmod(at_s, SAWTOOTH_S)
        teeth = cycles * SAWTOOTH_S / 2 + rest * rest / SAWTOOTH_S / 2
        return self.memory * (0.8 * at_s + 0.4 * teeth)


@dataclass(frozen=True)
class Pod:
    """Runs in [start, end), is listed until `gone`."""

    namespace: str
    name: str
    uid: str
    node: Node | None
    containers: tuple[Container, ...]
    start: float
    end: float
    gone: float
    owner: tuple[str, str] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    host_network: bool = False
    received: float = 40_000.0
    transmitted: float = 25_000.0
    restarts: tuple[float, ...] = ()
    claim: str = ""

    @property
    def finished(self) -> bool:
        """Whether it ended by itself and stayed listed."""
        return self.gone > self.end

    def lives(self) -> Iterator[tuple[float, float]]:
        """From each start of its containers to its end."""
        starts = [self.start, *self.restarts]
        yield from zip(starts, [*self.restarts, self.end], strict=True)


@dataclass(frozen=True)
class KnownCluster:
    """Its pods between two unix times, of which the last hours are looked at."""

    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...]

    def truth(
        self, metric: str, first: int, last: int, *, rate_range_s: int = 300
    ) -> dict[tuple[str, str], float]:
        """The sum of a metric's samples at first, first + STEP_S, … last by namespace and pod.

        A rate is of the time before its sample, half of `rate_range_s` ago in the middle.
        """
        if metric in RATES:
            first, last = first - rate_range_s // 2, last - rate_range_s // 2
        sums: dict[tuple[str, str], float] = defaultdict(float)
        for pod in self.pods:
            total = _TRUTHS[metric](pod, float(first), float(last + STEP_S))
            if total:
                sums[pod.namespace, pod.name] += total
        return dict(sums)


def _running_s(pod: Pod, first: float, last: float) -> float:
    return max(0.0, min(last, pod.end) - max(first, pod.start))


def _cpu(pod: Pod, first: float, last: float) -> float:
    """Core-seconds in the range, as samples of STEP_S."""
    used = 0.0
    for start, end in pod.lives():
        begin, stop = max(start, first), min(end, last)
        if begin < stop:
            used += sum(
                one.cpu_seconds(stop - start) - one.cpu_seconds(begin - start)
                for one in pod.containers
                if one.runs
            )
    return used / STEP_S if pod.node else 0.0


def _memory(pod: Pod, first: float, last: float) -> float:
    begin, end = max(first, pod.start), min(last, pod.end)
    if pod.node is None or begin >= end:
        return 0.0
    held = (one.memory_until(end) - one.memory_until(begin) for one in pod.containers if one.runs)
    return sum(held) / STEP_S


def _requests(resource: str) -> Callable[[Pod, float, float], float]:
    def truth(pod: Pod, first: float, last: float) -> float:
        if pod.node is None:
            return 0.0
        held = sum(
            amount
            for one in pod.containers
            if one.runs
            for name, _, amount in one.requests
            if (name == resource if resource else name not in ("cpu", "memory"))
        )
        return held * _running_s(pod, first, last) / STEP_S

    return truth


def _traffic(direction: str) -> Callable[[Pod, float, float], float]:
    def truth(pod: Pod, first: float, last: float) -> float:
        if pod.host_network or pod.node is None or pod.node.windows:
            return 0.0
        return float(getattr(pod, direction)) * _running_s(pod, first, last) / STEP_S

    return truth


def _listed(pod: Pod, first: float, last: float) -> float:
    return max(0.0, min(last, pod.gone) - max(first, pod.start)) / STEP_S


_TRUTHS: dict[str, Callable[[Pod, float, float], float]] = {
    "cpu_usage": _cpu,
    "memory_usage": _memory,
    "cpu_requests": _requests("cpu"),
    "memory_requests": _requests("memory"),
    "gpu_requests": _requests(""),
    "bytes_received": _traffic("received"),
    "bytes_transmitted": _traffic("transmitted"),
    "pod_labels": _listed,
    "pod_owner": _listed,
    "pod_info": lambda pod, first, last: _listed(pod, first, last) if pod.node else 0.0,
}


def make_known_cluster(begin: float, end: float) -> KnownCluster:
    """Everything that happens does so in [begin, end); the rest has been there for a while."""
    linux = [Node(f"ip-10-1-0-{n}.ec2.internal", f"10.1.0.{n}", f"fd00::1:{n}") for n in (1, 2, 3)]
    gpus = {"nvidia_com_gpu": 2, "nvidia_com_gpu_shared": 4, "nvidia_com_mig_1g_5gb": 7}
    gpu = Node("ip-10-1-0-4.ec2.internal", "10.1.0.4", "fd00::1:4", devices=gpus)
    tpu = Node("gke-tpu-0", "10.1.0.5", "fd00::1:5", devices={"google_com_tpu": 8})
    windows = Node("win-0", "10.1.0.6", "fd00::1:6", windows=True)
    nodes = (*linux, gpu, tpu, windows)
    before, span = begin - 3600.0, end - begin
    middle, late = begin + span / 2, begin + span * 2 / 3
    pods: list[Pod] = []

    def add(
        namespace: str, name: str, node: Node | None, *containers: Container, **more: object
    ) -> None:
        times = {"start": before, "end": end + 3600.0}
        given = {**times, **more}
        given.setdefault("gone", given["end"])
        uid = f"{len(pods):08x}-0000-4000-8000-000000000000"
        pods.append(Pod(namespace, name, uid, node, containers, **given))  # type: ignore[arg-type]

    app = Container("app", 0.3, 300e6, 0.5, 512e6, burst=1.5)
    proxy = Container("proxy", 0.05, 50e6, 0.1, 64e6)
    for n in range(4):
        # A rollout: the new pod begins some minutes before the old one ends.
        old = {"owner": ("ReplicaSet", "web-5d9f"), "end": middle + 240 * n}
        new = {"owner": ("ReplicaSet", "web-7c6b"), "start": middle + 240 * n - 200}
        team = {"labels": {"team": "payments", "app": "web"}}
        add("shop", f"web-5d9f-{n:05d}", linux[n % 3], app, proxy, **old, **team)
        add("shop", f"web-7c6b-{n:05d}", linux[(n + 1) % 3], app, proxy, **new, **team)
    database = Container("postgres", 0.8, 2 * GIB, 1.0, 4 * GIB)
    add("data", "db-0", linux[0], database, owner=("StatefulSet", "db"), claim="data-db-0")
    # The other one moves to another node, under the same name.
    moved = {"owner": ("StatefulSet", "db"), "claim": "data-db-1"}
    add("data", "db-1", linux[1], database, **moved, end=middle + 100)
    add("data", "db-1", linux[2], database, **moved, start=middle + 160)
    job = Container("report", 1.2, 800e6, 1.5, GIB)
    add(
        "batch", "report-29", linux[2], job, owner=("Job", "report-29"), end=late, gone=end + 3600.0
    )
    agent = Container("agent", 0.1, 80e6, 0.2, 128e6)
    for n, node in enumerate(linux):
        host = {"host_network": True, "owner": ("DaemonSet", "agent"), "received": 9e6}
        add("kube-system", f"agent-a{n}", node, agent, **host, end=late + 60 * n)
        add("kube-system", f"agent-b{n}", node, agent, **host, start=late + 60 * n + 20)
    train = Container("train", 2.0, 8 * GIB, 4.0, 16 * GIB, devices={"nvidia_com_gpu": 1})
    small = Container("serve", 0.5, GIB, 1.0, 2 * GIB, devices={"nvidia_com_mig_1g_5gb": 2})
    slice_ = Container("notebook", 0.2, GIB, 0.5, 2 * GIB, devices={"nvidia_com_gpu_shared": 1})
    add("ml", "train-0", gpu, train, owner=("Job", "train"))
    add("ml", "serve-0", gpu, small, owner=("ReplicaSet", "serve-1"))
    add("ml", "notebook-0", gpu, slice_)
    add("ml", "tpu-0", tpu, Container("jax", 1.0, GIB, 2.0, GIB, devices={"google_com_tpu": 4}))
    setup = Container("setup", 0, 0, 3.0, 3 * GIB, kind="init")
    mesh = Container("mesh", 0.15, 120e6, 0.25, 256e6, kind="sidecar")
    add("shop", "api-0", linux[1], app, setup, mesh, owner=("ReplicaSet", "api-1"))
    add(
        "shop",
        "iis-0",
        windows,
        Container("iis", 0.6, GIB, 1.0, 2 * GIB),
        owner=("ReplicaSet", "i"),
    )
    crash = [begin + span * share for share in (0.2, 0.25, 0.6)]
    add("shop", "crash-0", linux[0], app, owner=("ReplicaSet", "crash-1"), restarts=tuple(crash))
    add("shop", "bare", linux[0], Container("sh", 0.1, 30e6, 0.1, 64e6))
    add("shop", "big-0", None, Container("app", 0, 0, 64.0, 256 * GIB), owner=("ReplicaSet", "big"))
    return KnownCluster(nodes, tuple(pods))
