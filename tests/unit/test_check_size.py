"""What the check foresees of a window's size, from counts alone."""

import pytest

from mimir_exporter.check.counts import Count
from mimir_exporter.check.size import Size
from mimir_exporter.timeline.windows import Window

HOUR = Window(0, 3600, 60)
BUDGET_S = 870.0


def fleet(series: int, clusters: int) -> dict[str, Count]:
    """Two metrics, one a quarter of the other, spread over the clusters."""
    return {
        name: Count({f"c{number}": count // clusters for number in range(clusters)})
        for name, count in (("pod_labels", series), ("pod_info", series // 4))
    }


def test_a_small_fleet_fits() -> None:
    size = Size.of(fleet(400, 2), HOUR, query_s=0.1, delay_s=5)
    assert (size.samples, size.files) == (500 * 60, 4)
    level, found, change = size.judge(72, BUDGET_S)
    assert (level, change) == ("ok", "")
    assert found.startswith(
        "a window has about 30.0 k samples, 1.1 MB of JSON, 111.0 kB in 4 files"
    )
    assert "takes about 10 s; 72 pending windows of 1.0 h would take 12.2 min" in found


def test_where_nothing_is_due_nothing_is_said_of_it() -> None:
    _, found, _ = Size.of(fleet(400, 2), HOUR, query_s=0.1, delay_s=0).judge(0, BUDGET_S)
    assert found.endswith("in 4 files, and takes about a second")


@pytest.mark.parametrize(
    ("series", "query_s"), [(10_000_000, 60.0), (1_000_000, 900.0)], ids=["bytes", "query"]
)
def test_a_metric_past_a_whole_run_is_named(series: int, query_s: float) -> None:
    level, found, change = Size.of(fleet(series, 10), HOUR, query_s=query_s, delay_s=5).judge(
        72, BUDGET_S
    )
    assert level == "warning"
    assert found.startswith("pod_labels alone takes longer than a run may (14.5 min): ")
    assert "smaller TIME_FRAME" in change


def test_windows_that_take_as_long_as_they_are_do_not_keep_up() -> None:
    level, found, _ = Size.of(fleet(400, 2), Window(0, 60, 60), query_s=40, delay_s=5).judge(
        9, BUDGET_S
    )
    assert level == "warning"
    assert found.startswith("export barely keeps up with windows of")
