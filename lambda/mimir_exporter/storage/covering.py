"""Whether an answer may replace a metric-window's files: only what covers them does. Pure.

A source answers ranges past its retention with 200 and less, or nothing; and more samples can be
less data, as when 3 series of 45 samples come in the place of 2 of 60.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from ..answer.cluster_file import Amount
from ..timeline.windows import Window, is_off_grid
from .manifest import Manifest, ManifestFile, RawCounts, first_of, last_of


def uncovered(
    files: Iterable[ManifestFile],
    answer: Mapping[str, Amount],
    *,
    by_cluster: bool,
    excused: Collection[ManifestFile] = (),
    window: Window | None = None,
) -> list[ManifestFile]:
    """The files that have more than the answer: more samples, an earlier first or a later last one.

    `answer` has the amounts by the key that the cluster's file has. `excused` files may have more
    samples, or be of a cluster that is gone: the query itself has removed those. A range that
    became narrower is never excused: so the source forgets. Where files and answer are not split
    by the same label (not `by_cluster`) only their sums can be compared, and it is all files or
    none. A file whose samples lie off the grid of `window`, because the source had moved its start,
    may have one step more than an answer that is on it.
    """
    least = {file: file if window is None else _on_grid(file, window) for file in files}
    if by_cluster:
        return [
            file for file in least if _is_less(answer.get(file.key), least[file], file in excused)
        ]
    whole = Amount(
        0,
        sum(amount.samples for amount in answer.values()),
        min((amount.first for amount in answer.values() if amount.first is not None), default=None),
        max((amount.last for amount in answer.values() if amount.last is not None), default=None),
    )
    samples = sum(file.samples for file in least.values())
    first, last = first_of(least.values()), last_of(least.values())
    sums = ManifestFile("", "", 0, samples, first, last, 0, "")
    is_less = bool(least) and _is_less(whole, sums, all(file in excused for file in least))
    return list(least) if is_less else []


def _on_grid(file: ManifestFile, window: Window) -> ManifestFile:
    """The same file; of one that is off the grid, what an answer on the grid has at least."""
    if file.first is None or file.last is None or not is_off_grid(window, file.first, file.last):
        return file
    return replace(
        file,
        samples=max(0, file.samples - file.series),
        first=file.first + window.step_s,
        last=file.last - window.step_s,
    )


def _is_less(answer: Amount | None, file: ManifestFile, excused: bool) -> bool:
    if answer is None or answer.samples < file.samples:
        return not excused or _is_narrower(answer, file)
    return _is_narrower(answer, file)


def _is_narrower(answer: Amount | None, file: ManifestFile) -> bool:
    """What is not known of either, or is not there at all, cannot be narrower."""
    if answer is None:
        return False
    if file.first is not None and answer.first is not None and answer.first > file.first:
        return True
    return file.last is not None and answer.last is not None and answer.last < file.last


def has_not_fallen(before: RawCounts | None, now: RawCounts | None) -> bool:
    """Whether the source has at least the raw samples of before, in every cluster."""
    if before is None or now is None or before.keys() != now.keys():
        return False
    return all(
        now[selector].get(cluster, 0) >= samples
        for selector, counts in before.items()
        for cluster, samples in counts.items()
    )


def has_risen(before: RawCounts | None, now: RawCounts | None) -> bool:
    """Whether the source has more raw samples than before in some cluster."""
    return bool(_risen_clusters(before, now))


def removed_by_query(old: Manifest, raw: RawCounts | None, query: str) -> Collection[ManifestFile]:
    """The files that may become less, because only the query itself can have removed what is gone.

    The source has no raw samples less; and it has more in that cluster, as a `kube_pod_info` that
    came late takes out the traffic of a pod on its host's network, or the query is another one.
    With the same samples the same query has the same answer: one that has less lacks something.
    """
    if not has_not_fallen(old.raw, raw):
        return ()
    if old.query != query:
        return old.files
    risen = _risen_clusters(old.raw, raw)
    if old.layout is None or not old.layout.split_by_cluster:
        return old.files if risen else ()
    if "" in risen:  # without the label, in the folder of the exporter's own cluster
        risen = {*risen, old.layout.cluster_name}
    return [file for file in old.files if file.cluster in risen]


def _risen_clusters(before: RawCounts | None, now: RawCounts | None) -> set[str]:
    if before is None or now is None:
        return set()
    return {
        cluster
        for selector, counts in now.items()
        if selector in before
        for cluster, samples in counts.items()
        if samples > before[selector].get(cluster, 0)
    }
