"""What an answer must have to take the place of files."""

from dataclasses import replace

from mimir_exporter.answer.cluster_file import Amount
from mimir_exporter.checkpoint.outcomes import mark_audited, mark_exported, mark_pending
from mimir_exporter.checkpoint.wanted import wanted_windows
from mimir_exporter.storage.covering import (
    has_not_fallen,
    has_risen,
    removed_by_query,
    uncovered,
)
from mimir_exporter.storage.manifest import Layout, Manifest, ManifestFile
from tests.unit.checkpoints import NAMES, NOW, begun, configure, export_all, hour


def file(
    cluster: str, samples: int, first: float | None = 0, last: float | None = 9
) -> ManifestFile:
    return ManifestFile(cluster, cluster, 1, samples, first, last, 100, '"tag"')


def amount(samples: int, first: float | None = 0, last: float | None = 9) -> Amount:
    return Amount(1, samples, first, last)


def lost(files: list[ManifestFile], answer: dict[str, Amount], *, by_cluster: bool = True) -> str:
    return "".join(one.cluster for one in uncovered(files, answer, by_cluster=by_cluster))


def test_a_file_is_covered_by_as_much_from_as_early_to_as_late() -> None:
    assert lost([file("a", 60)], {"a": amount(60)}) == ""
    assert lost([file("a", 60)], {"a": amount(61), "b": amount(1)}) == ""
    assert lost([file("a", 60)], {"a": amount(59)}) == "a"
    assert lost([file("a", 60)], {"a": amount(90, first=1)}) == "a"
    assert lost([file("a", 60)], {"a": amount(90, last=8)}) == "a"
    assert lost([file("a", 60), file("b", 60)], {"a": amount(120)}) == "b"


def test_what_the_query_removed_is_excused_but_no_narrower_range() -> None:
    files = [file("a", 60), file("b", 60), file("c", 60)]
    answer = {"a": amount(30), "b": amount(90, first=1)}
    found = uncovered(files, answer, by_cluster=True, excused=files)
    assert [one.cluster for one in found] == ["b"]
    assert uncovered(files, answer, by_cluster=True, excused=files[2:]) == files[:2]
    assert uncovered(files, {"x": amount(9)}, by_cluster=False, excused=files) == []
    assert uncovered(files, {"x": amount(9, last=8)}, by_cluster=False, excused=files) == files


def test_what_is_not_known_cannot_be_narrower() -> None:
    assert lost([file("a", 60, None, None)], {"a": amount(60, 5, 6)}) == ""
    assert lost([file("a", 60)], {"a": amount(60, None, None)}) == ""


def test_files_that_were_split_otherwise_are_covered_as_a_whole_or_not_at_all() -> None:
    files = [file("a", 30, first=0, last=5), file("b", 30, first=4)]
    assert lost(files, {"x": amount(20), "y": amount(40)}, by_cluster=False) == ""
    assert lost(files, {"x": amount(59)}, by_cluster=False) == "ab"
    assert lost(files, {"x": amount(90, first=1)}, by_cluster=False) == "ab"


def test_raw_counts_rise_and_fall_by_cluster_and_selector() -> None:
    before = {"x{}": {"a": 5, "b": 5}, "y{}": {"a": 1}}
    more = {"x{}": {"a": 6, "b": 5}, "y{}": {"a": 1, "new": 1}}
    mixed = {"x{}": {"a": 50}, "y{}": {"a": 1}}
    assert has_not_fallen(before, before)
    assert not has_risen(before, before)
    assert has_not_fallen(before, more)
    assert has_risen(before, more)
    assert not has_not_fallen(before, mixed)
    assert has_risen(before, mixed)
    # Without counts, or with those of another query, nothing is known.
    assert not has_not_fallen(None, more)
    assert not has_not_fallen(before, {"x{}": {"a": 9, "b": 9}})
    assert not has_risen(None, more)


def test_only_a_cluster_with_more_raw_samples_can_have_lost_some_to_the_query() -> None:
    layout = Layout("cluster", "central", split_by_cluster=True)
    files = (file("a", 60), file("b", 60), file("central", 60))
    before = {"x{}": {"a": 5, "b": 5}, "y{}": {"": 1}}
    old = Manifest("cpu", 0, 3600, 60, 1, 0, "x", layout, files, before)

    def excused(raw: dict[str, dict[str, int]], query: str = "x", old: Manifest = old) -> str:
        return " ".join(one.cluster for one in removed_by_query(old, raw, query))

    assert excused(before) == ""
    assert excused({"x{}": {"a": 6, "b": 5}, "y{}": {"": 1}}) == "a"
    assert excused({"x{}": {"a": 5, "b": 5}, "y{}": {"": 1, "b": 1}}) == "b"
    assert excused({"x{}": {"a": 5, "b": 5}, "y{}": {"": 2}}) == "central"
    assert excused({"x{}": {"a": 6, "b": 4}, "y{}": {"": 1}}) == ""
    # Another query, or one file for all clusters.
    assert excused(before, "x unless y") == "a b central"
    unsplit = replace(old, layout=replace(layout, split_by_cluster=False))
    assert excused(before, old=unsplit) == ""
    assert excused({"x{}": {"a": 6, "b": 5}, "y{}": {"": 1}}, old=unsplit) == "a b central"


def test_a_window_that_is_pending_again_is_wanted() -> None:
    settings = configure()
    checkpoint = begun(settings)
    export_all(checkpoint, settings, NAMES, NOW)
    window = hour("2026-10-31T08:00")
    mark_audited(checkpoint, "cpu", window)
    assert list(wanted_windows(checkpoint, NAMES, settings, NOW)) == []
    for _ in range(2):  # said twice, it is the same
        mark_pending(checkpoint, "cpu", window)
    assert list(wanted_windows(checkpoint, NAMES, settings, NOW)) == [(window, ("cpu",))]
    assert checkpoint.metrics["cpu"].audited == ()
    mark_exported(checkpoint, "cpu", window, empty=False)
    assert list(wanted_windows(checkpoint, NAMES, settings, NOW)) == []
