"""Whether an answer may replace a metric-window's files: only what covers them does. Pure.

A source answers ranges past its retention with 200 and less, or nothing; and more samples can be
less data, as when 3 series of 45 samples come in the place of 2 of 60.
"""

from collections.abc import Collection, Iterable, Mapping

from ..answer.spool import Amount
from .manifest import ManifestFile, RawCounts, first_of, last_of


def uncovered(
    files: Iterable[ManifestFile],
    answer: Mapping[str, Amount],
    *,
    by_cluster: bool,
    excused: Collection[ManifestFile] = (),
) -> list[ManifestFile]:
    """The files that have more than the answer: more samples, an earlier first or a later last one.

    `answer` has the amounts by the key that the cluster's file has. `excused` files may have more
    samples, or be of a cluster that is gone: the query itself has removed those. A range that
    became narrower is never excused: so the source forgets. Where files and answer are not split
    by the same label (not `by_cluster`) only their sums can be compared, and it is all files or
    none.
    """
    files = list(files)
    if by_cluster:
        return [one for one in files if _is_less(answer.get(one.key), one, one in excused)]
    whole = Amount(
        0,
        sum(one.samples for one in answer.values()),
        min((one.first for one in answer.values() if one.first is not None), default=None),
        max((one.last for one in answer.values() if one.last is not None), default=None),
    )
    samples = sum(one.samples for one in files)
    sums = ManifestFile("", "", 0, samples, first_of(files), last_of(files), 0, "")
    is_less = bool(files) and _is_less(whole, sums, all(one in excused for one in files))
    return files if is_less else []


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
    """Whether the source has at least the raw samples of before, in every cluster.

    Then an answer that has less lacks nothing: the query itself removed it, as a `kube_pod_info`
    that came late takes out the traffic of a pod on its host's network.
    """
    if before is None or now is None or before.keys() != now.keys():
        return False
    return all(
        now[selector].get(cluster, 0) >= samples
        for selector, counts in before.items()
        for cluster, samples in counts.items()
    )


def has_risen(before: RawCounts | None, now: RawCounts | None) -> bool:
    """Whether the source has more raw samples than before in some cluster."""
    if before is None or now is None:
        return False
    return any(
        samples > before[selector].get(cluster, 0)
        for selector, counts in now.items()
        if selector in before
        for cluster, samples in counts.items()
    )
