"""Object keys: distinct, reversible, never outside their folder, and known again."""

import re
import unicodedata
from datetime import UTC, datetime
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimir_exporter.storage.layout import (
    CHECKPOINT,
    PROBE,
    ObjectName,
    cluster_folder,
    day_folder,
    object_key,
    parse_key,
    state_key,
)

PREFIX = "k8s/prometheus"
HOSTILE = [
    "",
    ".",
    "..",
    "...",
    "../x",
    "../../checkpoint.json",
    "a/b",
    "a//b",
    "/",
    "a\\b",
    "%2F",
    "%2f",
    "%",
    "%s",
    "%2E",
    "a b",
    "a+b",
    " ",
    "~",
    "a\nb",
    "\x00",
    "\x7f",
    "\u202e",
    "\ufeff",
    "prod",
    "Prod",
    "PROD",
    "集群",
    "\u2126",  # two omegas, which look and fold alike
    "\u03a9",
    unicodedata.normalize("NFC", "é"),
    unicodedata.normalize("NFD", "é"),
    "\ud800",
    "\udfff",
    "\ud83d\ude80",
    "\U0001f680",
    CHECKPOINT,
    PROBE,
    "end=20251101",
    "day=5",
    "metric=cpu_usage",
    "k8s",
    "x" * 1000,
    "x" * 999 + "y",
    "ü" * 1000,
    "x" * 500,
    "x" * 501,
]
ANY = st.text(st.characters(), max_size=30) | st.sampled_from(HOSTILE)
METRICS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,99}", fullmatch=True)
STARTS = st.integers(0, 4_102_444_800)  # to 2100


def test_the_key_is_that_of_the_contract() -> None:
    assert object_key(PREFIX, "prod-cluster", "cpu_requests", 1759622400) == (
        "k8s/prometheus/prod-cluster/end=20251101/day=5/metric=cpu_requests/"
        "1759622400_cpu_requests.json.gz"
    )


@pytest.mark.parametrize(
    ("moment", "folder"),
    [
        ("2025-10-05T00:00", "end=20251101/day=5"),
        ("2025-10-31T23:59", "end=20251101/day=31"),
        ("2025-11-30T12:00", "end=20251201/day=30"),
        ("2025-12-01T00:00", "end=20260101/day=1"),
        ("2025-12-31T23:59", "end=20260101/day=31"),
        ("2026-01-01T00:00", "end=20260201/day=1"),
        ("2024-02-29T06:00", "end=20240301/day=29"),
        ("1970-01-01T00:00", "end=19700201/day=1"),
    ],
)
def test_a_window_lies_in_its_utc_day_under_the_next_months_first(moment: str, folder: str) -> None:
    start = int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp())
    assert f"/prod/{folder}/metric=" in object_key(PREFIX, "prod", "cpu_usage", start)


def test_a_days_folder_is_the_beginning_of_its_keys() -> None:
    day = datetime(2025, 12, 31, 7, tzinfo=UTC)
    folder = day_folder("k8s/prometheus/prod/", day)
    assert folder == "k8s/prometheus/prod/end=20260101/day=31/"
    assert object_key(PREFIX, "prod", "x", int(day.timestamp())).startswith(folder + "metric=x/")


def test_plain_names_stay_as_they_are() -> None:
    name = "Prod-eu_west.1~A"
    assert cluster_folder(name) == name


def test_hostile_values_have_folders_of_their_own() -> None:
    distinct = list(dict.fromkeys(HOSTILE))
    folders = {cluster_folder(value) for value in distinct}
    assert len(folders) == len(distinct)


@given(ANY, ANY)
def test_distinct_values_have_distinct_folders(one: str, other: str) -> None:
    assert (cluster_folder(one) == cluster_folder(other)) == (one == other)


@given(st.text(st.characters(), max_size=60).filter(bool))
def test_a_folder_tells_its_value(value: str) -> None:
    folder = cluster_folder(value)
    if "%s" not in folder:
        assert unquote_to_bytes(folder).decode("utf-8", "surrogatepass") == value


@given(ANY)
def test_a_folder_is_one_name_and_never_a_way_out(value: str) -> None:
    folder = cluster_folder(value)
    assert re.fullmatch(r"(?:[A-Za-z0-9_.~-]|%[0-9A-F]{2}|%s)+", folder)
    assert folder not in (".", "..")


def test_what_is_too_long_keeps_its_beginning() -> None:
    folder = cluster_folder("prod/" + "x" * 1000)
    assert folder.startswith("prod%2Fxxx")
    assert cluster_folder("x" * 500) == "x" * 500
    assert cluster_folder("x" * 501) != "x" * 501
    assert re.search(r"%s[0-9a-f]{64}$", folder)
    # Cut between escapes, wherever they are.
    for shift in range(7):
        cut = cluster_folder("x" * shift + "ü" * 500)
        assert re.fullmatch(r"x*(?:%[0-9A-F]{2})+%s[0-9a-f]{64}", cut)


@given(ANY, METRICS, STARTS)
def test_a_key_that_was_made_is_known_again(cluster: str, metric: str, start: int) -> None:
    key = object_key(PREFIX, cluster, metric, start)
    assert parse_key(PREFIX, key) == ObjectName(cluster_folder(cluster), metric, start)
    assert parse_key("k8s", key) is None
    assert parse_key(PREFIX + "/" + cluster_folder(cluster), key) is None


@given(ANY, METRICS, STARTS, st.data())
def test_a_key_with_one_character_changed_is_another_key_or_none(
    cluster: str, metric: str, start: int, data: st.DataObject
) -> None:
    key = object_key(PREFIX, cluster, metric, start)
    place = data.draw(st.integers(0, len(key) - 1))
    changed = key[:place] + data.draw(st.sampled_from("/%.= aA0_")) + key[place + 1 :]
    name = parse_key(PREFIX, changed)
    if name is not None:
        # Then it is a key that is made, of the very parts that it says.
        rest = f"metric={name.metric}/{name.start}_{name.metric}.json.gz"
        day = day_folder(f"{PREFIX}/{name.folder}/", datetime.fromtimestamp(name.start, UTC))
        assert changed == day + rest


DAY = "end=20251101/day=5"
FILE = "1759622400_x.json.gz"


@pytest.mark.parametrize(
    "key",
    [
        f"{PREFIX}/prod/{DAY}/metric=x/{FILE}.bak",
        f"{PREFIX}/prod/{DAY}/metric=x/x{FILE}",
        f"{PREFIX}/prod/{DAY}/metric=x/{FILE}\n",
        f"{PREFIX}/prod/{DAY}/metric=x/{FILE}/y",
        f"{PREFIX}/prod/{DAY}/metric=y/{FILE}",
        f"{PREFIX}/prod/{DAY}/metric=x/01759622400_x.json.gz",
        f"{PREFIX}/prod/{DAY}/metric=x/-1759622400_x.json.gz",
        f"{PREFIX}/prod/{DAY}/metric=x/１７５９６２２４００_x.json.gz",  # noqa: RUF001
        f"{PREFIX}/prod/{DAY}/metric=x/1759622400000_x.json.gz",
        f"{PREFIX}/prod/{DAY}/metric=x/999999999999_x.json.gz",
        f"{PREFIX}/prod/{DAY}/metric=1/1759622400_1.json.gz",
        f"{PREFIX}/prod/{DAY}/{FILE}",
        f"{PREFIX}/prod/end=20251101/day=05/metric=x/{FILE}",
        f"{PREFIX}/prod/end=20251101/day=6/metric=x/{FILE}",
        f"{PREFIX}/prod/end=20251001/day=5/metric=x/{FILE}",
        f"{PREFIX}/prod/end=20251105/day=5/metric=x/{FILE}",
        f"{PREFIX}/{DAY}/metric=x/{FILE}",
        f"{PREFIX}//{DAY}/metric=x/{FILE}",
        f"{PREFIX}/./{DAY}/metric=x/{FILE}",
        f"{PREFIX}/../{DAY}/metric=x/{FILE}",
        f"{PREFIX}/a/b/{DAY}/metric=x/{FILE}",
        f"{PREFIX}/a b/{DAY}/metric=x/{FILE}",
        f"{PREFIX}/ü/{DAY}/metric=x/{FILE}",
        f"{PREFIX}/a%2fb/{DAY}/metric=x/{FILE}",
        f"{PREFIX}/%41/{DAY}/metric=x/{FILE}",
        f"{PREFIX}/%/{DAY}/metric=x/{FILE}",
        f"{PREFIX}/%2/{DAY}/metric=x/{FILE}",
        f"{PREFIX}/%FF/{DAY}/metric=x/{FILE}",
        f"{PREFIX}/%s/{DAY}/metric=x/{FILE}",
        f"{PREFIX}/a%s{'0' * 64}/{DAY}/metric=x/{FILE}",
        f"{PREFIX}/{'a' * 400}%s{'0' * 63}g/{DAY}/metric=x/{FILE}",
        f"{PREFIX}/{'a' * 501}/{DAY}/metric=x/{FILE}",
        f"{PREFIX}x/prod/{DAY}/metric=x/{FILE}",
        f"x{PREFIX}/prod/{DAY}/metric=x/{FILE}",
        f"prod/{DAY}/metric=x/{FILE}",
        f"{PREFIX}/prod/{CHECKPOINT}",
        "",
    ],
)
def test_look_alikes_are_not_taken_for_files_of_ours(key: str) -> None:
    assert parse_key(PREFIX, key) is None


@given(st.text(st.characters(), max_size=80))
def test_no_text_at_all_breaks_the_reading_of_keys(tail: str) -> None:
    assert parse_key(PREFIX, f"{PREFIX}/{tail}") is None


@pytest.mark.parametrize(
    "cluster", ["x" * 500, "ü" * 1000, "\U0001f680" * 1000, "%" * 166, "/" * 5000]
)
def test_the_longest_key_fits_into_s3(cluster: str) -> None:
    key = object_key("p" * 200, cluster, "m" * 100, 99_999_999_999)
    assert len(key.encode()) <= 1024
    assert parse_key("p" * 200, key) is not None


@given(ANY, ANY)
def test_no_clusters_file_has_the_key_of_the_exporters_state(cluster: str, own: str) -> None:
    for name in (CHECKPOINT, PROBE):
        state = state_key(PREFIX, own, name)
        assert state == f"{PREFIX}/{cluster_folder(own)}/{name}"
        assert parse_key(PREFIX, state) is None
        assert not object_key(PREFIX, cluster, "x", 0).startswith(state)
