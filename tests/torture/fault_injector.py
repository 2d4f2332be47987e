"""Random faults between the exporter and what it talks to, counted by kind."""

from collections import Counter
from collections.abc import Mapping
from random import Random

from mimir_exporter.errors import ExportError
from tests.integration.deployment import Function
from tests.integration.faults import Exchange, Fault
from tests.torture.conftest import Record


class FaultInjector:
    """Spoils one exchange in so many, with a fault of the given kinds, and counts them."""

    def __init__(self, random: Random, share: float, *kinds: Mapping[str, Fault]) -> None:
        self._seen: Counter[str] = Counter()
        self._random = random
        self._share = share
        self._faults = {name: fault for kind in kinds for name, fault in kind.items()}

    def __call__(self, exchange: Exchange) -> None:
        if self._random.random() >= self._share:
            pass_on(exchange)
            return
        name = self._random.choice(list(self._faults))
        self._seen[name] += 1
        self._faults[name](exchange)

    def record(self, record: Record, *, windows: int, runs: int, requests: int) -> None:
        """The figures of one round: what was done, and which faults were injected."""
        record("rounds", 1)
        record("windows exported", windows)
        record("runs", runs)
        record("requests", requests)
        record("faults injected", self._seen.total())
        for name, count in self._seen.items():
            record(f"fault: {name}", count)


def pass_on(exchange: Exchange) -> None:
    exchange.send(exchange.forward())


def export_somehow(function: Function, seconds: float) -> str:
    """A run among faults ends in its result or in one sentence, and never in between.

    Its outcome, or "stopped".
    """
    try:
        outcome: str = function.export(seconds=seconds)["outcome"]
    except ExportError as error:
        outcome, sentence = "stopped", str(error)
        assert "\n" not in sentence
        assert not sentence.startswith("Unexpected")
    return outcome
