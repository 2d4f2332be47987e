"""The manifest's document: what is written is what is read, and where it lies."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimir_exporter.errors import QueryError
from mimir_exporter.storage.layout import cluster_folder, cluster_of, manifest_key, parse_key
from mimir_exporter.storage.manifest import (
    SCHEMA_VERSION,
    Layout,
    Manifest,
    ManifestFile,
    dump,
    load,
)

moments = st.none() | st.integers(0, 2**33) | st.floats(0, 2**33)
counts = st.integers(0, 2**60)
files = st.builds(
    ManifestFile, st.text(), st.text(), counts, counts, moments, moments, counts, st.text()
)
raw = st.none() | st.dictionaries(st.text(), st.dictionaries(st.text(), counts))
manifests = st.builds(
    Manifest,
    *(st.text(), st.integers(0, 2**33), st.integers(0, 2**33), st.integers(1, 86400)),
    *(counts, st.integers(0, 2**33), st.text()),
    layout=st.none() | st.builds(Layout, st.text(), st.text(), st.booleans()),
    files=st.lists(files).map(tuple),
    raw=raw,
    superseded=st.dictionaries(st.text(), st.text()),
    rises=counts,
)


@given(manifest=manifests)
def test_what_is_written_is_what_is_read(manifest: Manifest) -> None:
    body = dump(manifest)
    assert load(body, "here") == manifest
    assert dump(load(body, "here")) == body


def test_half_a_surrogate_pair_is_a_cluster_too() -> None:
    one = ManifestFile("\ud83d", "key", 1, 1, 0, 0, 1, "")
    manifest = Manifest("load", 0, 3600, 60, 1, 0, "load", None, (one,))
    assert load(dump(manifest), "here") == manifest


def test_it_is_no_data_file_and_lies_in_the_day_of_its_window() -> None:
    key = manifest_key("k8s", "a/b", "cpu_usage", 1759622399)
    assert key == "k8s/a%2Fb/_manifests/20251004/1759622399_cpu_usage.manifest"
    assert parse_key("k8s", key) is None


@given(cluster=st.text(min_size=1, max_size=80))
def test_a_folder_says_its_cluster(cluster: str) -> None:
    assert cluster_of(cluster_folder(cluster)) == cluster


@pytest.mark.parametrize("text", [b"", b"no json", b"[]", b"{}"])
@pytest.mark.parametrize("packed", [True, False])
def test_what_is_no_manifest_says_what_to_do(text: bytes, packed: bool) -> None:
    body = gzip.compress(text) if packed else text
    with pytest.raises(QueryError, match=r"Invalid manifest s3://b/key .*delete it and reexport"):
        load(body, "s3://b/key")


def test_a_newer_one_is_not_guessed() -> None:
    body = gzip.compress(json.dumps({"schema_version": SCHEMA_VERSION + 1}).encode())
    with pytest.raises(QueryError, match="deploy the newer exporter"):
        load(body, "here")
