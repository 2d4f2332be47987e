"""A source and a bucket that are disturbed at random, and a function whose invocations are killed.

Prometheus gets its samples while the test runs, some of them late; between it and the function a
proxy hides what a lookback limit, or a store that is away, would hide.
"""

import gzip
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from localcloud.prometheus import Prometheus
from localcloud.remote_write import Batch, RemoteWriter
from mimir_exporter.timeline.windows import iso
from tests.integration import faults
from tests.integration.deployment import (
    CONTRACT,
    HOUR_S,
    LAST_END,
    PREFIX,
    Function,
    start_of,
)
from tests.integration.faults import Proxy, Request
from tests.integration.sandbox import Event
from tests.integration.worker import Order
from tests.torture.killing import POINTS, Death, Killer
from tests.torture.workload import LEASE_S, is_expected

METRIC = "load"
CLUSTERS = ("prod-ap", "prod-eu", "prod-us", "")
PODS = ("api", "web")
NO_STATE_MACHINE = [point for point in POINTS if "execution" not in point.name]
AUDIT_AFTER_S = 6 * HOUR_S
# In these states a metric-window is called whole; every other one names what it lacks.
WHOLE = ("audited", "exported", "without_series")


@dataclass
class Unsteady:
    """One deployment over `hours` windows of a metric of its own, marked by the label `round`.

    `source` is what hides samples; the killer has proxies of its own, which it heals.
    """

    function: Function
    killer: Killer
    prometheus: Prometheus
    source: Proxy
    hours: int
    number: int
    chance: random.Random
    injected: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    invocations: int = 0
    _late: list[tuple[str, str, range]] = field(default_factory=list)
    _named: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.begin = LAST_END - self.hours * HOUR_S
        promql = f'max by (cluster,pod)(pod_load{{$matchers round="{self.number}"}})'
        self.function = replace(
            self.function.with_env(
                EXTRA_METRICS=json.dumps({METRIC: promql}), AUDIT_AFTER=str(AUDIT_AFTER_S)
            ),
            metrics=(),
        )

    # The source

    def scrape(self) -> None:
        """All samples reach the source, but for outages, which catch up later."""
        minutes = range(-30, self.hours * 60)
        for cluster in CLUSTERS:
            for pod in PODS:
                low = self.chance.randint(-30, self.hours * 60)
                high = min(low + self.chance.choice([3, 40, 150]), self.hours * 60)
                lost = self.chance.random() < 0.6 and low < high
                low, high = (low, high) if lost else (0, 0)
                self._push(cluster, pod, (one for one in minutes if not low <= one < high))
                if lost:
                    self._late.append((cluster, pod, range(low, high)))

    def _push(self, cluster: str, pod: str, minutes: Iterable[int]) -> None:
        labels = {"__name__": "pod_load", "round": str(self.number), "pod": pod}
        labels |= {"cluster": cluster} if cluster else {}
        times = [(self.begin + 60 * minute) * 1000 for minute in minutes]
        values = [float(time // 60_000 % 997) for time in times]
        RemoteWriter(self.prometheus.write_url, self.prometheus.headers).send(
            [Batch.of(labels, times, values)]
        )

    def catch_up(self, *, all_of_it: bool = False) -> None:
        """Samples of an outage arrive."""
        while self._late:
            late = self._late.pop(self.chance.randrange(len(self._late)))
            self._push(*late)
            self.injected["late data"] += 1
            if not all_of_it:
                return

    def trim(self) -> None:
        """The source allows no query to look back beyond a moment of the range."""
        oldest = self.begin + self.chance.uniform(0, 0.8) * self.hours * HOUR_S
        self.source.heal()
        self.source.spoil(faults.look_back_to(lambda: oldest), _is_any_query)
        self.injected["trimmed range"] += 1

    def hide_cluster(self) -> None:
        """Queries and counts lack a cluster: the store that has it is away."""
        gone = self.chance.choice([one for one in CLUSTERS if one])
        self.source.heal()
        self.source.spoil(faults.without_clusters(gone), _is_any_query)
        self.injected["vanished cluster"] += 1

    # The bucket

    def lose_file(self) -> None:
        """A file that a manifest lists, or a manifest, is deleted or overwritten by another.

        What no manifest lists is no part of the export, and by another's hand no business of it.
        """
        keys = sorted(self._manifest_keys())
        if self.chance.random() < 0.8:
            listed = {file["key"] for key in keys for file in self._manifest(key)["files"]}
            keys = sorted(listed & self.function.file_keys().keys())
        if not keys:
            return
        key = self.chance.choice(keys)
        if self.chance.random() < 0.3 and not key.endswith(".manifest"):
            self.function.put(key, b"spoilt", **self.function.metadata(key))
        else:
            self.function.delete(key)
        self.injected["lost or spoilt file"] += 1

    def _manifest_keys(self) -> list[str]:
        return [key for key in self.function.keys(f"{PREFIX}/") if key.endswith(".manifest")]

    # Invocations

    def relabel(self) -> None:
        """SPLIT_BY_CLUSTER is changed, and the reexport that moves what is there is killed."""
        if not self.function.keys(self.function.checkpoint_key):
            return
        self.function.clock.advance(2 * LEASE_S)
        self.killer.disarm()
        split = self.function.env.get("SPLIT_BY_CLUSTER", "true")
        changed = {"SPLIT_BY_CLUSTER": "false" if split == "true" else "true"}
        self.function = self.function.with_layout(**changed)
        if isinstance(self._kill(self.again()), Death):
            self.injected["interrupted relabelling"] += 1

    def force(self) -> None:
        if isinstance(self._kill(self.again() | {"force": True}), Death):
            self.injected["aborted forced reexport"] += 1

    def repair(self) -> None:
        self._kill(self._event("repair"))

    def ask_for_what_was_forgotten(self) -> None:
        """As an operator does once the source has it after all: nothing else tries it again."""
        for start, found in self.states().items():
            if "nothing_left" in found:
                event = {"action": "reexport", "start": iso(start), "end": iso(start + HOUR_S)}
                self.let_live(event)
                self.injected["forgotten window that came back"] += 1

    def run(self) -> None:
        self._kill({})

    def again(self) -> Event:
        return self._event("reexport")

    def _event(self, action: str) -> Event:
        return {"action": action, "start": iso(self.begin), "end": iso(LAST_END)}

    def _kill(self, event: Event) -> Death | Event:
        self.invocations += 1
        order = self._order(event)
        if self.chance.random() < 0.5:
            result = self.killer.kill_at(order, self.chance.choice(NO_STATE_MACHINE))
        else:
            result = self.killer.kill_by_clock(order, self.chance.uniform(-0.02, 0.6))
        if isinstance(result, Death):
            self.injected["kill"] += 1
        else:
            assert is_expected(result), result
        if self.chance.random() < 0.7:
            self.function.clock.advance(LEASE_S)
        return result

    def let_live(self, event: Event) -> Event:
        self.invocations += 1
        result = self.killer.let_live(self._order(event))
        assert is_expected(result), result
        return result

    def _order(self, event: Event) -> Order:
        function = self.function
        return Order(
            env=function.env,
            now=function.clock(),
            metrics=function.metrics,
            event=event,
            request_id=f"request-{self.invocations}",
        )

    def disturb(self, steps: int) -> None:
        """So many random things happen, and after most of them a run, killed or not."""
        things: list[Callable[[], None]] = [
            *(self.catch_up, self.trim, self.hide_cluster, self.source.heal),
            *(self.lose_file, self.relabel, self.force, self.repair),
        ]
        for _ in range(steps):
            self.chance.choice(things)()
            if self.chance.random() < 0.8:
                self.run()
            self.note()

    # What is found

    def status(self, *, files: bool = False) -> Event:
        self.killer.disarm()
        event = self._event("status") | ({"files": True} if files else {})
        return self.function.export(event)

    def note(self) -> None:
        """Count what `status` names, once for each metric-window."""
        found = self.status(files=True)
        if found["outcome"] == "nothing_yet":
            return
        rows = [("exported in part", one["range"]) for one in found["in_part"]]
        rows += [
            ("vanished cluster", f"{one['range']} {one['vanished_clusters']}")
            for one in found["unconfirmed"]
        ]
        for name in ("missing", "changed"):
            rows += [("lost or spoilt file", key) for key in found["files"].get(name, ())]
        for kind, what in rows:
            if (kind, what) not in self._named:
                self._named.add((kind, what))
                self.found[kind] += 1

    def states(self) -> dict[int, set[str]]:
        """The states of each window, by its start."""
        found: dict[int, set[str]] = {}
        for row in self.status()["coverage"]:
            for name in row.keys() - {"metrics"}:
                for low, high in (_span(text) for text in row[name]):
                    for start in range(max(low, self.begin), min(high, LAST_END), HOUR_S):
                        found.setdefault(start, set()).add(name)
        return found

    def differing(self) -> dict[int, list[str]]:
        """Windows whose files are not what the source has now, with what is wrong."""
        files = self.function.files()
        manifests = {start_of(key): self._manifest(key) for key in self._manifest_keys()}
        wrong = {}
        for start in range(self.begin, LAST_END, HOUR_S):
            layout = manifests.get(start, {}).get("layout") or {}
            split = layout.get("split_by_cluster", True)
            found = self.function.differences(
                self.prometheus,
                1,
                until=start + HOUR_S,
                contract=replace(CONTRACT, split_by_cluster=split),
                files={key: body for key, body in files.items() if start_of(key) == start},
            )
            if found:
                wrong[start] = found
        self.found["late data, by an audit"] = sum(one["rises"] for one in manifests.values())
        return wrong

    def _manifest(self, key: str) -> Any:
        return json.loads(gzip.decompress(self.function.read(key)))


def _is_any_query(request: Request) -> bool:
    return request.is_any_query


def _span(text: str) -> tuple[int, int]:
    low, high = (int(datetime.fromisoformat(one).timestamp()) for one in text.split("/"))
    return low, high
