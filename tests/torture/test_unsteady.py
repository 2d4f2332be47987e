"""Late data, trimmed ranges, vanished clusters, lost files, interrupted relabelling and aborted
reexports, mixed with kills: what is called audited equals the source, and `status` names the rest.
"""

import random
import time

import pytest

from localcloud.aws import Cloud
from mimir_exporter.timeline.windows import iso
from tests.conftest import MakePrometheus
from tests.integration.conftest import MakeFunction, MakeProxy
from tests.integration.deployment import HOUR_S, LAST_END
from tests.torture.conftest import Record
from tests.torture.killing import Killer
from tests.torture.unsteady import AUDIT_AFTER_S, WHOLE, Unsteady

HOURS = 6
STEPS = 20
SETTLING_RUNS = 6


@pytest.mark.long
def test_what_is_audited_equals_the_source_and_status_names_the_rest(
    make_function: MakeFunction,
    make_prometheus: MakePrometheus,
    make_proxy: MakeProxy,
    cloud: Cloud,
    seed: int,
    budget_s: float,
    record: Record,
) -> None:
    """Each round is a new bucket, and in every third the source forgets hours for good."""
    chance = random.Random(seed)
    prometheus = make_prometheus()
    source = make_proxy(f"http://127.0.0.1:{prometheus.port}")
    killed, aws = make_proxy(source.url), make_proxy(cloud.endpoint)
    killer = Killer(killed, aws, chance)
    end = time.monotonic() + budget_s
    number = 0
    while not number or time.monotonic() < end:
        number += 1
        source.heal()
        function = make_function(
            PORT=str(killed.port),
            PATH_PREFIX=prometheus.path_prefix,
            AWS_ENDPOINT_URL=aws.url,
            BACKFILL_DAYS=f"{HOURS}h",
        )
        one = Unsteady(function, killer, prometheus, source, HOURS, number, chance)
        one.scrape()
        one.disturb(STEPS)
        _settle(one, forgets=number % 3 == 0)
        _hold(one, record, forgets=number % 3 == 0)


def _settle(one: Unsteady, *, forgets: bool) -> None:
    """The rest of the data arrives and the audits become due; some of their runs are killed."""
    one.source.heal()
    if forgets:
        one.trim()
    one.catch_up(all_of_it=True)
    one.note()
    one.repair()
    one.ask_for_what_was_forgotten()
    one.function.clock.advance(AUDIT_AFTER_S)
    for _ in range(SETTLING_RUNS):
        one.run()
        one.function.clock.advance(AUDIT_AFTER_S)
        one.let_live({})
        one.note()
    one.let_live({"action": "repair", "start": iso(one.begin), "end": iso(LAST_END)})
    one.let_live({})


def _hold(one: Unsteady, record: Record, *, forgets: bool) -> None:
    states, wrong = one.states(), one.differing()
    unnamed = {
        iso(start): (sorted(states.get(start, ())), wrong[start])
        for start in wrong
        if not states.get(start, set()) - set(WHOLE)
    }
    assert unnamed == {}, one.injected
    audited = {start for start, found in states.items() if "audited" in found}
    assert {iso(start): wrong[start] for start in audited & wrong.keys()} == {}, one.injected
    if not forgets:
        # Nothing is lost for good, so nothing may remain open but what a source makes unstable.
        starts = range(one.begin, LAST_END, HOUR_S)
        left = {iso(at): states[at] for at in starts if at not in audited}
        left = {at: found for at, found in left.items() if "source_unstable" not in found}
        assert left == {}, (one.injected, one.status())
    record("rounds", 1)
    record("invocations", one.invocations)
    for name, count in sorted(one.injected.items()):
        record(f"injected: {name}", count)
    for name, count in sorted(one.found.items()):
        record(f"found: {name}", count)
    record("windows audited, all equal to the source", len(audited))
    record("windows not equal to the source, all named by status", len(wrong))
