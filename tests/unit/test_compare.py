"""The comparer that the integration and end-to-end tests rest on: it must see each mistake."""

import gzip
import json
from typing import Any

import pytest

from tests.compare import Contract, compare

DAY = 1759622400  # 2025-10-05T00:00:00Z
CONTRACT = Contract(prefix="k8s/prometheus", cluster_name="monitoring", step_s=1800)
CATALOGUE = {"cpu_usage": "cpu"}
EU, NONE = {"cluster": "eu/1", "pod": "a"}, {"pod": "b"}


def answer(*series: dict[str, Any]) -> bytes:
    result = {"status": "success", "data": {"resultType": "matrix", "result": list(series)}}
    return json.dumps(result).encode()


def body(*series: dict[str, Any]) -> bytes:
    return gzip.compress(answer(*series))


def in_prometheus(promql: str, first: int, last: int, step: int) -> bytes:
    values = [[time, str(time % 7)] for time in range(first, last + 1, step)]
    return answer({"metric": EU, "values": values}, {"metric": NONE, "values": values})


def key(folder: str, start: int, day: int = 5) -> str:
    file = f"{start}_cpu_usage.json.gz"
    return f"k8s/prometheus/{folder}/end=20251101/day={day}/metric=cpu_usage/{file}"


def exported(labels: dict[str, str], start: int) -> dict[str, Any]:
    times = (start, start + 1800)
    return {"metric": labels, "values": [[time, str(time % 7)] for time in times]}


def right() -> dict[str, bytes]:
    return {
        key(folder, start): body(exported(labels, start))
        for folder, labels in (("eu%2F1", EU), ("monitoring", NONE))
        for start in (DAY, DAY + 3600)
    }


def differences(objects: dict[str, bytes]) -> list[str]:
    return compare(
        in_prometheus,
        objects.items(),
        catalogue=CATALOGUE,
        start=DAY,
        end=DAY + 7200,
        contract=CONTRACT,
    )


def test_what_is_right_has_no_differences() -> None:
    assert differences(right()) == []


def test_an_absent_object_is_seen() -> None:
    objects = right()
    del objects[key("eu%2F1", DAY)]
    assert [text.rpartition(" at ")[2] for text in sorted(differences(objects))] == [
        f"{DAY} is missing",
        f"{DAY + 1800} is missing",
    ]


@pytest.mark.parametrize(
    ("folder", "series", "message"),
    [
        ("eu%2F1", [exported(EU, DAY), exported(EU, DAY)], "is there twice"),
        ("eu%2F1", [exported(EU, DAY), exported(NONE, DAY)], "belongs to another cluster"),
        ("eu%2F1", [exported(EU, DAY + 3600)], "lies outside of the window"),
        ("eu%2F1", [{"metric": EU, "values": [[DAY, "9"], [DAY + 1800, "9"]]}], "is 9, not"),
        ("eu%2F1", [exported(EU, DAY), exported({**EU, "pod": "c"}, DAY)], "not in Prometheus"),
        ("eu%2F1", [], "holds no sample"),
        ("eu1", [exported(EU, DAY)], "belongs to another cluster"),
    ],
)
def test_a_wrong_body_is_seen(folder: str, series: list[dict[str, Any]], message: str) -> None:
    objects = right()
    objects[key(folder, DAY)] = body(*series)
    assert any(message in text for text in differences(objects))


@pytest.mark.parametrize(
    "broken",
    [
        b"spoilt",
        body(exported(EU, DAY))[:-9],
        body(exported(EU, DAY))[:40] + bytes(40),
        gzip.compress(b"{"),
    ],
    ids=["not gzip", "cut off", "damaged", "not JSON"],
)
def test_a_body_that_cannot_be_read_is_named(broken: bytes) -> None:
    objects = right() | {key("eu%2F1", DAY): broken}
    (found,) = (text for text in differences(objects) if "cannot be read" in text)
    assert key("eu%2F1", DAY) in found


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (key("eu%2F1", DAY, day=6), "wrong month or day"),
        (key("eu%2F1", DAY + 60), "window border"),
        (key("eu%2F1", DAY - 3600, day=4), "outside of"),
        (key("eu%2F1/x", DAY), "not a key of the layout"),
        (key("eu%2F1", DAY).replace("cpu", "gpu"), "not in the catalogue"),
        ("k8s/prometheus2/" + key("eu%2F1", DAY).split("/", 2)[2], "not a key of the layout"),
    ],
)
def test_a_wrong_key_is_seen(wrong: str, message: str) -> None:
    objects = right() | {wrong: body(exported(EU, DAY))}
    assert any(message in text for text in differences(objects))


def test_a_sample_in_two_files_is_seen() -> None:
    objects = right() | {key("monitoring", DAY): body(exported(NONE, DAY), exported(EU, DAY))}
    assert any("is there twice" in text for text in differences(objects))


def test_native_histograms_are_compared() -> None:
    in_one = {"count": "3", "sum": "2.5", "buckets": [[0, "0", "1", "3"]]}

    def found(in_other: dict[str, Any]) -> list[str]:
        other = {"metric": EU, "histograms": [[DAY, in_other]]}
        return compare(
            lambda *_: answer({"metric": EU, "histograms": [[DAY, in_one]]}),
            [(key("eu%2F1", DAY), body(other))],
            catalogue=CATALOGUE,
            start=DAY,
            end=DAY + 3600,
            contract=CONTRACT,
        )

    assert found(in_one) == []
    (difference,) = found({**in_one, "sum": "2.6"})
    assert '"sum": "2.6"' in difference
