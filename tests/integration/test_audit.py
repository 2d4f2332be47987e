"""What a source gets after an export is found by the audit and exported; losses are reported."""

import json
from dataclasses import replace

import pytest

from localcloud.prometheus import Prometheus
from tests.conftest import MakePrometheus
from tests.integration import faults
from tests.integration.conftest import MakeFunction, MakeProxy
from tests.integration.deployment import HOUR_S, Function
from tests.integration.test_manifests import (
    HOUR,
    MANIFEST,
    START,
    exporting,
    lingers,
    manifest_of,
    push,
)
from tests.integration.test_manifests import samples_by_cluster as samples_of


def wait(function: Function, hours: float = 1.2) -> Function:
    """Until the windows of before are due for their audit."""
    function.clock.advance(hours * HOUR_S)
    return function


@pytest.fixture
def source(make_prometheus: MakePrometheus) -> Prometheus:
    series = {("prod-eu", "api"): HOUR, ("prod-us", "api"): range(20)}
    return push(make_prometheus(), series)


@pytest.fixture
def function(make_function: MakeFunction, source: Prometheus) -> Function:
    """One metric; windows are audited an hour after their export."""
    made = exporting(make_function, source, AUDIT_AFTER="1h")
    assert made.export()["outcome"] == "complete"
    return made


def samples_by_cluster(function: Function) -> dict[str, int]:
    """Of the hour; the next one, exported meanwhile, looks back to it."""
    return samples_of(function, START)


def audited(function: Function, name: str = "audited") -> list[str]:
    (progress,) = function.checkpoint()["progress"]
    found: list[str] = progress.get(name, [])
    return found


THIS_HOUR = "2025-03-01T11:00:00Z/2025-03-01T12:00:00Z"


def test_what_comes_late_is_exported_once_the_audit_has_found_it(
    function: Function, source: Prometheus
) -> None:
    """An agent was cut off and caught up later, as after every outage."""
    assert samples_by_cluster(function) == {"prod-eu": 60, "prod-us": 20 + lingers()}
    push(source, {("prod-us", "api"): range(20, 60)})
    function.export()  # too early
    assert samples_by_cluster(function) == {"prod-eu": 60, "prod-us": 20 + lingers()}
    assert wait(function).export()["outcome"] == "complete"
    (line,) = function.messages("more samples at source")
    assert line["window"] == THIS_HOUR
    assert line["cluster_names"] == ["prod-us of pod_load{}"]
    assert samples_by_cluster(function) == {"prod-eu": 60, "prod-us": 60}
    assert manifest_of(function)["revision"] == 2
    assert function.messages("window replaced")
    assert audited(function) == []
    wait(function).export()
    assert audited(function)[0].startswith("2025-03-01T11:00:00Z/")
    assert not function.messages("more samples at source")


def test_what_has_all_is_audited_once(function: Function) -> None:
    wait(function).export()
    assert audited(function) == [THIS_HOUR]
    (line,) = function.messages("windows audited")
    assert (line["audited"], line["incomplete"], line["unauditable"]) == (1, 0, 0)
    function.export()
    assert not function.messages("windows audited")


def test_samples_that_change_no_count_of_the_answer_are_found_too(
    make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    """Four lost minutes that come late: as many values as before, and others."""
    holes = [minute for minute in HOUR if minute not in range(30, 34)]
    source = make_prometheus()
    push(source, {("prod-eu", "api"): holes})  # type: ignore[dict-item]  # any minutes will do
    function = exporting(make_function, source, AUDIT_AFTER="1h")
    function.export()
    before = function.file_keys()
    assert samples_by_cluster(function) == {"prod-eu": 60}
    push(source, {("prod-eu", "api"): range(30, 34)})
    wait(function).export()
    assert samples_by_cluster(function) == {"prod-eu": 60}
    assert function.file_keys() != before


def test_a_source_that_has_less_makes_nothing_less(
    function: Function, make_prometheus: MakePrometheus
) -> None:
    less = push(make_prometheus(), {("prod-eu", "api"): HOUR})
    before = function.file_keys()
    moved = function.with_env(PORT=str(less.port))
    wait(moved).export()
    (line,) = moved.messages("windows audited")
    assert (line["fewer"], line["audited"]) == (1, 0)
    assert audited(moved) == []
    wait(moved).export()
    assert before.items() <= moved.file_keys().items()
    (line,) = moved.messages("fewer samples at source")
    assert line["cluster_names"] == ["prod-us of pod_load{}"]
    assert audited(moved)[0].startswith(THIS_HOUR[:20])


@pytest.mark.parametrize("hidden", [["prod-us"], ["prod-eu", "prod-us"]], ids=["one", "all"])
def test_a_store_that_is_away_at_the_audit_confirms_nothing(
    make_function: MakeFunction, source: Prometheus, make_proxy: MakeProxy, hidden: list[str]
) -> None:
    """It has late data, which is seen once it is back."""
    proxy = make_proxy(f"http://127.0.0.1:{source.port}")
    function = exporting(make_function, source, AUDIT_AFTER="1h", PORT=str(proxy.port))
    assert function.export()["outcome"] == "complete"
    push(source, {("prod-us", "api"): range(20, 60)})
    proxy.spoil(faults.without_clusters(*hidden), lambda one: one.is_any_query)
    wait(function).export()
    assert audited(function) == audited(function, "unauditable") == []
    proxy.heal()
    function.export()
    assert function.messages("more samples at source")
    assert samples_by_cluster(function) == {"prod-eu": 60, "prod-us": 60}


def test_what_the_source_has_forgotten_is_said_not_to_be_auditable(
    function: Function, make_prometheus: MakePrometheus
) -> None:
    empty = make_prometheus()
    forgetful = function.with_env(PORT=str(empty.port))
    wait(forgetful).export()
    assert not forgetful.messages("windows not auditable")
    wait(forgetful).export()
    (line,) = forgetful.messages("windows not auditable")
    assert (line["summary"], line["unauditable"]) == ("The source has forgotten it", 1)
    assert audited(function) == []
    assert audited(function, "unauditable") == [THIS_HOUR]
    forgetful.export()
    assert not forgetful.messages("windows not auditable")


def test_a_source_that_never_stops_growing_is_unstable(
    function: Function, source: Prometheus
) -> None:
    for number in range(3):
        push(source, {("prod-us", f"late-{number}"): HOUR})
        wait(function).export()
        assert function.messages("more samples at source")
    assert manifest_of(function)["rises"] == 3
    wait(function).export()
    reasons = [line["summary"] for line in function.messages("windows not auditable")]
    assert reasons == ["The source is unstable: it had more samples 3 times in a row"]


def test_a_query_without_selectors_is_audited_by_its_answers(
    make_function: MakeFunction, source: Prometheus
) -> None:
    load = json.dumps({"load": "max by (cluster,pod)(pod_load)"})
    function = exporting(make_function, source, AUDIT_AFTER="1h", EXTRA_METRICS=load)
    function.export()
    assert manifest_of(function)["source_samples"] is None
    push(source, {("new", "api"): HOUR})
    wait(function).export()
    (line,) = function.messages("more samples at source")
    assert line["cluster_names"] == ["new"]
    assert samples_by_cluster(function) == {"prod-eu": 60, "prod-us": 20 + lingers(), "new": 60}
    function.export()  # what clusters have vanished from is asked for again, and then due later
    wait(function).export()
    assert audited(function)[0].startswith("2025-03-01T11:00:00Z/")


def test_no_audit_where_it_is_set_to_never(function: Function, source: Prometheus) -> None:
    push(source, {("prod-us", "api"): HOUR})
    never = function.with_env(AUDIT_AFTER="0")
    wait(never, 30).export()
    assert samples_by_cluster(function)["prod-us"] == 20 + lingers()
    assert not never.messages("windows audited")


def test_windows_of_a_day_are_counted_in_one_query_and_refused_ones_in_halves(
    make_function: MakeFunction, make_proxy: MakeProxy, source: Prometheus
) -> None:
    proxy = make_proxy(f"http://127.0.0.1:{source.port}")
    function = exporting(
        *(make_function, source), AUDIT_AFTER="1h", BACKFILL_DAYS="4h", PORT=str(proxy.port)
    )
    function.export()

    def counts(request: faults.Request) -> bool:
        return request.is_query and "count_over_time" in request.fields["query"]

    wait(function, 1.0)
    proxy.requests.clear()
    function.export()
    (asked,) = filter(counts, proxy.requests)
    assert asked.span_s == 3 * HOUR_S
    again = replace(
        exporting(
            *(make_function, source), AUDIT_AFTER="1h", BACKFILL_DAYS="4h", PORT=str(proxy.port)
        ),
        clock=function.clock,
    )
    again.export()
    again.export()  # the hour from which a cluster has vanished, once more
    too_much = faults.answer(422, "err-mimir-max-chunks-per-query")
    proxy.spoil(too_much, lambda request: counts(request) and request.span_s > 0)
    proxy.requests.clear()
    wait(again).export()
    assert len([one for one in proxy.requests if counts(one) and not one.span_s]) == 4
    assert again.messages("windows audited")[0]["audited"] == 4


def test_late_data_that_the_source_forgets_again_leaves_the_files_and_is_named(
    make_function: MakeFunction, make_proxy: MakeProxy, source: Prometheus
) -> None:
    """The audit found more; before it could be exported, the source had forgotten all of it."""
    proxy = make_proxy(f"http://127.0.0.1:{source.port}")
    function = exporting(make_function, source, AUDIT_AFTER="1h", PORT=str(proxy.port))
    function.export()
    before = function.files()
    push(source, {("prod-us", "api"): range(20, 60)})

    def of_hour(request: faults.Request) -> bool:
        fields = request.fields
        moment = float(fields.get("start") or fields.get("time") or 0)
        return moment < START + HOUR_S and "count_over_time" not in fields.get("query", "")

    proxy.spoil(faults.error(422, "not now"), lambda one: one.is_query and of_hour(one))
    assert wait(function).export()["outcome"] == "unfinished"
    assert function.messages("more samples at source")
    proxy.heal()
    proxy.spoil(
        faults.answer(200, faults.NO_SERIES),
        lambda one: (
            one.is_any_query
            and one.fields["query"] != "1"
            and float(one.fields.get("start") or one.fields.get("time") or 1e12) < START + HOUR_S
        ),
    )
    for _ in range(5):
        function.export()
        function.clock.advance(60)
    for _ in range(3):
        function.clock.advance(24 * HOUR_S)
        function.export()
    assert before.items() <= function.files().items()
    event = {"action": "status", "start": START, "end": START + HOUR_S}
    status = function.export(event)
    assert (status["outcome"], status["metric_windows"]) == ("incomplete", {"in_part": 1})
    assert status["in_part"] == [{"metric": "load", "range": THIS_HOUR}]
    assert function.export({**event, "files": True})["files"]["missing"] == []


@pytest.mark.parametrize("broken", [b"no gzip", b""])
def test_a_manifest_that_cannot_be_read_is_named_and_the_others_are_audited(
    broken: bytes, make_function: MakeFunction, make_prometheus: MakePrometheus
) -> None:
    source = push(make_prometheus(), {("prod-eu", "api"): range(-14 * 60, 60)})
    function = exporting(make_function, source, AUDIT_AFTER="1h", BACKFILL_DAYS="14h")
    function.export()
    # Of the older of two days.
    key = MANIFEST.replace("20250301", "20250228").replace(str(START), str(START - 13 * HOUR_S))
    assert function.keys(key)
    function.put(key, broken)
    wait(function).export()
    (line,) = function.messages("windows not auditable")
    assert (line["unauditable"], line["range"][:10]) == (1, "2025-02-28")
    assert key in line["summary"]
    assert sum(one["audited"] for one in function.messages("windows audited")) == 13
    function.export()
    assert not function.messages("windows not auditable")
    status = function.export({"action": "status", "files": True})
    assert (status["outcome"], status["files"]["changed"]) == ("incomplete", [key])


AUDIT = {"action": "audit", "start": START, "end": START + HOUR_S}


def test_a_range_is_audited_on_demand_whatever_audit_after_is(
    function: Function, source: Prometheus
) -> None:
    """Without waiting, and exported again in the same run."""
    never = function.with_env(AUDIT_AFTER="0")
    assert "1 metric-window audited" in never.export(AUDIT)["message"]
    push(source, {("prod-us", "api"): range(20, 60)})
    result = never.export(AUDIT)
    assert (result["outcome"], result["windows"]["exported"]) == ("complete", 1)
    assert "1 had more samples at the source" in result["message"]
    (day,) = result["days"]
    assert (day["day"], day["found"]["incomplete"]) == ("2025-03-01", 1)
    assert samples_by_cluster(never) == {"prod-eu": 60, "prod-us": 60}
    assert "tasks" not in never.checkpoint()
    again = never.export(AUDIT)
    assert (again["windows"]["planned"], again["days"][0]["found"]["audited"]) == (0, 1)
    assert audited(never) == [THIS_HOUR]


def test_a_query_that_has_changed_is_audited_on_demand_by_its_answers(
    make_function: MakeFunction, source: Prometheus
) -> None:
    """The one that the files were exported with."""
    function = exporting(make_function, source, AUDIT_AFTER="1h")
    function.export()
    changed = function.with_env(
        EXTRA_METRICS=json.dumps({"load": "sum by (cluster,pod)(pod_load{$matchers})"})
    )
    assert changed.export(AUDIT)["days"][0]["found"]["audited"] == 1
    push(source, {("new", "api"): HOUR})
    result = changed.export(AUDIT)
    assert result["days"][0]["found"]["incomplete"] == 1
    assert samples_by_cluster(changed)["new"] == 60
    assert manifest_of(changed)["query"].startswith("sum by")


def test_an_audit_on_demand_of_a_query_without_selectors(
    make_function: MakeFunction, source: Prometheus
) -> None:
    load = json.dumps({"load": "max by (cluster,pod)(pod_load)"})
    function = exporting(make_function, source, AUDIT_AFTER="0", EXTRA_METRICS=load)
    function.export()
    assert function.export(AUDIT)["days"][0]["found"]["audited"] == 1
    push(source, {("prod-us", "api"): HOUR})
    assert function.export(AUDIT)["days"][0]["found"]["incomplete"] == 1
    assert samples_by_cluster(function)["prod-us"] == 60


def test_an_audit_that_the_source_stops_is_continued_by_the_next_run(
    make_function: MakeFunction, make_proxy: MakeProxy, source: Prometheus
) -> None:
    proxy = make_proxy(f"http://127.0.0.1:{source.port}")
    function = exporting(
        *(make_function, source), AUDIT_AFTER="0", PORT=str(proxy.port), BACKFILL_DAYS="4h"
    )
    function.export()
    push(source, {("prod-us", "api"): HOUR})
    proxy.spoil(faults.answer(503, "down"), lambda request: request.is_query)
    result = function.export(AUDIT)
    assert result["outcome"] == "unfinished"
    assert "the next run continues" in result["message"]
    assert function.checkpoint()["tasks"][0]["action"] == "audit"
    assert samples_by_cluster(function)["prod-us"] == 20 + lingers()
    proxy.heal()
    assert function.export()["windows"]["exported"] == 1
    assert samples_by_cluster(function)["prod-us"] == 60
    assert "tasks" not in function.checkpoint()


def test_an_audit_counts_what_a_source_that_limits_the_lookback_still_has(
    make_function: MakeFunction, make_prometheus: MakePrometheus, make_proxy: MakeProxy
) -> None:
    """It moves the start of the day's count, and with it all moments that the count is of."""
    hours = 4
    source = push(make_prometheus(), {("prod-eu", "api"): range(-60 * hours, 60)})
    proxy = make_proxy(f"http://127.0.0.1:{source.port}")
    env = {"PORT": str(proxy.port), "AUDIT_AFTER": "1h", "BACKFILL_DAYS": f"{hours}h"}
    function = exporting(make_function, source, **env)
    assert function.export()["outcome"] == "complete"
    # The first two windows' last steps are older than this.
    oldest = START - 3600 + 59 * 60 - 17
    proxy.spoil(
        faults.look_back_to(lambda: oldest),
        lambda one: one.is_any_query,
    )
    assert wait(function).export()["outcome"] == "complete"
    assert audited(function) == ["2025-03-01T10:00:00Z/2025-03-01T12:00:00Z"]
    assert audited(function, "unauditable") == []
    wait(function).export()
    assert audited(function, "unauditable") == ["2025-03-01T08:00:00Z/2025-03-01T10:00:00Z"]
