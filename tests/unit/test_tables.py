"""Catalogues in files: what they extend, and what is wrong in one."""

from pathlib import Path

import pytest

from mimir_exporter.catalog.metrics import catalog_text, load_catalog, read_catalog
from mimir_exporter.catalog.tables import SETS, read_set
from mimir_exporter.errors import SettingsError

OWN = """
extends = "default"
without = ["pod_labels", "node_labels"]

[words]
alive = 'phase="Running"'

[[metric]]
name = "pvc_usage"
key = ["cluster", "namespace"]
query = 'sum by ($key)(kubelet_volume_stats_used_bytes{$matchers})'
unit = "bytes"

[[metric]]
name = "used_cores"
same_as = "cpu_usage"
description = "As our tables call it"
"""


@pytest.mark.parametrize("name", SETS)
def test_a_set_that_ships_is_a_catalogue(name: str) -> None:
    catalog = load_catalog(text=read_set(name))
    assert len(catalog) > 10
    for metric in catalog:
        assert metric.key[0] == "cluster"
        assert metric.unit
        assert metric.description


def test_a_file_extends_a_set() -> None:
    before = {metric.name: metric for metric in load_catalog()}
    catalog = load_catalog(text=OWN)
    names = [metric.name for metric in catalog]
    kept = [name for name in before if name not in ("pod_labels", "node_labels")]
    assert names == [*kept, "used_cores"]
    found = {metric.name: metric for metric in catalog}
    changed = {name for name in kept if found[name] != before[name]}
    # Its own metric, and those whose queries hold the word that it says anew.
    assert changed == {"pvc_usage", "cpu_requests", "memory_requests", "gpu_requests"}
    assert found["pvc_usage"].key == ("cluster", "namespace")
    assert 'phase="Running"' in found["cpu_requests"].query


def test_another_name_has_the_query_key_and_unit_of_its_metric() -> None:
    found = {metric.name: metric for metric in load_catalog(text=OWN)}
    one, other = found["cpu_usage"], found["used_cores"]
    assert (other.query, other.key, other.unit) == (one.query, one.key, one.unit)
    assert (other.same_as, other.description) == ("cpu_usage", "As our tables call it")


def test_finouts_names_cost_no_query() -> None:
    default = {metric.query for metric in load_catalog()}
    finout = load_catalog(text=read_set("finout"))
    assert {metric.query for metric in finout} == default
    assert {metric.name for metric in finout if metric.same_as} == {
        *("cpu_usage_v2", "memory_usage_v2", "bytes_received_v2", "bytes_transmitted_v2")
    }


def test_opentelemetrys_set_has_the_same_metrics_keys_and_units() -> None:
    """And all of what the default one reads."""
    default = {metric.name: metric for metric in load_catalog()}
    found = {metric.name: metric for metric in load_catalog(text=read_set("opentelemetry"))}
    assert found.keys() == default.keys()
    for name, metric in found.items():
        assert (metric.key, metric.unit) == (default[name].key, default[name].unit)
        assert set(default[name].reads) <= set(metric.reads)
        assert bool(metric.description and metric.pitfalls)


METRIC = '[[metric]]\nname = "a"\nquery = "up"\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[metric]", "Expected"),
        ('extends = "mine"', "extends 'mine', which is none of default"),
        ('[[metrics]]\nname = "a"', "unknown section 'metrics'"),
        (METRIC + METRIC, "duplicate metric 'a'"),
        ('[[metric]]\nname = "a-b"\nquery = "up"', "metric name 'a-b'"),
        ('[[metric]]\nquery = "up"', "metric name None"),
        ('[[metric]]\nname = "a"', "metric 'a' has neither query nor shape nor same_as"),
        ('[[metric]]\nname = "a"\nshape = "b"', "metric 'a' has no query and no shape that there"),
        ('[[metric]]\nname = "a"\nquery = "$b"', "the query of 'a' holds $b"),
        ('[[metric]]\nname = "a"\nsame_as = "b"', "metric 'a' is the same as 'b'"),
        (METRIC + 'key = "cluster"', "key of 'a' is no array of strings"),
        (METRIC + "unit = 1", "unit of 'a' is no string"),
        ("[metric]\nname = 'a'", "metric is no array of tables"),
        ("[words]\na = 1", "words is no table of strings"),
        ('extends = "default"\nwithout = ["b"]', "without 'b', which it does not extend"),
        ("".join(METRIC.replace('"a"', f'"a{n}"') for n in range(101)), "101 metrics"),
        ('[words]\na = "$a $a"\n[[metric]]\nname = "a"\nquery = "$a"', "a piece holds itself"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_in_one_sentence(text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_catalog(text=text)
    assert caught.value.details.code == "invalid_catalog"
    assert f"Invalid CATALOG (cdk.json: catalog): {problem}" in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"Invalid CATALOG '.*mine\.toml'"):
        catalog_text(str(path))


def test_a_label_in_a_string_is_no_piece() -> None:
    (metric,) = read_catalog("[[metric]]\nname = 'a'\nquery = 'x{$matchers a=\"$1\"}'")
    assert metric.query == 'x{$matchers a="$1"}'
