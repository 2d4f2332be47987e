"""The metrics of the catalogue, and what becomes of their queries."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimir_exporter.catalog.metrics import CLUSTER_LABEL, INSTANT_S, MATCHERS, Metric, load_catalog
from mimir_exporter.errors import SettingsError
from mimir_exporter.source.parts import ClusterSet
from tests.some import some

CATALOG = load_catalog()
NAMES = [
    *("cpu_requests", "memory_requests", "gpu_requests", "cpu_usage"),
    *("memory_usage", "bytes_received", "bytes_transmitted"),
    *("pod_labels", "node_labels", "namespace_labels"),
    *("node_info", "node_capacity", "node_allocatable", "pod_info"),
    *("pod_owner", "replicaset_owner", "pvc_info"),
    *("pvc_requests", "pvc_usage", "pv_capacity"),
    *("pod_start_time", "pod_completion_time", "container_start_time", "container_end_time"),
    "node_status",
]
each = pytest.mark.parametrize("metric", CATALOG, ids=lambda metric: metric.name)

# Cluster values that a query must carry without becoming another query.
ODD = [
    "",
    "a",
    'x"y',
    "a\\b",
    "a\nb\t\r\b\f",
    "\x00\x1f\x7f",
    "ü 集群 \U0001f680",
    "\u2028",
    "\ufffd",
]
ODD += ['"} or up{x="', "$matchers", "$cluster_label", "{}", "a,b", "`", "'"]

_STRING = r'"(?:[^"\\]|\\.)*"'
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right) ?\([^)]*\)")
_WORDS = {"topk", "avg", "max", "min", "sum", "rate", "unless", "and", "or", "count"}


def outside_strings(promql: str) -> str:
    return re.sub(_STRING, '""', promql)


def test_the_catalogue_has_each_of_its_metrics_once() -> None:
    assert sorted(metric.name for metric in CATALOG) == sorted(NAMES)


def only(cluster: str | None, label: str = "cluster") -> str:
    return "" if cluster is None else ClusterSet((cluster,)).matchers(label)


@each
def test_a_metric_says_its_unit_and_what_it_is_for(metric: Metric) -> None:
    assert metric.unit
    assert len(metric.description) > 15
    assert re.fullmatch(r"[a-z][a-z_]*", metric.name)


@each
def test_brackets_and_quotes_are_balanced(metric: Metric) -> None:
    opened: list[str] = []
    for mark in re.findall(r"[(){}\[\]]", outside_strings(metric.promql("cluster"))):
        if mark in "({[":
            opened.append(mark)
        else:
            assert opened.pop() + mark in ("()", "{}", "[]")
    assert not opened
    assert '"' not in re.sub(_STRING, "", metric.query)


@each
def test_every_selector_has_its_matchers_right_behind_its_brace(metric: Metric) -> None:
    query = outside_strings(metric.query)
    assert metric.can_cut_by_cluster
    assert query.count("{") == query.count(MATCHERS) == query.count("{" + MATCHERS)
    # What is no grouping, no function and no number names a metric; none may be bare, because
    # it would answer for all clusters when one is asked for.
    names = re.sub(r"\{[^}]*\}", "{}", _GROUPING.sub(" ", query))
    names = re.sub(r"\[\d+[smhd]\]", "", names)
    selectors = {*re.findall(r"[a-z_]\w*\b(?!\s*\()", names)} - _WORDS
    assert selectors
    for name in selectors:
        assert f"{name}{{}}" in names
        assert not re.search(rf"\b{name}\b(?!\{{)", names)


@each
def test_no_token_is_left_in_what_is_sent(metric: Metric) -> None:
    for cluster in (None, *ODD):
        sent = outside_strings(metric.promql("k8s_cluster", only(cluster)))
        assert "$" not in sent
        assert sent == sent.strip()


@each
def test_every_metric_keeps_the_cluster_label(metric: Metric) -> None:
    without = re.search(r"without \(([^)]*)\)", metric.query)
    if without:
        assert CLUSTER_LABEL not in without[1]
        assert "cluster" not in without[1]
    else:
        groupings = re.findall(r"\b(?:by|on) \(([^)]*)\)", metric.query)
        assert groupings
        assert all(CLUSTER_LABEL in grouping.split(",") for grouping in some(groupings))


@pytest.mark.parametrize("cluster", ODD)
def test_one_cluster_narrows_each_selector_to_just_its_value(cluster: str) -> None:
    for metric in CATALOG:
        sent = metric.promql("k8s_cluster", only(cluster, "k8s_cluster"))
        places = [found.end() for found in re.finditer(r"\{k8s_cluster=~", sent)]
        assert len(places) == metric.query.count(MATCHERS)
        for place in reversed(places):
            pattern, end = json.JSONDecoder().raw_decode(sent, place)
            assert re.fullmatch(pattern, cluster)
            assert sent[end] == ","
        # Without the matcher the rest is the query as it is without a cluster.
        matcher = f"k8s_cluster=~{sent[places[0] : end]},"
        assert sent.replace(matcher, "") == metric.promql("k8s_cluster")


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ("max by (pod)(kube_pod_info{$matchers})", 0),
        ("rate(x{$matchers}[5m])", 300),
        ("rate(x{$matchers}[1h30m])", 5400),
        ("max_over_time(rate(x{$matchers}[5m])[1d:1h]) offset 1w", 300 + 86_400 + 3600 + 604_800),
        ("max_over_time(x{$matchers}[7200])", 7200),
        ("x{$matchers} offset 7200", 7200),
        ("max_over_time(x{$matchers}[1h:60]) + 500", 3660),
    ],
)
def test_how_far_a_query_looks_back_is_not_underrated(query: str, seconds: int) -> None:
    """Clusters that ended within that time have series in the window's first steps."""
    assert Metric("x", query).look_back_s == INSTANT_S + seconds


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_a_clusters_value_comes_through_the_escapes_of_promql(cluster: str) -> None:
    metric = Metric("x", "up{$matchers a='b'}")
    literal = metric.promql("cluster", only(cluster)).removeprefix("up{cluster=~")
    pattern, end = json.JSONDecoder().raw_decode(literal)
    assert re.fullmatch(pattern, cluster)
    assert literal[end:] == ", a='b'}"
    # Go reads only these escapes; JSON's others, such as an escaped slash, it refuses.
    assert set(re.findall(r"\\(.)", literal[:end].replace("\\\\", ""))) <= set('"nrtbfu')


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_reads_every_query(tmp_path: Path) -> None:
    queries = [
        metric.promql(label, only(cluster, label))
        for metric in CATALOG
        for label in ("cluster", "k8s_cluster_2")
        for cluster in (None, *ODD)
    ]
    rules = [{"record": "checked", "expr": query} for query in queries]
    # Rules of one name are told apart by their group.
    groups = [{"name": str(number), "rules": [rule]} for number, rule in enumerate(rules)]
    # JSON is YAML but for surrogate pairs, which are one escape there.
    text = json.dumps({"groups": groups}, ensure_ascii=False)
    file = tmp_path / "rules.yml"
    file.write_text(re.sub(r"[^ -~]", lambda found: f"\\U{ord(found[0]):08x}", text), "utf-8")
    done = subprocess.run(  # noqa: S603
        ["promtool", "check", "rules", str(file)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_users_own_metrics_come_behind_the_catalogue() -> None:
    catalog = load_catalog({"mine": "sum by ($cluster_label)(up{$matchers})", "b": "up"})
    assert [metric.name for metric in catalog[len(CATALOG) :]] == ["mine", "b"]
    assert catalog[: len(CATALOG)] == CATALOG
    assert catalog[len(CATALOG)].promql("c", only("x", "c")) == 'sum by (c)(up{c=~"x",})'


def test_a_query_without_the_token_cannot_be_split_by_cluster() -> None:
    metric = load_catalog({"mine": "up"})[-1]
    assert not metric.can_cut_by_cluster
    assert metric.promql("cluster", only("x")) == "up"


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_the_catalogue_cannot_be_taken(name: str) -> None:
    with pytest.raises(SettingsError, match=f"Invalid EXTRA_METRICS: .* a metric '{name}' already"):
        load_catalog({"mine": "up", name: "up"})


def test_a_label_in_utf_8_is_quoted_where_promql_wants_it() -> None:
    """As Prometheus 3 spells it, in selectors and in groupings."""
    metric = Metric("x", "sum by ($cluster_label,pod)(up{$matchers a='b'})")
    sent = metric.promql("k8s.cluster.name", only("x", "k8s.cluster.name"))
    assert sent == 'sum by ("k8s.cluster.name",pod)(up{"k8s.cluster.name"=~"x", a=\'b\'})'


@pytest.mark.parametrize(
    ("query", "selectors"),
    [
        ("up", ()),
        ("up{$matchers}", ("up{}",)),
        ('max(up{$matchers a="b"}) / sum(x:y{$matchers}[5m])', ('up{a="b"}', "x:y{}")),
        ("up{$matchers a='}'} + up{$matchers a='}'}", ("up{a='}'}",)),
        ('{$matchers __name__=~"a}|b", c=`"}`}', ('{__name__=~"a}|b", c=`"}`}',)),
        (r'up{$matchers a="\"}"}', (r'up{a="\"}"}',)),
        ("count({$matchers})", ()),
    ],
)
def test_a_querys_selectors_are_known(query: str, selectors: tuple[str, ...]) -> None:
    assert Metric("x", query).selectors("cluster") == selectors
